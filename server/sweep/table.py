"""A sweep's table: one row a campaign and configuration, the campaign's whole config in columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from server.durable import replace_file
from server.sweep.rows import Row


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
