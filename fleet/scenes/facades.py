"""What lines the street: buildings with windows, shops and roofs; walls; fences."""

from dataclasses import dataclass

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Quad, flank
from fleet.scenes.canvas import Canvas
from fleet.scenes.noise import Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Paint, Shader, Texels, band, blend, coat
from fleet.scenes.street import Lot
from fleet.scenes.style import CityStyle, Material
from fleet.scenes.walls import surface

_GLASS: Colour = (0.16, 0.19, 0.23)


@dataclass(frozen=True, slots=True)
class _Facade:
    material: Material
    colour: Colour
    trim: Colour
    storey: float
    ground: float
    bay: float
    window: tuple[float, float]  # share of the bay, share of the storey
    shop: bool
    balconies: bool
    height: float
    seed: int

    def _pane(self, t: Texels, own: Floats, x: Floats, up: Floats) -> Floats:
        """Glass with what hangs behind it; `own` is the window's lot, x and up the place in it."""
        pane = coat(_GLASS, 0.75 + 0.9 * own + 0.6 * up * np.mod(own * 17, 1))
        cloud = noise("fractal", t.u + 3 * own, t.v, 0.05, t.mean, self.seed)
        pane += (0.09 * clamp(cloud, 0, 2))[:, None] * np.array([0.8, 0.9, 1.0], np.float32)
        curtain = (own > 0.55) & (np.abs(x) > 1.6 * own - 0.8)
        pleats = 0.62 + 0.10 * np.sin(t.u * 45 + 9 * own) * clamp(1.4 - t.fu / 0.06, 0, 1)
        blend(pane, coat((1.0, 0.97, 0.9), pleats), curtain * 0.75)
        blind = (own < 0.25) & (up > 1 - 3.2 * own)
        slats = 0.55 + 0.12 * (np.mod(t.v, 0.12) > 0.05) * clamp(1.5 - t.fv / 0.06, 0, 1)
        blend(pane, coat((1, 1, 0.97), slats), blind * 0.9)
        blend(pane, (0.95, 0.80, 0.48), ((own > 0.36) & (own < 0.41)) * 0.8)
        return pane

    def _windows(self, t: Texels, rgb: Floats) -> None:
        floor = np.floor((t.v - self.ground) / self.storey)
        column = np.floor(t.u / self.bay)
        x = t.u - (column + 0.5) * self.bay
        y = t.v - self.ground - floor * self.storey
        w, h = 0.5 * self.window[0] * self.bay, self.window[1] * self.storey
        sill = 0.27 * self.storey
        there = (floor >= 0) & (t.v < self.height - 0.5)

        def rectangle(grow: float) -> Floats:
            across = band(x, -w - grow, w + grow, t.fu)
            return np.asarray(across * band(y, sill - grow, sill + h + grow, t.fv) * there)

        frame, glass = rectangle(0.12), rectangle(0.0)
        own = cell_hash(column, floor, self.seed)
        blend(rgb, self.trim, frame)
        m = np.flatnonzero(glass)
        part = Texels(t.u[m], t.v[m], t.fu[m], t.fv[m], t.z[m])
        pane = self._pane(part, own[m], x[m] / w, (y[m] - sill) / h)
        rgb[m] += glass[m, None] * (pane - rgb[m])
        up = (y - sill) / h
        bars = band(x, -0.04, 0.04, t.fu) + band(up * h, 0.64 * h, 0.64 * h + 0.07, t.fv)
        blend(rgb, self.trim, clamp(bars, 0, 1) * glass * 0.9)
        ledge = band(x, -w - 0.2, w + 0.2, t.fu) * band(y, sill - 0.2, sill - 0.08, t.fv) * there
        blend(rgb, (0.34, 0.33, 0.32), 0.7 * ledge)
        if self.balconies:
            rail = there & (y < 0.34 * self.storey) & (np.mod(column, 3) == 1)
            rods = 0.25 + 0.5 * band(np.mod(t.u, 0.14), 0.0, 0.05, t.fu)
            rods = np.where(y < 0.12, 0.7, rods)
            blend(rgb, coat((0.55, 0.56, 0.58), rods + 0.2), rail * 0.9)

    def _street_level(self, t: Texels, rgb: Floats) -> None:
        width = self.bay * 2
        column = np.floor(t.u / width)
        x = t.u - (column + 0.5) * width
        own = cell_hash(column, 7.0, self.seed)
        low = t.v < self.ground - 0.35
        if not self.shop:
            blend(rgb, rgb * 0.72, (t.v < 0.9) * 0.8)
            door = low & (np.abs(x) < 0.65) & (t.v < 2.3) & (own < 0.6)
            wood = 0.8 + 0.25 * (np.mod(t.v, 0.75) > 0.1) * (np.mod(x, 0.6) > 0.08)
            blend(rgb, coat((0.30, 0.22, 0.16), wood), door)
            pane = low & (np.abs(np.abs(x) - 0.3 * width) < 0.55) & (t.v > 1.1) & (t.v < 2.5)
            blend(rgb, coat(_GLASS, 0.8 + own), pane)
            return
        glass = coat((0.20, 0.23, 0.26), 0.7 + 0.6 * own)
        goods = cell_hash(np.floor(t.u / 0.35), np.floor(t.v / 0.45), self.seed + 3)
        wares = np.stack([goods, np.mod(goods * 7, 1), np.mod(goods * 13, 1)], axis=1)
        blend(glass, wares.astype(np.float32), (t.v > 0.7) * (t.v < 1.9) * 0.28)
        glint = noise("fractal", t.u, t.v, 0.04, t.mean, self.seed + 4)
        glass += (0.08 * clamp(glint, -0.5, 2))[:, None]
        window = band(x, -0.44 * width, 0.44 * width, t.fu) * (t.v > 0.5) * (t.v < 2.6)
        blend(rgb, glass, window)
        blend(rgb, self.trim, band(x, -0.05, 0.05, t.fu) * (t.v < 2.6) * 0.9)
        board = (t.v > 2.7) & (t.v < self.ground - 0.1)
        shop = np.floor(t.u / (2 * width))
        hue = [0.15 + 0.6 * cell_hash(shop, float(k), self.seed + 5) for k in range(3)]
        letters = cell_hash(np.floor(t.u / 0.24), shop, self.seed + 6)
        text = board & (np.abs(t.v - 0.5 * (2.6 + self.ground)) < 0.2) & (letters > 0.35)
        strokes = np.mod(t.u, 0.24) < 0.06 + 0.14 * (np.mod(t.v * 9 + 5 * letters, 1) < 0.45)
        sign = np.stack(hue, axis=1)
        blend(sign, (0.93, 0.92, 0.88), text & strokes)
        blend(rgb, sign, board)

    def __call__(self, t: Texels) -> Paint:
        rgb = surface(t, self.material, self.colour, self.seed)
        self._windows(t, rgb)
        street_level = t.v < self.ground
        if street_level.any():
            m = street_level
            part = Texels(t.u[m], t.v[m], t.fu[m], t.fv[m], t.z[m])
            low = rgb[m]
            self._street_level(part, low)
            rgb[m] = low
        ledge = band(np.abs(t.v - self.ground), -1, 0.09, t.fv)
        ledge = ledge + band(t.v, self.height - 0.35, self.height, t.fv)
        blend(rgb, self.trim, clamp(ledge, 0, 1) * 0.85)
        drip = noise("fractal", t.u, t.v * 0.12, 0.04, t.mean, self.seed + 8)
        rgb *= (1 - 0.09 * clamp(drip, 0, 2) * (t.v / self.height))[:, None]
        return Paint(rgb, LABEL_ID["building"])


def _roof(colour: Colour, seed: int) -> Shader:
    def shader(t: Texels) -> Paint:
        row = np.floor(t.v / 0.3)
        tile = cell_hash(np.floor(t.u / 0.24 + 0.5 * (row % 2)), row, seed)
        shade = 0.75 + 0.3 * clamp(np.mod(t.v, 0.3) / 0.3 + t.fv, 0, 1)
        tone = shade * (1 + 0.25 * (tile - 0.5) * clamp(1.5 - t.mean / 0.2, 0.1, 1))
        return Paint(coat(colour, tone), LABEL_ID["building"])

    return shader


def draw_facade(city: CityStyle, lot: Lot) -> _Facade:
    """The façade of a building lot; also used, seen across the street, at its ends."""
    rng = np.random.default_rng(lot.seed)
    pick = int(rng.choice(3, p=city.materials))
    material: Material = ("plaster", "brick", "panels")[pick]
    colour = np.array(city.facades[int(rng.integers(len(city.facades)))])
    if material == "brick":
        colour = 0.4 * colour + 0.6 * np.array([0.50, 0.29, 0.22])
    colour = colour * rng.uniform(0.78, 1.08) * 0.92
    trim = (0.86, 0.85, 0.81) if rng.random() < 0.6 else (0.33, 0.31, 0.30)
    ground = float(rng.uniform(3.3, 4.0))
    floors = max(1, round((lot.height - ground) / 3.1))
    return _Facade(
        material, (float(colour[0]), float(colour[1]), float(colour[2])), trim,
        storey=(lot.height - ground - 0.4) / floors, ground=ground,
        bay=float(rng.uniform(1.9, 3.4)),
        window=(float(rng.uniform(0.42, 0.75)), float(rng.uniform(0.45, 0.58))),
        shop=bool(rng.random() < 0.45), balconies=bool(rng.random() < 0.3),
        height=lot.height, seed=lot.seed % 10007,
    )  # fmt: skip


def paint_building(canvas: Canvas, city: CityStyle, lot: Lot) -> None:
    """Paint a building: front, the end that faces the camera, and the slope of its roof."""
    facade = draw_facade(city, lot)
    x = lot.side * lot.x
    canvas.paint(flank(x, lot.s0, lot.s1, lot.height), facade)
    depth, pitch = 11.0, 0.6 if lot.seed % 3 else 0.0
    rise = 0.5 * depth * pitch

    def gable(t: Texels) -> Paint:
        paint = facade(t)
        under = t.v < lot.height + pitch * np.minimum(t.u, depth - t.u)
        return Paint(paint.rgb, paint.label, under)

    sizes = (0, depth), (0, lot.height + rise)
    canvas.paint(Quad((x, 0, lot.s0), (lot.side, 0, 0), (0, 1, 0), *sizes), gable)
    if pitch:
        tile = ((0.45, 0.24, 0.18), (0.26, 0.26, 0.28), (0.38, 0.28, 0.22))[lot.seed % 7 % 3]
        long = float(np.hypot(0.5 * depth, rise))
        up = (lot.side * 0.5 * depth / long, rise / long, 0.0)
        foot = (x - 0.35 * up[0], lot.height - 0.35 * up[1], lot.s0)
        eaves = Quad(foot, (0, 0, 1), up, (0, lot.s1 - lot.s0), (0, long + 0.35))
        canvas.paint(eaves, _roof(tile, lot.seed % 997))
