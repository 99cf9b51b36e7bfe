"""The table of drops, from confusion matrices made by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from models.metrics import mean_iou
from server.scoring import Scoring
from server.statistics import seed_interval, share_won_back
from server.study.config import StudyConfig
from server.study.drops import SCHEMA, write_drops
from server.study.rows import Result

IMAGES, PIXELS = 6, 1000
ADVERSARIAL, DISTORTION = "adversarial", "distortion-only"
ERRORS: dict[str, float] = {"OO": 0.10, "CC": 0.16, "CO": 0.25, "RO": 0.15, "RC": 0.18, "AO": 0.20}
"""Share of the pixels that each configuration gets wrong."""


def study(seeds: int, **values: Any) -> StudyConfig:
    given: dict[str, Any] = {
        "seeds": list(range(seeds)),
        "qualities": [50],
        "campaign": {
            "budget": {"bits_per_frame": 1_000_000},
            "calibration": {},
            "restoration": {},
            "learning": {"configurations": list(ERRORS)},
        },
    }
    return StudyConfig.model_validate_json(json.dumps(given | values))


def matrices(wrong: float, luck: Sequence[int]) -> NDArray[np.int64]:
    """A confusion matrix an image: two classes of equal size, so many pixels wrong in both."""
    made = []
    for image in range(IMAGES):
        # Images differ alike for all configurations, as hard images do.
        errors = round(PIXELS * wrong) + 20 * (image % 3) + luck[image % len(luck)]
        made.append([[PIXELS - errors, errors], [errors, PIXELS - errors]])
    return np.array(made, np.int64)


def results(config: StudyConfig, errors: dict[tuple[str, str | None], float]) -> list[Result]:
    """What the study's jobs would come to."""
    found = []
    for job in config.jobs():
        rows, confusions = [], {}
        for name in job.configurations:
            restorer = job.restorer if name[0] == "R" else None
            if (name, restorer) not in errors:
                continue
            # Seeds differ alike for all configurations, up to a little.
            luck = [10 * job.seed, 3 * job.seed * len(rows)]
            matrix = matrices(errors[name, restorer], luck)
            confusions[name] = matrix
            miou = mean_iou(matrix.sum(axis=0))
            rows.append({"configuration": name, "restorer": restorer, "miou": miou, "bpp": 0.1})
        found.append(Result(job, cast(Scoring, None), rows, confusions, []))
    return found


def all_errors(distortion: float = 0.19) -> dict[tuple[str, str | None], float]:
    errors: dict[tuple[str, str | None], float] = {}
    for name, wrong in ERRORS.items():
        errors[name, ADVERSARIAL if name[0] == "R" else None] = wrong
    return errors | {("RO", DISTORTION): distortion, ("RC", DISTORTION): distortion}


def table(config: StudyConfig, found: list[Result], tmp_path: Path) -> dict[Any, dict[str, Any]]:
    """Rows by quantity and restorer, of a study with one rate."""
    rows = write_drops(config, found, tmp_path / "drops.parquet")
    read = pq.read_table(tmp_path / "drops.parquet")
    assert read.schema.equals(SCHEMA)
    assert read.to_pylist() == rows
    keys = [(row["quantity"], row["restorer"]) for row in rows]
    assert len(keys) == len(set(keys))
    return dict(zip(keys, rows, strict=True))


def scores(found: list[Result], name: str, restorer: str | None = None) -> NDArray[np.float64]:
    rows = [row for result in found for row in result.rows]
    return np.array([row["miou"] for row in rows if (row["configuration"], row["restorer"]) ==
                     (name, restorer)])  # fmt: skip


def test_the_quantities_and_their_values(tmp_path: Path) -> None:
    config = study(3)
    found = results(config, all_errors())
    rows = table(config, found, tmp_path)
    assert set(rows) == {
        ("drop", None), ("information loss", None), ("covariate shift", None),
        ("won back", ADVERSARIAL), ("RO − AO", ADVERSARIAL), ("share won back", ADVERSARIAL),
        ("won back", DISTORTION), ("RO − AO", DISTORTION), ("share won back", DISTORTION),
        ("adversarial − distortion-only", None),
    }  # fmt: skip
    oo, cc, co = (scores(found, name) for name in ("OO", "CC", "CO"))
    ro, other = scores(found, "RO", ADVERSARIAL), scores(found, "RO", DISTORTION)
    expected = {
        ("drop", None): oo - co,
        ("information loss", None): oo - cc,
        ("covariate shift", None): cc - co,
        ("won back", ADVERSARIAL): ro - co,
        ("won back", DISTORTION): other - co,
        ("adversarial − distortion-only", None): ro - other,
    }
    for key, values in expected.items():
        row, interval = rows[key], seed_interval(values)
        assert row["mean"] == pytest.approx(values.mean())
        assert (row["seed_low"], row["seed_high"]) == (interval.low, interval.high)
        assert row["image_low"] <= row["mean"] <= row["image_high"]
        assert (row["codec"], row["quality"], row["seeds"]) == ("bpg", 50.0, 3)
    share = share_won_back({"OO": oo.tolist(), "CO": co.tolist(), "RO": ro.tolist()})
    assert share is not None
    row = rows["share won back", ADVERSARIAL]
    assert (row["mean"], row["seed_low"], row["seed_high"]) == (share.mean, share.low, share.high)
    assert row["mean"] == pytest.approx((ro - co).mean() / (oo - co).mean())


def test_intervals_are_paired(tmp_path: Path) -> None:
    """What seeds and images have in common cancels in a difference."""
    config = study(3)
    found = results(config, all_errors())
    row = table(config, found, tmp_path)["drop", None]
    alone = seed_interval(scores(found, "CO"))
    assert alone.low is not None
    assert alone.high is not None
    assert row["seed_high"] - row["seed_low"] < (alone.high - alone.low) / 2
    # 60 of 1000 pixels lie between the easiest image and the hardest; in the drop, next to none.
    assert row["image_high"] - row["image_low"] < 0.02


def test_without_a_sure_drop_its_share_is_null(tmp_path: Path) -> None:
    config = study(2)
    row = table(config, results(config, all_errors() | {("CO", None): 0.10}), tmp_path)[
        "share won back", ADVERSARIAL
    ]
    bounds = ("mean", "seed_low", "seed_high", "image_low", "image_high")
    assert [row[name] for name in bounds] == [None] * 5
    assert row["seeds"] == 2


def test_one_seed_has_means_and_intervals_over_images_only(tmp_path: Path) -> None:
    config = study(1)
    for (_, restorer), row in table(config, results(config, all_errors()), tmp_path).items():
        assert row["mean"] is not None, restorer
        assert (row["seed_low"], row["seed_high"], row["seeds"]) == (None, None, 1)
        assert row["image_low"] is not None


def test_the_restorers_are_compared_in_one_direction(tmp_path: Path) -> None:
    found = {}
    for order in ([ADVERSARIAL, DISTORTION], [DISTORTION, ADVERSARIAL]):
        config = study(2, restorers=order)
        errors = all_errors() | {("OO", None): 0.1}
        rows = table(config, results(config, errors), tmp_path)
        found[order[0]] = rows["adversarial − distortion-only", None]
    assert found[ADVERSARIAL]["mean"] == pytest.approx(found[DISTORTION]["mean"], abs=0.01)
    assert found[ADVERSARIAL]["mean"] > 0
    assert found[DISTORTION]["mean"] > 0


def test_a_study_of_originals_and_compressed_frames_alone(tmp_path: Path) -> None:
    config = study(2, campaign=study(2).campaign.model_dump(mode="json") | {
        "learning": {"configurations": ["OO", "CC"]}
    })  # fmt: skip
    found = results(config, {("OO", None): 0.1, ("CC", None): 0.2})
    rows = table(config, found, tmp_path)
    assert set(rows) == {("information loss", None)}
    assert rows["information loss", None]["seeds"] == 2


def test_less_driving_has_no_drop(tmp_path: Path) -> None:
    config = study(2, fewer=[{"quality": 50, "share": 0.5}])
    found = results(config, all_errors())
    full = [result for result in found if result.job.share == 1]
    assert len(full) < len(found)
    for result in found:
        if result.job.share < 1:
            for row in result.rows:
                row["miou"] = 0.0
    assert table(config, found, tmp_path) == table(config, full, tmp_path)
