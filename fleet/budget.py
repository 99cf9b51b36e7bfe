"""Bit budgets: what a vehicle may spend, in exact integers.

Three limits, any of which may be set together: per frame, per hour (a token bucket with a burst) and
per campaign. Tokens are taken when bits go on the wire, so that the limit holds on the wire in every
window of time: in any span of T hours a vehicle sends at most `burst_bits + bits_per_hour · T`.
What is encoded but not yet sent is reserved, so that an admitted frame never lacks the bits to go
(unless losses on the link make it go twice).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fleet.config import Config

Bits = NDArray[np.int64]
"""Bits per vehicle of a shard, int64 (V,)."""

UNLIMITED = np.int64(2**62)
"""Stands for "no limit": larger than anything a campaign can send."""

_MS_PER_HOUR = 3_600_000


class BudgetConfig(Config):
    """What each vehicle may spend. At least one limit; all limits given hold at once."""

    bits_per_frame: int | None = Field(None, ge=1, le=2**40)
    """Most bits of one bitstream, container header included. Alone, it does not limit how often one
    that is lost on the link is sent again."""
    bits_per_hour: int | None = Field(None, ge=1, le=2**40)
    """Token bucket: bits that each vehicle is granted per simulated hour."""
    burst_bits: int | None = Field(None, ge=1, le=2**40)
    """Token bucket: most unspent bits that a vehicle can hold; it starts with as many. Null: half an
    hour's grant. Goes with `bits_per_hour`. Must be worth at least one capture interval's grant, or
    part of every grant is lost."""
    campaign_bits: int | None = Field(None, ge=1, le=2**60)
    """Bits of the whole fleet over the whole campaign, shared equally among the vehicles."""

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if (
            self.bits_per_frame is None
            and self.bits_per_hour is None
            and self.campaign_bits is None
        ):
            raise ValueError("give at least one of bits_per_frame, bits_per_hour, campaign_bits")
        if self.burst_bits is not None and self.bits_per_hour is None:
            raise ValueError("burst_bits goes with bits_per_hour")
        return self

    @property
    def burst(self) -> int | None:
        """The token bucket's depth in bits, or None where there is no bucket."""
        if self.bits_per_hour is None:
            return None
        return self.burst_bits if self.burst_bits is not None else max(1, self.bits_per_hour // 2)

    def granted_by(self, time_ms: int) -> int | None:
        """Bits a full bucket has granted by a time, in all: burst + accrual; None without one."""
        burst = self.burst
        if burst is None or self.bits_per_hour is None:
            return None
        return burst + self.bits_per_hour * time_ms // _MS_PER_HOUR

    def campaign_shares(self, vehicles: int) -> Bits:
        """Each vehicle's share of `campaign_bits`; they sum to it exactly. UNLIMITED where unset."""
        if self.campaign_bits is None:
            return np.full(vehicles, UNLIMITED)
        share, rest = divmod(self.campaign_bits, vehicles)
        return share + (np.arange(vehicles) < rest).astype(np.int64)


@dataclass(frozen=True)
class Allowance:
    """What one vehicle may spend on the frame it captures now, in bits.

    Attributes:
        limit: never to be exceeded.
        aim: what spends the budget evenly over the captures that are left, ≤ limit. Where it is the
            limit itself (`tight`), there is no later frame to make good for bits left unused.
    """

    limit: int
    aim: int

    @property
    def tight(self) -> bool:
        """Whether bits left unused on this frame are lost."""
        return self.aim >= self.limit


class Budget:
    """The budget of a shard of vehicles over a campaign.

    Attributes:
        level: bits in each vehicle's token bucket, 0 … burst (UNLIMITED without a bucket).
        left: bits of each vehicle's campaign share that are not sent yet.
        granted: bits each vehicle has been granted so far by the tightest of its limits.
    """

    def __init__(self, config: BudgetConfig, shares: Bits, end_ms: int, interval_ms: int) -> None:
        """Sets up full buckets.

        Args:
            shares: each vehicle's share of the campaign's bits, of `campaign_shares`.
            end_ms: when capturing, and with it every grant, ends.
            interval_ms: time between two captures of a vehicle.
        """
        self._config = config
        self._end_ms = end_ms
        self._interval_ms = interval_ms
        self._time_ms = 0
        vehicles = len(shares)
        self.level = np.full(vehicles, UNLIMITED if config.burst is None else config.burst)
        self.left = shares.copy()
        self._frames = np.zeros(vehicles, np.int64)
        self._shares = shares

    def advance(self, time_ms: int) -> None:
        """Lets tokens accrue up to a time; none accrue after the end of capturing."""
        config, time_ms = self._config, min(time_ms, self._end_ms)
        now, before = config.granted_by(time_ms), config.granted_by(self._time_ms)
        if now is not None and before is not None:
            self.level = np.minimum(self.level + (now - before), np.int64(config.burst or 0))
        self._time_ms = time_ms

    def allow(self, vehicle: int, backlog: int) -> Allowance:
        """What a vehicle may spend on a frame captured now.

        Args:
            vehicle: index in the shard.
            backlog: bits it has encoded and not yet sent.
        """
        config = self._config
        captures = max(1, -(-(self._end_ms - self._time_ms) // self._interval_ms))
        limits, aims = [], []
        if config.bits_per_frame is not None:
            limits.append(config.bits_per_frame)
            aims.append(config.bits_per_frame)
        if config.burst is not None and config.bits_per_hour is not None:
            free = int(self.level[vehicle]) - backlog
            left_ms = self._end_ms - self._time_ms
            income = config.bits_per_hour * left_ms // _MS_PER_HOUR
            grant = config.bits_per_hour * min(left_ms, self._interval_ms) // _MS_PER_HOUR
            # A frame may count on what is granted until the next capture: it waits aboard for it.
            limits.append(free + grant)
            # An even share of all that is still to come, but at least what would spill over the
            # bucket's brim before the next capture.
            aims.append(max((free + income) // captures, free + grant - config.burst))
        if config.campaign_bits is not None:
            free = int(self.left[vehicle]) - backlog
            limits.append(free)
            aims.append(free // captures)
        limit = min(limits)
        return Allowance(limit, min(limit, *aims))

    def captured(self, vehicle: int) -> None:
        """Counts a capture: a per-frame limit grants its bits by the frame."""
        self._frames[vehicle] += 1

    def sendable(self) -> Bits:
        """Most bits that each vehicle may put on the wire now, ≥ 0."""
        sendable: Bits = np.minimum(self.level, self.left)
        return sendable

    def spend(self, bits: Bits) -> None:
        """Takes bits that went on the wire; must not exceed :meth:`sendable`."""
        if self._config.burst is not None:
            self.level -= bits
        if self._config.campaign_bits is not None:
            self.left -= bits

    @property
    def granted(self) -> Bits:
        """Bits granted to each vehicle so far, by the tightest of its limits."""
        granted = np.full(len(self.level), UNLIMITED)
        if self._config.bits_per_frame is not None:
            granted = np.minimum(granted, self._frames * self._config.bits_per_frame)
        if (total := self._config.granted_by(self._time_ms)) is not None:
            granted = np.minimum(granted, total)
        if self._config.campaign_bits is not None:
            granted = np.minimum(granted, self._shares)
        return granted
