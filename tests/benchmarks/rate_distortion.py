"""Rate–distortion of a codec over a folder of images, and its BD-rate against a published curve.

    python tests/benchmarks/rate_distortion.py --data ../shared/data/kodak \
        --codec bpg --setting chroma=444 --setting preset=slow --qualities 22 27 32 37 42 47

Prints, per quality, the mean bpp and the mean PSNR-RGB over the images (the mean of each image's
PSNR, as in the published curves), the encoder's processor seconds per image, and the BD-rate: the
mean difference of log-rate at equal PSNR over the range that both curves cover, both interpolated
by monotone piecewise cubics (PCHIP) of log-rate over PSNR. Negative: fewer bits than the reference.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.integrate import trapezoid

from fleet.codecs import codec_config

Curve = NDArray[np.float64]


def pchip(x: Curve, y: Curve, at: Curve) -> Curve:
    """Monotone piecewise cubic interpolation (Fritsch–Butland) of y(x), x increasing, at `at`."""
    h, slope = np.diff(x), np.diff(y) / np.diff(x)
    inner = np.zeros(len(x) - 2)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = slope[:-1] * slope[1:] > 0
    inner[same] = (w1 + w2)[same] / (w1[same] / slope[:-1][same] + w2[same] / slope[1:][same])
    d = np.concatenate([slope[:1], inner, slope[-1:]])
    i = np.clip(np.searchsorted(x, at) - 1, 0, len(h) - 1)
    t = (at - x[i]) / h[i]
    hermite = (1 + 2 * t) * (1 - t) ** 2 * y[i] + t**2 * (3 - 2 * t) * y[i + 1]
    return hermite + h[i] * (t * (1 - t) ** 2 * d[i] - t**2 * (1 - t) * d[i + 1])


def bd_rate(bpp: Curve, psnr: Curve, reference_bpp: Curve, reference_psnr: Curve) -> float:
    """BD-rate in % of a curve against a reference over their common PSNR range."""
    curves = []
    for rate, quality in ((bpp, psnr), (reference_bpp, reference_psnr)):
        order = np.argsort(quality)
        curves.append((quality[order], np.log(rate[order])))
    low = max(quality[0] for quality, _ in curves)
    high = min(quality[-1] for quality, _ in curves)
    at = np.linspace(low, high, 1001)
    ours, theirs = (pchip(quality, rate, at) for quality, rate in curves)
    return float(100 * np.expm1(trapezoid(ours - theirs, at) / (high - low)))


def measure(path: Path, name: str, settings: dict[str, Any], quality: float) -> tuple[float, ...]:
    """bpp, PSNR-RGB in dB and processor seconds to encode of one image at one quality."""
    frame = np.asarray(Image.open(path).convert("RGB"))
    codec = codec_config(name, **settings).build()
    start = time.process_time()
    bitstream = codec.encode(frame, quality)
    seconds = time.process_time() - start
    decoded = codec.decode(bitstream, frame.shape[0] * frame.shape[1])
    error = np.mean((decoded.astype(np.float64) - frame) ** 2)
    pixels = frame.shape[0] * frame.shape[1]
    return len(bitstream) * 8 / pixels, float(10 * np.log10(255**2 / max(error, 1e-10))), seconds


def _setting(text: str) -> tuple[str, Any]:
    """`key=value`; a value is JSON where it can be, but for numbers that name a chroma format."""
    key, _, value = text.partition("=")
    if value in ("420", "444"):
        return key, value
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of PNG images")
    parser.add_argument("--codec", default="bpg")
    parser.add_argument("--setting", type=_setting, action="append", default=[], help="key=value")
    parser.add_argument("--preset", help="short for --setting preset=…")
    parser.add_argument("--qualities", type=float, nargs="+", default=[22, 27, 32, 37, 42, 47])
    parser.add_argument("--reference", type=Path, help="a curve; default: BPG 4:4:4 by x265")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=int, help="only the first images; then no BD-rate")
    args = parser.parse_args()
    settings = dict(args.setting) | ({"preset": args.preset} if args.preset else {})
    images = sorted(args.data.glob("*.png"))[: args.limit]
    if not images:
        parser.error(f"--data {args.data}: holds no PNG images")
    jobs = list(product(args.qualities, images))
    with ProcessPoolExecutor(args.jobs) as pool:
        paths, names = [path for _, path in jobs], [args.codec] * len(jobs)
        qualities = [quality for quality, _ in jobs]
        rows = list(pool.map(measure, paths, names, [settings] * len(jobs), qualities))
    table = np.array(rows).reshape(len(args.qualities), len(images), 3).mean(1)
    print(f"{codec_config(args.codec, **settings)!r}, {len(images)} images")
    for quality, (bpp, psnr, seconds) in zip(args.qualities, table, strict=True):
        print(f"quality {quality:5g}  {bpp:8.4f} bpp  {psnr:6.2f} dB  {seconds:6.3f} s")
    print(f"mean encode time {table[:, 2].mean():.3f} s")
    reference = args.reference or args.data.parent / "curves" / "bpg_444_x265_ycbcr.json"
    if args.limit or len(table) < 3:
        return
    if not reference.exists():
        print(f"no BD-rate: {reference} is missing")
        return
    curve = json.loads(reference.read_text())["results"]
    known = np.array(curve["bpp"]), np.array(curve["psnr-rgb"])
    print(f"BD-rate against {reference.name}: {bd_rate(table[:, 0], table[:, 1], *known):+.2f} %")


if __name__ == "__main__":
    main()
