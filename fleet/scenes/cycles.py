"""Bicycles and motorcycles, ridden or parked."""

from itertools import pairwise

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Quad, flank
from fleet.scenes.canvas import Canvas
from fleet.scenes.noise import Bools, Floats, clamp
from fleet.scenes.paint import Colour, Paint, Shader, Texels, blend, coat
from fleet.scenes.street import Thing

_FRAMES: tuple[Colour, ...] = (
    (0.08, 0.08, 0.09),
    (0.50, 0.10, 0.10),
    (0.12, 0.22, 0.45),
    (0.55, 0.56, 0.58),
)
_RUBBER: Colour = (0.05, 0.05, 0.05)


class _Pen:
    """Draws tubes and rings that stay at least a pixel thick, and remembers where."""

    def __init__(self, t: Texels) -> None:
        self.t = t
        self.rgb: Floats = np.zeros((t.u.size, 3), np.float32)
        self.keep: Bools = np.zeros(t.u.size, np.bool_)

    def fill(self, where: Bools, colour: Colour) -> None:
        blend(self.rgb, colour, where)
        self.keep |= where

    def tube(self, points: tuple[tuple[float, float], ...], radius: float, colour: Colour) -> None:
        t = self.t
        thick = np.maximum(radius, 0.55 * t.mean)
        for (ax, ay), (bx, by) in pairwise(points):
            du, dv, bu, bv = t.u - ax, t.v - ay, bx - ax, by - ay
            along = clamp((du * bu + dv * bv) / max(bu * bu + bv * bv, 1e-6), 0, 1)
            self.fill(np.hypot(du - along * bu, dv - along * bv) < thick, colour)

    def wheel(self, x: float, radius: float, tyre: float, hub: float) -> None:
        t = self.t
        distance = np.hypot(t.u - x, t.v - radius)
        angle = np.arctan2(t.v - radius, t.u - x)
        width = np.maximum(0.012, 0.5 * t.mean)
        spokes = np.abs(np.mod(angle * (14 / (2 * np.pi)), 1) - 0.5) * distance * 0.45 < width
        self.fill((distance < radius) & spokes, (0.45, 0.46, 0.47))
        self.fill(distance < hub, (0.3, 0.3, 0.3))
        thick = np.maximum(tyre, 0.6 * t.mean)
        self.fill(np.abs(distance - radius + 0.5 * thick) < 0.5 * thick + 0.005, _RUBBER)

    def paint(self, label: int) -> Paint:
        tone = coat((1, 1, 1), 0.9 + 0.25 * clamp(self.t.v, 0, 1))
        return Paint(self.rgb * tone, label, self.keep)


def _bicycle(colour: Colour, broadside: bool) -> Shader:
    def shader(t: Texels) -> Paint:
        pen = _Pen(t)
        if not broadside:
            pen.tube(((0, 0.03), (0, 0.67)), 0.03, _RUBBER)
            pen.tube(((0, 0.6), (0, 1.0)), 0.025, colour)
            pen.tube(((-0.3, 1.02), (0.3, 1.02)), 0.02, (0.1, 0.1, 0.1))
            pen.tube(((-0.13, 0.28), (0.13, 0.3)), 0.025, (0.2, 0.2, 0.2))
            pen.fill(np.hypot(t.u, t.v - 0.72) < 0.05, (0.7, 0.08, 0.05))
            return pen.paint(LABEL_ID["bicycle"])
        pen.wheel(-0.52, 0.34, 0.045, 0.05)
        pen.wheel(0.52, 0.34, 0.045, 0.05)
        pen.tube(
            ((-0.52, 0.34), (-0.18, 0.78), (0.36, 0.80), (-0.08, 0.30), (-0.52, 0.34)),
            0.022,
            colour,
        )
        pen.tube(((-0.08, 0.30), (-0.2, 0.92)), 0.02, colour)
        pen.tube(((0.52, 0.34), (0.34, 0.98), (0.46, 1.04)), 0.02, colour)
        pen.tube(((-0.32, 0.94), (-0.12, 0.95)), 0.035, (0.06, 0.05, 0.05))
        pen.fill(np.hypot(t.u + 0.08, t.v - 0.30) < 0.09, (0.25, 0.25, 0.25))
        return pen.paint(LABEL_ID["bicycle"])

    return shader


def _motorcycle(colour: Colour, broadside: bool, rear: bool) -> Shader:
    def shader(t: Texels) -> Paint:
        pen = _Pen(t)
        if not broadside:
            pen.tube(((0, 0.08), (0, 0.58)), 0.08, _RUBBER)
            pen.tube(((0, 0.55), (0, 0.90)), 0.17, colour)
            pen.tube(((-0.36, 1.05), (0.36, 1.05)), 0.025, (0.12, 0.12, 0.12))
            for x in (-0.4, 0.4):
                pen.fill(np.hypot(t.u - x, t.v - 1.18) < 0.07, (0.15, 0.16, 0.18))
            pen.fill(
                np.hypot(t.u, t.v - 0.80) < 0.09, (0.7, 0.06, 0.04) if rear else (0.95, 0.94, 0.85)
            )
            pen.tube(((0.16, 0.3), (0.18, 0.45)), 0.05, (0.55, 0.55, 0.55))
            return pen.paint(LABEL_ID["motorcycle"])
        pen.wheel(-0.68, 0.31, 0.11, 0.11)
        pen.wheel(0.70, 0.31, 0.11, 0.11)
        pen.tube(((-0.66, 0.33), (-0.1, 0.42), (0.2, 0.40)), 0.06, (0.25, 0.25, 0.26))
        pen.fill(np.hypot((t.u - 0.02) / 1.5, t.v - 0.42) < 0.17, (0.32, 0.32, 0.33))
        pen.tube(((-0.1, 0.78), (0.28, 0.84)), 0.13, colour)
        pen.tube(((-0.75, 0.86), (-0.15, 0.80)), 0.07, (0.06, 0.06, 0.06))
        pen.tube(((0.70, 0.33), (0.44, 0.95), (0.30, 1.06)), 0.04, (0.5, 0.5, 0.52))
        pen.fill(np.hypot(t.u - 0.56, t.v - 0.86) < 0.11, (0.8, 0.8, 0.76))
        pen.tube(((-0.7, 0.28), (-0.15, 0.26)), 0.045, (0.62, 0.62, 0.62))
        return pen.paint(LABEL_ID["motorcycle"])

    return shader


def paint_cycle(canvas: Canvas, thing: Thing, s: float, y: float) -> None:
    """Paint a bicycle or motorcycle on ground of height y: seen along, or from its side (way 0).

    Parked ones show their side to the camera by standing across the pavement.
    """
    rng = np.random.default_rng(thing.seed + 1)
    colour = _FRAMES[int(rng.integers(len(_FRAMES)))]
    broadside = thing.way == 0
    if thing.kind == "motorcycle":
        shader = _motorcycle(colour, broadside, thing.way > 0)
    else:
        shader = _bicycle(colour, broadside)
    canvas.paint(Quad((thing.x, y, s), (1, 0, 0), (0, 1, 0), (-1.05, 1.05), (0, 1.3)), shader)
    if not broadside and not thing.speed:
        # Seen along, a parked one also shows the length that lies behind its near end.
        side = (
            _motorcycle(colour, True, True)
            if thing.kind == "motorcycle"
            else _bicycle(colour, True)
        )

        def shifted(t: Texels) -> Paint:
            return side(Texels(t.u - 0.95, t.v, t.fu, t.fv, t.z))

        canvas.paint(flank(thing.x, s, s + 1.9, 1.3, y), shifted)
