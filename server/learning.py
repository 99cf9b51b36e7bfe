"""The stages that learn: one segmenter for each train domain, evaluated on each test domain.

A configuration is a train domain and a test domain: CO is trained on compressed (decoded) frames and
tested on originals. Every segmenter sees the same frames in the same order with the same seed; only
the domain of the pixels differs, so that differences in accuracy are the domain's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from pydantic import Field, field_validator, model_validator

from fleet.config import Config
from fleet.frames.labels import CLASSES
from models.checkpoint import load_weights
from models.frame_pairs import NpyPairs
from models.metrics import Confusion, evaluate, iou_per_class, mean_iou, predict
from models.segmenter import SegmenterConfig, build_segmenter, check_encoder
from models.segmenter_training import WEIGHTS, StepReport, TrainingConfig
from server.durable import write_json
from server.training import TrainerConfig, train_segmenter

Configuration = Literal["OO", "CO", "CC", "OC"]
"""Train domain + test domain, of O (originals) and C (compressed, decoded)."""


class LearningConfig(Config):
    """What is learned from the collected frames, and how it is scored."""

    configurations: list[Configuration] = Field(["CO", "CC", "OO"], min_length=1)
    """Train and test domains; the first is the one that the campaign is judged by. The vehicle will
    see originals, so that is CO."""
    segmenter: SegmenterConfig = SegmenterConfig()
    """The network."""
    training: TrainingConfig = TrainingConfig()
    """How it is trained; the same for all domains."""
    trainer: TrainerConfig = TrainerConfig()
    """Where it is trained."""
    pictures: int = Field(3, ge=0, le=32)
    """Test frames shown in the report, spread over the test frames."""

    @field_validator("configurations")
    @classmethod
    def _each_once(cls, configurations: list[Configuration]) -> list[Configuration]:
        if len(set(configurations)) != len(configurations):
            raise ValueError("names a configuration twice")
        return configurations

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if self.training.batch_size % self.trainer.workers:
            raise ValueError(
                f"training.batch_size: {self.training.batch_size} crops cannot be shared by "
                f"{self.trainer.workers} trainer.workers"
            )
        try:
            check_encoder(self.segmenter)
        except ValueError as error:
            raise ValueError(f"segmenter.{error}") from None
        return self

    @property
    def train_domains(self) -> list[str]:
        """The domains that a segmenter is trained on, in the order of first use."""
        return list(dict.fromkeys(name[0] for name in self.configurations))


@dataclass(frozen=True)
class PairFiles:
    """Frames of one domain with their labels, as files.

    Attributes:
        frame_ids: which frames, in order.
        frames: folder of their pixels, `{frame_id}.npy`.
        labels: folder of their train ids, `{frame_id}.npy`.
    """

    frame_ids: tuple[str, ...]
    frames: Path
    labels: Path

    def pairs(self) -> NpyPairs:
        """The pairs, mapped from disk as they are used."""
        return NpyPairs(
            [self.frames / f"{frame_id}.npy" for frame_id in self.frame_ids],
            [self.labels / f"{frame_id}.npy" for frame_id in self.frame_ids],
        )


def train_domain(
    config: LearningConfig,
    files: PairFiles,
    seed: int,
    folder: Path,
    on_step: Callable[[StepReport], None],
) -> None:
    """Trains a segmenter on one domain: writes its weights and `training.parquet` (the loss).

    Raises:
        InputError: the cluster cannot hold the workers, or the config cannot be used.
        TrainingDiverged: the loss is no longer a number.
    """
    losses: dict[int, float] = {}

    def keep(report: StepReport) -> None:
        losses[report.step] = report.loss
        on_step(report)

    train_segmenter(
        files.pairs(),
        config.segmenter,
        config.training,
        config.trainer,
        seed=seed,
        folder=folder,
        on_step=keep,
    )
    steps = sorted(losses)
    columns = [
        pa.array(steps, pa.int64()),
        pa.array([losses[step] for step in steps], pa.float64()),
    ]
    pq.write_table(pa.table(columns, ["step", "loss"]), folder / "training.parquet")


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

    Writes `confusion.npy`, `score.json`, and the predictions of the pictured frames as
    `predictions/{frame_id}.npy` (train ids).

    Args:
        config: the network and how many CPUs it may use.
        weights: folder of a trained segmenter.
        files: test frames of the domain.
        pictured: frames whose predictions are kept.
        folder: where to write.
    """
    trainer = config.trainer
    task = ray.remote(_evaluate).options(
        num_cpus=trainer.cpus_per_worker, num_gpus=trainer.gpus_per_worker
    )
    confusion = ray.get(task.remote(config, weights, files, pictured, folder))
    np.save(folder / "confusion.npy", confusion)
    write_json(folder / "score.json", Score.of(confusion).as_json())


def _evaluate(
    config: LearningConfig,
    weights: Path,
    files: PairFiles,
    pictured: tuple[str, ...],
    folder: Path,
) -> Confusion:
    device = torch.device("cuda" if config.trainer.gpus_per_worker else "cpu")
    threads = config.training.threads
    model = build_segmenter(config.segmenter, len(CLASSES))
    load_weights(model, weights / WEIGHTS)
    (folder / "predictions").mkdir(exist_ok=True)
    for frame_id in pictured:
        frame = np.load(files.frames / f"{frame_id}.npy")
        np.save(
            folder / "predictions" / f"{frame_id}.npy",
            predict(model, frame, device, threads=threads),
        )
    return evaluate(model, files.pairs(), device, classes=len(CLASSES), threads=threads)


def read_score(folder: Path) -> Score:
    """The score that an evaluation left."""
    return Score(**json.loads((folder / "score.json").read_text()))
