"""The fleet's config: how many vehicles, how they drive, and where they are simulated."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fleet.config import Config
from fleet.uplink import UplinkConfig


class FleetConfig(Config):
    """The vehicles of a campaign and the hosts that simulate them."""

    vehicles: int = Field(8, ge=1, le=10_000_000)
    """Number of vehicles."""
    hours: float = Field(1.0, gt=0, le=24 * 365)
    """Simulated hours that each vehicle drives and captures."""
    capture_interval_s: float = Field(60.0, gt=0, le=86_400)
    """Simulated seconds between two captures of a vehicle."""
    tick_s: float = Field(10.0, ge=0.001, le=3600)
    """The step of simulated time; a capture interval is a whole number of ticks."""
    drain_hours: float = Field(1.0, ge=0, le=24 * 30)
    """Simulated hours after the drive in which parked vehicles still empty their buffers."""
    buffer_bytes: int = Field(64_000_000, ge=1)
    """What a vehicle can hold aboard until its link takes it."""
    buffer_frames: int = Field(256, ge=1, le=65_536)
    """How many frames a vehicle can hold aboard."""
    drop_policy: Literal["oldest", "newest"] = "oldest"
    """What goes when a frame does not fit in the buffer: the oldest that is not being sent, or the
    new one."""
    uplink: UplinkConfig = UplinkConfig()
    """The link of each vehicle."""
    hosts: int | None = Field(None, ge=1, le=10_000)
    """Number of Ray actors that simulate the vehicles; null: as `vehicles_per_host` says, or 2."""
    vehicles_per_host: int | None = Field(None, ge=1)
    """Vehicles that one actor simulates; 1 gives each vehicle an actor of its own."""
    cpus_per_host: float = Field(1.0, gt=0, le=1024)
    """CPUs of each host; it encodes on as many threads (at least one)."""
    gpus_per_host: float = Field(0.0, ge=0, le=16)
    """GPUs, or the share of one, of each host, for codecs that run on it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hosts is not None and self.vehicles_per_host is not None:
            raise ValueError("give hosts or vehicles_per_host, not both")
        if self.hosts is not None and self.hosts > self.vehicles:
            raise ValueError(f"hosts: {self.hosts} hosts are more than {self.vehicles} vehicles")
        if abs(self.tick_s * 1000 - self.tick_ms) > 1e-6:
            raise ValueError("tick_s must be a whole number of milliseconds")
        if abs(self.hours * 3_600_000 / self.tick_ms - self.drive_ticks) > 1e-6:
            raise ValueError("hours must be a whole number of tick_s")
        if self.interval_ms % self.tick_ms:
            raise ValueError("capture_interval_s must be a whole number of tick_s")
        if self.end_ms < self.interval_ms:
            raise ValueError("hours must hold at least one capture_interval_s")
        return self

    @property
    def host_count(self) -> int:
        """The number of hosts: as given, or what `vehicles_per_host` comes to, or 2."""
        if self.hosts is not None:
            return self.hosts
        if self.vehicles_per_host is not None:
            return -(-self.vehicles // self.vehicles_per_host)
        return min(2, self.vehicles)

    @property
    def tick_ms(self) -> int:
        """The tick in milliseconds."""
        return round(self.tick_s * 1000)

    @property
    def interval_ms(self) -> int:
        """The capture interval in milliseconds."""
        return round(self.capture_interval_s * 1000)

    @property
    def end_ms(self) -> int:
        """When capturing ends, in milliseconds: a whole number of ticks."""
        return round(self.hours * 3_600_000 / self.tick_ms) * self.tick_ms

    @property
    def drive_ticks(self) -> int:
        """Ticks in which vehicles drive and capture."""
        return self.end_ms // self.tick_ms

    @property
    def ticks(self) -> int:
        """Ticks of the whole campaign, the drain included."""
        return self.drive_ticks + -(-round(self.drain_hours * 3_600_000) // self.tick_ms)
