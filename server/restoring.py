"""The stage that restores frames, on all CPUs of the cluster, or on its GPUs in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from fleet.errors import CampaignFailed, InputError
from models.metrics import ms_ssim, psnr
from models.restorer import PositionOutside, Restorer, RestorerConfig
from models.restoring import restore
from server.parallel import WorkerCrash, map_items
from server.restoration import RestorationConfig, read_restorer

_BATCH = 8
"""Frames restored at once on a GPU; on a CPU, one: its cores work on different frames."""


@dataclass(frozen=True)
class DecodedFrame:
    """A frame to restore.

    Attributes:
        frame_id: its id.
        position: place of its bitstream's quality on the codec's scale, in [0, 1].
    """

    frame_id: str
    position: float


@dataclass(frozen=True)
class _Restore:
    """Restores frames of one size and holds them against the originals; sent to worker processes."""

    config: RestorerConfig
    weights: Path
    gpu: bool
    precision: Literal["fp32", "bf16"]
    decoded: Path
    originals: Path
    folder: Path

    def __call__(self, batch: list[DecodedFrame]) -> list[dict[str, Any]]:
        restorer = _loaded(self.config, self.weights, self.weights.stat().st_mtime_ns)
        frames = np.stack([np.load(self.decoded / f"{item.frame_id}.npy") for item in batch])
        positions = [item.position for item in batch]
        device = torch.device("cuda" if self.gpu else "cpu")
        restored = restore(restorer, frames, positions, device, threads=1, precision=self.precision)
        rows = []
        for item, frame in zip(batch, restored, strict=True):
            np.save(self.folder / f"{item.frame_id}.npy", frame)
            original = np.load(self.originals / f"{item.frame_id}.npy")
            decibels = psnr(original, frame)
            rows.append(
                {
                    "frame_id": item.frame_id,
                    "psnr": decibels if np.isfinite(decibels) else None,
                    "ms_ssim": ms_ssim(original, frame),
                }
            )
        return rows


@lru_cache(maxsize=2)
def _loaded(config: RestorerConfig, weights: Path, changed_ns: int) -> Restorer:
    """Once a process, not once a frame; again if the file is another than before."""
    del changed_ns
    return read_restorer(config, weights)


def restore_frames(
    config: RestorationConfig,
    weights: Path,
    frames: Sequence[DecodedFrame],
    decoded: Path,
    originals: Path,
    folder: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Writes restored frames: `frames/{frame_id}.npy`, and `restored.parquet` with their measures.

    Reads the pixels that were decoded before; no bitstream is decoded again.

    Args:
        config: the restorer, and whether there are GPUs.
        weights: the restorer's weights.
        frames: which frames.
        decoded: folder of their pixels.
        originals: folder of their originals, for PSNR and MS-SSIM.
        folder: where to write.
        on_done: called with (frames done, frames in all).

    Raises:
        InputError: weights of another architecture, or a frame of a quality that the restorer was
            not trained for.
    """
    restorer = read_restorer(config.restorer, weights)
    for frame in frames:
        try:
            restorer.check_positions([frame.position])
        except PositionOutside as error:
            raise InputError(f"restoration: frame {frame.frame_id}: {error}") from None
    (folder / "frames").mkdir(exist_ok=True)
    gpus = min(1.0, config.trainer.gpus_per_worker)
    work = _Restore(
        config.restorer, weights, gpus > 0, config.training.precision, decoded, originals,
        folder / "frames",
    )  # fmt: skip
    batches = _batches(frames, decoded, _BATCH if gpus > 0 else 1)
    results = map_items(
        work, batches, lambda done: on_done(sum(map(len, batches[:done])), len(frames)), gpus=gpus
    )
    rows: list[dict[str, Any]] = []
    for result in results:
        if isinstance(result, WorkerCrash):
            raise CampaignFailed(f"a worker died while restoring: {result}") from result
        rows += result
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), folder / "restored.parquet")


_SCHEMA = pa.schema([("frame_id", pa.string()), ("psnr", pa.float64()), ("ms_ssim", pa.float64())])


def _batches(frames: Sequence[DecodedFrame], decoded: Path, size: int) -> list[list[DecodedFrame]]:
    """Neighbours of equal size together, at most `size` of them."""
    if size == 1:
        return [[frame] for frame in frames]
    batches: list[list[DecodedFrame]] = []
    before: tuple[int, ...] = ()
    for frame in frames:
        shape = np.load(decoded / f"{frame.frame_id}.npy", mmap_mode="r").shape
        if shape != before or len(batches[-1]) == size:
            batches.append([])
        batches[-1].append(frame)
        before = shape
    return batches


def read_restored(folder: Path) -> list[dict[str, Any]]:
    """PSNR (dB) and MS-SSIM of restored frames against their originals."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "restored.parquet").to_pylist()
    return rows
