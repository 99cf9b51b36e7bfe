"""A study's config: a campaign, and what is varied of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from fleet.codecs import CodecConfig
from fleet.config import Config
from models.restorer_training_config import Objective
from server.campaign import CampaignConfig
from server.config_file import describe
from server.learning import RESTORED


def _distinct(values: list[Any]) -> list[Any]:
    """Raises ValueError for a value that is there twice."""
    for value in values:
        if values.count(value) > 1:
            named = f"{value:g}" if isinstance(value, float) else str(value)
            raise ValueError(f"names {named} twice")
    return values


class CodecQualities(Config):
    """A codec and some of its qualities."""

    codec: CodecConfig
    """The codec."""
    qualities: list[float] = Field(min_length=1)
    """On the codec's own scale."""

    _each_once = field_validator("qualities")(_distinct)


class Fewer(Config):
    """A collection with less driving, for accuracy against cost."""

    quality: float
    """One of the study's qualities."""
    share: float = Field(gt=0, lt=1)
    """Of the fleet's hours; what it comes to must be a whole number of ticks."""


class StudyConfig(Config):
    """The paper's experiments: which rates, restorers and seeds, over which campaign."""

    name: str = Field("study", min_length=1, max_length=200)
    """What the study is called in its report."""
    campaign: CampaignConfig
    """What all rates have in common. Its codec is the first one studied, and its
    `learning.configurations` are evaluated at each rate."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field([0, 1, 2], min_length=1)
    """Of the segmenters: initial weights and crops. Frames, calibration and restorer keep the
    campaign's seed, so that configurations are compared seed by seed."""
    qualities: list[float] = Field(min_length=1)
    """Of the campaign's codec: every frame of a collection is encoded at one of them, so the bit
    budget must leave room."""
    also: list[CodecQualities] = Field(default_factory=list)
    """Further codecs that are studied in full, each with a restorer of its own."""
    restorers: list[Objective] = Field(["adversarial", "distortion-only"], min_length=1)
    """Objectives of the restorers; the first is evaluated in all configurations, the others in those
    that train on R."""
    fewer: list[Fewer] = Field(default_factory=list)
    """Collections with less driving, evaluated in CO and RO only."""
    compare: list[CodecQualities] = Field(default_factory=list)
    """Codecs that are only held against the others in rate and distortion."""
    parallel: int | None = Field(None, ge=1)
    """Campaigns that run at the same time; null: as many as the cluster's CPUs can train."""

    _each_once = field_validator("seeds", "qualities", "restorers")(_distinct)

    @model_validator(mode="after")
    def _runs(self) -> Self:
        restoration = self.campaign.restoration
        if restoration is not None and restoration.weights is not None:
            raise ValueError(
                "campaign.restoration.weights: a study trains its restorers; want null"
            )
        fields = [("qualities", one) for one in self.codecs[:1]]
        fields += [("also", one) for one in self.also] + [("compare", one) for one in self.compare]
        for field, one in fields:
            for quality in one.qualities:
                try:
                    one.codec.build().scale.check(quality)
                except ValueError as error:
                    raise ValueError(f"{field}: {one.codec.name} {error}") from None
        known = {one.codec.name for one in self.also} | {self.campaign.codec.name}
        if len(known) <= len(self.also):
            raise ValueError("also: names a codec twice")
        for index, less in enumerate(self.fewer):
            if less in self.fewer[:index]:
                raise ValueError(
                    f"fewer: names quality {less.quality:g} with share {less.share:g} twice"
                )
            if less.quality not in self.qualities:
                raise ValueError(
                    f"fewer: quality {less.quality:g} is none of the study's qualities"
                )
        for job in self.jobs():
            try:
                job.campaign(self)
            except ValidationError as error:
                at = f"{job.codec.name} at quality {job.quality:g}"
                if job.share < 1:
                    at = f"fewer: quality {job.quality:g}, share {job.share:g}"
                raise ValueError(f"{at}: {describe(error)}") from None
        return self

    @property
    def codecs(self) -> list[CodecQualities]:
        """The codecs that are studied in full."""
        return [CodecQualities(codec=self.campaign.codec, qualities=self.qualities), *self.also]

    @property
    def restores(self) -> bool:
        """Whether any configuration needs a restorer."""
        return self.campaign.learning.uses(RESTORED)

    def jobs(self) -> list[Job]:
        """The campaigns of the study.

        Ordered so that neighbours, which run side by side, share as few stages as may be.
        """
        names = list(self.campaign.learning.configurations)
        first, *others = self.restorers if self.restores else [None]
        restored = [name for name in names if name[0] == "R"]
        jobs = [
            Job(one.codec, quality, 1.0, first, seed, tuple(names))
            for one in self.codecs
            for quality in one.qualities
            for seed in self.seeds
        ]
        jobs += [
            Job(one.codec, quality, 1.0, objective, seed, tuple(restored))
            for objective in others
            for one in self.codecs
            for quality in one.qualities
            for seed in self.seeds
            if restored
        ]
        fewer = tuple(name for name in names if name in ("CO", "RO"))
        jobs += [
            Job(self.campaign.codec, less.quality, less.share, first, seed, fewer)
            for less in self.fewer
            for seed in self.seeds
            if fewer
        ]
        return jobs


@dataclass(frozen=True)
class Job:
    """One campaign of a study.

    Attributes:
        codec: the codec.
        quality: that all frames are encoded at.
        share: of the fleet's hours.
        restorer: its objective; None where nothing is restored.
        seed: of the segmenters.
        configurations: what the job is for; more may be evaluated to measure by.
    """

    codec: CodecConfig
    quality: float
    share: float
    restorer: Objective | None
    seed: int
    configurations: tuple[str, ...]

    @property
    def label(self) -> str:
        """What progress and errors call it."""
        share = f" {100 * self.share:g} %" if self.share < 1 else ""
        restorer = f" {self.restorer}" if self.restorer else ""
        return f"{self.codec.name} {self.quality:g}{share} seed {self.seed}{restorer}"

    def campaign(self, study: StudyConfig) -> CampaignConfig:
        """The campaign's config.

        Raises:
            ValidationError: the study's values do not go with the campaign's.
        """
        base = study.campaign
        qualities = next(one.qualities for one in study.codecs if one.codec.name == self.codec.name)
        values = base.model_dump(mode="json")
        values["name"] = f"{study.name}: {self.label}"
        values["codec"] = self.codec.model_dump(mode="json")
        values["rate_control"] |= {"coarsest": self.quality, "finest": self.quality}
        if self.share < 1:
            values["fleet"]["hours"] = base.fleet.hours * self.share
        values["learning"] |= {
            "seed": self.seed,
            # The distance between domains is told by the segmenter of O.
            "configurations": list(dict.fromkeys((*self.configurations, *_reference(self, base)))),
        }
        if values["restoration"] is not None and self.restorer is not None:
            values["restoration"]["training"]["objective"] = self.restorer
            if values["restoration"]["qualities"] is None:
                values["restoration"]["qualities"] = qualities
        return CampaignConfig.model_validate_json(json.dumps(values))


def _reference(job: Job, base: CampaignConfig) -> tuple[str, ...]:
    there = job.share == 1 and "OO" in base.learning.configurations
    return ("OO",) if there else ()
