"""Surfaces that one drives and walks on: asphalt, cobbles, slabs, grass."""

import numpy as np

from fleet.scenes.noise import Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Texels, band, blend, coat


def asphalt(t: Texels, colour: Colour, seed: int) -> Floats:
    """Worn asphalt: aggregate, blotches, patches, cracks and manholes."""
    n = t.mean
    tone = 1 + 0.10 * noise("speckle", t.u, t.v, 0.012, n * 0.7, seed)
    tone += 0.09 * noise("fractal", t.u, t.v, 0.03, n * 0.7, seed + 1)
    worn = noise("fractal", t.u, t.v * 0.5, 0.17, n, seed + 2)
    tone += 0.08 * worn
    patch = cell_hash(np.floor(t.u / 2.7 + 0.3), np.floor(t.v / 6.1), seed)
    tone = np.where(patch < 0.16, tone * (0.74 + 1.2 * patch), tone)
    border = noise("edges", t.u, t.v, 0.11, n, seed + 3)
    crack = clamp((0.05 - border) / 0.05, 0, 1) * clamp(worn - 0.1, 0, 0.75)
    tone = tone * (1 - crack)
    column, row = np.floor(t.u / 5.0), np.floor(t.v / 17.0)
    du = t.u - 5.0 * column - 1.0 - 3.0 * cell_hash(column, row, seed + 5)
    dv = t.v - 17.0 * row - 2.0 - 12.0 * cell_hash(column, row, seed + 6)
    radius = np.hypot(du, dv)
    tone = np.where(radius < 0.34, 0.62 + 0.25 * (np.floor(du * 14 + dv * 14) % 2), tone)
    return coat(colour, tone)


def cobbles(t: Texels, colour: Colour, size: float, seed: int) -> Floats:
    """Rows of stones, each of its own grey."""
    row = np.floor(t.v / size)
    across = t.u / size + 0.5 * (row % 2)
    column = np.floor(across)
    fu, fv = across - column, t.v / size - row
    joint = 0.09
    stone = band(fu, joint, 1 - joint, t.fu / size) * band(fv, joint, 1 - joint, t.fv / size)
    calm = clamp(1.4 - 0.5 * t.mean / size, 0.2, 1)
    own = cell_hash(column, row, seed) - 0.5
    tone = (0.62 + 0.42 * stone) * (1 + 0.4 * own * calm)
    tone += 0.08 * noise("fractal", t.u, t.v, 0.02, t.mean, seed)
    return coat(colour, tone)


def slabs(t: Texels, colour: Colour, across: float, along: float, seed: int) -> Floats:
    """Paving of rectangles laid in bond, with dark joints and gum stains."""
    row = np.floor(t.u / across)
    shifted = t.v / along + 0.5 * (row % 2)
    column = np.floor(shifted)
    fu, fv = t.u / across - row, shifted - column
    joint = 0.012
    slab = band(fu, joint / across, 1 - joint / across, t.fu / across)
    slab = slab * band(fv, joint / along, 1 - joint / along, t.fv / along)
    calm = clamp(1.5 - 0.5 * t.mean / across, 0.15, 1)
    tone = (0.60 + 0.42 * slab) * (1 + 0.22 * calm * (cell_hash(row, column, seed) - 0.5))
    tone += 0.05 * noise("speckle", t.u, t.v, 0.01, t.mean, seed)
    tone += 0.08 * noise("fractal", t.u, t.v, 0.06, t.mean, seed + 1)
    return coat(colour, tone)


def grass(t: Texels, colour: Colour, seed: int) -> Floats:
    """Mown grass with bare patches; its blades lean along the line of sight."""
    tone = 1 + 0.20 * noise("speckle", t.u, t.v * 0.4, 0.03, t.mean * 0.6, seed)
    tone += 0.16 * noise("fractal", t.u, t.v, 0.05, t.mean, seed + 1)
    rgb = coat(colour, tone)
    bare = noise("fractal", t.u, t.v, 0.12, t.mean, seed + 2)
    blend(rgb, coat((0.42, 0.35, 0.24), tone), clamp((bare - 0.7) * 2, 0, 0.8))
    dry = noise("fractal", t.u, t.v, 0.3, t.mean, seed + 3)
    blend(rgb, coat((0.46, 0.44, 0.20), tone), clamp(0.25 + 0.2 * dry, 0, 0.6))
    return rgb
