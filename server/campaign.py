"""A campaign's config: each component's own, put together."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fleet.budget import BudgetConfig
from fleet.codecs import BpgConfig, CodecConfig
from fleet.config import Config
from fleet.fleet_config import FleetConfig
from fleet.frames.data import DataConfig
from fleet.rate_control import RateControlConfig
from server.calibration import CalibrationConfig
from server.collection import CollectionConfig
from server.costs import PriceConfig
from server.learning import CALIBRATED, RESTORED, LearningConfig
from server.restoration import RestorationConfig


class CampaignConfig(Config):
    """One collection: fleet, codec, budget, uplink, prices and learning. One config, one result."""

    name: str = Field("campaign", min_length=1, max_length=200)
    """What the campaign is called in its report."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Of all luck: drives, outages, losses, initial weights, crops."""
    data: DataConfig = DataConfig()
    """The frames."""
    codec: CodecConfig = BpgConfig()
    """What vehicles encode with."""
    also: list[CodecConfig] = Field(default_factory=list)
    """Further codecs, for a mixed fleet: vehicles take `codec` and these in turn, by their number."""
    budget: BudgetConfig
    """What each vehicle may spend."""
    rate_control: RateControlConfig = RateControlConfig()
    """How a vehicle finds the quality that fits."""
    fleet: FleetConfig = FleetConfig()
    """The vehicles."""
    calibration: CalibrationConfig | None = None
    """The calibration frames; null: none are sent. Domains R, M and B need them."""
    restoration: RestorationConfig | None = None
    """The restorer; null: nothing is restored. Domains R and M need it."""
    learning: LearningConfig = LearningConfig()
    """What is learned from what arrives."""
    prices: PriceConfig = PriceConfig()
    """What a unit of each quantity costs."""

    @model_validator(mode="after")
    def _qualities_on_scale(self) -> Self:
        scale = self.codec.build().scale
        for codec in self.codecs:
            try:
                self.rate_control.scale(codec.build().scale)
            except ValueError as error:
                where = f"{error} ({codec.name})" if self.also else str(error)
                raise ValueError(where) from None
        if self.learning.trains(frozenset("A")):
            self.learning.augmentation.scale(scale)
        for quality in (self.restoration and self.restoration.qualities) or ():
            try:
                scale.check(quality)
            except ValueError as error:
                raise ValueError(f"restoration.qualities: {error}") from None
        return self

    @model_validator(mode="after")
    def _fleet_can_be_mixed(self) -> Self:
        names = [codec.name for codec in self.codecs]
        if len(set(names)) < len(names):
            raise ValueError(f"also: names codec {max(names, key=names.count)} twice")
        if len(names) > self.fleet.vehicles:
            raise ValueError(f"also: {len(names)} codecs are more than fleet.vehicles has vehicles")
        if self.also and self.learning.uses(RESTORED):
            raise ValueError(
                "also: a restorer serves one codec, so a mixed fleet cannot have train domains R and M"
            )
        return self

    @model_validator(mode="after")
    def _burst_holds_a_grant(self) -> Self:
        grant = (self.budget.bits_per_hour or 0) * self.fleet.interval_ms // 3_600_000
        if (self.budget.burst or 0) < grant:
            raise ValueError(
                f"budget.burst_bits: must be at least a capture interval's grant, {grant} bits, "
                "or part of every grant is lost"
            )
        return self

    @model_validator(mode="after")
    def _domains_can_be_had(self) -> Self:
        learning, restoration = self.learning, self.restoration
        if learning.uses(RESTORED) and restoration is None:
            raise ValueError(
                "learning.configurations: domains R and M need a section restoration, which says "
                "how frames are restored (`restoration: {}` takes the defaults)"
            )
        if learning.uses(self.calibrated) and self.calibration is None:
            domains = "domain B needs" if self.calibrated == {"B"} else "domains R, M and B need"
            raise ValueError(
                f"learning.configurations: {domains} a section calibration, which says "
                "how many originals are sent (`calibration: {}` takes the defaults)"
            )
        return self

    @property
    def calibrated(self) -> frozenset[str]:
        """Domains that need calibration frames: where a trained restorer is given, B alone."""
        given = self.restoration is not None and self.restoration.weights is not None
        return CALIBRATED - RESTORED if given else CALIBRATED

    @property
    def collection(self) -> CollectionConfig:
        """The part that decides what is collected."""
        return CollectionConfig(self.fleet, self.budget, self.rate_control, self.codecs, self.seed)

    @property
    def codecs(self) -> tuple[CodecConfig, ...]:
        """All codecs of the fleet."""
        return (self.codec, *self.also)
