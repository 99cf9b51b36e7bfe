"""How a street is drawn: its cross-section, its lots, and what stands and moves in it."""

from functools import lru_cache

import numpy as np

from fleet.scenes.street import SECONDS, STEP, Lot, Street, Thing
from fleet.scenes.style import CityStyle

_PARKED = ("car", "truck", "motorcycle")
_END = 230.0  # metres along the street at which its lots end


def _lots(
    rng: np.random.Generator,
    city: CityStyle,
    front: float,
    crossings: tuple[tuple[float, float], ...],
) -> tuple[Lot, ...]:
    lots = []
    for side in (-1, 1):
        s, kind = -14.0 - float(rng.uniform(0, 8)), "park"
        while s < _END:
            here = next((c for c in crossings if c[0] - 6 <= s < c[1]), None)
            if here is not None:
                lots.append(Lot(side, s, here[1], "crossing", front, 0.0, 0))
                s = here[1]
                continue
            open_kinds = ("wall", "fence", "park")
            built = rng.random() < city.density
            kind = "building" if built else str(rng.choice(open_kinds, p=(0.30, 0.38, 0.32)))
            length = float(rng.uniform(9, 22) if built else rng.uniform(10, 26))
            ahead = [c[0] for c in crossings if c[0] > s]
            end = min(s + length, *ahead) if ahead else s + length
            if ahead and ahead[0] - end < 6:
                end = ahead[0]
            storeys = int(rng.integers(city.storeys[0], city.storeys[1] + 1))
            height = {"building": 1.2 + 3.2 * storeys, "wall": float(rng.uniform(1.6, 3.0))}
            setback = 0.0 if rng.random() < 0.8 else float(rng.uniform(1.5, 5.0))
            lots.append(
                Lot(
                    side, s, end, kind,  # type: ignore[arg-type]
                    front + (setback if built else 0.0),
                    height.get(kind, float(rng.uniform(1.3, 2.2)) if kind == "fence" else 0.0),
                    int(rng.integers(2**31)),
                )
            )  # fmt: skip
            s = end
    return tuple(lots)


class _Crowd:
    """Collects things, each with a seed of its own."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.things: list[Thing] = []

    def add(self, kind: str, x: float, s: float, speed: float = 0.0, way: int = 1) -> None:
        seed = int(self.rng.integers(2**31))
        self.things.append(Thing(kind, x, s, speed, way, seed))


def _traffic(crowd: _Crowd, city: CityStyle, street: Street) -> None:
    rng, lane = crowd.rng, street.lane
    inner = 3.4 if street.rails else 0.0
    kinds = ("car", "truck", "bus", "motorcyclist")
    for side in (-1, 1):
        for k in range(street.lanes):
            x = side * (inner + lane * (k + 0.5))
            if abs(x - street.camera_x) < 1.0:
                speed, s, last = STEP / SECONDS, 9.0 + float(rng.exponential(9)), _END
            elif side > 0:
                speed, s, last = float(rng.uniform(8, 12)), float(rng.uniform(-40, 12)), _END
            else:
                speed, s, last = -float(rng.uniform(8, 11)), float(rng.uniform(0, 25)), 360.0
            while s < last:
                kind = str(rng.choice(kinds, p=(0.77, 0.07, 0.08, 0.08)))
                crowd.add(kind, x + float(rng.normal(0, 0.15)), s, speed, side)
                s += {"truck": 9.0, "bus": 13.0}.get(kind, 5.0) + 5.0
                s += float(rng.exponential(32.0 * (1.3 - city.traffic)))
        edge = side * (street.kerb - street.strip - 0.6)
        for s in np.cumsum(rng.exponential(34.0, 7)):
            crowd.add("cyclist", edge, float(s), side * float(rng.uniform(3.5, 6.0)), side)
    if street.rails:
        crowd.add("tram", 1.75, float(rng.uniform(16, 60)), 9.0, 1)
        crowd.add("tram", -1.75, float(rng.uniform(40, 170)), -9.0, -1)


def _beside(crowd: _Crowd, city: CityStyle, street: Street) -> None:
    """What stands along the kerbs and on the pavements."""
    rng = crowd.rng
    clear = [(a - 5.0, b + 5.0) for a, b in street.crossings]

    def free(s: float) -> bool:
        return not any(a <= s <= b for a, b in clear)

    for side in (-1, 1):
        if street.strip:
            s = float(rng.uniform(0, 8))
            while s < _END:
                kind = str(rng.choice(_PARKED, p=(0.85, 0.06, 0.09)))
                if free(s) and free(s + 7) and rng.random() < 0.35 + 0.5 * city.traffic:
                    way = side if rng.random() < 0.9 else -side
                    crowd.add(kind, side * (street.kerb - 1.05), s, 0.0, way)
                s += {"truck": 8.0, "motorcycle": 2.6}.get(kind, 5.2) + float(rng.exponential(1.2))
        rows = (
            ("tree", 0.7, 10.0 / (0.15 + city.green)), ("lamp", 0.45, 30.0), ("sign", 0.5, 17.0),
            ("bollard", 0.3, 16.0), ("bicycle", 0.8, 15.0), ("bin", 0.6, 50.0),
            ("motorcycle", 0.9, 45.0),
        )  # fmt: skip
        for kind, inset, spacing in rows:
            s = float(rng.uniform(0, spacing))
            while s < _END:
                if free(s):
                    way = 0 if kind in ("bicycle", "motorcycle") and rng.random() < 0.7 else side
                    group = 1 if kind != "bicycle" else int(rng.integers(1, 5))
                    for k in range(group):
                        crowd.add(kind, side * (street.kerb + inset), s + 0.5 * k, 0.0, way)
                s += spacing * float(rng.uniform(0.6, 1.5))
        for s in np.cumsum(rng.exponential(9.0 / city.people, 45)):
            x = side * float(rng.uniform(street.kerb + 0.7, street.front - 0.3))
            way = int(rng.choice((-1, 1)))
            for k in range(int(rng.choice((1, 1, 1, 2, 3)))):
                crowd.add("person", x + 0.55 * k, float(s), way * float(rng.uniform(0.8, 1.5)), way)


def _at_crossings(crowd: _Crowd, city: CityStyle, street: Street) -> None:
    rng = crowd.rng
    for a, b in street.crossings:
        for side in (-1, 1):
            crowd.add("signal", side * (street.kerb + 0.5), a - 1.0, 0.0, side)
            crowd.add("signal", side * (street.kerb + 0.5), b + 1.0, 0.0, side)
            crowd.add("sign", side * (street.kerb + 0.9), a - 2.5, 0.0, side)
        for _ in range(int(rng.integers(1, 3 + int(5 * city.people)))):
            x = float(rng.uniform(-street.kerb, street.kerb))
            kind = str(rng.choice(("person", "person", "person", "cyclist")))
            crowd.add(kind, x, a - 3.0 + float(rng.uniform(-1, 1)), 0.0, 0)
        if rng.random() < 0.8:
            kind = str(rng.choice(("car", "car", "bus", "truck")))
            far = float(rng.uniform(2.0, street.front + 6)) * float(rng.choice((-1, 1)))
            crowd.add(kind, far, 0.5 * (a + b) + 1.0, 0.0, 0)


@lru_cache(maxsize=8)
def draw_street(city: CityStyle, drive: int) -> Street:
    """The street of that drive (from 0) through the city; the same every time."""
    rng = np.random.default_rng((*city.seed, drive, 3))
    lanes = city.lanes if rng.random() < 0.7 else 3 - city.lanes
    rails = city.tram and bool(rng.random() < 0.6)
    lane = float(rng.uniform(3.0, 3.5))
    inner = 3.4 if rails else 0.0
    strip = 2.2 if city.parking and rng.random() < 0.65 else 0.0
    kerb = inner + lanes * lane + strip + (0.0 if strip else 0.5)
    walk = float(rng.uniform(3.0, 5.5))
    first = float(rng.uniform(22, 60))
    second = first + float(rng.uniform(60, 90))
    crossings = tuple((a, a + float(rng.uniform(8, 11))) for a in (first, second))
    camera = inner + lane * (0.5 + (lanes - 1 if rng.random() < 0.75 else 0))
    seed = int(rng.integers(2**31))
    lots = _lots(rng, city, kerb + walk, crossings)
    street = Street(lanes, lane, strip, kerb, walk, rails, camera, crossings, lots, (), seed)
    crowd = _Crowd(rng)
    _traffic(crowd, city, street)
    _beside(crowd, city, street)
    _at_crossings(crowd, city, street)
    return Street(
        lanes, lane, strip, kerb, walk, rails, camera, crossings, lots, tuple(crowd.things), seed
    )
