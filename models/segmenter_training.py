"""The training loop of the segmenter: plain torch, on one worker or on several under DDP.

Two runs of the same config, seed and pairs end in bit-identical weights on the same CPU with the
same thread count, whether or not they were killed and resumed on the way. (On a GPU the crops are
identical, but some of CUDA's backward kernels add in no fixed order.)
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from models.batches import cut_ahead, mix
from models.checkpoint import (
    load_checkpoint,
    load_weights,
    read_metadata,
    run_digest,
    save_checkpoint,
    write_tensors,
)
from models.class_weights import root_weights
from models.frame_pairs import VOID, CropSampler, FramePairs, NpyPairs, Pair
from models.training_config import StepReport, TrainingConfig, TrainingDiverged

__all__ = [
    "NpyPairs",
    "StepReport",
    "TrainingConfig",
    "TrainingDiverged",
    "cpu_threads",
    "fit",
    "load_weights",
    "prepare",
]

WEIGHTS = "weights.safetensors"
CHECKPOINT = "checkpoint.safetensors"


@contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Torch's thread count within the block; as it was, after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prepare(model: nn.Module, config: TrainingConfig, device: torch.device) -> nn.Module:
    """Moves a model to its device and memory format. To be called before DDP wraps it."""
    model = model.to(device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return model


def fit(
    model: nn.Module,
    pairs: FramePairs,
    config: TrainingConfig,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    rank: int = 0,
    world_size: int = 1,
    on_step: Callable[[StepReport], None] | None = None,
) -> None:
    """Trains ``model`` in place and leaves ``weights.safetensors`` in ``folder``.

    A folder that holds a checkpoint of the same run is resumed; one that holds its weights is done,
    and they are loaded.

    Args:
        model: a segmenter, or one wrapped in DDP: (N, 3, H, W) uint8 → (N, classes, H, W) logits.
        pairs: frames and train ids, at least one; sizes may differ.
        config: how to train.
        seed: of the crops and of dropout; not of the initial weights.
        device: where to train.
        folder: on storage that all workers share; created if missing. Rank 0 writes.
        rank: of this worker.
        world_size: number of workers.
        on_step: called after each step.

    Raises:
        TrainingDiverged: the loss became infinite or not a number.
        ValueError: no pairs, a batch that the workers cannot share, or a folder of another run.
    """
    if len(pairs) == 0:
        raise ValueError("no frames to train on")
    if config.batch_size % world_size:
        raise ValueError(f"batch_size: {config.batch_size} crops among {world_size} workers")
    folder.mkdir(parents=True, exist_ok=True)
    bare = model.module if isinstance(model, DistributedDataParallel) else model
    prepare(bare, config, device)
    run = _digest(bare, pairs, config, seed, world_size)
    devices = [device] if device.type == "cuda" else []
    with cpu_threads(config.threads), torch.random.fork_rng(devices):
        _Run(model, bare, pairs, config, seed, device, folder, rank, world_size, run).go(on_step)


@dataclass
class _Run:
    model: nn.Module
    bare: nn.Module
    pairs: FramePairs
    config: TrainingConfig
    seed: int
    device: torch.device
    folder: Path
    rank: int
    world_size: int
    digest: str

    def go(self, on_step: Callable[[StepReport], None] | None) -> None:
        weights, checkpoint = self.folder / WEIGHTS, self.folder / CHECKPOINT
        for file in (weights, checkpoint):
            if file.exists() and read_metadata(file).get("run") != self.digest:
                raise ValueError(f"{file}: of another run (config, seed or frames differ)")
        optimiser = torch.optim.AdamW(_parameter_groups(self.bare, self.config))
        if weights.exists():
            load_weights(self.bare, weights)
            return
        start = load_checkpoint(checkpoint, self.bare, optimiser) if checkpoint.exists() else 0
        model = torch.compile(self.model) if self.config.compile else self.model
        class_weights = None
        if self.config.class_weighting == "root":
            with torch.inference_mode():
                # In evaluation mode: a probe must not count in the batch norms' statistics.
                classes = self.bare.eval()(torch.zeros(1, 3, 64, 64, device=self.device)).shape[1]
            class_weights = torch.from_numpy(root_weights(self.pairs, classes)).to(self.device)
        self.model.train()
        begun = time.monotonic()
        for step, (frames, labels) in self._batches(start):
            rate = self.config.learning_rate_at(step)
            for group in optimiser.param_groups:
                group["lr"] = rate
            # Dropout by step, so that a resumed run draws what the other would have drawn.
            torch.manual_seed(mix(self.seed, step, self.rank))
            loss = self._loss(model, frames, labels, class_weights)
            value = loss.item()
            if not math.isfinite(value):
                raise TrainingDiverged(
                    f"training diverged: the loss is {value} at step {step + 1} of "
                    f"{self.config.steps}; a smaller learning_rate may help"
                )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            done = step + 1
            if self.rank == 0 and done % self.config.checkpoint_every == 0:
                save_checkpoint(checkpoint, self.bare, optimiser, done, self.digest)
            if on_step is not None:
                seconds = time.monotonic() - begun
                on_step(StepReport(done, self.config.steps, value, rate, seconds))
        self.model.eval()
        if self.rank == 0:
            write_tensors(weights, self.bare.state_dict(), {"run": self.digest})
            checkpoint.unlink(missing_ok=True)

    def _batches(self, start: int) -> Iterator[tuple[int, Pair]]:
        """Steps with their crops."""
        config = self.config
        sampler = CropSampler(
            self.pairs,
            self.seed,
            config.batch_size,
            config.crop_height,
            config.crop_width,
            config.scale_min,
            config.scale_max,
            config.horizontal_flip,
            config.colour_jitter,
        )
        share = config.batch_size // self.world_size
        slots = range(self.rank * share, (self.rank + 1) * share)
        return cut_ahead(lambda step: sampler.crops(step, slots), start, config.steps)

    def _loss(
        self,
        model: Callable[[torch.Tensor], torch.Tensor],
        frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        class_weights: torch.Tensor | None,
    ) -> torch.Tensor:
        """Mean cross-entropy of the labelled pixels; 0 where there is none."""
        frames_N3HW = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2)
        labels_NHW = torch.from_numpy(labels).to(self.device).long()
        bf16 = self.config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            logits_NCHW = model(frames_N3HW)
        # Contiguous: the softmax over channels takes half the time of the one over NHWC.
        total = F.cross_entropy(
            logits_NCHW.float().contiguous(),
            labels_NHW,
            class_weights,
            ignore_index=VOID,
            reduction="sum",
        )
        return total / (labels_NHW != VOID).sum().clamp(min=1)


def _parameter_groups(model: nn.Module, config: TrainingConfig) -> list[dict[str, object]]:
    """Decay for kernels, none for biases and norms."""
    kernels = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": kernels, "lr": config.learning_rate, "weight_decay": config.weight_decay},
        {"params": others, "lr": config.learning_rate, "weight_decay": 0.0},
    ]


def _digest(
    model: nn.Module, pairs: FramePairs, config: TrainingConfig, seed: int, world_size: int
) -> str:
    """What makes two runs the same: config, seed, number of pairs and the initial weights."""
    fields = config.model_dump(exclude={"checkpoint_every"})
    return run_digest([fields, seed, len(pairs), world_size], model)
