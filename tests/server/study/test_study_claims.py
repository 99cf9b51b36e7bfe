"""Verdicts on the paper's claims, from rows and drops made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from server.statistics import DIFFERENCES, drops, seed_interval
from server.study.claims import write_claims
from server.study.config import StudyConfig

WON, BETTER, PERCEPTION, MORE, OPTIMUM = range(5)
CLAIMS = (
    "OO > RO > CO: restoration wins back part of the drop",
    "RO (adversarial) ≥ RO (distortion-only)",
    "the adversarial restorer has the lower PSNR and the lower Fréchet distance",
    "at equal cost, more frames at a lower rate beat fewer at a higher one",
    "restoration moves the optimum of accuracy against cost",
)
ADVERSARIAL, DISTORTION = "adversarial", "distortion-only"
HIGH, MIDDLE, LOW = (0.60, 0.61, 0.62), (0.50, 0.51, 0.53), (0.40, 0.41, 0.42)
WIDE = (0.40, 0.50, 0.60)
"""Its interval spans more than half of [0, 1]: a difference from it is not sure."""

Rows = list[dict[str, Any]]


def config(**values: Any) -> StudyConfig:
    given: dict[str, Any] = {
        "qualities": [50, 42],
        "campaign": {
            "budget": {"bits_per_frame": 1_000_000},
            "calibration": {},
            "restoration": {},
            "learning": {"configurations": ["RO", "CO", "OO"]},
        },
    }
    return StudyConfig.model_validate_json(json.dumps(given | values))


def rows(
    name: str,
    scores: Sequence[float],
    restorer: str | None = None,
    *,
    quality: float = 50,
    share: float = 1.0,
    bpp: float = 0.07,
    cost: float = 10.0,
    frames: int = 100,
    psnr: float = 25.0,
    frechet: Sequence[float] | None = None,
) -> Rows:
    """A configuration's rows, one a seed."""
    distances = frechet or [1.0] * len(scores)
    return [
        {
            "configuration": name, "codec": "bpg", "quality": float(quality), "share": share,
            "restorer": restorer, "seed": seed, "bpp": bpp, "miou": miou, "psnr": psnr,
            "ms_ssim": 0.9, "frechet": distance, "lpips": None, "fid": None, "cost_total": cost,
            "frames_trained": frames,
        }
        for seed, (miou, distance) in enumerate(zip(scores, distances, strict=True))
    ]  # fmt: skip


def drops_of(found: Rows) -> Rows:
    """What `drops.parquet` would say of rows, over seeds."""
    made: Rows = []
    full = [row for row in found if row["share"] == 1]
    for quality in sorted({row["quality"] for row in full}):
        at = [row for row in full if row["quality"] == quality]
        scores: dict[tuple[str, str | None], list[float]] = {}
        for row in at:
            scores.setdefault((row["configuration"], row["restorer"]), []).append(row["miou"])
        place = {"codec": "bpg", "quality": quality}
        for restorer in (ADVERSARIAL, DISTORTION):
            miou = {name: v for (name, by), v in scores.items() if by in (None, restorer)}
            for name, values in drops(miou).items():
                if name == "won back" or restorer == ADVERSARIAL:
                    by = restorer if "RO" in DIFFERENCES[name] else None
                    made.append({**place, "restorer": by, "quantity": name, **_over(values)})
        both = [scores.get(("RO", restorer)) for restorer in (ADVERSARIAL, DISTORTION)]
        if both[0] and both[1]:
            gap = [a - b for a, b in zip(both[0], both[1], strict=True)]
            quantity = "adversarial − distortion-only"
            made.append({**place, "restorer": None, "quantity": quantity, **_over(gap)})
    return made


def _over(values: Sequence[float]) -> dict[str, float | None]:
    found = seed_interval(values)
    return {"mean": found.mean, "seed_low": found.low, "seed_high": found.high}


def verdicts(
    tmp_path: Path, found: Rows, study: StudyConfig | None = None
) -> dict[int, tuple[str, str]]:
    """Verdict and evidence of each claim that is told, by its place in CLAIMS."""
    write_claims(study or config(), found, drops_of(found), tmp_path / "claims.json")
    told = json.loads((tmp_path / "claims.json").read_text())
    assert all(one.keys() == {"claim", "verdict", "evidence"} for one in told)
    return {CLAIMS.index(one["claim"]): (one["verdict"], one["evidence"]) for one in told}


@pytest.mark.parametrize(
    ("oo", "ro", "co", "verdict"),
    [
        (HIGH, MIDDLE, LOW, "holds"),
        (HIGH, LOW, MIDDLE, "fails"),  # restoration harms
        (MIDDLE, HIGH, LOW, "fails"),  # restored beats original
        (HIGH, WIDE, LOW, "undecided"),
        (WIDE, MIDDLE, LOW, "undecided"),  # RO > CO is sure, OO > RO is not
        (HIGH, MIDDLE, MIDDLE, "undecided"),
        (HIGH[:1], MIDDLE[:1], LOW[:1], "undecided"),  # one seed has no interval
    ],
)
def test_wins_back(
    tmp_path: Path, oo: list[float], ro: list[float], co: list[float], verdict: str
) -> None:
    found = rows("OO", oo) + rows("RO", ro, ADVERSARIAL) + rows("CO", co)
    assert verdicts(tmp_path, found)[WON][0] == verdict


def test_wins_back_tells_its_figures(tmp_path: Path) -> None:
    found = rows("OO", HIGH) + rows("RO", MIDDLE, ADVERSARIAL) + rows("CO", LOW)
    assert verdicts(tmp_path, found)[WON][1] == (
        "bpg 50: RO − CO +10.33 (+8.90 to +11.77) points, OO − RO +9.67 (+8.23 to +11.10) points"
    )


def test_a_claim_over_all_rates_holds_at_each_of_them(tmp_path: Path) -> None:
    def at(quality: float, co: Sequence[float], ro: Sequence[float]) -> Rows:
        return (
            rows("OO", HIGH, quality=quality)
            + rows("RO", ro, ADVERSARIAL, quality=quality)
            + rows("CO", co, quality=quality)
        )

    good = at(50, LOW, MIDDLE)
    assert verdicts(tmp_path, good + at(42, LOW, MIDDLE))[WON][0] == "holds"
    assert verdicts(tmp_path, good + at(42, LOW, WIDE))[WON][0] == "undecided"
    assert verdicts(tmp_path, good + at(42, MIDDLE, LOW))[WON][0] == "fails"


def test_without_oo_nothing_is_said_of_the_drop(tmp_path: Path) -> None:
    found = rows("RO", MIDDLE, ADVERSARIAL) + rows("CO", LOW)
    assert WON not in verdicts(tmp_path, found)


@pytest.mark.parametrize(
    ("adversarial", "distortion", "verdict"),
    [
        (MIDDLE, LOW, "holds"),
        (LOW, MIDDLE, "fails"),
        (MIDDLE, MIDDLE, "undecided"),
        (WIDE, LOW, "undecided"),
        (MIDDLE[:1], LOW[:1], "undecided"),
    ],
)
def test_adversarial_is_better(
    tmp_path: Path, adversarial: list[float], distortion: list[float], verdict: str
) -> None:
    found = rows("RO", adversarial, ADVERSARIAL) + rows("RO", distortion, DISTORTION)
    assert verdicts(tmp_path, found)[BETTER][0] == verdict


@pytest.mark.parametrize("restorer", [ADVERSARIAL, DISTORTION])
def test_with_one_restorer_two_are_not_compared(tmp_path: Path, restorer: str) -> None:
    found = rows("RO", MIDDLE, restorer) + rows("CO", LOW) + rows("OO", HIGH)
    told = verdicts(tmp_path, found, config(restorers=[restorer]))
    assert not told.keys() & {BETTER, PERCEPTION}
    assert told[WON][0] == "holds"


NEAR, FAR, VAGUE = (0.50, 0.51, 0.52), (0.90, 0.92, 0.94), (0.2, 0.9, 1.6)


@pytest.mark.parametrize(
    ("decibels", "adversarial", "distortion", "verdict"),
    [
        (-1.0, NEAR, FAR, "holds"),
        (-1.0, FAR, NEAR, "fails"),
        (+1.0, NEAR, FAR, "fails"),  # nearer in pixels as well
        (-1.0, VAGUE, FAR, "undecided"),
        (-1.0, NEAR[:1], FAR[:1], "undecided"),
    ],
)
def test_perception_for_distortion(
    tmp_path: Path,
    decibels: float,
    adversarial: list[float],
    distortion: list[float],
    verdict: str,
) -> None:
    scores = MIDDLE[: len(adversarial)]
    found = rows("RO", scores, ADVERSARIAL, psnr=25 + decibels, frechet=adversarial)
    found += rows("RO", scores, DISTORTION, frechet=distortion)
    assert verdicts(tmp_path, found)[PERCEPTION][0] == verdict


def test_without_distances_nothing_is_said_of_perception(tmp_path: Path) -> None:
    found = rows("RO", MIDDLE, ADVERSARIAL) + rows("RO", MIDDLE, DISTORTION)
    for row in found:
        row["frechet"] = None
    assert PERCEPTION not in verdicts(tmp_path, found)


def collections(
    many: Sequence[float], few: Sequence[float], name: str = "CO", cost: float = 10.0
) -> Rows:
    """Many frames at a low rate, and few at a higher one."""
    restorer = ADVERSARIAL if name == "RO" else None
    return rows(name, many, restorer, cost=10.5) + rows(
        name, few, restorer, quality=42, share=0.5, bpp=0.15, frames=50, cost=cost
    )


@pytest.mark.parametrize(
    ("many", "few", "verdict"),
    [
        (MIDDLE, LOW, "holds"),
        (LOW, MIDDLE, "fails"),
        (WIDE, LOW, "undecided"),
        (MIDDLE[:1], LOW[:1], "undecided"),
    ],
)
def test_more_frames_beat_fewer(
    tmp_path: Path, many: list[float], few: list[float], verdict: str
) -> None:
    assert verdicts(tmp_path, collections(many, few))[MORE][0] == verdict


def test_both_co_and_ro_must_win_by_more_frames(tmp_path: Path) -> None:
    found = collections(MIDDLE, LOW) + collections(MIDDLE, LOW, "RO")
    verdict, evidence = verdicts(tmp_path, found)[MORE]
    assert verdict == "holds"
    assert evidence.startswith("CO, 100 frames at 0.070 bpp against 50 at 0.150 bpp: +10.33 (")
    assert "; RO, 100 frames at 0.070 bpp against 50 at 0.150 bpp: +10.33 (" in evidence
    found = collections(MIDDLE, LOW) + collections(LOW, MIDDLE, "RO")
    assert verdicts(tmp_path, found)[MORE][0] == "fails"


@pytest.mark.parametrize("cost", [5.0, 20.0])
def test_at_unequal_cost_frames_are_not_compared(tmp_path: Path, cost: float) -> None:
    verdict, evidence = verdicts(tmp_path, collections(MIDDLE, LOW, cost=cost))[MORE]
    assert verdict == "undecided"
    assert "no two collections of equal cost" in evidence


def bought(co: Sequence[Sequence[float]], ro: Sequence[Sequence[float]], dear: float) -> Rows:
    """CO and RO at a cheap rate and at one that costs more."""
    found: Rows = []
    for name, restorer, (cheap, better) in (("CO", None, co), ("RO", ADVERSARIAL, ro)):
        found += rows(name, cheap, restorer, cost=10)
        found += rows(name, better, restorer, quality=42, bpp=0.15, cost=dear)
    return found


@pytest.mark.parametrize(
    ("ro", "verdict"),
    [
        ((MIDDLE, HIGH), "holds"),  # +20 % mIoU for +30 % cost; of CO, +50 %
        ((LOW, HIGH), "undecided"),  # the optimum is the same
        ((WIDE, HIGH), "undecided"),  # where it is, is not sure
        ((MIDDLE[:1], HIGH[:1]), "undecided"),
    ],
)
def test_moves_optimum(tmp_path: Path, ro: Sequence[Sequence[float]], verdict: str) -> None:
    co = [scores[: len(ro[0])] for scores in (LOW, HIGH)]
    found, evidence = verdicts(tmp_path, bought(co, ro, 13.0))[OPTIMUM]
    assert found == verdict
    assert "most mIoU for its cost in CO: bpg 42, 100 % of the driving" in evidence


def test_an_optimum_needs_two_points_and_prices(tmp_path: Path) -> None:
    assert OPTIMUM not in verdicts(tmp_path, rows("CO", LOW) + rows("RO", MIDDLE, ADVERSARIAL))
    free = bought((LOW, HIGH), (MIDDLE, HIGH), 13.0)
    for row in free:
        row["cost_total"] = 0.0
    assert OPTIMUM not in verdicts(tmp_path, free)
