"""Cars: a side profile drawn out across the car's width, with the parts that face the camera."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Quad, flank, lean, slope
from fleet.scenes.canvas import Canvas
from fleet.scenes.ground import paint_shadow
from fleet.scenes.noise import Floats, clamp, noise
from fleet.scenes.paint import Colour, Paint, Shader, Texels, band, blend, coat
from fleet.scenes.parts import RUBBER, plate, wheel
from fleet.scenes.street import Thing
from fleet.scenes.style import CityStyle

Points = tuple[tuple[float, float], ...]

# Tops of the bodies from rear to front: (metres from the rear, metres high).
_PROFILES: dict[str, Points] = {
    "hatchback": (
        (0.0, 0.30), (0.0, 0.72), (0.08, 0.96), (0.50, 1.40), (0.85, 1.47), (2.2, 1.45),
        (2.95, 1.00), (3.75, 0.86), (3.95, 0.62), (3.95, 0.30),
    ),
    "saloon": (
        (0.0, 0.30), (0.0, 0.84), (0.06, 0.98), (0.72, 1.03), (1.38, 1.39), (1.75, 1.43),
        (2.7, 1.41), (3.45, 0.99), (4.40, 0.84), (4.60, 0.60), (4.60, 0.30),
    ),
    "estate": (
        (0.0, 0.30), (0.0, 0.80), (0.08, 0.98), (0.42, 1.42), (0.7, 1.48), (2.7, 1.45),
        (3.45, 1.00), (4.40, 0.85), (4.60, 0.60), (4.60, 0.30),
    ),
    "offroader": (
        (0.0, 0.36), (0.0, 0.90), (0.06, 1.10), (0.34, 1.62), (0.6, 1.69), (2.7, 1.67),
        (3.30, 1.14), (4.25, 1.02), (4.45, 0.75), (4.45, 0.36),
    ),
    "van": (
        (0.0, 0.32), (0.0, 1.05), (0.06, 1.20), (0.16, 2.05), (0.4, 2.15), (3.4, 2.10),
        (4.20, 1.22), (4.85, 1.00), (5.00, 0.62), (5.00, 0.32),
    ),
}  # fmt: skip
_PAINTS: tuple[Colour, ...] = (
    (0.06, 0.06, 0.07), (0.62, 0.63, 0.65), (0.80, 0.80, 0.80), (0.32, 0.33, 0.35),
    (0.10, 0.16, 0.34), (0.48, 0.07, 0.07), (0.16, 0.27, 0.22), (0.55, 0.47, 0.32), (0.14, 0.30, 0.50),
)  # fmt: skip
_PANE: Colour = (0.10, 0.12, 0.14)


@dataclass(frozen=True)
class _Car:
    points: Points
    width: float
    belt: float
    colour: Colour
    rear: bool  # its rear end is the near one
    seed: int

    @property
    def length(self) -> float:
        return self.points[-1][0]

    @property
    def height(self) -> float:
        return max(y for _, y in self.points)

    def _gloss(self, t: Texels, y: Floats) -> Floats:
        """Paint that mirrors the sky above and the road below."""
        tone = 0.72 + 0.36 * clamp((y - 0.3) / 0.7, 0, 1) - 0.18 * band(y, 0.28, 0.52, 0.1)
        rgb = coat(self.colour, tone)
        rgb += (0.10 * clamp((y - 0.62) / 0.4, 0, 1))[:, None]
        dirt = noise("fractal", t.u, t.v, 0.02, t.mean, self.seed)
        rgb *= (1 + 0.05 * dirt)[:, None]
        return rgb

    def side(self, low: bool) -> Shader:
        """The side below the belt line (standing on the ground) or the cabin over it."""
        z = np.array([p[0] for p in self.points])
        top = np.array([p[1] for p in self.points])
        if not self.rear:
            z, top = self.length - z[::-1], top[::-1]
        z = z + np.arange(z.size) * 1e-4
        roof = self.height

        def shader(t: Texels) -> Paint:
            y = t.v if low else t.v * ((roof - self.belt) / _slant(roof - self.belt)) + self.belt
            rgb = self._gloss(t, y)
            outline = np.interp(t.u, z, top)
            keep = (y < outline) & (y > 0.19)
            for seam in (0.33, 0.56, 0.76):
                blend(
                    rgb,
                    rgb * 0.45,
                    band(t.u, self.length * seam - 0.012, self.length * seam + 0.012, t.fu),
                )
            if low:
                blend(rgb, (0.09, 0.09, 0.09), band(y, 0.0, 0.33, t.fv))
                handle = band(y, self.belt - 0.14, self.belt - 0.10, t.fv)
                blend(rgb, rgb * 0.5, handle * (np.mod(t.u - 0.3, 1.05) < 0.2))
                for x in (0.78, self.length - 0.82):
                    arch = np.hypot(t.u - x, t.v - 0.31) < 0.38
                    blend(rgb, (0.04, 0.04, 0.04), arch)
                    keep |= wheel(t, rgb, x, 0.31)
                lamp = (y > 0.64) & (y < 0.8)
                tail, head = (t.u < 0.22), (t.u > self.length - 0.3)
                red, white = (tail, head) if self.rear else (head, tail)
                blend(rgb, (0.55, 0.04, 0.03), lamp & red)
                blend(rgb, (0.85, 0.85, 0.82), lamp & white)
            else:
                pane = (y > self.belt + 0.05) & (y < outline - 0.1)
                for post in (0.33, 0.56):
                    pane &= np.abs(t.u - post * self.length) > 0.045
                shine = noise("fractal", t.u, t.v, 0.03, t.mean, self.seed + 1)
                blend(rgb, coat(_PANE, 1.1 + 0.35 * shine + (y - self.belt)), pane)
            return Paint(rgb, LABEL_ID["car"], keep)

        return shader

    def end(self, a: tuple[float, float], b: tuple[float, float]) -> Shader:
        """The stretch of the near end from profile point a up to b, each (s, height)."""
        rise = b[1] - a[1]
        long = float(np.hypot(b[0] - a[0], rise))
        glass = b[1] > self.belt + 0.2 and rise / max(long, 1e-6) > 0.4
        foot = 0.0 if a[1] < 0.4 else a[1]
        half = 0.5 * self.width

        def shader(t: Texels) -> Paint:
            y = foot + t.v * ((b[1] - foot) / max(float(np.hypot(b[0] - a[0], b[1] - foot)), 1e-6))
            rgb = self._gloss(t, y)
            over = clamp((y - self.belt) / (self.height - self.belt), 0, 1)
            edge = half - 0.17 * over - 0.05 * clamp((0.45 - y) / 0.2, 0, 1)
            x = np.abs(t.u)
            keep = (x < edge) & (y > 0.19)
            if glass:
                pane = (x < edge - 0.09) & (y > a[1] + 0.05) & (y < b[1] - 0.04)
                shine = noise("fractal", t.u, t.v, 0.04, t.mean, self.seed + 2)
                inside = _PANE if self.rear else (0.17, 0.21, 0.25)
                seat = (np.abs(x - 0.38) < 0.17) & (y < a[1] + 0.62 * rise)
                tone = 1.0 + 0.4 * shine + 0.8 * over - 0.5 * seat
                blend(rgb, coat(inside, clamp(tone, 0.3, 3)), pane)
            elif foot == 0.0:
                blend(rgb, (0.08, 0.08, 0.085), band(y, 0.0, 0.40, t.fv) * 0.9)
                blend(rgb, rgb * 0.55, band(y, 0.545, 0.565, t.fv))
                tyre = (np.abs(x - (half - 0.2)) < 0.11) & (y > 0.05) & (y < 0.34)
                blend(rgb, coat(RUBBER, 0.8 + 0.3 * (np.mod(y, 0.05) > 0.02)), tyre)
                keep |= tyre
                grille = (x < 0.5) & (y > 0.44) & (y < 0.66)
                if not self.rear:
                    blend(rgb, coat((0.06, 0.06, 0.06), 1 + 2.0 * (np.mod(y, 0.06) < 0.02)), grille)
                plate(t, rgb, y, 0.40 if not self.rear else 0.58)
            lamp = (
                (y > 0.60 * self.belt)
                & (y < 0.84 * self.belt)
                & (x > half - 0.42)
                & (x < edge - 0.02)
            )
            if self.rear:
                blend(rgb, (0.62, 0.05, 0.04), lamp)
                blend(rgb, (0.85, 0.75, 0.70), lamp & (np.mod(y, 0.2) < 0.05))
            else:
                blend(
                    rgb,
                    coat((1, 1, 0.97), 0.75 + 0.3 * (np.hypot(x - half + 0.24, y - 0.7) < 0.07)),
                    lamp,
                )
            return Paint(rgb, LABEL_ID["car"], keep)

        return shader


def _slant(height: float) -> float:
    """Length of the cabin's side, which leans in by 0.17 m over that height."""
    return float(np.hypot(height, 0.17))


def paint_car(canvas: Canvas, city: CityStyle, thing: Thing, s: float) -> None:
    """Paint a car whose near end is at s: its near end, and the side that one sees."""
    rng = np.random.default_rng(thing.seed)
    kind = str(rng.choice(tuple(_PROFILES), p=(0.32, 0.24, 0.2, 0.16, 0.08)))
    points = _PROFILES[kind]
    colour = _PAINTS[int(rng.integers(len(_PAINTS)))]
    belt = {"van": 1.15, "offroader": 1.08}.get(kind, 0.96)
    width = 1.75 if kind == "hatchback" else 1.82
    if thing.way == 0:
        _paint_broadside(canvas, thing, s, _Car(points, width, belt, colour, True, 5))
        return
    car = _Car(points, width, belt, colour, thing.way > 0, thing.seed % 991)
    middle = s + 0.5 * car.length
    paint_shadow(canvas, (thing.x, 0.0, middle), width + 0.25, car.length + 0.5, 0.86)
    shape = points if car.rear else tuple((car.length - z, y) for z, y in reversed(points))
    for a, b in pairwise(shape):
        if b[1] <= a[1]:
            break
        foot = a if a[1] >= 0.4 else (a[0], 0.0)
        low, high = (s + foot[0], foot[1]), (s + b[0], b[1])
        canvas.paint(slope(thing.x, 0.5 * width, low, high), car.end(a, b))
    side = -1 if thing.x > canvas.camera.x else 1
    x = thing.x + side * 0.5 * width
    canvas.paint(flank(x, s, s + car.length, belt), car.side(low=True))
    cabin = lean(x, belt, x - side * 0.17, car.height, s, s + car.length)
    canvas.paint(cabin, car.side(low=False))


def _paint_broadside(canvas: Canvas, thing: Thing, s: float, car: _Car) -> None:
    """A car that crosses: its side faces the camera."""
    paint_shadow(canvas, (thing.x, 0.0, s + 0.8), car.length, 1.7, 0.7)
    low, cabin = car.side(low=True), car.side(low=False)
    start = thing.x - 0.5 * car.length
    ends = (0.0, car.length)
    canvas.paint(Quad((start, 0, s), (1, 0, 0), (0, 1, 0), ends, (0, car.belt)), low)
    height = car.height - car.belt
    rise = height / _slant(height)
    up = (0.0, rise, 0.17 / _slant(height))
    canvas.paint(Quad((start, car.belt, s), (1, 0, 0), up, ends, (0, _slant(height))), cabin)
