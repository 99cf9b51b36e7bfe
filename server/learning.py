"""What is learned from the collected frames: one segmenter for each train domain.

A configuration is a train domain and a test domain: CO is trained on compressed (decoded) frames and
tested on originals. Every segmenter sees the same frames in the same order with the same seed; only
the domain of the pixels differs, so that differences in accuracy are the domain's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from pydantic import Field, field_validator, model_validator

from fleet.config import Config
from fleet.frames.labels import CLASSES
from models.frame_pairs import FramePairs, NpyPairs
from models.segmenter import SegmenterConfig, build_segmenter, check_encoder
from models.segmenter_training import TrainingConfig, TrainingDiverged, fit, prepare
from server.augmentation import AugmentationConfig
from server.losses import LossTable
from server.training import OnStep, TrainerConfig, distribute, run_training

Configuration = Literal["OO", "CO", "CC", "OC", "RO", "RC", "RR", "OR", "AO", "BO", "MO"]
"""Train domain + test domain.

Domains: O originals, C compressed (decoded), R restored. Three more train domains are controls, the
cheap remedies that restoration has to beat: A, compressed with further compression at random
qualities as augmentation; B, the segmenter of C with its batch norms' statistics re-estimated on the
calibration frames; M, compressed and restored mixed."""

RESTORED, CALIBRATED = frozenset("RM"), frozenset("RMB")
"""Domains that need a restorer; domains that need calibration frames."""


class LearningConfig(Config):
    """What is learned from the collected frames, and how it is scored."""

    configurations: list[Configuration] = Field(["CO", "CC", "OO"], min_length=1)
    """Train and test domains; the first is the one that the campaign is judged by. The vehicle will
    see originals, so that is CO."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Of initial weights and crops; null: the campaign's."""
    segmenter: SegmenterConfig = SegmenterConfig()
    """The network."""
    training: TrainingConfig = TrainingConfig()
    """How it is trained; the same for all domains."""
    trainer: TrainerConfig = TrainerConfig()
    """Where it is trained."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """What train domain A is made of."""
    measured_frames: int = Field(64, ge=2)
    """Train frames, spread evenly, whose features tell the domains' Fréchet distances."""
    perceptual: bool = False
    """Also LPIPS and FID, where torchmetrics and their weights can be had (they are downloaded)."""
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

    def uses(self, domains: frozenset[str]) -> bool:
        """Whether any configuration trains or tests on one of these domains."""
        return any(domains & set(name) for name in self.configurations)

    def trains(self, domains: frozenset[str]) -> bool:
        """Whether any configuration trains on one of these domains."""
        return any(name[0] in domains for name in self.configurations)


@dataclass(frozen=True)
class PairFiles:
    """Frames of a domain with their labels, as files.

    Attributes:
        frame_ids: which frames, in order.
        folders: of their pixels, `{frame_id}.npy`; several where a domain has several versions of
            each frame.
        labels: folder of their train ids, `{frame_id}.npy`.
    """

    frame_ids: tuple[str, ...]
    folders: tuple[Path, ...]
    labels: Path

    def pairs(self) -> NpyPairs:
        """The pairs, mapped from disk as they are used."""
        return NpyPairs(
            [folder / f"{name}.npy" for folder in self.folders for name in self.frame_ids],
            [self.labels / f"{name}.npy" for _ in self.folders for name in self.frame_ids],
        )


@dataclass(frozen=True)
class SegmenterTraining:
    """The training of a segmenter, to be run by `server.training.run_training`.

    Attributes:
        pairs: frames and train ids; cheap to pickle (`NpyPairs`).
        segmenter: the network.
        config: how to train it.
        seed: of the initial weights, of the crops and of dropout.
        folder: for checkpoints and weights.
        classes: of the network.
    """

    pairs: FramePairs
    segmenter: SegmenterConfig
    config: TrainingConfig
    seed: int
    folder: Path
    classes: int = len(CLASSES)

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        return self.config.checkpoint_every

    def train(self, device: torch.device, rank: int, world_size: int, on_step: OnStep) -> None:
        """Trains on one worker; see `server.training.Training`."""
        bare = build_segmenter(self.segmenter, self.classes, seed=self.seed)
        model = distribute(prepare(bare, self.config, device), device, world_size)
        fit(
            model, self.pairs, self.config, seed=self.seed, device=device, folder=self.folder,
            rank=rank, world_size=world_size, on_step=on_step,
        )  # fmt: skip


def train_domain(
    config: LearningConfig, files: PairFiles, seed: int, folder: Path, on_step: OnStep
) -> None:
    """Trains a segmenter on one domain: writes its weights and `training.parquet` (the loss).

    Raises:
        InputError: the cluster cannot hold the workers, or the config cannot be used.
        TrainingDiverged: the loss is no longer a number; names the section.
    """
    training = SegmenterTraining(files.pairs(), config.segmenter, config.training, seed, folder)
    try:
        with LossTable(folder / "training.parquet", on_step) as losses:
            run_training(training, config.trainer, losses.add, section="learning.trainer")
    except TrainingDiverged as error:
        raise TrainingDiverged(f"learning.training: {error}") from None
