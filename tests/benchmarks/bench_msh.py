"""The neural codec beside CompressAI's: the same weights, the same frames, on the same device.

    python tests/benchmarks/bench_msh.py [--data ../shared/data] [--device cuda] [--channels 128 192]
                                         [--network runs/codec/network.safetensors]

Prints, as medians of interleaved repetitions: the entropy coder's time and size for latents of
192×64×128 drawn from the scale table, and a frame's encode and decode, broken down into analysis, hyper
path, entropy coding and synthesis. Random weights, or with --network those of a training, which also
tell what the integers cost: bits written against those of the float network's likelihoods, and against
CompressAI's coder, over frames of Kodak and of CamVid's validation split.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from compressai.models import MeanScaleHyperprior
from PIL import Image

from models.checkpoint import load_weights
from models.msh.export import SCALES, export, from_published
from models.msh.model import MshModel
from models.msh.network import build_msh
from models.msh.rans import Decoder, encode
from models.msh.rate import GAIN_ONE, gain_of, quality_of
from models.msh.training_config import MshNetworkConfig

REPETITIONS = 5
COST_QUALITIES = (0.0, 2.0, 4.0, 6.0, 8.0)


def medians(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each action, repeated in turn."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(REPETITIONS + 1):
        for name, action in actions.items():
            begun = time.perf_counter()
            action()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:  # the first compiles and warms up
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(found) for name, found in times.items()}


def entropy_coders(net: MeanScaleHyperprior, model: MshModel) -> None:
    """Both coders on the same symbols and tables of the same scales."""
    rng = np.random.default_rng(0)
    shape = (1, 192, 64, 128)
    # Mostly small scales, as in latents.
    levels = np.minimum(rng.geometric(0.09, shape) - 1, len(SCALES) - 1)
    values = np.rint(rng.normal(0, SCALES[levels])).astype(np.int32)
    theirs = net.gaussian_conditional
    symbols, indexes = torch.from_numpy(values).float(), torch.from_numpy(levels).int()
    flat = values.reshape(-1)
    tables = (levels.reshape(-1) + model.weights.channels).astype(np.int32)
    (string,) = theirs.compress(symbols, indexes)
    stream = encode(flat, tables, model.weights.tables)

    def ours() -> None:
        decoder = Decoder(stream, model.weights.tables)
        assert np.array_equal(decoder.read(tables), flat)
        decoder.finish()

    found = medians(
        {
            "CompressAI encode": lambda: theirs.compress(symbols, indexes),
            "Bitfleet encode": lambda: encode(flat, tables, model.weights.tables),
            "CompressAI decode": lambda: theirs.decompress([string], indexes),
            "Bitfleet decode": ours,
        }
    )
    print(f"entropy coder, {flat.size:,} symbols")
    for name, seconds in found.items():
        print(f"  {name:20} {1000 * seconds:8.1f} ms")
    both = [sum(s for name, s in found.items() if name.startswith(w)) for w in ("C", "B")]
    print(f"  CompressAI ÷ Bitfleet, encode + decode: {both[0] / both[1]:.1f} ×")
    print(
        f"  size: {len(string):,} and {len(stream):,} bytes ({len(stream) / len(string) - 1:+.3%})"
    )


def codecs(
    net: MeanScaleHyperprior, model: MshModel, frame: np.ndarray, device: torch.device
) -> None:
    """Both codecs on a frame whose sides are multiples of 64."""
    height, width = frame.shape[:2]
    x_13HW = torch.from_numpy(frame).to(device).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        theirs = net.compress(x_13HW)
        (latents,) = model.analyse([frame])
        coded = model.encode(latents, GAIN_ONE)
        z_hat = torch.randn(1, net.N, height // 64, width // 64, device=device)
        y_hat = torch.randn(1, net.M, height // 16, width // 16, device=device)
        z = latents.z_Chw[None]
        y = torch.zeros_like(y_hat)
        found = medians(
            {
                "CompressAI compress": lambda: net.compress(x_13HW),
                "Bitfleet encode": lambda: model.encode(model.analyse([frame])[0], GAIN_ONE),
                "CompressAI decompress": lambda: net.decompress(theirs["strings"], theirs["shape"]),
                "Bitfleet decode": lambda: model.decode(coded, height, width, GAIN_ONE),
                "  analysis, CompressAI": lambda: net.g_a(x_13HW),
                "  analysis, Bitfleet": lambda: model._g_a(
                    x_13HW.contiguous(memory_format=torch.channels_last)
                ),
                "  hyper path, CompressAI": lambda: (net.h_a(y), net.h_s(z_hat)),
                "  hyper path, Bitfleet": lambda: (model._h_a(y), model._h_s(z)),
                "  entropy coding, Bitfleet": lambda: model.encode(latents, GAIN_ONE),
                "  synthesis, CompressAI": lambda: net.g_s(y_hat),
                "  synthesis, Bitfleet": lambda: model._g_s(
                    y_hat.contiguous(memory_format=torch.channels_last)
                ),
            }
        )
    print(f"frame of {width}×{height}, {net.N}/{net.M} channels, {device}")
    for name, seconds in found.items():
        print(f"  {name:28} {1000 * seconds:8.1f} ms  {1 / seconds:7.2f} a second")
    size = sum(len(string[0]) for string in theirs["strings"])
    print(
        f"  size: {size:,} and {len(coded.payload):,} bytes ({len(coded.payload) / size - 1:+.2%})"
    )


def rate_cost(net: MeanScaleHyperprior, model: MshModel, frames: list[np.ndarray]) -> None:
    """Bits written at several qualities against what floats would say that they are worth."""
    device = model.device
    medians = net.entropy_bottleneck.quantiles[:, 0, 1].detach()[None, :, None, None]
    ours, ideal = dict.fromkeys(COST_QUALITIES, 0.0), dict.fromkeys(COST_QUALITIES, 0.0)
    theirs = 0
    for frame in frames:
        x_13HW = torch.from_numpy(frame).to(device).permute(2, 0, 1)[None].float() / 255
        (latents,) = model.analyse([frame])
        with torch.inference_mode():
            theirs += 8 * sum(len(string[0]) for string in net.compress(x_13HW)["strings"])
            y = net.g_a(x_13HW)
            z = net.h_a(y)
            _, likelihoods = net.entropy_bottleneck(z, training=False)
            z_bits = -float(likelihoods.double().log2().sum())
            scales, means = net.h_s((z - medians).round() + medians).chunk(2, 1)
            for quality in COST_QUALITIES:
                gain = gain_of(quality)
                g = gain / GAIN_ONE
                _, likelihoods = net.gaussian_conditional(y * g, scales * g, means * g, False)
                ideal[quality] += z_bits - float(likelihoods.double().log2().sum())
                ours[quality] += 8 * len(model.encode(latents, gain).payload)
    print(f"bits written against the float network's likelihoods, {len(frames)} frames")
    for quality in COST_QUALITIES:
        excess = ours[quality] / ideal[quality] - 1
        print(f"  quality {quality:3g}: {ours[quality]:12,.0f} bits, {excess:+.3%}")
    one = quality_of(GAIN_ONE)
    print(f"  against CompressAI's coder, quality {one:g}: {ours[one] / theirs - 1:+.3%}")


def whole(path: Path) -> np.ndarray:
    """An image, cropped to multiples of 64."""
    frame = np.asarray(Image.open(path).convert("RGB"))
    height, width = (side // 64 * 64 for side in frame.shape[:2])
    return frame[:height, :width].copy()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--channels", type=int, nargs=2, default=[128, 192], metavar=("N", "M"))
    parser.add_argument("--network", type=Path, help="of a training with as many channels")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every", type=int, default=6, help="for the bits, every so manyth frame")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    channels, latents = args.channels
    network = build_msh(MshNetworkConfig(channels=channels, latents=latents))
    if args.network is not None:
        load_weights(network, args.network)
    net = network.eval().net
    net.update(force=True)
    weights, device = export(from_published(net)), torch.device(args.device)
    net = net.to(device)
    model = MshModel(weights, device, threads=args.threads)
    paths = sorted((args.data / "camvid" / "leftImg8bit" / "val").glob("*/*.png"))
    if args.network is not None:
        chosen = [*sorted((args.data / "kodak").glob("*.png")), *paths][:: args.every]
        if not chosen:
            parser.error(f"--data {args.data}: holds neither kodak/ nor camvid/")
        rate_cost(net, model, [whole(path) for path in chosen])
    if paths:
        frame = whole(paths[0])
    else:
        frame = np.random.default_rng(0).integers(0, 256, (320, 448, 3), dtype=np.uint8)
    entropy_coders(net.cpu(), model)
    codecs(net.to(device), model, np.ascontiguousarray(frame), device)


if __name__ == "__main__":
    main()
