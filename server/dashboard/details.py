"""One campaign in detail, as the page shows it when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from fleet.frames.labels import CLASSES, PALETTE
from server.report.files import read_json, read_text
from server.report.pictures import picture_files, read_pictures
from server.report.road import on_one_grid
from server.report.tables import read_ledger, read_telemetry
from server.sweep.rows import Finished

Frames = list[dict[str, Any]]
"""Per frame its id and its pictures: `kind`, `name` and `source` of each."""


def read_details(folder: Path, frames: Callable[[Path], Frames]) -> dict[str, Any]:
    """What there is to tell of a campaign besides its rows.

    What cannot be told is said: `missing` has a line for each file that is not there or unreadable.

    Args:
        folder: the campaign's folder.
        frames: lists the frames of a folder of pictures.
    """
    missing: list[str] = []

    def told(read: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return read()
        except InputError as error:
            # On a page that others may see, no more of a path than what tells the file.
            missing.append(str(error).replace(f"{folder}/", ""))
            return otherwise

    result: Finished | None = told(lambda: read_json(folder / "result.json", Finished), None)
    return {
        "name": result.name if result else folder.name,
        "iou": {n: reached.iou_per_class for n, reached in result.configurations.items()}
        if result
        else {},
        "classes": list(CLASSES),
        "palette": ["#" + bytes(PALETTE[n]).hex() for n in range(len(CLASSES))],
        "ledger": told(
            lambda: [
                [row.item, row.quantity, row.unit, row.unit_price, row.cost]
                for row in read_ledger(folder / "ledger.parquet")
            ],
            [],
        ),
        "bits": told(lambda: _bits_over_time(folder / "telemetry.parquet"), None),
        "frames": told(lambda: frames(folder / "pictures"), []),
        "config": told(lambda: read_text(folder / "config.yaml"), ""),
        "missing": missing,
    }


def frames_by_file(folder: Path) -> Frames:
    """Frames whose pictures' sources are the names of their files."""
    return [
        {
            "frame": frame,
            "pictures": [
                {"kind": kind, "name": kind.replace("_", " "), "source": path.name}
                for kind, path in files.items()
            ],
        }
        for frame, files in picture_files(folder).items()
    ]


def frames_embedded(folder: Path, enough: int) -> Frames:
    """Frames whose pictures' sources are data URIs of at most `enough` characters together."""
    return [
        {
            "frame": strip.frame_id,
            "pictures": [
                {"kind": picture.kind, "name": picture.name, "source": picture.uri}
                for picture in strip.pictures
            ],
        }
        for strip in read_pictures(folder, enough)
    ]


def _bits_over_time(path: Path) -> dict[str, list[float]] | None:
    """The fleet's cumulative bits, sent and granted, over simulated time; None without samples."""
    fleet = on_one_grid(read_telemetry(path))
    if fleet is None:
        return None
    return {
        "hours": [round(second / 3600, 5) for second in fleet.seconds],
        "sent": [float(bits) for bits in fleet.sent.sum(axis=0)],
        "granted": [float(bits) for bits in fleet.granted.sum(axis=0)],
    }
