"""Sweeps on a real Ray cluster: the table, what is found again, what fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from fleet.errors import CampaignFailed, InputError
from fleet.scenes import ScenesConfig, write_scenes
from server.campaign import CampaignConfig
from server.simulate import simulate
from server.sweep.config import SweepConfig
from server.sweep.run import Sweep, run_sweep
from server.sweep.trial import places

CAMPAIGN: dict[str, Any] = {
    "budget": {"bits_per_hour": 300_000, "burst_bits": 60_000},
    "codec": {"name": "jpeg"},
    "fleet": {
        "vehicles": 2,
        "hours": 0.25,
        "capture_interval_s": 60,
        "tick_s": 5,
        "hosts": 1,
        "uplink": {"bits_per_second": 600},
    },
    "learning": {
        "configurations": ["CO"],
        "segmenter": {"decoder_channels": 16},
        "training": {
            "steps": 2, "batch_size": 2, "crop_height": 64, "crop_width": 64, "threads": 1
        },
        "trainer": {"cpus_per_worker": 1},
        "pictures": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "data"
    config = ScenesConfig(
        width=192, height=96, train_cities=2, val_cities=1, frames_per_city=6, val_frames_per_city=2
    )
    write_scenes(config, root, processes=1)
    return root


def settings(scenes: Path, **changed: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "seeds": [0, 1],
        "vary": {"fleet.vehicles": [2, 3]},
        "campaign": {**CAMPAIGN, "data": {"root": str(scenes)}},
        **changed,
    }


def make(scenes: Path, **changed: Any) -> SweepConfig:
    return SweepConfig.model_validate_json(json.dumps(settings(scenes, **changed)))


def sweep(config: SweepConfig, out: Path, store: Path | None = None) -> str:
    """Runs a sweep; what it said."""
    console = Console(record=True, quiet=False, width=200, file=(out.parent / "said").open("w"))
    run_sweep(config, out, store or out / "artifacts", "test", console)
    return console.export_text()


def table(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / "sweep.parquet").to_pylist()
    return [{key: value for key, value in row.items() if key != "wall_seconds"} for row in rows]


@pytest.fixture(scope="module")
def swept(ray_cluster: None, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep's folder: two fleet sizes, two seeds."""
    out = tmp_path_factory.mktemp("sweeps") / "one"
    sweep(make(scenes), out)
    return out


def test_one_row_a_campaign_and_configuration_with_the_whole_config(swept: Path) -> None:
    rows = table(swept)
    assert [(row["vehicles"], row["seed"]) for row in rows] == [(2, 0), (2, 1), (3, 0), (3, 1)]
    for row in rows:
        folder = swept / "campaigns" / row["campaign"]
        result = json.loads((folder / "result.json").read_text())
        assert row["miou"] == result["configurations"]["CO"]["miou"]
        assert row["quantity.bits_committed"] == result["bits_committed"]
        assert row["config.fleet.vehicles"] == row["vehicles"]
        assert row["config.seed"] == row["seed"]
        assert row["config.learning.configurations"] == '["CO"]'
        assert (folder / "report.html").exists()
    facts = json.loads((swept / "sweep.json").read_text())
    assert (facts["planned"], facts["done"], facts["failed"]) == (4, 4, [])


def test_a_campaign_of_a_sweep_is_the_campaign_alone(
    swept: Path, scenes: Path, tmp_path: Path
) -> None:
    point = make(scenes).points()[3]
    config = point.campaign(CampaignConfig.model_validate_json(
        json.dumps(settings(scenes)["campaign"])
    ))  # fmt: skip
    alone = simulate(config, tmp_path / "a", tmp_path / "s", "test", Console(quiet=True))
    read = json.loads((swept / "campaigns" / point.folder / "result.json").read_text())
    assert {**read, "wall_seconds": 0} == {**alone, "wall_seconds": 0}


def test_run_again_it_runs_nothing(
    swept: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (swept / "sweep.parquet").read_bytes()
    monkeypatch.setattr(Sweep, "_fit", lambda *_: pytest.fail("a campaign was run again"))
    sweep(make(scenes), swept)
    assert (swept / "sweep.parquet").read_bytes() == before


def test_what_is_missing_is_run_and_nothing_else(swept: Path, scenes: Path) -> None:
    before = table(swept)
    folders = sorted((swept / "campaigns").iterdir())
    kept = [(folder / "result.json").stat().st_mtime_ns for folder in folders[1:]]
    (folders[0] / "result.json").unlink()
    sweep(make(scenes), swept)
    assert table(swept) == before
    assert [(folder / "result.json").stat().st_mtime_ns for folder in folders[1:]] == kept


def test_a_campaign_that_fails_is_named_and_the_others_are_in_the_table(
    ray_cluster: None, scenes: Path, tmp_path: Path
) -> None:
    # So slow a link that no frame arrives, and nothing can be trained on.
    vary = {"fleet.uplink.bits_per_second": [1, 600]}
    with pytest.raises(CampaignFailed, match="bits-per-second-1-seed-0"):
        sweep(make(scenes, vary=vary, seeds=[0]), tmp_path / "out")
    assert [row["config.fleet.uplink.bits_per_second"] for row in table(tmp_path / "out")] == [600]
    facts = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert len(facts["failed"]) == 1


def test_results_of_another_version_are_refused(
    swept: Path, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99.0")
    with pytest.raises(InputError, match=r"was run by bitfleet .*, this is 99\.0"):
        sweep(make(scenes), swept)


@pytest.mark.slow
def test_optuna_chooses_points_and_carries_on(
    ray_cluster: None, scenes: Path, tmp_path: Path
) -> None:
    vary = {
        "fleet.vehicles": {"low": 1, "high": 4, "integer": True},
        "codec": [{"name": "jpeg"}, {"name": "webp"}],
    }
    search = {"kind": "optuna", "points": 2}
    out = tmp_path / "out"
    sweep(make(scenes, vary=vary, seeds=[0], search=search), out)
    first = table(out)
    assert len(first) == 2
    sweep(make(scenes, vary=vary, seeds=[0], search={**search, "points": 3}), out)
    assert len(table(out)) == 3
    assert all(row in table(out) for row in first)


def test_a_trial_holds_what_its_widest_stage_takes() -> None:
    def held(**fleet: Any) -> list[dict[str, float]]:
        given = {**CAMPAIGN, "fleet": {**CAMPAIGN["fleet"], **fleet}}
        bundles: list[dict[str, float]] = places(
            CampaignConfig.model_validate_json(json.dumps(given))
        ).bundles
        return bundles

    # An empty first bundle is left out by Ray: the trial itself takes nothing.
    assert held(hosts=1) == [{"CPU": 1.0}]
    assert held(hosts=2) == [{"CPU": 1.0}, {"CPU": 1.0}]
    assert held(hosts=2, cpus_per_host=0.5) == [{"CPU": 1.0}]


def test_a_campaign_that_does_not_fit_on_the_cluster_is_refused(
    ray_cluster: None, scenes: Path, tmp_path: Path
) -> None:
    campaign = {**CAMPAIGN, "data": {"root": str(scenes)}}
    campaign["fleet"] = {**CAMPAIGN["fleet"], "vehicles": 9, "hosts": 9}
    config = make(scenes, campaign=campaign, vary={"budget.bits_per_hour": [200_000]})
    with pytest.raises(InputError, match=r"fleet\.hosts"):
        sweep(config, tmp_path / "out")


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_table(
    swept: Path, scenes: Path, tmp_path: Path
) -> None:
    config, out = tmp_path / "sweep.yaml", tmp_path / "out"
    config.write_text(json.dumps(settings(scenes)))
    command = [sys.executable, "-m", "server", "sweep", str(config), "--out", str(out)]
    for end in (signal.SIGKILL, signal.SIGINT, None):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        if end is None:
            assert process.wait(timeout=500) == 0
            break
        deadline = time.monotonic() + 300
        ended = 1 if end == signal.SIGKILL else 2
        while len(list(out.glob("campaigns/*/result.json"))) < ended:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL) if end == signal.SIGKILL else process.send_signal(
            end
        )
        process.wait(timeout=60)
    assert table(out) == table(swept)
