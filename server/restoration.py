"""Dataset restoration: a restorer learns from calibration frames, then restores what was decoded.

Pairs are made on the server: each calibration original, encoded and decoded with the campaign's codec
at the qualities that the restorer is to serve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import Field

from fleet.codecs import CodecConfig
from fleet.codecs.base import QualityScale
from fleet.config import Config
from fleet.errors import CampaignFailed, InputError
from fleet.frames.labels import CLASSES
from models.checkpoint import load_weights
from models.discriminator import build_discriminator
from models.restoration_pairs import NpyRestorationPairs
from models.restorer import Restorer, RestorerConfig, build_restorer
from models.restorer_training import WEIGHTS, fit_restorer, prepare
from models.restorer_training_config import RestorerTrainingConfig
from models.segmenter import SegmenterConfig, SegmenterFeatures, build_segmenter
from models.training_config import TrainingDiverged
from server.losses import LossTable
from server.parallel import WorkerCrash, map_items
from server.training import OnStep, TrainerConfig, distribute, run_training

_MOST_QUALITIES = 4
"""Qualities of the calibration pairs where the config names none."""


class RestorationConfig(Config):
    """The restorer of a campaign: which network, how it is trained, which qualities it serves."""

    restorer: RestorerConfig = RestorerConfig()
    """The network."""
    training: RestorerTrainingConfig = RestorerTrainingConfig()
    """How it is trained; `objective` says whether it is adversarial or distortion-only."""
    trainer: TrainerConfig = TrainerConfig()
    """Where it is trained, and with how many GPUs frames are restored."""
    qualities: list[float] | None = Field(None, min_length=1)
    """Qualities of the pairs that it learns from, on the codec's own scale; it serves all from the
    coarsest of them to the finest. Null: four of those that were delivered, the extremes among
    them."""
    seed: int | None = Field(None, ge=0, lt=2**63)
    """Of initial weights and crops; null: the campaign's."""
    weights: Path | None = None
    """A trained restorer (`restorer.safetensors` of a campaign) to be used in place of training
    one; then no calibration is needed. Null: one is trained."""


def served_qualities(
    config: RestorationConfig, scale: QualityScale, delivered: Sequence[float]
) -> list[float]:
    """The qualities of the pairs, coarsest first.

    Args:
        config: what it asks for.
        scale: the codec's.
        delivered: qualities of the frames that are to be restored, at least one.

    Raises:
        InputError: frames were delivered at a quality outside the range.
        ValueError: a quality off the codec's scale.
    """
    ordered = sorted(set(delivered), key=scale.position)
    if config.qualities is None:
        count = min(_MOST_QUALITIES, len(ordered))
        places = np.linspace(0, len(ordered) - 1, count).round().astype(int)
        return [ordered[place] for place in dict.fromkeys(places.tolist())]
    asked = sorted({scale.check(q) for q in config.qualities}, key=scale.position)
    for quality in (ordered[0], ordered[-1]):
        if not scale.position(asked[0]) <= scale.position(quality) <= scale.position(asked[-1]):
            raise InputError(
                f"restoration.qualities: frames arrived at quality {quality:g}, outside the range "
                f"{asked[0]:g} to {asked[-1]:g} that the restorer is trained for"
            )
    return asked


@dataclass(frozen=True)
class _Compress:
    """Makes the decoded frames of one calibration original; sent to worker processes."""

    codec: CodecConfig
    qualities: tuple[float, ...]
    max_pixels: int
    folder: Path

    def __call__(self, original: Path) -> None:
        frame, codec = np.load(original), self.codec.build()
        for quality in self.qualities:
            decoded = codec.decode(codec.encode(frame, quality), self.max_pixels)
            np.save(self.folder / _pair_name(original.stem, quality), decoded)


def make_pairs(
    originals: Path,
    codec: CodecConfig,
    qualities: Sequence[float],
    max_pixels: int,
    folder: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Writes what a restorer learns from, beside the originals.

    `decoded/{frame_id}@{quality}.npy` and `pairs.parquet` (frame_id, quality, position: place of the
    quality on the codec's scale, in [0, 1]).

    Args:
        originals: folder of the calibration frames' pixels; see `server.references`.
        codec: the campaign's codec.
        qualities: of the pairs.
        max_pixels: the most that a frame may have.
        folder: where to write.
        on_done: called with (frames done, frames in all).
    """
    (folder / "decoded").mkdir(exist_ok=True)
    files = sorted((originals / "frames").glob("*.npy"))
    work = _Compress(codec, tuple(qualities), max_pixels, folder / "decoded")
    for result in map_items(work, files, lambda done: on_done(done, len(files))):
        if isinstance(result, WorkerCrash):
            raise CampaignFailed(f"a worker died while making pairs: {result}") from result
    scale = codec.build().scale
    rows = [
        {"frame_id": file.stem, "quality": quality, "position": scale.place(quality)}
        for file in files
        for quality in qualities
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "pairs.parquet")


def _pair_name(frame_id: str, quality: float) -> str:
    # All digits, since qualities of a continuous scale may lie next to each other.
    return f"{frame_id}@{quality:.17g}.npy"


def read_pairs(pairs: Path, originals: Path) -> NpyRestorationPairs:
    """The pairs that `make_pairs` left, mapped from disk as they are used."""
    rows = pq.read_table(pairs / "pairs.parquet").to_pylist()
    return NpyRestorationPairs(
        [pairs / "decoded" / _pair_name(row["frame_id"], row["quality"]) for row in rows],
        [originals / "frames" / f"{row['frame_id']}.npy" for row in rows],
        [row["position"] for row in rows],
    )


@dataclass(frozen=True)
class SemanticNetwork:
    """A segmenter whose features restored frames are held to; see `semantic_weight`.

    Attributes:
        config: the network.
        weights: its file.
    """

    config: SegmenterConfig
    weights: Path

    def build(self) -> SegmenterFeatures:
        """The network, frozen."""
        segmenter = build_segmenter(self.config, len(CLASSES))
        load_weights(segmenter, self.weights)
        return SegmenterFeatures(segmenter).requires_grad_(False)


@dataclass(frozen=True)
class RestorerTraining:
    """The training of a restorer, to be run by `server.training.run_training`.

    Attributes:
        pairs: decoded calibration frames and their originals.
        restorer: the network.
        config: how to train it.
        semantic: the network of the semantic loss, where it has a weight.
        seed: of the initial weights and of the crops.
        folder: for checkpoints and weights.
    """

    pairs: NpyRestorationPairs
    restorer: RestorerConfig
    config: RestorerTrainingConfig
    semantic: SemanticNetwork | None
    seed: int
    folder: Path

    @property
    def checkpoint_every(self) -> int:
        """Steps between checkpoints."""
        return self.config.checkpoint_every

    def train(self, device: torch.device, rank: int, world_size: int, on_step: OnStep) -> None:
        """Trains on one worker; see `server.training.Training`."""
        positions = (min(self.pairs.positions), max(self.pairs.positions))
        bare = build_restorer(self.restorer, positions, seed=self.seed)
        generator = distribute(prepare(bare, self.config, device), device, world_size)
        discriminator: torch.nn.Module | None = None
        if self.config.objective == "adversarial":
            judge = build_discriminator(self.config.discriminator, seed=self.seed)
            discriminator = distribute(prepare(judge, self.config, device), device, world_size)
        fit_restorer(
            generator, discriminator, self.pairs, self.config, seed=self.seed, device=device,
            folder=self.folder, rank=rank, world_size=world_size, on_step=on_step,
            features=self.semantic.build() if self.semantic is not None else None,
        )  # fmt: skip


def train_restorer(
    config: RestorationConfig,
    pairs: Path,
    originals: Path,
    semantic: SemanticNetwork | None,
    seed: int,
    folder: Path,
    on_step: OnStep,
) -> None:
    """Trains a restorer on the pairs in a folder: writes its weights and `training.parquet`.

    Raises:
        InputError: the cluster cannot hold the workers, or the config cannot be used.
        TrainingDiverged: a loss or a gradient is no longer a number; names the section.
    """
    training = RestorerTraining(
        read_pairs(pairs, originals), config.restorer, config.training, semantic, seed, folder
    )
    try:
        with LossTable(folder / "training.parquet", on_step) as losses:
            run_training(training, config.trainer, losses.add, section="restoration.trainer")
    except TrainingDiverged as error:
        raise TrainingDiverged(f"restoration.training: {error}") from None


def read_restorer(config: RestorerConfig, weights: Path) -> Restorer:
    """A trained restorer.

    Raises:
        InputError: no such file, or one of another architecture; one line that names it.
    """
    if not weights.is_file():
        raise InputError(f"restoration.weights: {weights} is not a file")
    restorer = build_restorer(config, (0.0, 1.0))
    try:
        load_weights(restorer, weights)
    except ValueError as error:
        raise InputError(f"restoration.restorer: {error}") from None
    return restorer


def weights_file(folder: Path) -> Path:
    """The weights that `train_restorer` left in its folder."""
    return folder / WEIGHTS
