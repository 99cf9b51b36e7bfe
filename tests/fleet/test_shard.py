"""A shard of vehicles: budgets, links, counters; the same however vehicles are divided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fleet.budget import BudgetConfig
from fleet.codecs.base import QualityScale
from fleet.encoder import Encoded
from fleet.fleet_config import FleetConfig
from fleet.frames.layout import FrameRef
from fleet.rate_control import RateControlConfig
from fleet.shard import Capture, Delivery, Shard, Shot
from fleet.uplink import UplinkConfig

QP = QualityScale(coarsest=51, finest=0, step=1, log2_bits_per_unit=1 / 6)
REFS = [
    FrameRef(f"{city}_000000_{index:06d}", city, Path(), None)
    for city in ("bonn", "köln".replace("ö", "oe"), "ulm")
    for index in range(40)
]


class Road:
    """Shards without a codec: a frame's size follows its id and quality; payloads are zeros."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def shoot(self, shard: Shard, captures: Sequence[Capture]) -> list[Shot]:
        shots = []
        for capture in captures:
            complexity = 1 + sum(capture.ref.frame_id.encode()) % 7 / 7

            def encode(quality: float, complexity: float = complexity) -> int:
                return 8 * max(40, int(complexity * 40_000 * 2 ** (-quality / 6)))

            choice = shard.controller(capture.vehicle).choose(
                capture.vehicle, 20_000, capture.allowance, encode
            )
            encoded = None
            if choice.quality is not None:
                path = self.folder / str(choice.bits // 8)
                path.write_bytes(bytes(choice.bits // 8))
                encoded = Encoded(path, choice.bits // 8, "", 200, 100)
            shots.append(Shot(capture, 20_000, choice, encoded))
        return shots

    def drive(self, shard: Shard) -> list[Delivery]:
        deliveries = []
        while not shard.done:
            deliveries += shard.step(lambda captures: self.shoot(shard, captures))
        return deliveries


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path)


def make(
    budget: BudgetConfig, uplink: UplinkConfig | None = None, ids: Any = None, **fleet: Any
) -> Shard:
    settings = {"vehicles": 6, "hours": 4.0, "capture_interval_s": 60.0, "tick_s": 10.0, **fleet}
    config = FleetConfig(uplink=uplink or UplinkConfig(), **settings)
    vehicles = np.arange(config.vehicles) if ids is None else np.array(ids)
    return Shard(config, budget, RateControlConfig(), [QP], REFS, vehicles, seed=5)


BUCKET = BudgetConfig(bits_per_hour=600_000, burst_bits=200_000)


def test_a_bucket_is_used_well_and_never_exceeded(road: Road) -> None:
    shard = make(BUCKET)
    sent = [shard.counters.bits_sent.copy()]
    while not shard.done:
        shard.step(lambda captures: road.shoot(shard, captures))
        sent.append(shard.counters.bits_sent.copy())
    spent = np.array(sent)
    assert (spent[-1] / shard.budget.granted).min() >= 0.97
    hours = np.arange(len(spent)) * 10 / 3600
    for first in range(0, len(spent), 37):
        allowed = 200_000 + 600_000 * (hours[first:] - hours[first]) + 1
        assert ((spent[first:] - spent[first]) <= allowed[:, None]).all()
    assert shard.counters.encodes.sum() / shard.counters.captured.sum() <= 3


def test_a_campaigns_bits_are_shared_and_used(road: Road) -> None:
    shard = make(BudgetConfig(campaign_bits=6_000_000))
    road.drive(shard)
    total = shard.counters.bits_sent.sum()
    assert 0.97 * 6_000_000 <= total <= 6_000_000


def test_a_limit_per_frame_holds_for_every_frame(road: Road) -> None:
    shard = make(BudgetConfig(bits_per_frame=9_000))
    deliveries = road.drive(shard)
    assert len(deliveries) == shard.counters.captured.sum() > 1000
    assert max(8 * len(delivery.payload) for delivery in deliveries) <= 9_000
    assert shard.counters.encodes.sum() / shard.counters.captured.sum() <= 3


ROUGH = UplinkConfig(
    bits_per_second=900.0, outages_per_hour=2.0, outage_s=600.0, loss=0.1, corruption=0.05
)


def test_every_bit_is_counted(road: Road) -> None:
    shard = make(BUCKET, ROUGH, buffer_bytes=6_000, drain_hours=0.05)
    deliveries = road.drive(shard)
    counters = shard.counters
    assert counters.bits_sent.sum() == (
        counters.bits_delivered.sum()
        + counters.bits_retransmitted.sum()
        + counters.bits_unfinished.sum()
    )
    assert counters.bits_delivered.sum() == sum(8 * len(one.payload) for one in deliveries)
    assert (counters.bits_sent <= shard.budget.granted).all()
    aboard = shard.buffers.count.sum()
    assert counters.captured.sum() == (
        len(deliveries) + counters.skipped.sum() + counters.dropped.sum() + aboard
    )
    for name in ("bits_retransmitted", "bits_unfinished", "dropped"):
        assert getattr(counters, name).sum() > 0, name
    assert any(any(delivery.payload) for delivery in deliveries), "none was damaged on its way"


def test_vehicles_do_the_same_in_any_shard(road: Road) -> None:
    whole = make(BUCKET, ROUGH)
    together = {(one.vehicle, one.sequence): one for one in road.drive(whole)}
    for ids in ([0, 2, 4], [5, 1], [3]):
        part = make(BUCKET, ROUGH, ids=ids)
        alone = road.drive(part)
        assert len(alone) == sum(vehicle in ids for vehicle, _ in together)
        for one in alone:
            twin = together[ids[one.vehicle], one.sequence]
            assert (one.arrived_ms, one.payload) == (twin.arrived_ms, twin.payload)
            assert one.shot.capture.ref == twin.shot.capture.ref
        for name, total in part.counters.totals().items():
            assert total == getattr(whole.counters, name)[ids].sum(), name


def test_latency_and_bandwidth_set_the_arrival(road: Road) -> None:
    shard = make(
        BudgetConfig(bits_per_frame=8_000), UplinkConfig(bits_per_second=1000.0, latency_s=2.5)
    )
    first = {}
    for delivery in road.drive(shard):
        first.setdefault(delivery.vehicle, delivery)
    for delivery in first.values():
        on_the_wire = 8 * len(delivery.payload) / 1000.0
        assert delivery.arrived_ms - delivery.captured_ms == pytest.approx(
            1000 * (on_the_wire + 2.5), abs=1
        )


@pytest.mark.parametrize("policy", ["oldest", "newest"])
def test_the_drop_policy_says_what_goes(road: Road, policy: str) -> None:
    down = UplinkConfig(trace=[[0, 0.0], [3 * 3600, 1_000_000.0]])
    shard = make(BudgetConfig(bits_per_frame=9_000), down, buffer_frames=5, drop_policy=policy)
    deliveries = [one for one in road.drive(shard) if one.captured_ms < 3 * 3_600_000]
    assert len(deliveries) == 5 * 6
    captured = [one.captured_ms for one in deliveries]
    if policy == "oldest":
        assert min(captured) >= 3 * 3_600_000 - 5 * 60_000
    else:
        assert max(captured) < 5 * 60_000


def test_a_frame_that_never_fits_costs_no_other(road: Road) -> None:
    down = UplinkConfig(trace=[[0, 0.0], [3600, 1_000_000.0]])
    budget = BudgetConfig(bits_per_frame=9_000)
    shard = make(budget, down, buffer_bytes=1_060, hours=1.0)
    deliveries = road.drive(shard)
    sizes = [8 * len(delivery.payload) for delivery in deliveries]
    assert shard.counters.dropped.sum() > 0
    assert len(deliveries) == 6, "a buffer that holds one frame holds the newest that fits"
    assert max(sizes) <= 8 * 1_060


def test_drives_differ_and_cover_the_frames(road: Road) -> None:
    shard = make(BudgetConfig(bits_per_frame=9_000))
    seen: dict[int, list[str]] = {}
    for delivery in road.drive(shard):
        seen.setdefault(delivery.vehicle, []).append(delivery.shot.capture.ref.frame_id)
    assert {ref.frame_id for ref in REFS} == {frame for frames in seen.values() for frame in frames}
    assert len({tuple(frames) for frames in seen.values()}) == 6
    for frames in seen.values():
        assert len({frame.split("_")[0] for frame in frames}) == 1


def test_config_says_what_cannot_be() -> None:
    for bad, match in (
        ({"hosts": 7}, "7 hosts are more"),
        ({"hosts": 1, "vehicles_per_host": 1}, "not both"),
        ({"capture_interval_s": 15.0}, "whole number of tick_s"),
        ({"vehicles": 0}, "greater than or equal to 1"),
        ({"hours": 10 / 3600}, "hold at least one"),
        ({"hours": 0.001}, "whole number of tick_s"),
    ):
        with pytest.raises(ValueError, match=match):
            make(BUCKET, **bad)
    assert FleetConfig(vehicles=7, vehicles_per_host=2).host_count == 4
