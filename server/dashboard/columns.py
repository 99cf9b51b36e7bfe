"""Rows as compact JSON columns: what all rows share is said once, what few values make up is coded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from server.sweep.rows import Row

_DIGITS = 7
"""Significant digits of a measure: more than any picture shows. Quantities stay exact."""


def as_columns(rows: Sequence[Row], names: Iterable[str]) -> dict[str, Any]:
    """The named columns of some rows.

    A column is `{"all": value}`, `{"of": [distinct values], "at": [index, …]}` or `{"each":
    [value, …]}`, whichever is shortest. A value that a row lacks, or that is no finite number, is null.
    """
    return {name: _column(_values(name, [row.get(name) for row in rows])) for name in names}


def _values(name: str, values: list[Any]) -> list[Any]:
    if not any(isinstance(value, float) for value in values):
        return values
    tidy = _exact if name.startswith(("quantity.", "config.")) else _rounded
    return [tidy(value) if isinstance(value, float) else value for value in values]


def _exact(value: float) -> float | None:
    if value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value if math.isfinite(value) else None


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _column(values: list[Any]) -> dict[str, Any]:
    # A number's type belongs to the key: 1, 1.0 and true are one key otherwise.
    keys = list(zip(map(type, values), values, strict=True))
    index = {key: n for n, key in enumerate(dict.fromkeys(keys))}
    if len(index) == 1:
        return {"all": values[0]}
    if 4 * len(index) <= len(values):
        return {"of": [value for _, value in index], "at": [index[key] for key in keys]}
    return {"each": values}
