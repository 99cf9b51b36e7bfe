"""The streets that a city's frames drive along, and everything that stands or moves in them."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

FRAMES_PER_DRIVE = 10
STEP = 8.0  # metres that the camera advances from one frame to the next
SECONDS = 0.8  # between two frames

LotKind: TypeAlias = Literal["building", "wall", "fence", "park", "crossing"]


@dataclass(frozen=True, slots=True)
class Lot:
    """A stretch of one side of the street (`side` −1 left, 1 right) from s0 to s1, in metres.

    `x` is where its front stands, unsigned; `height` what it rises to (0: open).
    """

    side: int
    s0: float
    s1: float
    kind: LotKind
    x: float
    height: float
    seed: int


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: its kind, where it stands at the first frame, and where it goes.

    `s` is its near end; `speed` metres a second along the street; `way` 1 when it shows its back
    to the camera, −1 its front, 0 its side.
    """

    kind: str
    x: float
    s: float
    speed: float
    way: int
    seed: int

    def at(self, seconds: float) -> float:
        """Where its near end is after that time, in metres along the street."""
        return self.s + self.speed * seconds


@dataclass(frozen=True, slots=True)
class Street:
    """A straight street of 230 m: its cross-section in metres, its lots and its things.

    `lanes` each way, `lane` wide; `strip`: width of the parking strip on both sides; `kerb`: the
    distance of both kerbs from the middle; `walk`: width of the pavement; `rails`: a tram runs in
    the middle; `crossings`: stretches (s0, s1) where another street comes in.
    """

    lanes: int
    lane: float
    strip: float
    kerb: float
    walk: float
    rails: bool
    camera_x: float
    crossings: tuple[tuple[float, float], ...]
    lots: tuple[Lot, ...]
    things: tuple[Thing, ...]
    seed: int

    @property
    def front(self) -> float:
        """Distance of the pavement's far border from the middle of the street, in metres."""
        return self.kerb + self.walk
