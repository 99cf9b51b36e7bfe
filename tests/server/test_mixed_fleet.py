"""A fleet with two codecs, on a real Ray cluster: who sends what, and whether it can be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from rich.console import Console

from fleet.scenes import ScenesConfig, write_scenes
from server.campaign import CampaignConfig
from server.gathering import Gathering
from server.manifest import read_manifest
from server.progress import Progress
from server.stages import ArtifactStore

SETTINGS: dict[str, Any] = {
    "codec": {"name": "jpeg"},
    "also": [{"name": "msh"}],
    "budget": {"bits_per_frame": 24_000},
    "fleet": {
        "vehicles": 4, "hours": 0.1, "capture_interval_s": 90, "tick_s": 10, "hosts": 2,
        "uplink": {"bits_per_second": 20_000},
    },
}  # fmt: skip


def make(root: Path, **fleet: Any) -> CampaignConfig:
    settings = {**SETTINGS, "fleet": {**SETTINGS["fleet"], **fleet}, "data": {"root": str(root)}}
    return CampaignConfig.model_validate_json(json.dumps(settings))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "data"
    sizes = {"width": 192, "height": 96}
    counts = {"train_cities": 2, "val_cities": 1, "frames_per_city": 6, "val_frames_per_city": 6}
    write_scenes(ScenesConfig(**sizes, **counts), root)
    return root


@pytest.fixture(scope="module")
def gathering(
    ray_cluster: None, scenes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Gathering:
    store = ArtifactStore(tmp_path_factory.mktemp("store"))
    return Gathering(make(scenes), store, Progress(Console(quiet=True)))


def test_vehicles_take_the_codecs_in_turn(gathering: Gathering) -> None:
    rows = read_manifest(gathering.collection.path / "manifest")
    assert {row["codec"] for row in rows} == {"jpeg", "msh"}
    assert all(row["codec"] == ("jpeg", "msh")[row["vehicle"] % 2] for row in rows)
    for row in rows:
        path = gathering.collection.path / row["path"]
        assert path.suffix == {"jpeg": ".jpg", "msh": ".msh"}[row["codec"]]
        assert 8 * path.stat().st_size == 8 * row["size"] <= 24_000
    counts = Counter(row["codec"] for row in rows)
    assert min(counts.values()) >= 6


def test_all_of_it_is_decoded(gathering: Gathering) -> None:
    assert [row["fault"] for row in gathering.rows] == [None] * len(gathering.rows)
    assert {row["codec"] for row in gathering.rows if row["trained"]} == {"jpeg", "msh"}
    for frame_id in gathering.trained:
        frame = np.load(gathering.decoded.path / "frames" / f"{frame_id}.npy")
        assert frame.shape == (96, 192, 3)


def test_test_frames_are_compressed_as_the_fleets_were(gathering: Gathering) -> None:
    drawn = pq.read_table(gathering.tested.path / "bits.parquet").to_pylist()
    sent = {(row["codec"], row["quality"]) for row in gathering.rows}
    assert {(row["codec"], row["quality"]) for row in drawn} <= sent
    assert len(drawn) == 6


def test_hosts_change_nothing(gathering: Gathering, scenes: Path, tmp_path: Path) -> None:
    alone = Gathering(make(scenes, hosts=1), ArtifactStore(tmp_path), Progress(Console(quiet=True)))
    wanted, got = (
        sorted((row["vehicle"], row["sequence"], row["digest"]) for row in read_manifest(path))
        for path in (gathering.collection.path / "manifest", alone.collection.path / "manifest")
    )
    assert got == wanted


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"also": [{"name": "jpeg"}]}, "also: names codec jpeg twice"),
        ({"also": [{"name": "webp"}, {"name": "msh"}, {"name": "bpg"}, {"name": "avif"}]},
         "more than fleet.vehicles"),
        ({"learning": {"configurations": ["RO"]}, "restoration": {}, "calibration": {}},
         "a restorer serves one codec"),
        ({"rate_control": {"finest": 90.0}}, r"rate_control\.finest: quality 90: .* \(msh\)"),
    ],
)  # fmt: skip
def test_fleets_that_cannot_be_mixed_are_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        CampaignConfig.model_validate_json(json.dumps({**SETTINGS, **change}))
