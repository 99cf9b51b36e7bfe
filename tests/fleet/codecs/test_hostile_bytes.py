"""Damaged and foreign bytes: refused by name or decoded to a picture of the declared size."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from fleet.codecs import Codec, codec_config
from fleet.codecs.bpg import container, encoder, nal, parameter_sets
from fleet.errors import BitstreamError

MUTATIONS = 500
MAX_PIXELS = 100_000
CASES = [
    ("bpg", {"preset": "superfast"}, 20),
    ("bpg", {"chroma": "444", "preset": "ultrafast"}, 36),
    ("jpeg", {}, 60),
    ("jpeg", {"progressive": True}, 30),
    ("webp", {}, 50),
    ("avif", {"speed": 9}, 60),
    ("lossless", {}, 0),
]


def damage(bitstream: bytes, rng: np.random.Generator) -> bytes:
    """One random damage: flipped bit, wrong bytes, cut, zeroed run, foreign tail, doubled part."""
    data = bytearray(bitstream)
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 40))
    match rng.integers(7):
        case 0:
            data[at] ^= 1 << int(rng.integers(8))
        case 1:
            for i in rng.integers(len(data), size=length):
                data[i] = int(rng.integers(256))
        case 2:
            del data[at:]
        case 3:
            data[at : at + length] = bytes(len(data[at : at + length]))
        case 4:
            data[at:] = rng.bytes(length)
        case 5:
            data[at:at] = data[at : at + length]
        case 6:  # the headers, where a flip does the most
            data[int(rng.integers(min(40, len(data))))] ^= 1 << int(rng.integers(8))
    return bytes(data)


def outcome(codec: Codec, data: bytes) -> np.ndarray | str:
    """The picture, or the line of refusal. Anything else that is raised fails the test."""
    try:
        decoded = codec.decode(data, MAX_PIXELS)
    except BitstreamError as error:
        return str(error)
    header = codec.probe(data)
    assert decoded.shape == (header.height, header.width, 3)
    assert decoded.dtype == np.uint8
    return decoded


@pytest.mark.parametrize(("name", "settings", "quality"), CASES)
def test_damage_never_does_more_than_be_refused(make_frame, name, settings, quality) -> None:
    codec = codec_config(name, **settings).build()
    frame = make_frame(40, 56)
    bitstream = codec.encode(frame, quality)
    rng = np.random.default_rng([*name.encode(), quality])
    refused = 0
    for _ in range(MUTATIONS):
        data = damage(bitstream, rng)
        start = time.perf_counter()
        first = outcome(codec, data)
        assert time.perf_counter() - start < 10
        if isinstance(first, str):
            assert first.strip()
            assert "\n" not in first
            assert " at 0x" not in first
            refused += 1
        np.testing.assert_array_equal(outcome(codec, data), first)
    assert refused > MUTATIONS / 4


@pytest.mark.parametrize(("name", "settings", "quality"), CASES)
def test_every_truncation_is_found(make_frame, name, settings, quality) -> None:
    codec = codec_config(name, **settings).build()
    bitstream = codec.encode(make_frame(24, 24), quality)
    for end in range(len(bitstream)):
        with pytest.raises(BitstreamError):
            codec.decode(bitstream[:end], MAX_PIXELS)


@pytest.mark.parametrize("name", ["bpg", "webp", "lossless", "avif", "jpeg"])
def test_foreign_bytes_are_refused(name) -> None:
    codec = codec_config(name).build()
    rng = np.random.default_rng(7)
    head = codec.encode(np.zeros((16, 16, 3), np.uint8), codec.scale.coarsest)
    for size in (0, 1, 4, 12, 40, 1000):
        for start in (b"", head[:4], head[:8], head[:16]):
            for tail in (rng.bytes(size), bytes(size)):
                if start + tail == head[: len(start + tail)] and len(start + tail) >= len(head):
                    continue
                with pytest.raises(BitstreamError):
                    codec.decode(start + tail, MAX_PIXELS)


def test_a_bpg_file_with_an_sps_inside_is_refused(make_frame) -> None:
    codec = codec_config("bpg", preset="superfast").build()
    file = container.parse(codec.encode(make_frame(64, 64), 30))
    huge = parameter_sets.rebuild(replace(file.header, width=8192, height=8192), file.hevc)
    for picture in (
        nal.START_CODE.join([*nal.split(huge), file.picture]),
        file.picture + huge,
    ):
        with pytest.raises(BitstreamError, match=r"NAL unit of type 3[23]"):
            codec.decode(container.write(replace(file, picture=picture)), MAX_PIXELS)


def test_zeroed_bpg_payloads_are_refused_or_of_the_declared_size(make_frame) -> None:
    codec = codec_config("bpg", preset="superfast").build()
    bitstream = codec.encode(make_frame(64, 64), 20)
    for start in range(10, len(bitstream), 7):
        outcome(codec, bitstream[:start] + bytes(len(bitstream) - start))


def test_a_bpg_file_that_lost_a_slice_is_refused(make_frame, monkeypatch) -> None:
    params = encoder._X265_PARAMS
    for old, new in (("slices=1", "slices=2"), ("no-wpp=1", "wpp=1"), ("pools=none", "pools=2")):
        params = params.replace(old, new)
    monkeypatch.setattr(encoder, "_X265_PARAMS", params)
    codec = codec_config("bpg", preset="superfast").build()
    frame = make_frame(256, 128)
    bitstream = codec.encode(frame, 20)
    file = container.parse(bitstream)
    pps, first, second = nal.split(file.picture)
    assert codec.decode(bitstream, MAX_PIXELS).shape == frame.shape
    lost = container.write(replace(file, picture=nal.START_CODE.join([pps, first])))
    with pytest.raises(BitstreamError, match="last block is missing"):
        codec.decode(lost, MAX_PIXELS)
    lost = container.write(replace(file, picture=nal.START_CODE.join([pps, second])))
    with pytest.raises(BitstreamError, match="first slice is missing"):
        codec.decode(lost, MAX_PIXELS)
