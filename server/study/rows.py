"""The rows of a study: what each campaign came to, configuration by configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from server.calibration import calibration_bits
from server.consumption import consumed_for, tell_cost
from server.costs import total_cost
from server.durable import write_json
from server.evaluation import read_confusions, read_score
from server.learning import CALIBRATED, RESTORED
from server.manifest import read_manifest
from server.scoring import Scoring
from server.study.config import Job, StudyConfig

SCHEMA = pa.schema(
    [
        ("configuration", pa.string()),
        ("codec", pa.string()),
        ("quality", pa.float64()),
        ("share", pa.float64()),
        ("restorer", pa.string()),
        ("seed", pa.int64()),
        ("bpp", pa.float64()),
        ("miou", pa.float64()),
        ("psnr", pa.float64()),
        ("ms_ssim", pa.float64()),
        ("frechet", pa.float64()),
        ("lpips", pa.float64()),
        ("fid", pa.float64()),
        ("cost_total", pa.float64()),
        ("frames_trained", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Result:
    """What a job came to.

    Attributes:
        job: the job.
        scoring: its artifacts.
        rows: one for each of the job's configurations; see SCHEMA. `bpp` is the collection's, of
            all configurations, those of domain O too; the measures are of the train domain's frames.
        confusions: of each configuration, (test frames, classes, classes).
        skipped: measures that could not be had, and why.
    """

    job: Job
    scoring: Scoring
    rows: list[dict[str, Any]]
    confusions: dict[str, NDArray[np.int64]]
    skipped: list[str]

    @classmethod
    def of(cls, job: Job, scoring: Scoring) -> Self:
        """Runs a job to its end."""
        scoring.prepare()
        gathering = scoring.gathering
        manifest = read_manifest(gathering.collection.path / "manifest")
        bits = sum(8 * row["size"] for row in manifest)
        bpp = bits / sum(row["width"] * row["height"] for row in manifest)
        rows: list[dict[str, Any]] = []
        confusions: dict[str, NDArray[np.int64]] = {}
        skipped: list[str] = []
        for name in scoring.config.learning.configurations:
            folder = scoring.evaluation(name).path
            if name not in job.configurations:
                continue
            confusions[name] = read_confusions(folder)
            measures = scoring.measures(name[0])
            if name[0] in "CR":
                skipped += scoring.perceptual(name[0]).get("skipped", [])
            rows.append(
                {
                    "configuration": name,
                    "codec": job.codec.name,
                    "quality": job.quality,
                    "share": job.share,
                    "restorer": job.restorer if RESTORED & set(name) else None,
                    "seed": job.seed,
                    "bpp": bpp,
                    "miou": read_score(folder).miou,
                    **measures.as_json(),
                    **({"frechet": 0.0} if name[0] == "O" else {}),
                    "cost_total": total_cost(consumed_for(scoring, name[0]), scoring.config.prices),
                    "frames_trained": len(gathering.trained),
                }
            )
        tell_cost(scoring)
        return cls(job, scoring, rows, confusions, skipped)


def write_rows(results: Sequence[Result], path: Path) -> list[dict[str, Any]]:
    """Writes `study.parquet`, one row a (configuration, codec, quality, share, restorer, seed)."""
    rows = [row for result in results for row in result.rows]
    rows.sort(
        key=lambda row: (
            row["codec"], -row["share"], row["bpp"], row["configuration"], row["restorer"] or "",
            row["seed"],
        )
    )  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), path)
    return rows


def write_facts(
    config: StudyConfig,
    results: Sequence[Result],
    skipped: list[str],
    facts: dict[str, Any],
    wall_seconds: float,
    path: Path,
) -> None:
    """Writes `study.json`: what was run, on what, and what could not be measured."""
    gathering = results[0].scoring.gathering
    learning = config.campaign.learning
    calibration = gathering.calibration_data if learning.uses(CALIBRATED) else None
    write_json(
        path,
        {
            "name": config.name,
            "currency": config.campaign.prices.currency,
            "seeds": config.seeds,
            "test_frames": len(gathering.data.test),
            "train_frames": max(row["frames_trained"] for result in results for row in result.rows),
            "calibration_frames": len(calibration.train) if calibration else 0,
            "calibration_bits": (
                calibration_bits(gathering.calibration.path) if calibration else 0
            ),
            "skipped": skipped,
            "hardware": facts["hardware"],
            "wall_seconds": round(wall_seconds, 3),
            "configurations": list(learning.configurations),
            "restorers": list(config.restorers) if config.restores else [],
            "codecs": [one.codec.name for one in config.codecs],
        },
    )
