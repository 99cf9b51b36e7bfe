"""The collector: receives uploads, verifies them, commits them durably, and answers for them.

On the disk, in the collection's folder:

    bitstreams/v000012/000034.bpg     one file for each committed upload
    manifest/part-00000007.parquet    the manifest: what is committed, and nothing else, is in it
    refused/{digest}.bin              the bytes of what was refused, kept aside
    refused/log/part-00000000.parquet what was refused and why, in the manifest's form

A commit writes the bitstreams, makes them durable, then adds one part to the manifest: that is the
moment of the commit. The receipt comes after. Whatever is killed before, the vehicle has no receipt
and sends again; whatever is killed after, the upload is known and the same receipt is given again.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fleet.latency import Latencies
from fleet.upload import Receipt, Upload, digest_of
from server.durable import sync_folder, write_synced
from server.inspection import Inspector, Rules
from server.manifest import MANIFEST_SCHEMA, REFUSED_SCHEMA, PartLog, Row

_KEPT_ASIDE_BYTES = 1 << 30
"""Refused bytes kept for a look; beyond it only the log of refusals grows."""

Key = tuple[int, int]


@dataclass(frozen=True)
class Collected:
    """What a collector has taken so far.

    Attributes:
        frames: uploads committed.
        bits: their bitstreams' bits.
        refused: uploads refused, by reason.
        bits_refused: bits of those that arrived.
    """

    frames: int
    bits: int
    refused: dict[str, int]
    bits_refused: int


@dataclass(frozen=True)
class Taken:
    """Where a collector stands, for those who look on.

    Attributes:
        collected: what it has taken.
        commits: how long each batch took to be stored, since the collector was last started.
    """

    collected: Collected = Collected(0, 0, {}, 0)
    commits: Latencies = field(default_factory=Latencies)


class Collector:
    """The body of the central Ray actor; one thread, no state but what is on the disk."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        """Opens a collection's folder, or starts one; what was committed before is known again."""
        for part in ("bitstreams", "manifest", "refused/log"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for parent in (folder, folder / "refused"):
            sync_folder(parent)
        self._folder = folder
        self._inspector = Inspector(rules)
        self._manifest = PartLog(folder / "manifest", MANIFEST_SCHEMA)
        self._refused = PartLog(folder / "refused" / "log", REFUSED_SCHEMA)
        self._stored: dict[Key, Row] = {}
        for row in self._manifest.read().to_pylist():
            self._stored[row["vehicle"], row["sequence"]] = row
        self._refusals: list[Row] = self._refused.read().to_pylist()
        self._refused_keys = {_refusal_key(row) for row in self._refusals}
        self._reasons = Counter(row["reason"] for row in self._refusals)
        self._bits = 8 * sum(row["size"] for row in self._stored.values())
        self._bits_refused = 8 * sum(row["size"] for row in self._refusals)
        self._commits = Latencies()

    def commit(self, uploads: list[Upload]) -> list[Receipt]:
        """Takes a batch: each upload is stored for good, or refused, when this returns.

        Handing in the same upload again gives the same receipt and changes nothing.
        """
        started = time.perf_counter()
        fresh: dict[Key, Upload] = {}
        refusals: list[tuple[Upload, str]] = []
        receipts = []
        for upload in uploads:
            reason = self._inspector.fault(upload) or self._clash(upload, fresh)
            if reason is not None:
                refusals.append((upload, reason))
            elif (upload.vehicle, upload.sequence) not in self._stored:
                fresh[upload.vehicle, upload.sequence] = upload
            receipts.append(_receipt(upload, reason))
        self._store(list(fresh.values()))
        self._keep_aside(refusals)
        self._commits.add(time.perf_counter() - started)
        return receipts

    def lookup(self, vehicle: int, sequence: int) -> Row | None:
        """The manifest's row of an upload, or None if none is committed under that key."""
        return self._stored.get((vehicle, sequence))

    def summary(self) -> Collected:
        """What has been committed and refused so far."""
        return Collected(
            frames=len(self._stored),
            bits=self._bits,
            refused=dict(self._reasons),
            bits_refused=self._bits_refused,
        )

    def standing(self) -> Taken:
        """What has been committed and refused so far, and how long batches took."""
        return Taken(self.summary(), self._commits.copy())

    def verify(self) -> list[str]:
        """Reads every committed bitstream back; the paths that are missing or not as committed."""
        bad = []
        for row in self._stored.values():
            path = self._folder / row["path"]
            if not path.is_file() or digest_of(path.read_bytes()) != row["digest"]:
                bad.append(str(path))
        return bad

    def _clash(self, upload: Upload, fresh: dict[Key, Upload]) -> str | None:
        key = (upload.vehicle, upload.sequence)
        known = self._stored.get(key) or (_row(fresh[key], "") if key in fresh else None)
        if known is not None and {**known, "path": ""} != _row(upload, ""):
            return "key is taken by another upload"
        return None

    def _store(self, uploads: list[Upload]) -> None:
        rows, folders = [], set()
        for upload in uploads:
            name = f"{upload.sequence:06d}{self._inspector.suffix(upload)}"
            path = Path("bitstreams") / f"v{upload.vehicle:06d}" / name
            target = self._folder / path
            if target.parent not in folders:
                target.parent.mkdir(parents=True, exist_ok=True)
                folders.add(target.parent)
            write_synced(target, upload.payload)
            rows.append(_row(upload, path.as_posix()))
        for folder in folders:
            sync_folder(folder)
        if rows:
            sync_folder(self._folder / "bitstreams")
            self._manifest.append(rows)
            self._stored.update({(row["vehicle"], row["sequence"]): row for row in rows})
            self._bits += 8 * sum(row["size"] for row in rows)

    def _keep_aside(self, refusals: list[tuple[Upload, str]]) -> None:
        rows = []
        kept = sum(row["size"] for row in self._refusals if row["path"] is not None)
        for upload, reason in refusals:
            payload = getattr(upload, "payload", b"")
            payload = payload if isinstance(payload, bytes) else b""
            digest = digest_of(payload)
            row: Row = {
                "vehicle": _number(getattr(upload, "vehicle", None)),
                "sequence": _number(getattr(upload, "sequence", None)),
                "reason": reason,
                "size": len(payload),
                "digest": digest,
                "path": None,
            }
            if _refusal_key(row) in self._refused_keys:
                continue
            if kept + len(payload) <= _KEPT_ASIDE_BYTES:
                row["path"] = f"refused/{digest}.bin"
                write_synced(self._folder / row["path"], payload)
                kept += len(payload)
            self._refused_keys.add(_refusal_key(row))
            rows.append(row)
        if rows:
            sync_folder(self._folder / "refused")
            self._refused.append(rows)
            self._refusals += rows
            self._reasons.update(row["reason"] for row in rows)
            self._bits_refused += 8 * sum(row["size"] for row in rows)


def _row(upload: Upload, path: str) -> Row:
    """The manifest's row of an upload."""
    row = {column: getattr(upload, column, None) for column in MANIFEST_SCHEMA.names}
    return {**row, "path": path}


def _receipt(upload: Upload, reason: str | None) -> Receipt:
    vehicle, sequence = getattr(upload, "vehicle", None), getattr(upload, "sequence", None)
    return Receipt(_number(vehicle), _number(sequence), reason)


def _number(value: object) -> int:
    """A key's part as it can be logged: itself if it is a sane number, else −1."""
    sane = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
    return value if sane else -1  # type: ignore[return-value]


def _refusal_key(row: Row) -> tuple[int, int, str, str]:
    return row["vehicle"], row["sequence"], row["digest"], row["reason"]
