"""Where campaigns lie beneath a folder, and where each of them stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from fleet.errors import InputError
from server.report.files import read_json
from server.report.result import Amount, Record
from server.status import STATUS, State

_SKIPPED = {"artifacts", "manifest", "pictures"}
"""Folders that hold no campaigns: a store, and parts of a campaign's folder."""


class Status(Record):
    """What the dashboard shows of a `status.json`."""

    state: State
    stage: str | None = None
    share: Amount = 0.0
    details: str = ""
    started: AwareDatetime
    updated: AwareDatetime


class SweepFacts(Record):
    """What a `sweep.json` tells of its sweep."""

    version: Literal[1]
    name: str
    varied: list[str]
    planned: int
    failed: list[dict[str, Any]] = Field(default_factory=list)


def read_sweep(folder: Path) -> SweepFacts | None:
    """A sweep's `sweep.json`, or None where the folder is no sweep's.

    Raises InputError if it is malformed or of another version.
    """
    path = folder / "sweep.json"
    return read_json(path, SweepFacts) if path.exists() else None


def read_status(folder: Path) -> Status:
    """Where a campaign stands; raises InputError if its `status.json` is missing or malformed."""
    return read_json(folder / STATUS, Status)


def find_campaigns(folder: Path) -> Iterator[tuple[str, Path]]:
    """The campaigns' folders beneath a folder, each with its id: the path beneath, with slashes.

    A sweep's are those of `campaigns/`; a campaign's folder is its own only one.
    """
    if is_campaign(folder):
        yield folder.resolve().name, folder
        return
    root = folder / "campaigns" if (folder / "sweep.json").exists() else folder
    for place, folders, _ in os.walk(root):
        inner = []
        for name in sorted(folders):
            path = Path(place, name)
            if name.startswith(".") or name in _SKIPPED:
                continue
            if is_campaign(path):
                yield path.relative_to(root).as_posix(), path
            else:
                inner.append(name)
        folders[:] = inner


def is_campaign(folder: Path) -> bool:
    """Whether a folder is a campaign's: it has a config, and a result or a status."""
    return (folder / "config.yaml").exists() and (
        (folder / "result.json").exists() or (folder / STATUS).exists()
    )


def check_folder(folder: Path) -> None:
    """Raises InputError unless a folder has a campaign, or is a sweep's, whose campaigns may come."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if read_sweep(folder) is None and next(find_campaigns(folder), None) is None:
        raise InputError(
            f"{folder}: no campaign in it; a sweep's folder, a campaign's, or one above such is right"
        )
