"""HEVC parameter sets: rebuilt for decoding a BPG file, taken apart for writing one."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.codecs.bpg.bits import BitReader, BitWriter, unescape
from fleet.codecs.bpg.container import (
    BpgHeader,
    HevcHeader,
    Pcm,
    write_pcm,
    write_range_extension,
)
from fleet.codecs.bpg.nal import START_CODE, NalType, build
from fleet.errors import BitstreamError

_RANGE_EXTENSIONS_PROFILE = 4
_LEVEL_8_5 = 255
"""Level "8.5": no limit; a still picture has no level to keep."""


@dataclass(frozen=True)
class Sps:
    """What an SPS says of a picture (HEVC clause 7.4.3.2).

    Attributes:
        chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4.
        width, height: of the coded picture in luma samples, before any cropping.
        cropped: whether there is a conformance window.
        bit_depth: of the luma samples, in bits.
        bit_depth_chroma: of the chroma samples, in bits.
        hevc: the fields that a BPG file carries.
    """

    chroma_format_idc: int
    width: int
    height: int
    cropped: bool
    bit_depth: int
    bit_depth_chroma: int
    hevc: HevcHeader


def rebuild(header: BpgHeader, hevc: HevcHeader) -> bytes:
    """The VPS and the SPS that a BPG file leaves out, as a byte stream with start codes.

    The values that the file does not carry are those of the BPG specification's section 4.
    """
    vps = BitWriter()
    vps.u(4, 0)  # id
    vps.u(2, 3)  # base layer internal, available
    vps.u(6, 0)  # layers − 1
    vps.u(3, 0)  # sub-layers − 1
    vps.u(1, 1)  # temporal id nesting
    vps.u(16, 0xFFFF)
    _write_profile(vps)
    _write_ordering(vps)
    vps.u(6, 0)  # largest layer id
    vps.ue(0)  # layer sets − 1
    vps.u(2, 0)  # no timing, no extension
    vps.trailing()

    sps = BitWriter()
    sps.u(4, 0)  # VPS id
    sps.u(3, 0)  # sub-layers − 1
    sps.u(1, 1)  # temporal id nesting
    _write_profile(sps)
    sps.ue(0)  # id
    chroma = header.pixel_format.chroma_format_idc
    sps.ue(chroma)
    if chroma == 3:
        sps.u(1, 0)  # no separate colour planes
    width, height = hevc.coded_size(header.width, header.height)
    sps.ue(width)
    sps.ue(height)
    sps.u(1, 0)  # no conformance window: the BPG header crops
    sps.ue(header.bit_depth - 8)
    sps.ue(header.bit_depth - 8)
    sps.ue(4)  # picture order count in 8 bits
    _write_ordering(sps)
    sps.ue(hevc.log2_min_cb - 3)
    sps.ue(hevc.log2_diff_cb)
    sps.ue(hevc.log2_min_tb - 2)
    sps.ue(hevc.log2_diff_tb)
    sps.ue(hevc.max_depth_intra)  # inter, which no IDR picture uses
    sps.ue(hevc.max_depth_intra)
    sps.u(1, 0)  # no scaling lists
    sps.u(1, 1)  # asymmetric motion partitions
    sps.flag(hevc.sao)
    write_pcm(sps, hevc.pcm)
    sps.ue(0)  # no short-term reference picture sets
    sps.u(1, 0)  # no long-term reference pictures
    sps.u(1, 1)  # temporal motion vector prediction
    sps.flag(hevc.strong_intra_smoothing)
    sps.u(1, 0)  # no VUI
    write_range_extension(sps, hevc.range_extension)
    sps.trailing()
    units = build(NalType.VPS, vps.bytes()), build(NalType.SPS, sps.bytes())
    return b"".join(b"\0" + START_CODE + unit for unit in units)


def parse_sps(nal: bytes) -> Sps:
    """Reads an SPS NAL unit (HEVC clause 7.3.2.2.1) of one sub-layer, as still encoders write it.

    Raises BitstreamError where it is damaged, where a field that a BPG file cannot carry differs
    from what a BPG reader assumes and matters to an IDR picture (id, separate colour planes,
    scaling lists, other extensions), and where it has parts that no intra encoder needs
    (sub-layers, reference picture sets that depend on each other, HRD).
    """
    bits = BitReader(unescape(nal[2:]), "the SPS")
    bits.u(4)
    if bits.u(3):
        raise BitstreamError("the SPS has several sub-layers")
    bits.u(1 + 88 + 8)  # nesting, profile and level
    plain = bits.ue() == 0
    chroma = bits.ue()
    if chroma == 3:
        plain &= not bits.flag()
    width, height = bits.ue(), bits.ue()
    cropped = bits.flag()
    if cropped:
        for _ in range(4):
            bits.ue()
    depth, depth_chroma = bits.ue() + 8, bits.ue() + 8
    poc_bits = bits.ue() + 4
    bits.u(1)
    for _ in range(3):
        bits.ue()
    min_cb, diff_cb, min_tb, diff_tb = (bits.ue() for _ in range(4))
    bits.ue()  # hierarchy depth inter
    depth_intra = bits.ue()
    plain &= not bits.flag()  # scaling lists
    if not plain:
        raise BitstreamError("the SPS has an id, colour planes or scaling lists of its own")
    bits.u(1)  # asymmetric motion partitions
    sao = bits.flag()
    pcm = None
    if bits.flag():
        pcm = Pcm(bits.u(4) + 1, bits.u(4) + 1, bits.ue() + 3, bits.ue(), bits.flag())
    _skip_reference_sets(bits, poc_bits)
    bits.u(1)  # temporal motion vector prediction
    smoothing = bits.flag()
    if bits.flag():
        _skip_vui(bits)
    flags = None
    if bits.flag():
        has_range = bits.flag()
        if bits.u(7):
            raise BitstreamError("the SPS has an extension that BPG does not know")
        if has_range:
            flags = tuple(bits.flag() for _ in range(9))
    blocks = min_cb + 3, diff_cb, min_tb + 2, diff_tb
    hevc = HevcHeader(*blocks, depth_intra, sao, pcm, smoothing, flags)
    return Sps(chroma, width, height, cropped, depth, depth_chroma, hevc)


def _write_profile(bits: BitWriter) -> None:
    """profile_tier_level (HEVC clause 7.3.3) of the range-extension profiles."""
    bits.u(2 + 1, 0)
    bits.u(5, _RANGE_EXTENSIONS_PROFILE)
    bits.u(32, 1 << (31 - _RANGE_EXTENSIONS_PROFILE))  # compatibility
    bits.u(4, 0b1001)  # progressive, frames only
    bits.u(44, 0)
    bits.u(8, _LEVEL_8_5)


def _write_ordering(bits: BitWriter) -> None:
    """Sub-layer ordering: a buffer of one picture, no reordering, no latency limit."""
    bits.u(1, 1)
    for _ in range(3):
        bits.ue(0)


def _skip_reference_sets(bits: BitReader, poc_bits: int) -> None:
    """Short- and long-term reference pictures (HEVC clauses 7.3.7 and 7.3.2.2.1)."""
    for index in range(bits.ue()):
        if index and bits.flag():
            raise BitstreamError("the SPS has reference sets that depend on each other")
        for _ in range(bits.ue() + bits.ue()):
            bits.ue()
            bits.u(1)
    if bits.flag():
        for _ in range(bits.ue()):
            bits.u(poc_bits + 1)


def _skip_vui(bits: BitReader) -> None:
    """vui_parameters without HRD (HEVC clause E.2.1)."""
    if bits.flag() and bits.u(8) == 255:  # aspect ratio
        bits.u(32)
    if bits.flag():  # overscan
        bits.u(1)
    if bits.flag():  # video signal type, colour description
        bits.u(4)
        if bits.flag():
            bits.u(24)
    if bits.flag():  # chroma location
        bits.ue()
        bits.ue()
    bits.u(3)
    if bits.flag():  # default display window
        for _ in range(4):
            bits.ue()
    if bits.flag():  # timing
        bits.u(64)
        if bits.flag():
            bits.ue()
        if bits.flag():
            raise BitstreamError("the SPS has HRD parameters")
    if bits.flag():  # bitstream restriction
        bits.u(3)
        for _ in range(5):
            bits.ue()
