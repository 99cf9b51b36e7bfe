"""The operating point to choose, by what a sweep measured: within a budget, or for an accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.errors import InputError
from server.planning.law import Law
from server.planning.measured import Measured, Option
from server.planning.surface import Candidates, Surface, candidates, surface

F64 = NDArray[np.float64]

REPLICATES = 200
"""Of the bootstrap over seeds."""
_TAILS = (2.5, 97.5)
"""Percentiles that bound an interval."""


@dataclass(frozen=True)
class Fitted:
    """An option with its law.

    Attributes:
        option: what was measured.
        among: fleet sizes and bitrates that could be chosen.
        surface: law, error and cost, from all seeds.
        laws: of the bootstrap; empty with a single seed.
        errors, costs: of the bootstrap, shape (replicates, candidates).
    """

    option: Option
    among: Candidates
    surface: Surface
    laws: tuple[Law, ...]
    errors: F64
    costs: F64

    def bounds(self, values: F64) -> tuple[F64, F64] | None:
        """95 % intervals of the candidates; None with a single seed."""
        if not self.laws:
            return None
        low, high = np.percentile(values, _TAILS, axis=0)
        return low, high


@dataclass(frozen=True)
class Choice:
    """A fleet size, bitrate and option, and what is expected of them.

    Attributes:
        option: configuration, codec, restorer and the like.
        vehicles: the fleet.
        size: mean bytes of a frame.
        bpp: mean bits per pixel.
        settings: values of the bitrate's fields that come to it, interpolated.
        frames: distinct frames to train on.
        accuracy: expected mIoU in [0, 1]; accuracy_bounds its 95 % interval, None with one seed.
        cost: expected; cost_bounds likewise.
    """

    option: Option
    vehicles: int
    size: float
    bpp: float
    settings: dict[str, float]
    frames: float
    accuracy: float
    accuracy_bounds: tuple[float, float] | None
    cost: float
    cost_bounds: tuple[float, float] | None


def fit_options(measured: Measured, seed: int = 0) -> tuple[list[Fitted], list[str]]:
    """Fits the law of every option that can be fitted.

    Returns:
        The options, and in words which could not be fitted and why.
    """
    fitted, skipped = [], []
    for option in measured.options:
        try:
            fitted.append(_fit(option, seed))
        except ValueError as error:
            skipped.append(f"{option.label}: {error}")
    return fitted, skipped


def _fit(option: Option, seed: int) -> Fitted:
    among = candidates(option)
    whole = surface(option, among)
    luck = np.random.default_rng(seed)
    several = min(len(setting.rows) for setting in option.settings) > 1
    drawn = [surface(option, among, luck, whole.law) for _ in range(REPLICATES if several else 0)]
    return Fitted(
        option,
        among,
        whole,
        tuple(one.law for one in drawn),
        np.array([one.error for one in drawn]),
        np.array([one.cost for one in drawn]),
    )


def within_budget(fitted: Sequence[Fitted], budget: float, measured: Measured) -> Choice:
    """The choice of the greatest expected accuracy that is expected to cost at most a budget.

    Raises:
        InputError: every choice costs more.
    """
    best: tuple[float, Fitted, int] | None = None
    for one in fitted:
        affordable = np.flatnonzero(one.surface.cost <= budget)
        if len(affordable):
            at = int(affordable[np.argmin(one.surface.error[affordable])])
            error = float(one.surface.error[at])
            if best is None or error < best[0]:
                best = error, one, at
    if best is None:
        least = min(float(one.surface.cost.min()) for one in fitted)
        raise InputError(
            f"--budget {budget:g}: every choice within what was measured costs more; the cheapest "
            f"{least:,.2f} {measured.currency}"
        )
    return choice(best[1], best[2], measured)


def for_accuracy(
    fitted: Sequence[Fitted], accuracy: float, measured: Measured, *, sure: bool = False
) -> Choice | None:
    """The cheapest choice that is expected to reach an accuracy; None if none does.

    Args:
        fitted: the options.
        accuracy: mIoU, in [0, 1].
        measured: the sweep.
        sure: whether the lower bound of the 95 % interval is to reach it.
    """
    best: tuple[float, Fitted, int] | None = None
    for one in fitted:
        reached = 1 - one.surface.error
        if sure:
            bounds = one.bounds(1 - one.errors)
            if bounds is None:
                continue
            reached = bounds[0]
        enough = np.flatnonzero(reached >= accuracy)
        if len(enough):
            at = int(enough[np.argmin(one.surface.cost[enough])])
            cost = float(one.surface.cost[at])
            if best is None or cost < best[0]:
                best = cost, one, at
    return None if best is None else choice(best[1], best[2], measured)


def choice(one: Fitted, at: int, measured: Measured) -> Choice:
    """A candidate with what is expected of it."""
    accuracy, cost = one.bounds(1 - one.errors), one.bounds(one.costs)
    vehicles, size = float(one.among.vehicles[at]), float(one.among.size[at])
    return Choice(
        one.option,
        round(vehicles),
        size,
        _at_size(one.option, "bpp", size),
        _settings(one.option, measured.rate_fields, size),
        float(one.surface.frames[at]),
        float(1 - one.surface.error[at]),
        None if accuracy is None else (float(accuracy[0][at]), float(accuracy[1][at])),
        float(one.surface.cost[at]),
        None if cost is None else (float(cost[0][at]), float(cost[1][at])),
    )


def _at_size(option: Option, column: str, size: float) -> float:
    """A column that is proportional to the bytes of a frame, such as bpp."""
    shares = [setting.mean(column) / setting.mean("bytes_mean") for setting in option.settings]
    return float(np.mean(shares)) * size


def _settings(option: Option, fields: Sequence[str], size: float) -> dict[str, float]:
    """The values of the bitrate's numeric fields that come to a size, between those measured."""
    told = {}
    for field in fields:
        values = [setting.values.get(field) for setting in option.settings]
        if not all(isinstance(value, int | float) and value > 0 for value in values):
            continue
        by_value: dict[float, list[float]] = {}
        for setting in option.settings:
            by_value.setdefault(float(setting.values[field]), []).append(setting.mean("bytes_mean"))
        sizes = np.array([np.mean(each) for each in by_value.values()])
        order = np.argsort(sizes)
        logs = np.log(np.array(list(by_value))[order])
        told[field] = float(np.exp(np.interp(np.log(size), np.log(sizes[order]), logs)))
    return told
