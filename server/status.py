"""`status.json`: where a campaign stands, for those who look on from outside, such as the dashboard."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from server.durable import write_json
from server.figures import Figures

STATUS = "status.json"
"""The file's name in a campaign's folder."""
_EVERY_S = 1.0
"""Seconds between two writings of a running stage."""

State = Literal["running", "done", "interrupted", "failed"]


class StatusFile:
    """Keeps a campaign's `status.json` up to date; a `server.progress.Teller`.

    The file holds `state` (running, done, interrupted or failed), the running `stage` with the
    `share` of it in [0, 1] and a few words of `details`, the stages that ended (`ended`), the times
    `started` and `updated` in UTC, and `host` and `pid` of who runs it. A campaign that was killed
    leaves the state `running` and a time that grows old.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STATUS
        self._facts: dict[str, Any] = {
            "state": "running",
            "stage": None,
            "share": 0.0,
            "details": "",
            "ended": [],
            "started": _now(),
            "updated": _now(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
        }
        self._written = 0.0

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps the file for as long as the context lasts; how that ends is its last state."""
        try:
            yield
        except KeyboardInterrupt:
            self._close("interrupted")
            raise
        except BaseException:
            self._close("failed")
            raise
        self._close("done")

    @contextmanager
    def told_at_once(self) -> Iterator[None]:
        """Writes an interruption down before the contexts around this one are left.

        Shutting a cluster down takes seconds, and whoever stopped a job may not wait for them.
        """
        try:
            yield
        except KeyboardInterrupt:
            self._close("interrupted")
            raise

    def start(self, stage: str) -> None:
        """Begins a stage."""
        self._facts.update(stage=stage, share=0.0, details="")
        self._write()

    def update(self, share: float, details: str) -> None:
        """Tells how far the running stage is: a share in [0, 1] and a few words."""
        self._facts.update(share=round(share, 4), details=details)
        if time.monotonic() - self._written >= _EVERY_S:
            self._write()

    def observe(self, figures: Figures) -> None:
        """Figures are not for this file."""

    def end(self, details: str, reused: bool = False) -> None:
        """Ends the running stage with a summary of what came of it."""
        self._facts["ended"].append(self._facts["stage"])
        self._facts.update(stage=None, share=0.0, details=details)
        self._write()

    def _close(self, state: State) -> None:
        self._facts["state"] = state
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        self._facts["updated"] = _now()
        # The campaign matters more than who looks on: a folder that cannot be written, or is not
        # there yet, says so itself where results are written.
        with contextlib.suppress(OSError):
            write_json(self._path, self._facts)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
