"""LPIPS and FID by torchmetrics, where it is installed and its networks' weights can be had.

Both look through networks that others trained (LPIPS: AlexNet by torchvision; FID: Inception-v3 by
torch-fidelity), whose weights are downloaded on first use and kept in torch's cache. Where something
is missing, building a measure raises ``MeasureUnavailable``, and the caller names what it left out.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import numpy as np
import torch

from models.metrics import U8, equal_size_batches

TIMEOUT_S = 10.0
"""How long a server may keep a download waiting for its next bytes, seconds."""


class MeasureUnavailable(RuntimeError):
    """A measure cannot be had on this machine.

    Attributes:
        name: of the measure.
        reason: what is missing, in one line.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class Lpips:
    """Learned perceptual distance of two frames (Zhang et al., CVPR 2018), AlexNet, version 0.1.

    Args:
        device: where to compute.

    Raises:
        MeasureUnavailable: torchmetrics, torchvision or the weights are missing.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._metric = _built(
            "LPIPS",
            "torchmetrics.image.lpip",
            lambda module: module.LearnedPerceptualImagePatchSimilarity(
                net_type="alex", normalize=True
            ).to(device),
        )

    def __call__(self, a: U8, b: U8) -> float:
        """The distance: 0 for equal frames, about 1 for unlike ones.

        Args:
            a, b: (H, W, 3) RGB of one size, sides at least 32.

        Raises:
            ValueError: shapes differ or a frame is not uint8.
        """
        if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
            raise ValueError(
                f"want two uint8 frames of one size: {a.dtype} {a.shape}, {b.dtype} {b.shape}"
            )
        x_13HW, y_13HW = (_batch([frame], self._device).float() / 255 for frame in (a, b))
        with torch.inference_mode():
            distance = float(self._metric(x_13HW, y_13HW))
        self._metric.reset()  # it also sums, which nobody reads
        return distance


class Fid:
    """Fréchet inception distance of two sets of frames (Heusel et al., NeurIPS 2017).

    Frames are scaled to 299×299. With fewer frames than the layer has features, the covariances are
    singular and the distance is too large: compare only between sets of equally many frames, and
    see ``models.frechet`` for a measure that is made for few.

    Args:
        device: where to compute.
        features: of Inception-v3's layers the one with so many; papers take 2048.

    Raises:
        MeasureUnavailable: torchmetrics, torch-fidelity or the weights are missing.
    """

    def __init__(
        self, device: torch.device, *, features: Literal[64, 192, 768, 2048] = 2048
    ) -> None:
        self._device = device
        self._metric = _built(
            "FID",
            "torchmetrics.image.fid",
            # In double: with float32 covariances the matrix root is known to be unstable.
            lambda module: (
                module.FrechetInceptionDistance(feature=features)
                .to(device)
                .set_dtype(torch.float64)
            ),
        )

    def __call__(self, a: Iterable[U8], b: Iterable[U8], *, batch_size: int = 8) -> float:
        """The distance, at least 0 but for rounding; the order of the sets does not matter.

        Args:
            a, b: (H, W, 3) RGB of any sizes, read one batch at a time.
            batch_size: frames a batch, at most.

        Raises:
            ValueError: a set has fewer than 2 frames.
        """
        self._metric.reset()
        with torch.inference_mode():
            for frames, real in ((a, True), (b, False)):
                count = 0
                for batch in equal_size_batches(frames, batch_size, lambda frame: frame.shape):
                    self._metric.update(_batch(batch, self._device), real=real)
                    count += len(batch)
                if count < 2:
                    raise ValueError(f"FID wants 2 frames at least in each set, got {count}")
            return float(self._metric.compute())


def _built(name: str, module: str, build: Callable[[Any], Any]) -> Any:
    """A metric of torchmetrics, which is looked for only now.

    Raises:
        MeasureUnavailable: whatever went wrong. Which errors a download or a missing package ends in
            is the libraries' affair and changes with their versions.
    """
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise MeasureUnavailable(
            name, f"torchmetrics cannot be imported ({_line(error)})"
        ) from error
    try:
        with _impatient():
            return build(found)
    except Exception as error:
        raise MeasureUnavailable(
            name, f"its network or the weights cannot be had ({_line(error)})"
        ) from error


@contextlib.contextmanager
def _impatient() -> Iterator[None]:
    """New sockets of this process give up after a while; torch's downloads set no limit.

    What torch prints about a download goes to stderr, as stdout is for results.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _batch(frames: list[U8], device: torch.device) -> torch.Tensor:
    """Frames of one size → (N, 3, H, W) uint8."""
    return torch.from_numpy(np.stack(frames)).to(device).permute(0, 3, 1, 2)
