"""What shaders take and give: points of a surface, colours, labels, light."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fleet.scenes.camera import Vector, dot
from fleet.scenes.noise import Bools, Floats, clamp

Colour: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Texels:
    """The points of one quad that the picture sees: arrays [n], in metres.

    `u`, `v`: where on the quad; `fu`, `fv`: how much of it a pixel covers; `z`: distance.
    """

    u: Floats
    v: Floats
    fu: Floats
    fv: Floats
    z: Floats

    @property
    def fine(self) -> Floats:
        """What a pixel covers across its line of sight, in metres [n]."""
        return np.minimum(self.fu, self.fv)

    @property
    def mean(self) -> Floats:
        """What a pixel covers, as the side of a square of that area, in metres [n]."""
        return np.asarray(np.sqrt(self.fu * self.fv))


@dataclass(frozen=True, slots=True)
class Paint:
    """What a shader gives for n texels.

    `rgb`: [n, 3], 0 to 1 before light; `label`: one id or [n] ids; `keep`: [n], False where the
    quad is open and one sees through it (None: nowhere).
    """

    rgb: Floats
    label: int | npt.NDArray[np.uint8]
    keep: Bools | None = None


Shader: TypeAlias = Callable[[Texels], Paint]


@dataclass(frozen=True, slots=True)
class Light:
    """Daylight: a sun in a direction (unit vector towards it) and the sky from everywhere."""

    towards: Vector
    sun: Colour
    sky: Colour

    def on(self, normal: Vector) -> Floats:
        """The light [3] that a surface with this normal, turned to the camera, gets."""
        cosine = max(0.0, dot(normal, self.towards))
        # A surface that looks up sees the whole sky, a wall less of it.
        part = 0.85 + 0.15 * max(0.0, normal[1])
        light = [a * part + b * cosine for a, b in zip(self.sky, self.sun, strict=True)]
        return np.array(light, np.float32)


def band(x: Floats, low: Floats | float, high: Floats | float, footprint: Floats | float) -> Floats:
    """How much of a pixel at x lies between low and high: [n], 0 to 1, smooth at the borders."""
    f = 1.0 / np.maximum(footprint, 1e-4)
    return clamp((x - low) * f + 0.5, 0, 1) * clamp((high - x) * f + 0.5, 0, 1)


def blend(rgb: Floats, colour: Colour | Floats, alpha: Floats | Bools | float) -> None:
    """Lay a colour ([3] or [n, 3]) over rgb [n, 3] in place, as thick as alpha [n]."""
    weight = np.asarray(alpha, np.float32)
    if weight.ndim:
        weight = weight[:, None]
    rgb += weight * (np.asarray(colour, np.float32) - rgb)


def coat(colour: Colour, tone: Floats) -> Floats:
    """One colour with a tone [n] around 1: float32 [n, 3]."""
    return np.asarray(np.multiply.outer(tone, np.asarray(colour, np.float32)).astype(np.float32))
