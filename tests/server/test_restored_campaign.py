"""Restoration in a campaign, on a real Ray cluster: what is learned, what it costs, what is found again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from safetensors.torch import load_file

from fleet.errors import InputError
from fleet.scenes import ScenesConfig, write_scenes
from models.metrics import psnr
from server.campaign import CampaignConfig
from server.costs import PriceConfig
from server.evaluation import read_confusions, read_score
from server.manifest import read_manifest
from server.simulate import simulate

CAMPAIGN: dict[str, Any] = {
    "name": "Restored",
    "budget": {"bits_per_hour": 600_000, "burst_bits": 40_000},
    "codec": {"name": "jpeg"},
    "fleet": {
        "vehicles": 2,
        "hours": 0.1,
        "capture_interval_s": 60,
        "tick_s": 5,
        "hosts": 1,
        "uplink": {"bits_per_second": 2_000, "loss": 0.1, "corruption": 0.1},
    },
    "calibration": {
        "frames": 4,
        "vehicles": 2,
        "split": "spare",
        "uplink": {"bits_per_second": 100_000, "loss": 0.4},
        "lossless": {"method": 0},
    },
    "restoration": {
        "restorer": {"channels": 8, "blocks": 1},
        "training": {
            "steps": 4,
            "warmup_steps": 1,
            "batch_size": 2,
            "crop": 64,
            "discriminator": {"channels": 8, "scales": 1, "layers": 2},
            "threads": 1,
        },
        "trainer": {"cpus_per_worker": 1, "report_every": 1},
    },
    "learning": {
        "segmenter": {"encoder": "compact-small", "decoder_channels": 16},
        "training": {
            "steps": 3, "batch_size": 2, "crop_height": 64, "crop_width": 64, "threads": 1
        },
        "trainer": {"cpus_per_worker": 1},
        "augmentation": {"copies": 1},
        "pictures": 1,
    },
}  # fmt: skip
CONFIGURATIONS = ["RO", "CO", "OO", "CC", "RC", "RR", "OR", "BO"]

Campaign = tuple[dict[str, Any], Path]
"""A campaign's result row and its folder."""


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 train frames in two cities, 2 test frames, and a split `spare` of 6 in a third city."""
    root = tmp_path_factory.mktemp("scenes") / "data"
    config = ScenesConfig(
        width=192, height=96, train_cities=3, val_cities=1, frames_per_city=6, val_frames_per_city=2
    )
    write_scenes(config, root, processes=1)
    city = max((root / "leftImg8bit" / "train").iterdir())
    (root / "leftImg8bit" / "spare").mkdir()
    city.rename(root / "leftImg8bit" / "spare" / city.name)
    return root


def run(
    scenes: Path,
    out: Path,
    store: Path,
    configurations: list[str] = CONFIGURATIONS,
    **sections: Any,
) -> dict[str, Any]:
    """Runs the campaign, with other values in some of its sections; a section that is None is left out."""
    values = {**CAMPAIGN, "data": {"root": str(scenes)}}
    values["learning"] = {**CAMPAIGN["learning"], "configurations": configurations}
    for name, section in sections.items():
        values[name] = None if section is None else {**values[name], **section}
    config = CampaignConfig.model_validate_json(json.dumps(values))
    with (out.parent / f"{out.name}.txt").open("a") as file:
        return simulate(config, out, store, "test", Console(file=file, width=200))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def campaign(
    ray_cluster: None, scenes: Path, store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Campaign:
    out = tmp_path_factory.mktemp("restored") / "one"
    return run(scenes, out, store), out


@pytest.fixture(scope="session")
def artifacts(campaign: Campaign, store: Path) -> dict[str, list[Path]]:
    """The first campaign's artifacts, by stage."""
    found: dict[str, list[Path]] = {}
    for file in sorted(store.glob("*/stage.json")):
        found.setdefault(json.loads(file.read_text())["stage"], []).append(file.parent)
    return found


def timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "wall_seconds"}


def inputs(artifact: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artifact / "stage.json").read_text())["inputs"]
    return found


def ids_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.npy")}


def test_each_configuration_has_its_row(campaign: Campaign) -> None:
    result, out = campaign
    assert json.loads((out / "result.json").read_text()) == result
    assert list(result["configurations"]) == CONFIGURATIONS
    assert result["configuration"] == "RO"
    assert result["restorer"] == "adversarial"
    assert result["calibration_frames"] == 4
    for name, row in result["configurations"].items():
        assert row.keys() >= {"miou", "iou_per_class", "psnr", "ms_ssim", "frechet", "cost_total"}
        assert 0 < row["miou"] < 1, name
        assert row["cost_total"] > 0, name
        measured = name[0] in "CRB"
        assert (row["psnr"] is not None) == (row["frechet"] is not None) == measured, name
        assert row["ms_ssim"] is None, "the frames are too small for it"
    rows = result["configurations"]
    assert rows["RO"]["psnr"] != rows["CO"]["psnr"]
    assert rows["BO"]["psnr"] == rows["CO"]["psnr"], "B is trained on the frames of C"
    page = (out / "report.html").read_text()
    for name in CONFIGURATIONS:
        assert name in page
    shown = (out.parent / "one.txt").read_text()
    for word in ("calibrate", "pairs", "adversarial restorer", "restore test frames", "BO mIoU"):
        assert word in shown


def test_measures_are_those_of_the_frames_on_disk(
    campaign: Campaign, artifacts: dict[str, list[Path]]
) -> None:
    rows = campaign[0]["configurations"]
    (originals,), (decoded,) = artifacts["originals"], artifacts["decode"]
    trained = ids_in(decoded / "frames")
    restored = next(path for path in artifacts["restore"] if ids_in(path / "frames") == trained)
    for name, folder in (("CO", decoded), ("RO", restored)):
        decibels = [
            psnr(*(np.load(path / "frames" / f"{frame}.npy") for path in (originals, folder)))
            for frame in trained
        ]
        assert rows[name]["psnr"] == pytest.approx(np.mean(decibels))


def test_calibration_bits_are_counted_and_paid(
    campaign: Campaign, artifacts: dict[str, list[Path]]
) -> None:
    result, out = campaign
    (calibrate,) = artifacts["calibrate"]
    counters = pq.read_table(calibrate / "counters.parquet").to_pydict()
    arrived = sum(8 * row["size"] for row in read_manifest(calibrate / "manifest"))
    assert sum(counters["captured"]) == sum(counters["delivered"]) == 4
    assert result["bits_calibration"] == sum(counters["bits_sent"])
    assert result["bits_calibration"] == arrived + sum(counters["bits_retransmitted"]) > arrived > 0
    assert result["bits_sent"] == sum(
        result[f"bits_{kind}"]
        for kind in ("committed", "retransmitted", "refused", "calibration", "unfinished")
    )
    (collect,) = artifacts["collect"]
    fleet = pq.read_table(collect / "counters.parquet").to_pydict()
    assert result["bits_sent"] == sum(fleet["bits_sent"]) + result["bits_calibration"]
    granted = sum(fleet["bits_granted"])
    assert result["budget_utilisation"] == pytest.approx(sum(fleet["bits_sent"]) / granted)
    ledger = {row["item"]: row for row in pq.read_table(out / "ledger.parquet").to_pylist()}
    assert ledger["bits of calibration frames"]["quantity"] == result["bits_calibration"]
    assert ledger["bits stored"]["quantity"] == result["bits_committed"] + arrived
    assert sum(row["cost"] for row in ledger.values()) == pytest.approx(result["cost_total"])
    # Two vehicles, two frames each, one a minute.
    assert ledger["vehicle hours"]["quantity"] == pytest.approx(2 * 0.1 + 4 / 60)
    training = CAMPAIGN["restoration"]["training"]
    assert ledger["restorer training"]["quantity"] == 4 * 2 * training["crop"] ** 2
    assert ledger["restoring"]["quantity"] == result["frames_trained"] * 192 * 96


def test_what_a_domain_needs_is_what_it_costs(
    campaign: Campaign, artifacts: dict[str, list[Path]]
) -> None:
    result, prices = campaign[0], PriceConfig()
    (calibrate,) = artifacts["calibrate"]
    cost = {name: row["cost_total"] for name, row in result["configurations"].items()}
    assert cost["RO"] == cost["RC"] == cost["RR"] == pytest.approx(result["cost_total"])
    assert cost["OO"] == cost["OR"] == pytest.approx(result["cost_originals"])
    assert cost["CO"] == cost["CC"] < cost["BO"] < cost["RO"]
    gb = result["bits_calibration"] / 8e9
    arrived = sum(8 * row["size"] for row in read_manifest(calibrate / "manifest"))
    calibration = prices.vehicle_hour * 4 / 60 + gb * prices.uplink_gb
    stored = arrived / 8e9 * prices.stored_gb_month * prices.storage_months
    assert cost["BO"] - cost["CO"] == pytest.approx(calibration + stored)
    restorer = sum(result["cost"][item] for item in ("restorer training", "restoring"))
    assert cost["RO"] - cost["BO"] == pytest.approx(restorer)


def test_calibration_train_and_test_frames_are_disjoint(artifacts: dict[str, list[Path]]) -> None:
    (calibrate,), (originals,) = artifacts["calibrate"], artifacts["calibration-originals"]
    (decoded,), (tested,) = artifacts["decode"], artifacts["test-frames"]
    calibration = {row["frame_id"] for row in read_manifest(calibrate / "manifest")}
    assert calibration == ids_in(originals / "frames")
    assert len(calibration) == 4
    train, test = ids_in(decoded / "frames"), ids_in(tested / "frames")
    assert train
    assert len(test) == 2
    assert not calibration & train
    assert not calibration & test
    assert not train & test
    (pairs,) = artifacts["pairs"]
    assert {row["frame_id"] for row in pq.read_table(pairs / "pairs.parquet").to_pylist()} == (
        calibration
    ), "the restorer learns from calibration frames alone"


def test_calibration_frames_came_losslessly(artifacts: dict[str, list[Path]], scenes: Path) -> None:
    from PIL import Image

    (originals,) = artifacts["calibration-originals"]
    for file in (originals / "frames").glob("*.npy"):
        (image,) = (scenes / "leftImg8bit" / "spare").rglob(f"{file.stem}_leftImg8bit.png")
        assert np.array_equal(np.load(file), np.array(Image.open(image)))


def test_confusions_of_the_frames_sum_to_the_score(
    campaign: Campaign, artifacts: dict[str, list[Path]]
) -> None:
    mious = set()
    for folder in artifacts["evaluate"]:
        confusions, score = read_confusions(folder), read_score(folder)
        assert confusions.shape == (2, 19, 19)
        assert confusions.dtype == np.int64
        total = confusions.sum(axis=0)
        right, union = np.diag(total), total.sum(axis=0) + total.sum(axis=1) - np.diag(total)
        assert score.miou == pytest.approx(np.mean(right[union > 0] / union[union > 0]))
        mious.add(score.miou)
    assert len(artifacts["evaluate"]) == len(CONFIGURATIONS)
    assert {row["miou"] for row in campaign[0]["configurations"].values()} == mious


def test_batch_norm_is_all_that_b_has_of_its_own(artifacts: dict[str, list[Path]]) -> None:
    (estimated,) = artifacts["reestimate"]
    found = inputs(estimated)["segmenter"]
    (compressed,) = (path for path in artifacts["segmenter"] if path.name.endswith(found[:16]))
    b, c = (load_file(path / "weights.safetensors") for path in (estimated, compressed))
    assert b.keys() == c.keys()
    differ = {name for name in c if not np.array_equal(b[name], c[name])}
    assert differ
    assert {name.rsplit(".", 1)[1] for name in differ} <= {
        "running_mean", "running_var", "num_batches_tracked"
    }  # fmt: skip


def test_run_again_everything_is_found(campaign: Campaign, scenes: Path, store: Path) -> None:
    result, out = campaign
    assert timeless(run(scenes, out, store)) == timeless(result)
    stages = json.loads((out / "provenance.json").read_text())["stages"]
    assert all(stage["reused"] for name, stage in stages.items() if name != "report")
    assert {"calibrate", "pairs", "adversarial restorer", "restore"} <= stages.keys()


@contextmanager
def without_bitstreams(store: Path) -> Iterator[None]:
    """While it lasts, no bitstream is to be found in the store."""
    away = [path for path in store.glob("*/bitstreams") if path.is_dir()]
    away += [store / "bitstreams"]
    for path in away:
        path.rename(path.with_name("away"))
    try:
        yield
    finally:
        for path in away:
            shutil.rmtree(path, ignore_errors=True)
            path.with_name("away").rename(path)


@pytest.fixture(scope="session")
def given(
    campaign: Campaign, artifacts: dict[str, list[Path]], scenes: Path, store: Path
) -> Campaign:
    """A campaign with the first one's restorer: made once `artifacts` is told, with no bitstreams."""
    out = campaign[1].with_name("given")
    weights = {"weights": str(campaign[1] / "restorer.safetensors")}
    with without_bitstreams(store):
        result = run(scenes, out, store, ["RO", "CO"], restoration=weights, calibration=None)
    return result, out


def test_a_given_restorer_restores_the_same_without_calibration(
    campaign: Campaign, given: Campaign, artifacts: dict[str, list[Path]], store: Path
) -> None:
    """Of frames that were decoded before: there is no bitstream left that could be decoded again."""
    (result, out), (first, _) = given, campaign
    assert result["restorer"] == "given: restorer.safetensors"
    assert result["calibration_frames"] == result["bits_calibration"] == 0
    rows = first["configurations"]
    assert result["configurations"]["RO"]["miou"] == rows["RO"]["miou"]
    assert result["configurations"]["RO"]["psnr"] == rows["RO"]["psnr"]
    assert result["configurations"]["CO"]["cost_total"] == pytest.approx(rows["CO"]["cost_total"])
    assert result["cost"]["restorer training"] == 0
    assert result["cost"]["restoring"] == first["cost"]["restoring"] > 0
    used = (campaign[1] / "restorer.safetensors").read_bytes()
    assert (out / "restorer.safetensors").read_bytes() == used
    before = {ids_in(path / "frames").pop(): path for path in artifacts["restore"]}
    again = set(store.glob("restore-*")) - set(artifacts["restore"])
    assert again
    for path in again:
        for file in (path / "frames").glob("*.npy"):
            (twin,) = (old / "frames" / file.name for old in before.values()
                       if (old / "frames" / file.name).exists())  # fmt: skip
            assert file.read_bytes() == twin.read_bytes()


def test_a_given_restorer_has_no_calibration_paid(
    campaign: Campaign, given: Campaign, scenes: Path, store: Path
) -> None:
    """Though the campaign has calibration frames: B alone needs them."""
    out = campaign[1].with_name("given-too")
    weights = {"weights": str(campaign[1] / "restorer.safetensors")}
    result = run(scenes, out, store, ["RO", "CO"], restoration=weights)
    assert timeless(result) == timeless(given[0])
    result = run(scenes, out, store, ["RO", "BO"], restoration=weights)
    first, rows = campaign[0], result["configurations"]
    assert result["bits_calibration"] == first["bits_calibration"]
    assert rows["BO"] == first["configurations"]["BO"] | {"frechet": None}
    assert rows["RO"]["cost_total"] == given[0]["configurations"]["RO"]["cost_total"]


def test_a_restorer_that_diverges_is_said_and_earlier_stages_stay(
    campaign: Campaign, scenes: Path, store: Path
) -> None:
    out = campaign[1].with_name("wild")
    before = {path for path in store.iterdir() if (path / "stage.json").exists()}
    wild = {**CAMPAIGN["restoration"]["training"], "learning_rate": 1e30}
    with pytest.raises(InputError, match=r"^restoration\.training: .* at step \d of 4") as caught:
        run(scenes, out, store, restoration={"training": wild})
    assert "\n" not in str(caught.value)
    assert {path for path in store.iterdir() if (path / "stage.json").exists()} == before
    assert not (out / "result.json").exists()
    shown = (out.parent / "wild.txt").read_text()
    assert "✓ pairs" in shown
    assert "✓ adversarial restorer" not in shown


@pytest.mark.slow
def test_all_configurations_share_what_they_can(
    campaign: Campaign, scenes: Path, store: Path, artifacts: dict[str, list[Path]]
) -> None:
    out = campaign[1].with_name("all")
    result = run(scenes, out, store, [*CONFIGURATIONS, "AO", "MO"])
    rows = result["configurations"]
    assert {name: rows[name] for name in CONFIGURATIONS} == campaign[0]["configurations"]
    assert rows["AO"]["cost_total"] == rows["CO"]["cost_total"]
    assert rows["MO"]["cost_total"] == rows["RO"]["cost_total"]
    for name in ("AO", "MO"):
        assert 0 < rows[name]["miou"] < 1
        assert rows[name]["psnr"] is None, "it has several versions of each frame"
    (copies,), (decoded,) = store.glob("augment-*"), artifacts["decode"]
    assert ids_in(copies / "copy-1") == ids_in(decoded / "frames")


@pytest.mark.slow
def test_the_restorer_goes_on_where_it_was_killed(
    campaign: Campaign, scenes: Path, store: Path, artifacts: dict[str, list[Path]]
) -> None:
    """Its weights are there, the artifact is not: the stage ends as it would have."""
    result, out = campaign
    (restorer,) = artifacts["restorer"]
    before = pq.read_table(restorer / "training.parquet")
    assert before["step"].to_pylist() == [1, 2, 3, 4]
    assert {"pixel", "adversarial", "feature_matching"} <= set(before.column_names)
    for name in ("training.parquet", "stage.json"):
        (restorer / name).unlink()
    restorer.rename(restorer.with_name(f".{restorer.name}.partial"))
    assert timeless(run(scenes, out, store)) == timeless(result)
    assert pq.read_table(restorer / "training.parquet").equals(before)
