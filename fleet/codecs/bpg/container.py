"""The BPG file: its header and the HEVC header in it (BPG specification, section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from fleet.codecs.bpg.bits import BitReader, BitWriter, read_ue7, write_ue7
from fleet.errors import BitstreamError

MAGIC = b"BPG\xfb"

MAX_SIDE = 16_384
"""Largest width and height read and written, in pixels. HEVC's highest level (6.2) allows 16,888;
with the largest coding block of 64, a side this long is padded by little, whatever the area."""

_MAX_HEVC_HEADER = 64
"""Bytes. The longest possible HEVC header is shorter."""


class PixelFormat(IntEnum):
    """Chroma resolution and siting. JPEG: centred between the luma samples; MPEG-2: on the left."""

    GREY = 0
    YUV420 = 1
    YUV422 = 2
    YUV444 = 3
    YUV420_MPEG2 = 4
    YUV422_MPEG2 = 5

    @property
    def chroma_format_idc(self) -> int:
        """HEVC's chroma_format_idc: 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4."""
        return self - 3 if self > 3 else int(self)


class ColourSpace(IntEnum):
    """What the components are; RGB is stored in the order G, B, R, YCgCo as Y, Cg, Co."""

    YCBCR_BT601 = 0
    RGB = 1
    YCGCO = 2
    YCBCR_BT709 = 3
    YCBCR_BT2020 = 4


@dataclass(frozen=True)
class BpgHeader:
    """What the file header says of the picture.

    Attributes:
        width, height: in pixels, ≥ 1.
        pixel_format: chroma resolution and siting.
        bit_depth: bits per sample, 8–14.
        colour_space: what the components are.
        limited_range: video range instead of the full range.
    """

    width: int
    height: int
    pixel_format: PixelFormat
    bit_depth: int = 8
    colour_space: ColourSpace = ColourSpace.YCBCR_BT601
    limited_range: bool = False


@dataclass(frozen=True)
class Pcm:
    """The SPS fields of PCM coding (HEVC clause 7.4.3.2): depths in bits, block sizes as log2."""

    luma_depth: int
    chroma_depth: int
    log2_min_size: int
    log2_diff: int
    loop_filter_disabled: bool


@dataclass(frozen=True)
class HevcHeader:
    """The SPS fields that a BPG file carries (HEVC clause 7.4.3.2); sizes are log2 of samples.

    `range_extension` holds the nine flags of sps_range_extension in their order, or None.
    """

    log2_min_cb: int
    log2_diff_cb: int
    log2_min_tb: int
    log2_diff_tb: int
    max_depth_intra: int
    sao: bool
    pcm: Pcm | None
    strong_intra_smoothing: bool
    range_extension: tuple[bool, ...] | None = None

    def coded_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the coded picture: rounded up to whole minimum coding blocks."""
        mask = (1 << self.log2_min_cb) - 1
        return (width + mask) & ~mask, (height + mask) & ~mask

    def check(self, bit_depth: int) -> None:
        """Raises BitstreamError unless the fields obey HEVC clause 7.4.3.2 and can be decoded."""
        log2_ctb = self.log2_min_cb + self.log2_diff_cb
        log2_max_tb = self.log2_min_tb + self.log2_diff_tb
        sizes = (
            4 <= log2_ctb <= 6
            and self.log2_min_tb < self.log2_min_cb
            and log2_max_tb <= min(log2_ctb, 5)
            and self.max_depth_intra <= log2_ctb - self.log2_min_tb
        )
        if not sizes:
            raise BitstreamError("the HEVC header has block sizes that HEVC does not allow")
        if self.pcm is not None:
            p = self.pcm
            depths = max(p.luma_depth, p.chroma_depth) <= bit_depth
            if not depths or p.log2_min_size + p.log2_diff > min(log2_ctb, 5):
                raise BitstreamError("the HEVC header has PCM fields that HEVC does not allow")
        # Flags 4 and 8: extended_precision_processing and cabac_bypass_alignment change how every
        # coefficient is read, are used by no 8-to-12-bit profile and not known to the decoder.
        if self.range_extension and (self.range_extension[4] or self.range_extension[8]):
            raise BitstreamError("the HEVC header asks for a 16-bit profile's range extension")


@dataclass(frozen=True)
class BpgFile:
    """A file taken apart: `picture` is the NAL units, without a first start code."""

    header: BpgHeader
    hevc: HevcHeader
    picture: bytes


def parse_header(data: bytes) -> tuple[BpgHeader, int, int]:
    """Reads the file header.

    Returns:
        The header, the index of the picture data's first byte, and the picture data's length as
        the file has it, in bytes (0: up to the end of the file).

    Raises:
        BitstreamError: not a BPG file, or one with alpha or animation, or a damaged header.
    """
    if data[:4] != MAGIC:
        raise BitstreamError("not a BPG file" if data else "empty")
    bits = BitReader(data[4:6], "the BPG header")
    pixel_format, alpha1, depth = bits.u(3), bits.flag(), bits.u(4) + 8
    colour_space, extension, alpha2 = bits.u(4), bits.flag(), bits.flag()
    limited, animation = bits.flag(), bits.flag()
    if alpha1 or alpha2:
        raise BitstreamError("a BPG file with an alpha or CMYK plane, which is not supported")
    if animation:
        raise BitstreamError("an animated BPG file, which is not supported")
    if pixel_format > max(PixelFormat):
        raise BitstreamError(f"BPG pixel format {pixel_format} is unknown")
    if colour_space > max(ColourSpace):
        raise BitstreamError(f"BPG colour space {colour_space} is unknown")
    if depth > 14:
        raise BitstreamError(f"BPG bit depth {depth} is more than the format's 14")
    width, at = read_ue7(data, 6)
    height, at = read_ue7(data, at)
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise BitstreamError(f"declares {width}×{height} pixels; sides must be 1 to {MAX_SIDE}")
    length, at = read_ue7(data, at)
    if extension:
        extension_length, at = read_ue7(data, at)
        at += extension_length
        if at > len(data):
            raise BitstreamError("the BPG extension data reaches beyond the file's end")
    space = ColourSpace(colour_space)
    return BpgHeader(width, height, PixelFormat(pixel_format), depth, space, limited), at, length


def parse(data: bytes) -> BpgFile:
    """Takes a whole file apart; its lengths must agree with each other.

    Raises BitstreamError, also where bytes follow the picture data.
    """
    header, at, length = parse_header(data)
    end = at + length if length else len(data)
    if end != len(data):
        what = "truncated" if end > len(data) else "bytes follow the picture"
        raise BitstreamError(
            f"{what}: the header declares {end} bytes in all, there are {len(data)}"
        )
    hevc_length, at = read_ue7(data, at)
    if not 1 <= hevc_length <= min(_MAX_HEVC_HEADER, end - at):
        raise BitstreamError("the HEVC header has an impossible length")
    hevc = _parse_hevc(data[at : at + hevc_length])
    hevc.check(header.bit_depth)
    return BpgFile(header, hevc, data[at + hevc_length :])


def write(file: BpgFile, extension: bytes = b"") -> bytes:
    """The whole file, with an explicit picture data length so that a reader sees a truncation.

    `extension` is put in as the extension data where it is not empty.
    """
    h = file.header
    bits = BitWriter()
    bits.u(3, h.pixel_format)
    bits.u(1, 0)
    bits.u(4, h.bit_depth - 8)
    bits.u(4, h.colour_space)
    bits.flag(bool(extension))
    bits.u(1, 0)
    bits.flag(h.limited_range)
    bits.u(1, 0)
    hevc = _write_hevc(file.hevc)
    picture = write_ue7(len(hevc)) + hevc + file.picture
    sizes = write_ue7(h.width) + write_ue7(h.height) + write_ue7(len(picture))
    if extension:
        sizes += write_ue7(len(extension)) + extension
    return MAGIC + bits.bytes() + sizes + picture


def _parse_hevc(data: bytes) -> HevcHeader:
    bits = BitReader(data, "the HEVC header")
    min_cb, diff_cb, min_tb, diff_tb, depth = (bits.ue() for _ in range(5))
    sao, pcm = bits.flag(), None
    if bits.flag():
        luma, chroma = bits.u(4) + 1, bits.u(4) + 1
        pcm = Pcm(luma, chroma, bits.ue() + 3, bits.ue(), bits.flag())
    smoothing, flags = bits.flag(), None
    if bits.flag():
        has_range = bits.flag()
        if bits.u(7):
            raise BitstreamError("the HEVC header has an SPS extension that is unknown")
        if has_range:
            flags = tuple(bits.flag() for _ in range(9))
    if bits.remaining() >= 8 or bits.u(bits.remaining()):
        raise BitstreamError("the HEVC header is longer than its fields")
    return HevcHeader(min_cb + 3, diff_cb, min_tb + 2, diff_tb, depth, sao, pcm, smoothing, flags)


def _write_hevc(hevc: HevcHeader) -> bytes:
    bits = BitWriter()
    bits.ue(hevc.log2_min_cb - 3)
    bits.ue(hevc.log2_diff_cb)
    bits.ue(hevc.log2_min_tb - 2)
    bits.ue(hevc.log2_diff_tb)
    bits.ue(hevc.max_depth_intra)
    bits.flag(hevc.sao)
    write_pcm(bits, hevc.pcm)
    bits.flag(hevc.strong_intra_smoothing)
    write_range_extension(bits, hevc.range_extension)
    bits.align()
    return bits.bytes()


def write_pcm(bits: BitWriter, pcm: Pcm | None) -> None:
    """Appends pcm_enabled_flag and its fields, the same in the HEVC header and in an SPS."""
    bits.flag(pcm is not None)
    if pcm is not None:
        bits.u(4, pcm.luma_depth - 1)
        bits.u(4, pcm.chroma_depth - 1)
        bits.ue(pcm.log2_min_size - 3)
        bits.ue(pcm.log2_diff)
        bits.flag(pcm.loop_filter_disabled)


def write_range_extension(bits: BitWriter, flags: tuple[bool, ...] | None) -> None:
    """Appends sps_extension_present_flag and what follows, the same in both headers."""
    bits.flag(flags is not None)
    if flags is not None:
        bits.u(8, 0x80)
        for flag in flags:
            bits.flag(flag)
