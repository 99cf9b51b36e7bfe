"""The picture while it is painted: colours, labels and distances of its pixels."""

from collections.abc import Callable
from functools import cached_property
from math import ceil, floor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fleet.scenes.camera import NEAR, Camera, Quad, Vector, cross, dot
from fleet.scenes.noise import Floats
from fleet.scenes.paint import Light, Shader, Texels


class _Box(NamedTuple):
    """Columns x0 to x1 and rows y0 to y1 (past the last), and the nearest distance in metres."""

    x0: int
    x1: int
    y0: int
    y1: int
    nearest: float


class Canvas:
    """Pixels with a distance each: whatever is painted nearer hides what is farther."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        pixels = camera.width * camera.height
        self.rgb = np.zeros((pixels, 3), np.float32)
        self.label = np.zeros(pixels, np.uint8)
        # One over the distance: linear over a plane's picture, and 0 where there is nothing yet.
        self.nearness = np.zeros(pixels, np.float32)

    @cached_property
    def rays(self) -> tuple[Floats, Floats]:
        """Slopes of the pixels' rays: to the right [width] and downwards [height]."""
        camera = self.camera
        cx, cy = camera.centre
        right = (np.arange(camera.width, dtype=np.float32) + 0.5 - cx) / camera.focal
        down = (np.arange(camera.height, dtype=np.float32) + 0.5 - cy) / camera.focal
        return right.astype(np.float32), down.astype(np.float32)

    def _box(self, shape: list[Vector]) -> _Box | None:
        """The pixels that a polygon, as the camera has it, can touch, if any."""
        points = []
        for here, there in zip(shape, shape[1:] + shape[:1], strict=True):
            if here[2] > NEAR:
                points.append(here)
            if (here[2] > NEAR) != (there[2] > NEAR):
                k = (NEAR - here[2]) / (there[2] - here[2])
                x, y = here[0] + k * (there[0] - here[0]), here[1] + k * (there[1] - here[1])
                points.append((x, y, NEAR))
        if not points:
            return None
        camera = self.camera
        cx, cy = camera.centre
        across = [x / z * camera.focal + cx for x, _, z in points]
        downwards = [y / z * camera.focal + cy for _, y, z in points]
        x0, x1 = max(0, floor(min(across))), min(camera.width, ceil(max(across)))
        y0, y1 = max(0, floor(min(downwards))), min(camera.height, ceil(max(downwards)))
        if x1 <= x0 or y1 <= y0:
            return None
        return _Box(x0, x1, y0, y1, min(z for _, _, z in points))

    def sees(self, x: float, half_width: float, s0: float, s1: float, height: float) -> bool:
        """Whether anything of a block on the ground, from s0 to s1, can still show."""
        camera = self.camera
        left, right = x - half_width, x + half_width
        # Two upright diagonal sheets touch the same rows and columns as the block.
        shape = [
            camera.see(p)
            for p in (
                (left, 0.0, s0), (right, 0.0, s1), (right, height, s1), (left, height, s0),
                (right, height, s0), (left, height, s1), (left, 0.0, s1), (right, 0.0, s0),
            )
        ]  # fmt: skip
        box = self._box(shape)
        if box is None:
            return False
        behind = self.nearness.reshape(camera.height, camera.width)
        return bool(behind[box.y0 : box.y1, box.x0 : box.x1].min() * box.nearest < 1)

    def _meet(self, quad: Quad, bias: float) -> tuple[npt.NDArray[np.intp], Texels] | None:
        """The pixels (flat index) where the quad is nearer than what is there, and its texels."""
        camera = self.camera
        origin, a, b = camera.see(quad.origin), camera.turn(quad.along), camera.turn(quad.up)
        shape: list[Vector] = []
        for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)):
            p, q = quad.u[i], quad.v[j]
            shape.append(
                (
                    origin[0] + p * a[0] + q * b[0],
                    origin[1] + p * a[1] + q * b[1],
                    origin[2] + p * a[2] + q * b[2],
                )
            )
        box = self._box(shape)
        if box is None:
            return None
        x0, x1, y0, y1 = box.x0, box.x1, box.y0, box.y1
        behind = self.nearness.reshape(camera.height, camera.width)[y0:y1, x0:x1]
        if behind.min() * box.nearest >= 1 + bias:
            return None
        # A ray t * (right, down, 1) meets the plane where origin + u * a + v * b = t * ray; the
        # rows of h are the inverse of the matrix with columns a, b, origin.
        normal = cross(a, b)
        volume = dot(normal, origin)
        if abs(volume) < 1e-6:
            return None
        h = [[c / volume for c in row] for row in (cross(b, origin), cross(origin, a), normal)]
        right, down = self.rays
        nearness = h[2][0] * right[x0:x1] + (h[2][1] * down[y0:y1, None] + h[2][2])
        if bias:
            behind = behind * (1 - bias)
        rows, columns = np.nonzero((nearness > behind) & (nearness < 1 / NEAR))
        z = 1 / nearness[rows, columns]
        rows += y0
        columns += x0
        x, y = right[columns], down[rows]
        u = (h[0][0] * x + h[0][1] * y + h[0][2]) * z
        v = (h[1][0] * x + h[1][1] * y + h[1][2]) * z
        inside = (u >= quad.u[0]) & (u <= quad.u[1]) & (v >= quad.v[0]) & (v <= quad.v[1])
        if not inside.any():
            return None
        index = (rows * camera.width + columns)[inside]
        u, v, z = u[inside], v[inside], z[inside]
        step = z * np.float32(1 / camera.focal)
        fu = np.maximum(abs(h[0][0] - u * h[2][0]), abs(h[0][1] - u * h[2][1])) * step
        fv = np.maximum(abs(h[1][0] - v * h[2][0]), abs(h[1][1] - v * h[2][1])) * step
        return index, Texels(u, v, fu, fv, z)

    def paint(self, quad: Quad, shader: Shader) -> None:
        """Paint a quad where it is in front of what has been painted, in this light."""
        met = self._meet(quad, 0.0)
        if met is None:
            return
        index, texels = met
        paint = shader(texels)
        normal, origin, camera = quad.normal, quad.origin, self.camera
        back = (origin[0] - camera.x, origin[1] - camera.y, origin[2] - camera.s)
        if dot(normal, back) > 0:
            normal = (-normal[0], -normal[1], -normal[2])
        rgb = paint.rgb * self.light.on(normal)
        label, nearness = paint.label, 1 / texels.z
        if paint.keep is not None:
            index, rgb = index[paint.keep], rgb[paint.keep]
            nearness = nearness[paint.keep]
            if not isinstance(label, int):
                label = label[paint.keep]
        self.rgb[index] = rgb
        self.label[index] = label
        self.nearness[index] = nearness

    def darken(self, quad: Quad, strength: Callable[[Texels], Floats]) -> None:
        """Multiply what is painted at the quad's place by 1 − strength ([n], 0 to 1)."""
        met = self._meet(quad, 0.01)
        if met is not None:
            index, texels = met
            self.rgb[index] *= (1.0 - strength(texels))[:, None]
