"""Rate control: the best quality that fits, found with few encodes.

Each vehicle carries a rate model, log2(bits) = a + b · position, where the position counts quality
steps from the coarsest. `a` follows the frames of its drive, `b` its codec and scene; both are
corrected by every encode. A frame's first encode tells its own `a`. Where bits left unused are lost
(a limit per frame), the next finer quality is tried too, until one does not fit; where they are kept
for later frames, the first encode that fits and comes near its share is taken.

A codec that can tell a frame's bits before it encodes needs no model: the quality is looked up in its
estimates, and encoded once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from fleet.budget import Allowance
from fleet.codecs.base import QualityScale
from fleet.config import Config

_SLOPE_RANGE = 4.0
"""A learned slope stays within this factor of the codec's typical one."""
_STEP_DEVIATION = 0.05
"""How far, in log2(bits), a step's true change typically lies from the model's: about 3.5 %."""
_NEAR = 0.004
"""An estimate that leaves less than this share of its target unused is near enough."""
_ESTIMATES = 16
"""Most estimates of a frame; some five are the rule."""
_TIDY = 1e-4
"""Continuous qualities are multiples of it."""
_FIRST_BPP = 0.5
"""What a first frame is taken to need, in bpp, halfway along the scale; corrected at once."""


class RateControlConfig(Config):
    """How a vehicle looks for the quality that fits."""

    max_encodes: int = Field(6, ge=1, le=64)
    """Most encodes of one frame; if none of them fits, the frame is skipped."""
    forgetting: float = Field(0.5, gt=0.0, le=1.0)
    """Weight of the newest frame in a vehicle's rate model."""
    coarsest: float | None = None
    """The coarsest quality worth sending, on the codec's own scale; null: the codec's coarsest. A
    frame that does not fit at it is skipped."""
    finest: float | None = None
    """The finest quality worth sending, on the codec's own scale; null: the codec's finest."""

    def scale(self, codec: QualityScale) -> QualityScale:
        """The codec's scale narrowed to what this config allows.

        Raises ValueError naming the field if a bound is off the codec's scale or they are crossed.
        """
        bounds = {}
        for name in ("coarsest", "finest"):
            value = getattr(self, name)
            try:
                bounds[name] = getattr(codec, name) if value is None else codec.check(value)
            except ValueError as error:
                raise ValueError(f"rate_control.{name}: {error}") from None
        narrowed = QualityScale(
            bounds["coarsest"], bounds["finest"], codec.step, codec.log2_bits_per_unit
        )
        if codec.position(narrowed.finest) < codec.position(narrowed.coarsest):
            raise ValueError("rate_control.finest: is coarser than rate_control.coarsest")
        return narrowed


@dataclass(frozen=True)
class Choice:
    """The outcome for one frame.

    Attributes:
        quality: the quality chosen, or None where nothing fits.
        bits: the chosen bitstream's length in bits (0 where nothing fits).
        encodes: how many qualities were tried.
    """

    quality: float | None
    bits: int
    encodes: int


class RateController:
    """Chooses qualities for the vehicles of a shard; its state is one row a vehicle.

    Attributes:
        offset: `a` of each vehicle's model, log2(bits) at the coarsest quality; NaN before the first
            frame. float64 (V,).
        slope: `b`, log2(bits) per unit of position, > 0. float64 (V,).
    """

    def __init__(self, config: RateControlConfig, codec: QualityScale, vehicles: int) -> None:
        self._config = config
        self._scale = config.scale(codec)
        self._step = self._scale.step or self._scale.span / 256
        self.offset = np.full(vehicles, np.nan)
        self.slope = np.full(vehicles, codec.log2_bits_per_unit)

    def choose(
        self,
        vehicle: int,
        pixels: int,
        allowance: Allowance,
        encode: Callable[[float], int],
        estimate: Callable[[float], float] | None = None,
    ) -> Choice:
        """Looks for the best quality within an allowance.

        Args:
            vehicle: index in the shard.
            pixels: the frame's pixels, for the very first guess.
            allowance: what may be spent.
            encode: gives the length in bits of the frame's bitstream at a quality.
            estimate: gives about the same without encoding, where the codec can; for a continuous
                scale.

        Returns:
            Of the qualities tried that fit `allowance.limit`, the one nearest to the aim; a Choice
            without a quality where none fits. Where the allowance is tight, the choice is the finest
            of all that fit, unless `max_encodes` cuts the search short: the next finer quality was
            tried and does not fit.
        """
        scale, slope = self._scale, float(self.slope[vehicle])
        if allowance.limit <= 0:
            return Choice(None, 0, 0)
        if scale.span == 0:  # the only quality there is, such as a lossless codec's
            bits = encode(scale.coarsest)
            fits = bits <= allowance.limit
            return Choice(scale.coarsest if fits else None, bits if fits else 0, 1)
        if estimate is not None and scale.step == 0:
            return self._choose_by_estimates(allowance, encode, estimate)
        offset = float(self.offset[vehicle])
        if math.isnan(offset):
            offset = math.log2(_FIRST_BPP * pixels) - slope * scale.span / 2
        tried: dict[float, int] = {}  # position → bits
        wanted = (math.log2(max(1, allowance.aim)) - offset) / slope
        # Where the best must be found, a guess half a step high is as good as one that is right:
        # either way the second encode settles it.
        position = self._position(wanted + (self._step / 2 if allowance.tight else 0.0))
        while len(tried) < self._config.max_encodes:
            bits = encode(scale.at(position))
            tried[position] = bits
            offset = math.log2(bits) - slope * position
            if (following := self._next(tried, offset, slope, allowance)) is None:
                break
            position = following
        self._learn(vehicle, tried)
        fitting = [at for at, bits in tried.items() if bits <= allowance.limit]
        if not fitting:
            return Choice(None, 0, len(tried))
        best = max(fitting) if allowance.tight else self._nearest(fitting, tried, allowance.aim)
        return Choice(scale.at(best), tried[best], len(tried))

    def _choose_by_estimates(
        self,
        allowance: Allowance,
        encode: Callable[[float], int],
        estimate: Callable[[float], float],
    ) -> Choice:
        """Encodes once where the estimate says; once more, a little lower, if it said too much."""
        target, tries = float(max(1, allowance.aim)), min(2, self._config.max_encodes)
        for attempt in range(1, tries + 1):
            position = self._reach(target, estimate)
            if position is None:
                # Not even the coarsest comes to the aim; it may still be within the limit.
                position, target = 0.0, 0.0
                if estimate(self._scale.at(0)) > allowance.limit:
                    return Choice(None, 0, attempt - 1)
            quality = self._scale.at(position)
            bits = encode(quality)
            if bits <= allowance.limit:
                return Choice(quality, bits, attempt)
            target -= bits - allowance.limit
        return Choice(None, 0, tries)

    def _reach(self, target: float, estimate: Callable[[float], float]) -> float | None:
        """The position whose estimate comes nearest to a target from below; None where none does."""
        scale = self._scale
        low, high = 0.0, scale.span
        low_bits, high_bits = estimate(scale.at(low)), estimate(scale.at(high))
        if low_bits > target:
            return None
        if high_bits <= target:
            return high
        for count in range(_ESTIMATES):
            if low_bits >= target * (1 - _NEAR) or high - low <= 2 * _TIDY:
                break
            # Bits grow about exponentially; every third step halves, whatever the curve is like.
            share = math.log(target * (1 - _NEAR / 2) / low_bits) / math.log(high_bits / low_bits)
            middle = low + (high - low) * (0.5 if count % 3 == 2 else min(max(share, 0.02), 0.98))
            middle = math.floor(middle / _TIDY) * _TIDY
            if not low < middle < high:
                break
            bits = estimate(scale.at(middle))
            if bits <= target:
                low, low_bits = middle, bits
            else:
                high, high_bits = middle, bits
        return low

    def _position(self, wanted: float) -> float:
        """The nearest position on the scale that spends no more than the wanted one."""
        return self._scale.position(self._scale.at(wanted))

    @staticmethod
    def _nearest(fitting: list[float], tried: dict[float, int], aim: int) -> float:
        return min(fitting, key=lambda at: (abs(math.log2(tried[at] / max(1, aim))), -at))

    def _next(
        self, tried: dict[float, int], offset: float, slope: float, allowance: Allowance
    ) -> float | None:
        """The position to try next, or None where the search is over."""
        fits = [at for at, bits in tried.items() if bits <= allowance.limit]
        fails = [at for at, bits in tried.items() if bits > allowance.limit]
        low = max(fits, default=None)
        high = min(fails, default=None)
        guess = self._position((math.log2(max(1, allowance.aim)) - offset) / slope)
        step = self._step
        if low is None:
            # Nothing fits yet: go down, and at least a step below all that failed.
            assert high is not None
            below = self._position(min(guess, high - step))
            return below if below < high else None
        if allowance.tight and low >= self._scale.span:
            return None
        if not allowance.tight:
            # Later frames make good for what this one leaves: near is good enough.
            aimed = abs(math.log2(tried[low] / max(1, allowance.aim)))
            if aimed <= 1.5 * slope * step + 2 * _STEP_DEVIATION or guess in tried:
                return None
            if guess > low and (high is None or guess < high):
                return guess
            return None if guess > low else guess
        finer = max(low + step, guess if high is None else min(guess, high - step))
        if high is not None and low + step >= high - 1e-9:
            return None
        return self._position(finer)

    def _learn(self, vehicle: int, tried: dict[float, int]) -> None:
        """Corrects the vehicle's model by what a frame's encodes showed."""
        weight = self._config.forgetting
        slope = float(self.slope[vehicle])
        if len(tried) > 1:
            low, high = min(tried), max(tried)
            seen = (math.log2(tried[high]) - math.log2(tried[low])) / (high - low)
            typical = self._scale.log2_bits_per_unit
            seen = min(max(seen, typical / _SLOPE_RANGE), typical * _SLOPE_RANGE)
            slope += weight * (seen - slope)
        last, bits = list(tried.items())[-1]
        offset = math.log2(bits) - slope * last
        known = float(self.offset[vehicle])
        # The old offset was told with the old slope: restate it where the frames lie now.
        old = known + (float(self.slope[vehicle]) - slope) * last
        self.slope[vehicle] = slope
        self.offset[vehicle] = offset if math.isnan(known) else old + weight * (offset - old)
