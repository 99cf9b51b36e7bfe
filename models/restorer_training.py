"""The training loop of the restorer: plain torch, on one worker or on several under DDP.

Two runs of the same config, seed, pairs and networks end in bit-identical weights on the same CPU
with the same thread count, whether or not they were killed and resumed on the way. (On a GPU the crops
are identical, but some of CUDA's backward kernels add in no fixed order.)
"""

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from models.batches import cut_ahead, mix
from models.checkpoint import (
    load_state,
    load_weights,
    read_metadata,
    run_digest,
    save_state,
    write_tensors,
)
from models.moving_average import follow
from models.restoration_pairs import Crops, PatchSampler, RestorationPairs
from models.restorer_step import TOTAL, RestorerStep, bare, finite, memory_format
from models.restorer_training_config import RestorerTrainingConfig
from models.segmenter_training import CHECKPOINT, WEIGHTS, cpu_threads
from models.training_config import StepReport, TrainingDiverged

__all__ = [
    "CHECKPOINT",
    "WEIGHTS",
    "RestorerTrainingConfig",
    "StepReport",
    "TrainingDiverged",
    "fit_restorer",
    "prepare",
]


def prepare(model: nn.Module, config: RestorerTrainingConfig, device: torch.device) -> nn.Module:
    """Moves a network to its device and memory format. To be called before DDP wraps it."""
    return model.to(device).to(memory_format=memory_format(config))


def fit_restorer(
    generator: nn.Module,
    discriminator: nn.Module | None,
    pairs: RestorationPairs,
    config: RestorerTrainingConfig,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    rank: int = 0,
    world_size: int = 1,
    features: nn.Module | None = None,
    on_step: Callable[[StepReport], None] | None = None,
) -> None:
    """Trains ``generator`` in place and leaves ``weights.safetensors`` in ``folder``.

    What it leaves, there and in ``generator``, is the moving average of the weights over the steps.
    A folder that holds a checkpoint of the same run is resumed; one that holds its weights is done,
    and they are loaded.

    Args:
        generator: a restorer, or one wrapped in DDP: decoded frames (N, 3, H, W) floating 0–1 and
            positions (N,) → (N, 3, H, W) floating, not clamped.
        discriminator: or one wrapped in DDP: frames and decoded frames (None where the config's is not
            conditional), both (N, 3, H, W) floating 0–1 → per scale the feature maps, logits last.
            Needed by the adversarial objective; the other does not touch it.
        pairs: decoded frames, originals and positions, at least one.
        config: how to train.
        seed: of the crops and of dropout; not of the initial weights.
        device: where to train.
        folder: on storage that all workers share; created if missing. Rank 0 writes.
        rank: of this worker.
        world_size: number of workers.
        features: for ``semantic_weight``: frames (N, 3, H, W) floating 0–1 → one map or several. It is
            moved to the device and put into evaluation mode; its weights stay as they are.
        on_step: called after each step; ``parts`` are `pixel`, `adversarial`, `feature_matching`,
            `semantic` and `discriminator`, as far as they played a part.

    Raises:
        TrainingDiverged: a loss or a gradient became infinite or not a number; names it.
        ValueError: no pairs, a frame smaller than a crop, a batch that the workers cannot share, a
            network that is missing, or a folder of another run.
    """
    if len(pairs) == 0:
        raise ValueError("no frames to train on")
    if config.batch_size % world_size:
        raise ValueError(f"batch_size: {config.batch_size} crops among {world_size} workers")
    if config.objective == "distortion-only":
        discriminator = None
    elif discriminator is None:
        raise ValueError("objective: adversarial, but there is no discriminator")
    if config.semantic_weight == 0:
        features = None
    elif features is None:
        raise ValueError("semantic_weight: above 0, but there is no network to take features from")
    folder.mkdir(parents=True, exist_ok=True)
    networks = [bare(n) for n in (generator, discriminator, features) if n is not None]
    for network in networks:
        prepare(network, config, device)
    fields = config.model_dump(exclude={"checkpoint_every"})
    digest = run_digest(["restorer", fields, seed, len(pairs), world_size], *networks)
    gradients = RestorerStep(
        torch.compile(generator) if config.compile else generator,
        discriminator,
        None if features is None else features.eval(),
        config,
        device,
    )
    sampler = PatchSampler(pairs, seed, config.batch_size, config.crop)
    run = _Run(bare(generator), gradients, sampler, config, folder, rank, world_size, digest)
    devices = [device] if device.type == "cuda" else []
    with cpu_threads(config.threads), torch.random.fork_rng(devices):
        run.go(on_step)


@dataclass
class _Run:
    generator: nn.Module
    gradients: RestorerStep
    sampler: PatchSampler
    config: RestorerTrainingConfig
    folder: Path
    rank: int
    world_size: int
    digest: str

    def go(self, on_step: Callable[[StepReport], None] | None) -> None:
        config, generator, discriminator = self.config, self.generator, self.gradients.discriminator
        weights, checkpoint = self.folder / WEIGHTS, self.folder / CHECKPOINT
        for file in (weights, checkpoint):
            if file.exists() and read_metadata(file).get("run") != self.digest:
                raise ValueError(f"{file}: of another run (config, seed, frames or weights differ)")
        if weights.exists():
            load_weights(generator, weights)
            generator.eval()
            return
        networks, rates = {"generator": generator}, {"generator": config.learning_rate}
        if discriminator is not None:
            networks["discriminator"] = bare(discriminator)
            rates["discriminator"] = config.discriminator_learning_rate
        optimisers = {
            name: torch.optim.Adam(network.parameters(), rates[name], (config.beta1, 0.999))
            for name, network in networks.items()
        }
        average = copy.deepcopy(generator).requires_grad_(False)
        modules = {**networks, "average": average}
        adams = {f"{name}_optimiser": optimiser for name, optimiser in optimisers.items()}
        start = load_state(checkpoint, modules, adams) if checkpoint.exists() else 0
        for network in networks.values():
            network.train()
        begun = time.monotonic()
        for step, crops in self._batches(start):
            fall = config.fall_at(step)
            for name, optimiser in optimisers.items():
                optimiser.zero_grad(set_to_none=True)
                for group in optimiser.param_groups:
                    group["lr"] = rates[name] * fall
            # Dropout by step, so that a resumed run draws what the other would have drawn.
            torch.manual_seed(mix(self.sampler.seed, step, self.rank))
            losses = self.gradients.backward(crops, warm=step >= config.warmup_steps)
            parts = finite(losses, networks, f"step {step + 1} of {config.steps}")
            for optimiser in optimisers.values():
                optimiser.step()  # the discriminator's does nothing while there is no gradient
            done = step + 1
            follow(average, generator, config.ema_decay_at(done))
            if self.rank == 0 and done % config.checkpoint_every == 0:
                save_state(checkpoint, modules, adams, done, self.digest)
            if on_step is not None:
                seconds, rate = time.monotonic() - begun, config.learning_rate * fall
                loss = parts.pop(TOTAL)
                on_step(StepReport(done, config.steps, loss, rate, seconds, parts))
        follow(generator, average, 0.0)
        for network in networks.values():
            network.eval()
        if self.rank == 0:
            write_tensors(weights, generator.state_dict(), {"run": self.digest})
            checkpoint.unlink(missing_ok=True)

    def _batches(self, start: int) -> Iterator[tuple[int, Crops]]:
        """Steps with this worker's crops."""
        share = self.config.batch_size // self.world_size
        slots = range(self.rank * share, (self.rank + 1) * share)
        return cut_ahead(lambda step: self.sampler.crops(step, slots), start, self.config.steps)
