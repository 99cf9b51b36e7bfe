"""Calibration: a few vehicles send unlabelled originals losslessly, for a restorer to learn from.

It is a collection of its own, with the lossless codec and no bit budget: through the same hosts,
links, checks and commits as the fleet's, so that its bits are counted in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from fleet.budget import UNLIMITED, BudgetConfig
from fleet.codecs import LosslessConfig
from fleet.config import Config
from fleet.errors import InputError
from fleet.fleet_config import FleetConfig
from fleet.frames.data import DataConfig, DataSet
from fleet.frames.layout import FrameRef, scan_split
from fleet.rate_control import RateControlConfig
from fleet.uplink import UplinkConfig
from server.collection import CollectionConfig
from server.config_file import describe
from server.manifest import read_manifest

_LEAST_SHARE = 0.5
"""Share of the calibration frames asked for that must arrive."""


class CalibrationConfig(Config):
    """How many calibration frames are sent, by whom, over which link."""

    frames: int = Field(24, ge=2)
    """How many frames, spread evenly over the split that they are taken from."""
    vehicles: int = Field(2, ge=1)
    """How many vehicles send them; `frames` is a multiple of it, and each sends an equal part, one
    after the other."""
    capture_interval_s: float = Field(60.0, gt=0, le=86_400)
    """Simulated seconds between two calibration frames of a vehicle; a whole number of ticks."""
    uplink: UplinkConfig | None = None
    """The link that they send over; null: that of the fleet."""
    drain_hours: float = Field(24.0 * 7, ge=0, le=24 * 30)
    """Simulated hours after the last capture in which they may still send."""
    split: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$")
    """The split of `data.root` that they are taken from; null: out of the train split, whose
    other frames are left for the fleet. Labels are not read."""
    lossless: LosslessConfig = LosslessConfig()
    """The codec that they are sent with."""


def take_calibration_frames(
    config: CalibrationConfig, data_config: DataConfig, root: Path, data: DataSet
) -> tuple[DataSet, DataSet]:
    """Divides the frames of a campaign: those left for the fleet, and those for calibration.

    Args:
        config: how many calibration frames there are, and where they come from.
        data_config: the data set's config.
        root: its folder.
        data: its frames.

    Returns:
        The fleet's data set without calibration frames, and one whose train frames are the
        calibration frames, unlabelled; all disjoint, checked by frame id.

    Raises:
        InputError: too few frames, frames that the vehicles cannot share equally, or a split that
            overlaps training or test.
    """
    if config.frames % config.vehicles:
        # A vehicle with fewer frames than the others would send some of them twice.
        raise InputError(
            f"calibration.vehicles: {config.vehicles} vehicles cannot share {config.frames} frames "
            "equally; calibration.frames must be a multiple of it"
        )
    refs: Sequence[FrameRef] = data.train
    if config.split is not None:
        refs = scan_split(root, config.split, data_config.annotation)
        data.reader.check(refs)
    least = config.frames + (1 if config.split is None else 0)
    if len(refs) < least:
        raise InputError(
            f"calibration.frames: {config.frames} of the {len(refs)} frames of split "
            f"{config.split or data_config.train_split} leave too few; ask for fewer"
        )
    taken = [refs[index * len(refs) // config.frames] for index in range(config.frames)]
    ids = {ref.frame_id for ref in taken}
    if config.split is None:
        data = replace(data, train=tuple(ref for ref in data.train if ref.frame_id not in ids))
        if all(ref.labels is None for ref in data.train):
            raise InputError("calibration.frames: leaves no labelled frame to train on")
    check_disjoint(ids, data)
    # Each vehicle has a drive of its own, so that it sees each of its frames once.
    each = len(taken) // config.vehicles
    drives = [
        replace(ref, city=f"calibration-{index // each:04d}", labels=None)
        for index, ref in enumerate(taken)
    ]
    return data, replace(data, train=tuple(drives))


def check_disjoint(calibration: set[str], data: DataSet) -> None:
    """Raises InputError if a calibration frame is a train frame or a test frame."""
    for kind, refs in (("train", data.train), ("test", data.test)):
        both = calibration & {ref.frame_id for ref in refs}
        if both:
            raise InputError(
                f"calibration.split: calibration frame {min(both)} is a {kind} frame too; "
                "the three must be disjoint"
            )


def calibration_collection(
    config: CalibrationConfig, fleet: FleetConfig, data: DataSet, seed: int
) -> CollectionConfig:
    """The collection that brings the calibration frames in.

    Args:
        config: how they are sent.
        fleet: the campaign's fleet, for its tick, its hosts and its link.
        data: the calibration frames.
        seed: the campaign's seed.

    Raises:
        InputError: the capture interval is not a whole number of ticks.
    """
    drives = {ref.city for ref in data.train}
    each = _frames_each(data)
    settings = fleet.model_dump()
    settings |= {
        "vehicles": len(drives),
        "hours": each * config.capture_interval_s / 3600,
        "capture_interval_s": config.capture_interval_s,
        "drain_hours": config.drain_hours,
        # Calibration vehicles carry a disk for their frames.
        "buffer_bytes": max(fleet.buffer_bytes, each * (4 * data.max_pixels + 4096)),
        "buffer_frames": max(fleet.buffer_frames, min(each, 65_536)),
        "uplink": (config.uplink or fleet.uplink).model_dump(),
        "hosts": min(fleet.host_count, len(drives)),
        "vehicles_per_host": None,
    }
    try:
        fleet = FleetConfig(**settings)
    except ValidationError as error:
        raise InputError(f"calibration: {describe(error)}") from None
    budget = BudgetConfig(bits_per_frame=None, campaign_bits=int(UNLIMITED) // 4)
    return CollectionConfig(fleet, budget, RateControlConfig(), (config.lossless,), seed)


def _frames_each(data: DataSet) -> int:
    """The most calibration frames that a vehicle sends."""
    cities = [ref.city for ref in data.train]
    return max(cities.count(city) for city in set(cities))


def calibration_hours(config: CalibrationConfig, data: DataSet) -> float:
    """Vehicle-hours that capturing the calibration frames takes."""
    vehicles = len({ref.city for ref in data.train})
    return vehicles * _frames_each(data) * config.capture_interval_s / 3600


def calibration_bits(collection: Path) -> int:
    """All bits that the calibration vehicles sent, whether they arrived or not."""
    table = pq.read_table(collection / "counters.parquet")
    return int(pc.sum(table["bits_sent"]).as_py() or 0)


def check_arrived(config: CalibrationConfig, collection: Path) -> int:
    """How many calibration frames arrived.

    Raises:
        InputError: fewer than half of those asked for.
    """
    arrived = len({row["frame_id"] for row in read_manifest(collection / "manifest")})
    if arrived < max(2, _LEAST_SHARE * config.frames):
        raise InputError(
            f"calibration: {arrived} of {config.frames} frames arrived, too few to learn from; "
            "raise calibration.drain_hours or the bandwidth of calibration.uplink"
        )
    return arrived
