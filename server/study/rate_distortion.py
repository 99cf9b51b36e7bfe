"""Rate and distortion of each codec, compressed and restored, on the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.codecs import CodecConfig
from fleet.encoder import Encoder
from fleet.errors import CampaignFailed
from fleet.frames.layout import FrameReader, FrameRef
from models.metrics import ms_ssim, psnr
from server.gathering import count
from server.measures import mean_of
from server.parallel import WorkerCrash, map_items
from server.progress import Teller
from server.restoring import read_restored
from server.study.config import StudyConfig
from server.study.rows import Result

SCHEMA = pa.schema(
    [
        ("codec", pa.string()),
        ("quality", pa.float64()),
        ("domain", pa.string()),
        ("restorer", pa.string()),
        ("bpp", pa.float64()),
        ("psnr", pa.float64()),
        ("ms_ssim", pa.float64()),
        ("frames", pa.int64()),
    ]
)


@dataclass(frozen=True)
class _Measure:
    """Encodes, decodes and measures a frame; sent to worker processes."""

    reader: FrameReader
    max_pixels: int
    bitstreams: Path

    def __call__(self, job: tuple[CodecConfig, float, FrameRef]) -> dict[str, float | None]:
        config, quality, ref = job
        encoder = Encoder(config, self.reader, self.bitstreams)
        encoded = encoder.encode(ref, quality)
        frame = encoder.codec.decode(encoded.path.read_bytes(), self.max_pixels)
        original = self.reader.frame(ref)
        decibels = psnr(original, frame)
        return {
            "bpp": 8 * encoded.size / (encoded.width * encoded.height),
            "psnr": decibels if np.isfinite(decibels) else None,
            "ms_ssim": ms_ssim(original, frame),
        }


def write_rate_distortion(
    config: StudyConfig, results: Sequence[Result], out: Path, progress: Teller
) -> None:
    """Writes `rate_distortion.parquet`: means over the frames that the study measures.

    Of the codecs that are studied, as they arrived (C) and restored (R); of the codecs that are only
    compared, encoded and decoded here.

    Args:
        config: the study's config.
        results: of all jobs.
        out: the study's folder.
        progress: told how it goes.
    """
    rows: list[dict[str, Any]] = []
    seen: set[tuple[str, float, str | None]] = set()
    for result in results:
        job, scoring = result.job, result.scoring
        if job.share < 1 or job.seed != config.seeds[0]:
            continue
        ids = set(scoring.measured())
        arrived = [
            row for row in scoring.gathering.rows if row["trained"] and row["frame_id"] in ids
        ]
        if (job.codec.name, job.quality, None) not in seen:
            seen.add((job.codec.name, job.quality, None))
            rows.append(_row(job.codec.name, job.quality, "C", None, arrived, arrived))
        if job.restorer is not None and any(name[0] == "R" for name in job.configurations):
            restored = [
                row for row in read_restored(scoring.restored.path) if row["frame_id"] in ids
            ]
            rows.append(_row(job.codec.name, job.quality, "R", job.restorer, arrived, restored))
    rows += _compared(config, results[0], progress)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), out / "rate_distortion.parquet")


def _compared(config: StudyConfig, result: Result, progress: Teller) -> list[dict[str, Any]]:
    scoring = result.scoring
    data = scoring.gathering.data
    by_id = {ref.frame_id: ref for ref in data.train}
    refs = [by_id[frame_id] for frame_id in scoring.measured()]
    points = [(one.codec, quality) for one in config.compare for quality in one.qualities]
    progress.start("codecs compared")
    work = _Measure(data.reader, data.max_pixels, scoring.store.bitstreams)
    jobs = [(codec, quality, ref) for codec, quality in points for ref in refs]
    found = []
    for measured in map_items(work, jobs, lambda done: count(progress, done, len(jobs))):
        if isinstance(measured, WorkerCrash):
            raise CampaignFailed(f"a worker died while comparing codecs: {measured}") from measured
        found.append(measured)
    progress.end(f"{len(points)} points of {len(refs)} frames")
    rows = []
    for index, (codec, quality) in enumerate(points):
        part = found[index * len(refs) : (index + 1) * len(refs)]
        rows.append(_row(codec.name, quality, "C", None, part, part))
    return rows


def _row(
    codec: str,
    quality: float,
    domain: str,
    restorer: str | None,
    sent: Sequence[dict[str, Any]],
    measured: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "codec": codec,
        "quality": quality,
        "domain": domain,
        "restorer": restorer,
        "bpp": mean_of(sent, "bpp"),
        "psnr": mean_of(measured, "psnr"),
        "ms_ssim": mean_of(measured, "ms_ssim"),
        "frames": len(measured),
    }
