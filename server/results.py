"""The result of a campaign: one row of figures, the ledger, and the tables behind the report."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from server.campaign import CampaignConfig
from server.collection import read_collected
from server.costs import Quantities, ledger, write_ledger
from server.decoding import read_frames
from server.durable import write_json
from server.learning import Score
from server.manifest import manifest_digest, read_manifest


@dataclass(frozen=True)
class Outcome:
    """What the stages of a campaign came to: folders of artifacts, and scores."""

    config: CampaignConfig
    collection: Path
    decoded: Path
    originals: Path
    weights: dict[str, Path]
    scores: dict[str, Score]


def write_result(outcome: Outcome, out: Path, wall_seconds: float) -> dict[str, Any]:
    """Writes result.json, ledger.parquet and the report's tables into `out`; gives the row.

    Everything in the row but `wall_seconds` depends on config and seed only.
    """
    config = outcome.config
    rows = read_manifest(outcome.collection / "manifest")
    frames = read_frames(outcome.decoded)
    collected = read_collected(outcome.collection)
    vehicles = _totals(outcome.collection / "counters.parquet")
    trained = [row["frame_id"] for row in frames if row["trained"]]
    faults = [row["fault"] for row in frames if row["fault"] is not None]
    quantities = _quantities(outcome, vehicles, len(trained))
    entries = ledger(quantities, config.prices)
    pixels = sum(row["width"] * row["height"] for row in rows)
    primary = config.learning.configurations[0]
    refusals = dict(sorted(collected.refused.items()))
    for fault in sorted(faults):
        refusals[f"decoding: {fault}"] = refusals.get(f"decoding: {fault}", 0) + 1
    result = {
        "name": config.name,
        "configuration": primary,
        "codec": config.codec.name,
        "codec_settings": config.codec.model_dump(mode="json", exclude={"name"}),
        "restorer": None,
        "vehicles": config.fleet.vehicles,
        "hours": config.fleet.hours,
        "seed": config.seed,
        "currency": config.prices.currency,
        "frames_captured": vehicles["captured"],
        "frames_delivered": collected.frames,
        "frames_trained": len(trained),
        "frames_skipped_over_budget": vehicles["skipped"],
        "frames_dropped_buffer": vehicles["dropped"],
        "frames_left_aboard": vehicles["left_aboard"],
        "frames_undecodable": len(faults),
        "uploads_refused": sum(collected.refused.values()),
        "refusals": refusals,
        "bits_sent": quantities.bits_sent,
        "bits_committed": quantities.bits_committed,
        "bits_retransmitted": quantities.bits_retransmitted,
        "bits_refused": quantities.bits_refused,
        "bits_calibration": quantities.bits_calibration,
        "bits_unfinished": quantities.bits_unfinished,
        "bpp_mean": quantities.bits_committed / pixels if pixels else None,
        "budget": config.budget.model_dump(mode="json"),
        "budget_utilisation": vehicles["bits_sent"] / max(1, vehicles["bits_granted"]),
        "encodes_per_frame": vehicles["encodes"] / max(1, vehicles["captured"]),
        "quality_mean": _mean([row["quality"] for row in frames]),
        "miou": outcome.scores[primary].miou,
        "iou_per_class": outcome.scores[primary].iou_per_class,
        "configurations": {name: score.as_json() for name, score in outcome.scores.items()},
        "psnr": _mean([row["psnr"] for row in frames]),
        "ms_ssim": _mean([row["ms_ssim"] for row in frames]),
        "cost_total": sum(entry.cost for entry in entries),
        "cost": {entry.item: entry.cost for entry in entries},
        "cost_originals": _cost_originals(outcome, quantities),
        "manifest_digest": manifest_digest(rows),
        "wall_seconds": round(wall_seconds, 3),
    }
    write_ledger(entries, out / "ledger.parquet")
    shutil.copyfile(outcome.collection / "telemetry.parquet", out / "telemetry.parquet")
    pq.write_table(pq.read_table(outcome.decoded / "frames.parquet"), out / "frames.parquet")
    _write_losses(outcome, out / "training.parquet")
    write_json(out / "result.json", result)
    return result


def _totals(counters: Path) -> dict[str, int]:
    """Sums over the vehicles of every counter."""
    table = pq.read_table(counters)
    return {name: pc.sum(table[name]).as_py() or 0 for name in table.column_names}


def _quantities(outcome: Outcome, vehicles: dict[str, int], annotated: int) -> Quantities:
    config, training = outcome.config, outcome.config.learning.training
    collected = read_collected(outcome.collection)
    distinct = {
        (row["frame_id"], row["digest"]): row["width"] * row["height"]
        for row in read_manifest(outcome.collection / "manifest")
    }
    crop = training.crop_height * training.crop_width
    return Quantities(
        vehicle_hours=config.fleet.vehicles * config.fleet.hours,
        bits_committed=collected.bits,
        bits_retransmitted=vehicles["bits_retransmitted"],
        bits_refused=collected.bits_refused,
        bits_calibration=0,
        bits_unfinished=vehicles["bits_unfinished"],
        frames_annotated=annotated,
        pixels_encoded=vehicles["pixels_encoded"],
        pixels_decoded=sum(distinct.values()),
        pixels_trained=training.steps * training.batch_size * crop,
    )


def _cost_originals(outcome: Outcome, quantities: Quantities) -> float:
    """What the same training frames would have cost had each been sent once, losslessly.

    The counterfactual that OO belongs to: same drive, same labels, same training, other bits.
    """
    lossless = pc.sum(pq.read_table(outcome.originals / "lossless.parquet")["bits"]).as_py()
    sent = Quantities(
        vehicle_hours=quantities.vehicle_hours,
        bits_committed=lossless,
        bits_retransmitted=0,
        bits_refused=0,
        bits_calibration=0,
        bits_unfinished=0,
        frames_annotated=quantities.frames_annotated,
        pixels_encoded=0,
        pixels_decoded=0,
        pixels_trained=quantities.pixels_trained,
    )
    return sum(entry.cost for entry in ledger(sent, outcome.config.prices))


def _write_losses(outcome: Outcome, path: Path) -> None:
    tables = []
    for domain, folder in outcome.weights.items():
        table = pq.read_table(folder / "training.parquet")
        domains = pa.array([domain] * len(table), pa.string())
        tables.append(table.add_column(0, "domain", domains))
    pq.write_table(pa.concat_tables(tables), path)


def _mean(values: list[float | None]) -> float | None:
    """The mean of what is known, or None if nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
