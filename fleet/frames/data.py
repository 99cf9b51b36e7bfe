"""Which frames a campaign has: the train frames vehicles capture and the test frames kept apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from fleet.config import Config
from fleet.errors import InputError
from fleet.frames.layout import Annotation, FrameReader, FrameRef, scan_split
from fleet.scenes import ScenesConfig


class DataConfig(Config):
    """The data set."""

    root: Path | None = None
    """Folder in the Cityscapes layout; null: procedural scenes, made as `scenes` says."""
    scenes: ScenesConfig = ScenesConfig()
    """The procedural scenes; used only where `root` is null."""
    annotation: Annotation = "gtFine"
    """Which labels: gtFine, or gtCoarse (with `train_split: train_extra`)."""
    test_annotation: Annotation = "gtFine"
    """Which labels the segmenter is scored on; with `holdout`, those of `annotation`."""
    train_split: str = Field("train", pattern=r"^[A-Za-z0-9_-]+$")
    """The split that vehicles drive through."""
    test_split: str | None = Field("val", pattern=r"^[A-Za-z0-9_-]+$")
    """The split that the segmenter is scored on; null: `holdout` says which frames are."""
    holdout: float = Field(0.0, ge=0.0, lt=1.0)
    """Where `test_split` is null: the share of each city's frames, the last ones of its drive, that
    is kept apart as test frames."""
    downscale: int = Field(1, ge=1, le=16)
    """Whole factor by which frames and labels shrink when they are captured."""
    max_width: int = Field(2048, ge=16, le=16384)
    """Widest frame accepted, in pixels, before downscaling."""
    max_height: int = Field(1024, ge=16, le=16384)
    """Highest frame accepted, in pixels, before downscaling."""
    limit_train: int | None = Field(None, ge=1)
    """Use only so many train frames, spread evenly; null: all."""
    limit_test: int | None = Field(None, ge=1)
    """Use only so many test frames, spread evenly; null: all."""

    @model_validator(mode="after")
    def _one_source_of_test_frames(self) -> Self:
        if (self.test_split is None) == (self.holdout == 0):
            raise ValueError("give either test_split or a holdout above 0, not both or neither")
        if self.test_split == self.train_split:
            raise ValueError(
                "test_split must differ from train_split; use holdout to divide a split"
            )
        return self

    def reader(self) -> FrameReader:
        """The reader of this data set's files."""
        return FrameReader(self.downscale, self.max_width, self.max_height)


@dataclass(frozen=True)
class DataSet:
    """A campaign's frames.

    Attributes:
        train: frames that vehicles capture, sorted by id.
        test: labelled frames the segmenter is scored on; none of them is in `train`.
    """

    train: tuple[FrameRef, ...]
    test: tuple[FrameRef, ...]
    reader: FrameReader

    @property
    def max_pixels(self) -> int:
        """The most pixels a captured frame can have: what a decoder is ever asked to allocate."""
        scale = self.reader.downscale
        return (self.reader.max_width // scale) * (self.reader.max_height // scale)


def open_data(config: DataConfig, root: Path, *, labelled: bool = True) -> DataSet:
    """Scans a data set and checks every file's header.

    Args:
        config: which frames.
        root: the data set's folder.
        labelled: labels are needed; if not, they may be missing.

    Raises:
        InputError: missing or empty splits, files that do not fit, no labels where some are needed,
            or a frame id that is in both the train and the test frames.
    """
    if not root.is_dir():
        raise InputError(f"data.root: {config.root or root} is not a folder")
    train = scan_split(root, config.train_split, config.annotation)
    if config.test_split is not None:
        test = scan_split(root, config.test_split, config.test_annotation)
    else:
        train, test = _hold_out(train, config.holdout)
    train, test = _spread(train, config.limit_train), _spread(test, config.limit_test)
    if labelled:
        _check_labels(root, config, train, test)
    both = {ref.frame_id for ref in train} & {ref.frame_id for ref in test}
    if both:
        raise InputError(f"data.root: frame {min(both)} is in both the train and the test frames")
    reader = config.reader()
    reader.check(train)
    reader.check(test)
    return DataSet(tuple(train), tuple(test), reader)


def _check_labels(
    root: Path, config: DataConfig, train: list[FrameRef], test: list[FrameRef]
) -> None:
    for ref in test:
        if ref.labels is None:
            kind = config.test_annotation if config.test_split else config.annotation
            raise InputError(f"data.root: test frame {ref.image} has no {kind} labels")
    if all(ref.labels is None for ref in train):
        folder = root / config.annotation / config.train_split
        raise InputError(f"data.root: no labels in {folder} for any frame of the train split")


def _hold_out(refs: list[FrameRef], share: float) -> tuple[list[FrameRef], list[FrameRef]]:
    train: list[FrameRef] = []
    test: list[FrameRef] = []
    for city in sorted({ref.city for ref in refs}):
        drive = [ref for ref in refs if ref.city == city]
        kept = len(drive) - max(1, round(len(drive) * share))
        train += drive[:kept]
        test += drive[kept:]
    if not train:
        raise InputError("data.holdout: leaves no train frames; use a smaller share")
    return train, test


def _spread(refs: list[FrameRef], limit: int | None) -> list[FrameRef]:
    if limit is None or limit >= len(refs):
        return refs
    return [refs[index * len(refs) // limit] for index in range(limit)]
