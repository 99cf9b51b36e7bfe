"""The stage that decodes what was collected: every distinct bitstream once.

The artifact: `frames/{frame_id}.npy` (the best decoded bitstream of each frame, uint8 (H, W, 3)) and
`frames.parquet` (one row a delivered frame, with its PSNR and MS-SSIM against the original, or why it
could not be decoded). Originals are known because this is a simulation; they serve as the measure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.codecs import CodecConfig
from fleet.errors import BitstreamError
from fleet.frames.data import DataSet
from fleet.frames.layout import FrameReader, FrameRef
from models.metrics import ms_ssim, psnr
from server.manifest import Row, read_manifest
from server.parallel import WorkerCrash, map_items

FRAMES_SCHEMA = pa.schema(
    [
        ("vehicle", pa.int32()),
        ("sequence", pa.int32()),
        ("frame_id", pa.string()),
        ("city", pa.string()),
        ("quality", pa.float64()),
        ("bits", pa.int64()),
        ("bpp", pa.float64()),
        ("psnr", pa.float64()),
        ("ms_ssim", pa.float64()),
        ("trained", pa.bool_()),
        ("fault", pa.string()),
    ]
)


@dataclass(frozen=True)
class Decoded:
    """What came of a bitstream.

    Attributes:
        digest: the bitstream's.
        psnr: dB against the original; None where it is infinite or nothing was decoded.
        ms_ssim: against the original; None where the frame is too small for it.
        fault: why nothing was decoded, or None.
        kept: whether it is the frame's best, whose pixels are in the artifact.
    """

    digest: str
    psnr: float | None
    ms_ssim: float | None
    fault: str | None
    kept: bool


@dataclass(frozen=True)
class _Job:
    """The distinct bitstreams of one frame, best first, as (digest, file)."""

    ref: FrameRef
    bitstreams: tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class _Decode:
    """Decodes a frame's bitstreams; sent to worker processes."""

    codec: CodecConfig
    reader: FrameReader
    max_pixels: int
    folder: Path

    def __call__(self, job: _Job) -> list[Decoded]:
        codec = self.codec.build()
        original = self.reader.frame(job.ref)
        results: list[Decoded] = []
        for digest, path in job.bitstreams:
            try:
                frame = codec.decode(path.read_bytes(), self.max_pixels)
                if frame.shape != original.shape:
                    raise BitstreamError("decodes to another size than the frame captured")
            except BitstreamError as error:
                results.append(Decoded(digest, None, None, str(error), kept=False))
                continue
            kept = not any(result.kept for result in results)
            if kept:
                np.save(self.folder / f"{job.ref.frame_id}.npy", frame)
            decibels = psnr(original, frame)
            results.append(
                Decoded(
                    digest,
                    decibels if np.isfinite(decibels) else None,
                    ms_ssim(original, frame),
                    None,
                    kept,
                )
            )
        return results


def decode_collection(
    collection: Path,
    codec: CodecConfig,
    data: DataSet,
    folder: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Decodes a collection into `folder`.

    Of a frame that arrived more than once, the finest quality is kept for training. A bitstream that
    cannot be decoded, or whose decoder dies of it, is named in the table and left out.

    Args:
        collection: a finished collection's folder.
        codec: the codec its bitstreams were made with.
        data: the campaign's frames.
        folder: where to write.
        on_done: called with (frames done, frames in all).
    """
    rows = read_manifest(collection / "manifest")
    refs = {ref.frame_id: ref for ref in data.train}
    jobs = _jobs(rows, refs, codec, collection)
    (folder / "frames").mkdir(exist_ok=True)
    work = _Decode(codec, data.reader, data.max_pixels, folder / "frames")
    outcomes = map_items(work, jobs, lambda done: on_done(done, len(jobs)))
    found: dict[tuple[str, str], Decoded] = {}
    for job, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, WorkerCrash):
            fault = "the decoder's process died of it"
            outcome = [Decoded(digest, None, None, fault, False) for digest, _ in job.bitstreams]
            (folder / "frames" / f"{job.ref.frame_id}.npy").unlink(missing_ok=True)
        found |= {(job.ref.frame_id, result.digest): result for result in outcome}
    table = [_table_row(row, refs, found[row["frame_id"], row["digest"]]) for row in rows]
    pq.write_table(
        pa.Table.from_pylist(_train_once(table), FRAMES_SCHEMA), folder / "frames.parquet"
    )


def _jobs(
    rows: list[Row], refs: dict[str, FrameRef], codec: CodecConfig, collection: Path
) -> list[_Job]:
    scale = codec.build().scale
    best_first = sorted(rows, key=lambda row: (-scale.position(row["quality"]), row["digest"]))
    bitstreams: dict[str, dict[str, Path]] = {}
    for row in best_first:
        of_frame = bitstreams.setdefault(row["frame_id"], {})
        of_frame.setdefault(row["digest"], collection / row["path"])
    return [
        _Job(refs[frame_id], tuple(of_frame.items()))
        for frame_id, of_frame in sorted(bitstreams.items())
    ]


def _table_row(row: Row, refs: dict[str, FrameRef], decoded: Decoded) -> dict[str, Any]:
    ref = refs[row["frame_id"]]
    return {
        "vehicle": row["vehicle"],
        "sequence": row["sequence"],
        "frame_id": row["frame_id"],
        "city": ref.city,
        "quality": row["quality"],
        "bits": 8 * row["size"],
        "bpp": 8 * row["size"] / (row["width"] * row["height"]),
        "psnr": decoded.psnr,
        "ms_ssim": decoded.ms_ssim,
        "trained": decoded.kept and ref.labels is not None,
        "fault": decoded.fault,
    }


def _train_once(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Marks a frame as trained on in one row only, where the same bitstream arrived twice."""
    seen: set[str] = set()
    for row in table:
        row["trained"] = row["trained"] and row["frame_id"] not in seen
        if row["trained"]:
            seen.add(row["frame_id"])
    return table


def read_frames(folder: Path) -> list[dict[str, Any]]:
    """The table of delivered frames of a decoded collection."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "frames.parquet").to_pylist()
    return rows
