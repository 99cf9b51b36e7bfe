"""A sweep's table: one row a campaign and configuration, the campaign's whole config in columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from fleet.errors import InputError
from server.durable import replace_file

Row = dict[str, Any]

_CAMPAIGN = (
    "codec", "seed", "vehicles", "hours", "frames_captured", "frames_delivered", "frames_trained",
    "bits_sent", "bytes_mean", "budget_utilisation", "currency", "wall_seconds",
)  # fmt: skip
"""Columns that a campaign's result has under the same name."""
_SCORES = ("miou", "psnr", "ms_ssim", "frechet", "cost_total")
"""Columns that each configuration of a result has under the same name."""


def campaign_rows(folder: Path) -> list[Row]:
    """The rows of a finished campaign, one a configuration.

    Each has the campaign's figures, the configuration's scores and cost, `quantity.*` (what was
    consumed for the configuration's train frames; see `server.costs.Quantities`) and `config.*` (the
    campaign's resolved config by dotted field; lists as JSON text).

    Args:
        folder: the campaign's, with `result.json` and `config.yaml`.

    Raises:
        InputError: a file is missing, or is not what a campaign writes.
    """
    result = read_result(folder)
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{folder / 'config.yaml'}: cannot be read ({error})") from None
    config = {f"config.{field}": value for field, value in flat(settings)}
    rows = []
    try:
        for name, scores in result["configurations"].items():
            quantities = {f"quantity.{key}": value for key, value in scores["quantities"].items()}
            rows.append(
                {
                    "campaign": folder.name,
                    "configuration": name,
                    "restorer": result["restorer"] if name[0] in "RM" else None,
                    "bpp": result["bpp_mean"],
                    **{column: result[column] for column in _CAMPAIGN},
                    **{column: scores.get(column) for column in _SCORES},
                    **quantities,
                    **config,
                }
            )
    except (KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"{folder / 'result.json'}: {error} is missing; written by an older version? "
            "Run the campaign again"
        ) from None
    return rows


def read_result(folder: Path) -> dict[str, Any]:
    """A finished campaign's result.

    Raises:
        InputError: it is missing or no result.
    """
    path = folder / "result.json"
    try:
        result = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if not isinstance(result, dict):
        raise InputError(f"{path}: is no campaign's result")
    return result


def value_of(row: Row, field: str) -> Any:
    """A varied field's value in a row; of a section, its values that are set, by name."""
    if f"config.{field}" in row:
        return row[f"config.{field}"]
    prefix = f"config.{field}."
    return {
        name.removeprefix(prefix): value
        for name, value in row.items()
        if name.startswith(prefix) and value is not None
    }


def flat(settings: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested settings by dotted field; lists as JSON text."""
    if not isinstance(settings, Mapping):
        raise InputError("config.yaml: must hold keys and values")
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", json.dumps(value) if isinstance(value, list) else value


def write_table(rows: Sequence[Row], path: Path) -> None:
    """Writes rows as Parquet, whole or not at all; a column has one type, whatever its values.

    Args:
        rows: what `campaign_rows` gives; a column that some rows lack is empty there.
        path: the file.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    replace_file(path, sink.getvalue().to_pybytes())


def _column(values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pa.array(values, pa.bool_())
    if kinds <= {int}:
        return pa.array(values, pa.int64())
    if kinds <= {int, float}:
        # A field that may be null or a number is a number throughout.
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    texts = [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]
    return pa.array(texts, pa.string())
