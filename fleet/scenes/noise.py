"""Textures to look up: tileable noise with mip levels, and hashes of grid cells."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]


def clamp(x: Floats, low: float, high: float) -> Floats:
    """numpy.clip at a fifth of its cost on the small arrays that most quads are."""
    return np.minimum(np.maximum(x, low), high)


Kind: TypeAlias = Literal["fractal", "speckle", "cells", "edges"]

_SIZE = 512
_CELLS = 32


@dataclass(frozen=True, slots=True)
class _Pyramid:
    """The mip levels of one periodic tile, one after the other in one flat array."""

    texels: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int32]


def _spectral(slope: float, seed: int) -> Floats:
    """Periodic noise whose amplitude falls as frequency^-slope; mean 0, deviation 1."""
    white = np.random.default_rng(seed).standard_normal((_SIZE, _SIZE))
    fy = np.fft.fftfreq(_SIZE)[:, None] * _SIZE
    fx = np.fft.rfftfreq(_SIZE)[None, :] * _SIZE
    radius = np.hypot(fx, fy)
    radius[0, 0] = 1.0
    # Below six cycles a tile the spectrum is flat: large blotches would give the period away.
    spectrum = np.fft.rfft2(white) * np.maximum(radius, 6.0) ** -slope
    spectrum[0, 0] = 0.0
    noise = np.fft.irfft2(spectrum, s=(_SIZE, _SIZE))
    return np.asarray(clamp(noise / noise.std(), -2.5, 2.5))


def _worley(seed: int) -> tuple[Floats, Floats]:
    """Distance to the nearest of jittered points, and to the border between two, in cells."""
    jitter = np.random.default_rng(seed).random((_CELLS, _CELLS, 2)) * 0.9 + 0.05
    grid = (np.arange(_SIZE, dtype=np.float32) + 0.5) * (_CELLS / _SIZE)
    cell = grid.astype(np.int64)
    nearest = np.full((_SIZE, _SIZE), 9.0)
    second = nearest.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            point = jitter[(cell + dy)[:, None] % _CELLS, (cell + dx)[None, :] % _CELLS]
            py = (cell + dy)[:, None] + point[..., 1] - grid[:, None]
            px = (cell + dx)[None, :] + point[..., 0] - grid[None, :]
            distance = np.hypot(px, py)
            second = np.minimum(second, np.maximum(nearest, distance))
            nearest = np.minimum(nearest, distance)
    return nearest, second - nearest


@lru_cache(maxsize=8)
def _pyramid(kind: Kind) -> _Pyramid:
    tile: Floats
    if kind == "fractal":
        tile = _spectral(1.15, 11)
    elif kind == "speckle":
        tile = _spectral(0.35, 12)
    elif kind == "cells":
        tile = _worley(13)[0]
    else:
        tile = _worley(14)[1]
    levels, starts, start = [], [], 0
    while True:
        levels.append(tile.astype(np.float32).ravel())
        starts.append(start)
        start += tile.size
        if tile.shape[0] == 1:
            break
        tile = tile.reshape(tile.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
    return _Pyramid(np.concatenate(levels), np.array(starts, np.int32))


def noise(
    kind: Kind, u: Floats, v: Floats, size: float, footprint: Floats | float, seed: int = 0
) -> Floats:
    """The tile of that kind at (u, v), filtered to what one pixel covers.

    `u`, `v`: [n] metres; `size`: metres a texel (a tile has 512, a cell 16 of them); `footprint`:
    metres a pixel covers. `fractal` and `speckle` have mean 0 and deviation 1 (less where they are
    filtered), `cells` is 0 at a cell's centre to about 0.8, `edges` 0 at a border between cells to
    about 1. `seed` shifts the tile. Returns float32 [n].
    """
    pyramid = _pyramid(kind)
    shift = np.float32((seed * 7919) % 509 + 0.37)
    cover = np.asarray(footprint, np.float32)
    if not u.size:
        return u
    least, most = float(cover.min()), float(cover.max())
    level: Any
    scale: Any
    if most < 1.8 * least or most < size:
        # Much the same everywhere: one level does, at half the cost.
        mean = np.log2(max(0.5 * (least + most) / size, 1e-6))
        level = np.int32(min(max(round(float(mean)), 0), len(pyramid.starts) - 1))
        scale = np.float32(2.0 ** -float(level) / size)
    else:
        level = np.rint(np.log2(np.maximum(cover * np.float32(1 / size), 1.0))).astype(np.int32)
        level = np.minimum(level, np.int32(len(pyramid.starts) - 1))
        scale = np.exp2(-level.astype(np.float32)) * np.float32(1 / size)
    width = np.right_shift(np.int32(_SIZE), level)
    wrap = width - 1
    start = pyramid.starts[level]
    texels = pyramid.texels
    x = u * scale
    y = v * scale
    x += shift
    y += shift * np.float32(1.7)
    x0, y0 = np.floor(x), np.floor(y)
    column, row = x0.astype(np.int32), y0.astype(np.int32)
    if least > size:
        # A pixel covers more than a texel everywhere: the nearest one will do.
        return np.asarray(texels[start + (row & wrap) * width + (column & wrap)])
    x -= x0
    y -= y0
    left, right = column & wrap, (column + 1) & wrap
    top, bottom = start + (row & wrap) * width, start + ((row + 1) & wrap) * width
    upper, lower = texels[top + left], texels[bottom + left]
    upper += (texels[top + right] - upper) * x
    lower += (texels[bottom + right] - lower) * x
    lower -= upper
    lower *= y
    lower += upper
    return np.asarray(lower)


def cell_hash(i: Floats, j: Floats | float, seed: int) -> Floats:
    """A number in [0, 1) for each cell (i, j) of a grid: whole numbers [n] in, float32 [n] out."""
    h = i.astype(np.int32).view(np.uint32) * np.uint32(0x9E3779B1)
    h = h ^ (np.asarray(j).astype(np.int32).view(np.uint32) * np.uint32(0x85EBCA77))
    h = h + np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    h = h ^ (h >> np.uint32(15))
    return np.asarray((h >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24))
