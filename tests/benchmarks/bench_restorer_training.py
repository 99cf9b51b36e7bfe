"""What the training loop adds to the restorer's gradients: steps per second, with and without it.

    python tests/benchmarks/bench_restorer_training.py

`fit_restorer` cuts crops out of files, checks losses and gradients, takes the steps and keeps a moving
average; the bare loop takes the same gradients of one batch that is ready, and the same steps. Both
are adversarial, with the default networks and settings but for the size of a crop. The median over
interleaved repetitions of the ratio of steps per second; the goal is ≥ 0.90. The ratio of processor
time is what other load on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from models.discriminator import build_discriminator
from models.restoration_pairs import NpyRestorationPairs, PatchSampler
from models.restorer import RestorerConfig, build_restorer
from models.restorer_step import RestorerStep
from models.restorer_training import RestorerTrainingConfig, StepReport, fit_restorer, prepare
from models.segmenter_training import cpu_threads

Clock = list[tuple[float, float]]
"""Wall and processor seconds at the end of each step."""


def pairs_in(folder: Path, count: int, width: int = 480, height: int = 360) -> NpyRestorationPairs:
    """Random frames, and coarser ones in the decoded ones' place."""
    rng = np.random.default_rng(0)
    decoded = [folder / f"decoded-{index}.npy" for index in range(count)]
    originals = [folder / f"original-{index}.npy" for index in range(count)]
    for one, other in zip(decoded, originals, strict=True):
        frame = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        np.save(other, frame)
        np.save(one, frame // 32 * 32)
    return NpyRestorationPairs(decoded, originals, [0.5] * count)


def networks(config: RestorerTrainingConfig) -> tuple[torch.nn.Module, torch.nn.Module]:
    """A new restorer and a new discriminator."""
    return build_restorer(RestorerConfig(), (0.5, 0.5)), build_discriminator(config.discriminator)


def fitted(
    pairs: NpyRestorationPairs, config: RestorerTrainingConfig, device: torch.device
) -> Clock:
    """The steps of `fit_restorer`."""
    generator, discriminator = networks(config)
    clock: Clock = []

    def on_step(_: StepReport) -> None:
        clock.append((time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        fit_restorer(
            generator,
            discriminator,
            pairs,
            config,
            seed=0,
            device=device,
            folder=Path(folder),
            on_step=on_step,
        )
    return clock


def bare(pairs: NpyRestorationPairs, config: RestorerTrainingConfig, device: torch.device) -> Clock:
    """As many steps on one batch: forward, backward, step."""
    generator, discriminator = (prepare(network, config, device) for network in networks(config))
    betas = (config.beta1, 0.999)
    optimisers = [
        torch.optim.Adam(network.parameters(), config.learning_rate, betas)
        for network in (generator, discriminator)
    ]
    step = RestorerStep(generator, discriminator, None, config, device)
    crops = PatchSampler(pairs, 0, config.batch_size, config.crop).crops(
        0, range(config.batch_size)
    )
    clock: Clock = []
    with cpu_threads(config.threads):
        for _ in range(config.steps):
            for optimiser in optimisers:
                optimiser.zero_grad(set_to_none=True)
            step.backward(crops, warm=True)
            for optimiser in optimisers:
                optimiser.step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            clock.append((time.perf_counter(), time.process_time()))
    return clock


def rates(clock: Clock) -> np.ndarray:
    """Steps per second of wall clock and of processor time, past the first two steps; shape (2,)."""
    times = np.array(clock)[1:]
    steps_per_second: np.ndarray = (len(times) - 1) / (times[-1] - times[0])
    return steps_per_second


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--steps", type=int, default=12, help="of each repetition")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=RestorerTrainingConfig().threads)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    args = parser.parse_args()
    config = RestorerTrainingConfig(
        steps=args.steps, warmup_steps=0, crop=args.crop, threads=args.threads
    )
    with tempfile.TemporaryDirectory() as folder:
        pairs = pairs_in(Path(folder), 16)
        rows = [
            [rates(fitted(pairs, config, args.device)), rates(bare(pairs, config, args.device))]
            for _ in range(args.repetitions)
        ]
    table = np.array(rows)
    print(
        f"crops of {args.crop}×{args.crop}, {config.batch_size} a step, {args.threads} threads on "
        f"{args.device}; medians of {args.repetitions} repetitions of {args.steps} steps"
    )
    for column, name in enumerate(("wall", "processor")):
        loop, alone = np.median(table[..., column], axis=0)
        ratio = np.median(table[:, 0, column] / table[:, 1, column])
        print(
            f"{name:9}: fit_restorer {loop:.2f} steps/s, bare loop {alone:.2f} steps/s, "
            f"ratio {ratio:.3f}"
        )


if __name__ == "__main__":
    main()
