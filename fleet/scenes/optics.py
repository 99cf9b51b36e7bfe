"""From painted light to the camera's picture: haze, lens, sensor."""

import numpy as np
import numpy.typing as npt

from fleet.frames.labels import LABEL_ID
from fleet.scenes.canvas import Canvas
from fleet.scenes.noise import Floats, clamp
from fleet.scenes.sky import horizon
from fleet.scenes.style import CityStyle


def add_haze(canvas: Canvas, city: CityStyle) -> None:
    """Fade what is far into the colour of the horizon; before the sky is painted, which stays."""
    with np.errstate(divide="ignore"):
        clear = np.exp(np.float32(-1 / city.haze) / canvas.nearness)[:, None]
    veil = np.asarray(horizon(city.weather), np.float32)
    canvas.rgb -= veil
    canvas.rgb *= clear
    canvas.rgb += veil


def paint_bonnet(canvas: Canvas, city: CityStyle) -> None:
    """Paint the camera car's own bonnet over the foot of the picture."""
    camera = canvas.camera
    x = (np.arange(camera.width, dtype=np.float32) + 0.5) / camera.width - 0.5
    y = (np.arange(camera.height, dtype=np.float32) + 0.5) / camera.height
    rim = 0.93 + 0.28 * x * x
    rows, columns = np.nonzero(y[:, None] > rim[None, :])
    depth = y[rows] - rim[columns]
    gloss = 0.55 + 0.45 * np.exp(-depth * 60) + 0.25 * np.cos(x[columns] * 9)
    index = rows * camera.width + columns
    metal = np.array((0.16, 0.17, 0.19), np.float32) + 0.12 * np.array(horizon(city.weather))
    canvas.rgb[index] = gloss[:, None] * metal.astype(np.float32)
    canvas.label[index] = LABEL_ID["ego vehicle"]


def _smooth(image: Floats, weight: float) -> Floats:
    """A small blur, the same both ways: weights w, 1 − 2 w, w. [height, width, 3]."""
    w = np.float32(weight)
    for _ in range(2):
        blurred = image * (1 - 2 * w)
        blurred[1:] += w * image[:-1]
        blurred[:-1] += w * image[1:]
        blurred[0] += w * image[0]
        blurred[-1] += w * image[-1]
        image = blurred.transpose(1, 0, 2)
    return image


def expose(canvas: Canvas, city: CityStyle, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The frame, uint8 [height, width, 3]: lens blur, vignette, tone curve and sensor noise."""
    camera = canvas.camera
    image = _smooth(canvas.rgb.reshape(camera.height, camera.width, 3), 0.13)
    right, down = canvas.rays
    edge = right[None, :] ** 2 + down[:, None] ** 2
    gain = np.float32(city.exposure * rng.uniform(0.95, 1.05)) * (1 - np.float32(0.35) * edge)
    image = np.maximum(image * gain[..., None], 0)
    image = (
        image * (1 + image * np.float32(0.12)) / (1 + image * np.float32(0.28))
    )  # soft highlights
    # Grain is grey: a camera smooths the colour of its noise away.
    grain = rng.standard_normal((camera.height, camera.width, 1), np.float32)
    image = image + (0.004 + 0.006 * np.sqrt(image[..., 1:2])) * grain
    return np.asarray(clamp(image * 255 + 0.5, 0, 255).astype(np.uint8))
