"""What a campaign consumed: the quantities that its ledger prices, exact counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from server.calibration import calibration_bits, calibration_hours
from server.collection import read_collected
from server.costs import Quantities, total_cost
from server.decoding import distinct_pixels
from server.figures import CostSoFar
from server.learning import RESTORED
from server.manifest import read_manifest
from server.scoring import Scoring


def totals(collection: Path) -> dict[str, int]:
    """Sums over a collection's vehicles of every counter."""
    table = pq.read_table(collection / "counters.parquet")
    return {name: pc.sum(table[name]).as_py() or 0 for name in table.column_names}


def quantities_of(scoring: Scoring) -> Quantities:
    """All that the campaign consumed, whichever configuration it was for."""
    learning = scoring.config.learning
    quantities = _collected(scoring)
    if learning.uses(scoring.config.calibrated):
        quantities = _with_calibration(scoring, quantities)
    if learning.uses(RESTORED):
        train = learning.trains(RESTORED)
        quantities = _with_restoration(scoring, quantities, train_frames=train)
    return quantities


def tell_cost(scoring: Scoring) -> None:
    """Tells those who look on what the campaign cost in the end: what its ledger comes to."""
    prices = scoring.config.prices
    cost = total_cost(quantities_of(scoring), prices)
    scoring.progress.observe(CostSoFar(cost, prices.currency))


def consumed_for(scoring: Scoring, domain: str) -> Quantities:
    """What the train frames of a domain consumed, labels and the segmenter's training included.

    Those of O as if each had been sent once, losslessly: same drive, same labels, same training,
    other bits. Those of C and A came without calibration frames; those of B need these; those of R
    and M also a restorer. A trained restorer that was given is taken to be there for nothing.
    """
    quantities = _collected(scoring)
    if domain == "O":
        lossless = pq.read_table(scoring.gathering.originals.path / "lossless.parquet")["bits"]
        quantities = Quantities(
            vehicle_hours=quantities.vehicle_hours,
            bits_committed=pc.sum(lossless).as_py(),
            bits_retransmitted=0,
            bits_refused=0,
            bits_calibration=0,
            bits_unfinished=0,
            frames_annotated=quantities.frames_annotated,
            pixels_encoded=0,
            pixels_decoded=0,
            pixels_trained=quantities.pixels_trained,
        )
    if domain in scoring.config.calibrated:
        quantities = _with_calibration(scoring, quantities)
    if domain in RESTORED:
        quantities = _with_restoration(scoring, quantities, train_frames=True)
    return quantities


def _collected(scoring: Scoring) -> Quantities:
    """What the fleet's frames took, with a segmenter trained on them."""
    config, gathering = scoring.config, scoring.gathering
    collection = gathering.collection.path
    collected, vehicles = read_collected(collection), totals(collection)
    return Quantities(
        vehicle_hours=config.fleet.vehicles * config.fleet.hours,
        bits_committed=collected.bits,
        bits_retransmitted=vehicles["bits_retransmitted"],
        bits_refused=collected.bits_refused,
        bits_calibration=0,
        bits_unfinished=vehicles["bits_unfinished"],
        frames_annotated=len(gathering.trained),
        pixels_encoded=vehicles["pixels_encoded"],
        pixels_decoded=distinct_pixels(read_manifest(collection / "manifest")),
        pixels_trained=_segmenter_pixels(scoring),
    )


def _with_calibration(scoring: Scoring, quantities: Quantities) -> Quantities:
    config, data = scoring.config.calibration, scoring.gathering.calibration_data
    assert config is not None
    assert data is not None
    return replace(
        quantities,
        vehicle_hours=quantities.vehicle_hours + calibration_hours(config, data),
        bits_calibration=calibration_bits(scoring.gathering.calibration.path),
        bits_calibration_stored=read_collected(scoring.gathering.calibration.path).bits,
    )


def _with_restoration(
    scoring: Scoring, quantities: Quantities, *, train_frames: bool
) -> Quantities:
    config = scoring.config.restoration
    assert config is not None
    folder = scoring.gathering.decoded.path / "frames"
    shapes = [
        np.load(folder / f"{name}.npy", mmap_mode="r").shape for name in scoring.gathering.trained
    ]
    training = config.training
    crops = training.steps * training.batch_size * training.crop**2
    restored = sum(height * width for height, width, _ in shapes) if train_frames else 0
    if config.weights is not None:
        return replace(quantities, pixels_restored=restored)
    # The loss by features has a segmenter of its own, trained on C.
    judge = _segmenter_pixels(scoring) if training.semantic_weight > 0 else 0
    return replace(
        quantities,
        pixels_restorer=crops,
        pixels_restored=restored,
        pixels_trained=quantities.pixels_trained + judge,
    )


def _segmenter_pixels(scoring: Scoring) -> int:
    training = scoring.config.learning.training
    return training.steps * training.batch_size * training.crop_height * training.crop_width
