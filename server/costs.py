"""The ledger: what a campaign consumed, what a unit of each costs, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from fleet.config import Config

_BITS_PER_GB = 8e9


class PriceConfig(Config):
    """What a unit of each quantity costs, in `currency`.

    The defaults are round figures of the order of public price lists; set your own.
    """

    currency: str = Field("EUR", min_length=1, max_length=8)
    """The unit of all prices."""
    vehicle_hour: float = Field(5.0, ge=0)
    """An hour of a vehicle on the road that collects."""
    uplink_gb: float = Field(4.0, ge=0)
    """10⁹ bytes over a vehicle's link, whether they arrive or not."""
    calibration_gb: float | None = Field(None, ge=0)
    """10⁹ bytes of calibration frames over the link that they take; null: as `uplink_gb`."""
    stored_gb_month: float = Field(0.025, ge=0)
    """10⁹ bytes kept for a month."""
    storage_months: float = Field(12.0, ge=0)
    """How long what was committed is kept."""
    annotated_frame: float = Field(6.0, ge=0)
    """Labels of one frame."""
    encoded_gigapixel: float = Field(0.0, ge=0)
    """10⁹ pixels encoded aboard (each quality tried counts)."""
    decoded_gigapixel: float = Field(0.002, ge=0)
    """10⁹ pixels decoded in the data centre."""
    trained_gigapixel: float = Field(0.05, ge=0)
    """10⁹ pixels of crops that one segmenter is trained on."""
    restorer_gigapixel: float = Field(0.2, ge=0)
    """10⁹ pixels of crops that a restorer is trained on."""
    restored_gigapixel: float = Field(0.02, ge=0)
    """10⁹ pixels restored."""


@dataclass(frozen=True)
class Quantities:
    """What a campaign consumed: exact counts that depend on config and seed only, never on a clock.

    Attributes:
        vehicle_hours: vehicles × simulated hours of driving, those for calibration among them.
        bits_committed: bits of the bitstreams that are stored.
        bits_retransmitted: bits of sendings that were lost on the way and made again.
        bits_refused: bits of uploads that arrived and were refused.
        bits_calibration: bits that calibration vehicles sent, lost and refused ones among them.
        bits_unfinished: bits of sendings that the campaign's end cut off.
        frames_annotated: frames whose labels are trained on.
        pixels_encoded: pixels of all encodes, every quality tried.
        pixels_decoded: pixels of all bitstreams decoded.
        pixels_trained: pixels of the crops that segmenters saw.
        pixels_restorer: pixels of the crops that the restorer saw.
        pixels_restored: pixels of the train frames that were restored.
        bits_calibration_stored: those of `bits_calibration` that arrived and are stored.
    """

    vehicle_hours: float
    bits_committed: int
    bits_retransmitted: int
    bits_refused: int
    bits_calibration: int
    bits_unfinished: int
    frames_annotated: int
    pixels_encoded: int
    pixels_decoded: int
    pixels_trained: int
    pixels_restorer: int = 0
    pixels_restored: int = 0
    bits_calibration_stored: int = 0

    @property
    def bits_sent(self) -> int:
        """All bits that went over the vehicles' links: the sum of the five kinds, to the bit."""
        return (
            self.bits_committed
            + self.bits_retransmitted
            + self.bits_refused
            + self.bits_calibration
            + self.bits_unfinished
        )


@dataclass(frozen=True)
class Entry:
    """A line of the ledger: `cost` = `quantity` × `unit_price`."""

    item: str
    quantity: float
    unit: str
    unit_price: float

    @property
    def cost(self) -> float:
        """What the line costs."""
        return self.quantity * self.unit_price


def ledger(quantities: Quantities, prices: PriceConfig) -> list[Entry]:
    """The ledger's lines; their costs sum to the campaign's total cost."""
    per_bit = prices.uplink_gb / _BITS_PER_GB
    calibration_gb = prices.uplink_gb if prices.calibration_gb is None else prices.calibration_gb
    per_stored_bit = prices.stored_gb_month * prices.storage_months / _BITS_PER_GB
    giga = 1e-9
    return [
        Entry("vehicle hours", quantities.vehicle_hours, "h", prices.vehicle_hour),
        Entry("bits committed", quantities.bits_committed, "bit", per_bit),
        Entry("bits retransmitted", quantities.bits_retransmitted, "bit", per_bit),
        Entry("bits refused", quantities.bits_refused, "bit", per_bit),
        Entry(
            "bits of calibration frames",
            quantities.bits_calibration,
            "bit",
            calibration_gb / _BITS_PER_GB,
        ),
        Entry("bits unfinished", quantities.bits_unfinished, "bit", per_bit),
        Entry(
            "bits stored",
            quantities.bits_committed + quantities.bits_calibration_stored,
            "bit",
            per_stored_bit,
        ),
        Entry("frames annotated", quantities.frames_annotated, "frame", prices.annotated_frame),
        Entry("encoding", quantities.pixels_encoded, "pixel", giga * prices.encoded_gigapixel),
        Entry("decoding", quantities.pixels_decoded, "pixel", giga * prices.decoded_gigapixel),
        Entry("training", quantities.pixels_trained, "pixel", giga * prices.trained_gigapixel),
        Entry(
            "restorer training",
            quantities.pixels_restorer,
            "pixel",
            giga * prices.restorer_gigapixel,
        ),
        Entry("restoring", quantities.pixels_restored, "pixel", giga * prices.restored_gigapixel),
    ]


def total_cost(quantities: Quantities, prices: PriceConfig) -> float:
    """What it all costs: the sum of the ledger's lines."""
    return sum(entry.cost for entry in ledger(quantities, prices))


def write_ledger(entries: list[Entry], path: Path) -> None:
    """Writes the ledger as Parquet: item, quantity, unit, unit_price, cost."""
    table = {
        "item": [entry.item for entry in entries],
        "quantity": [float(entry.quantity) for entry in entries],
        "unit": [entry.unit for entry in entries],
        "unit_price": [entry.unit_price for entry in entries],
        "cost": [entry.cost for entry in entries],
    }
    pq.write_table(pa.table(table), path)
