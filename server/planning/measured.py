"""What a sweep measured, as points of the law: frames, bytes a frame, error and cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fleet.errors import InputError
from server.sweep.points import label_of
from server.sweep.results import FACTS, TABLE
from server.sweep.rows import Row
from server.sweep.table import value_of

F64 = NDArray[np.float64]

VEHICLES = "fleet.vehicles"
"""The field that says how large the fleet is."""
_RATE_FIELDS = ("budget.", "rate_control.")
"""Fields that decide how many bits a frame takes."""
_COLUMNS = (
    "campaign", "configuration", "codec", "restorer", "seed", "vehicles", "frames_delivered",
    "frames_trained", "bytes_mean", "bpp", "miou", "cost_total", "currency",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One point of a sweep in one configuration, measured with several seeds.

    Attributes:
        values: of the varied fields.
        vehicles: of the fleet.
        rows: one a seed, in the order of the seeds.
    """

    values: dict[str, Any]
    vehicles: int
    rows: tuple[Row, ...]

    def each(self, column: str) -> F64:
        """A column's values, one a seed."""
        return np.array([row[column] for row in self.rows], np.float64)

    def mean(self, column: str) -> float:
        """The mean over seeds."""
        return float(self.each(column).mean())


@dataclass(frozen=True)
class Option:
    """What can be chosen beside fleet size and bitrate: a configuration, codec and the like.

    Attributes:
        configuration: train domain and test domain; the test domain is O, which the vehicle sees.
        codec: its name.
        restorer: what restores the train frames; None where nothing does.
        others: values of varied fields that are neither fleet size nor bitrate.
        settings: what was measured of it.
    """

    configuration: str
    codec: str
    restorer: str | None
    others: dict[str, Any]
    settings: tuple[Setting, ...]

    @property
    def label(self) -> str:
        """What it is called, e.g. "RO, bpg, adversarial restorer"."""
        restorer = f", {self.restorer} restorer" if self.restorer else ", no restoration"
        others = f", {label_of(self.others)}" if self.others else ""
        return f"{self.configuration}, {self.codec}{restorer}{others}"


@dataclass(frozen=True)
class Measured:
    """A sweep's table by option.

    Attributes:
        name: the sweep's.
        currency: of all costs.
        rate_fields: varied fields that decide the bitrate.
        options: what can be chosen.
    """

    name: str
    currency: str
    rate_fields: tuple[str, ...]
    options: tuple[Option, ...]


def read_measured(folder: Path) -> Measured:
    """Reads a sweep's folder.

    Raises:
        InputError: there is no sweep, it has no finished campaign, its table lacks a column, or its
            costs are in several currencies.
    """
    try:
        facts = json.loads((folder / FACTS).read_text())
        table = pq.read_table(folder / TABLE)
    except FileNotFoundError as error:
        missing = Path(error.filename).name if error.filename else TABLE
        raise InputError(
            f"{folder}: holds no {missing}; want the folder of a sweep with finished campaigns "
            "(bitfleet sweep CONFIG --out DIR)"
        ) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{folder}: cannot be read as a sweep ({error})") from None
    lacking = [name for name in _COLUMNS if name not in table.column_names]
    if lacking:
        raise InputError(f"{folder / TABLE}: column {lacking[0]} is missing; run the sweep again")
    rows = [
        row
        for row in table.to_pylist()
        # The vehicle sees originals; and frames that never were compressed have no bitrate.
        if row["configuration"][1] == "O" and row["configuration"] != "OO" and row["bytes_mean"]
    ]
    if not rows:
        raise InputError(
            f"{folder / TABLE}: no campaign evaluated a configuration that trains on what was sent "
            "and is tested on originals, such as CO or RO"
        )
    currencies = sorted({row["currency"] for row in rows})
    if len(currencies) > 1:
        raise InputError(f"{folder / TABLE}: costs are in {' and '.join(currencies)}; want one")
    varied = list(facts["varied"])
    rates = tuple(field for field in varied if field.startswith(_RATE_FIELDS))
    return Measured(facts["name"], currencies[0], rates, _options(rows, varied, rates))


def _options(
    rows: Sequence[Row], varied: Sequence[str], rates: Sequence[str]
) -> tuple[Option, ...]:
    grouped: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        others = {f: value_of(row, f) for f in varied if f != VEHICLES and f not in rates}
        option = json.dumps([row["configuration"], row["codec"], row["restorer"], others])
        setting = json.dumps({field: value_of(row, field) for field in varied})
        grouped.setdefault(option, {}).setdefault(setting, []).append(row)
    options = []
    for key, settings in sorted(grouped.items()):
        configuration, codec, restorer, others = json.loads(key)
        measured = tuple(
            Setting(
                json.loads(values),
                int(each[0]["vehicles"]),
                tuple(sorted(each, key=lambda row: int(row["seed"]))),
            )
            for values, each in settings.items()
        )
        measured = tuple(sorted(measured, key=lambda one: (one.vehicles, one.mean("bytes_mean"))))
        options.append(Option(configuration, codec, restorer, others, measured))
    return tuple(options)
