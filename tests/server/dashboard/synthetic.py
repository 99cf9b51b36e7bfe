"""Sweep folders of any size, made up: laws with some noise stand in for training."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from fleet.frames.labels import CLASSES, PALETTE
from server.campaign import CampaignConfig
from server.costs import PriceConfig, Quantities, ledger, total_cost, write_ledger
from server.sweep.rows import campaign_rows

PIXELS = 512 * 256
PRICES = {"vehicle_hour": 0.5, "uplink_gb": 4000.0, "annotated_frame": 0.02}
CODECS = {"bpg": 1.0, "jpeg": 2.1, "webp": 1.4}
"""Codecs, and how many times the bits of BPG each needs."""


@dataclass(frozen=True)
class Grid:
    """What a made-up sweep varies."""

    vehicles: Sequence[int] = (4, 8, 16, 32)
    bits_per_hour: Sequence[int] = (100_000, 300_000, 900_000)
    codecs: Sequence[str] = ("bpg", "jpeg")
    seeds: Sequence[int] = (0, 1, 2)
    configurations: Sequence[str] = ("CO", "OO", "RO")

    def campaigns(self) -> Iterator[tuple[int, int, str, int]]:
        return itertools.product(self.vehicles, self.bits_per_hour, self.codecs, self.seeds)


def config_of(vehicles: int, bits: int, codec: str, seed: int) -> dict[str, Any]:
    return {
        "name": "synthetic",
        "seed": seed,
        "prices": PRICES,
        "codec": {"name": codec},
        "budget": {"bits_per_hour": bits},
        "fleet": {"vehicles": vehicles, "hours": 4.0},
        "calibration": {},
        "restoration": {},
        "learning": {"configurations": ["CO", "OO", "RO"]},
    }


def result_of(vehicles: int, bits: int, codec: str, seed: int, grid: Grid) -> dict[str, Any]:
    """A result that follows laws: more frames and more bits help, with diminishing returns."""
    rng = np.random.default_rng([vehicles, bits, len(codec), seed])
    hours, frames = 4.0, vehicles * 40
    bpp = bits * hours / 40 / PIXELS
    sent = int(frames * bpp * PIXELS)
    quality = bpp / CODECS[codec]
    loss = 0.028 * quality**-0.75
    original = 0.62 - 0.9 * frames**-0.42
    configurations = {}
    for name in grid.configurations:
        drop = {"O": 0.0, "C": loss, "R": 0.55 * loss}[name[0]]
        miou = float(np.clip(original - drop + 0.006 * rng.standard_normal(), 0.03, 0.95))
        noise = 0.2 * rng.standard_normal(len(CLASSES))
        iou = np.clip(miou + noise - noise.mean(), 0.01, 0.98)
        restored = name[0] in "RM"
        quantities = Quantities(
            vehicle_hours=vehicles * hours + (8 if restored else 0),
            bits_committed=sent if name[0] != "O" else int(frames * 9.4 * PIXELS),
            bits_retransmitted=sent // 40, bits_refused=0,
            bits_calibration=60 * 10 * PIXELS if restored else 0, bits_unfinished=sent // 90,
            frames_annotated=frames, pixels_encoded=2 * frames * PIXELS,
            pixels_decoded=frames * PIXELS, pixels_trained=4000 * 8 * 192 * 192,
            pixels_restorer=2000 * 4 * 96 * 96 if restored else 0,
            pixels_restored=frames * PIXELS if restored else 0,
            bits_calibration_stored=60 * 10 * PIXELS if restored else 0,
        )  # fmt: skip
        configurations[name] = {
            "miou": miou,
            "iou_per_class": {
                n: None if n in ("train", "bus") else float(v)
                for n, v in zip(CLASSES, iou, strict=True)
            },
            "psnr": None if name[0] == "O" else 33 + 4 * math.log10(quality),
            "ms_ssim": None if name[0] == "O" else 0.95,
            "frechet": None,
            "cost_total": total_cost(quantities, PriceConfig(**PRICES)),
            "quantities": asdict(quantities),
        }
    return {
        "name": "synthetic", "configuration": "CO", "codec": codec, "restorer": "adversarial",
        "seed": seed, "vehicles": vehicles, "hours": hours, "currency": "EUR",
        "frames_captured": frames, "frames_delivered": frames, "frames_trained": frames,
        "bits_sent": sent, "bpp_mean": bpp, "bytes_mean": bpp * PIXELS / 8,
        "budget_utilisation": 0.97, "wall_seconds": 60.0, "configurations": configurations,
    }  # fmt: skip


def campaign_name(vehicles: int, bits: int, codec: str, seed: int) -> str:
    return f"{vehicles}-{bits}-{codec}-{seed}"


def resolved_yaml(config: dict[str, Any]) -> str:
    model = CampaignConfig.model_validate_json(json.dumps(config))
    text: str = yaml.safe_dump(model.model_dump(mode="json"), sort_keys=False)
    return text


def write_campaign(
    folder: Path, vehicles: int, bits: int, codec: str, seed: int, grid: Grid, whole: bool = True
) -> None:
    """Writes a campaign's folder; `whole`: with ledger, telemetry and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_of(vehicles, bits, codec, seed)
    (folder / "config.yaml").write_text(resolved_yaml(config))
    result = result_of(vehicles, bits, codec, seed, grid)
    if whole:
        quantities = Quantities(**result["configurations"][grid.configurations[0]]["quantities"])
        write_ledger(ledger(quantities, PriceConfig(**PRICES)), folder / "ledger.parquet")
        write_telemetry(folder, vehicles, bits)
        write_pictures(folder / "pictures", seed, list(grid.configurations))
    write_status(folder, "done")
    (folder / "result.json").write_text(json.dumps(result))


def write_status(
    folder: Path, state: str, updated: str = "2026-01-05T10:00:00+00:00", **facts: Any
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    status = {
        "state": state, "stage": None, "share": 0.0, "details": "", "ended": [],
        "started": "2026-01-05T09:58:00+00:00", "updated": updated, "host": "h", "pid": 1,
    }  # fmt: skip
    (folder / "status.json").write_text(json.dumps(status | facts))


def write_telemetry(folder: Path, vehicles: int, bits: int) -> None:
    time = np.linspace(0, 4 * 3600, 40)
    sent = np.outer(np.linspace(0.9, 1.0, vehicles), bits * time / 3600).astype(np.int64)
    size = sent.size
    table = {
        "time_s": np.tile(time, vehicles),
        "vehicle": np.repeat(np.arange(vehicles, dtype=np.int32), len(time)),
        "bits_sent": sent.ravel(),
        "bits_granted": np.tile((bits // 2 + bits * time / 3600).astype(np.int64), vehicles),
        "buffer_bytes": np.zeros(size, np.int64),
        "captured": np.zeros(size, np.int64),
        "delivered": np.zeros(size, np.int64),
        "link_up": np.ones(size, bool),
    }
    pq.write_table(pa.table(table), folder / "telemetry.parquet")


def write_pictures(folder: Path, seed: int, configurations: list[str], frames: int = 3) -> None:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:192]
    for n in range(frames):
        truth = np.where(y < 30, 10, np.where(y < 56, 2, 0)).astype(np.uint8)
        truth[(np.abs(x - 45 - 40 * n) < 18) & (np.abs(y - 58) < 12)] = 13
        photo = PALETTE[truth] * 0.6 + 40 + 12 * rng.standard_normal((96, 192, 1))
        rough = photo.reshape(12, 8, 24, 8, 3).mean((1, 3)).repeat(8, 0).repeat(8, 1)
        kinds = {
            "original": photo, "decoded": rough, "restored": 0.6 * photo + 0.4 * rough,
            "truth": PALETTE[truth],
        }  # fmt: skip
        for k, name in enumerate(configurations):
            kinds[f"prediction_{name}"] = PALETTE[np.roll(truth, 2 + k, axis=1)]
        for kind, pixels in kinds.items():
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"town_{n:06d}__{kind}.png")


def write_sweep(
    folder: Path,
    grid: Grid | None = None,
    failed: Sequence[dict[str, str]] = (),
    whole: bool = True,
) -> Path:
    """Writes a sweep's folder: sweep.json, sweep.parquet, and campaigns with all their files."""
    grid = grid or Grid()
    rows: list[dict[str, Any]] = []
    for one in grid.campaigns():
        name = campaign_name(*one)
        write_campaign(folder / "campaigns" / name, *one, grid, whole)
        rows += campaign_rows(name, folder / "campaigns" / name)
    write_table(folder, rows)
    write_facts(folder, grid, failed)
    return folder


def write_flat_sweep(folder: Path, grid: Grid) -> Path:
    """Writes only a sweep's table: campaigns in thousands, without folders of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    (vehicles, bits, codec, seed), *_ = grid.campaigns()
    write_campaign(folder / "one", vehicles, bits, codec, seed, grid, whole=False)
    base = campaign_rows("one", folder / "one")[0]
    config = {key: value for key, value in base.items() if key.startswith("config.")}
    rows = []
    for one in grid.campaigns():
        result = result_of(*one, grid)
        for name, reached in result["configurations"].items():
            row = {key: base[key] for key in base if not key.startswith(("quantity.", "config."))}
            row |= config
            row |= {
                "campaign": campaign_name(*one), "configuration": name, "codec": one[2],
                "restorer": "adversarial" if name[0] == "R" else None, "seed": one[3],
                "vehicles": one[0], "bpp": result["bpp_mean"], "miou": reached["miou"],
                "frames_delivered": result["frames_delivered"],
                "config.fleet.vehicles": one[0], "config.budget.bits_per_hour": one[1],
                "config.codec.name": one[2], "config.seed": one[3],
            }  # fmt: skip
            row |= {f"quantity.{key}": value for key, value in reached["quantities"].items()}
            rows.append(row)
    for path in (folder / "one").iterdir():
        path.unlink()
    (folder / "one").rmdir()
    write_table(folder, rows)
    write_facts(folder, grid, ())
    (folder / "campaigns").mkdir()
    return folder


def write_table(folder: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(key for row in rows for key in row))
    table = {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(table), folder / "sweep.parquet")


def write_facts(folder: Path, grid: Grid, failed: Sequence[dict[str, str]]) -> None:
    count = len(list(grid.campaigns()))
    facts = {
        "version": 1, "name": "Synthetic sweep", "currency": "EUR",
        "varied": ["fleet.vehicles", "budget.bits_per_hour", "codec.name"],
        "seeds": list(grid.seeds), "planned": count + len(failed), "done": count,
        "failed": list(failed),
    }  # fmt: skip
    (folder / "sweep.json").write_text(json.dumps(facts))
