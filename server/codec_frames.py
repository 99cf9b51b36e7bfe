"""The frames that the neural codec is trained on: opened, and unpacked into files for crops."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fleet.errors import InputError
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.frames.layout import FrameReader, FrameRef
from fleet.scenes import write_scenes
from server.gathering import fingerprint
from server.progress import Progress
from server.stages import digest_inputs


@dataclass(frozen=True)
class TrainFrame:
    """A train frame and the file that it is unpacked into.

    Attributes:
        ref, reader: the frame, and what loads it.
        file: `.npy`; its name tells what the pixels came from.
    """

    ref: FrameRef
    reader: FrameReader
    file: Path


def open_frames(
    config: DataConfig, folder: Path, progress: Progress
) -> tuple[DataSet, list[TrainFrame]]:
    """A data set, opened, and its train frames, which need not be unpacked yet.

    Args:
        config: which frames.
        folder: of the training; procedural scenes are made there.
        progress: told of them.

    Raises:
        InputError: as `open_data`.
    """
    root = config.root
    pixels = digest_inputs(
        {"scenes": config.scenes.model_dump(mode="json"), "downscale": config.downscale}
    )
    if root is None:
        scenes = folder / f"scenes-{pixels[:12]}"
        if not (scenes / "done").exists():
            progress.start("scenes")
            shutil.rmtree(scenes, ignore_errors=True)  # what a run that was killed left half-done
            write_scenes(config.scenes, scenes / "data")
            (scenes / "done").touch()
            progress.end("procedural street scenes")
        root = scenes / "data"
    data = open_data(config, root, labelled=False)
    if config.root is not None:
        pixels = digest_inputs({"files": fingerprint(data.train), "downscale": config.downscale})
    files = folder / "frames"
    return data, [
        TrainFrame(ref, data.reader, files / f"{pixels[:12]}-{ref.frame_id}.npy")
        for ref in data.train
    ]


def unpack(frames: Sequence[TrainFrame], crop: int, progress: Progress) -> None:
    """Writes the frames' files, each whole or not at all; those that are there stay.

    Raises:
        InputError: a frame is smaller than a crop, or its file cannot be read.
    """
    progress.start("frames")
    for done, one in enumerate(frames, 1):
        if not one.file.exists():
            one.file.parent.mkdir(parents=True, exist_ok=True)
            frame = one.reader.frame(one.ref)
            if min(frame.shape[:2]) < crop:
                height, width = frame.shape[:2]
                raise InputError(
                    f"training.crop: {crop} is more than {one.ref.image} has pixels, "
                    f"{width}×{height}"
                )
            partial = one.file.with_suffix(".partial.npy")
            np.save(partial, frame)
            partial.replace(one.file)
        progress.update(done / len(frames), f"{done} of {len(frames)} frames")
    progress.end(f"{len(frames)} train frames")
