"""The BPG file header, the HEVC header in it, and the NAL units after it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.codecs import BpgConfig
from fleet.codecs.bpg import container, nal, parameter_sets
from fleet.codecs.bpg.container import (
    BpgFile,
    BpgHeader,
    ColourSpace,
    HevcHeader,
    Pcm,
    PixelFormat,
)
from fleet.codecs.bpg.nal import START_CODE, NalType
from fleet.errors import BitstreamError

HEVC = HevcHeader(3, 3, 2, 3, 1, True, None, True)

HEADERS = st.builds(
    BpgHeader,
    st.integers(1, container.MAX_SIDE),
    st.integers(1, container.MAX_SIDE),
    st.sampled_from(PixelFormat),
    st.sampled_from([8, 9, 10, 12]),
    st.sampled_from(ColourSpace),
    st.booleans(),
)
HEVC_HEADERS = st.builds(
    HevcHeader,
    st.just(4),
    st.integers(0, 2),
    st.integers(2, 3),
    st.integers(0, 1),
    st.integers(0, 1),
    st.booleans(),
    st.none() | st.builds(Pcm, st.just(8), st.just(7), st.just(3), st.just(1), st.booleans()),
    st.booleans(),
    st.none()
    | st.tuples(*[st.booleans() if i not in (4, 8) else st.just(False) for i in range(9)]),
)


@given(HEADERS, HEVC_HEADERS, st.binary(min_size=1), st.binary(max_size=200))
def test_a_file_round_trips(
    header: BpgHeader, hevc: HevcHeader, picture: bytes, extension: bytes
) -> None:
    file = BpgFile(header, hevc, picture)
    assert container.parse(container.write(file, extension)) == file


@given(HEADERS, HEVC_HEADERS)
def test_rebuilt_parameter_sets_say_what_the_headers_say(
    header: BpgHeader, hevc: HevcHeader
) -> None:
    units = nal.split(parameter_sets.rebuild(header, hevc))
    assert [nal.nal_type(unit) for unit in units] == [NalType.VPS, NalType.SPS]
    sps = parameter_sets.parse_sps(units[1])
    assert sps.hevc == hevc
    assert (sps.width, sps.height) == hevc.coded_size(header.width, header.height)
    assert sps.chroma_format_idc == header.pixel_format.chroma_format_idc
    assert sps.bit_depth == sps.bit_depth_chroma == header.bit_depth
    assert not sps.cropped


def _header(first: int = 0x20, second: int = 0x00, rest: bytes = b"\x08\x08\x00") -> bytes:
    return container.MAGIC + bytes([first, second]) + rest


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "empty"),
        (b"BPG", "not a BPG file"),
        (container.MAGIC, "ends early"),
        (_header(first=0x30), "alpha"),
        (_header(second=0x04), "alpha"),
        (_header(second=0x01), "animated"),
        (_header(first=0xC0), "pixel format 6"),
        (_header(first=0x27), "bit depth 15"),
        (_header(second=0x50), "colour space 5"),
        (_header(rest=b"\x00\x08\x00"), "sides"),
        (_header(rest=b"\x08\x00\x00"), "sides"),
        (_header(rest=b"\x8f\xff\xff\xff\x7f\x08\x00"), "sides"),
        (_header(rest=b"\x80\x08\x08\x00"), "shortest"),
        (_header(rest=b"\x08\x08"), "ends early"),
        (_header(second=0x08, rest=b"\x08\x08\x00\x05abc"), "extension"),
        (_header(rest=b"\x08\x08\x05\x03ab"), "truncated"),
        (_header(rest=b"\x08\x08\x05\x03abcdef"), "bytes follow"),
        (_header(), "ends early"),
        (_header(rest=b"\x08\x08\x00\x00abc"), "impossible length"),
        (_header(rest=b"\x08\x08\x00\x7fabc"), "impossible length"),
    ],
)
def test_a_wrong_header_is_refused_by_name(data: bytes, match: str) -> None:
    with pytest.raises(BitstreamError, match=match):
        container.parse(data)


@pytest.mark.parametrize(
    "hevc",
    [
        HevcHeader(3, 0, 2, 1, 0, True, None, True),
        HevcHeader(3, 4, 2, 1, 0, True, None, True),
        HevcHeader(3, 3, 3, 1, 0, True, None, True),
        HevcHeader(3, 3, 2, 4, 0, True, None, True),
        HevcHeader(3, 3, 2, 3, 5, True, None, True),
        HevcHeader(3, 3, 2, 3, 1, True, Pcm(9, 8, 3, 0, False), True),
        HevcHeader(3, 3, 2, 3, 1, True, Pcm(8, 8, 3, 3, False), True),
        HevcHeader(3, 3, 2, 3, 1, True, None, True, (False,) * 4 + (True,) + (False,) * 4),
        HevcHeader(60, 3, 2, 3, 1, True, None, True),
    ],
)
def test_an_impossible_hevc_header_is_refused(hevc: HevcHeader) -> None:
    data = container.write(BpgFile(BpgHeader(8, 8, PixelFormat.YUV420), hevc, b"x"))
    with pytest.raises(BitstreamError, match="HEVC header"):
        container.parse(data)


def test_a_length_of_zero_reaches_to_the_end(make_frame) -> None:
    codec = BpgConfig().build()
    frame = make_frame(40, 56)
    data = codec.encode(frame, 30)
    _, at, length = container.parse_header(data)
    assert at + length == len(data)
    open_ended = data[: at - 2] + b"\0" + data[at:]
    assert (codec.decode(open_ended, 10_000) == codec.decode(data, 10_000)).all()


PPS = nal.build(NalType.PPS, b"\xc0")
SLICE = nal.build(NalType.IDR_N_LP, b"\x80\x01")
NEXT_SLICE = nal.build(NalType.IDR_N_LP, b"\x20\x01")


def test_sei_and_delimiters_are_dropped() -> None:
    sei = nal.build(NalType.SUFFIX_SEI, b"\x84\x80")
    aud = nal.build(NalType.AUD, b"\x50")
    picture = START_CODE.join([aud, PPS, sei, SLICE, NEXT_SLICE, sei])
    assert nal.split(nal.check_picture(picture)) == [PPS, SLICE, NEXT_SLICE]


@pytest.mark.parametrize(
    "units",
    [
        [],
        [PPS],
        [SLICE],
        [SLICE, PPS],
        [PPS, SLICE, PPS, NEXT_SLICE],
        [PPS, NEXT_SLICE],
        [PPS, SLICE, SLICE],
        [nal.build(NalType.SPS, b"\x80\x80"), PPS, SLICE],
        [nal.build(NalType.VPS, b"\x80\x80"), PPS, SLICE],
        [PPS, SLICE, nal.build(NalType.SPS, b"\x80\x80")],
        [PPS, b"\x02\x01\xd0\x80"],
        [PPS, b"\xa8\x01\xd0\x80"],
        [PPS, SLICE, b"\x28"],
        [b"", PPS, SLICE],
        [PPS] * 65 + [SLICE],
        [PPS, SLICE] + [NEXT_SLICE] * 16,
        [PPS, SLICE] + [nal.build(NalType.SUFFIX_SEI, b"\x80\x80")] * 200,
        [PPS, SLICE[:1] + b"\x09" + SLICE[2:]],
    ],
)
def test_what_is_no_single_picture_is_refused(units: list[bytes]) -> None:
    with pytest.raises(BitstreamError):
        nal.check_picture(START_CODE.join(units))
