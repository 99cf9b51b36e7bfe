"""Frames and files that the codec tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fleet.codecs import Frame

MakeFrame = Callable[..., Frame]


def smooth_noise(height: int, width: int, seed: int = 0) -> Frame:
    """A coloured frame with structure at several scales, (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    total = np.full((height, width, 3), 128.0)
    for step, gain in ((32, 60), (8, 30), (2, 8)):
        shape = height // step + 2, width // step + 2, 3
        coarse = rng.normal(0, gain, shape)
        rows, columns = np.arange(height) / step, np.arange(width) / step
        r, c = rows.astype(int), columns.astype(int)
        fr, fc = (rows - r)[:, None, None], (columns - c)[None, :, None]
        top = coarse[r][:, c] * (1 - fc) + coarse[r][:, c + 1] * fc
        bottom = coarse[r + 1][:, c] * (1 - fc) + coarse[r + 1][:, c + 1] * fc
        total += top * (1 - fr) + bottom * fr
    return np.clip(np.rint(total), 0, 255).astype(np.uint8)


@pytest.fixture
def make_frame() -> MakeFrame:
    """Makes a frame of a size and a seed."""
    return smooth_noise


@pytest.fixture(scope="session")
def bpg_vectors(shared_data: Path) -> Path:
    """Files of the reference BPG encoder beside its decodings; skipped where they are missing."""
    folder = shared_data / "bpg_vectors"
    if not folder.is_dir():
        pytest.skip("the reference BPG files are missing (../shared/data/bpg_vectors)")
    return folder


def psnr(a: Frame, b: Frame) -> float:
    """PSNR in dB over all samples; infinite where the frames are the same."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


@pytest.fixture(name="psnr")
def psnr_fixture() -> Callable[[Frame, Frame], float]:
    """PSNR of two frames in dB."""
    return psnr
