"""The manifest: the table of what was committed, as a log of numbered Parquet parts.

A part is written once, under a number that nobody has taken (as Delta Lake numbers its commits), and
never changed. The table is all parts in order; a reader that finds a part finds it whole.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from server.durable import put_if_absent

Row = dict[str, Any]

MANIFEST_SCHEMA = pa.schema(
    [
        ("vehicle", pa.int32()),
        ("sequence", pa.int32()),
        ("frame_id", pa.string()),
        ("codec", pa.string()),
        ("quality", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("captured_ms", pa.int64()),
        ("arrived_ms", pa.int64()),
        ("size", pa.int64()),
        ("digest", pa.string()),
        ("path", pa.string()),
    ]
)
"""A committed upload; `path` is relative to the collection's folder, `size` is in bytes."""

REFUSED_SCHEMA = pa.schema(
    [
        ("vehicle", pa.int64()),
        ("sequence", pa.int64()),
        ("reason", pa.string()),
        ("size", pa.int64()),
        ("digest", pa.string()),
        ("path", pa.string()),
    ]
)
"""A refused upload; `size` and `digest` are of the bytes that arrived, `path` is null where they were
not kept (the bound on what is kept aside was reached)."""


class PartLog:
    """A durable table that only grows, in a folder of its own."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        """Opens the log, or starts an empty one."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._schema = schema
        self._next = 1 + max((int(part.stem[5:]) for part in self._parts()), default=-1)

    def append(self, rows: list[Row]) -> None:
        """Adds rows as one part; on return they are durable."""
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, self._schema), buffer, compression="zstd")
        put_if_absent(self._folder / f"part-{self._next:08d}.parquet", buffer.getvalue())
        self._next += 1

    def read(self) -> pa.Table:
        """All rows, in the order of their commit."""
        tables = [pq.read_table(part, schema=self._schema) for part in self._parts()]
        return pa.concat_tables(tables) if tables else self._schema.empty_table()

    def _parts(self) -> list[Path]:
        return sorted(self._folder.glob("part-*.parquet"))


def read_manifest(folder: Path) -> list[Row]:
    """All rows of a manifest's folder, sorted by vehicle and sequence."""
    rows: list[Row] = PartLog(folder, MANIFEST_SCHEMA).read().to_pylist()
    return sorted(rows, key=lambda row: (row["vehicle"], row["sequence"]))


def manifest_digest(rows: list[Row]) -> str:
    """The digest that names a manifest's content: SHA-256 over its rows, sorted by key.

    It does not depend on the order of arrival, on parts or on paths: equal digests mean equal data
    sets, bit for bit.
    """
    digest = hashlib.sha256()
    for row in sorted(rows, key=lambda row: (row["vehicle"], row["sequence"])):
        kept = {name: row[name] for name in MANIFEST_SCHEMA.names if name != "path"}
        digest.update(json.dumps(kept, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
