"""Pictures for the report: test frames with predictions, and frames as the fleet sent them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fleet.frames.labels import PALETTE
from server.learning import RESTORED
from server.scoring import Scoring, spread
from server.study.rows import Result


def write_pictures(scoring: Scoring, folder: Path) -> None:
    """Writes `{frame_id}__{kind}.png` for each pictured frame; label maps in the Cityscapes colours.

    Of test frames: original, decoded and restored where a configuration is tested on them, truth,
    predictions. Of train frames, half as many and one at least: original, decoded, restored, truth.

    Args:
        scoring: a campaign whose configurations are all evaluated.
        folder: where to write; what it held before is replaced.
    """
    _empty(folder)
    learning, gathering = scoring.config.learning, scoring.gathering
    tested = {name[1] for name in learning.configurations}
    for frame_id in scoring.pictured:
        file = f"{frame_id}.npy"
        originals = gathering.originals.path
        sources = {"original": np.load(originals / "frames" / file)}
        if tested & set("CR"):
            sources["decoded"] = np.load(gathering.tested.path / "frames" / file)
        if "R" in tested:
            sources["restored"] = np.load(scoring.restored_test.path / "frames" / file)
        sources["truth"] = PALETTE[np.load(originals / "labels" / file)]
        for name in learning.configurations:
            predicted = np.load(scoring.evaluation(name).path / "predictions" / file)
            sources[f"prediction_{name}"] = PALETTE[predicted]
        _save(sources, frame_id, folder)
    for frame_id in spread(tuple(gathering.trained), (learning.pictures + 1) // 2):
        file = f"{frame_id}.npy"
        originals = gathering.originals.path
        sources = {
            "original": np.load(originals / "frames" / file),
            "decoded": np.load(gathering.decoded.path / "frames" / file),
        }
        if learning.trains(RESTORED):
            sources["restored"] = np.load(scoring.restored.path / "frames" / file)
        sources["truth"] = PALETTE[np.load(originals / "labels" / file)]
        _save(sources, frame_id, folder)


def write_study_pictures(results: Sequence[Result], folder: Path) -> None:
    """Writes pictures of test frames at the coarsest rate of a study: as each restorer leaves them.

    Args:
        results: of the study's jobs.
        folder: where to write; what it held before is replaced.
    """
    _empty(folder)
    first = min(results, key=lambda result: result.rows[0]["bpp"])
    same = [
        result
        for result in results
        if result.job.share == 1
        and (result.job.codec, result.job.quality, result.job.seed)
        == (first.job.codec, first.job.quality, first.job.seed)
    ]
    for result in same:
        tested = {name[1] for name in result.job.configurations}
        gathering = result.scoring.gathering
        for frame_id in result.scoring.pictured:
            file = f"{frame_id}.npy"
            originals = gathering.originals.path
            sources = {"original": np.load(originals / "frames" / file)}
            sources["truth"] = PALETTE[np.load(originals / "labels" / file)]
            if tested & set("CR"):
                sources["decoded"] = np.load(gathering.tested.path / "frames" / file)
            if "R" in tested:
                restored = result.scoring.restored_test.path / "frames" / file
                sources[f"restored-{result.job.restorer}"] = np.load(restored)
            _save(sources, frame_id, folder)


def _save(sources: dict[str, NDArray[np.uint8]], frame_id: str, folder: Path) -> None:
    for kind, pixels in sources.items():
        Image.fromarray(pixels).save(folder / f"{frame_id}__{kind}.png")


def _empty(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
