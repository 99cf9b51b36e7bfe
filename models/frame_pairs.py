"""Frames with their labels, and the random crops that training takes from them.

A crop is a pure function of (seed, step, slot): whoever asks for it, in whatever order and after
whatever restart, gets the same one. Labels are train ids, 255 = void.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

U8 = NDArray[np.uint8]
Pair = tuple[U8, U8]
"""A frame (H, W, 3) RGB and its train ids (H, W)."""

VOID = 255

# Streams of random numbers that must not coincide.
_ORDER, _CROP = 1, 2


class FramePairs(Protocol):
    """What training and evaluation read: anything with a length that gives a pair by its index."""

    def __len__(self) -> int:
        """How many pairs there are."""
        ...

    def __getitem__(self, index: int, /) -> Pair:
        """Frame (H, W, 3) uint8 and train ids (H, W) uint8; 0 ≤ index < len."""
        ...


class NpyPairs(Sequence[Pair]):
    """Pairs in ``.npy`` files, memory-mapped at each access: a crop reads only its own rows.

    Args:
        frames: files of uint8 (H, W, 3).
        labels: files of uint8 (H, W), in the same order.

    Raises:
        ValueError: the two lists differ in length.
    """

    def __init__(self, frames: Sequence[Path], labels: Sequence[Path]) -> None:
        if len(frames) != len(labels):
            raise ValueError(f"{len(frames)} frames but {len(labels)} label maps")
        self._files = [(str(f), str(m)) for f, m in zip(frames, labels, strict=True)]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]  # no slices
        """The pair, as read-only maps of its files.

        Raises:
            ValueError: sizes or types that are not a frame's and its labels'; names the file.
        """
        frame_file, labels_file = self._files[index]
        frame: U8 = np.load(frame_file, mmap_mode="r")
        labels: U8 = np.load(labels_file, mmap_mode="r")
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"{frame_file}: want uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        if labels.dtype != np.uint8 or labels.shape != frame.shape[:2]:
            raise ValueError(
                f"{labels_file}: want uint8 {frame.shape[:2]}, got {labels.dtype} {labels.shape}"
            )
        return frame, labels


@dataclass(frozen=True)
class CropSampler:
    """Random crops, for ever: a new random order of the pairs in each pass.

    Attributes:
        pairs: what to crop from, at least one.
        seed: of every random choice.
        batch: crops a step takes over all workers; pairs are visited in that order.
        height: of a crop, in pixels.
        width: of a crop, in pixels.
        scale_min: smallest factor by which a frame is scaled before it is cropped, > 0.
        scale_max: largest; factors are spread evenly in their logarithm.
        flip: mirror every second crop left to right.
        colour_jitter: how far brightness, contrast and tint vary: factors of 1 ± this.
    """

    pairs: FramePairs
    seed: int
    batch: int
    height: int
    width: int
    scale_min: float = 1.0
    scale_max: float = 1.0
    flip: bool = True
    colour_jitter: float = 0.0

    def crop(self, step: int, slot: int) -> Pair:
        """The crop of one slot of a step: (height, width, 3) and (height, width), writable.

        Args:
            step: from 0.
            slot: place in the whole batch, 0 ≤ slot < batch.
        """
        lap, place = divmod(step * self.batch + slot, len(self.pairs))
        frame, labels = self.pairs[int(_order(self.seed, lap, len(self.pairs))[place])]
        rng = np.random.default_rng((_CROP, self.seed, step, slot))
        scale = float(np.exp(rng.uniform(np.log(self.scale_min), np.log(self.scale_max))))
        # The window in the frame that becomes the crop; a frame may be smaller than it.
        rows = _window(frame.shape[0], round(self.height / scale), rng.random())
        columns = _window(frame.shape[1], round(self.width / scale), rng.random())
        frame, labels = frame[rows, columns], labels[rows, columns]
        height = min(self.height, max(1, round(frame.shape[0] * scale)))
        width = min(self.width, max(1, round(frame.shape[1] * scale)))
        frame, labels = _resize(frame, labels, height, width)
        if self.flip and rng.random() < 0.5:
            frame, labels = frame[:, ::-1], labels[:, ::-1]
        if self.colour_jitter > 0:
            frame = _recolour(frame, self.colour_jitter, rng)
        frame_out = np.zeros((self.height, self.width, 3), np.uint8)
        labels_out = np.full((self.height, self.width), VOID, np.uint8)
        frame_out[:height, :width] = frame
        labels_out[:height, :width] = labels
        return frame_out, labels_out

    def crops(self, step: int, slots: range) -> Pair:
        """Crops of several slots: (N, height, width, 3) and (N, height, width)."""
        crops = [self.crop(step, slot) for slot in slots]
        return np.stack([frame for frame, _ in crops]), np.stack([labels for _, labels in crops])


@lru_cache(maxsize=8)
def _order(seed: int, lap: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((_ORDER, seed, lap)).permutation(count)


def _window(size: int, wanted: int, at: float) -> slice:
    """``wanted`` pixels out of ``size`` (or all), placed by ``at`` in [0, 1)."""
    length = max(1, min(wanted, size))
    start = int(at * (size - length + 1))
    return slice(start, start + length)


def _resize(frame: U8, labels: U8, height: int, width: int) -> Pair:
    """Bilinear (over the whole of a new pixel's area) for the frame, nearest for the labels."""
    if frame.shape[:2] == (height, width):
        return frame, labels
    # Pillow, because torch would open a second pool of threads for the thread that calls this.
    size = (width, height)
    smooth = Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BILINEAR)
    nearest = Image.fromarray(np.ascontiguousarray(labels)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(smooth), np.asarray(nearest)


def _recolour(frame: U8, strength: float, rng: np.random.Generator) -> U8:
    """Another brightness, contrast and tint, each by a factor of up to 1 ± strength."""
    brightness, contrast = rng.uniform(1 - strength, 1 + strength, 2)
    tint = rng.uniform(1 - strength / 2, 1 + strength / 2, 3)
    levels = (np.arange(256) - 128) * contrast + 128
    table = np.rint(np.clip(levels * brightness * tint[:, None], 0, 255)).astype(np.uint8)
    return np.stack([table[channel][frame[..., channel]] for channel in range(3)], axis=-1)
