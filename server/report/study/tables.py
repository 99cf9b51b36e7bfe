"""Reading a study's folder; a file that is missing or malformed is an `InputError` naming it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import RootModel

from fleet.errors import InputError
from server.report.files import read_columns, read_json
from server.report.result import ORDER, Amount, Count, Record

Kind = TypeVar("Kind")

_ROWS = {
    "configuration": "str", "codec": "str", "quality": "float", "restorer": "str?", "seed": "int",
    "bpp": "float", "miou": "float", "psnr": "float?", "ms_ssim": "float?", "frechet": "float?",
    "cost_total": "float", "frames_trained": "int", "share": "float", "lpips": "float?",
    "fid": "float?",
}  # fmt: skip
_DROPS = {
    "codec": "str", "quality": "float", "restorer": "str?", "quantity": "str", "mean": "float?",
    "seed_low": "float?", "seed_high": "float?", "image_low": "float?", "image_high": "float?",
    "seeds": "int",
}  # fmt: skip
_CURVE = {
    "codec": "str", "quality": "float", "domain": "str", "restorer": "str?", "bpp": "float",
    "psnr": "float?", "ms_ssim": "float?", "frames": "int",
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One evaluated segmenter; the distances are of its train domain's frames to the originals."""

    configuration: str
    codec: str
    quality: float
    restorer: str | None
    seed: int
    bpp: float
    miou: float
    psnr: float | None
    ms_ssim: float | None
    frechet: float | None
    cost_total: float
    frames_trained: int
    share: float
    lpips: float | None
    fid: float | None


@dataclass(frozen=True)
class Drop:
    """The drop at one rate, a part of it or a difference: mean, 95 % over seeds and over images."""

    codec: str
    quality: float
    restorer: str | None
    quantity: str
    mean: float | None
    seed_low: float | None
    seed_high: float | None
    image_low: float | None
    image_high: float | None
    seeds: int


@dataclass(frozen=True)
class RateDistortion:
    """Rate and distortion of compressed (C) or restored (R) frames."""

    codec: str
    quality: float
    domain: str
    restorer: str | None
    bpp: float
    psnr: float | None
    ms_ssim: float | None
    frames: int


class Claim(Record):
    """A claim of the paper, and what the study says to it."""

    claim: str
    verdict: Literal["holds", "fails", "undecided"]
    evidence: str


class Claims(RootModel[list[Claim]]):
    """All claims."""


class Facts(Record):
    """What the study ran."""

    name: str
    currency: str
    seeds: list[int]
    test_frames: Count
    train_frames: Count
    calibration_frames: Count
    calibration_bits: Count
    skipped: list[str]
    hardware: dict[str, Any]
    wall_seconds: Amount
    configurations: list[str]
    restorers: list[str]
    codecs: list[str]


@dataclass(frozen=True)
class Study:
    """Everything a study's page is made of, but the pictures."""

    facts: Facts
    claims: list[Claim]
    rows: list[Row]
    drops: list[Drop]
    curve: list[RateDistortion]


def read_study(folder: Path) -> Study:
    """Reads and checks a study's folder.

    Raises:
        InputError: a file that is missing or malformed; the text names it and what is wrong.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; a study's folder is expected")
    study = Study(
        facts=read_json(folder / "study.json", Facts),
        claims=read_json(folder / "claims.json", Claims).root,
        rows=_read(folder / "study.parquet", _ROWS, Row),
        drops=_read(folder / "drops.parquet", _DROPS, Drop),
        curve=_read(folder / "rate_distortion.parquet", _CURVE, RateDistortion),
    )
    rows, curve = folder / "study.parquet", folder / "rate_distortion.parquet"
    for row in study.rows:
        _check(rows, "configuration", row.configuration, row.configuration in ORDER)
        _check(rows, "miou", row.miou, 0 <= row.miou <= 1)
        _check(rows, "share", row.share, 0 < row.share <= 1)
        _check(rows, "bpp", row.bpp, row.bpp > 0 or row.configuration[0] == "O")
        if row.configuration != "MO":
            _named(rows, row.configuration, row.restorer, "R" in row.configuration)
        _check(rows, "cost_total", row.cost_total, row.cost_total >= 0)
    for point in study.curve:
        _check(curve, "domain", point.domain, point.domain in ("C", "R"))
        _named(curve, point.domain, point.restorer, point.domain == "R")
        _check(curve, "bpp", point.bpp, point.bpp > 0)
    return study


def _check(path: Path, column: str, value: object, right: bool) -> None:
    if not right:
        raise InputError(f"{path}: column {column}: {value!r} is out of its range")


def _named(path: Path, what: str, restorer: str | None, restored: bool) -> None:
    if restored != (restorer is not None):
        wrong = "without a restorer" if restored else f"with a restorer, {restorer!r}"
        raise InputError(f"{path}: column restorer: {what} {wrong}")


def _read(path: Path, columns: dict[str, str], kind: Callable[..., Kind]) -> list[Kind]:
    """One record per row; a number that is not finite is None."""
    found = read_columns(path, columns)
    rows = zip(*(found[name].to_pylist() for name in columns), strict=True)
    return [kind(*(_known(value) for value in row)) for row in rows]


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
