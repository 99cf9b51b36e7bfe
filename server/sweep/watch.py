"""Where a sweep's campaigns stand, read from the `status.json` that each keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from server.durable import write_json
from server.status import STATUS


class Watch:
    """Reads what campaigns tell of themselves; each change is told once.

    Args:
        folder: of the campaigns' folders.
        labels: what each is called, by its folder's name; others are called by that name.
    """

    def __init__(self, folder: Path, labels: dict[str, str]) -> None:
        self._folder, self._labels = folder, labels
        self._seen: dict[str, int] = {
            path.parent.name: _changed(path) for path in folder.glob(f"*/{STATUS}")
        }
        self._running: set[str] = set()

    def news(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Folder's name, label and status of each campaign that wrote a new one."""
        found = []
        for path in sorted(self._folder.glob(f"*/{STATUS}")):
            name, changed = path.parent.name, _changed(path)
            if changed == self._seen.get(name):
                continue
            try:
                status = json.loads(path.read_text())
            except (OSError, ValueError):
                continue  # replaced this moment; the next look finds it
            self._seen[name] = changed
            (self._running.add if status["state"] == "running" else self._running.discard)(name)
            found.append((name, self._labels.get(name, name), status))
        return found

    def mark_interrupted(self) -> None:
        """Campaigns that still run when a sweep ends were ended with it, and could not say so."""
        for name in self._running:
            path = self._folder / name / STATUS
            status = json.loads(path.read_text())
            if status["state"] == "running":
                write_json(path, {**status, "state": "interrupted"})


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
