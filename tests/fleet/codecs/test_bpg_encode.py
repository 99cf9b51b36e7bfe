"""Writing BPG files."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.codecs import BpgConfig
from fleet.codecs.bpg import container, encoder, nal, parameter_sets
from fleet.codecs.bpg.nal import NalType
from fleet.errors import BitstreamError

SIZES = [
    (1, 1),
    (1, 2),
    (2, 1),
    (3, 5),
    (8, 8),
    (9, 16),
    (16, 7),
    (5, 200),
    (33, 17),
    (63, 65),
    (1, 9000),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", ["ultrafast", "medium", "slow"])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_any_size_round_trips(make_frame, psnr, chroma, preset, size) -> None:
    codec = BpgConfig(chroma=chroma, preset=preset).build()
    frame = make_frame(*size)
    bitstream = codec.encode(frame, 10)
    header = codec.probe(bitstream)
    assert (header.height, header.width) == size
    assert psnr(codec.decode(bitstream, size[0] * size[1]), frame) > 36


@pytest.mark.parametrize(
    ("qp", "low", "high"), [(0, 45, 70), (17, 38, 60), (32, 30, 45), (51, 18, 36)]
)
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_quality_is_what_the_qp_says(make_frame, psnr, chroma, qp, low, high) -> None:
    codec = BpgConfig(chroma=chroma, preset="superfast").build()
    frame = make_frame(96, 128)
    # 4:2:0 cannot do better than its chroma resolution.
    low = min(low, 38) if chroma == "420" else low
    assert low < psnr(codec.decode(codec.encode(frame, qp), 96 * 128), frame) < high


@pytest.mark.parametrize("preset", ["ultrafast", "superfast", "medium", "slow", "veryslow"])
@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize("size", [(5, 9), (45, 70), (72, 136)])
def test_a_reader_rebuilds_the_sps_that_x265_wrote(make_frame, size, preset, chroma) -> None:
    height, width = size
    block = encoder.coded_block(width, height, preset)
    picture = encoder.to_picture(make_frame(*size), chroma, block)
    stream = encoder.encode_picture(picture, 30, preset, "psnr", block)
    written = [u for u in nal.split(stream) if nal.nal_type(u) == NalType.SPS]
    file = container.parse(container.write(encoder.strip(stream, width, height)))
    rebuilt = nal.split(parameter_sets.rebuild(file.header, file.hevc))[1]
    assert parameter_sets.parse_sps(rebuilt) == parameter_sets.parse_sps(written[0])
    kinds = [nal.nal_type(unit) for unit in nal.split(file.picture)]
    assert kinds in ([NalType.PPS, NalType.IDR_N_LP], [NalType.PPS, NalType.IDR_W_RADL])


def test_a_file_is_laid_out_as_the_format_says(make_frame) -> None:
    bitstream = BpgConfig().build().encode(make_frame(221, 333), 30)
    assert bitstream[:6] == b"BPG\xfb\x20\x00"
    assert bitstream[6:10] == b"\x82\x4d\x81\x5d"
    file = container.parse(bitstream)
    assert not file.picture.startswith(b"\0")
    assert container.write(file) == bitstream


def test_what_a_bpg_file_cannot_carry_is_not_written(make_frame) -> None:
    picture = encoder.to_picture(make_frame(64, 64), "420", 8)
    stream = encoder.encode_picture(picture, 30, "superfast", "psnr", 8)
    with pytest.raises(BitstreamError, match="expects"):
        encoder.strip(stream, 50, 64)
    with pytest.raises(BitstreamError, match="NAL units"):
        encoder.strip(stream + stream, 64, 64)
    with pytest.raises(BitstreamError):
        encoder.strip(stream[: stream.rindex(nal.START_CODE)], 64, 64)


def test_tunings_write_the_same_bits(make_frame) -> None:
    frame = make_frame(64, 64)
    psnr_tuned, ssim_tuned = BpgConfig(tune="psnr").build(), BpgConfig(tune="ssim").build()
    assert psnr_tuned.encode(frame, 30) == ssim_tuned.encode(frame, 30)


def test_the_chroma_of_saturated_colours_does_not_wrap_around(psnr) -> None:
    codec = BpgConfig(chroma="444", preset="superfast").build()
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)):
        frame = np.full((16, 16, 3), colour, np.uint8)
        assert psnr(codec.decode(codec.encode(frame, 4), 256), frame) > 40
