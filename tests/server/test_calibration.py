"""Calibration frames: which ones, who sends them, how often, and what is said if that cannot be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fleet.codecs import LosslessConfig
from fleet.encoder import Encoded
from fleet.errors import InputError
from fleet.fleet_config import FleetConfig
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.shard import Capture, Delivery, Shard, Shot
from fleet.uplink import UplinkConfig
from server.calibration import (
    CalibrationConfig,
    calibration_bits,
    calibration_collection,
    calibration_hours,
    check_arrived,
    take_calibration_frames,
)
from server.manifest import MANIFEST_SCHEMA, PartLog

DATA = DataConfig(max_width=64, max_height=32)
FLEET = FleetConfig(vehicles=3, hours=1.0, capture_interval_s=60, tick_s=10, hosts=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cities of 10 frames to train on, 4 test frames, 6 unlabelled ones in a split of their own."""
    root = tmp_path_factory.mktemp("data")
    for split, city, count in (
        ("train", "bonn", 10), ("train", "ulm", 10), ("val", "trier", 4), ("spare", "worms", 6)
    ):  # fmt: skip
        for index in range(count):
            stem = f"{city}_000000_{index:06d}"
            image = root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 16), (index, index, index)).save(image)
            if split != "spare":
                labels = root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"
                labels.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (32, 16), 7).save(labels)
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> DataSet:
    return open_data(DATA, root)


def ids(data: DataSet) -> list[str]:
    return [ref.frame_id for ref in data.train]


def take(root: Path, data: DataSet, **settings: Any) -> tuple[DataSet, DataSet]:
    return take_calibration_frames(CalibrationConfig(**settings), DATA, root, data)


@pytest.mark.parametrize(("frames", "vehicles"), [(2, 1), (4, 2), (6, 6), (9, 3), (19, 1)])
def test_frames_are_taken_evenly_and_left_to_no_one_else(
    root: Path, data: DataSet, frames: int, vehicles: int
) -> None:
    left, taken = take(root, data, frames=frames, vehicles=vehicles)
    assert len(taken.train) == frames
    assert sorted(ids(left) + ids(taken)) == ids(data)
    assert not set(ids(taken)) & {ref.frame_id for ref in data.test}
    assert left.test == data.test
    assert all(ref.labels is None for ref in taken.train)
    assert all(ref.labels is not None for ref in left.train)
    places = [ids(data).index(frame_id) for frame_id in ids(taken)]
    assert set(np.diff(places)) <= {len(data.train) // frames, -(-len(data.train) // frames)}
    shares = Counter(ref.city for ref in taken.train)
    assert set(shares.values()) == {frames // vehicles}
    assert len(shares) == vehicles


def test_a_split_of_their_own_leaves_the_train_frames_alone(root: Path, data: DataSet) -> None:
    left, taken = take(root, data, frames=3, vehicles=3, split="spare")
    assert left.train == data.train
    assert ids(taken) == [f"worms_000000_{index:06d}" for index in (0, 2, 4)]
    assert all(ref.image.is_file() for ref in taken.train)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"frames": 20}, "calibration.frames: 20 of the 20 frames of split train leave too few"),
        ({"frames": 8, "split": "spare"}, "8 of the 6 frames of split spare leave too few"),
        ({"frames": 4, "vehicles": 60}, "calibration.vehicles: 60 vehicles cannot share 4 frames"),
        ({"frames": 5, "vehicles": 2}, "calibration.frames must be a multiple"),
        ({"frames": 2, "split": "val"}, "calibration.split: calibration frame trier_000000_000000 "
                                        "is a test frame too"),
        ({"frames": 2, "split": "train"}, "bonn_000000_000000 is a train frame too"),
        ({"frames": 2, "split": "none"}, "none is not a folder"),
    ],
)  # fmt: skip
def test_frames_that_cannot_be_had_are_said_in_one_line(
    root: Path, data: DataSet, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        take(root, data, **settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_labelled_frame_must_be_left_to_train_on(root: Path, data: DataSet) -> None:
    labelled = {ids(data)[0], ids(data)[10]}  # the two that are taken
    bare = tuple(
        ref if ref.frame_id in labelled else replace(ref, labels=None) for ref in data.train
    )
    with pytest.raises(InputError, match=r"calibration\.frames: leaves no labelled frame"):
        take(root, replace(data, train=bare), frames=2)


# The collection


class Road:
    """Drives calibration vehicles without a codec: every frame has as many bits as pixels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shoot(self, shard: Shard, captures: Sequence[Capture]) -> list[Shot]:
        shots = []
        for capture in captures:
            pixels, path = 32 * 16, self.folder / "bitstream"
            path.write_bytes(bytes(pixels // 8))
            choice = shard.controller(capture.vehicle).choose(
                capture.vehicle, pixels, capture.allowance, lambda quality: 32 * 16
            )
            shots.append(Shot(capture, pixels, choice, Encoded(path, pixels // 8, "", 32, 16)))
        return shots

    def drive(self, shard: Shard) -> list[Delivery]:
        deliveries = []
        while not shard.done:
            deliveries += shard.step(lambda captures: self.shoot(shard, captures))
        return deliveries


@pytest.mark.parametrize(
    ("frames", "vehicles", "interval_s", "tick_s", "bits_per_second", "seed"),
    [
        (2, 1, 60, 10, 1e6, 0),
        (6, 3, 60, 10, 1e6, 1),
        (12, 4, 10, 10, 1e6, 2),
        (8, 8, 600, 5, 1e6, 3),
        (18, 1, 5, 5, 8.0, 4),  # a minute and more for each frame: all wait aboard
    ],
)
def test_each_frame_is_sent_once(
    root: Path, data: DataSet, tmp_path: Path, frames: int, vehicles: int, interval_s: float,
    tick_s: float, bits_per_second: float, seed: int,
) -> None:  # fmt: skip
    config = CalibrationConfig(
        frames=frames, vehicles=vehicles, capture_interval_s=interval_s,
        uplink=UplinkConfig(bits_per_second=bits_per_second, loss=0.2),
    )  # fmt: skip
    fleet = FLEET.model_copy(
        update={"tick_s": tick_s, "buffer_frames": 1, "buffer_bytes": 10, "drain_hours": 0.0}
    )
    _, taken = take_calibration_frames(config, DATA, root, data)
    made = calibration_collection(config, fleet, taken, seed)
    assert made.codecs == (config.lossless,)
    assert made.fleet.vehicles == vehicles
    assert made.fleet.uplink == config.uplink
    scales = [made.codecs[0].build().scale]
    sent: list[str] = []
    for vehicle in range(vehicles):  # in shards of one: what a vehicle does is its own affair
        numbers = np.array([vehicle])
        shard = Shard(
            made.fleet, made.budget, made.rate_control, scales, taken.train, numbers, made.seed
        )
        sent += [one.shot.capture.ref.frame_id for one in Road(tmp_path).drive(shard)]
        assert shard.counters.captured.sum() == frames // vehicles
        assert shard.counters.encodes.sum() == frames // vehicles
        assert shard.counters.skipped.sum() == shard.counters.dropped.sum() == 0
    assert sorted(sent) == ids(taken)
    hours = calibration_hours(config, taken)
    assert hours == pytest.approx(made.fleet.vehicles * made.fleet.hours)
    assert hours == pytest.approx(frames * interval_s / 3600)


def test_the_fleets_link_and_places_serve_where_none_are_given(root: Path, data: DataSet) -> None:
    config = CalibrationConfig(frames=6, vehicles=2)
    _, taken = take_calibration_frames(config, DATA, root, data)
    link = UplinkConfig(bits_per_second=7.0)
    many = FleetConfig(vehicles=50, vehicles_per_host=10, cpus_per_host=3.0, uplink=link)
    made = calibration_collection(config, many, taken, seed=0)
    assert made.fleet.uplink == link
    assert made.fleet.host_count == 2, "a host for each vehicle at most"
    assert made.fleet.cpus_per_host == 3.0
    assert made.codecs == (LosslessConfig(),)
    # Where vehicles are simulated is no input of the stage.
    few = many.model_copy(update={"vehicles_per_host": None, "hosts": 1})
    assert calibration_collection(config, few, taken, seed=0).inputs() == made.inputs()


def test_an_interval_that_is_no_whole_number_of_ticks_is_said(root: Path, data: DataSet) -> None:
    config = CalibrationConfig(frames=2, vehicles=2, capture_interval_s=15)
    _, taken = take_calibration_frames(config, DATA, root, data)
    with pytest.raises(InputError) as caught:
        calibration_collection(config, FLEET, taken, seed=0)
    assert str(caught.value).startswith("calibration: ")
    assert "must be a whole number of tick_s" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


# What arrived


def arrive(folder: Path, frames: Sequence[str]) -> Path:
    rows = [
        {
            "vehicle": 0, "sequence": number, "frame_id": frame_id, "codec": "lossless",
            "quality": 0.0, "width": 32, "height": 16, "captured_ms": 0, "arrived_ms": 1,
            "size": 1, "digest": "", "path": "",
        }
        for number, frame_id in enumerate(frames)
    ]  # fmt: skip
    PartLog(folder / "manifest", MANIFEST_SCHEMA).append(rows)
    return folder


def test_half_of_the_frames_must_arrive(tmp_path: Path) -> None:
    config = CalibrationConfig(frames=10)
    frames = [f"bonn_000000_{index:06d}" for index in range(5)]
    assert check_arrived(config, arrive(tmp_path / "half", frames)) == 5
    with pytest.raises(InputError, match=r"^calibration: 4 of 10 frames arrived.*drain_hours"):
        check_arrived(config, arrive(tmp_path / "fewer", [*frames[:4], frames[0]]))
    with pytest.raises(InputError, match="1 of 2 frames arrived"):
        check_arrived(CalibrationConfig(frames=2), arrive(tmp_path / "lone", frames[:1]))


def test_bits_that_never_arrived_count_too(tmp_path: Path) -> None:
    table = pa.table({"vehicle": [0, 1], "bits_sent": [700, 5], "bits_delivered": [600, 0]})
    pq.write_table(table, tmp_path / "counters.parquet")
    assert calibration_bits(tmp_path) == 705
