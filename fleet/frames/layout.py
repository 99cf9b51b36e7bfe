"""The reader of the official Cityscapes layout.

    {root}/leftImg8bit/{split}/{city}/{city}_{sequence}_{frame}_leftImg8bit.png
    {root}/gtFine/{split}/{city}/{city}_{sequence}_{frame}_gtFine_labelIds.png

Also gtCoarse (train_extra) and splits without labels. Any data set laid out so can be read.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from fleet.codecs.base import Frame
from fleet.errors import InputError
from fleet.frames.labels import train_ids

_IMAGE_SUFFIX = "_leftImg8bit.png"
_FRAME_ID = re.compile(r"(?P<city>[A-Za-z0-9-]+)_(?P<sequence>\d+)_(?P<frame>\d+)")

# All that Pillow raises at bytes that it cannot or will not read.
_UNREADABLE = (
    OSError,
    UnidentifiedImageError,
    SyntaxError,
    ValueError,
    zlib.error,
    Image.DecompressionBombError,
)

Annotation = Literal["gtFine", "gtCoarse"]


@dataclass(frozen=True, order=True)
class FrameRef:
    """Where a frame and its labels lie.

    Attributes:
        frame_id: `{city}_{sequence}_{frame}`, unique in a data set.
        city: the city it was recorded in; a vehicle's drive stays in one city.
        image: the PNG file, RGB.
        labels: the label id map, or None for a frame without labels.
    """

    frame_id: str
    city: str
    image: Path
    labels: Path | None


def scan_split(root: Path, split: str, annotation: Annotation) -> list[FrameRef]:
    """All frames of a split, sorted by id.

    Raises:
        InputError: no such folder, no frames in it, or a file that is not named as the layout says.
    """
    folder = root / "leftImg8bit" / split
    if not folder.is_dir():
        raise InputError(
            f"data.root: {folder} is not a folder; expected a data set in the Cityscapes layout"
        )
    refs = [
        _frame_ref(image, root, split, annotation)
        for image in sorted(folder.glob(f"*/*{_IMAGE_SUFFIX}"))
    ]
    if not refs:
        raise InputError(
            f"data.root: {folder} holds no frames; expected {{city}}/{{city}}_000000_000000{_IMAGE_SUFFIX}"
        )
    return sorted(refs)


def _frame_ref(image: Path, root: Path, split: str, annotation: Annotation) -> FrameRef:
    frame_id = image.name.removesuffix(_IMAGE_SUFFIX)
    match = _FRAME_ID.fullmatch(frame_id)
    if match is None or match["city"] != image.parent.name:
        raise InputError(
            f"{image}: not named {{city}}_{{sequence}}_{{frame}}{_IMAGE_SUFFIX} after its folder"
        )
    labels = root / annotation / split / match["city"] / f"{frame_id}_{annotation}_labelIds.png"
    return FrameRef(frame_id, match["city"], image, labels if labels.is_file() else None)


@dataclass(frozen=True)
class FrameReader:
    """Loads frames and labels, all checked the same way.

    Attributes:
        downscale: whole factor by which frames shrink, by area averaging; labels by the nearest
            pixel to each block's middle. A remainder at the right and the bottom is cut off.
        max_width, max_height: the largest frame that is accepted, before downscaling.
    """

    downscale: int = 1
    max_width: int = 2048
    max_height: int = 1024

    def check(self, refs: Iterable[FrameRef]) -> None:
        """Checks all files' headers: readable, not too large, labels of the frame's size.

        Raises InputError naming the first file that is not right. Pixels are not decoded here.
        """
        for ref in refs:
            size = self._header(ref.image, ("RGB", "L"))
            if ref.labels is not None and self._header(ref.labels, ("L", "P")) != size:
                raise InputError(
                    f"{ref.labels}: labels are of another size than {ref.image.name}, "
                    f"which is {size[0]}×{size[1]}"
                )

    def frame(self, ref: FrameRef) -> Frame:
        """The frame, uint8 RGB (H, W, 3); raises InputError if the file cannot be read."""
        with self._open(ref.image, ("RGB", "L")) as image:
            width, height = self._cut(image.size)
            rgb = image.convert("RGB").crop((0, 0, width, height))
            if self.downscale > 1:
                rgb = rgb.reduce(self.downscale)
            return np.array(rgb)

    def labels(self, ref: FrameRef) -> NDArray[np.uint8]:
        """The frame's train ids, uint8 (H, W); raises InputError if there are none to read."""
        if ref.labels is None:
            raise InputError(f"frame {ref.frame_id} has no labels beside {ref.image}")
        with self._open(ref.labels, ("L", "P")) as image:
            width, height = self._cut(image.size)
            label_ids = np.array(image)[:height, :width]
        middle = self.downscale // 2
        try:
            return train_ids(label_ids[middle :: self.downscale, middle :: self.downscale])
        except ValueError as error:
            raise InputError(f"{ref.labels}: {error}") from None

    def size(self, ref: FrameRef) -> tuple[int, int]:
        """(width, height) in pixels of the frame as :meth:`frame` gives it."""
        width, height = self._cut(self._header(ref.image, ("RGB", "L")))
        return width // self.downscale, height // self.downscale

    def _cut(self, size: tuple[int, int]) -> tuple[int, int]:
        return size[0] - size[0] % self.downscale, size[1] - size[1] % self.downscale

    def _header(self, path: Path, modes: tuple[str, ...]) -> tuple[int, int]:
        try:
            with Image.open(path, formats=("PNG",)) as image:
                self._accept(path, image, modes)
                return image.size
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error

    def _open(self, path: Path, modes: tuple[str, ...]) -> Image.Image:
        try:
            image = Image.open(path, formats=("PNG",))
            self._accept(path, image, modes)
            image.load()
            return image
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error

    def _accept(self, path: Path, image: Image.Image, modes: tuple[str, ...]) -> None:
        width, height = image.size
        if width > self.max_width or height > self.max_height:
            raise InputError(
                f"{path}: {width}×{height} pixels is larger than the configured frame, "
                f"data.max_width × data.max_height = {self.max_width}×{self.max_height}"
            )
        if min(width, height) < self.downscale:
            raise InputError(f"{path}: {width}×{height} is too small for data.downscale")
        if image.mode not in modes:
            raise InputError(
                f"{path}: pixels are {image.mode}; expected 8-bit {' or '.join(modes)}"
            )


def _unreadable(path: Path, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path}: no such file")
    if isinstance(error, InputError):
        return error
    if isinstance(error, Image.DecompressionBombError):
        return InputError(f"{path}: larger than the configured frame ({error})")
    return InputError(f"{path}: not a readable PNG file ({str(error).splitlines()[0][:120]})")
