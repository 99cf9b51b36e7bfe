"""NAL units: taking a byte stream apart and checking those of a BPG picture."""

from __future__ import annotations

from enum import IntEnum

from fleet.codecs.bpg.bits import BitWriter, escape
from fleet.errors import BitstreamError

START_CODE = b"\0\0\1"

_MAX_PPS = 64
"""HEVC has 64 PPS ids. The decoder builds tables of the picture's size for each one it reads."""

_MAX_SLICES = 16
"""Encoders of BPG files write one slice. The decoder does not mind if every slice covers the whole
picture, so their number bounds the time that a hostile file can take."""


class NalType(IntEnum):
    """nal_unit_type of the units that matter here (HEVC table 7-1)."""

    IDR_W_RADL = 19
    IDR_N_LP = 20
    VPS = 32
    SPS = 33
    PPS = 34
    AUD = 35
    PREFIX_SEI = 39
    SUFFIX_SEI = 40


IDR = (NalType.IDR_W_RADL, NalType.IDR_N_LP)


def nal_type(nal: bytes) -> int:
    """nal_unit_type of a unit of at least one byte."""
    return nal[0] >> 1 & 0x3F


def split(stream: bytes) -> list[bytes]:
    """The NAL units between the start codes of a byte stream (HEVC annex B), headers included.

    What precedes the first start code is the first unit, where it is not empty. Zero bytes
    before a start code belong to the start code.
    """
    units = [unit.rstrip(b"\0") for unit in stream.split(START_CODE)]
    return units if units[0] else units[1:]


def build(kind: NalType, rbsp: bytes) -> bytes:
    """A NAL unit of layer 0 and temporal id 0."""
    head = BitWriter()
    head.u(1, 0)
    head.u(6, kind)
    head.u(6, 0)
    head.u(3, 1)
    return head.bytes() + escape(rbsp)


def check_picture(picture: bytes) -> bytes:
    """Checks that picture data holds one IDR picture and nothing that could redefine its size.

    Parameter sets other than PPS are refused, SEI and access unit delimiters dropped: they say
    nothing that a picture needs.

    Returns:
        The PPS and slice NAL units with a start code before each.

    Raises:
        BitstreamError: another kind of NAL unit, no picture, or more than one.
    """
    if picture.startswith((START_CODE, b"\0")):
        raise BitstreamError("the picture data does not begin with a NAL unit")
    kept: list[bytes] = []
    pps = slices = 0
    # One more than is allowed, so that a million start codes cost no more than the search.
    limit = _MAX_PPS + 2 * _MAX_SLICES
    if picture.count(START_CODE) > limit:
        raise BitstreamError(f"more than {limit} NAL units in one picture")
    for nal in split(picture):
        if len(nal) < 3 or nal[0] & 0x80:
            raise BitstreamError("the picture data holds a damaged NAL unit")
        kind, layer = nal_type(nal), (nal[0] & 1) << 5 | nal[1] >> 3
        if kind in (NalType.PREFIX_SEI, NalType.SUFFIX_SEI, NalType.AUD):
            continue
        if kind not in (NalType.PPS, *IDR) or layer or nal[1] & 7 != 1:
            raise BitstreamError(f"the picture data holds a NAL unit of type {kind}, layer {layer}")
        if kind == NalType.PPS:
            if slices:
                raise BitstreamError("the picture data holds a PPS after the picture's first slice")
            pps += 1
        else:
            first = bool(nal[2] & 0x80)
            if first != (slices == 0):
                what = "more than one picture" if first else "the first slice is missing"
                raise BitstreamError(f"the picture data holds no single picture: {what}")
            slices += 1
        kept.append(nal)
    if not pps or not slices or pps > _MAX_PPS or slices > _MAX_SLICES:
        raise BitstreamError(f"the picture data holds {pps} PPS and {slices} slices")
    return b"".join(b"\0" + START_CODE + nal for nal in kept)
