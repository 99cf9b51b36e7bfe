"""Reading the files of a folder; one that is missing or malformed is an `InputError` naming it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from fleet.errors import InputError

Model = TypeVar("Model", bound=BaseModel)

_TYPES = {"str": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


def read_text(path: Path) -> str:
    """The text of a file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: missing from the folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {_line(error)}") from error


def read_json(path: Path, model: type[Model]) -> Model:
    """A JSON file as an instance of its model."""
    try:
        read = json.loads(read_text(path))
        # JSON may escape half a surrogate pair, which is no character and cannot be written.
        whole = json.dumps(read, ensure_ascii=False).encode(errors="replace")
        return model.model_validate(json.loads(whole))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise InputError(f"{path}: {field}: {_line(first['msg'])}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not valid JSON: {_line(error)}") from error


def read_columns(path: Path, columns: dict[str, str]) -> dict[str, Any]:
    """The named columns of a Parquet file as Arrow arrays.

    Args:
        path: the file.
        columns: the kind of each column: str, float, int or bool; with a question mark after it
            where cells may be empty, or not finite.
    """
    if not path.is_file():
        raise InputError(f"{path}: missing from the folder")
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {_line(error)}") from error
    found: dict[str, Any] = {}
    for name, kind in columns.items():
        if name not in table.column_names:
            raise InputError(f"{path}: column {name} is missing")
        try:
            found[name] = table.column(name).cast(_TYPES[kind.rstrip("?")])
        except pa.ArrowException as error:
            raise InputError(f"{path}: column {name}: {_line(error)}") from error
        if found[name].null_count and not kind.endswith("?"):
            raise InputError(f"{path}: column {name} has empty cells")
        if kind == "float" and not np.isfinite(found[name].to_numpy()).all():
            raise InputError(f"{path}: column {name} has cells that are not finite numbers")
    return found


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
