"""Pictures of test frames for the report: original, decoded, truth, and what a segmenter says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fleet.frames.labels import PALETTE


def write_pictures(
    frame_ids: Sequence[str],
    originals: Path,
    compressed: Path | None,
    evaluations: Mapping[str, Path],
    folder: Path,
) -> None:
    """Writes `{frame_id}__{kind}.png` for each frame; label maps in the Cityscapes colours.

    Args:
        frame_ids: which test frames.
        originals: folder of originals and labels.
        compressed: folder of compressed test frames, or None where no configuration uses them.
        evaluations: folder of an evaluation by configuration.
        folder: where to write; what it held before is replaced.
    """
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for frame_id in frame_ids:
        sources = {"original": np.load(originals / "frames" / f"{frame_id}.npy")}
        if compressed is not None:
            sources["decoded"] = np.load(compressed / "frames" / f"{frame_id}.npy")
        sources["truth"] = PALETTE[np.load(originals / "labels" / f"{frame_id}.npy")]
        for configuration, evaluation in evaluations.items():
            predicted = np.load(evaluation / "predictions" / f"{frame_id}.npy")
            sources[f"prediction_{configuration}"] = PALETTE[predicted]
        for kind, pixels in sources.items():
            Image.fromarray(pixels).save(folder / f"{frame_id}__{kind}.png")
