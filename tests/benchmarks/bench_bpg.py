"""What the BPG codec adds to libx265: time to encode a frame through each.

    python tests/benchmarks/bench_bpg.py --data ../shared/data

For CamVid (480×360) and Cityscapes (2048×1024) frames and both chroma formats: the median over
interleaved repetitions of the time that `BpgCodec.encode` takes, from an RGB frame to the file,
over the time that libx265 takes alone, with the same settings, from planes that are ready. The
ratio of processor time is what other load on the machine disturbs least. The goal is ≤ 1.10.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from fleet.codecs import BpgConfig, Frame
from fleet.codecs.bpg import encoder

SOURCES = {"camvid": (480, 360), "cityscapes8": (2048, 1024)}


def frames_of(data: Path, name: str, count: int) -> tuple[str, list[Frame]]:
    """Up to `count` frames of a data set, or random textured ones of its size, and their name."""
    paths = sorted((data / name / "leftImg8bit").glob("*/*/*.png"))
    if paths:
        chosen = paths[:: max(1, len(paths) // count)][:count]
        return name, [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
    width, height = SOURCES[name]
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, height // 8, width // 8, 3), dtype=np.uint8)
    sized = [Image.fromarray(frame).resize((width, height)) for frame in small]
    return f"random {width}×{height}, {name} is missing", [np.asarray(frame) for frame in sized]


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of an action."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


def compare(frames: list[Frame], config: BpgConfig, qp: int, repetitions: int) -> np.ndarray:
    """Median seconds per frame, [[codec wall, codec processor], [libx265 …]], shape (2, 2)."""
    codec = config.build()
    rows = []
    for frame in frames:
        height, width, _ = frame.shape
        block = encoder.coded_block(width, height, config.preset)
        picture = encoder.to_picture(frame, config.chroma, block)

        def ours(frame: Frame = frame) -> object:
            return codec.encode(frame, qp)

        def alone(picture: object = picture, block: int = block) -> object:
            return encoder.encode_picture(picture, qp, config.preset, config.tune, block)

        ours()
        runs = [[timed(ours), timed(alone)] for _ in range(repetitions)]
        rows.append(np.median(np.array(runs), axis=0))
    return np.array(rows).mean(0)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--preset", default=BpgConfig().preset)
    parser.add_argument("--qp", type=int, default=37)
    parser.add_argument("--frames", type=int, default=2, help="frames per data set")
    parser.add_argument("--repetitions", type=int, default=5)
    args = parser.parse_args()
    print(f"preset {args.preset}, QP {args.qp}, medians of {args.repetitions} repetitions")
    for name in SOURCES:
        label, frames = frames_of(args.data, name, args.frames)
        for chroma in ("420", "444"):
            config = BpgConfig.model_validate({"chroma": chroma, "preset": args.preset})
            ours, alone = compare(frames, config, args.qp, args.repetitions)
            print(
                f"{label:12} {chroma}: wall {ours[0]:.3f} s / {alone[0]:.3f} s"
                f" = {ours[0] / alone[0]:.3f}, processor {ours[1]:.3f} s / {alone[1]:.3f} s"
                f" = {ours[1] / alone[1]:.3f}"
            )


if __name__ == "__main__":
    main()
