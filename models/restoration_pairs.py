"""Decoded frames with their originals, and the random crops that a restorer's training takes from them.

A crop is a pure function of (seed, step, slot): whoever asks for it, in whatever order and after
whatever restart, gets the same one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
RestorationPair = tuple[U8, U8, float]
"""A decoded frame (H, W, 3) RGB, its original, and where its quality is on the codec's scale, 0–1."""

Crops = tuple[U8, U8, NDArray[np.float32]]
"""Decoded crops (N, H, W, 3), originals (N, H, W, 3) and positions (N,)."""

# Streams of random numbers that must not coincide (nor with those of models/frame_pairs.py).
_ORDER, _CROP = 3, 4


class RestorationPairs(Protocol):
    """What a restorer learns from: anything with a length that gives a pair by its index."""

    def __len__(self) -> int:
        """How many pairs there are."""
        ...

    def __getitem__(self, index: int, /) -> RestorationPair:
        """Decoded and original (H, W, 3) uint8 of one size, and the position; 0 ≤ index < len."""
        ...


@dataclass(frozen=True)
class NpyRestorationPairs:
    """Pairs in ``.npy`` files, memory-mapped at each access: a crop reads only its own rows.

    Attributes:
        decoded: files of uint8 (H, W, 3).
        originals: files of uint8 (H, W, 3), in the same order; one may serve several qualities.
        positions: of the bitstreams' qualities on the codec's scale, 0 coarsest, 1 finest.

    Raises:
        ValueError: the lists differ in length, or a position is not within 0–1 (names the file).
    """

    decoded: Sequence[Path]
    originals: Sequence[Path]
    positions: Sequence[float]

    def __post_init__(self) -> None:
        counts = (len(self.decoded), len(self.originals), len(self.positions))
        if len(set(counts)) > 1:
            raise ValueError("{} decoded frames, {} originals, {} positions".format(*counts))
        for file, position in zip(self.decoded, self.positions, strict=True):
            if not 0 <= position <= 1:
                raise ValueError(f"{file}: its position {position:g} is not within 0–1")

    def __len__(self) -> int:
        return len(self.decoded)

    def __getitem__(self, index: int) -> RestorationPair:
        """The pair, as read-only maps of its files.

        Raises:
            ValueError: not frames, or not of one size; names the file.
        """
        decoded, original = _frame(self.decoded[index]), _frame(self.originals[index])
        if decoded.shape != original.shape:
            raise ValueError(
                f"{self.decoded[index]}: {decoded.shape}, but its original "
                f"{self.originals[index]}: {original.shape}"
            )
        return decoded, original, self.positions[index]


def _frame(file: Path) -> U8:
    frame: U8 = np.load(file, mmap_mode="r")
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"{file}: want uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
    return frame


@dataclass(frozen=True)
class PatchSampler:
    """Random square crops, for ever: a new random order of the pairs in each pass.

    They are neither scaled nor recoloured: that would blur or move what the codec did.

    Attributes:
        pairs: what to crop from, at least one.
        seed: of every random choice.
        batch: crops a step takes over all workers; pairs are visited in that order.
        side: of a crop, in pixels.
        flip: mirror every second crop left to right.
    """

    pairs: RestorationPairs
    seed: int
    batch: int
    side: int
    flip: bool = True

    def crop(self, step: int, slot: int) -> RestorationPair:
        """The crop of one slot of a step: twice (side, side, 3), and its position.

        Args:
            step: from 0.
            slot: place in the whole batch, 0 ≤ slot < batch.

        Raises:
            ValueError: the frame is smaller than a crop; names its file, or its number among the pairs.
        """
        lap, place = divmod(step * self.batch + slot, len(self.pairs))
        index = int(_order(self.seed, lap, len(self.pairs))[place])
        decoded, original, position = self.pairs[index]
        height, width = decoded.shape[:2]
        if min(height, width) < self.side:
            name = getattr(decoded, "filename", None) or f"pair {index}"
            raise ValueError(
                f"{name}: {width}×{height} pixels, smaller than a crop of {self.side}×{self.side}"
            )
        rng = np.random.default_rng((_CROP, self.seed, step, slot))
        top = math.floor(rng.random() * (height - self.side + 1))
        left = math.floor(rng.random() * (width - self.side + 1))
        across = slice(None, None, -1 if self.flip and rng.random() < 0.5 else 1)
        window = (slice(top, top + self.side), slice(left, left + self.side))
        return decoded[window][:, across], original[window][:, across], position

    def crops(self, step: int, slots: range) -> Crops:
        """Crops of several slots: twice (N, side, side, 3), writable, and positions (N,)."""
        crops = [self.crop(step, slot) for slot in slots]
        return (
            np.stack([decoded for decoded, _, _ in crops]),
            np.stack([original for _, original, _ in crops]),
            np.array([position for _, _, position in crops], np.float32),
        )


@lru_cache(maxsize=8)
def _order(seed: int, lap: int, count: int) -> NDArray[np.int64]:
    return np.random.default_rng((_ORDER, seed, lap)).permutation(count)
