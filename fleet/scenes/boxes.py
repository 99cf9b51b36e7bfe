"""Trucks, buses and trams: long boxes, told apart by what is on their sides."""

from dataclasses import dataclass

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Quad, facing, flank
from fleet.scenes.canvas import Canvas
from fleet.scenes.ground import paint_shadow
from fleet.scenes.noise import Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Paint, Shader, Texels, band, blend, coat
from fleet.scenes.parts import plate, wheel
from fleet.scenes.street import Thing
from fleet.scenes.style import CityStyle

_PANE: Colour = (0.12, 0.14, 0.17)
_COLOURS: dict[str, tuple[Colour, ...]] = {
    "truck": ((0.75, 0.75, 0.73), (0.20, 0.33, 0.56), (0.60, 0.52, 0.20), (0.25, 0.42, 0.30)),
    "bus": ((0.80, 0.66, 0.12), (0.66, 0.12, 0.12), (0.82, 0.82, 0.80), (0.16, 0.44, 0.36)),
    "tram": ((0.78, 0.74, 0.60), (0.70, 0.16, 0.14), (0.22, 0.40, 0.62)),
}
_SIZES = {"truck": (2.4, 7.2, 3.3), "bus": (2.5, 11.5, 3.1), "tram": (2.35, 24.0, 3.4)}
_LABELS = {"truck": "truck", "bus": "bus", "tram": "train"}


@dataclass(frozen=True)
class _Body:
    kind: str
    width: float
    length: float
    height: float
    colour: Colour
    rear: bool
    tarpaulin: bool
    seed: int

    @property
    def label(self) -> int:
        return LABEL_ID[_LABELS[self.kind]]

    def _panes(self, t: Texels, rgb: Floats, there: Floats) -> None:
        shine = noise("fractal", t.u, t.v, 0.05, t.mean, self.seed)
        heads = cell_hash(np.floor(t.u / 0.7), 1.0, self.seed)
        seated = (np.hypot(np.mod(t.u, 0.7) - 0.35, t.v - 1.55) < 0.16) & (heads > 0.45)
        blend(rgb, coat(_PANE, 1.1 + 0.5 * clamp(shine, -1, 2) - 0.5 * seated), there)

    def _advert(self, t: Texels, rgb: Floats, there: Floats) -> None:
        hue = np.array([0.2, 0.2, 0.2]) + 0.6 * np.random.default_rng(self.seed).random(3)
        blend(rgb, hue.astype(np.float32), there * 0.85)
        letters = cell_hash(np.floor(t.u / 0.34), np.floor(t.v / 0.4), self.seed + 1)
        strokes = np.mod(t.u * 3 + 7 * letters, 1) + np.mod(t.v * 4 + 3 * letters, 1) < 0.85
        blend(rgb, (0.95, 0.94, 0.9), there * strokes * (letters > 0.3) * 0.9)

    def side(self, t: Texels) -> Paint:
        """The long side; u runs from the near end."""
        u = t.u if self.rear else self.length - t.u  # from the rear
        tone = 0.80 + 0.22 * clamp(t.v / self.height, 0, 1)
        dirt = 1 + 0.07 * noise("fractal", t.u, t.v, 0.04, t.mean, self.seed + 2)
        rgb = coat(self.colour, tone * dirt)
        keep = t.v > 0.34
        if self.kind == "truck":
            cargo = u < self.length - 2.0
            keep &= np.where(cargo, t.v > 0.85, t.v < 2.75)
            keep &= np.abs(u - self.length + 1.94) > 0.08
            if self.tarpaulin:
                folds = 0.09 * noise("fractal", t.u * 2, t.v * 0.25, 0.03, t.mean, self.seed)
                straps = band(np.mod(t.u, 0.8), 0, 0.06, t.fu)
                blend(rgb, rgb * (1 + 2 * folds)[:, None], cargo)
                blend(rgb, rgb * 0.55, straps * cargo * 0.8)
            else:
                ribs = 0.86 + 0.2 * band(np.mod(t.u, 0.28), 0.0, 0.14, t.fu)
                blend(rgb, rgb * ribs[:, None], cargo)
            middle = band(u, 0.8, self.length - 3.0, t.fu) * band(t.v, 1.5, 2.6, t.fv)
            self._advert(t, rgb, middle * cargo)
            cab = band(u, self.length - 1.5, self.length - 0.35, t.fu) * band(t.v, 1.55, 2.4, t.fv)
            blend(rgb, _PANE, cab)
            chassis = (t.v > 0.5) & (t.v < 0.85)
            blend(rgb, (0.07, 0.07, 0.07), chassis & cargo)
            keep |= chassis
            wheels = [1.0, 2.1, self.length - 1.1]
        else:
            low = 1.25 if self.kind == "bus" else 1.15
            windows = band(t.v, low, self.height - 0.65, t.fv)
            pitch = 1.55 if self.kind == "bus" else 1.9
            posts = band(np.mod(u, pitch), 0.06, pitch - 0.06, t.fu)
            self._panes(t, rgb, windows * posts)
            stripe = (0.85, 0.85, 0.83) if self.kind == "bus" else (0.35, 0.10, 0.10)
            blend(rgb, stripe, band(t.v, low - 0.38, low - 0.26, t.fv))
            period = 4.6 if self.kind == "bus" else 6.0
            door = band(np.mod(u, period), period - 1.4, period - 0.1, t.fu)
            self._panes(t, rgb, door * band(t.v, 0.45, self.height - 0.6, t.fv))
            blend(
                rgb, (0.25, 0.25, 0.26), door * band(np.mod(u, 0.65), 0, 0.06, t.fu) * (t.v < 2.5)
            )
            if self.kind == "bus":
                self._advert(
                    t, rgb, band(np.mod(u, period), 0.3, 2.9, t.fu) * band(t.v, 0.5, 1.1, t.fv)
                )
                wheels = [2.6, self.length - 2.4]
            else:
                joint = band(np.mod(u, 8.0), 0, 0.5, t.fu)
                folds = 0.6 + 0.5 * (np.mod(u, 0.1) < 0.05)
                blend(rgb, coat((0.16, 0.16, 0.17), folds), joint)
                blend(rgb, (0.12, 0.12, 0.13), band(t.v, 0, 0.5, t.fv))
                wheels = []
        for x in wheels:
            near = x if self.rear else self.length - x
            blend(rgb, (0.04, 0.04, 0.04), np.hypot(t.u - near, t.v - 0.46) < 0.56)
            keep |= wheel(t, rgb, near, 0.47)
        return Paint(rgb, self.label, keep)

    def end(self, t: Texels) -> Paint:
        """The near end: doors and lamps behind, windscreen and lamps in front."""
        half = 0.5 * self.width
        x = np.abs(t.u)
        rgb = coat(self.colour, 0.78 + 0.2 * clamp(t.v / self.height, 0, 1))
        rgb *= (1 + 0.06 * noise("fractal", t.u, t.v, 0.03, t.mean, self.seed))[:, None]
        corner = 0.06 if self.kind == "truck" else 0.22
        keep = (t.v > 0.36) & (
            np.hypot(clamp(x - half + corner, 0, 9), clamp(t.v - self.height + corner, 0, 9))
            < corner
        )
        tyre = (np.abs(x - half + 0.27) < 0.2) & (t.v < 0.5)
        if self.kind == "truck" and self.rear:
            rods = band(np.abs(x - 0.55), -1, 0.03, t.fu) + band(x, -1, 0.02, t.fu)
            blend(rgb, (0.30, 0.30, 0.31), clamp(rods, 0, 1) * (t.v > 0.95))
            hinge = band(np.mod(t.v, 0.62), 0, 0.08, t.fv) * (x > half - 0.16)
            blend(rgb, (0.25, 0.25, 0.26), hinge)
            chevron = np.mod(t.u + t.v, 0.3) < 0.15
            blend(rgb, (0.10, 0.10, 0.10), t.v < 0.95)
            bar = (t.v > 0.5) & (t.v < 0.68)
            blend(rgb, (0.75, 0.12, 0.08), bar & chevron)
            blend(rgb, (0.85, 0.83, 0.78), bar & ~chevron)
        elif self.kind == "truck":
            keep &= t.v < 2.8
            self._panes(t, rgb, band(t.v, 1.6, 2.4, t.fv) * band(x, -1, half - 0.12, t.fu))
            slats = 0.5 + 0.9 * (np.mod(t.v, 0.12) < 0.05)
            blend(rgb, coat((0.16, 0.16, 0.16), slats), (t.v > 0.7) & (t.v < 1.4) & (x < 0.8))
        else:
            top = self.height - 0.55
            low = 1.35 if self.rear and self.kind == "bus" else 0.95
            self._panes(t, rgb, band(t.v, low, top, t.fv) * band(x, -1, half - 0.1, t.fu))
            if not self.rear:
                blend(rgb, (0.10, 0.10, 0.10), band(x, -1, 0.03, t.fu) * (t.v > low) * (t.v < top))
            line = band(t.v, top + 0.1, top + 0.42, t.fv) * band(x, -1, 0.85, t.fu)
            blend(rgb, (0.06, 0.06, 0.06), line)
            dots = cell_hash(np.floor(t.u / 0.13), np.floor(t.v / 0.1), self.seed) > 0.45
            blend(rgb, (1.0, 0.72, 0.15), line * dots * (x < 0.7) * 0.9)
            if self.rear and self.kind == "bus":
                vents = 0.4 + 0.6 * (np.mod(t.v, 0.09) < 0.04)
                blend(rgb, coat((0.25, 0.25, 0.25), vents), (t.v > 0.6) & (t.v < 1.05) & (x < 0.7))
        lamp = (t.v > 0.68) & (t.v < 0.95) & (x > half - 0.34) & (x < half - 0.06)
        blend(rgb, (0.65, 0.06, 0.04) if self.rear else (0.95, 0.95, 0.9), lamp)
        if self.kind != "tram":
            plate(t, rgb, t.v, 0.70 if self.kind == "truck" else 0.42)
            blend(rgb, (0.05, 0.05, 0.05), tyre)
            keep |= tyre
        return Paint(rgb, self.label, keep)


def paint_box(canvas: Canvas, city: CityStyle, thing: Thing, s: float) -> None:
    """Paint a truck, a bus or a tram whose near end is at s."""
    rng = np.random.default_rng(thing.seed)
    width, length, height = _SIZES[thing.kind]
    if thing.kind == "truck":
        length, height = length * float(rng.uniform(0.85, 1.2)), float(rng.uniform(2.9, 3.5))
    colours = _COLOURS[thing.kind]
    # A city's buses and trams wear one colour; its trucks come from anywhere.
    pick = rng.integers(len(colours)) if thing.kind == "truck" else sum(city.seed) % len(colours)
    rear, tarpaulin = thing.way >= 0, bool(rng.random() < 0.5)
    body = _Body(
        thing.kind, width, length, height, colours[int(pick)], rear, tarpaulin, thing.seed % 983
    )
    side: Shader = body.side
    if thing.way == 0:
        paint_shadow(canvas, (thing.x, 0.0, s + 1.2), length, 2.4, 0.7)
        start = (thing.x - 0.5 * length, 0.0, s)
        canvas.paint(Quad(start, (1, 0, 0), (0, 1, 0), (0, length), (0, height)), side)
        return
    paint_shadow(canvas, (thing.x, 0.0, s + 0.5 * length), width + 0.2, length, 0.75)
    canvas.paint(facing(thing.x, s, 0.5 * width, height), body.end)
    near = -1 if thing.x > canvas.camera.x else 1
    canvas.paint(flank(thing.x + near * 0.5 * width, s, s + length, height), side)
    if thing.kind == "truck" and rear:
        return
    if thing.kind == "truck":  # over the cab one sees the front of the load

        def front(t: Texels) -> Paint:
            return Paint(coat(body.colour, 0.85 + 0.0 * t.u), body.label)

        canvas.paint(facing(thing.x, s + 2.05, 0.5 * width, height - 0.85, 0.85), front)
