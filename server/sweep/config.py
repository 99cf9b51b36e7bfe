"""A sweep's config: a campaign, which of its fields are varied, and how their values are searched."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationError, field_validator, model_validator

from fleet.config import Config
from server.campaign import CampaignConfig
from server.config_file import describe
from server.sweep.points import Point, settings_with

_MOST = 100_000
"""Campaigns of a sweep: more than anybody runs, fewer than fill a memory."""


class Range(Config):
    """Numbers from `low` to `high`, for searches that draw values."""

    low: float
    """The least."""
    high: float
    """The greatest."""
    log: bool = False
    """Whether values are drawn evenly on a logarithmic scale."""
    integer: bool = False
    """Whether only whole numbers are drawn."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("a range with log: true must begin above 0")
        if self.integer and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("a range with integer: true must have whole numbers for low and high")
        return self

    def at(self, share: float) -> float | int:
        """The value at a share in [0, 1] of the way from low to high."""
        # An integer has as much of the way as any other, the first and the last among them.
        low, high = (self.low - 0.5, self.high + 0.5) if self.integer else (self.low, self.high)
        value = low + (high - low) * share
        if self.log:
            low = max(low, 0.5) if self.integer else low
            value = low * math.exp(share * math.log(high / low))
        if self.integer:
            return int(min(self.high, max(self.low, round(value))))
        return min(self.high, max(self.low, value))


class Grid(Config):
    """Every value of each field with every value of the others."""

    kind: Literal["grid"] = "grid"


class LatinHypercube(Config):
    """Points that are spread evenly: so many as asked for, however many fields are varied."""

    kind: Literal["latin-hypercube"]
    points: int = Field(ge=1, le=_MOST)
    """How many points; each is run with every seed."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the points."""


class Optuna(Config):
    """Points chosen by Optuna (a tree-structured Parzen estimator with two objectives): those that it
    expects to be on the front of mIoU (of the campaign's first configuration) and total cost."""

    kind: Literal["optuna"]
    points: int = Field(ge=1, le=_MOST)
    """How many points; each is run with every seed, one after the other, and counts with its mean."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Of the choice."""


Search = Annotated[Grid | LatinHypercube | Optuna, Field(discriminator="kind")]


class SweepConfig(Config):
    """Many campaigns: one config, some fields varied, every combination with every seed."""

    name: str = Field("sweep", min_length=1, max_length=200)
    """What the sweep is called in its report."""
    campaign: CampaignConfig
    """What all campaigns have in common."""
    vary: dict[str, list[JsonValue] | Range]
    """Fields of the campaign, dotted, e.g. `fleet.vehicles`, each with a list of values (a section
    such as `codec` takes sections), or with a range for searches that draw from it."""
    search: Search = Grid()
    """Which combinations are run."""
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field([0], min_length=1)
    """Of the campaigns: drives, outages, losses, weights, crops."""
    parallel: int | None = Field(None, ge=1)
    """Campaigns that run at the same time at most; null: as many as the cluster holds."""

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: list[int]) -> list[int]:
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ValueError(f"names {seed} twice")
        return seeds

    @model_validator(mode="after")
    def _can_be_varied(self) -> Self:
        if not self.vary:
            raise ValueError("vary: must name at least one field, e.g. fleet.vehicles: [4, 8]")
        for field, values in self.vary.items():
            if field in ("seed", "name"):
                raise ValueError(f"vary.{field}: cannot be varied; give seeds: [0, 1, …] instead")
            if isinstance(values, Range):
                if isinstance(self.search, Grid):
                    raise ValueError(
                        f"vary.{field}: a grid needs a list of values; ranges are for search.kind "
                        "latin-hypercube and optuna"
                    )
                continue
            if not values:
                raise ValueError(f"vary.{field}: must have at least one value")
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"vary.{field}: has {value} twice")
        trainer = self.campaign.learning.trainer
        if trainer.workers > 1 or (
            self.campaign.restoration is not None and self.campaign.restoration.trainer.workers > 1
        ):
            # Ray Train reserves places of its own beside those that the trial holds: a wait for ever.
            raise ValueError(
                "campaign.…trainer.workers: a sweep trains on one worker a campaign, and runs more "
                "campaigns at a time instead; want 1"
            )
        return self

    @model_validator(mode="after")
    def _points_are_campaigns(self) -> Self:
        """All that can be known before: an unknown field, values that do not go together."""
        for field, values in self.vary.items():
            first = values.at(0.0) if isinstance(values, Range) else values[0]
            try:
                settings_with(self.campaign, {field: first})
            except ValueError as error:
                raise ValueError(f"vary.{field}: {error}") from None
        if self.count > _MOST:
            raise ValueError(f"vary: {self.count:,} campaigns are more than {_MOST:,}")
        for point in self.points():
            try:
                point.campaign(self.campaign)
            except ValidationError as error:
                raise ValueError(f"vary: at {point.label}: {describe(error)}") from None
        return self

    @property
    def count(self) -> int:
        """How many campaigns the sweep has."""
        if isinstance(self.search, Grid):
            sizes = [len(values) for values in self.vary.values() if isinstance(values, list)]
            return math.prod(sizes) * len(self.seeds)
        return self.search.points * len(self.seeds)

    def points(self) -> list[Point]:
        """The campaigns in the order in which they run; none where they are chosen on the way.

        Neighbours, which run side by side, differ by seed: they share few stages to wait for.
        """
        if isinstance(self.search, Optuna):
            return []
        if isinstance(self.search, Grid):
            lists = {
                field: values for field, values in self.vary.items() if isinstance(values, list)
            }
            combined = combinations(lists)
        else:
            combined = latin_hypercube(self.vary, self.search.points, self.search.seed)
        return [Point(values, seed) for values in combined for seed in self.seeds]


def combinations(lists: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Every value of each field with every value of the others."""
    combined: list[dict[str, Any]] = [{}]
    for field, values in lists.items():
        combined = [{**one, field: value} for one in combined for value in values]
    return combined


def latin_hypercube(
    vary: dict[str, list[JsonValue] | Range], points: int, seed: int
) -> list[dict[str, Any]]:
    """Points of a Latin hypercube (McKay et al. 1979): each field's values are used evenly.

    A list is divided evenly among its values.
    """
    from scipy.stats.qmc import LatinHypercube as Sampler

    shares = Sampler(len(vary), rng=seed).random(points)
    return [
        {
            field: values.at(float(share))
            if isinstance(values, Range)
            else values[min(int(share * len(values)), len(values) - 1)]
            for (field, values), share in zip(vary.items(), row, strict=True)
        }
        for row in shares
    ]
