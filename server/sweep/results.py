"""What a sweep has found so far: the table of its finished campaigns, and the best of them."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from fleet.errors import InputError
from server.config_file import dump_yaml
from server.durable import write_json
from server.statistics import seed_interval
from server.sweep.config import SweepConfig
from server.sweep.points import Point, label_of, short
from server.sweep.rows import Row, campaign_rows, value_of, write_table

CAMPAIGNS = "campaigns"
"""Folder of the campaigns' folders."""
TABLE, FACTS = "sweep.parquet", "sweep.json"


class Results:
    """The finished campaigns of a sweep's folder.

    Attributes:
        rows: of each finished campaign, by its folder's name.
        faults: what each failed campaign failed of, in one line.
        changed: whether there is more than was written.
    """

    def __init__(self, config: SweepConfig, out: Path) -> None:
        self._config, self._out = config, out
        self.rows: dict[str, list[Row]] = {}
        self.faults: dict[str, str] = {}
        self.changed = True

    def read(self, points: Sequence[Point]) -> None:
        """Finds which of the points are done, with the very config that they have now.

        Raises:
            InputError: one was run by another version, whose figures may not be comparable.
        """
        for point in points:
            folder = self._out / CAMPAIGNS / point.folder
            if not (folder / "result.json").exists():
                continue
            config = dump_yaml(point.campaign(self._config.campaign))
            if (folder / "config.yaml").read_text() == config:
                _check_version(folder)
                self.rows[point.folder] = campaign_rows(folder)

    def read_all(self) -> None:
        """Takes every finished campaign there is: for a search that chooses its points itself."""
        for path in sorted((self._out / CAMPAIGNS).glob("*/result.json")):
            _check_version(path.parent)
            self.rows[path.parent.name] = campaign_rows(path.parent)
        self.changed = True

    def take(self, name: str) -> bool:
        """Takes a campaign that has just finished; whether it is new."""
        if name in self.rows:
            return False
        self.rows[name] = campaign_rows(self._out / CAMPAIGNS / name)
        self.changed = True
        return True

    @property
    def best(self) -> str:
        """The finished campaign and configuration of the greatest mIoU, in words."""
        tested = [
            row for rows in self.rows.values() for row in rows if row["configuration"] != "OO"
        ]
        if not tested:
            return ""
        row = max(tested, key=lambda row: row["miou"])
        values = {field: value_of(row, field) for field in self._config.vary}
        return (
            f"best so far: {row['configuration']} mIoU {100 * row['miou']:.1f} % for "
            f"{row['cost_total']:,.2f} {row['currency']} ({label_of(values)}, seed {row['seed']})"
        )

    def write(self) -> None:
        """Writes `sweep.parquet` and `sweep.json`: the same for the same campaigns in any order."""
        self.changed = False
        rows = [row for name in sorted(self.rows) for row in self.rows[name]]
        if rows:
            write_table(rows, self._out / TABLE)
        facts = {
            "version": 1,
            "name": self._config.name,
            "currency": self._config.campaign.prices.currency,
            "varied": list(self._config.vary),
            "seeds": self._config.seeds,
            "planned": self._config.count,
            "done": len(self.rows),
            "failed": [{"campaign": name, "error": text} for name, text in self.faults.items()],
        }
        write_json(self._out / FACTS, facts)

    def show(self, console: Console) -> None:
        """Shows mIoU and cost of each point and configuration, over its seeds, cheapest first."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for rows in self.rows.values():
            for row in rows:
                values = {field: value_of(row, field) for field in self._config.vary}
                groups.setdefault((json.dumps(values), row["configuration"]), []).append(row)
        listed = sorted(groups.values(), key=lambda rows: mean([r["cost_total"] for r in rows]))
        table = Table()
        for field in self._config.vary:
            table.add_column(field.rpartition(".")[2], justify="right")
        for name in ("", "frames", "bpp", "mIoU, %", f"cost, {listed[0][0]['currency']}"):
            table.add_column(name, justify="right")
        for rows in listed:
            first = rows[0]
            table.add_row(
                *(short(value_of(first, field)) for field in self._config.vary),
                first["configuration"],
                f"{mean([row['frames_trained'] for row in rows]):.0f}",
                f"{mean([row['bpp'] for row in rows]):.3f}",
                _interval([100 * row["miou"] for row in rows]),
                f"{mean([row['cost_total'] for row in rows]):,.2f}",
            )
        console.print(table)
        console.print(f"table: {self._out / TABLE}", highlight=False, soft_wrap=True)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean."""
    return sum(values) / len(values)


def _interval(values: list[float]) -> str:
    interval = seed_interval(values)
    if interval.low is None or interval.high is None:  # a single seed
        return f"{interval.mean:.1f}"
    return f"{interval.mean:.1f} ± {(interval.high - interval.low) / 2:.1f}"


def _check_version(folder: Path) -> None:
    """Raises InputError for a campaign that another version has run."""
    path = folder / "provenance.json"
    try:
        ran = json.loads(path.read_text())["versions"]["bitfleet"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: missing or not readable; remove {folder}") from None
    here = importlib.metadata.version("bitfleet")
    if ran != here:
        raise InputError(
            f"{folder}: was run by bitfleet {ran}, this is {here}; figures of mixed versions are not "
            "one table: give another --out, or remove the folder"
        )
