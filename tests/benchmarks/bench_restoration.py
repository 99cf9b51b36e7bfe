"""What tiles save and cost: memory and time to restore a frame in tiles and in one piece.

    python tests/benchmarks/bench_restoration.py [--repetitions 3] [--threads 2]

A random-noise frame (2048×1024) through the default restorer, with random weights in its last convolution,
on the CPU. Peak resident memory is that of a fresh process each (Linux), beside what a process holds before
it restores anything. Times are medians over interleaved repetitions in one process; the ratio is that of
processor time, which other load on the machine disturbs least. The largest difference from the frame in
one piece is in levels of 1/255; there should be at most 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from models.restorer import Restorer, RestorerConfig, build_restorer
from models.restoring import U8, restore

CPU = torch.device("cpu")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--tiles", type=int, nargs="+", default=[512, 256])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    model, frame = restorer(), noise(args.height, args.width)
    if args.peak_of is not None:
        print(peak() if args.peak_of == 0 else peak_of(model, frame, args.peak_of, args.threads))
        return
    whole = max(args.width, args.height)
    sides = [*args.tiles, whole]
    times: dict[int, list[tuple[float, float]]] = {side: [] for side in sides}
    results: dict[int, U8] = {}
    for repetition in range(args.repetitions + 1):
        for side in sides:
            wall, processor = time.perf_counter(), time.process_time()
            results[side] = restore(model, frame, [0.5], CPU, tile=side, threads=args.threads)
            if repetition:  # the first one warms up
                took = time.perf_counter() - wall, time.process_time() - processor
                times[side].append(took)
    idle = peak_in_fresh_process(args, 0)
    print(
        f"{args.width}×{args.height}, {model.config}, radius {model.radius}, {args.threads} threads; "
        f"medians of {args.repetitions} repetitions; a process holds {idle:.0f} MB before"
    )
    print(
        f"{'tile':>8} {'wall s':>8} {'cpu s':>8} {'÷ whole':>8} {'peak MB':>8} {'÷ whole':>8} {'levels':>7}"
    )
    medians = {side: np.median(times[side], axis=0) for side in sides}
    peaks = {side: peak_in_fresh_process(args, side) for side in sides}
    for side in sides:
        apart = np.abs(results[side].astype(int) - results[whole].astype(int)).max()
        print(
            f"{'whole' if side == whole else side:>8} {medians[side][0]:8.2f} {medians[side][1]:8.2f} "
            f"{medians[side][1] / medians[whole][1]:8.3f} {peaks[side]:8.0f} "
            f"{peaks[side] / peaks[whole]:8.3f} {apart:7d}"
        )


def restorer() -> Restorer:
    """The default restorer, as if it had been trained: it changes frames."""
    model = build_restorer(RestorerConfig(), (0.0, 1.0))
    with torch.no_grad():
        model.tail.weight.normal_(0, 0.05, generator=torch.Generator().manual_seed(0))
    return model


def noise(height: int, width: int) -> U8:
    """One random frame, (1, H, W, 3)."""
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def peak() -> float:
    """Peak resident memory of this process, MB."""
    # Not getrusage: Linux hands the peak of the process that starts another on to the other.
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024 / 1e6


def peak_of(model: Restorer, frame: U8, side: int, threads: int) -> float:
    """Peak resident memory of this process once it has restored a frame, MB."""
    restore(model, frame, [0.5], CPU, tile=side, threads=threads)
    return peak()


def peak_in_fresh_process(args: argparse.Namespace, side: int) -> float:
    """Peak resident memory of a process that restores one frame in such tiles, MB; 0: in none."""
    command = [sys.executable, __file__, "--peak-of", str(side), "--threads", str(args.threads)]
    command += ["--width", str(args.width), "--height", str(args.height)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
