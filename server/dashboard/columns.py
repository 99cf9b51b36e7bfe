"""Rows as compact JSON columns: what all rows share is said once, what few values make up is coded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from server.dashboard.rows import Row

_DIGITS = 7
"""Significant digits of a measure: more than any picture shows. Quantities stay exact."""


def as_columns(rows: Sequence[Row], names: Iterable[str]) -> dict[str, Any]:
    """The named columns of some rows.

    A column is `{"all": value}`, `{"of": [distinct values], "at": [index, …]}` or `{"each":
    [value, …]}`, whichever is shortest. A value that a row lacks, or that is no finite number, is null.
    """
    return {name: _column([_value(name, row.get(name)) for row in rows]) for name in names}


def _value(name: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    if name.startswith(("quantity.", "config.")):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return float(f"{value:.{_DIGITS}g}")


def _column(values: list[Any]) -> dict[str, Any]:
    # A number's type belongs to the key: 1, 1.0 and true are one key otherwise.
    keys = [(type(value), value) for value in values]
    index = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    if len(index) == 1:
        return {"all": values[0]}
    if 4 * len(index) <= len(values):
        return {"of": [value for _, value in index], "at": [index[key] for key in keys]}
    return {"each": values}
