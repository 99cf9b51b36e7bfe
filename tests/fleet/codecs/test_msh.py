"""The neural codec's container, its budget, and what it does with bytes that are not its own."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models import MeanScaleHyperprior
from pydantic import ValidationError

from fleet.budget import Allowance
from fleet.codecs import AnalysingCodec, MshConfig, codec_config
from fleet.codecs.msh import HEADER_BYTES
from fleet.errors import BitstreamError, InputError
from fleet.rate_control import RateControlConfig, RateController

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def codec() -> AnalysingCodec:
    return MshConfig().build()


def test_the_header_is_small_and_says_what_it_must(make_frame, codec) -> None:
    assert HEADER_BYTES <= 40
    bitstream = codec.encode(make_frame(100, 70), 4.0)
    magic, width, height, gain, weights, _, length = struct.unpack_from("<4sHHI8s8sI", bitstream)
    assert (magic, width, height, gain) == (b"MSH\x01", 70, 100, 1 << 16)
    assert weights.hex() == codec.config.digest
    assert len(bitstream) == HEADER_BYTES + length


@pytest.mark.parametrize("size", [(64, 64), (100, 70), (33, 190), (192, 384)])
def test_a_budget_is_met_and_never_exceeded(make_frame, codec, size) -> None:
    """A budget per frame: at least 98 % of it is used, with two entropy codings at most."""
    frame = make_frame(*size)
    (analysis,) = codec.analyse([frame])
    low, high = (8 * len(analysis.encode(quality)) for quality in (0.0, 8.0))
    controller = RateController(RateControlConfig(), codec.scale, 1)
    for limit in np.linspace(low * 1.05, high * 0.95, 12).astype(int).tolist():
        made: list[int] = []

        def encode(quality: float, made: list[int] = made) -> int:
            made.append(8 * len(analysis.encode(quality)))
            return made[-1]

        allowance = Allowance(limit, limit)
        choice = controller.choose(0, frame.size // 3, allowance, encode, analysis.bits)
        assert choice.bits == made[-1] <= limit
        assert len(made) == choice.encodes <= 2
        # Payloads are whole 32-bit words, and estimates up to one too high: tiny budgets feel it.
        assert choice.bits >= 0.98 * limit - (96 if limit < 6000 else 0)


def test_bounds_of_the_budget(make_frame, codec) -> None:
    (analysis,) = codec.analyse([make_frame(64, 64)])
    controller = RateController(RateControlConfig(), codec.scale, 1)

    def encode(quality: float) -> int:
        return 8 * len(analysis.encode(quality))

    none = controller.choose(0, 4096, Allowance(encode(0.0) - 200, 100), encode, analysis.bits)
    assert (none.quality, none.bits, none.encodes) == (None, 0, 0)
    finest = controller.choose(0, 4096, Allowance(10**9, 10**9), encode, analysis.bits)
    assert (finest.quality, finest.encodes) == (8.0, 1)
    # Below the aim nothing is to be had, but the limit has room.
    coarsest = controller.choose(0, 4096, Allowance(encode(0.0) + 32, 50), encode, analysis.bits)
    assert coarsest.quality == 0.0


def test_together_they_are_coded_as_alone_to_the_bit(make_frame, codec) -> None:
    """On a CPU: a batch of four, two threads, without oneDNN."""
    frames = [make_frame(64, 96, seed) for seed in range(4)]
    threaded = codec_config("msh", threads=2).build()
    together, by_threads = codec.analyse(frames), threaded.analyse(frames)
    for frame, one, other in zip(frames, together, by_threads, strict=True):
        alone = codec.encode(frame, 3.0)
        assert one.encode(3.0) == other.encode(3.0) == alone
        assert np.array_equal(codec.decode(alone, 64 * 96), threaded.decode(alone, 64 * 96))


def test_bf16_transforms_serve_and_are_read_by_others(make_frame, codec) -> None:
    frame = make_frame(100, 70)
    half = codec_config("msh", precision="bf16").build()
    bitstream = half.encode(frame, 4.0)
    pictures = [one.decode(bitstream, 7000).astype(int) for one in (half, codec)]
    assert np.abs(pictures[0] - pictures[1]).mean() < 2
    assert len(bitstream) == pytest.approx(len(codec.encode(frame, 4.0)), rel=0.05)


def test_published_weights_are_known_by_their_name(make_frame, monkeypatch) -> None:
    """What CompressAI would download is stood in for by a network of its, with random weights."""
    asked = []

    def published(quality: int, metric: str, pretrained: bool) -> MeanScaleHyperprior:
        asked.append((quality, metric, pretrained))
        torch.manual_seed(quality)
        return MeanScaleHyperprior(16, 24)

    monkeypatch.setattr("models.msh.export.mbt2018_mean", published)
    frame = make_frame(64, 64)
    mean = codec_config("msh", weights="zoo:mbt2018-mean:q3")
    similar = codec_config("msh", weights="zoo:mbt2018-mean:ms-ssim:q5")
    assert asked == [(3, "mse", True), (5, "ms-ssim", True)]
    assert mean.digest != similar.digest
    bitstream = mean.build().encode(frame, 4.0)
    assert mean.build().decode(bitstream, 4096).shape == frame.shape
    with pytest.raises(BitstreamError, match=rf"weights {mean.digest}"):
        similar.build().decode(bitstream, 4096)

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("models.msh.export.mbt2018_mean", unreachable)
    with pytest.raises(
        InputError, match=r"zoo:mbt2018-mean:q7 cannot be downloaded \(no network\)"
    ):
        codec_config("msh", weights="zoo:mbt2018-mean:q7")


@pytest.mark.parametrize("shape", [(0, 64, 3), (64, 0, 3), (1, 16_385, 3), (16_385, 1, 3)])
def test_a_frame_of_a_size_that_cannot_be_held_is_named(codec, shape) -> None:
    with pytest.raises(ValueError, match=r"msh takes sides of 1 to 16384"):
        codec.encode(np.zeros(shape, np.uint8), 4.0)


MUTATIONS = 10_000


def test_no_mutation_crashes_it_or_gets_a_wrong_picture(make_frame, codec) -> None:
    frame = make_frame(64, 64)
    bitstream = codec.encode(frame, 5.0)
    picture = codec.decode(bitstream, 64 * 64)
    rng = np.random.default_rng(0)
    for number in range(MUTATIONS):
        bad = bytearray(bitstream)
        match number % 5:
            case 0:  # bits
                for place in rng.integers(0, len(bad), rng.integers(1, 5)):
                    bad[place] ^= 1 << int(rng.integers(0, 8))
            case 1:  # truncated
                bad = bad[: rng.integers(0, len(bad))]
            case 2:  # a stretch of zeros
                start, count = rng.integers(0, len(bad)), rng.integers(1, 40)
                bad[start : start + count] = bytes(len(bad[start : start + count]))
            case 3:  # more than there was
                bad += rng.bytes(int(rng.integers(1, 50)))
            case 4:  # random bytes
                start, count = rng.integers(0, len(bad)), rng.integers(1, 40)
                bad[start : start + count] = rng.bytes(len(bad[start : start + count]))
        if bytes(bad) == bitstream:
            continue
        with pytest.raises(BitstreamError):
            codec.decode(bytes(bad), 64 * 64)
    np.testing.assert_array_equal(codec.decode(bitstream, 64 * 64), picture)


def resealed(bitstream: bytearray) -> bytes:
    """With a checksum that is right again: damage by someone who knows the format."""
    body = bytes(bitstream[:32]) + bytes(bitstream[36:])
    bitstream[32:36] = struct.pack("<I", zlib.crc32(body))
    return bytes(bitstream)


def test_damage_under_a_right_checksum_is_found_too(make_frame, codec) -> None:
    bitstream = codec.encode(make_frame(64, 64), 5.0)
    rng = np.random.default_rng(1)
    for _ in range(300):
        bad = bytearray(bitstream)
        place = int(rng.integers(4, len(bad)))
        bad[place] ^= 1 << int(rng.integers(0, 8))
        sealed = resealed(bad)
        if sealed != bitstream:
            with pytest.raises(BitstreamError):
                codec.decode(sealed, 1 << 20)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b"", "not an msh file"),
        (lambda b: b[:20], "truncated"),
        (lambda b: b"GIF89a" + b, "not an msh file"),
        (lambda b: b[:3] + b"\x02" + b[4:], "version 2"),
        (lambda b: b + b"x", "declares a payload"),
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), "checksum"),
        (lambda b: resealed(bytearray(b[:4] + b"\0\0" + b[6:])), "sides are"),
        (lambda b: resealed(bytearray(b[:8] + bytes(4) + b[12:])), "gain"),
        (lambda b: resealed(bytearray(b[:12] + bytes(8) + b[20:])), "weights 0000000000000000"),
        (lambda b: resealed(bytearray(b[:4] + b"\xff\x3f" + b[6:])), "more than the"),
    ],
)
def test_each_kind_of_damage_is_named(make_frame, codec, change, says) -> None:
    bitstream = codec.encode(make_frame(64, 64), 4.0)
    with pytest.raises(BitstreamError, match=says):
        codec.decode(change(bitstream), 64 * 64)


def test_weights_that_cannot_be_had_are_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"nowhere is neither a file nor one of .*small"):
        codec_config("msh", weights="nowhere")
    other = tmp_path / "w.safetensors"
    other.write_bytes(b"")
    with pytest.raises(InputError, match=r"w\.safetensors: not a safetensors file"):
        codec_config("msh", weights=str(other))
    with pytest.raises(InputError, match="has digest"):
        codec_config("msh", digest="0" * 16)
    with pytest.raises(InputError, match=r"must be zoo:mbt2018-mean:q1"):
        codec_config("msh", weights="zoo:mbt2018-mean:q9")


def test_a_config_names_the_weights_it_was_made_with() -> None:
    config = MshConfig()
    assert config.digest is not None
    assert MshConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError):
        MshConfig(threads=0)


def test_the_shipped_weights_are_small() -> None:
    files = list((ROOT / "models" / "msh" / "shipped").glob("*.safetensors"))
    assert files
    assert sum(file.stat().st_size for file in files) <= 16 << 20
