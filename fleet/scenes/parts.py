"""What all vehicles have: wheels and number plates."""

import numpy as np

from fleet.scenes.noise import Bools, Floats
from fleet.scenes.paint import Colour, Texels, band, blend, coat

RUBBER: Colour = (0.05, 0.05, 0.055)


def wheel(t: Texels, rgb: Floats, x: float, radius: float) -> Bools:
    """Draw a wheel at u = x that stands on v = 0; returns where."""
    distance = np.hypot(t.u - x, t.v - radius)
    there = distance < radius
    blend(rgb, coat(RUBBER, 0.8 + 0.5 * (distance / radius)), there)
    angle = np.arctan2(t.v - radius, t.u - x)
    spokes = 0.30 + 0.35 * (np.sin(angle * 5) > -0.2)
    blend(rgb, coat((1.0, 1.0, 1.02), spokes), distance < 0.64 * radius)
    blend(rgb, (0.2, 0.2, 0.2), distance < 0.14 * radius)
    return np.asarray(there)


def plate(t: Texels, rgb: Floats, y: Floats, low: float) -> None:
    """Draw a number plate, 0.52 m wide, in the middle of an end at height `low`."""
    there = band(t.u, -0.26, 0.26, t.fu) * band(y, low, low + 0.115, t.fv)
    blend(rgb, (0.85, 0.85, 0.80), there)
    glyph = np.mod(np.floor(t.u / 0.026) * 5 + np.floor(y / 0.03) * 3, 4) < 2
    text = glyph & (np.mod(t.u, 0.065) < 0.045) & (np.abs(y - low - 0.057) < 0.035)
    blend(rgb, (0.08, 0.08, 0.10), there * text * (np.abs(t.u) < 0.23))
