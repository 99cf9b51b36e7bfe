"""The campaigns beneath a folder, kept up to date: what changed is read, and what is new is told."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from server.costs import PriceConfig
from server.dashboard.campaigns import Status, check_folder, find_campaigns, read_status, read_sweep
from server.dashboard.columns import as_columns
from server.status import STATUS
from server.sweep.rows import FACTS, QUANTITIES, Row, campaign_rows, sweep_rows

_LEAST_S = 1.0
"""Seconds between two looks at the folder, however many pages are open."""
_BITRATES = ("config.budget.bits_per_hour", "config.budget.bits_per_frame",
             "config.budget.campaign_bits")  # fmt: skip
_NOT_VARIED = (
    "config.seed", "config.name", "config.prices.", "config.data.root", "config.fleet.hosts",
    "config.fleet.vehicles_per_host", "config.fleet.cpus_per_host", "config.fleet.gpus_per_host",
    "config.learning.trainer.", "config.learning.pictures",
)  # fmt: skip
"""What does not set campaigns apart where no sweep says what was varied: luck, names, places, and
prices, which the page's own stand in for."""


@dataclass
class _Known:
    """What is known of one campaign.

    Stamps are the files' times of change in ns, 0 where there is none; of rows that a sweep's table
    holds (`tabled`), the table's. `unread` is what is wrong with the status, `problem` with the result.
    """

    folder: Path | None
    stamp: int = 0
    status_stamp: int = 0
    tabled: bool = False
    rows: list[Row] = field(default_factory=list)
    status: Status | None = None
    unread: str | None = None
    problem: str | None = None


class Catalogue:
    """The campaigns beneath a folder.

    A page holds an epoch and how many campaigns of it it has; `news` tells it the rest. A campaign
    that finishes is added to the epoch; one whose result changes, or that goes away, begins another.
    """

    def __init__(self, folder: Path) -> None:
        """Reads what is there.

        Raises:
            InputError: the folder is missing or has no campaigns, or a result cannot be read.
        """
        check_folder(folder)
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._order: list[str] = []
        self._epoch = time.time_ns() // 1_000_000
        self._live = 0
        self._standing: list[dict[str, Any]] = []
        self._varied: list[str] = []
        self._encoded: tuple[tuple[int, int, int], dict[str, Any]] = ((0, 0, 0), {})
        self._currency: str | None = None
        self._looked = float("-inf")
        self._sweep = read_sweep(folder)
        self._read_table()
        self._look()
        for campaign in self._known.values():
            if campaign.problem is not None:
                raise InputError(campaign.problem)

    def folder_of(self, campaign: str) -> Path | None:
        """The folder of a campaign that was found; None for any other name."""
        known = self._known.get(campaign)
        return None if known is None else known.folder

    def rows(self) -> list[Row]:
        """The rows of all finished campaigns."""
        with self._lock:
            return self._rows(self._order)

    def news(self, epoch: int = 0, campaigns: int = 0, live: int = -1) -> dict[str, Any] | None:
        """What a page that knows so much lacks; None if nothing.

        Args:
            epoch: the page's.
            campaigns: how many campaigns of that epoch it has.
            live: number of the list of unfinished campaigns that it has.
        """
        with self._lock:
            if time.monotonic() - self._looked >= _LEAST_S:
                self._look()
            if (epoch, campaigns, live) == (self._epoch, len(self._order), self._live):
                return None
            first = campaigns if epoch == self._epoch else 0
            rows = self._rows(self._order[first:])
            sweep = self._sweep
            return {
                "epoch": self._epoch,
                "reset": first == 0,
                "campaigns": len(self._order),
                "live": self._live,
                "name": sweep.name if sweep else self.folder.resolve().name,
                "planned": sweep.planned if sweep else None,
                "failed": sweep.failed if sweep else [],
                "varied": [name.removeprefix("config.") for name in self._varied],
                "prices": self._prices(),
                "rows": len(rows),
                "columns": self._encode(first, rows),
                "standing": self._standing,
                "now": dt.datetime.now(dt.UTC).timestamp(),
            }

    def _encode(self, first: int, rows: Sequence[Row]) -> dict[str, Any]:
        """The rows' columns; several pages that open one after another are told the same ones."""
        key = (self._epoch, first, len(self._order))
        if self._encoded[0] != key:
            self._encoded = (key, as_columns(rows, self._columns()) if rows else {})
        return self._encoded[1]

    def _rows(self, campaigns: Sequence[str]) -> list[Row]:
        return [row for name in campaigns for row in self._known[name].rows]

    def _columns(self) -> list[str]:
        quantities = [f"quantity.{name}" for name in QUANTITIES]
        return list(dict.fromkeys([*FACTS, *quantities, *_BITRATES, *self._varied]))

    def _prices(self) -> dict[str, Any]:
        """The prices that the page begins with: those of the first campaign, else the defaults."""
        prices: dict[str, Any] = PriceConfig().model_dump()
        for name in self._order[:1]:
            row = self._known[name].rows[0]
            prices |= {key: row.get(f"config.prices.{key}", value) for key, value in prices.items()}
            prices["currency"] = row["currency"]
        return prices

    def _read_table(self) -> None:
        """Takes over a sweep's table: faster than thousands of files; later ones are read singly."""
        path = self.folder / "sweep.parquet"
        if path.exists():
            stamp = path.stat().st_mtime_ns
            for campaign, rows in sweep_rows(path).items():
                self._check_currency(rows, path)
                self._known[campaign] = _Known(None, stamp, tabled=True, rows=rows)
                self._order.append(campaign)

    def _look(self) -> None:
        with contextlib.suppress(InputError):  # a sweep that is being written anew
            self._sweep = read_sweep(self.folder)
        found = dict(find_campaigns(self.folder))
        anew, had = False, len(self._order)
        for name in [n for n, known in self._known.items() if n not in found and known.folder]:
            anew |= bool(self._known.pop(name).rows)
        for name, folder in found.items():
            known = self._known.setdefault(name, _Known(None))
            known.folder = folder
            self._read_status(known, folder)
            anew |= self._read_result(name, known, folder)
        if anew:
            self._epoch += 1
            self._order = [name for name, known in self._known.items() if known.rows]
        else:
            placed = set(self._order)
            self._order += [n for n, known in self._known.items() if known.rows and n not in placed]
        if anew or self._sweep or not self._looked > 0 or len(self._order) != had:
            varied = self._find_varied()
            self._epoch += varied != self._varied
            self._varied = varied
        standing = [self._stands(n, k) for n, k in self._known.items() if not _is_over(k)]
        if standing != self._standing:
            self._standing = standing
            self._live += 1
        self._looked = time.monotonic()

    def _read_status(self, known: _Known, folder: Path) -> None:
        stamp = _stamp(folder / STATUS)
        if stamp != known.status_stamp:
            known.status_stamp, known.status, known.unread = stamp, None, None
            try:
                known.status = read_status(folder) if stamp else None
            except InputError as error:
                known.unread = str(error)

    def _read_result(self, name: str, known: _Known, folder: Path) -> bool:
        """Reads a result that is newer than what is known; tells whether known rows changed."""
        stamp = _stamp(folder / "result.json")
        if stamp == known.stamp or (known.tabled and 0 < stamp < known.stamp):
            return False
        had = bool(known.rows)
        known.stamp, known.tabled, known.rows, known.problem = stamp, False, [], None
        try:
            known.rows = campaign_rows(name, folder) if stamp else []
            self._check_currency(known.rows, folder)
        except InputError as error:
            known.rows, known.problem = [], str(error)
        return had

    def _check_currency(self, rows: Sequence[Row], where: Path) -> None:
        for row in rows:
            self._currency = self._currency or row["currency"]
            if row["currency"] != self._currency:
                raise InputError(
                    f"{where}: prices in {row['currency']} (prices.currency), where other campaigns "
                    f"have theirs in {self._currency}; campaigns of one currency are right"
                )

    def _find_varied(self) -> list[str]:
        """The config columns that set campaigns apart: a sweep's own, else those that differ."""
        if self._sweep is not None:
            return [f"config.{name}" for name in self._sweep.varied if name not in ("seed", "name")]
        # A field that only some have, such as another codec's setting, follows from one that differs.
        first: Row = {}
        differ: dict[str, None] = {}
        for name in self._order:
            for key, value in self._known[name].rows[0].items():
                if key.startswith("config.") and first.setdefault(key, value) != value:
                    differ[key] = None
        return [name for name in differ if not name.startswith(_NOT_VARIED)]

    def _stands(self, name: str, known: _Known) -> dict[str, Any]:
        status = known.status
        return {
            "campaign": name,
            "state": status.state if status else "unreadable",
            "stage": status.stage if status else None,
            "share": status.share if status else 0,
            "details": known.problem or known.unread or (status.details if status else ""),
            "updated": status.updated.timestamp() if status else None,
            "started": status.started.timestamp() if status else None,
        }


def _is_over(known: _Known) -> bool:
    """Whether there is nothing to tell of a campaign but its result."""
    if known.problem or known.unread:
        return False
    return bool(known.rows) and (known.status is None or known.status.state == "done")


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
