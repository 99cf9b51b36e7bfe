"""Reading a campaign's folder; a file that is missing or malformed is an `InputError` naming it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from fleet.errors import InputError
from server.report.result import Provenance, Result

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Model = TypeVar("Model", bound=BaseModel)

_LEDGER = {
    "item": "str",
    "quantity": "float",
    "unit": "str",
    "unit_price": "float",
    "cost": "float",
}
_TELEMETRY = {
    "time_s": "float", "vehicle": "int", "bits_sent": "int", "bits_granted": "int",
    "buffer_bytes": "int", "captured": "int", "delivered": "int", "link_up": "bool",
}  # fmt: skip
_FRAMES = {
    "vehicle": "int", "sequence": "int", "frame_id": "str", "city": "str", "quality": "float",
    "bits": "int", "bpp": "float", "psnr": "float?", "ms_ssim": "float?", "trained": "bool",
}  # fmt: skip
_TRAINING = {"domain": "str", "step": "int", "loss": "float?"}
_TYPES = {"str": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}


@dataclass(frozen=True)
class LedgerRow:
    """One item of the ledger."""

    item: str
    quantity: float
    unit: str
    unit_price: float
    cost: float


@dataclass(frozen=True)
class Telemetry:
    """Samples of every vehicle over simulated time, sorted by vehicle, then time."""

    time_s: Floats
    vehicle: Ints
    bits_sent: Ints
    bits_granted: Ints
    buffer_bytes: Ints
    link_up: NDArray[np.bool_]


@dataclass(frozen=True)
class Frames:
    """One entry per delivered frame; PSNR is NaN where there is none.

    `city` indexes `cities`; `row_of` finds a frame by its id.
    """

    bpp: Floats
    psnr: Floats
    quality: Floats
    bits: Ints
    city: Ints
    cities: tuple[str, ...]
    frame_id: Any

    def row_of(self, frame_id: str) -> int | None:
        """The row of a frame, or None if it is not among the delivered ones."""
        row = self.frame_id.index(frame_id).as_py()
        return None if row < 0 else int(row)


@dataclass(frozen=True)
class Loss:
    """A training domain's loss over steps."""

    domain: str
    step: Ints
    loss: Floats


@dataclass(frozen=True)
class Campaign:
    """Everything a report is made of, but the pictures."""

    result: Result
    provenance: Provenance
    config: str
    ledger: list[LedgerRow]
    telemetry: Telemetry
    frames: Frames
    training: list[Loss]


def read_campaign(folder: Path) -> Campaign:
    """Reads and checks a campaign's folder.

    Raises:
        InputError: a file that is missing or malformed; the text names it and what is wrong.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; a campaign's folder is expected")
    return Campaign(
        result=_json(folder / "result.json", Result),
        provenance=_json(folder / "provenance.json", Provenance),
        config=_text(folder / "config.yaml"),
        ledger=_ledger(folder / "ledger.parquet"),
        telemetry=_telemetry(folder / "telemetry.parquet"),
        frames=_frames(folder / "frames.parquet"),
        training=_training(folder / "training.parquet"),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: missing from the campaign's folder") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {_line(error)}") from error


def _json(path: Path, model: type[Model]) -> Model:
    try:
        read = json.loads(_text(path))
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


def _columns(path: Path, columns: dict[str, str]) -> dict[str, Any]:
    """The named columns as Arrow arrays of the named types."""
    if not path.is_file():
        raise InputError(f"{path}: missing from the campaign's folder")
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


def _ledger(path: Path) -> list[LedgerRow]:
    columns = _columns(path, _LEDGER)
    return [LedgerRow(*row) for row in zip(*(columns[n].to_pylist() for n in _LEDGER), strict=True)]


def _telemetry(path: Path) -> Telemetry:
    columns = {name: column.to_numpy() for name, column in _columns(path, _TELEMETRY).items()}
    order = np.lexsort((columns["time_s"], columns["vehicle"]))
    names = ("time_s", "vehicle", "bits_sent", "bits_granted", "buffer_bytes", "link_up")
    return Telemetry(*(columns[name][order] for name in names))


def _frames(path: Path) -> Frames:
    columns = _columns(path, _FRAMES)
    cities = columns["city"].combine_chunks().dictionary_encode()
    return Frames(
        bpp=columns["bpp"].to_numpy(),
        psnr=columns["psnr"].to_numpy(),
        quality=columns["quality"].to_numpy(),
        bits=columns["bits"].to_numpy(),
        city=cities.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        cities=tuple(cities.dictionary.to_pylist()),
        frame_id=columns["frame_id"],
    )


def _training(path: Path) -> list[Loss]:
    if not path.exists():  # a campaign may stop before training
        return []
    columns = _columns(path, _TRAINING)
    domain = np.array(columns["domain"].to_pylist(), dtype=object)
    step, loss = columns["step"].to_numpy(), columns["loss"].to_numpy()
    curves = []
    for name in sorted(set(domain), key=lambda name: ("OCR".find(name) % 4, name)):
        rows = np.flatnonzero((domain == name) & np.isfinite(loss))
        rows = rows[np.argsort(step[rows], kind="stable")]
        curves.append(Loss(name, step[rows], loss[rows]))
    return curves


def _line(error: object) -> str:
    return " ".join(str(error).split())[:300]
