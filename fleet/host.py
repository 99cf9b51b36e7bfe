"""The host: a Ray actor that simulates a shard of vehicles and hands their uploads in."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from fleet.budget import BudgetConfig
from fleet.codecs import CodecConfig
from fleet.encoder import Encoded, Encoder
from fleet.fleet_config import FleetConfig
from fleet.frames.layout import FrameReader, FrameRef
from fleet.latency import Latencies
from fleet.rate_control import RateControlConfig
from fleet.shard import Capture, Delivery, Shard, Shot
from fleet.upload import Upload

_BATCH = 64
"""Uploads that are handed in together at most: one durable commit each."""
_IN_FLIGHT = 2
"""Batches that may wait for the collector's receipt while vehicles drive on."""
SAMPLES = 120
"""Samples of telemetry over a campaign's drive."""

Table = dict[str, NDArray[Any]]
"""Columns of equal length by name."""


@dataclass(frozen=True)
class HostSpec:
    """All that a host needs to know, and all that its outcome depends on.

    Attributes:
        campaign: digest of the collection; part of every upload's key.
        fleet, budget, rate_control: the campaign's config.
        codecs: the campaign's; vehicle `number` uses the one at `number % len(codecs)`.
        refs: all train frames, sorted by id.
        reader: loads them.
        vehicles: numbers of the vehicles of this host's shard, int64.
        seed: the campaign's seed.
        bitstreams: folder for encoded frames, shared by all hosts.
    """

    campaign: str
    fleet: FleetConfig
    budget: BudgetConfig
    rate_control: RateControlConfig
    codecs: tuple[CodecConfig, ...]
    refs: Sequence[FrameRef]
    reader: FrameReader
    vehicles: NDArray[np.int64]
    seed: int
    bitstreams: Path


@dataclass(frozen=True)
class HostProgress:
    """Where a host stands.

    Attributes:
        tick: ticks run so far.
        done: whether nothing will happen any more.
        totals: sums of the shard's counters.
        buffer_bytes: bytes aboard all vehicles.
        links_up: vehicles whose link is up.
        bits_granted: bits that the budget has granted all vehicles.
        waiting: the most uploads that waited for a receipt at once, since the last report.
        latencies: by codec, how long each bitstream took that was made since the last report.
        encodes: bitstreams made here (not found).
        encode_seconds: time spent making them, summed over threads.
        drive_seconds: time spent driving, in all.
    """

    tick: int
    done: bool
    totals: dict[str, int]
    buffer_bytes: int
    links_up: int
    bits_granted: int
    waiting: int
    latencies: dict[str, Latencies]
    encodes: int
    encode_seconds: float
    drive_seconds: float


class VehicleHost:
    """Simulates a shard of vehicles; the body of a Ray actor.

    A host keeps no state that must outlive it. If it dies, Ray starts it again and repeats the call;
    the new one drives its vehicles from the start to the tick asked for, finds all bitstreams made,
    and hands in the same uploads, which the collector knows already.
    """

    def __init__(self, setup: Path) -> None:
        """Takes a shard.

        Args:
            setup: a file with the HostSpec, on storage that all hosts share. A file, since Ray cannot
                start an actor again whose own arguments lay in its object store.
        """
        spec: HostSpec = pickle.loads(setup.read_bytes())
        self._spec = spec
        self._encoders = [Encoder(one, spec.reader, spec.bitstreams) for one in spec.codecs]
        self._shard = Shard(
            spec.fleet,
            spec.budget,
            spec.rate_control,
            [encoder.codec.scale for encoder in self._encoders],
            spec.refs,
            spec.vehicles,
            spec.seed,
        )
        self._threads = max(1, math.floor(spec.fleet.cpus_per_host))
        self._pool = ThreadPoolExecutor(self._threads)
        self._sample_ticks = max(1, spec.fleet.drive_ticks // SAMPLES)
        self._samples: list[Table] = []
        self._batch: list[Upload] = []
        self._in_flight: dict[Any, int] = {}
        self._waiting = 0
        self._drive_seconds = 0.0

    def advance(self, tick: int, collector: Any) -> HostProgress:
        """Drives on until a tick; all uploads that arrived before it are stored, or refused.

        Args:
            tick: where to stop.
            collector: the handle of the actor to hand uploads to.

        Raises:
            InputError: a frame's file cannot be read.
        """
        started = time.perf_counter()
        while self._shard.tick < tick and not self._shard.done:
            if self._driving and self._shard.tick % self._sample_ticks == 0:
                self._sample(self._shard.tick)
            for delivery in self._shard.step(self._shoot):
                self._hand_in(delivery)
                if len(self._batch) >= _BATCH:
                    self._flush(collector)
        self._flush(collector)
        self._settle(0)
        self._drive_seconds += time.perf_counter() - started
        shard = self._shard
        if shard.done:
            # A host may be done before the drive's last grant, another later: all are granted all.
            shard.budget.advance(self._spec.fleet.end_ms)
        waiting, self._waiting = self._waiting, 0
        return HostProgress(
            shard.tick,
            shard.done,
            shard.counters.totals(),
            int(shard.buffers.held_bytes.sum()),
            int(shard.uplinks.up.sum()),
            int(shard.budget.granted.sum()),
            waiting,
            {encoder.codec.name: encoder.take_latencies() for encoder in self._encoders},
            sum(encoder.encodes for encoder in self._encoders),
            sum(encoder.seconds for encoder in self._encoders),
            self._drive_seconds,
        )

    def finish(self, collector: Any) -> tuple[HostProgress, Table, Table]:
        """Drives to the end; gives the progress, the counters by vehicle, and the telemetry."""
        progress = self.advance(self._spec.fleet.ticks, collector)
        self._sample(self._spec.fleet.ticks)
        counters: Table = {"vehicle": self._spec.vehicles, **asdict(self._shard.counters)}
        counters["left_aboard"] = self._shard.buffers.count
        counters["bits_granted"] = self._shard.budget.granted
        telemetry = {
            name: np.concatenate([sample[name] for sample in self._samples])
            for name in self._samples[0]
        }
        return progress, counters, telemetry

    def _shoot(self, captures: Sequence[Capture]) -> list[Shot]:
        for encoder in self._encoders:
            encoder.prepare([one.ref for one in captures if self._encoder(one.vehicle) is encoder])
        if self._threads == 1 or len(captures) == 1:
            return [self._shot(capture) for capture in captures]
        return list(self._pool.map(self._shot, captures))

    def _shot(self, capture: Capture) -> Shot:
        made: dict[float, Encoded] = {}
        encoder = self._encoder(capture.vehicle)

        def encode(quality: float) -> int:
            made[quality] = encoder.encode(capture.ref, quality)
            return 8 * made[quality].size

        pixels = encoder.pixels(capture.ref)
        controller = self._shard.controller(capture.vehicle)
        choice = controller.choose(
            capture.vehicle, pixels, capture.allowance, encode, encoder.estimate(capture.ref)
        )
        encoded = None if choice.quality is None else made[choice.quality]
        return Shot(capture, pixels, choice, encoded)

    def _encoder(self, vehicle: int) -> Encoder:
        return self._encoders[int(self._shard.codecs[vehicle])]

    def _hand_in(self, delivery: Delivery) -> None:
        encoded, quality = delivery.shot.encoded, delivery.shot.choice.quality
        assert encoded is not None
        assert quality is not None
        self._batch.append(
            Upload(
                campaign=self._spec.campaign,
                vehicle=int(self._spec.vehicles[delivery.vehicle]),
                sequence=delivery.sequence,
                frame_id=delivery.shot.capture.ref.frame_id,
                codec=self._encoder(delivery.vehicle).codec.name,
                quality=quality,
                width=encoded.width,
                height=encoded.height,
                captured_ms=delivery.captured_ms,
                arrived_ms=delivery.arrived_ms,
                size=encoded.size,
                digest=encoded.digest,
                payload=delivery.payload,
            )
        )

    def _flush(self, collector: Any) -> None:
        if self._batch:
            self._in_flight[collector.commit.remote(self._batch)] = len(self._batch)
            self._batch = []
            _, without = ray.wait(
                list(self._in_flight), num_returns=len(self._in_flight), timeout=0
            )
            self._waiting = max(self._waiting, sum(self._in_flight[batch] for batch in without))
            self._settle(_IN_FLIGHT)

    def _settle(self, most: int) -> None:
        """Waits for receipts until at most so many batches are without one."""
        while len(self._in_flight) > most:
            # Refusals are the collector's to count; a vehicle does not send them again.
            batch = next(iter(self._in_flight))
            ray.get(batch)
            del self._in_flight[batch]

    @property
    def _driving(self) -> bool:
        return self._shard.tick < self._spec.fleet.drive_ticks

    def _sample(self, tick: int) -> None:
        """Notes where each vehicle stands: at fixed ticks of the drive, and at the campaign's end."""
        shard = self._shard
        self._samples.append(
            {
                "time_s": np.full(len(shard.vehicles), tick * self._spec.fleet.tick_ms / 1000),
                "vehicle": shard.vehicles.astype(np.int32),
                "bits_sent": shard.counters.bits_sent.copy(),
                "bits_granted": shard.budget.granted,
                "buffer_bytes": shard.buffers.held_bytes.copy(),
                "captured": shard.counters.captured.copy(),
                "delivered": shard.counters.delivered.copy(),
                "link_up": shard.uplinks.up.copy(),
            }
        )
