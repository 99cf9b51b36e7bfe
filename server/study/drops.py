"""The drop at each rate, its parts, and what restoration wins back, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from server.statistics import (
    Interval,
    bootstrap_interval,
    drops,
    seed_interval,
    share_won_back,
    statistics,
)
from server.study.config import StudyConfig
from server.study.rows import Result

SCHEMA = pa.schema(
    [
        ("codec", pa.string()),
        ("quality", pa.float64()),
        ("restorer", pa.string()),
        ("quantity", pa.string()),
        ("mean", pa.float64()),
        ("seed_low", pa.float64()),
        ("seed_high", pa.float64()),
        ("image_low", pa.float64()),
        ("image_high", pa.float64()),
        ("seeds", pa.int64()),
    ]
)

SHARE = "share won back"
Confusions = NDArray[np.int64]


def write_drops(config: StudyConfig, results: Sequence[Result], path: Path) -> list[dict[str, Any]]:
    """Writes `drops.parquet`: one row a (codec, quality, restorer, quantity).

    `mean` is over seeds; `seed_low` to `seed_high` its 95 % interval over seeds, paired seed by seed;
    `image_low` to `image_high` that over test images. mIoU in [0, 1]. Quantities without domain R have
    no restorer. A share whose drop is not surely above 0 is null.
    """
    rows: list[dict[str, Any]] = []
    for one in config.codecs:
        for quality in one.qualities:
            at = [
                result
                for result in results
                if result.job.share == 1
                and (result.job.codec.name, result.job.quality) == (one.codec.name, quality)
            ]
            rows += [
                {"codec": one.codec.name, "quality": quality, **row}
                for row in _at_rate(list(config.restorers), at)
            ]
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    return rows


def _at_rate(restorers: list[str], results: Sequence[Result]) -> list[dict[str, Any]]:
    """The quantities of one codec and quality."""
    scores: dict[tuple[str, str | None], list[float]] = {}
    confusions: dict[tuple[str, str | None], list[Confusions]] = {}
    for result in results:
        for row in result.rows:
            key = (row["configuration"], row["restorer"])
            scores.setdefault(key, []).append(row["miou"])
            confusions.setdefault(key, []).append(result.confusions[row["configuration"]])
    rows: list[dict[str, Any]] = []
    for restorer in restorers:
        chosen = {name: key for key in scores if key[1] in (None, restorer) for name in key[:1]}
        miou = {name: scores[key] for name, key in chosen.items()}
        stacked = {name: np.stack(confusions[key]) for name, key in chosen.items()}
        for name, statistic in statistics(list(miou)).items():
            restored = name in ("won back", SHARE) or name.startswith("RO")
            if not restored and restorer != restorers[0]:
                continue
            images = bootstrap_interval(statistic, stacked)
            over_seeds = share_won_back(miou) if name == SHARE else seed_interval(drops(miou)[name])
            if over_seeds is None:
                images = Interval(images.mean, None, None, images.count)
            rows.append(
                _row(
                    name,
                    restorer if restored else None,
                    over_seeds,
                    images,
                    len(next(iter(miou.values()))),
                )
            )
    if len(restorers) > 1 and all(("RO", restorer) in scores for restorer in restorers[:2]):
        first, second = sorted(restorers[:2])  # adversarial first, however the config names them
        a, b = (np.asarray(scores["RO", restorer]) for restorer in (first, second))
        gap = seed_interval(a - b)
        stacked = {restorer: np.stack(confusions["RO", restorer]) for restorer in restorers[:2]}
        images = bootstrap_interval(partial(_difference, first, second), stacked)
        name = f"{first} − {second}"
        rows.append(_row(name, None, gap, images, len(a)))
    return rows


def _difference(a: str, b: str, miou: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    return miou[a] - miou[b]


def _row(
    quantity: str, restorer: str | None, over_seeds: Interval | None, images: Interval, seeds: int
) -> dict[str, Any]:
    return {
        "restorer": restorer,
        "quantity": quantity,
        "mean": over_seeds.mean if over_seeds else None,
        "seed_low": over_seeds.low if over_seeds else None,
        "seed_high": over_seeds.high if over_seeds else None,
        "image_low": images.low,
        "image_high": images.high,
        "seeds": seeds,
    }
