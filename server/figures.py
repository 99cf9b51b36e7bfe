"""What the stages of a campaign tell those who look on while it runs. Wall clocks are among it.

Nothing of this goes into a result: that depends on config and seed only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.training_config import StepReport
from server.collection import FleetState
from server.costs import PriceConfig, Quantities, total_cost
from server.decoding import DecodeState


@dataclass(frozen=True)
class Evaluated:
    """What a configuration's evaluation came to: its mIoU in [0, 1]."""

    configuration: str
    miou: float


@dataclass(frozen=True)
class CostSoFar:
    """What the campaign has cost so far, in `currency`."""

    cost: float
    currency: str


Figures = FleetState | DecodeState | StepReport | Evaluated | CostSoFar
"""All that can be told; each replaces what was told of its kind before."""


class RunningCost:
    """What a campaign has cost so far, from what its stages have consumed; prices add up.

    Only the ledger, at the end, knows it all: training and restoring are not told before.
    """

    def __init__(self, prices: PriceConfig) -> None:
        self._prices = prices
        self._stages: dict[str, float] = {}

    def of(self, stage: str, quantities: Quantities) -> CostSoFar:
        """The cost so far, when a stage has consumed so much since it began."""
        self._stages[stage] = total_cost(quantities, self._prices)
        return CostSoFar(sum(self._stages.values()), self._prices.currency)


_NOTHING = Quantities(0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def on_the_road(state: FleetState, *, calibration: bool) -> Quantities:
    """What a fleet has consumed that stands so; `calibration`: all it sends are calibration frames."""
    sent, collected = state.totals, state.taken.collected
    hours = state.hours * state.vehicles
    if calibration:
        return replace(
            _NOTHING,
            vehicle_hours=hours,
            bits_calibration=sent["bits_sent"],
            bits_calibration_stored=collected.bits,
        )
    return replace(
        _NOTHING,
        vehicle_hours=hours,
        bits_committed=collected.bits,
        bits_retransmitted=sent["bits_retransmitted"],
        bits_refused=collected.bits_refused,
        bits_unfinished=sent["bits_unfinished"],
        pixels_encoded=sent["pixels_encoded"],
    )


def unpacked(frames_annotated: int, pixels_decoded: int) -> Quantities:
    """What decoding a collection has consumed, with the labels of what is trained on."""
    return replace(_NOTHING, frames_annotated=frames_annotated, pixels_decoded=pixels_decoded)
