"""The sky of a weather."""

import numpy as np

from fleet.frames.labels import LABEL_ID
from fleet.scenes.canvas import Canvas
from fleet.scenes.noise import clamp, noise
from fleet.scenes.paint import Colour, blend
from fleet.scenes.style import CityStyle, Weather

# Colours at the zenith and the horizon, of clouds, and how much of the sky the clouds cover.
_SKIES: dict[Weather, tuple[Colour, Colour, Colour, float]] = {
    "clear": ((0.30, 0.50, 0.82), (0.76, 0.85, 0.94), (0.97, 0.97, 0.97), -0.9),
    "cloudy": ((0.42, 0.56, 0.76), (0.80, 0.84, 0.88), (0.93, 0.93, 0.94), 0.2),
    "overcast": ((0.78, 0.80, 0.83), (0.87, 0.88, 0.89), (0.68, 0.70, 0.73), 0.0),
    "evening": ((0.42, 0.50, 0.68), (0.98, 0.80, 0.58), (0.95, 0.72, 0.60), -0.2),
}


def horizon(weather: Weather) -> Colour:
    """The colour that far things fade into."""
    return _SKIES[weather][1]


def paint_sky(canvas: Canvas, city: CityStyle, drift: int) -> None:
    """Fill every pixel that nothing was painted on; `drift` chooses the clouds."""
    index = np.flatnonzero(canvas.nearness == 0)
    canvas.label[index] = LABEL_ID["sky"]
    right, down = canvas.rays
    row, column = np.divmod(index, canvas.camera.width)
    up = np.maximum(-down[row] + np.float32(canvas.camera.pitch), 0.02)
    zenith, low, cloud, cover = _SKIES[city.weather]
    rgb = np.empty((index.size, 3), np.float32)
    rgb[:] = low
    blend(rgb, zenith, clamp(up / 0.5, 0, 1) ** 0.7)
    # Clouds lie on a plane overhead: they shrink towards the horizon.
    away = 1 / (up + 0.12)
    footprint = away * away / canvas.camera.focal
    billow = noise("fractal", right[column] * away, away * 1.4, 0.018, footprint, drift)
    edge = noise("fractal", right[column] * away, away * 1.4, 0.004, footprint, drift + 1)
    thick = clamp((billow + 0.25 * edge + cover) * 0.7, 0, 1)
    lit = np.asarray(cloud, np.float32) * (1.03 - 0.13 * thick)[:, None]
    blend(rgb, lit, thick * clamp(up / 0.06, 0.2, 1))
    canvas.rgb[index] = rgb
