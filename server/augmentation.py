"""Compression as augmentation, for the control train domain A.

What arrived is all that the server has, so that is compressed further, at random qualities: the cheap
remedy that restoration has to beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from fleet.codecs import CodecConfig
from fleet.codecs.base import QualityScale
from fleet.config import Config
from fleet.errors import CampaignFailed
from fleet.noise import uniform
from fleet.rate_control import RateControlConfig
from server.parallel import WorkerCrash, map_items


class AugmentationConfig(Config):
    """How delivered frames are compressed further for train domain A."""

    copies: int = Field(3, ge=1, le=64)
    """Further compressed copies of each frame, beside the frame itself."""
    coarsest: float | None = None
    """Their coarsest quality, on the codec's own scale; null: the codec's coarsest."""
    finest: float | None = None
    """Their finest quality; null: the codec's finest."""

    def scale(self, codec: QualityScale) -> QualityScale:
        """The codec's scale narrowed to these bounds.

        Raises ValueError naming the field if a bound is off the codec's scale or they are crossed.
        """
        try:
            return RateControlConfig(coarsest=self.coarsest, finest=self.finest).scale(codec)
        except ValueError as error:
            text = str(error).replace("rate_control", "learning.augmentation")
            raise ValueError(text) from None


@dataclass(frozen=True)
class _Compress:
    """Compresses a decoded frame at several qualities; sent to worker processes."""

    codec: CodecConfig
    decoded: Path
    max_pixels: int
    folder: Path

    def __call__(self, job: tuple[str, list[float]]) -> None:
        frame_id, qualities = job
        codec = self.codec.build()
        frame = np.load(self.decoded / f"{frame_id}.npy")
        for copy, quality in enumerate(qualities, 1):
            again = codec.decode(codec.encode(frame, quality), self.max_pixels)
            np.save(self.folder / f"copy-{copy}" / f"{frame_id}.npy", again)


def augment(
    config: AugmentationConfig,
    codec: CodecConfig,
    frame_ids: tuple[str, ...],
    decoded: Path,
    max_pixels: int,
    seed: int,
    folder: Path,
    on_done: Callable[[int, int], None],
) -> None:
    """Writes the copies: `copy-{number}/{frame_id}.npy`, numbers from 1.

    Args:
        config: how many, at which qualities; these are even on the codec's scale.
        codec: the campaign's codec.
        frame_ids: which frames.
        decoded: folder of their pixels.
        max_pixels: the most that a frame may have.
        seed: of the qualities.
        folder: where to write.
        on_done: called with (frames done, frames in all).

    Raises:
        ValueError: a bound that is off the codec's scale.
    """
    scale = config.scale(codec.build().scale)
    for copy in range(1, config.copies + 1):
        (folder / f"copy-{copy}").mkdir(exist_ok=True)
    frames = np.arange(len(frame_ids))
    # One column a copy. Up to a step beyond the finest, so that it comes as often as the others.
    draws = np.stack(
        [uniform(seed, "augmentation", copy, frames) for copy in range(config.copies)], axis=1
    )
    jobs = [
        (frame_id, [scale.at(draw * (scale.span + scale.step)) for draw in row])
        for frame_id, row in zip(frame_ids, draws.tolist(), strict=True)
    ]
    work = _Compress(codec, decoded, max_pixels, folder)
    for result in map_items(work, jobs, lambda done: on_done(done, len(jobs))):
        if isinstance(result, WorkerCrash):
            raise CampaignFailed(f"a worker died while compressing: {result}") from result
