"""An option's accuracy and cost for any fleet size and bitrate within what was measured of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.optimize import nnls
from scipy.spatial import Delaunay, QhullError

from server.planning.law import Law, fit
from server.planning.measured import Option

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """How an option does, by vehicles and bytes a frame.

    Attributes:
        law: of the error.
        error, cost: of the candidates, in their order.
        frames: train frames of the candidates.
    """

    law: Law
    frames: F64
    error: F64
    cost: F64


@dataclass(frozen=True)
class Candidates:
    """What could be chosen of an option.

    Attributes:
        vehicles: whole numbers, shape (k,).
        size: bytes of a frame, shape (k,).
    """

    vehicles: F64
    size: F64

    @property
    def places(self) -> F64:
        """Where they lie: logarithms, shape (k, 2)."""
        return np.log(np.stack([self.vehicles, self.size], axis=1))


def candidates(option: Option, rates: int = 48, fleets: int = 64) -> Candidates:
    """Fleet sizes and bitrates among those measured: nothing is told of what lies outside.

    Args:
        option: what was measured.
        rates: bitrates, evenly spread over the logarithm.
        fleets: fleet sizes at most, likewise.

    Raises:
        ValueError: fleet sizes and bitrates were not varied independently of each other.
    """
    vehicles = np.array([setting.vehicles for setting in option.settings], np.float64)
    size = np.array([setting.mean("bytes_mean") for setting in option.settings])
    spread = np.exp(np.linspace(np.log(vehicles.min()), np.log(vehicles.max()), fleets))
    sizes = np.exp(np.linspace(np.log(size.min()), np.log(size.max()), rates))
    # Those that were measured are among them, so that a choice can be one of them.
    whole = np.unique(np.concatenate([np.round(spread), vehicles]))
    sizes = np.unique(np.concatenate([sizes, size]))
    pairs = np.stack(np.meshgrid(whole, sizes), axis=-1).reshape(-1, 2)
    try:
        hull = Delaunay(np.log(np.stack([vehicles, size], axis=1)))
    except (QhullError, ValueError):
        raise ValueError("fleet sizes and bitrates do not vary independently") from None
    inside = hull.find_simplex(np.log(pairs), tol=1e-9) >= 0
    return Candidates(pairs[inside, 0], pairs[inside, 1])


def surface(
    option: Option,
    among: Candidates,
    luck: np.random.Generator | None = None,
    near: Law | None = None,
) -> Surface:
    """Fits an option's law and its cost, and tells both for candidates.

    The law is of train frames and bytes. How many frames a fleet delivers, and how many distinct ones
    of these are trained on, is interpolated between the measured fleets (thin-plate spline of the
    logarithms). Cost is linear in the ledger's quantities, so it is fitted as such: a fixed part, a
    part per vehicle, per byte delivered and per frame trained on, none below 0.

    Args:
        option: what was measured.
        among: where to tell.
        luck: draws each setting's seeds with replacement (bootstrap); None: takes each once.
        near: a law that is not far off, for speed.

    Raises:
        ValueError: too few numbers of frames, or bitrates.
    """

    def means(column: str) -> F64:
        return np.array(
            [
                setting.each(column)[drawn].mean()
                for setting, drawn in zip(option.settings, draws, strict=True)
            ]
        )

    counts = [len(setting.rows) for setting in option.settings]
    draws = [np.arange(n) if luck is None else luck.integers(n, size=n) for n in counts]
    vehicles = np.array([setting.vehicles for setting in option.settings], np.float64)
    size, trained, delivered = (
        means(column) for column in ("bytes_mean", "frames_trained", "frames_delivered")
    )
    law = fit(trained, size, 1 - means("miou"), near)
    at = np.log(np.stack([vehicles, size], axis=1))
    there = among.places
    n, sent = (
        np.exp(RBFInterpolator(at, np.log(values), kernel="thin_plate_spline")(there))
        for values in (trained, delivered)
    )

    def consumed(fleet: F64, frames: F64, uploads: F64, each: F64) -> F64:
        return np.stack([np.ones_like(fleet), fleet, uploads * each, frames], axis=1)

    columns = consumed(vehicles, trained, delivered, size)
    scale = columns.max(axis=0)
    prices, _ = nnls(columns / scale, means("cost_total"))
    cost = consumed(among.vehicles, n, sent, among.size) / scale @ prices
    return Surface(law, n, law.error(n, among.size), cost)
