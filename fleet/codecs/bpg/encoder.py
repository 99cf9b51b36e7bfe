"""HEVC encoding of one picture through PyAV's libx265, and its stripping for a BPG file."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from fleet.codecs.base import Chroma, Frame
from fleet.codecs.bpg import colour, nal, parameter_sets
from fleet.codecs.bpg.container import BpgFile, BpgHeader, HevcHeader, PixelFormat
from fleet.codecs.bpg.nal import NalType
from fleet.errors import BitstreamError

Preset = Literal[
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
]
Tune = Literal["psnr", "ssim"]

_X265_PARAMS = (
    # One thread a picture (two never help one intra picture, and the result is the same anywhere);
    # one key picture, so no lookahead; no NAL units but parameter sets and slices; any size, for
    # BPG knows no levels, and libx265 otherwise keeps to those of video.
    "pools=none:frame-threads=1:no-wpp=1:slices=1:keyint=1:bframes=0:rc-lookahead=0:"
    "no-scenecut=1:info=0:aud=0:hrd=0:hash=0:repeat-headers=1:annexb=1:allow-non-conformance=1:log-level=none"
)
_MIN_SIDE = 16
"""libx265 refuses pictures smaller than a coding tree block, and those are at least 16."""


def coded_block(width: int, height: int, preset: Preset) -> int:
    """Side of the minimum coding block that a picture is encoded with: 8 or 16 luma samples.

    16 where the preset has it, and for pictures so small that padding to 8 would leave less than
    libx265 takes.
    """
    small = min(width, height) <= _MIN_SIDE - 8
    return 16 if preset == "ultrafast" or small else 8


def to_picture(frame: Frame, chroma: Chroma, block: int) -> Any:
    """The PyAV video frame of an RGB frame, its edges replicated up to whole blocks.

    Args:
        frame: (H, W, 3) uint8.
        chroma: "420" or "444".
        block: side of the minimum coding block in luma samples.
    """
    height, width, _ = frame.shape
    pad = -height % block, -width % block
    if any(pad):
        frame = np.pad(frame, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="edge")
    picture: Any = av.VideoFrame(frame.shape[1], frame.shape[0], f"yuv{chroma}p")
    planes: list[NDArray[np.uint8]] = []
    for plane in picture.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, -1)
        planes.append(rows[:, : plane.width])
    colour.to_ycbcr(frame, planes, chroma == "420")
    return picture


def encode_picture(picture: Any, qp: int, preset: Preset, tune: Tune, block: int) -> bytes:
    """libx265's byte stream of one picture: VPS, SPS, PPS and one IDR slice.

    Args:
        picture: PyAV video frame of an 8-bit 4:2:0 or 4:4:4 format, in whole blocks.
        qp: what libx265 is asked for, 0–51.
        preset, tune: libx265's.
        block: side of the minimum coding block in luma samples.
    """
    context = av.CodecContext.create("libx265", "w")
    context.width, context.height = picture.width, picture.height
    context.pix_fmt = picture.format.name
    context.time_base = Fraction(1, 25)
    context.thread_count = 1
    context.options = {
        "preset": preset,
        "tune": tune,
        "x265-params": f"{_X265_PARAMS}:min-cu-size={block}:qp={qp}",
    }
    packets = [*context.encode(picture), *context.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


def strip(stream: bytes, width: int, height: int) -> BpgFile:
    """Takes libx265's byte stream apart into what a BPG file carries.

    Args:
        stream: the byte stream of one full-range BT.601 picture.
        width, height: of the frame in pixels; the coded picture is larger by its padding.

    Raises:
        BitstreamError: the stream has something that a BPG reader would not know of.
    """
    units = nal.split(stream)
    kinds = [nal.nal_type(unit) for unit in units]
    if kinds.count(NalType.SPS) != 1:
        raise BitstreamError(f"libx265 wrote NAL units of types {kinds}")
    sps = parameter_sets.parse_sps(units[kinds.index(NalType.SPS)])
    dropped = (NalType.VPS, NalType.SPS, NalType.AUD, NalType.PREFIX_SEI, NalType.SUFFIX_SEI)
    kept = [unit for unit, kind in zip(units, kinds, strict=True) if kind not in dropped]
    header = BpgHeader(width, height, PixelFormat(sps.chroma_format_idc), sps.bit_depth)
    _check(sps, header, sps.hevc)
    picture = nal.START_CODE.join(kept)
    nal.check_picture(picture)
    return BpgFile(header, sps.hevc, picture)


def _check(sps: parameter_sets.Sps, header: BpgHeader, hevc: HevcHeader) -> None:
    """Raises BitstreamError unless a reader rebuilds this SPS from the file's headers."""
    size = hevc.coded_size(header.width, header.height)
    same = (
        (sps.width, sps.height) == size
        and not sps.cropped
        and sps.bit_depth == sps.bit_depth_chroma
    )
    if not same:
        raise BitstreamError(
            f"libx265 wrote a picture of {sps.width}×{sps.height} samples"
            f" where a BPG reader expects {size[0]}×{size[1]}"
        )
    hevc.check(header.bit_depth)
