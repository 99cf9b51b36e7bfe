"""The paper's claims, held against what a study found. A claim holds only where its interval says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from server.durable import write_json
from server.statistics import Interval, seed_interval
from server.study.config import StudyConfig

Rows = Sequence[dict[str, Any]]
Verdict = tuple[str, str]
"""`holds`, `fails` or `undecided`, and the figures that say so."""

_SAME_COST = 1.1
"""Two collections cost the same if one costs at most so much of the other."""


def write_claims(config: StudyConfig, rows: Rows, drops: Rows, path: Path) -> None:
    """Writes `claims.json`: each claim with its verdict and the evidence, over all rates.

    `holds`: at every rate the 95 % interval over seeds lies on the claim's side; `fails`: at some
    rate it lies on the other; otherwise `undecided`.

    Args:
        config: the study's config.
        rows: of `study.parquet`.
        drops: of `drops.parquet`.
        path: where to write.
    """
    claims: list[tuple[str, Callable[[StudyConfig, Rows, Rows], Verdict | None]]] = [
        ("OO > RO > CO: restoration wins back part of the drop", _wins_back),
        ("RO (adversarial) ≥ RO (distortion-only)", _adversarial_is_better),
        (
            "the adversarial restorer has the lower PSNR and the lower Fréchet distance",
            _perception_for_distortion,
        ),
        ("at equal cost, more frames at a lower rate beat fewer at a higher one", _more_frames),
        ("restoration moves the optimum of accuracy against cost", _moves_optimum),
    ]
    written = []
    for claim, test in claims:
        found = test(config, rows, drops)
        if found is not None:
            written.append({"claim": claim, "verdict": found[0], "evidence": found[1]})
    write_json(path, written)


def _wins_back(config: StudyConfig, rows: Rows, drops: Rows) -> Verdict | None:
    evidence, signs = [], []
    first = config.restorers[0]
    originals, restored = (_points_of(config, rows, name) for name in ("OO", "RO"))
    for row in drops:
        place = (_rate(row), 1.0)
        if row["quantity"] != "won back" or row["restorer"] != first or place not in originals:
            continue
        rest = _gap(originals[place], restored[place], "miou")
        evidence.append(f"{_name(row)}: RO − CO {_points(row)}, OO − RO {_interval(rest)}")
        signs += [_sign(row["seed_low"], row["seed_high"]), _sign(rest.low, rest.high)]
    return _verdict(signs, evidence)


def _adversarial_is_better(config: StudyConfig, rows: Rows, drops: Rows) -> Verdict | None:
    found = [row for row in drops if row["quantity"] == "adversarial − distortion-only"]
    evidence = [f"{_name(row)}: {_points(row)}" for row in found]
    return _verdict([_sign(row["seed_low"], row["seed_high"]) for row in found], evidence)


def _perception_for_distortion(config: StudyConfig, rows: Rows, drops: Rows) -> Verdict | None:
    if not {"adversarial", "distortion-only"} <= set(config.restorers):
        return None
    evidence, signs = [], []
    for rate in sorted({_rate(row) for row in rows if row["share"] == 1}):
        at = [row for row in rows if _rate(row) == rate and row["configuration"] == "RO"]
        by = {
            restorer: sorted(
                (row for row in at if row["restorer"] == restorer and row["share"] == 1),
                key=lambda row: row["seed"],
            )
            for restorer in ("adversarial", "distortion-only")
        }
        a, d = by["adversarial"], by["distortion-only"]
        if not a or not d or None in (a[0]["psnr"], a[0]["frechet"]):
            continue
        decibels = a[0]["psnr"] - d[0]["psnr"]
        gap = _gap(a, d, "frechet")
        evidence.append(
            f"{rate[0]} {rate[1]:g}: PSNR {decibels:+.2f} dB, Fréchet distance {gap.mean:+.3g}"
            + (f" ({gap.low:+.3g} to {gap.high:+.3g})" if gap.low is not None else "")
        )
        perception = -_sign(gap.low, gap.high)
        signs.append(min(perception, 1 if decibels < 0 else -1))
    return _verdict(signs, evidence)


def _more_frames(config: StudyConfig, rows: Rows, drops: Rows) -> Verdict | None:
    evidence, signs = [], []
    for name in ("CO", "RO"):
        points = _points_of(config, rows, name)
        for (rate, share), (other, less) in product(points, points):
            a, b = points[rate, share], points[other, less]
            same = max(_cost(a), _cost(b)) <= _SAME_COST * min(_cost(a), _cost(b))
            fewer = a[0]["frames_trained"] > b[0]["frames_trained"] and a[0]["bpp"] < b[0]["bpp"]
            if rate[0] != other[0] or not (same and fewer):
                continue
            gap = _gap(a, b, "miou")
            signs.append(_sign(gap.low, gap.high))
            evidence.append(
                f"{name}, {a[0]['frames_trained']} frames at {a[0]['bpp']:.3f} bpp against "
                f"{b[0]['frames_trained']} at {b[0]['bpp']:.3f} bpp: {_interval(gap)}"
            )
    if not evidence:
        evidence = ["no two collections of equal cost, one with more frames at a lower rate"]
        signs = [0]
    return _verdict(signs, evidence)


def _moves_optimum(config: StudyConfig, rows: Rows, drops: Rows) -> Verdict | None:
    best, worth = {}, {}
    for name in ("CO", "RO"):
        points = _points_of(config, rows, name)
        if len(points) < 2 or min(_cost(at) for at in points.values()) <= 0:
            return None
        worth[name] = {
            place: [row["miou"] / _cost(at) for row in at] for place, at in points.items()
        }
        best[name] = max(points, key=lambda place: seed_interval(worth[name][place]).mean)
    told = [
        f"most mIoU for its cost in {name}: {rate[0]} {rate[1]:g}, {100 * share:g} % of the driving"
        for name, (rate, share) in best.items()
    ]
    # It moved for sure where each optimum beats the other's place, seed by seed. That it did not
    # move is never sure: an optimum may move by less than the distance between two points.
    signs = [0]
    if best["CO"] != best["RO"]:
        pairs = [(name, best[name], best[other]) for name, other in (("CO", "RO"), ("RO", "CO"))]
        gaps = [
            seed_interval(np.subtract(worth[name][own], worth[name][others]))
            for name, own, others in pairs
        ]
        signs = [_sign(gap.low, gap.high) for gap in gaps]
    return _verdict(signs, told)


def _points_of(
    config: StudyConfig, rows: Rows, name: str
) -> dict[tuple[tuple[str, float], float], list[dict[str, Any]]]:
    """Rows of a configuration by rate and share, in the order of their seeds."""
    points: dict[tuple[tuple[str, float], float], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        if row["configuration"] == name and row["restorer"] in (None, config.restorers[0]):
            points.setdefault((_rate(row), row["share"]), []).append(row)
    return points


def _gap(a: Rows, b: Rows, name: str) -> Interval:
    """The interval over seeds of a difference, seed by seed; both in the order of their seeds."""
    return seed_interval([x[name] - y[name] for x, y in zip(a, b, strict=True)])


def _cost(rows: Rows) -> float:
    return float(rows[0]["cost_total"])


def _rate(row: dict[str, Any]) -> tuple[str, float]:
    return row["codec"], row["quality"]


def _name(row: dict[str, Any]) -> str:
    return f"{row['codec']} {row['quality']:g}"


def _points(row: dict[str, Any]) -> str:
    text = f"{100 * row['mean']:+.2f}"
    if row["seed_low"] is not None:
        text += f" ({100 * row['seed_low']:+.2f} to {100 * row['seed_high']:+.2f})"
    return f"{text} points"


def _interval(gap: Interval) -> str:
    return _points({"mean": gap.mean, "seed_low": gap.low, "seed_high": gap.high})


def _sign(low: float | None, high: float | None) -> int:
    """1: the interval lies above 0; −1: below; 0: neither is sure."""
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def _verdict(signs: Sequence[int], evidence: Sequence[str]) -> Verdict | None:
    if not signs:
        return None
    verdict = "fails" if min(signs) < 0 else "holds" if min(signs) > 0 else "undecided"
    return verdict, "; ".join(evidence)
