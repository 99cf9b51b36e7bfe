"""A pinhole camera over the street, and the planes that it sees."""

from dataclasses import dataclass
from functools import cached_property
from math import cos, hypot, sin
from typing import TypeAlias

Vector: TypeAlias = tuple[float, float, float]

NEAR = 0.5


def cross(a: Vector, b: Vector) -> Vector:
    """The cross product; plain floats, because numpy takes ten times as long on three numbers."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def dot(a: Vector, b: Vector) -> float:
    """The inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@dataclass(frozen=True)
class Camera:
    """Where the camera is: `x` right, `y` up and `s` along the street, in metres; angles in radians.

    `yaw` is positive to the right, `pitch` upwards. One metre at a distance of one metre is `focal`
    pixels.
    """

    width: int
    height: int
    x: float
    y: float
    s: float
    yaw: float
    pitch: float

    @cached_property
    def focal(self) -> float:
        """Focal length in pixels: a field of view of 55 degrees across."""
        return 0.96 * self.width

    @cached_property
    def centre(self) -> tuple[float, float]:
        """The principal point, in pixels; above the middle, as much of the street is below it."""
        return 0.5 * self.width, 0.47 * self.height

    @cached_property
    def _rows(self) -> tuple[Vector, Vector, Vector]:
        """The rotation from the world to the camera, row by row."""
        cy, ny, cp, np_ = cos(self.yaw), sin(self.yaw), cos(self.pitch), sin(self.pitch)
        return (cy, 0.0, -ny), (np_ * ny, -cp, np_ * cy), (cp * ny, np_, cp * cy)

    def turn(self, v: Vector) -> Vector:
        """A direction (x, y, s) of the world as the camera has it: right, down, forward."""
        r = self._rows
        return (
            r[0][0] * v[0] + r[0][1] * v[1] + r[0][2] * v[2],
            r[1][0] * v[0] + r[1][1] * v[1] + r[1][2] * v[2],
            r[2][0] * v[0] + r[2][1] * v[1] + r[2][2] * v[2],
        )

    def see(self, point: Vector) -> Vector:
        """A point of the world as the camera has it, in metres right, down and forward."""
        return self.turn((point[0] - self.x, point[1] - self.y, point[2] - self.s))


@dataclass(frozen=True, slots=True)
class Quad:
    """A rectangle in the world: the points origin + u * along + v * up, all in metres.

    `along` and `up` are unit vectors at right angles; `u` and `v` are the ranges.
    """

    origin: Vector
    along: Vector
    up: Vector
    u: tuple[float, float]
    v: tuple[float, float]

    @property
    def normal(self) -> Vector:
        """A unit vector at right angles to the rectangle; its sign means nothing."""
        return cross(self.along, self.up)


def facing(x: float, s: float, half_width: float, height: float, y: float = 0.0) -> Quad:
    """An upright quad across the street; u is 0 in its middle, v is 0 at its foot."""
    return Quad((x, y, s), (1, 0, 0), (0, 1, 0), (-half_width, half_width), (0, height))


def flank(x: float, s0: float, s1: float, height: float, y: float = 0.0) -> Quad:
    """An upright quad along the street; u is 0 at s0, v is 0 at its foot."""
    return Quad((x, y, s0), (0, 0, 1), (0, 1, 0), (0, s1 - s0), (0, height))


def flat(x0: float, x1: float, s0: float, s1: float, y: float = 0.0) -> Quad:
    """A level quad; u is the world's x and v the world's s."""
    return Quad((0, y, 0), (1, 0, 0), (0, 0, 1), (x0, x1), (s0, s1))


def slope(x: float, half_width: float, low: tuple[float, float], high: tuple[float, float]) -> Quad:
    """A quad across the street that leans from (s, y) `low` to `high`; u is 0 in its middle."""
    ds, dy = high[0] - low[0], high[1] - low[1]
    length = max(hypot(ds, dy), 1e-6)
    up = (0.0, dy / length, ds / length)
    return Quad((x, low[1], low[0]), (1, 0, 0), up, (-half_width, half_width), (0, length))


def lean(x0: float, y0: float, x1: float, y1: float, s0: float, s1: float) -> Quad:
    """A quad along the street that leans from (x0, y0) to (x1, y1); u is 0 at s0."""
    dx, dy = x1 - x0, y1 - y0
    length = max(hypot(dx, dy), 1e-6)
    up = (dx / length, dy / length, 0.0)
    return Quad((x0, y0, s0), (0, 0, 1), up, (0, s1 - s0), (0, length))
