"""The training loop of the neural codec: plain torch, one process, one device.

Two runs of the same config, seed, frames and network end in bit-identical weights on the same CPU with
the same thread count, whether or not they were killed and resumed on the way.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_msssim import ms_ssim
from torch.nn.utils import clip_grad_norm_

from models.batches import cut_ahead, mix
from models.checkpoint import (
    load_state,
    load_weights,
    read_metadata,
    run_digest,
    save_state,
    write_tensors,
)
from models.moving_average import decay_at, follow
from models.msh.network import VariableRateMsh
from models.msh.rate import GAIN_ONE, gain_of
from models.msh.training_config import MS_SSIM_FACTOR, MshTrainingConfig
from models.restoration_pairs import PatchSampler, RestorationPair
from models.restorer_step import finite
from models.segmenter_training import CHECKPOINT, cpu_threads
from models.training_config import StepReport

TRAINED = "network.safetensors"
"""File of the network that a training leaves; `models.msh.export` makes weights for use of it."""

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class FrameFiles:
    """Frames in ``.npy`` files, uint8 (H, W, 3), as pairs of themselves: what crops are taken from."""

    files: Sequence[Path]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> RestorationPair:
        frame: U8 = np.load(self.files[index], mmap_mode="r")
        return frame, frame, 0.0


def fit_msh(
    network: VariableRateMsh,
    files: Sequence[Path],
    config: MshTrainingConfig,
    *,
    seed: int,
    device: torch.device,
    folder: Path,
    on_step: Callable[[StepReport], None] | None = None,
    validate: Callable[[VariableRateMsh, int], None] | None = None,
) -> None:
    """Trains ``network`` in place and leaves it in ``folder``, as the moving average over the steps.

    A folder that holds a checkpoint of the same run is resumed; one that holds its network is done, and
    it is loaded.

    Args:
        network: to be trained, or trained further.
        files: ``.npy`` frames, uint8 (H, W, 3), at least one, none smaller than a crop. Their names
            tell one run's frames from another's.
        config: how to train.
        seed: of crops, qualities and noise; not of the initial weights.
        device: where to train.
        folder: created if missing.
        on_step: called after each step, before the checkpoint that has it; ``parts`` are `bpp` and
            `distortion` (255² × the mean squared error of pixels 0–1, or 1 − MS-SSIM), means of the
            step's crops.
        validate: called every ``validate_every`` steps and at the end with the moving average, in
            evaluation mode, and the steps done.

    Raises:
        TrainingDiverged: a loss or a gradient became infinite or not a number; names it.
        ValueError: no frames, a frame smaller than a crop, or a folder of another run.
    """
    if not files:
        raise ValueError("no frames to train on")
    folder.mkdir(parents=True, exist_ok=True)
    digest = check_folder(network, files, config, seed, folder)
    network.to(device)
    sampler = PatchSampler(FrameFiles(files), seed, config.batch_size, config.crop)
    devices = [device] if device.type == "cuda" else []
    with cpu_threads(config.threads), torch.random.fork_rng(devices):
        _Run(network, sampler, config, device, folder, digest).go(on_step, validate)


def check_folder(
    network: VariableRateMsh,
    files: Sequence[Path],
    config: MshTrainingConfig,
    seed: int,
    folder: Path,
) -> str:
    """What makes a run this run: a digest of config, seed, names of the frames and initial weights.

    Raises:
        ValueError: the folder holds another run's checkpoint or network; names the file.
    """
    fields = config.model_dump(exclude={"checkpoint_every", "validate_every"})
    digest = run_digest(["msh", fields, seed, [file.name for file in files]], network)
    for file in (folder / TRAINED, folder / CHECKPOINT):
        if file.exists() and read_metadata(file).get("run") != digest:
            raise ValueError(f"{file}: of another run (config, seed, frames or weights differ)")
    return digest


@dataclass
class _Run:
    network: VariableRateMsh
    sampler: PatchSampler
    config: MshTrainingConfig
    device: torch.device
    folder: Path
    digest: str

    def go(
        self,
        on_step: Callable[[StepReport], None] | None,
        validate: Callable[[VariableRateMsh, int], None] | None,
    ) -> None:
        config, network = self.config, self.network
        trained, checkpoint = self.folder / TRAINED, self.folder / CHECKPOINT
        if trained.exists():
            load_weights(network, trained)
            network.eval()
            return
        main, auxiliary = network.groups()
        optimisers = {
            "main": torch.optim.Adam(main, config.learning_rate),
            "auxiliary": torch.optim.Adam(auxiliary, config.auxiliary_learning_rate),
        }
        average = copy.deepcopy(network).requires_grad_(False).eval()
        modules = {"network": network, "average": average}
        start = load_state(checkpoint, modules, optimisers) if checkpoint.exists() else 0
        network.train()
        begun = time.monotonic()
        for step, frames_N3HW in self._batches(start):
            torch.manual_seed(mix(self.sampler.seed, step))  # the noise, so that resumed runs agree
            rate = config.learning_rate_at(step)
            optimisers["main"].param_groups[0]["lr"] = rate
            for optimiser in optimisers.values():
                optimiser.zero_grad(set_to_none=True)
            losses = self._losses(frames_N3HW, step)
            (losses["total"] + losses["auxiliary"]).backward()  # type: ignore[no-untyped-call]
            values = finite(losses, {"network": network}, f"step {step + 1} of {config.steps}")
            clip_grad_norm_(main, config.gradient_norm)
            for optimiser in optimisers.values():
                optimiser.step()
            done = step + 1
            follow(average, network, decay_at(config.ema_decay, done))
            # What is told of a step comes before the checkpoint that has it: a run that goes on from
            # there does not tell it again.
            if on_step is not None:
                seconds = time.monotonic() - begun
                parts = {name: values[name] for name in ("bpp", "distortion")}
                on_step(StepReport(done, config.steps, values["total"], rate, seconds, parts))
            if validate is not None and (done % config.validate_every == 0 or done == config.steps):
                validate(average, done)
            if done % config.checkpoint_every == 0:
                save_state(checkpoint, modules, optimisers, done, self.digest)
        follow(network, average, 0.0)
        network.eval()
        write_tensors(trained, network.state_dict(), {"run": self.digest})
        checkpoint.unlink(missing_ok=True)

    def _losses(self, frames_N3HW: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        config, count = self.config, len(frames_N3HW)
        # One quality a crop, each from a part of the range of its own: all rates in every step.
        luck = np.random.default_rng((self.sampler.seed, step)).random(count)
        places = (np.arange(count) + luck) / count
        qualities = config.coarsest + places * (config.finest - config.coarsest)
        gains = [gain_of(float(quality)) / GAIN_ONE for quality in qualities]
        gains_N = torch.tensor(gains, dtype=torch.float32, device=self.device)
        bf16 = config.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            decoded_N3HW, bits_N = self.network(frames_N3HW, gains_N)
        decoded_N3HW = decoded_N3HW.float()
        bpp_N = bits_N.float() / config.crop**2
        if config.distortion == "mse":
            distortion_N = 255**2 * (decoded_N3HW - frames_N3HW).square().flatten(1).mean(1)
            weight = config.rate_distortion
        else:
            clamped_N3HW = decoded_N3HW.clamp(0, 1)
            distortion_N = 1 - ms_ssim(clamped_N3HW, frames_N3HW, 1.0, size_average=False)
            weight = config.rate_distortion * MS_SSIM_FACTOR
        # Over the gain, the loss of an optimal codec is about the same at all rates: none of them
        # has the others' gradients drown its own.
        total_N = (bpp_N + weight * gains_N.square() * distortion_N) / gains_N
        return {
            "total": total_N.mean(),
            "auxiliary": self.network.auxiliary_loss(),
            "bpp": bpp_N.detach().mean(),
            "distortion": distortion_N.detach().mean(),
        }

    def _batches(self, start: int) -> Iterator[tuple[int, torch.Tensor]]:
        slots = range(self.config.batch_size)
        batches = cut_ahead(
            lambda step: self.sampler.crops(step, slots)[0], start, self.config.steps
        )
        for step, crops in batches:
            frames_N3HW = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2)
            yield step, (frames_N3HW.float() / 255).contiguous()
