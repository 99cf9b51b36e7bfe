"""How sure a campaign's numbers are: intervals over seeds, and over test images.

The two answer different questions. An interval over seeds says how the number would vary had the
networks been trained again; one over images, how it would vary with other test images for these same
networks. Differences between configurations are taken within a seed and within a resampled test
set, since a seed's networks saw the same crops and every network the same images: what is common
cancels, and the interval is that of the difference.

Configurations are train domain + test domain (Katakol et al., IEEE TIP 2021): O originals,
C compressed, R restored; as controls A (C augmented by further compression), B (C's network with batch
norms estimated again on originals) and M (R and C mixed).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

F64 = NDArray[np.float64]
Confusions = NDArray[np.int64]
"""(seeds, images, classes, classes) pixels; rows the truth, columns the prediction."""

Statistic = Callable[[Mapping[str, F64]], F64]
"""From the mIoU of each configuration to a number; elementwise, on arrays of equal shape."""


@dataclass(frozen=True)
class Interval:
    """A mean (or another estimate) and where its true value lies.

    Attributes:
        mean: the estimate.
        low, high: bounds; None where they cannot be known.
        count: the seeds or images that they come from.
    """

    mean: float
    low: float | None
    high: float | None
    count: int


DIFFERENCES: dict[str, tuple[str, str]] = {
    "drop": ("OO", "CO"),
    "information loss": ("OO", "CC"),
    "covariate shift": ("CC", "CO"),
    "won back": ("RO", "CO"),
    "RO − AO": ("RO", "AO"),
    "RO − BO": ("RO", "BO"),
    "RO − MO": ("RO", "MO"),
}
"""Named differences of mIoU: the first configuration's less the second's."""


def statistics(configurations: Sequence[str]) -> dict[str, Statistic]:
    """The named quantities that these configurations allow, for ``bootstrap_interval``."""
    named: dict[str, Statistic] = {
        name: partial(_difference, *pair)
        for name, pair in DIFFERENCES.items()
        if set(pair) <= set(configurations)
    }
    if {"OO", "CO", "RO"} <= set(configurations):
        named["share won back"] = _share
    return named


def _difference(a: str, b: str, miou: Mapping[str, F64]) -> F64:
    return miou[a] - miou[b]


def _share(miou: Mapping[str, F64]) -> F64:
    """NaN where there is no drop that could be won back."""
    drop, won = miou["OO"] - miou["CO"], miou["RO"] - miou["CO"]
    return np.divide(won, drop, out=np.full_like(drop, np.nan), where=drop > 0)


def drops(miou: Mapping[str, Sequence[float]]) -> dict[str, F64]:
    """The named differences that the configurations allow, seed by seed.

    Args:
        miou: of each configuration, by seed, in the same order of seeds; in [0, 1].

    Returns:
        (seeds,) by name, in the order of ``DIFFERENCES``. ``share_won_back`` is not among them: a
        seed's own ratio says nothing where its drop is small.

    Raises:
        ValueError: configurations have different numbers of seeds.
    """
    seeds = {name: len(values) for name, values in miou.items()}
    if len(set(seeds.values())) > 1:
        raise ValueError(f"configurations have different numbers of seeds: {seeds}")
    by_seed = {name: np.asarray(values, np.float64) for name, values in miou.items()}
    return {
        name: difference(by_seed)
        for name, difference in statistics(list(miou)).items()
        if name in DIFFERENCES
    }


def seed_interval(values: Sequence[float] | F64, level: float = 0.95) -> Interval:
    """Mean over seeds and its interval by Student's t: mean ± t · s / √n, n − 1 degrees of freedom.

    Args:
        values: one a seed, at least one; of a difference, the differences within each seed.
        level: of confidence, in (0, 1).

    Returns:
        The interval; without bounds for a single seed.

    Raises:
        ValueError: no values, or a level outside (0, 1).
    """
    x = np.asarray(values, np.float64)
    t = _t(len(x), level)
    mean = float(x.mean())
    if t is None:
        return Interval(mean, None, None, 1)
    half = t * float(x.std(ddof=1)) / math.sqrt(len(x))
    return Interval(mean, mean - half, mean + half, len(x))


def share_won_back(miou: Mapping[str, Sequence[float]], level: float = 0.95) -> Interval | None:
    """mean(RO − CO) / mean(OO − CO) over seeds, with Fieller's interval.

    Fieller (1954): the ratios θ for which mean(won back − θ · drop) does not differ from 0 by its
    own t test. For normal errors it is exact for any number of seeds, where the delta method and a
    bootstrap over three seeds are far too narrow; and it is a bounded interval just where the
    drop's own t interval leaves out 0. It is not symmetric about the ratio.

    Args:
        miou: of RO, CO and OO, by seed.
        level: of confidence, in (0, 1).

    Returns:
        None where the ratio is undefined: the drop's interval reaches 0 or below. Without bounds
        for a single seed with a drop.
    """
    differences = drops({name: miou[name] for name in ("OO", "CO", "RO")})
    drop, won = differences["drop"], differences["won back"]
    seeds, sure = len(drop), seed_interval(drop, level)
    if (sure.mean if sure.low is None else sure.low) <= 0:
        return None
    x, y = float(won.mean()), float(drop.mean())
    t = _t(seeds, level)
    if t is None:
        return Interval(x / y, None, None, seeds)
    ((xx, xy), (_, yy)) = np.cov(won, drop) * (t * t / seeds)
    # (x − θ y)² = t² var(x − θ y) / n, a parabola in θ that opens upwards as the drop is not 0.
    a, b, c = y * y - yy, x * y - xy, x * x - xx
    root = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(x / y, float((b - root) / a), float((b + root) / a), seeds)


def bootstrap_interval(
    statistic: Statistic,
    confusions: Mapping[str, Confusions],
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """The interval of a statistic over test images, by the percentile bootstrap (Efron 1979).

    A draw takes as many images as there are, with repetition, and the same ones for every
    configuration and seed. A configuration's mIoU in it is that of the summed confusion matrices,
    averaged over its seeds; classes that a draw does not hold have no part, as in ``mean_iou``.

    Args:
        statistic: what to estimate from the mIoUs.
        confusions: of each configuration; the images are the same, in the same order.
        level: of confidence, in (0, 1).
        draws: how many resampled test sets.
        seed: of the draws.

    Returns:
        The statistic over the images as they are, with quantiles of the draws; without bounds
        where some draw leaves it undefined. ``count`` is the number of images.

    Raises:
        ValueError: no images, different numbers of them, or a level outside (0, 1).
    """
    images = {name: array.shape[1] for name, array in confusions.items()}
    if len(set(images.values())) != 1:
        raise ValueError(f"want the same images in every configuration: {images}")
    count = next(iter(images.values()))
    _t(count, level)
    weights = np.random.default_rng(seed).multinomial(count, [1 / count] * count, size=draws)
    # The test set itself is the first row.
    weights_DI = np.vstack([np.ones(count), weights])
    values = statistic({name: _miou(array, weights_DI) for name, array in confusions.items()})
    estimate, drawn = float(values[0]), values[1:]
    if not np.isfinite(drawn).all():
        return Interval(estimate, None, None, count)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), count)


def _miou(confusions: Confusions, weights_DI: F64) -> F64:
    """(draws,) mIoU with weighted images, averaged over seeds."""
    tp_SIC = np.diagonal(confusions, axis1=2, axis2=3)
    union_SIC = confusions.sum(axis=2) + confusions.sum(axis=3) - tp_SIC
    # Counts stay below 2⁵³, so these sums are exact, whatever order BLAS adds in.
    tp_SDC = weights_DI @ tp_SIC.astype(np.float64)
    union_SDC = weights_DI @ union_SIC.astype(np.float64)
    present = union_SDC > 0
    iou = np.divide(tp_SDC, union_SDC, out=np.zeros_like(tp_SDC), where=present)
    with np.errstate(invalid="ignore"):
        miou_SD = iou.sum(axis=2) / present.sum(axis=2)
    mean: F64 = miou_SD.mean(axis=0)
    return mean


def _t(count: int, level: float) -> float | None:
    """Student's quantile for a two-sided interval of ``count`` values; None for one."""
    if not 0 < level < 1:
        raise ValueError(f"level: {level} is not between 0 and 1")
    if count == 0:
        raise ValueError("no values to take an interval of")
    return float(stdtrit(count - 1, (1 + level) / 2)) if count > 1 else None
