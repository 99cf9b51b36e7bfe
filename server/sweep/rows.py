"""Rows: one a campaign and configuration, from a campaign's folder or from a sweep's table."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from fleet.errors import InputError
from server.costs import Quantities
from server.report.files import read_columns, read_json, read_text
from server.report.result import Amount, Configuration, Count, Record, Share

Row = dict[str, Any]
"""The values of one row, named as the columns of `sweep.parquet`."""

QUANTITIES = tuple(field.name for field in fields(Quantities))
"""What a ledger counts, in its order."""

_FACTS = {
    "campaign": "str", "configuration": "str", "codec": "str", "restorer": "str?", "seed": "int",
    "vehicles": "int", "hours": "float", "frames_captured": "int", "frames_delivered": "int",
    "frames_trained": "int", "bits_sent": "int", "bytes_mean": "float?", "bpp": "float?",
    "cost_total": "float", "budget_utilisation": "float?", "miou": "float?", "psnr": "float?",
    "ms_ssim": "float?", "frechet": "float?", "currency": "str", "wall_seconds": "float?",
}  # fmt: skip
FACTS = tuple(_FACTS)
"""The columns of a row besides its quantities (`quantity.…`) and its config (`config.…`)."""

_REACHED = ("miou", "psnr", "ms_ssim", "frechet", "cost_total")
"""The columns that each configuration of a result has under the same name."""
_ANEW = "written by another version of Bitfleet; run the campaign again"


class Reached(Record):
    """What one configuration of a campaign reached, and what it consumed."""

    miou: Share | None
    iou_per_class: dict[str, Share | None]
    psnr: float | None = None
    ms_ssim: float | None = None
    frechet: float | None = None
    cost_total: Amount | None = None
    quantities: dict[str, Amount] | None = None


class Finished(Record):
    """What rows need of a `result.json`."""

    name: str
    codec: str
    restorer: str | None
    seed: int
    vehicles: Count
    hours: Amount
    frames_captured: Count
    frames_delivered: Count
    frames_trained: Count
    bits_sent: Count
    bytes_mean: Amount | None
    bpp_mean: Amount | None
    budget_utilisation: Amount | None
    currency: str
    wall_seconds: Amount
    configurations: dict[Configuration, Reached]


def campaign_rows(campaign: str, folder: Path) -> list[Row]:
    """The rows of a finished campaign.

    Args:
        campaign: what the campaign is called among the others.
        folder: its folder.

    Raises:
        InputError: result.json or config.yaml is missing, malformed, or of another version.
    """
    path = folder / "result.json"
    result = read_json(path, Finished)
    shared = {
        "campaign": campaign,
        "codec": result.codec,
        "seed": result.seed,
        "vehicles": result.vehicles,
        "hours": result.hours,
        "frames_captured": result.frames_captured,
        "frames_delivered": result.frames_delivered,
        "frames_trained": result.frames_trained,
        "bits_sent": result.bits_sent,
        "bytes_mean": result.bytes_mean,
        "bpp": result.bpp_mean,
        "budget_utilisation": result.budget_utilisation,
        "currency": result.currency,
        "wall_seconds": result.wall_seconds,
        **config_values(folder / "config.yaml"),
    }
    rows = []
    for name, reached in result.configurations.items():
        where = f"{path}: configurations.{name}.quantities"
        if reached.quantities is None or reached.cost_total is None:
            raise InputError(f"{where}: missing: {_ANEW}")
        if set(reached.quantities) != set(QUANTITIES):
            odd = sorted(set(reached.quantities) ^ set(QUANTITIES))
            raise InputError(f"{where}: {odd[0]} is missing or unknown: {_ANEW}")
        quantities = {f"quantity.{key}": value for key, value in reached.quantities.items()}
        measures = {key: getattr(reached, key) for key in _REACHED}
        restorer = result.restorer if name[0] in "RM" else None
        rows.append(
            {**shared, "configuration": name, "restorer": restorer, **measures, **quantities}
        )
    return rows


def config_values(path: Path) -> Row:
    """A campaign's config as `config.<dotted path>` values; lists are JSON text.

    Raises InputError naming the file if it is missing or not YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where it is built
    try:
        config = yaml.load(read_text(path), Loader=loader)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(config, dict):
        raise InputError(f"{path}: not a campaign's config")
    values: Row = {}
    _flatten("config", config, values)
    return values


def _flatten(name: str, value: Any, into: Row) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            _flatten(f"{name}.{key}", inner, into)
    else:
        into[name] = json.dumps(value) if isinstance(value, list | dict) else value


def sweep_rows(path: Path) -> dict[str, list[Row]]:
    """The rows of a `sweep.parquet` by campaign.

    Raises InputError naming the file and the column if the table is not what a sweep writes.
    """
    needed = {**_FACTS, **{f"quantity.{name}": "float" for name in QUANTITIES}}
    try:
        columns = {name: found.to_pylist() for name, found in read_columns(path, needed).items()}
    except InputError as error:
        if "is missing" not in str(error):
            raise
        raise InputError(f"{error}: written by another version; run the sweep again") from None
    table = pq.read_table(path)
    for name in table.column_names:
        if name.startswith("config."):
            columns[name] = table.column(name).to_pylist()
        elif name.startswith("quantity.") and name not in needed:
            raise InputError(
                f"{path}: column {name} is unknown: written by another version; run the sweep again"
            )
    names, by_campaign = list(columns), dict[str, list[Row]]()
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(names, values, strict=True))
        by_campaign.setdefault(row["campaign"], []).append(row)
    return by_campaign
