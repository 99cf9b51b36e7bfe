"""Wall surfaces, and the walls and fences between a garden and the street."""

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import facing, flank
from fleet.scenes.canvas import Canvas
from fleet.scenes.noise import Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Paint, Texels, band, blend, coat
from fleet.scenes.street import Lot
from fleet.scenes.style import CityStyle, Material


def surface(t: Texels, material: Material, colour: Colour, seed: int) -> Floats:
    """A wall's own texture, without windows: [n, 3]."""
    n = t.mean
    stain = 1 + 0.06 * noise("fractal", t.u, t.v * 0.25, 0.10, n, seed)
    if material == "brick":
        row = np.floor(t.v / 0.09)
        across = t.u / 0.26 + 0.5 * (row % 2)
        column = np.floor(across)
        joint = band(across - column, 0.05, 0.95, t.fu / 0.26)
        joint = joint * band(t.v / 0.09 - row, 0.09, 0.91, t.fv / 0.09)
        calm = clamp(1.6 - n / 0.12, 0.12, 1)
        own = np.asarray(1 + 0.5 * calm * (cell_hash(column, row, seed) - 0.5))
        rgb = coat(colour, own * stain)
        blend(rgb, (0.62, 0.58, 0.52), (1 - joint) * 0.75)
        return rgb
    if material == "panels":
        row, column = np.floor(t.v / 1.6), np.floor(t.u / 1.1)
        seam = band(t.u / 1.1 - column, 0.02, 0.98, t.fu / 1.1)
        seam = seam * band(t.v / 1.6 - row, 0.014, 0.986, t.fv / 1.6)
        own = np.asarray(1 + 0.14 * (cell_hash(column, row, seed) - 0.5))
        ribs = 1 + 0.05 * np.sin(t.u * 50.0) * clamp(1.5 - t.fu / 0.05, 0, 1)
        return coat(colour, own * stain * ribs * (0.62 + 0.38 * seam))
    grain = 1 + 0.09 * noise("speckle", t.u, t.v, 0.02, n, seed + 1)
    return coat(colour, grain * stain + 0.07 * noise("fractal", t.u, t.v, 0.03, n, seed + 2))


def paint_wall(canvas: Canvas, city: CityStyle, lot: Lot) -> None:
    """Paint a garden or retaining wall: stone courses, brick, or concrete with graffiti."""
    kind, seed = lot.seed % 3, lot.seed % 9973

    def shader(t: Texels) -> Paint:
        if kind == 0:
            rgb = surface(t, "brick", (0.55, 0.36, 0.29), seed)
        elif kind == 1:
            border = noise("edges", t.u, t.v * 1.5, 0.024, t.mean, seed)
            own = noise("fractal", t.u, t.v, 0.06, t.mean, seed)
            tone = (0.55 + 0.5 * clamp(border / 0.16, 0, 1)) * (1 + 0.13 * own)
            rgb = coat((0.56, 0.53, 0.47), tone)
        else:
            rgb = surface(t, "plaster", (0.56, 0.55, 0.53), seed) * 0.95
            rgb *= (1 - 0.4 * band(np.mod(t.u, 2.5), 0, 0.05, t.fu))[:, None]
            paint = noise("fractal", t.u, t.v, 0.035, t.mean, seed + 2)
            where = noise("fractal", t.u, t.v * 0.2, 0.25, t.mean, seed + 3) > 0.5
            ink = [0.2 + 0.7 * cell_hash(np.floor(t.u / 2.5), float(k), seed) for k in range(3)]
            blend(rgb, np.stack(ink, axis=1), clamp(1.6 - 9 * np.abs(paint), 0, 1) * where * 0.8)
        blend(rgb, rgb * 0.6, clamp(0.5 - t.v, 0, 1))
        blend(rgb, (0.62, 0.61, 0.58), band(t.v, lot.height - 0.14, lot.height, t.fv) * 0.8)
        return Paint(rgb, LABEL_ID["wall"])

    x = lot.side * lot.x
    canvas.paint(flank(x, lot.s0, lot.s1, lot.height), shader)
    canvas.paint(facing(x + 0.15 * lot.side, lot.s0, 0.15, lot.height), shader)


def paint_fence(canvas: Canvas, city: CityStyle, lot: Lot) -> None:
    """Paint a fence: iron bars, wire mesh or planks, over the dim green behind it."""
    kind, seed = lot.seed % 3, lot.seed % 9973

    def shader(t: Texels) -> Paint:
        leaves = noise("speckle", t.u, t.v, 0.05, t.mean, seed)
        gap = coat((city.leaf[0] * 0.8, city.leaf[1] * 0.75, city.leaf[2]), 0.75 + 0.22 * leaves)
        if kind == 0:
            bars = band(np.mod(t.u, 0.16), 0, 0.035, t.fu)
            rails = band(t.v, 0.12, 0.19, t.fv) + band(
                t.v, lot.height - 0.25, lot.height - 0.17, t.fv
            )
            posts = band(np.mod(t.u, 2.4), 0, 0.11, t.fu)
            blend(gap, (0.10, 0.11, 0.11), clamp(bars + rails + posts, 0, 1))
        elif kind == 1:
            a, b = np.mod(t.u + t.v, 0.13), np.mod(t.u - t.v, 0.13)
            wire = band(a, 0, 0.02, t.mean) + band(b, 0, 0.02, t.mean)
            frame = band(np.mod(t.u, 2.2), 0, 0.09, t.fu) + band(t.v, lot.height - 0.08, 9, t.fv)
            blend(gap, (0.60, 0.63, 0.62), clamp(wire * 0.9 + frame, 0, 1))
        else:
            plank = np.floor(t.u / 0.14)
            own = 0.75 + 0.4 * cell_hash(plank, 1.0, seed)
            grain = 0.1 * noise("fractal", t.u * 4, t.v * 0.4, 0.02, t.mean, seed)
            board = band(np.mod(t.u, 0.14), 0.012, 0.128, t.fu)
            blend(gap, coat((0.50, 0.37, 0.24), own + grain), board)
        return Paint(gap, LABEL_ID["fence"])

    canvas.paint(flank(lot.side * lot.x, lot.s0, lot.s1, lot.height), shader)
