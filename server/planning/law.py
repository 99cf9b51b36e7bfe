"""The law of error against the number of frames and their size, and its fit to what was measured.

error(n, L) = A·n^−α + B·L^−β + E, with n train frames of L bytes each (Mentzer & Montanari, KDD 2024).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.optimize import minimize, nnls

from fleet.config import Config

F64 = NDArray[np.float64]

_EXPONENTS = (0.02, 3.0)
"""Bounds of α and β in a fit: beyond them a term is as good as constant, or as good as gone."""
_STARTS = (0.1, 0.3, 0.7, 1.5)
"""Values of α and β that a fit starts from."""
LEAST = 3
"""Distinct numbers of frames, and of bytes, that a fit needs: each term has a size and an exponent,
beside what is left over."""


class LawConfig(Config):
    """The constants of a law; error is 1 − accuracy."""

    frames_factor: float = Field(ge=0)
    """A, of the term that falls with the number of frames."""
    frames_exponent: float = Field(gt=0)
    """α."""
    bytes_factor: float = Field(ge=0)
    """B, of the term that falls with the bytes of a frame."""
    bytes_exponent: float = Field(gt=0)
    """β."""
    floor: float = Field(ge=0, lt=1)
    """E: the error that is left with any number of frames of any size."""

    @property
    def law(self) -> Law:
        """The law with these constants."""
        return Law(
            self.frames_factor,
            self.frames_exponent,
            self.bytes_factor,
            self.bytes_exponent,
            self.floor,
        )


@dataclass(frozen=True)
class Law:
    """error(n, L) = frames_factor·n^−frames_exponent + bytes_factor·L^−bytes_exponent + floor."""

    frames_factor: float
    frames_exponent: float
    bytes_factor: float
    bytes_exponent: float
    floor: float

    def error(self, frames: ArrayLike, size: ArrayLike) -> F64:
        """The error, 1 − accuracy.

        Args:
            frames: how many train frames, > 0.
            size: bytes of each, > 0.
        """
        n, length = np.asarray(frames, np.float64), np.asarray(size, np.float64)
        told: F64 = (
            self.frames_factor * n**-self.frames_exponent
            + self.bytes_factor * length**-self.bytes_exponent
            + self.floor
        )
        return told

    def values(self) -> tuple[float, ...]:
        """The constants, in the order of `names`."""
        return astuple(self)

    @staticmethod
    def names() -> tuple[str, ...]:
        """What the constants are called."""
        return tuple(field.name for field in fields(Law))


def fit(frames: ArrayLike, size: ArrayLike, error: ArrayLike, near: Law | None = None) -> Law:
    """The law of the least squared differences to measured errors.

    With the exponents given, the law is linear in its other constants, none of which is below 0:
    these are solved for (non-negative least squares), and only the two exponents are searched, from
    several starts.

    Args:
        frames, size, error: of each measurement, > 0.
        near: a law whose exponents to start from, alone; None: several starts.

    Raises:
        ValueError: fewer than `LEAST` distinct numbers of frames, or of bytes.
    """
    n, length, target = (np.asarray(one, np.float64) for one in (frames, size, error))
    for what, values in (("numbers of frames", n), ("bitrates", length)):
        # Bitrates of the same setting differ a little by seed: these are no further ones.
        distinct = 1 + int((np.diff(np.sort(values)) > 0.05 * np.sort(values)[:-1]).sum())
        if distinct < LEAST:
            raise ValueError(
                f"the law needs at least {LEAST} {what} that are clearly different, "
                f"and there are {distinct}"
            )
    # In units of the geometric mean, all columns are of the order of 1.
    n0, length0 = float(np.exp(np.log(n).mean())), float(np.exp(np.log(length).mean()))

    def solved(exponents: F64) -> tuple[F64, float]:
        alpha, beta = np.clip(exponents, *_EXPONENTS)
        columns = np.stack(
            [(n / n0) ** -alpha, (length / length0) ** -beta, np.ones_like(n)], axis=1
        )
        factors, norm = nnls(columns, target)
        return factors, float(norm)

    starts = [np.array([a, b]) for a in _STARTS for b in _STARTS]
    starts.sort(key=lambda start: solved(start)[1])
    if near is not None:
        starts = [np.array([near.frames_exponent, near.bytes_exponent])]
    found = [
        minimize(
            lambda exponents: solved(exponents)[1],
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-4, "fatol": 1e-9, "maxiter": 400},
        )
        for start in starts[:3]
    ]
    best = min(found, key=lambda one: float(one.fun))
    alpha, beta = (float(one) for one in np.clip(best.x, *_EXPONENTS))
    (a, b, floor), _ = solved(best.x)
    return Law(float(a * n0**alpha), alpha, float(b * length0**beta), beta, float(floor))
