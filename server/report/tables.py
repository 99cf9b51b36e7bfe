"""Reading a campaign's folder; a file that is missing or malformed is an `InputError` naming it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.errors import InputError
from server.report.files import read_columns, read_json, read_text
from server.report.result import Provenance, Result

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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
        result=read_json(folder / "result.json", Result),
        provenance=read_json(folder / "provenance.json", Provenance),
        config=read_text(folder / "config.yaml"),
        ledger=read_ledger(folder / "ledger.parquet"),
        telemetry=read_telemetry(folder / "telemetry.parquet"),
        frames=_frames(folder / "frames.parquet"),
        training=_training(folder / "training.parquet"),
    )


def read_ledger(path: Path) -> list[LedgerRow]:
    """A campaign's `ledger.parquet`; raises InputError naming the file if it cannot be read."""
    columns = read_columns(path, _LEDGER)
    return [LedgerRow(*row) for row in zip(*(columns[n].to_pylist() for n in _LEDGER), strict=True)]


def read_telemetry(path: Path) -> Telemetry:
    """A campaign's `telemetry.parquet`; raises InputError naming the file if it cannot be read."""
    columns = {name: column.to_numpy() for name, column in read_columns(path, _TELEMETRY).items()}
    order = np.lexsort((columns["time_s"], columns["vehicle"]))
    names = ("time_s", "vehicle", "bits_sent", "bits_granted", "buffer_bytes", "link_up")
    return Telemetry(*(columns[name][order] for name in names))


def _frames(path: Path) -> Frames:
    columns = read_columns(path, _FRAMES)
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
    columns = read_columns(path, _TRAINING)
    domain = np.array(columns["domain"].to_pylist(), dtype=object)
    step, loss = columns["step"].to_numpy(), columns["loss"].to_numpy()
    curves = []
    for name in sorted(set(domain), key=lambda name: ("OCR".find(name) % 4, name)):
        rows = np.flatnonzero((domain == name) & np.isfinite(loss))
        rows = rows[np.argsort(step[rows], kind="stable")]
        curves.append(Loss(name, step[rows], loss[rows]))
    return curves
