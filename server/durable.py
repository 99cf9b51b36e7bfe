"""Writing files so that they are whole or absent, and stay after a crash."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def sync_folder(folder: Path) -> None:
    """Makes a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and makes its content durable; its name needs :func:`sync_folder`."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, content: bytes) -> None:
    """Writes or replaces a file in one step, durably: readers see the old content or the new."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_synced(partial, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def put_if_absent(path: Path, content: bytes) -> None:
    """Writes a file that must not exist yet, in one step, durably; raises FileExistsError if it does."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_synced(partial, content)
        path.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replaces a JSON file in one step; NaN and infinity are refused."""
    replace_file(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def replace_table(path: Path, table: pa.Table) -> None:
    """Replaces a Parquet file in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    replace_file(path, sink.getvalue().to_pybytes())
