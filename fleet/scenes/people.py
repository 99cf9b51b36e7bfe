"""Persons on foot and riders on bicycles and motorcycles."""

from dataclasses import dataclass

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.camera import Quad, facing
from fleet.scenes.canvas import Canvas
from fleet.scenes.cycles import paint_cycle
from fleet.scenes.ground import KERB, paint_shadow
from fleet.scenes.noise import Bools, Floats, cell_hash, clamp, noise
from fleet.scenes.paint import Colour, Paint, Texels, blend, coat
from fleet.scenes.street import Street, Thing
from fleet.scenes.style import CityStyle

_SKINS: tuple[Colour, ...] = ((0.80, 0.60, 0.48), (0.62, 0.43, 0.31), (0.36, 0.24, 0.17))
_HAIRS: tuple[Colour, ...] = (
    (0.10, 0.08, 0.07),
    (0.30, 0.20, 0.12),
    (0.55, 0.45, 0.28),
    (0.5, 0.5, 0.5),
)

Point = tuple[float, float]


def capsule(t: Texels, a: Point, b: Point, ra: float, rb: float) -> Floats:
    """Signed distance [n] to a limb from a to b, of radius ra there and rb here."""
    du, dv = t.u - a[0], t.v - a[1]
    bu, bv = b[0] - a[0], b[1] - a[1]
    along = clamp((du * bu + dv * bv) / max(bu * bu + bv * bv, 1e-6), 0, 1)
    return np.asarray(np.hypot(du - along * bu, dv - along * bv) - (ra + (rb - ra) * along))


@dataclass(frozen=True)
class _Clothes:
    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    pattern: int
    coat: bool
    bag: bool
    helmet: bool
    seed: int

    def cloth(self, t: Texels, colour: Colour, pattern: int) -> Floats:
        """Cloth: folds, and plain, striped, checked or speckled: [n, 3]."""
        folds = noise("fractal", t.u * 1.5, t.v * 0.7, 0.012, t.mean, self.seed)
        tone = 1 + 0.14 * folds
        if pattern == 1:
            tone = tone * np.where(np.mod(t.v, 0.11) < 0.05, 0.45, 1.25)
        elif pattern == 2:
            tone = tone * (
                0.7 + 0.35 * (np.mod(t.v, 0.12) < 0.06) + 0.35 * (np.mod(t.u, 0.12) < 0.06)
            )
        elif pattern == 3:
            tone = tone * (
                0.65 + 0.8 * cell_hash(np.floor(t.u / 0.04), np.floor(t.v / 0.04), self.seed)
            )
        return coat(colour, tone)


def _clothes(rng: np.random.Generator, helmet: bool) -> _Clothes:
    top = clamp(rng.uniform(0.05, 0.75) + rng.uniform(-0.25, 0.25, 3), 0.03, 0.9)
    legs = clamp(np.array([0.14, 0.16, 0.22]) * rng.uniform(0.5, 2.4), 0.03, 0.8)
    return _Clothes(
        _SKINS[int(rng.integers(3))], _HAIRS[int(rng.integers(4))],
        (float(top[0]), float(top[1]), float(top[2])), (float(legs[0]), float(legs[1]), float(legs[2])),
        int(rng.integers(4)), bool(rng.random() < 0.3), bool(rng.random() < 0.35), helmet,
        int(rng.integers(997)),
    )  # fmt: skip


def _draw(t: Texels, wear: _Clothes, limbs: dict[str, list[tuple[Point, Point, float, float]]],
          head: Point, front: bool, label: int) -> Paint:  # fmt: skip
    """Lay clothed limbs over each other in the order given, then the head."""
    keep: Bools = np.zeros(t.u.size, np.bool_)
    rgb = np.zeros((t.u.size, 3), np.float32)
    top, legs = wear.cloth(t, wear.top, wear.pattern), wear.cloth(t, wear.legs, 0)
    for what, parts in limbs.items():
        cloth = top if what.startswith("top") else legs
        for a, b, ra, rb in parts:
            distance = capsule(t, a, b, ra, rb)
            inside = distance < 0
            # Darker towards the outline: limbs stay apart where they overlap.
            round_ = 0.62 + 0.45 * clamp(-distance / max(ra, rb), 0, 1)
            blend(rgb, cloth * round_[:, None], inside)
            keep |= inside
    face = capsule(t, (head[0], head[1] - 0.04), (head[0], head[1] + 0.04), 0.085, 0.1) < 0
    blend(rgb, wear.skin, face)
    keep |= face
    cap = capsule(t, (head[0], head[1] + 0.05), (head[0], head[1] + 0.06), 0.105, 0.105) < 0
    if front and not wear.helmet:
        cap &= t.v > head[1] + 0.03
    strands = 1 + 0.3 * noise("speckle", t.u * 2, t.v, 0.01, t.mean, wear.seed)
    hair: Colour = (0.75, 0.75, 0.72) if wear.helmet else wear.hair
    blend(rgb, coat(hair, strands), cap)
    keep |= cap
    return Paint(rgb, label, keep)


def paint_person(canvas: Canvas, city: CityStyle, street: Street, thing: Thing, s: float) -> None:
    """Paint a person who walks along the street, or across it."""
    rng = np.random.default_rng(thing.seed)
    wear, size = _clothes(rng, helmet=False), float(rng.uniform(0.9, 1.08))
    broad = 1.0 if thing.way else 0.75
    # The stride follows the way that was walked, and is wide where it is seen from the side.
    phase = float(np.sin(s * 4.0 + thing.seed % 7)) if thing.speed else float(rng.uniform(-1, 1))
    step = phase * (0.10 if thing.way else 0.30)
    y = KERB if abs(thing.x) > street.kerb else 0.0

    def shader(t: Texels) -> Paint:
        t = Texels(t.u / size, t.v / size, t.fu, t.fv, t.z)
        hip, knee = 0.88, 0.47
        lift = 0.12 * abs(phase)
        legs = [
            ((-0.08, hip), (-0.09 - step * 0.4, knee), 0.10, 0.075),
            ((-0.09 - step * 0.4, knee), (-0.09 - step, 0.05 + lift * (phase > 0)), 0.07, 0.055),
            ((0.08, hip), (0.09 + step * 0.4, knee), 0.10, 0.075),
            ((0.09 + step * 0.4, knee), (0.09 + step, 0.05 + lift * (phase < 0)), 0.07, 0.055),
        ]
        reach = 0.27 * broad
        arms = [
            ((-0.19 * broad, 1.38), (-reach - step * 0.3, 1.12), 0.06, 0.05),
            ((-reach - step * 0.3, 1.12), (-reach + step * 0.6, 0.90), 0.05, 0.04),
            ((0.19 * broad, 1.38), (reach + step * 0.3, 1.12), 0.06, 0.05),
            ((reach + step * 0.3, 1.12), (reach - step * 0.6, 0.90), 0.05, 0.04),
        ]
        body = [((0.0, 1.33), (0.0, 0.92), 0.185 * broad, 0.145 * broad)]
        if wear.coat:
            body.append(((0.0, 1.0), (0.0, 0.66), 0.17 * broad, 0.22 * broad))
        limbs = {"legs": legs, "top arms": arms, "top": body}
        if wear.bag:
            limbs["legs bag"] = [((0.05, 1.2), (-0.05, 0.98), 0.11, 0.13)]
        return _draw(t, wear, limbs, (0.0, 1.63), thing.way < 0, LABEL_ID["person"])

    if s - canvas.camera.s < 30:
        paint_shadow(canvas, (thing.x, y, s), 0.35, 0.25, 0.45)
    canvas.paint(facing(thing.x, s, 0.65, 1.85 * size, y), shader)


def paint_rider(canvas: Canvas, city: CityStyle, street: Street, thing: Thing, s: float) -> None:
    """Paint a rider and the bicycle or motorcycle under them."""
    rng = np.random.default_rng(thing.seed)
    motor = thing.kind == "motorcyclist"
    wear = _clothes(rng, helmet=motor or rng.random() < 0.4)
    kind = "motorcycle" if motor else "bicycle"
    seat = 0.80 if motor else 0.95

    def along(t: Texels) -> Paint:
        legs = [
            ((-0.09, seat), (-0.21, 0.62), 0.10, 0.08), ((-0.21, 0.62), (-0.15, 0.25), 0.07, 0.06),
            ((0.09, seat), (0.20, 0.50), 0.10, 0.08), ((0.20, 0.50), (0.15, 0.12), 0.07, 0.06),
        ]  # fmt: skip
        arms = [
            ((-0.19, seat + 0.46), (-0.33, seat + 0.2), 0.065, 0.05),
            ((0.19, seat + 0.46), (0.33, seat + 0.2), 0.065, 0.05),
        ]
        body = [((0.0, seat + 0.42), (0.0, seat + 0.05), 0.19, 0.17)]
        limbs = {"legs": legs, "top arms": arms, "top": body}
        return _draw(t, wear, limbs, (0.0, seat + 0.72), thing.way < 0, LABEL_ID["rider"])

    def across(t: Texels) -> Paint:
        legs = [
            ((-0.22, seat), (0.12, 0.72), 0.10, 0.08), ((0.12, 0.72), (-0.02, 0.30), 0.07, 0.055),
            ((-0.22, seat), (0.16, 0.60), 0.10, 0.08), ((0.16, 0.60), (0.08, 0.16), 0.07, 0.055),
        ]  # fmt: skip
        arms = [((0.03, seat + 0.45), (0.40, seat + 0.12), 0.06, 0.045)]
        body = [((0.0, seat + 0.42), (-0.2, seat + 0.05), 0.15, 0.15)]
        limbs = {"legs": legs, "top": body, "top arms": arms}
        return _draw(t, wear, limbs, (0.08, seat + 0.70), False, LABEL_ID["rider"])

    paint_shadow(canvas, (thing.x, 0.0, s), 0.4, 1.6, 0.5)
    shader = along if thing.way else across
    quad = Quad((thing.x, 0, s - 0.02), (1, 0, 0), (0, 1, 0), (-0.7, 0.7), (0, 1.95))
    canvas.paint(quad, shader)
    paint_cycle(canvas, Thing(kind, thing.x, s, 0.0, thing.way, thing.seed), s, 0.0)
