"""The pictures of a few frames as data URIs, scaled so that the page stays small."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from fleet.errors import InputError

_ENOUGH = 1_900_000  # characters of data URIs on a campaign's page, all pictures together
_WIDTHS = (640, 480, 360, 256)
_MOST_FRAMES = 8


@dataclass(frozen=True)
class Picture:
    """One picture, ready for an `<img>`."""

    kind: str
    uri: str
    width: int
    height: int

    @property
    def name(self) -> str:
        """What the picture shows: “restored-adversarial” is what that restorer made."""
        kind, _, restorer = self.kind.partition("-")
        if kind == "restored" and restorer:
            return f"restored, {restorer}"
        return self.kind.replace("_", " ")


@dataclass(frozen=True)
class Strip:
    """The pictures of one frame, side by side."""

    frame_id: str
    pictures: list[Picture]


def picture_files(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of a `pictures` folder by frame, then by what they show, in the order to show them."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.glob("*__*.png")):
        frame_id, _, kind = path.stem.rpartition("__")
        found.setdefault(frame_id, {})[kind] = path
    return {
        frame: {kind: found[frame][kind] for kind in sorted(found[frame], key=_place)}
        for frame in sorted(found)
    }


def read_pictures(folder: Path, enough: int = _ENOUGH) -> list[Strip]:
    """The strips of the frames in a campaign's `pictures` folder; empty if there are none.

    Args:
        folder: where the pictures are.
        enough: characters of data URIs, all pictures together: where they would be more, pictures are
            scaled down, and then frames are left out.

    Raises:
        InputError: a picture that cannot be read; the text names it.
    """
    frames = list(picture_files(folder).items())[:_MOST_FRAMES]
    while frames:
        for width in _WIDTHS:
            strips: list[Strip] = []
            room = enough
            for name, files in frames:
                strips.append(Strip(name, _strip(files, width)))
                room -= sum(len(picture.uri) for picture in strips[-1].pictures)
                if room < 0:
                    break
            else:
                return strips
        frames = frames[:-1]
    return []


def _strip(files: dict[str, Path], width: int) -> list[Picture]:
    return [_picture(kind, path, width) for kind, path in files.items()]


def _place(kind: str) -> tuple[int, str]:
    """Original, decoded and restored first, then the predictions, the truth last."""
    known = {"original": 0, "decoded": 1, "restored": 2, "truth": 4}
    return known.get(kind.partition("-")[0], 3), kind


def _picture(kind: str, path: Path, width: int) -> Picture:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as opened:
                image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable PNG picture: {error}") from error
    photo = kind.partition("-")[0] in ("original", "decoded", "restored")
    if image.width > width:
        size = (width, max(1, round(image.height * width / image.width)))
        # Label maps hold classes, not shades: no colours in between.
        how = Image.Resampling.LANCZOS if photo else Image.Resampling.NEAREST
        image = image.resize(size, how)
    buffer = io.BytesIO()
    if photo:
        image.save(buffer, "WEBP", quality=92, method=4)
    else:
        image.save(buffer, "WEBP", lossless=True, quality=60)
    uri = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(kind, uri, image.width, image.height)
