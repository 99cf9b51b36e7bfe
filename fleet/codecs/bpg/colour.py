"""Colour: RGB frames to component planes and back (BPG specification, section 3.2, color_space).

All arithmetic is elementwise float32 in a fixed order, without matrix products, so every machine
rounds the same way. Rows are worked on in bands that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fleet.codecs.base import Frame
from fleet.codecs.bpg.container import BpgHeader, ColourSpace, PixelFormat
from fleet.codecs.bpg.decoder import Plane

Samples = NDArray[np.float32]

_BAND = 16
"""Rows worked on at once: the fastest of 4 to 1024 at a width of 2048. Even."""

_LUMA = {
    ColourSpace.YCBCR_BT601: (0.299, 0.114),
    ColourSpace.YCBCR_BT709: (0.2126, 0.0722),
    ColourSpace.YCBCR_BT2020: (0.2627, 0.0593),
}
"""Weights of red and blue in luma."""

_QUARTER = (-1, 4, -10, 58, 17, -5, 1)
_HALF = (-1, 4, -11, 40, 40, -11, 4, -1)
"""HEVC's luma interpolation in 64ths (clause 8.5.3.3.3.1): the value a quarter, or half, of the way
from the fourth tap's sample to the fifth's. The reference decoder's pictures agree with these."""


def to_ycbcr(frame: Frame, planes: Sequence[NDArray[np.uint8]], subsampled: bool) -> None:
    """Converts RGB to full-range BT.601 YCbCr, rounded to nearest.

    Args:
        frame: (H, W, 3) uint8, RGB. H and W even if subsampled.
        planes: Y, Cb and Cr to write into: (H, W), or (H/2, W/2) for chroma if subsampled.
        subsampled: 4:2:0; each chroma sample is the mean over its 2×2 pixels (JPEG's siting).
    """
    red, blue = _LUMA[ColourSpace.YCBCR_BT601]
    share = 0.25 if subsampled else 1.0
    gains = np.float32(0.5 * share / (1 - blue)), np.float32(0.5 * share / (1 - red))
    for top in range(0, frame.shape[0], _BAND):
        band = frame[top : top + _BAND]
        r, g, b = (band[..., i].astype(np.float32) for i in range(3))
        luma = r * np.float32(red)
        g *= np.float32(1 - red - blue)
        luma += g
        np.multiply(b, np.float32(blue), out=g)
        luma += g
        np.add(luma, np.float32(0.5), out=g)
        planes[0][top : top + _BAND] = g
        rows = slice(top, top + _BAND)
        if subsampled:
            # The transform is linear: averaging first leaves a quarter of the work.
            luma, r, b = (a[0::2] + a[1::2] for a in (luma, r, b))
            luma, r, b = (a[:, 0::2] + a[:, 1::2] for a in (luma, r, b))
            rows = slice(top // 2, (top + _BAND) // 2)
        for colour, plane, gain in zip((b, r), planes[1:], gains, strict=True):
            colour -= luma
            colour *= gain
            colour += np.float32(128.5)
            # Pure blue and red reach 255.5 + 0.5.
            np.minimum(colour, np.float32(255), out=colour)
            plane[rows] = colour


def to_rgb(planes: Sequence[Plane], header: BpgHeader) -> Frame:
    """Converts decoded planes to RGB, rounded to nearest and clipped.

    Args:
        planes: one or three components of `header`'s format and depth, at least of its size; what
            reaches beyond is cropped.
        header: size, pixel format, colour space, bit depth and range.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = header.height, header.width
    full: list[Plane | Samples] = [planes[0][:height, :width]]
    full += [_upsample(plane, header) for plane in planes[1:]]
    peak = float((1 << header.bit_depth) - 1)
    middle = float(1 << (header.bit_depth - 1))
    black, gain, chroma_gain = 0.0, 255 / peak, 255 / peak
    if header.limited_range:
        unit = float(1 << (header.bit_depth - 8))
        black, gain, chroma_gain = 16 * unit, 255 / (219 * unit), 255 / (224 * unit)
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _BAND):
        rows = slice(top, top + _BAND)
        first = _scaled(full[0][rows], black, gain)
        colours: tuple[Samples, ...]
        if len(full) == 1:
            colours = (first, first, first)
        elif header.colour_space == ColourSpace.RGB:
            blue, red = (_scaled(p[rows], black, gain) for p in full[1:])
            colours = (red, first, blue)
        else:
            c1, c2 = (_scaled(p[rows], middle, chroma_gain) for p in full[1:])
            colours = _unmix(header.colour_space, first, c1, c2)
        for i, colour in enumerate(colours):
            out[rows, :, i] = np.clip(np.rint(colour), 0, 255)
    return out


def _unmix(space: ColourSpace, y: Samples, c1: Samples, c2: Samples) -> tuple[Samples, ...]:
    """Red, green and blue of a luma and two colour differences, all in units of 8 bits."""
    if space == ColourSpace.YCGCO:
        base = y - c1
        return base + c2, y + c1, base - c2
    red, blue = _LUMA[space]
    green = 1 - red - blue
    to_red, to_blue = 2 * (1 - red), 2 * (1 - blue)
    g = y - c1 * np.float32(to_blue * blue / green)
    g -= c2 * np.float32(to_red * red / green)
    return y + c2 * np.float32(to_red), g, y + c1 * np.float32(to_blue)


def _scaled(samples: NDArray[np.generic], offset: float, gain: float) -> Samples:
    out = samples.astype(np.float32)
    if offset:
        out -= np.float32(offset)
    if gain != 1:
        out *= np.float32(gain)
    return out


def _upsample(plane: Plane, header: BpgHeader) -> Plane | Samples:
    """A chroma plane at luma resolution, cropped to the picture."""
    kind = header.pixel_format
    idc = kind.chroma_format_idc
    if idc == 3:
        return plane[: header.height, : header.width]
    out = plane[:, : (header.width + 1) // 2].astype(np.float32)
    if idc == 1:
        out = _double(out[: (header.height + 1) // 2].T, on_sample=False).T
    on_sample = kind in (PixelFormat.YUV420_MPEG2, PixelFormat.YUV422_MPEG2)
    out = _double(out[: header.height], on_sample)[:, : header.width]
    # The reference rounds chroma before it converts the colours.
    np.rint(out, out=out)
    return np.clip(out, 0, (1 << header.bit_depth) - 1)


def _double(samples: Samples, on_sample: bool) -> Samples:
    """Interpolates (H, W) to (H, 2W); edges are replicated.

    With `on_sample`, even outputs lie on the samples and odd ones halfway; without, outputs lie a
    quarter of a sample to each side of every sample.
    """
    height, width = samples.shape
    padded = np.pad(samples, ((0, 0), (4, 4)), mode="edge")
    out = np.empty((height, 2 * width), np.float32)
    right = _filter(padded[:, 1:], _HALF if on_sample else _QUARTER, width)
    out[:, 0::2] = samples if on_sample else _filter(padded[:, 1:], _QUARTER[::-1], width)
    out[:, 1::2] = right
    return out


def _filter(padded: Samples, taps: tuple[int, ...], width: int) -> Samples:
    out: Samples = padded[:, :width] * np.float32(taps[0] / 64)
    for i, tap in enumerate(taps[1:], 1):
        out += padded[:, i : i + width] * np.float32(tap / 64)
    return out
