"""The best split of a number of bytes between more frames and larger ones, by a given law."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import minimize_scalar

from server.planning.law import Law


@dataclass(frozen=True)
class Split:
    """So many frames of so many bytes.

    Attributes:
        frames: n.
        size: L, bytes of each.
        error: that the law tells, 1 − accuracy.
    """

    frames: float
    size: float
    error: float

    @property
    def bytes(self) -> float:
        """All of them."""
        return self.frames * self.size


def best_split(law: Law, total: float) -> Split:
    """The split of `total` bytes with the least error.

    Where both terms fall, the optimum is where α·A·n^−α = β·B·L^−β (the derivative along n·L = total).

    Args:
        law: the law.
        total: n · L in bytes, at least 1.
    """
    # One frame at least, and one byte a frame.
    ends = (0.0, math.log(total))
    found = minimize_scalar(
        lambda x: float(law.error(math.exp(x), total / math.exp(x))),
        bounds=ends,
        method="bounded",
        options={"xatol": 1e-9},
    )
    # A law without one of the terms has its optimum at an end, which the search does not touch.
    x = min(
        (float(found.x), *ends), key=lambda x: float(law.error(math.exp(x), total / math.exp(x)))
    )
    frames = math.exp(x)
    return Split(frames, total / frames, float(law.error(frames, total / frames)))


def fewest_bytes(law: Law, error: float) -> Split:
    """The split of the fewest bytes that has at most an error.

    Raises:
        ValueError: the law never falls so far.
    """
    if error <= law.floor:
        raise ValueError(
            f"the law never falls below an error of {law.floor:.4g} "
            f"(accuracy {1 - law.floor:.2%}), whatever is sent"
        )
    low, high = 0.0, 1.0
    while best_split(law, math.exp(high)).error > error:
        low, high = high, 2 * high
        if high > 600:
            raise ValueError("the law needs more than 10^260 bytes for it")
    for _ in range(80):
        middle = (low + high) / 2
        if best_split(law, math.exp(middle)).error > error:
            low = middle
        else:
            high = middle
    return best_split(law, math.exp(high))
