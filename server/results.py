"""The result of a campaign: one row of figures, the ledger, and the tables behind the report."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from server.calibration import check_arrived
from server.campaign import CampaignConfig
from server.collection import read_collected
from server.consumption import consumed_for, quantities_of, tell_cost, totals
from server.costs import ledger, total_cost, write_ledger
from server.durable import write_json
from server.evaluation import Score
from server.gathering import Gathering
from server.learning import RESTORED
from server.manifest import manifest_digest, read_manifest
from server.measures import Measures, mean_of
from server.scoring import Scoring


def write_result(
    scoring: Scoring,
    scores: dict[str, Score],
    measures: dict[str, Measures],
    out: Path,
    wall_seconds: float,
) -> dict[str, Any]:
    """Writes result.json, ledger.parquet and the report's tables into `out`; gives the row.

    Everything in the row but `wall_seconds` depends on config and seed only.

    Args:
        scoring: a campaign whose configurations are all evaluated.
        scores: of each configuration.
        measures: of each configuration's train domain.
        out: the campaign's folder.
        wall_seconds: how long it took.
    """
    config, gathering = scoring.config, scoring.gathering
    collection, decoded = gathering.collection.path, gathering.decoded.path
    rows = read_manifest(collection / "manifest")
    frames = gathering.rows
    collected = read_collected(collection)
    vehicles = totals(collection)
    trained = [row["frame_id"] for row in frames if row["trained"]]
    faults = [row["fault"] for row in frames if row["fault"] is not None]
    quantities = quantities_of(scoring)
    entries = ledger(quantities, config.prices)
    pixels = sum(row["width"] * row["height"] for row in rows)
    primary = config.learning.configurations[0]
    consumed = {domain: consumed_for(scoring, domain) for domain in {"O", *(n[0] for n in scores)}}
    refusals = dict(sorted(collected.refused.items()))
    for fault in sorted(faults):
        refusals[f"decoding: {fault}"] = refusals.get(f"decoding: {fault}", 0) + 1
    result = {
        "name": config.name,
        "configuration": primary,
        "codec": "+".join(codec.name for codec in config.codecs),
        "codec_settings": config.codec.model_dump(mode="json", exclude={"name"}),
        "restorer": _restorer(config),
        "calibration_frames": _calibration_frames(gathering),
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
        "bytes_mean": quantities.bits_committed / 8 / collected.frames
        if collected.frames
        else None,
        "bpp_mean": quantities.bits_committed / pixels if pixels else None,
        "budget": config.budget.model_dump(mode="json"),
        "budget_utilisation": vehicles["bits_sent"] / max(1, vehicles["bits_granted"]),
        "encodes_per_frame": vehicles["encodes"] / max(1, vehicles["captured"]),
        "quality_mean": mean_of(frames, "quality"),
        "miou": scores[primary].miou,
        "iou_per_class": scores[primary].iou_per_class,
        "configurations": {
            name: {
                **score.as_json(),
                **measures[name].as_json(),
                "cost_total": total_cost(consumed[name[0]], config.prices),
                "quantities": asdict(consumed[name[0]]),
            }
            for name, score in scores.items()
        },
        "psnr": mean_of(frames, "psnr"),
        "ms_ssim": mean_of(frames, "ms_ssim"),
        "cost_total": sum(entry.cost for entry in entries),
        "cost": {entry.item: entry.cost for entry in entries},
        "cost_originals": total_cost(consumed["O"], config.prices),
        "manifest_digest": manifest_digest(rows),
        "wall_seconds": round(wall_seconds, 3),
    }
    tell_cost(scoring)
    write_ledger(entries, out / "ledger.parquet")
    shutil.copyfile(collection / "telemetry.parquet", out / "telemetry.parquet")
    pq.write_table(pq.read_table(decoded / "frames.parquet"), out / "frames.parquet")
    _write_losses(scoring, out / "training.parquet")
    write_json(out / "result.json", result)
    return result


def _restorer(config: CampaignConfig) -> str | None:
    """What the result calls the restorer, or None where nothing is restored."""
    if config.restoration is None or not config.learning.uses(RESTORED):
        return None
    if config.restoration.weights is not None:
        return f"given: {config.restoration.weights.name}"
    return config.restoration.training.objective


def _calibration_frames(gathering: Gathering) -> int:
    """Calibration frames that arrived."""
    config = gathering.config
    if config.calibration is None or not config.learning.uses(config.calibrated):
        return 0
    return check_arrived(config.calibration, gathering.calibration.path)


def _write_losses(scoring: Scoring, path: Path) -> None:
    tables = []
    for domain in dict.fromkeys(name[0] for name in scoring.config.learning.configurations):
        table = scoring.segmenter(domain).path / "training.parquet"
        if table.exists():  # B is not trained
            losses = pq.read_table(table, columns=["step", "loss"])
            domains = pa.array([domain] * len(losses), pa.string())
            tables.append(losses.add_column(0, "domain", domains))
    pq.write_table(pa.concat_tables(tables), path)
