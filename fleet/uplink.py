"""A vehicle's link: bandwidth over time, outages, latency, losses."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fleet.config import Config
from fleet.noise import uniform

Point = Annotated[list[float], Field(min_length=2, max_length=2)]
"""One step of a bandwidth trace: [seconds, bits per second]."""


class UplinkConfig(Config):
    """The link that each vehicle has."""

    bits_per_second: float = Field(1_000_000.0, gt=0, le=1e12)
    """Bandwidth while the link is up; a `trace` takes its place."""
    trace: list[Point] | None = Field(None, min_length=1)
    """Bandwidth over time in place of `bits_per_second`: steps [[seconds, bits per second], …] from
    second 0, in rising order; after the last step it starts again at `trace_period_s`."""
    trace_period_s: float | None = Field(None, gt=0)
    """Length in seconds after which the trace repeats; null: its last step holds for good."""
    latency_s: float = Field(0.1, ge=0, le=3600)
    """Time from a bitstream's last bit on the wire to its arrival."""
    outages_per_hour: float = Field(0.0, ge=0, le=1000)
    """How often the link drops, on average; at times that differ by vehicle and seed."""
    outage_s: float = Field(60.0, gt=0, le=1e6)
    """Mean length of an outage in seconds."""
    loss: float = Field(0.0, ge=0, lt=1)
    """Probability that an upload is lost on its way; it is sent again, and both sendings are paid."""
    corruption: float = Field(0.0, ge=0, lt=1)
    """Probability that an upload arrives damaged; the collector refuses it, and it is paid."""

    @model_validator(mode="after")
    def _rising_trace(self) -> Self:
        times = [point[0] for point in self.trace or []]
        if times and (times[0] != 0 or any(b <= a for a, b in pairwise(times))):
            raise ValueError("trace: seconds must start at 0 and rise")
        if self.trace is not None and any(not 0 <= point[1] <= 1e12 for point in self.trace):
            raise ValueError("trace: bits per second must be from 0 to 1e12")
        if self.trace_period_s is not None and (not times or self.trace_period_s <= times[-1]):
            raise ValueError("trace_period_s goes with a trace and must lie after its last step")
        return self


class Uplinks:
    """The links of a shard of vehicles.

    Attributes:
        up: whether each link is up in the present tick, bool (V,).
    """

    def __init__(
        self, config: UplinkConfig, vehicles: NDArray[np.int64], seed: int, tick_ms: int
    ) -> None:
        self._config = config
        self._vehicles = vehicles
        self._seed = seed
        self._tick_ms = tick_ms
        self.up = np.ones(len(vehicles), bool)
        hours = tick_ms / 3_600_000
        # Outages as a two-state Markov chain over ticks, with the mean lengths asked for.
        self._falls = min(1.0, config.outages_per_hour * hours)
        self._rises = min(1.0, tick_ms / 1000 / config.outage_s)

    def capacity(self, tick: int) -> NDArray[np.int64]:
        """Bits that each link can carry during a tick; moves the outages on.

        Ticks must be asked for one after the other, from 0.
        """
        if self._falls > 0:
            draw = uniform(self._seed, "outage", self._vehicles, tick)
            self.up = np.where(self.up, draw >= self._falls, draw < self._rises)
        bits = int(self._bandwidth(tick * self._tick_ms / 1000) * self._tick_ms / 1000)
        return np.where(self.up, np.int64(bits), np.int64(0))

    def _bandwidth(self, seconds: float) -> float:
        """Bits per second at a time, as at the start of the tick that begins then."""
        trace = self._config.trace
        if trace is None:
            return self._config.bits_per_second
        if self._config.trace_period_s is not None:
            seconds %= self._config.trace_period_s
        index = int(np.searchsorted([point[0] for point in trace], seconds, side="right")) - 1
        return trace[index][1]

    def lost(self, vehicle: int, attempt: int) -> bool:
        """Whether a vehicle's `attempt`-th sending is lost (index in the shard)."""
        return self._draw("loss", vehicle, attempt) < self._config.loss

    def corrupted(self, vehicle: int, attempt: int) -> bool:
        """Whether a vehicle's `attempt`-th sending arrives damaged (index in the shard)."""
        return self._draw("corruption", vehicle, attempt) < self._config.corruption

    def damage(self, payload: bytes, vehicle: int, attempt: int) -> bytes:
        """What arrives of a bitstream that is damaged on its way: one byte, or all from it on, flipped.

        The length stays: that many bits went over the link and are paid.
        """
        at = int(self._draw("damage", vehicle, attempt) * len(payload))
        end = len(payload) if at % 2 else at + 1
        return payload[:at] + bytes(byte ^ 0xFF for byte in payload[at:end]) + payload[end:]

    def _draw(self, purpose: str, vehicle: int, attempt: int) -> float:
        return float(uniform(self._seed, purpose, self._vehicles[vehicle], attempt))
