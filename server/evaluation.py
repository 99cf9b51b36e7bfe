"""How segmenters do on a test domain: confusion matrices frame by frame, scores, predictions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import ray
import torch
from numpy.typing import NDArray

from fleet.frames.labels import CLASSES
from models.batch_norm import reestimate_batch_norm
from models.checkpoint import load_weights, write_tensors
from models.metrics import Confusion, evaluate_frames, iou_per_class, mean_iou, predict
from models.segmenter import build_segmenter
from models.segmenter_training import WEIGHTS
from server.durable import write_json
from server.learning import LearningConfig, PairFiles


@dataclass(frozen=True)
class Score:
    """How a segmenter does on a test domain.

    Attributes:
        miou: mean over the classes present of tp / (tp + fp + fn), in [0, 1].
        iou_per_class: by class name; None for a class that is neither in truth nor predicted.
    """

    miou: float
    iou_per_class: dict[str, float | None]

    @classmethod
    def of(cls, confusion: Confusion) -> Self:
        """The score of a confusion matrix over a whole test set."""
        ious = iou_per_class(confusion)
        by_class = zip(CLASSES, ious, strict=True)
        return cls(
            mean_iou(confusion),
            {name: None if np.isnan(iou) else float(iou) for name, iou in by_class},
        )

    def as_json(self) -> dict[str, Any]:
        """The score as JSON values."""
        return {"miou": self.miou, "iou_per_class": self.iou_per_class}


def evaluate_domain(
    config: LearningConfig,
    weights: Path,
    files: PairFiles,
    pictured: tuple[str, ...],
    folder: Path,
) -> None:
    """Scores a segmenter on a test domain, on one of the cluster's nodes.

    Writes `confusions.npy` (a matrix a frame, int64 (frames, classes, classes)), `score.json` (over
    the whole set), and the predictions of the pictured frames as `predictions/{frame_id}.npy`
    (train ids).

    Args:
        config: the network and how many CPUs it may use.
        weights: folder of a trained segmenter.
        files: test frames of the domain.
        pictured: frames whose predictions are kept.
        folder: where to write.
    """
    confusions = _on_cluster(config, _evaluate, weights, files, pictured, folder)
    np.save(folder / "confusions.npy", confusions)
    write_json(folder / "score.json", Score.of(confusions.sum(axis=0)).as_json())


def reestimate(
    config: LearningConfig, weights: Path, frames: tuple[Path, ...], folder: Path
) -> None:
    """Makes the segmenter of train domain B: that of C with other batch norm statistics.

    Args:
        config: the network and how many CPUs it may use.
        weights: folder of the segmenter trained on C.
        frames: files of the calibration originals.
        folder: where to write the weights.
    """
    _on_cluster(config, _reestimate, weights, frames, folder)


def read_score(folder: Path) -> Score:
    """The score that an evaluation left."""
    return Score(**json.loads((folder / "score.json").read_text()))


def read_confusions(folder: Path) -> NDArray[np.int64]:
    """The confusion matrices that an evaluation left, one a test frame, in the frames' order."""
    confusions: NDArray[np.int64] = np.load(folder / "confusions.npy")
    return confusions


def _on_cluster(config: LearningConfig, work: Any, *arguments: Any) -> Any:
    trainer = config.trainer
    task = ray.remote(work).options(
        num_cpus=trainer.cpus_per_worker, num_gpus=trainer.gpus_per_worker
    )
    return ray.get(task.remote(config, *arguments))


def _load(config: LearningConfig, weights: Path) -> tuple[torch.nn.Module, torch.device]:
    device = torch.device("cuda" if config.trainer.gpus_per_worker else "cpu")
    model = build_segmenter(config.segmenter, len(CLASSES))
    load_weights(model, weights / WEIGHTS)
    return model, device


def _evaluate(
    config: LearningConfig,
    weights: Path,
    files: PairFiles,
    pictured: tuple[str, ...],
    folder: Path,
) -> NDArray[np.int64]:
    model, device = _load(config, weights)
    threads = config.training.threads
    (folder / "predictions").mkdir(exist_ok=True)
    for frame_id in pictured:
        frame = np.load(files.folders[0] / f"{frame_id}.npy")
        np.save(
            folder / "predictions" / f"{frame_id}.npy",
            predict(model, frame, device, threads=threads),
        )
    return evaluate_frames(model, files.pairs(), device, classes=len(CLASSES), threads=threads)


def _reestimate(
    config: LearningConfig, weights: Path, frames: tuple[Path, ...], folder: Path
) -> None:
    model, device = _load(config, weights)
    originals = [np.load(file) for file in frames]
    reestimate_batch_norm(model, originals, device, batch_size=4, threads=config.training.threads)
    write_tensors(folder / WEIGHTS, model.state_dict(), {})
