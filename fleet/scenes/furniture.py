"""Poles and what hangs on them: lamps, traffic lights, traffic signs; bollards and bins."""

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Quad, facing
from fleet.scenes.canvas import Canvas
from fleet.scenes.ground import KERB
from fleet.scenes.noise import Bools, Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Paint, Shader, Texels, band, blend, coat
from fleet.scenes.street import Street, Thing
from fleet.scenes.style import CityStyle

_STEEL: Colour = (0.46, 0.47, 0.48)
_DIGITS = {
    "3": ("111", "001", "111", "001", "111"),
    "5": ("111", "100", "111", "001", "111"),
    "0": ("111", "101", "101", "101", "111"),
    "P": ("110", "101", "110", "100", "100"),
    "H": ("101", "101", "111", "101", "101"),
}


def _glyph(u: Floats, v: Floats, character: str, size: float) -> Bools:
    """Where a 3 × 5 character, `size` high with its middle at (0, 0), is set."""
    rows = np.array([[c == "1" for c in row] for row in _DIGITS[character]])
    column = np.floor(u / (size / 5) + 1.5).astype(np.int32)
    row = np.floor(2.5 - v / (size / 5)).astype(np.int32)
    inside = (column >= 0) & (column < 3) & (row >= 0) & (row < 5)
    return np.asarray(inside & rows[clamp(row, 0, 4), clamp(column, 0, 2)])


def pole(colour: Colour, radius: float) -> Shader:
    """A round pole: bright in its middle, at least a pixel thick."""

    def shader(t: Texels) -> Paint:
        thick = np.maximum(radius, 0.5 * t.fu)
        tone = 1.15 - 0.6 * np.abs(t.u / thick) + 0.05 * noise("fractal", t.u, t.v, 0.02, t.mean, 4)
        keep = np.abs(t.u) <= thick
        return Paint(coat(colour, tone), LABEL_ID["pole"], keep)

    return shader


def _upright(canvas: Canvas, x: float, s: float, y: float, height: float, radius: float,
             colour: Colour = _STEEL) -> None:  # fmt: skip
    wide = max(radius, 0.6 * s_distance(canvas, s) / canvas.camera.focal)
    canvas.paint(facing(x, s, wide, height, y), pole(colour, radius))


def s_distance(canvas: Canvas, s: float) -> float:
    """How far ahead of the camera s is, in metres, at least one."""
    return max(1.0, s - canvas.camera.s)


def _round_speed(t: Texels, rgb: Floats) -> Bools:
    r = np.hypot(t.u, t.v)
    blend(rgb, (0.90, 0.90, 0.88), r < 0.31)
    blend(rgb, (0.72, 0.06, 0.07), (r > 0.225) & (r < 0.30))
    text = _glyph(t.u + 0.095, t.v, "3", 0.24) | _glyph(t.u - 0.095, t.v, "0", 0.24)
    blend(rgb, (0.05, 0.05, 0.05), text)
    return np.asarray(r < 0.31)


def _warning(t: Texels, rgb: Floats) -> Bools:
    edge = np.minimum(t.v + 0.24, 0.27 - 0.5 * t.v - 0.866 * np.abs(t.u))
    blend(rgb, (0.72, 0.06, 0.07), edge > 0)
    blend(rgb, (0.92, 0.92, 0.90), edge > 0.075)
    walker = (np.hypot(t.u, t.v - 0.09) < 0.035) | (
        (np.abs(np.abs(t.u) - 0.03 - 0.2 * clamp(-0.02 - t.v, 0, 1)) < 0.025)
        & (np.abs(t.v + 0.05) < 0.1)
    )
    blend(rgb, (0.05, 0.05, 0.05), walker)
    return np.asarray(edge > 0)


def _blue_arrow(t: Texels, rgb: Floats) -> Bools:
    r = np.hypot(t.u, t.v)
    blend(rgb, (0.08, 0.24, 0.58), r < 0.31)
    shaft = (np.abs(t.u) < 0.035) & (np.abs(t.v + 0.04) < 0.15)
    head = (t.v > 0.02) & (np.abs(t.u) < 0.7 * (0.19 - t.v))
    blend(rgb, (0.93, 0.93, 0.93), shaft | head)
    return np.asarray(r < 0.31)


def _blue_square(t: Texels, rgb: Floats) -> Bools:
    there = np.maximum(np.abs(t.u), np.abs(t.v)) < 0.29
    blend(rgb, (0.07, 0.22, 0.56), there)
    blend(rgb, (0.93, 0.93, 0.93), _glyph(t.u, t.v, "P", 0.4))
    return np.asarray(there)


def _priority(t: Texels, rgb: Floats) -> Bools:
    r = np.abs(t.u) + np.abs(t.v)
    blend(rgb, (0.90, 0.90, 0.88), r < 0.38)
    blend(rgb, (0.88, 0.68, 0.08), r < 0.27)
    return np.asarray(r < 0.38)


def _no_stopping(t: Texels, rgb: Floats) -> Bools:
    r = np.hypot(t.u, t.v)
    blend(rgb, (0.08, 0.22, 0.55), r < 0.3)
    bar = (np.abs(t.u - t.v) < 0.06) | (np.abs(t.u + t.v) < 0.06)
    blend(rgb, (0.74, 0.07, 0.08), (bar | (r > 0.23)) & (r < 0.3))
    return np.asarray(r < 0.3)


def _direction(t: Texels, rgb: Floats) -> Bools:
    there = (np.abs(t.u) < 0.62) & (np.abs(t.v) < 0.28)
    blend(rgb, (0.86, 0.70, 0.14), there)
    frame = there & ((np.abs(t.u) > 0.59) | (np.abs(t.v) > 0.25))
    letters = cell_hash(np.floor(t.u / 0.07), np.floor(t.v / 0.15), 17)
    line = (np.mod(t.v + 0.02, 0.15) < 0.09) & (np.abs(t.u) < 0.52) & (np.abs(t.v) < 0.22)
    strokes = np.mod(t.u * 28 + 4 * letters, 1) < 0.55
    blend(rgb, (0.06, 0.06, 0.06), frame | (line & strokes & (letters > 0.2)))
    return np.asarray(there)


_FACES = (_round_speed, _warning, _blue_arrow, _blue_square, _priority, _no_stopping, _direction)


def _sign(face: int, back: bool) -> Shader:
    def shader(t: Texels) -> Paint:
        rgb = np.full((t.u.size, 3), 0.5, np.float32)
        keep = _FACES[face](t, rgb)
        if back:
            rgb = coat((0.42, 0.43, 0.44), 1 - 0.35 * (np.abs(np.mod(t.v, 0.3) - 0.15) < 0.02))
        return Paint(rgb, LABEL_ID["traffic sign"], keep)

    return shader


def paint_sign(canvas: Canvas, city: CityStyle, thing: Thing, s: float) -> None:
    """Paint one or two traffic signs on a pole; those for the other direction show their backs."""
    rng = np.random.default_rng(thing.seed)
    back = thing.way < 0 and rng.random() < 0.6
    height = float(rng.uniform(2.3, 2.9))
    faces = rng.integers(len(_FACES), size=1 + int(rng.random() < 0.35))
    y = KERB + height - 0.4
    _upright(canvas, thing.x, s, KERB, height, 0.04)
    for face in faces:
        quad = Quad((thing.x, y, s - 0.06), (1, 0, 0), (0, 1, 0), (-0.65, 0.65), (-0.4, 0.4))
        canvas.paint(quad, _sign(int(face), back))
        y += 0.68


def _lights(state: int, back: bool) -> Shader:
    lamps: tuple[Colour, ...] = ((1.5, 0.20, 0.12), (1.5, 0.85, 0.10), (0.15, 1.4, 0.65))

    def shader(t: Texels) -> Paint:
        rgb = coat((0.07, 0.08, 0.07), 1 + 0.8 * (np.abs(t.u) > 0.15))
        for k, colour in enumerate(lamps):
            distance = np.hypot(t.u, t.v - 0.78 + 0.29 * k)
            if back:
                blend(rgb, (0.14, 0.15, 0.15), distance < 0.13)
                continue
            blend(rgb, (0.02, 0.02, 0.02), distance < 0.135)
            shine = colour if k == state else tuple(0.13 * c for c in colour)
            blend(rgb, np.array(shine, np.float32), clamp((0.115 - distance) / 0.03, 0, 1))
        return Paint(rgb, LABEL_ID["traffic light"])

    return shader


def paint_signal(canvas: Canvas, city: CityStyle, thing: Thing, s: float) -> None:
    """Paint a traffic light: a mast with lamps, and with an arm over a wide road."""
    rng = np.random.default_rng(thing.seed)
    back = thing.way < 0
    state = int(rng.choice((0, 1, 2), p=(0.45, 0.1, 0.45)))
    shader = _lights(state, back)
    _upright(canvas, thing.x, s, KERB, 3.6, 0.07, (0.34, 0.35, 0.35))
    quad = Quad((thing.x, KERB + 2.5, s - 0.16), (1, 0, 0), (0, 1, 0), (-0.19, 0.19), (0, 1.0))
    canvas.paint(quad, shader)
    if rng.random() < 0.5:
        reach = -np.sign(thing.x) * float(rng.uniform(2.5, 4.5))
        arm = Quad(
            (thing.x, 5.4, s), (float(np.sign(reach)), 0, 0), (0, 1, 0), (0, abs(reach)), (0, 0.12)
        )

        def beam(t: Texels) -> Paint:
            return Paint(coat((0.34, 0.35, 0.35), 0.8 + 3 * t.v), LABEL_ID["pole"])

        _upright(canvas, thing.x, s, KERB, 5.5, 0.09, (0.34, 0.35, 0.35))
        canvas.paint(arm, beam)
        over = Quad((thing.x + reach, 4.6, s - 0.1), (1, 0, 0), (0, 1, 0), (-0.19, 0.19), (0, 1.0))
        canvas.paint(over, shader)


def paint_lamp(canvas: Canvas, city: CityStyle, thing: Thing, s: float) -> None:
    """Paint a street lamp with its arm over the road."""
    height = 6.5 + thing.seed % 20 / 10
    _upright(canvas, thing.x, s, KERB, height, 0.075, (0.40, 0.42, 0.41))
    inward = -1.0 if thing.x > 0 else 1.0
    arm = Quad((thing.x, height + KERB - 0.1, s), (inward, 0, 0), (0, 1, 0), (0, 1.6), (0, 0.14))

    def beam(t: Texels) -> Paint:
        glow = band(t.u, 1.0, 1.6, t.fu) * (t.v < 0.08)
        rgb = coat((0.36, 0.38, 0.37), 0.7 + 3 * t.v)
        blend(rgb, (0.9, 0.88, 0.8), glow)
        return Paint(rgb, LABEL_ID["pole"])

    canvas.paint(arm, beam)


def paint_small(canvas: Canvas, city: CityStyle, street: Street, thing: Thing, s: float) -> None:
    """Paint a bollard (a pole) or a litter bin (static, which is void)."""
    if thing.kind == "bollard":
        _upright(canvas, thing.x, s, KERB, 0.95, 0.06, (0.30, 0.30, 0.31))
        return

    def shader(t: Texels) -> Paint:
        slats = 0.7 + 0.5 * band(np.mod(t.u, 0.07), 0, 0.04, t.fu)
        return Paint(coat((0.24, 0.30, 0.26), slats), LABEL_ID["static"])

    canvas.paint(facing(thing.x, s, 0.25, 0.9, KERB), shader)
