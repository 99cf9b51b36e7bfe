"""A campaign end to end on a real Ray cluster: scenes, hosts, collector, training, report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from fleet.errors import InputError
from fleet.scenes import ScenesConfig, write_scenes
from server.campaign import CampaignConfig
from server.costs import Quantities, total_cost
from server.manifest import read_manifest
from server.simulate import simulate

CAMPAIGN: dict[str, Any] = {
    "name": "Tiny <b>",
    "budget": {"bits_per_hour": 300_000, "burst_bits": 60_000},
    "codec": {"name": "bpg", "preset": "ultrafast"},
    "fleet": {
        "vehicles": 3,
        "hours": 0.5,
        "capture_interval_s": 60,
        "tick_s": 5,
        "hosts": 1,
        "uplink": {
            "bits_per_second": 600,
            "outages_per_hour": 3,
            "outage_s": 120,
            "loss": 0.05,
            "corruption": 0.1,
        },
    },
    "learning": {
        "configurations": ["CO", "CC", "OO", "OC"],
        "segmenter": {"decoder_channels": 16},
        "training": {
            "steps": 4, "batch_size": 2, "crop_height": 64, "crop_width": 64, "threads": 1
        },
        "trainer": {"cpus_per_worker": 1},
        "pictures": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "data"
    config = ScenesConfig(
        width=192, height=96, train_cities=2, val_cities=1, frames_per_city=8, val_frames_per_city=4
    )
    write_scenes(config, root, processes=1)
    return root


def make(scenes: Path, **fleet: Any) -> CampaignConfig:
    settings = {**CAMPAIGN, "fleet": {**CAMPAIGN["fleet"], **fleet}, "data": {"root": str(scenes)}}
    return CampaignConfig.model_validate_json(json.dumps(settings))


def run(config: CampaignConfig, out: Path) -> dict[str, Any]:
    with (out.parent / f"{out.name}.txt").open("w") as file:
        return simulate(config, out, out / "artifacts", "test", Console(file=file, width=200))


def timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "wall_seconds"}


@pytest.fixture(scope="session")
def campaign(
    ray_cluster: None, scenes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """A finished campaign: its result row and its folder."""
    out = tmp_path_factory.mktemp("campaigns") / "one"
    return run(make(scenes), out), out


def test_the_folder_holds_what_was_promised(campaign: tuple[dict[str, Any], Path]) -> None:
    result, out = campaign
    names = {path.name for path in out.iterdir()}
    assert names >= {
        "config.yaml", "provenance.json", "manifest", "ledger.parquet", "result.json", "report.html"
    }  # fmt: skip
    assert json.loads((out / "result.json").read_text()) == result
    assert result["frames_trained"] > 0
    assert set(result["configurations"]) == {"CO", "CC", "OO", "OC"}
    assert result["configuration"] == "CO"
    assert result["miou"] == result["configurations"]["CO"]["miou"]
    assert 0 < result["miou"] < 1
    page = (out / "report.html").read_text()
    assert "Tiny &lt;b&gt;" in page
    shown = (out.parent / "one.txt").read_text()
    for word in ("collect", "decode", "train on C", "train on O", "evaluate CO", "total cost"):
        assert word in shown


def test_every_bit_is_counted(campaign: tuple[dict[str, Any], Path]) -> None:
    result, out = campaign
    (collection,) = (out / "artifacts").glob("collect-*")
    stored = sum(8 * file.stat().st_size for file in collection.rglob("bitstreams/*/*.bpg"))
    refused = 8 * sum(pq.read_table(collection / "refused" / "log")["size"].to_pylist())
    assert result["bits_committed"] == stored > 0
    assert result["bits_refused"] == refused > 0
    assert result["refusals"] == {"digest does not match": result["uploads_refused"]}
    assert result["bits_sent"] == (
        stored + refused + result["bits_retransmitted"] + result["bits_unfinished"]
    )
    counters = pq.read_table(collection / "counters.parquet").to_pydict()
    assert result["bits_sent"] == sum(counters["bits_sent"])
    assert result["bits_sent"] <= sum(counters["bits_granted"])
    ledger = pq.read_table(out / "ledger.parquet").to_pylist()
    in_ledger = {row["item"]: row["quantity"] for row in ledger}
    assert in_ledger["bits committed"] == stored
    assert sum(row["cost"] for row in ledger) == pytest.approx(result["cost_total"])
    assert len(read_manifest(out / "manifest")) == result["frames_delivered"]


@pytest.mark.slow
def test_more_hosts_give_the_same_row(
    campaign: tuple[dict[str, Any], Path], scenes: Path, tmp_path: Path
) -> None:
    assert timeless(run(make(scenes, hosts=3), tmp_path / "three")) == timeless(campaign[0])


def test_run_again_everything_is_found(campaign: tuple[dict[str, Any], Path], scenes: Path) -> None:
    result, out = campaign
    assert timeless(run(make(scenes), out)) == timeless(result)
    stages = json.loads((out / "provenance.json").read_text())["stages"]
    assert all(stage["reused"] for stage in stages.values())


def test_a_training_killed_just_before_its_end_keeps_its_losses(
    campaign: tuple[dict[str, Any], Path], scenes: Path
) -> None:
    """The weights are there, the artifact is not: the stage ends as it would have."""
    result, out = campaign
    before = pq.read_table(out / "training.parquet")
    artifact = next((out / "artifacts").glob("segmenter-*"))
    for name in ("training.parquet", "stage.json"):
        (artifact / name).unlink()
    artifact.rename(artifact.with_name(f".{artifact.name}.partial"))
    assert timeless(run(make(scenes), out)) == timeless(result)
    assert pq.read_table(out / "training.parquet").equals(before)
    assert before.num_rows > 0


def test_a_corrupt_frame_is_named(ray_cluster: None, scenes: Path, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    for path in scenes.rglob("*.png"):
        copy = broken / path.relative_to(scenes)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    images = sorted((broken / "leftImg8bit" / "train").rglob("*.png"))
    for image in images:
        image.write_bytes(image.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"_leftImg8bit\.png: not a readable PNG file"):
        run(make(broken), tmp_path / "out")
    assert not (tmp_path / "out" / "result.json").exists()


def test_too_much_for_the_cluster_is_said(ray_cluster: None, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"fleet\.hosts: asks for 3 × 100 CPU"):
        run(make(scenes, hosts=3, cpus_per_host=100.0), tmp_path / "out")


def test_nothing_delivered_is_said(ray_cluster: None, scenes: Path, tmp_path: Path) -> None:
    config = make(scenes)
    poor = config.model_copy(update={"budget": config.budget.model_copy(
        update={"bits_per_hour": 8, "burst_bits": 8}
    )})  # fmt: skip
    with pytest.raises(InputError, match="no labelled frame was delivered"):
        run(poor, tmp_path / "out")


def test_each_configurations_quantities_price_to_its_cost(
    campaign: tuple[dict[str, Any], Path], scenes: Path
) -> None:
    result, out = campaign
    prices = make(scenes).prices
    for row in result["configurations"].values():
        quantities = Quantities(**row["quantities"])
        assert total_cost(quantities, prices) == pytest.approx(row["cost_total"])
    assert json.loads((out / "status.json").read_text())["state"] == "done"
