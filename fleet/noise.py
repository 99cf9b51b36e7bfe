"""Random numbers that depend on what they are for, not on when or where they are drawn.

A vehicle's luck must be the same however vehicles are divided among hosts and however often a host
starts again. So every draw is a hash of (seed, purpose, vehicle, counter): SplitMix64's finaliser
(Steele, Lea, Flood, *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014) over arrays.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed: int, purpose: str, vehicle: ArrayLike, counter: ArrayLike) -> NDArray[np.float64]:
    """Uniform draws in [0, 1), one for each pair of vehicle and counter (broadcast).

    Args:
        seed: the campaign's seed, ≥ 0.
        purpose: what the draw decides; each purpose has its own stream.
        vehicle: global vehicle numbers, ≥ 0.
        counter: which draw of the vehicle, ≥ 0.
    """
    with np.errstate(over="ignore"):
        state = _mix(
            np.asarray([seed], np.uint64) + _GAMMA * np.uint64(zlib.crc32(purpose.encode()))
        )
        state = _mix(state + _GAMMA * (np.asarray(vehicle, np.uint64) + np.uint64(1)))
        state = _mix(state + _GAMMA * (np.asarray(counter, np.uint64) + np.uint64(1)))
    drawn = (state >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return drawn.reshape(np.broadcast_shapes(np.shape(vehicle), np.shape(counter)))
