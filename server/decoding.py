"""The stage that decodes what was collected: every distinct bitstream once.

The artifact: `frames/{frame_id}.npy` (the best decoded bitstream of each frame, uint8 (H, W, 3)) and
`frames.parquet` (one row a delivered frame, with its PSNR and MS-SSIM against the original, or why it
could not be decoded). Originals are known because this is a simulation; they serve as the measure.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fleet.codecs import CodecConfig
from fleet.errors import BitstreamError
from fleet.frames.data import DataSet
from fleet.frames.layout import FrameReader, FrameRef
from fleet.latency import Latencies
from models.metrics import ms_ssim, psnr
from server.manifest import Row, read_manifest
from server.parallel import WorkerCrash, map_items

FRAMES_SCHEMA = pa.schema(
    [
        ("vehicle", pa.int32()),
        ("sequence", pa.int32()),
        ("frame_id", pa.string()),
        ("city", pa.string()),
        ("codec", pa.string()),
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
        psnr: dB against the original; None where it is infinite or nothing was decoded.
        ms_ssim: against the original; None where the frame is too small for it.
        fault: why nothing was decoded, or None.
        seconds: how long decoding took; None where nothing was decoded.
    """

    psnr: float | None
    ms_ssim: float | None
    fault: str | None
    seconds: float | None = None


@dataclass(frozen=True)
class DecodeState:
    """How long each bitstream took to decode that this run has decoded so far, by codec."""

    decoding: dict[str, Latencies] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    """A bitstream to decode; `keep`: it is the frame's best, and its pixels are wanted."""

    ref: FrameRef
    codec: str
    digest: str
    path: Path
    keep: bool


@dataclass(frozen=True)
class _Decode:
    """Decodes a bitstream; sent to worker processes."""

    codecs: Sequence[CodecConfig]
    reader: FrameReader
    max_pixels: int
    folder: Path

    def __call__(self, job: _Job) -> Decoded:
        original = self.reader.frame(job.ref)
        try:
            codec = next(one for one in self.codecs if one.name == job.codec).build()
            bitstream = job.path.read_bytes()
            started = time.perf_counter()
            frame = codec.decode(bitstream, self.max_pixels)
            seconds = time.perf_counter() - started
            if frame.shape != original.shape:
                raise BitstreamError("decodes to another size than the frame captured")
        except BitstreamError as error:
            return Decoded(None, None, str(error))
        if job.keep:
            np.save(self.folder / f"{job.ref.frame_id}.npy", frame)
        decibels = psnr(original, frame)
        finite = decibels if np.isfinite(decibels) else None
        return Decoded(finite, ms_ssim(original, frame), None, seconds)


def decode_collection(
    collection: Path,
    codecs: Sequence[CodecConfig],
    data: DataSet,
    folder: Path,
    on_done: Callable[[int, int], None],
    on_state: Callable[[DecodeState], None] = lambda state: None,
) -> None:
    """Decodes a collection into `folder`.

    Of a frame that arrived more than once, the finest quality is kept for training; of several codecs,
    the one whose quality lies highest on its own scale. A bitstream that
    cannot be decoded, or whose decoder dies of it, is named in the table and left out.

    Args:
        collection: a finished collection's folder.
        codecs: those that its bitstreams were made with.
        data: the campaign's frames.
        folder: where to write.
        on_done: called with (frames done, frames in all).
        on_state: called before the first frame, and whenever more are done.
    """
    rows = read_manifest(collection / "manifest")
    refs = {ref.frame_id: ref for ref in data.train}
    (folder / "frames").mkdir(exist_ok=True)
    work = _Decode(tuple(codecs), data.reader, data.max_pixels, folder / "frames")
    jobs = _jobs(rows, refs, codecs, collection)
    latencies: dict[str, Latencies] = {codec.name: Latencies() for codec in codecs}

    def tell(done: int) -> None:
        on_state(DecodeState({name: each.copy() for name, each in latencies.items()}))
        on_done(done, len(jobs))

    def count(job: _Job, outcome: Decoded) -> None:
        if outcome.seconds is not None:
            latencies[job.codec].add(outcome.seconds)

    tell(0)
    outcomes = _run(work, jobs, tell, count)
    kept = {job.ref.frame_id: job.digest for job in jobs if job.keep}
    # Where a frame's best cannot be decoded, the best of those that can takes its place.
    for job in jobs:
        failed = outcomes[job.ref.frame_id, kept[job.ref.frame_id]].fault is not None
        if failed and outcomes[job.ref.frame_id, job.digest].fault is None:
            outcomes |= _run(work, [replace(job, keep=True)])
            kept[job.ref.frame_id] = job.digest
    table = []
    trained: set[str] = set()
    for row in rows:
        ref, decoded = refs[row["frame_id"]], outcomes[row["frame_id"], row["digest"]]
        train = (
            decoded.fault is None
            and ref.labels is not None
            and kept[ref.frame_id] == row["digest"]
            and ref.frame_id not in trained  # where the same bitstream arrived twice
        )
        if train:
            trained.add(ref.frame_id)
        table.append(_table_row(row, ref, decoded, train))
    pq.write_table(pa.Table.from_pylist(table, FRAMES_SCHEMA), folder / "frames.parquet")


def _run(
    work: _Decode,
    jobs: list[_Job],
    on_done: Callable[[int], None] = lambda done: None,
    on_result: Callable[[_Job, Decoded], None] = lambda job, outcome: None,
) -> dict[tuple[str, str], Decoded]:
    """Outcomes by frame and digest; a bitstream that kills its decoder is one that is at fault."""
    outcomes = {}
    found = map_items(work, jobs, on_done, on_result=on_result)
    for job, outcome in zip(jobs, found, strict=True):
        if isinstance(outcome, WorkerCrash):
            if job.keep:  # what it may have left half-written; another job's pixels stay
                (work.folder / f"{job.ref.frame_id}.npy").unlink(missing_ok=True)
            outcome = Decoded(None, None, "the decoder's process died of it")
        outcomes[job.ref.frame_id, job.digest] = outcome
    return outcomes


def _jobs(
    rows: list[Row], refs: dict[str, FrameRef], codecs: Sequence[CodecConfig], collection: Path
) -> list[_Job]:
    """Every distinct bitstream, each frame's finest first; only that one is to be kept."""
    scales = {codec.name: codec.build().scale for codec in codecs}

    def place(row: Row) -> float:
        return scales[row["codec"]].place(row["quality"])

    jobs: dict[tuple[str, str], _Job] = {}
    seen: set[str] = set()
    for row in sorted(rows, key=lambda row: (-place(row), row["digest"])):
        frame_id, digest = row["frame_id"], row["digest"]
        if (frame_id, digest) not in jobs:
            path = collection / row["path"]
            keep = frame_id not in seen
            jobs[frame_id, digest] = _Job(refs[frame_id], row["codec"], digest, path, keep)
            seen.add(frame_id)
    return list(jobs.values())


def _table_row(row: Row, ref: FrameRef, decoded: Decoded, trained: bool) -> dict[str, Any]:
    return {
        "vehicle": row["vehicle"],
        "sequence": row["sequence"],
        "frame_id": row["frame_id"],
        "city": ref.city,
        "codec": row["codec"],
        "quality": row["quality"],
        "bits": 8 * row["size"],
        "bpp": 8 * row["size"] / (row["width"] * row["height"]),
        "psnr": decoded.psnr,
        "ms_ssim": decoded.ms_ssim,
        "trained": trained,
        "fault": decoded.fault,
    }


def distinct_pixels(rows: Sequence[Row]) -> int:
    """Pixels of all bitstreams of a manifest that are decoded: every distinct one once."""
    sizes = {(row["frame_id"], row["digest"]): row["width"] * row["height"] for row in rows}
    return sum(sizes.values())


def read_frames(folder: Path) -> list[dict[str, Any]]:
    """The table of delivered frames of a decoded collection."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "frames.parquet").to_pylist()
    return rows
