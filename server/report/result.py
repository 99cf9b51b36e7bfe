"""The shape of `result.json` and `provenance.json`, checked before anything is drawn."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Configuration = Literal["OO", "CC", "CO", "OC", "RR", "RC", "RO", "OR", "AO", "BO", "MO"]
"""Train domain + test domain; AO, BO and MO are controls."""

CONTROLS: dict[Configuration, str] = {
    "AO": "C with random further compression as augmentation",
    "BO": "C with batch norm re-estimated on calibration originals",
    "MO": "a mix of R and C",
}
"""What the controls are trained on."""

ORDER: tuple[Configuration, ...] = (
    "OO", "CC", "CO", "RO", "RR", "RC", "OR", "OC", *CONTROLS,
)  # fmt: skip
"""The order in which configurations are listed and drawn, everywhere."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]


class Record(BaseModel):
    """What a program wrote, checked when it is read."""

    # Unknown keys are let through: a newer campaign's result still has a report.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Scores(Record):
    """What one configuration reached. A class that is absent from the test frames has no IoU.

    `cost_total` is what its training frames cost; None where a result does not tell.
    """

    miou: Share | None
    iou_per_class: dict[str, Share | None]
    cost_total: Amount | None = None


class Budget(Record):
    """The bit budget of one vehicle; None where there is no such limit."""

    bits_per_frame: Amount | None = None
    bits_per_hour: Amount | None = None
    burst_bits: Amount | None = None
    campaign_bits: Amount | None = None


class Stage(Record):
    """How long a stage took, and whether an earlier campaign's artifact was taken instead."""

    seconds: Amount
    reused: bool


class Result(Record):
    """One campaign's result.

    Means over delivered frames, and mIoU, are None when nothing was delivered.
    """

    name: str
    configuration: Configuration
    codec: str
    codec_settings: dict[str, Any]
    restorer: str | dict[str, Any] | None
    vehicles: Count
    hours: Amount
    seed: int
    currency: str

    frames_captured: Count
    frames_delivered: Count
    frames_trained: Count
    frames_skipped_over_budget: Count
    frames_dropped_buffer: Count
    frames_left_aboard: Count
    uploads_refused: Count
    refusals: dict[str, Count]

    bits_sent: Count
    bits_committed: Count
    bits_retransmitted: Count
    bits_refused: Count
    bits_calibration: Count
    bits_unfinished: Count
    bpp_mean: Amount | None
    budget: Budget
    budget_utilisation: Amount | None
    encodes_per_frame: Amount | None
    quality_mean: float | None

    miou: Share | None
    iou_per_class: dict[str, Share | None]
    configurations: dict[Configuration, Scores] = Field(min_length=1)
    psnr: float | None
    ms_ssim: float | None

    cost_total: Amount
    cost: dict[str, Amount]
    cost_originals: Amount | None
    manifest_digest: str
    wall_seconds: Amount

    def listed(self) -> list[tuple[Configuration, Scores]]:
        """Every configuration with its scores, in ORDER, the primary one included."""
        scores = {
            self.configuration: Scores(miou=self.miou, iou_per_class=self.iou_per_class),
            **self.configurations,
        }
        return [(name, scores[name]) for name in ORDER if name in scores]

    def miou_of(self, configuration: Configuration) -> float | None:
        """The mIoU of a configuration; None if it was not evaluated."""
        return next((s.miou for name, s in self.listed() if name == configuration), None)


class Hardware(Record):
    """The machine the campaign ran on."""

    cpus: Count
    memory_bytes: Count
    gpus: list[Any]
    machine: str


class Provenance(Record):
    """Where a result comes from."""

    versions: dict[str, str]
    git_revision: str | None
    seed: int
    hardware: Hardware
    started: str
    finished: str
    command: str | list[str]
    hosts: Count
    stages: dict[str, Stage]
