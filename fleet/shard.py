"""A shard of vehicles, all advanced a tick at a time; its state lives in numpy arrays.

This is the road without Ray: the same shard runs inside a host actor, in a test or in a benchmark.
What a vehicle does depends on its own number, the seed and the config only, never on which other
vehicles share its shard: so the outcome is the same for any number of hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fleet.budget import Allowance, Bits, Budget, BudgetConfig
from fleet.buffer import Buffers
from fleet.codecs.base import QualityScale
from fleet.drive import Drives
from fleet.encoder import Encoded
from fleet.fleet_config import FleetConfig
from fleet.frames.layout import FrameRef
from fleet.noise import uniform
from fleet.rate_control import Choice, RateControlConfig, RateController
from fleet.uplink import Uplinks


@dataclass(frozen=True)
class Capture:
    """A frame that a vehicle captures, and what it may spend on it."""

    vehicle: int
    ref: FrameRef
    allowance: Allowance


@dataclass(frozen=True)
class Shot:
    """What came of a capture: the choice of quality and, where one fits, its bitstream.

    `pixels` is the frame's size.
    """

    capture: Capture
    pixels: int
    choice: Choice
    encoded: Encoded | None


@dataclass(frozen=True)
class Delivery:
    """A bitstream that arrives at the collector.

    Attributes:
        vehicle: index in the shard.
        sequence: the vehicle's count of encoded frames when this one was.
        shot: what was captured and encoded.
        captured_ms, arrived_ms: simulated times.
        payload: the bytes that arrive; damaged where the link did so.
    """

    vehicle: int
    sequence: int
    shot: Shot
    captured_ms: int
    arrived_ms: int
    payload: bytes


Shoot = Callable[[Sequence[Capture]], Iterable[Shot]]
"""Encodes captures, in the order given."""


@dataclass
class Counters:
    """What each vehicle has done so far, int64 (V,) each.

    Attributes:
        captured: frames captured.
        skipped: of those, frames for which no quality fitted the budget.
        dropped: encoded frames that the buffer's bound cost.
        encodes: qualities tried.
        pixels_encoded: pixels of all of those.
        delivered: uploads that arrived.
        pixels_delivered: pixels of their frames.
        bits_sent: bits put on the wire.
        bits_delivered: bits of uploads that arrived.
        bits_retransmitted: bits of sendings that were lost on the way.
        bits_unfinished: bits of sendings that the campaign's end cut off.
    """

    captured: Bits
    skipped: Bits
    dropped: Bits
    encodes: Bits
    pixels_encoded: Bits
    delivered: Bits
    pixels_delivered: Bits
    bits_sent: Bits
    bits_delivered: Bits
    bits_retransmitted: Bits
    bits_unfinished: Bits

    @classmethod
    def zero(cls, vehicles: int) -> Counters:
        """Counters of vehicles that have done nothing yet."""
        return cls(*(np.zeros(vehicles, np.int64) for _ in fields(cls)))

    def totals(self) -> dict[str, int]:
        """Sums over the vehicles."""
        return {field.name: int(getattr(self, field.name).sum()) for field in fields(self)}


class Shard:
    """The vehicles with the given numbers, from the campaign's start.

    Vehicle `number` of the fleet uses the codec `number % len(scales)`, so that any shard has the same.

    Attributes:
        tick: the next tick to run.
        counters: what each vehicle has done.
        codecs: which codec each vehicle uses, int64 (V,).
    """

    def __init__(
        self,
        config: FleetConfig,
        budget: BudgetConfig,
        rate_control: RateControlConfig,
        scales: Sequence[QualityScale],
        refs: Sequence[FrameRef],
        vehicles: NDArray[np.int64],
        seed: int,
    ) -> None:
        self.vehicles = vehicles
        self.tick = 0
        self.counters = Counters.zero(len(vehicles))
        self._config = config
        shares = budget.campaign_shares(config.vehicles)[vehicles]
        self.budget = Budget(budget, shares, config.end_ms, config.interval_ms)
        self.codecs = vehicles % len(scales)
        self._controllers = [RateController(rate_control, one, len(vehicles)) for one in scales]
        self._drives = Drives(refs, vehicles, config.vehicles, seed)
        self.uplinks = Uplinks(config.uplink, vehicles, seed, config.tick_ms)
        self.buffers = Buffers(len(vehicles), config.buffer_frames, config.buffer_bytes)
        self._interval = config.interval_ms // config.tick_ms
        luck = uniform(seed, "phase", vehicles, 0)
        self._phase = np.minimum(np.floor(luck * self._interval), self._interval - 1)
        self._sequence = np.zeros(len(vehicles), np.int64)
        self._attempts = np.zeros(len(vehicles), np.int64)
        self._waiting: dict[tuple[int, int], tuple[Shot, int]] = {}

    def controller(self, vehicle: int) -> RateController:
        """What finds qualities for a vehicle, an index in the shard."""
        return self._controllers[int(self.codecs[vehicle])]

    @property
    def done(self) -> bool:
        """Whether nothing will happen any more: the drive is over and the buffers are empty."""
        ended = self.tick >= self._config.drive_ticks and not self.buffers.count.any()
        return bool(ended) or self.tick >= self._config.ticks

    def step(self, shoot: Shoot) -> list[Delivery]:
        """Runs one tick: capture, encode within the budget, buffer, send. Returns what arrived."""
        now_ms = self.tick * self._config.tick_ms
        self.budget.advance(now_ms)
        if self.tick < self._config.drive_ticks:
            capturing = np.flatnonzero(self._phase == self.tick % self._interval)
            if len(capturing):
                self._capture(capturing, now_ms, shoot)
        deliveries = self._send(now_ms)
        self.tick += 1
        if self.tick == self._config.ticks:
            self.counters.bits_unfinished += self.buffers.sent_of_head
        return deliveries

    def _capture(self, capturing: NDArray[np.int64], now_ms: int, shoot: Shoot) -> None:
        for vehicle in capturing:
            self.budget.captured(vehicle)
        captures = [
            Capture(
                int(vehicle),
                self._drives.see(vehicle),
                self.budget.allow(vehicle, int(self.buffers.backlog[vehicle])),
            )
            for vehicle in capturing
        ]
        for shot in shoot(captures):
            vehicle = shot.capture.vehicle
            self.counters.encodes[vehicle] += shot.choice.encodes
            self.counters.pixels_encoded[vehicle] += shot.choice.encodes * shot.pixels
            if shot.encoded is None:
                self.counters.skipped[vehicle] += 1
            else:
                self._admit(vehicle, shot, shot.encoded, now_ms)
        self.counters.captured[capturing] += 1
        self._drives.move(capturing)

    def _admit(self, vehicle: int, shot: Shot, encoded: Encoded, now_ms: int) -> None:
        """Puts a bitstream into the buffer, or drops what the policy says for want of room."""
        policy = self._config.drop_policy
        drop_old = policy == "oldest" and self.buffers.can_make_room(vehicle, encoded.size)
        while not self.buffers.has_room(vehicle, encoded.size):
            self.counters.dropped[vehicle] += 1
            oldest = self.buffers.drop_oldest(vehicle) if drop_old else None
            if oldest is None:
                return
            del self._waiting[vehicle, oldest]
        sequence = int(self._sequence[vehicle])
        self._sequence[vehicle] += 1
        self.buffers.push(vehicle, sequence, encoded.size)
        self._waiting[vehicle, sequence] = (shot, now_ms)

    def _send(self, now_ms: int) -> list[Delivery]:
        """Sends what links and budgets allow in the tick that begins now."""
        capacity = self.uplinks.capacity(self.tick)
        if not self.buffers.count.any():
            return []
        left = capacity.copy()
        deliveries: list[Delivery] = []
        while True:
            sent, whole = self.buffers.send(np.minimum(left, self.budget.sendable()))
            self.budget.spend(sent)
            self.counters.bits_sent += sent
            left -= sent
            for vehicle in whole:
                used = int(capacity[vehicle] - left[vehicle])
                spent_ms = -(-used * self._config.tick_ms // int(capacity[vehicle]))
                delivery = self._arrive(int(vehicle), now_ms + spent_ms)
                if delivery is not None:
                    deliveries.append(delivery)
            if not len(whole):
                return deliveries

    def _arrive(self, vehicle: int, sent_ms: int) -> Delivery | None:
        """The end of a sending: it arrives, arrives damaged, or is lost and must go again."""
        sequence, size = self.buffers.head(vehicle)
        attempt = int(self._attempts[vehicle])
        self._attempts[vehicle] += 1
        link = self._config.uplink
        if link.loss > 0 and self.uplinks.lost(vehicle, attempt):
            self.counters.bits_retransmitted[vehicle] += 8 * size
            self.buffers.again(vehicle)
            return None
        self.buffers.pop(vehicle)
        self.counters.delivered[vehicle] += 1
        self.counters.bits_delivered[vehicle] += 8 * size
        shot, captured_ms = self._waiting.pop((vehicle, sequence))
        self.counters.pixels_delivered[vehicle] += shot.pixels
        assert shot.encoded is not None
        payload = shot.encoded.path.read_bytes()
        if link.corruption > 0 and self.uplinks.corrupted(vehicle, attempt):
            payload = self.uplinks.damage(payload, vehicle, attempt)
        arrived_ms = sent_ms + round(link.latency_s * 1000)
        return Delivery(vehicle, sequence, shot, captured_ms, arrived_ms, payload)
