"""How far a train domain's frames lie from the originals: distortion and perception.

PSNR and MS-SSIM compare frame with frame. The Fréchet distance compares the two sets in the features
of the segmenter that was trained on originals; LPIPS and FID, where their weights can be had.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from fleet.frames.labels import CLASSES
from models.checkpoint import load_weights
from models.frechet import FeatureStatistics, feature_statistics, frechet_distance
from models.perceptual import Fid, Lpips, MeasureUnavailable
from models.segmenter import build_segmenter
from models.segmenter_training import WEIGHTS
from server.durable import write_json
from server.learning import LearningConfig


@dataclass(frozen=True)
class Measures:
    """A train domain's frames against their originals; None: not measured or not defined.

    Attributes:
        psnr: mean over the frames, dB.
        ms_ssim: mean over the frames, at most 1.
        frechet: Fréchet distance in the OO segmenter's features, ≥ 0.
        lpips: mean over the frames, ≥ 0.
        fid: ≥ 0.
    """

    psnr: float | None = None
    ms_ssim: float | None = None
    frechet: float | None = None
    lpips: float | None = None
    fid: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """The measures as JSON values."""
        return asdict(self)


def mean_of(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    """The mean of a column where it is known, or None if it is nowhere."""
    known = [row[name] for row in rows if row[name] is not None]
    return sum(known) / len(known) if known else None


def write_features(
    config: LearningConfig, weights: Path, files: Sequence[Path], folder: Path
) -> None:
    """Writes `features.npz`: the statistics of frames in a segmenter's features.

    Args:
        config: the network, and how many CPUs it may use.
        weights: folder of the segmenter that was trained on originals.
        files: the frames.
        folder: where to write.
    """
    trainer = config.trainer
    task = ray.remote(_features).options(
        num_cpus=trainer.cpus_per_worker, num_gpus=trainer.gpus_per_worker
    )
    found: FeatureStatistics = ray.get(task.remote(config, weights, list(files)))
    np.savez(
        folder / "features.npz", count=found.count, mean=found.mean, covariance=found.covariance
    )


def _features(config: LearningConfig, weights: Path, files: list[Path]) -> FeatureStatistics:
    device = torch.device("cuda" if config.trainer.gpus_per_worker else "cpu")
    model = build_segmenter(config.segmenter, len(CLASSES))
    load_weights(model, weights / WEIGHTS)
    frames = (np.load(file) for file in files)
    return feature_statistics(model, frames, device, threads=config.training.threads)


def read_frechet(a: Path, b: Path) -> float:
    """The Fréchet distance between what `write_features` left in two folders."""
    return frechet_distance(_read_features(a), _read_features(b))


def _read_features(folder: Path) -> FeatureStatistics:
    with np.load(folder / "features.npz") as file:
        return FeatureStatistics(int(file["count"]), file["mean"], file["covariance"])


def write_perceptual(files: Sequence[Path], originals: Sequence[Path], folder: Path) -> None:
    """Writes `perceptual.json`: LPIPS and FID, and which of them was skipped for what reason.

    Args:
        files: frames of a domain.
        originals: the same frames as originals.
        folder: where to write.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    values: dict[str, float | None] = {"lpips": None, "fid": None}
    skipped: list[str] = []
    try:
        lpips = Lpips(device)
        pairs = zip(files, originals, strict=True)
        values["lpips"] = float(np.mean([lpips(np.load(a), np.load(b)) for a, b in pairs]))
    except MeasureUnavailable as missing:
        skipped.append(str(missing))
    try:
        fid = Fid(device)
        values["fid"] = fid(map(np.load, originals), map(np.load, files))
    except MeasureUnavailable as missing:
        skipped.append(str(missing))
    write_json(folder / "perceptual.json", {**values, "skipped": skipped})
