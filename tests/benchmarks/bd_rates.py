"""Rate and distortion of several codecs on the same images, and their BD-rates against BPG 4:4:4.

    python tests/benchmarks/bd_rates.py --data ../shared/data/kodak [--msh small] [--every 4]

Prints, per codec and quality, mean bpp, PSNR-RGB and MS-SSIM (as −10 log₁₀(1 − x), dB), then the
BD-rates in both measures: the mean difference in bits at equal quality, in %, over the range that both
curves cover; below 0 is fewer bits than BPG. Published curves of Kodak join where they are there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rate_distortion import Curve, bd_rate

from fleet.codecs import AnalysingCodec, codec_config
from models.metrics import ms_ssim, psnr

QUALITIES = {
    "bpg": (51, 47, 42, 37, 32, 27, 22),
    "msh": (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0),
    "webp": (0, 5, 20, 50, 75, 90),
    "jpeg": (3, 5, 10, 20, 40, 70),
}
PUBLISHED = ("compressai-mbt2018-mean_mse_cpu", "mbt2018-mean-vbr-ans")


def measure(job: tuple[Path, str, dict[str, Any]]) -> list[tuple[float, float, float]]:
    """bpp, PSNR in dB and MS-SSIM in dB of an image at each of a codec's qualities."""
    path, name, settings = job
    frame = np.asarray(Image.open(path).convert("RGB"))
    codec = codec_config(name, **settings).build()
    encode: Callable[[float], bytes] = lambda quality: codec.encode(frame, quality)  # noqa: E731
    if isinstance(codec, AnalysingCodec):  # transforms once, whatever the rate
        (analysis,) = codec.analyse([frame])
        encode = analysis.encode
    pixels = frame.shape[0] * frame.shape[1]
    rows = []
    for quality in QUALITIES[name]:
        bitstream = encode(quality)
        decoded = codec.decode(bitstream, pixels)
        similar = ms_ssim(frame, decoded)
        assert similar is not None, f"{path} is too small for MS-SSIM"
        decibels = float(-10 * np.log10(1 - similar))
        rows.append((8 * len(bitstream) / pixels, psnr(frame, decoded), decibels))
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of PNG images, searched")
    parser.add_argument("--msh", default="small", help="weights of the neural codec")
    parser.add_argument("--every", type=int, default=1, help="only every so manyth image")
    parser.add_argument("--codecs", nargs="+", default=list(QUALITIES), choices=list(QUALITIES))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    images = sorted(args.data.rglob("*.png"))[:: args.every]
    if not images:
        parser.error(f"--data {args.data}: holds no PNG images")
    settings = {"bpg": {"chroma": "444"}, "msh": {"weights": args.msh}}
    curves: dict[str, Curve] = {}
    with ProcessPoolExecutor(args.jobs) as pool:
        for name in dict.fromkeys(["bpg", *args.codecs]):
            jobs = [(path, name, settings.get(name, {})) for path in images]
            curve = np.array(list(pool.map(measure, jobs))).mean(0)
            curves[name] = curve
            for quality, (bpp, decibels, similar) in zip(QUALITIES[name], curve, strict=True):
                print(
                    f"{name:5} {quality:5g}  {bpp:7.4f} bpp  {decibels:6.2f} dB  {similar:6.2f} dB",
                    flush=True,
                )
    print(f"BD-rates against BPG 4:4:4 on {len(images)} images (PSNR, MS-SSIM)")
    reference = curves.pop("bpg")
    for name, curve in curves.items():
        found = [
            bd_rate(curve[:, 0], curve[:, k], reference[:, 0], reference[:, k]) for k in (1, 2)
        ]
        print(f"{name:5} {found[0]:+7.1f} %  {found[1]:+7.1f} %")
    if args.data.name == "kodak":
        for name in PUBLISHED:
            path = args.data.parent / "curves" / f"{name}.json"
            if path.exists():
                known = json.loads(path.read_text())["results"]
                rate, quality = np.array(known["bpp"]), np.array(known["psnr-rgb"])
                found_rate = bd_rate(rate, quality, reference[:, 0], reference[:, 1])
                print(f"{name}, published: {found_rate:+.1f} %")
            else:
                print(f"{name}: {path} is missing, skipped")


if __name__ == "__main__":
    main()
