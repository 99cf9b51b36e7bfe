"""Trees, hedges and the skyline of trees and houses beyond the street."""

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import facing, flank
from fleet.scenes.canvas import Canvas
from fleet.scenes.ground import KERB
from fleet.scenes.noise import Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Paint, Shader, Texels, band, blend, coat
from fleet.scenes.street import Lot, Street, Thing
from fleet.scenes.style import CityStyle


def leaves(t: Texels, colour: Colour, size: float, depth: Floats, seed: int) -> Floats:
    """Foliage: clumps lit from above, leaves with dark gaps. `depth` [n], 0 dark to 1 bright."""
    leaf = noise("cells", t.u, t.v, size / 16, t.mean * 0.6, seed)
    grain = noise("speckle", t.u, t.v, size / 5, t.mean * 0.6, seed + 1)
    clump = noise("fractal", t.u, t.v, 0.035, t.mean, seed + 2)
    lift = noise("fractal", t.u, t.v + 0.22, 0.035, t.mean, seed + 2)
    tone = 0.55 + 0.65 * depth + 0.22 * (clump - lift) + 0.10 * clump
    tone = tone + 0.24 * grain + 0.55 * (0.45 - leaf)
    rgb = coat(colour, clamp(tone, 0.10, 2.2))
    warm = clamp(0.3 + 0.25 * grain, 0, 0.8) * clamp(depth, 0, 1)
    blend(rgb, rgb * np.array([1.35, 1.12, 0.7], np.float32), warm)
    return rgb


def _crown(colour: Colour, radius: float, height: float, seed: int, core: float) -> Shader:
    """A ragged round crown, thinning out to single leaves at its border."""

    def shader(t: Texels) -> Paint:
        rng = np.random.default_rng(seed)
        blobs = [(0.0, 0.5 * height, radius * 0.8, 0.44 * height)]
        for angle in rng.uniform(0, 2 * np.pi, 5):
            reach = rng.uniform(0.35, 0.62)
            blobs.append(
                (
                    float(np.cos(angle) * reach * radius),
                    float((0.5 + 0.5 * np.sin(angle) * reach) * height),
                    float(radius * rng.uniform(0.32, 0.5)),
                    float(height * rng.uniform(0.16, 0.27)),
                )
            )
        inside = np.full(t.u.size, -9.0, np.float32)
        for x, y, a, b in blobs:
            du, dv = (t.u - x) * np.float32(1 / a), (t.v - y) * np.float32(1 / b)
            inside = np.maximum(inside, 0.5 - 0.5 * (du * du + dv * dv))
        ragged = noise("fractal", t.u, t.v, 0.022, t.mean * 0.5, seed % 97)
        holes = noise("speckle", t.u, t.v, 0.045, t.mean * 0.5, seed % 89)
        keep = inside + 0.16 * ragged + 0.10 * holes > core
        up = clamp(0.15 + 0.75 * t.v / height + 0.35 * clamp(inside, 0, 0.6), 0, 1)
        return Paint(leaves(t, colour, 0.16, up, seed % 83), LABEL_ID["vegetation"], keep)

    return shader


def paint_tree(canvas: Canvas, city: CityStyle, thing: Thing, s: float) -> None:
    """Paint a tree: its trunk and two layers of crown."""
    if not canvas.sees(thing.x, 4.5, s - 2.0, s + 2.0, 10.5):
        return
    rng = np.random.default_rng(thing.seed)
    height = float(rng.uniform(4.5, 10.0))
    radius = height * float(rng.uniform(0.24, 0.40))
    trunk = height * float(rng.uniform(0.25, 0.36))
    thick = 0.06 + 0.012 * height
    tint = rng.uniform(0.85, 1.15, 3)
    r, g, b = (float(c * k) for c, k in zip(city.leaf, tint, strict=True))

    def bark(t: Texels) -> Paint:
        ridges = noise("speckle", t.u * 3, t.v * 0.4, 0.03, t.mean, thing.seed % 61)
        tone = (1 - 0.5 * np.abs(t.u / thick)) * (1 + 0.25 * ridges)
        keep = np.abs(t.u) < thick * (1.25 - 0.35 * clamp(t.v / trunk, 0, 1))
        return Paint(coat((0.31, 0.26, 0.21), tone), LABEL_ID["vegetation"], keep)

    canvas.paint(facing(thing.x, s, thick * 1.25, trunk * 1.6, KERB), bark)
    crown = height - trunk * 0.85
    foot = KERB + trunk * 0.85
    near = _crown((r, g, b), radius * 0.9, crown * 0.92, thing.seed, 0.12)
    canvas.paint(facing(thing.x, s - 0.5 * radius, radius * 1.1, crown, foot + 0.1), near)
    if s - canvas.camera.s > 60:  # too far for the depth of a second layer to show
        return
    dark = _crown((r * 0.72, g * 0.72, b * 0.75), radius, crown, thing.seed + 1, 0.03)
    canvas.paint(facing(thing.x, s + 0.3 * radius, radius * 1.15, crown, foot), dark)


def _hedge(colour: Colour, height: float, seed: int) -> Shader:
    def shader(t: Texels) -> Paint:
        top = height * (0.88 + 0.06 * noise("fractal", t.u, t.v, 0.03, t.mean, seed))
        depth = clamp(0.1 + 0.8 * t.v / height, 0, 1)
        return Paint(leaves(t, colour, 0.10, depth, seed), LABEL_ID["vegetation"], t.v < top)

    return shader


def paint_garden(canvas: Canvas, city: CityStyle, street: Street, lot: Lot) -> None:
    """Paint what grows on an open lot, or over the top of a wall or a fence: hedges and trees."""
    rng = np.random.default_rng(lot.seed + 5)
    x = lot.side * (lot.x + 0.6)
    tall = lot.kind == "park" and rng.random() < 0.35
    if lot.kind == "park" and rng.random() < 0.6 * city.green + 0.2:
        height = float(rng.uniform(0.8, 2.2))
        hedge = _hedge(city.leaf, height, lot.seed % 71)
        canvas.paint(flank(x + lot.side * (0 if tall else 3.0), lot.s0, lot.s1, height), hedge)
    behind = _hedge(city.leaf, 5.0, lot.seed % 73)
    if lot.kind != "park" and rng.random() < city.green:
        height = lot.height + float(rng.uniform(0.3, 1.6))
        behind = _hedge(city.leaf, height, lot.seed % 73)
        canvas.paint(flank(x + lot.side * 0.4, lot.s0, lot.s1, height), behind)
    for _ in range(int(rng.integers(0, 2 + int(2 * city.green)))):
        place = lot.side * (lot.x + float(rng.uniform(3, 14)))
        s = float(rng.uniform(lot.s0 + 1, lot.s1))
        paint_tree(canvas, city, Thing("tree", place, s, 0.0, 0, int(rng.integers(2**31))), s)


def _skyline(city: CityStyle, seed: int) -> Shader:
    """Far houses and trees as one flat picture: which is which by the place."""

    def shader(t: Texels) -> Paint:
        plot = np.floor(t.u / 13.0)
        own = cell_hash(plot, 3.0, seed)
        house = 3.2 * (city.storeys[0] + np.floor(own * (2 + city.storeys[1] - city.storeys[0])))
        ragged = noise("fractal", t.u, t.v, 0.12, t.mean, seed)
        crowns = 4.5 + 3.5 * city.green + 1.7 * ragged
        houses = (t.v < house) & (cell_hash(plot, 4.0, seed) < city.density + 0.15)
        trees = t.v < crowns
        index = (cell_hash(plot, 5.0, seed) * len(city.facades)).astype(np.int32)
        rgb = np.array(city.facades, np.float32)[index] * 0.85
        pane = band(np.mod(t.u, 2.6), 0.7, 1.9, t.fu) * band(np.mod(t.v, 3.2), 0.9, 2.4, t.fv)
        blend(rgb, (0.20, 0.22, 0.26), 0.8 * pane)
        front = trees & (~houses | (cell_hash(plot, 6.0, seed) < city.green * 0.6))
        green = leaves(t, city.leaf, 0.5, clamp(0.2 + 0.6 * t.v / 6, 0, 1), seed)
        rgb[front] = green[front]
        label = np.where(front, LABEL_ID["vegetation"], LABEL_ID["building"]).astype(np.uint8)
        return Paint(rgb, label, houses | trees)

    return shader


def paint_skyline(canvas: Canvas, city: CityStyle, street: Street, end: float) -> None:
    """Close the view: behind the lots on both sides and at the end of the street."""
    for side in (-1, 1):
        canvas.paint(flank(side * 44.0, -60, end, 30.0), _skyline(city, street.seed % 53 + side))
    canvas.paint(facing(0.0, end, 60.0, 30.0), _skyline(city, street.seed % 59))
