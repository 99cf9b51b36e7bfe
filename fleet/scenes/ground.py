"""What one drives and walks on: road, markings, pavement, grass and the shadows on them."""

from collections.abc import Callable

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Vector, flank, flat
from fleet.scenes.canvas import Canvas
from fleet.scenes.noise import Floats, clamp, noise
from fleet.scenes.paint import Paint, Shader, Texels, band, blend, coat
from fleet.scenes.paving import asphalt, cobbles, grass, slabs
from fleet.scenes.street import Street
from fleet.scenes.style import CityStyle

KERB = 0.12  # height of the pavement over the road, in metres
_FAR = 420.0

Shade = Callable[[Texels], Floats]


def building_shadow(street: Street, city: CityStyle) -> Shade:
    """How much of the sun the buildings take from a point of the ground: [n], 0 to 1."""
    towards = city.light.towards
    side = 1 if towards[0] > 0 else -1
    heights = np.zeros(260, np.float32)
    for lot in street.lots:
        if lot.side == side and lot.kind in ("building", "wall"):
            heights[max(0, int(lot.s0) + 20) : max(0, int(lot.s1) + 20)] = lot.height
    sun, sky = max(city.light.sun) * towards[1], max(city.light.sky)
    depth = sun / (sun + sky)

    def shade(t: Texels) -> Floats:
        # Walk from the point towards the sun until over the line of the fronts.
        way: Floats = np.maximum(street.front - side * t.u, 0.0)
        s: Floats = t.v + way * (towards[2] / abs(towards[0]))
        height = heights[clamp(s + 20, 0, 259).astype(np.int32)]
        reach = height - way * (towards[1] / abs(towards[0]))
        return np.asarray(depth * clamp(reach / (0.3 + t.mean), 0, 1))

    return shade


def _marks(t: Texels, street: Street) -> Floats:
    """Where the road is painted white: [n], 0 to 1."""
    x, s, lane = np.abs(t.u), t.v, street.lane
    inner = 3.4 if street.rails else 0.0
    at_crossing = np.zeros(x.size, np.bool_)
    white: Floats = np.zeros(x.size, np.float32)
    for a, b in street.crossings:
        at_crossing |= (s > a - 5.5) & (s < b + 5.5)
        stripes = band(np.mod(t.u, 1.0), 0.25, 0.75, t.fu)
        for low in (a - 4.2, b + 1.2):
            white = np.maximum(white, stripes * band(s, low, low + 3.0, t.fv))
        stop = band(s, a - 5.6, a - 5.2, t.fv) * (t.u > inner)
        white = np.maximum(white, stop)
    white = white * band(x, -1, street.kerb - 0.4, t.fu)
    lines: Floats = np.zeros(x.size, np.float32)
    dash = band(np.mod(s, 8.0), 0.0, 3.0, t.fv)
    for k in range(1, street.lanes):
        lines += dash * band(x, inner + k * lane - 0.07, inner + k * lane + 0.07, t.fu)
    if street.rails:
        lines += band(x, inner - 0.07, inner + 0.07, t.fu)
    elif street.lanes > 1:
        lines += band(x, 0.08, 0.20, t.fu)
    else:
        lines += dash * band(x, -1, 0.07, t.fu)
    edge = inner + street.lanes * lane
    lines += band(x, edge - 0.06, edge + 0.06, t.fu) * (1.0 if street.strip == 0 else dash)
    white = np.maximum(white, np.where(at_crossing, 0.0, lines))
    wear = noise("fractal", t.u, t.v, 0.03, t.mean, street.seed + 9)
    return clamp(white, 0, 1) * clamp(0.85 - 0.28 * wear, 0.15, 1)


def _road(city: CityStyle, street: Street, shade: Shade) -> Shader:
    def shader(t: Texels) -> Paint:
        seed = street.seed
        if city.cobbled and street.lanes == 1:
            rgb = cobbles(t, city.asphalt, 0.16, seed)
        else:
            rgb = asphalt(t, city.asphalt, seed)
        x = np.abs(t.u)
        if not street.rails:
            wheel = np.abs(np.abs(np.mod(x, street.lane) - 0.5 * street.lane) - 0.8)
            rgb *= (1 - 0.13 * clamp(1 - wheel / 0.35, 0, 1))[:, None]
        label = np.full(x.size, LABEL_ID["road"], np.uint8)
        if street.strip:
            bay = (x > street.kerb - street.strip) & (x < street.kerb)
            for a, b in street.crossings:
                bay &= (t.v < a - 5) | (t.v > b + 5)
            stones = Texels(t.u[bay], t.v[bay], t.fu[bay], t.fv[bay], t.z[bay])
            rgb[bay] = cobbles(stones, city.paving_colour, 0.22, seed + 8) * 0.85
            label[bay] = LABEL_ID["parking"]
        blend(rgb, (0.83, 0.83, 0.80), _marks(t, street) * 0.9)
        if street.rails:
            for rail in (1.0, 2.5):
                steel = band(x, rail - 0.05, rail + 0.05, t.fu)
                blend(rgb, (0.30, 0.29, 0.29), steel * 0.9)
        gutter = band(x, street.kerb - 0.3, street.kerb, t.fu)
        rgb *= (1 - 0.22 * gutter)[:, None]
        rgb *= (1 - shade(t))[:, None]
        return Paint(rgb, label)

    return shader


def _side(city: CityStyle, street: Street, shade: Shade, side: int, grassy: Floats) -> Shader:
    """Kerbstones, pavement, and what lies behind it."""

    def shader(t: Texels) -> Paint:
        seed = street.seed + 20
        tone = city.paving_colour
        if city.paving == "slabs":
            rgb = slabs(t, tone, 0.5, 0.75, seed)
        elif city.paving == "bricks":
            rgb = slabs(t, tone, 0.12, 0.24, seed)
        elif city.paving == "cobbles":
            rgb = cobbles(t, tone, 0.11, seed)
        else:
            grain = 1 + 0.14 * noise("speckle", t.u, t.v, 0.02, t.mean, seed)
            rgb = coat(tone, grain + 0.06 * noise("fractal", t.u, t.v, 0.05, t.mean, seed))
        x = side * t.u
        stone = band(x, street.kerb, street.kerb + 0.18, t.fu)
        joint = 1 - 0.4 * band(np.mod(t.v, 1.0), 0.0, 0.03, t.fv)
        blend(rgb, coat((0.60, 0.59, 0.57), joint), stone)
        label = np.full(x.size, LABEL_ID["sidewalk"], np.uint8)
        ragged = 0.12 * noise("fractal", t.u, t.v, 0.02, t.mean, seed + 1)
        lawn = grassy[clamp(t.v + 40, 0, grassy.size - 1).astype(np.int32)]
        wild = (x + ragged > street.front) | ((lawn > 1) & (x + ragged > street.kerb + 1.9))
        wild &= lawn > 0
        if wild.any():
            turf = Texels(t.u[wild], t.v[wild], t.fu[wild], t.fv[wild], t.z[wild])
            green = (city.leaf[0] * 1.35 + 0.06, city.leaf[1] * 1.15 + 0.05, city.leaf[2] + 0.04)
            rgb[wild] = grass(turf, green, seed + 2)
            label[wild] = LABEL_ID["terrain"]
        rgb *= (1 - shade(t))[:, None]
        return Paint(rgb, label)

    return shader


def _kerbstone(t: Texels) -> Paint:
    tone = 1 + 0.1 * noise("fractal", t.u, t.v, 0.02, t.mean, 3)
    tone = tone * (1 - 0.5 * band(np.mod(t.u, 1.0), 0.0, 0.03, t.fu))
    return Paint(coat((0.52, 0.51, 0.50), tone), LABEL_ID["sidewalk"])


def paint_ground(canvas: Canvas, city: CityStyle, street: Street) -> None:
    """Paint road and pavements as far as one sees; the first thing to be painted."""
    shade = building_shadow(street, city)
    cuts = [-40.0, *(edge for pair in street.crossings for edge in pair), _FAR]
    for side in (-1, 1):
        # 0: paved up to the front, 1: grass behind the pavement, 2: a strip of it before as well.
        grassy = np.ones(300, np.float32)
        for lot in street.lots:
            if lot.side == side:
                soft = 0.0 if lot.kind in ("building", "crossing") else 1.0
                if lot.kind == "park" and street.walk > 3.0:
                    soft = 2.0
                grassy[max(0, int(lot.s0) + 40) : max(0, int(lot.s1) + 40)] = soft
        shader = _side(city, street, shade, side, grassy)
        for s0, s1 in zip(cuts[::2], cuts[1::2], strict=True):
            canvas.paint(flank(side * street.kerb, s0, s1, KERB), _kerbstone)
            x0, x1 = sorted((side * street.kerb, side * 60.0))
            canvas.paint(flat(x0, x1, s0, s1, KERB), shader)
    canvas.paint(flat(-60, 60, -40, _FAR), _road(city, street, shade))


def paint_shadow(canvas: Canvas, place: Vector, width: float, length: float, depth: float) -> None:
    """The soft dark patch, `depth` deep (0 to 1), under a thing whose middle stands at (x, y, s)."""
    x, y, s = place
    margin = 0.25

    def strength(t: Texels) -> Floats:
        du = clamp((0.5 * width + margin - np.abs(t.u - x)) / (2 * margin), 0, 1)
        dv = clamp((0.5 * length + margin - np.abs(t.v - s)) / (2 * margin), 0, 1)
        return np.asarray(depth * du * dv)

    half, long = 0.5 * width + margin, 0.5 * length + margin
    canvas.darken(flat(x - half, x + half, s - long, s + long, y), strength)
