"""HEVC decoding of one picture through PyAV's decoder."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from fleet.codecs.bpg import nal, parameter_sets
from fleet.codecs.bpg.container import BpgFile
from fleet.errors import BitstreamError

Plane = NDArray[np.uint8] | NDArray[np.uint16]
"""Samples of one component, (height, width)."""

_DEPTHS = (8, 9, 10, 12)
"""Bit depths that the decoder knows; BPG's 11, 13 and 14 are refused by name."""

_CHROMA_NAMES = ("gray", "yuv420p", "yuv422p", "yuv444p")
"""The decoder's pixel formats by chroma_format_idc."""


def decode(file: BpgFile) -> list[Plane]:
    """The components of the coded picture, padding to whole coding blocks included.

    The caller has checked the declared size; the decoder is given a parameter set of that size and
    no other, so it allocates for no more (plus the padding, less than 64 samples a side).

    Returns:
        One (grey) or three planes; uint8 for 8 bits, else uint16.

    Raises:
        BitstreamError: damaged in a way that HEVC can tell, or of a bit depth not known.
    """
    header = file.header
    if header.bit_depth not in _DEPTHS:
        raise BitstreamError(f"BPG bit depth {header.bit_depth} is not supported")
    units = nal.check_picture(file.picture)
    stream = parameter_sets.rebuild(header, file.hevc) + units
    context = av.CodecContext.create("hevc", "r")
    context.thread_count = 1
    context.options = {"err_detect": "explode"}
    try:
        frames = [*context.decode(av.Packet(stream)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise BitstreamError(f"damaged HEVC picture ({type(error).__name__})") from error
    if len(frames) != 1 or frames[0].is_corrupt:
        raise BitstreamError("damaged HEVC picture: the decoder gave no whole picture")
    return _planes(frames[0], file)


def _planes(frame: Any, file: BpgFile) -> list[Plane]:
    """Copies the planes out of a decoded frame after checking its size and format."""
    header = file.header
    chroma = header.pixel_format.chroma_format_idc
    depth = header.bit_depth
    expected = _CHROMA_NAMES[chroma] + (f"{depth}le" if depth > 8 else "")
    width, height = file.hevc.coded_size(header.width, header.height)
    if (frame.width, frame.height, frame.format.name) != (width, height, expected):
        raise BitstreamError("damaged HEVC picture: it is not of the declared size and format")
    planes: list[Plane] = []
    dtype = np.dtype("<u2" if depth > 8 else "u1")
    for plane in frame.planes:
        rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)
        planes.append(rows[:, : plane.width].copy())
    # A slice that ends early leaves the rest of the picture as allocated, all zero, without an
    # error. In chroma that is no colour: the picture's last samples were never decoded.
    if len(planes) == 3 and header.colour_space != 1 and not any(p[-2:, -2:].any() for p in planes):
        raise BitstreamError("damaged HEVC picture: its last block is missing")
    return planes
