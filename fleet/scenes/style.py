"""What makes one city look unlike another."""

from dataclasses import dataclass
from math import cos, radians, sin
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fleet.scenes.paint import Colour, Light

Weather: TypeAlias = Literal["clear", "cloudy", "overcast", "evening"]
Material: TypeAlias = Literal["plaster", "brick", "panels"]
Paving: TypeAlias = Literal["slabs", "cobbles", "bricks", "asphalt"]

_WEATHERS: tuple[Weather, ...] = ("clear", "overcast", "cloudy", "evening")
_PALETTES: tuple[tuple[Colour, ...], ...] = (
    ((0.80, 0.70, 0.52), (0.78, 0.58, 0.42), (0.85, 0.80, 0.68), (0.68, 0.50, 0.42)),
    ((0.62, 0.63, 0.64), (0.74, 0.74, 0.72), (0.52, 0.55, 0.58), (0.80, 0.79, 0.75)),
    ((0.60, 0.34, 0.27), (0.52, 0.32, 0.27), (0.70, 0.47, 0.36), (0.76, 0.70, 0.62)),
    ((0.66, 0.72, 0.70), (0.78, 0.72, 0.56), (0.72, 0.60, 0.58), (0.58, 0.64, 0.72)),
)
_PAVINGS: tuple[Paving, ...] = ("slabs", "bricks", "cobbles", "asphalt")


@dataclass(frozen=True, slots=True)
class CityStyle:
    """The look of a city, and the seed of all that stands in it.

    `seed`: entropy of its streets and frames; `facades`: wall colours; `materials`: weights of
    plaster, brick and panels; `storeys`: fewest and most; `density`: share of the street's length
    that is built up; `green`, `traffic`, `people`: 0 (none) to 1 (full); `lanes`: lanes each way;
    `haze`: metres at which two thirds of a colour are lost; `sun`: azimuth from the street's
    direction and height over the horizon, in degrees; `exposure`: gain of the camera.
    """

    name: str
    seed: tuple[int, ...]
    facades: tuple[Colour, ...]
    materials: tuple[float, float, float]
    storeys: tuple[int, int]
    density: float
    green: float
    leaf: Colour
    traffic: float
    people: float
    lanes: int
    parking: bool
    tram: bool
    asphalt: Colour
    cobbled: bool
    paving: Paving
    paving_colour: Colour
    weather: Weather
    sun: tuple[float, float]
    haze: float
    exposure: float

    @property
    def light(self) -> Light:
        """The daylight of this weather and hour."""
        azimuth, height = (radians(a) for a in self.sun)
        towards = (sin(azimuth) * cos(height), sin(height), cos(azimuth) * cos(height))
        if self.weather == "clear":
            return Light(towards, (1.05, 0.97, 0.82), (0.66, 0.72, 0.82))
        if self.weather == "cloudy":
            return Light(towards, (0.55, 0.52, 0.47), (0.88, 0.92, 0.97))
        if self.weather == "overcast":
            return Light(towards, (0.08, 0.08, 0.08), (1.12, 1.15, 1.19))
        return Light(towards, (1.05, 0.76, 0.44), (0.66, 0.62, 0.68))


def draw_city(name: str, seed: int, split: int, index: int) -> CityStyle:
    """The style of city `index` (from 0) of split number `split`, drawn from the seed.

    Weathers, palettes and pavings go round, so that few cities already differ; all else is drawn.
    """
    rng = np.random.default_rng((seed, split, index, 1))
    turn = np.random.default_rng((seed, 2))
    place = index + 3 * split
    weather = _WEATHERS[turn.permutation(4)[place % 4]]
    palette = _PALETTES[turn.permutation(4)[place % 4]]
    paving = _PAVINGS[turn.permutation(4)[place % 4]]
    low = int(rng.integers(1, 4))
    grey = float(rng.uniform(0.26, 0.42))
    tint = rng.uniform(-0.012, 0.012, 3)
    leaf = np.array([0.20, 0.31, 0.09]) + rng.uniform(-0.05, 0.05, 3) * [1.4, 1.0, 0.6]
    stone = rng.uniform(0.38, 0.52) + np.array([0.03, 0.0, -0.03])
    if paving == "bricks":
        stone = np.array([0.50, 0.36, 0.31])
    brick = 6.0 if place % 4 == 2 else 0.8
    materials = np.array([2.0, brick, 1.5]) * rng.uniform(0.4, 1.6, 3)
    return CityStyle(
        name=name,
        seed=(seed, split, index),
        facades=palette,
        materials=_triple(materials / materials.sum()),
        storeys=(low, low + int(rng.integers(2, 5))),
        density=float(rng.uniform(0.35, 0.65)),
        green=float(rng.uniform(0.35, 1.0)),
        leaf=_triple(leaf),
        traffic=float(rng.uniform(0.45, 0.95)),
        people=float(rng.uniform(0.4, 1.0)),
        lanes=int(rng.integers(1, 3)),
        parking=bool(rng.random() < 0.75),
        tram=bool((place + int(rng.integers(2))) % 2 == 0),
        asphalt=_triple(np.clip(grey + tint, 0.2, 0.5)),
        cobbled=bool(rng.random() < 0.2),
        paving=paving,
        paving_colour=_triple(stone),
        weather=weather,
        sun=(float(rng.uniform(55, 160) * rng.choice((-1, 1))), float(rng.uniform(30, 55))),
        haze=float(rng.uniform(220, 500)) if weather == "clear" else float(rng.uniform(110, 260)),
        exposure=float(rng.uniform(0.9, 1.12)),
    )


def _triple(values: NDArray[np.float64]) -> Colour:
    a, b, c = (float(x) for x in values)
    return a, b, c
