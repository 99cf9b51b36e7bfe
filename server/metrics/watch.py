"""The latest figures of each campaign that a process runs; a scrape reads them, campaigns write them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from models.training_config import StepReport
from server.collection import FleetState
from server.decoding import DecodeState
from server.figures import CostSoFar, Evaluated, Figures
from server.metrics.families import CampaignFigures, StageFigures, campaign_families, run_families

_KEPT = 8
"""Campaigns with no running stage whose figures stay. Prometheus remembers those before them."""


class Watch:
    """All campaigns of one process, as a Prometheus collector on a registry of its own.

    Safe to be told and read from several threads. Its series do not grow with vehicles, frames or
    time; of a study's campaigns, only those at work and the last few that were have any.

    Attributes:
        registry: what an endpoint serves.
        reads: how often the figures have been read.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.reads = 0
        self._guard = threading.RLock()
        self._campaigns: dict[str, CampaignWatch] = {}
        self._asked, self._done, self._study = 0, 0, ""

    def expect(self, campaigns: int, study: str = "") -> None:
        """Tells how many campaigns there will be in all, and of which study, if of any."""
        self._asked, self._study = campaigns, study

    def campaign(self, name: str) -> CampaignWatch:
        """What the campaign of that name tells its progress to: the same for the same name."""
        full = f"{self._study}: {name}" if self._study else name
        with self._guard:
            return self._campaigns.get(full) or CampaignWatch(self, full)

    def finished(self) -> None:
        """Tells that a campaign is through."""
        with self._guard:
            self._done += 1

    def collect(self) -> Iterator[Metric]:
        """All metric families, as they are now; called by the registry."""
        with self._guard:
            families = [
                *run_families(self._asked, self._done),
                *campaign_families({name: each.figures for name, each in self._campaigns.items()}),
            ]
        yield from families
        self.reads += 1

    @contextmanager
    def told(self, campaign: CampaignWatch) -> Iterator[CampaignFigures]:
        """A campaign's figures, to be changed while nobody reads them."""
        with self._guard:
            self._campaigns[campaign.name] = campaign
            yield campaign.figures
            campaign.figures.told = time.time()
            idle = [each for each in self._campaigns.values() if not each.figures.running]
            idle.sort(key=lambda each: each.figures.told)
            for each in idle[: max(0, len(idle) - _KEPT)]:
                del self._campaigns[each.name]


@dataclass
class CampaignWatch:
    """One campaign's latest figures; a `server.progress.Teller`."""

    _watch: Watch
    name: str
    figures: CampaignFigures = field(default_factory=CampaignFigures)
    _stage: str = ""

    def start(self, stage: str) -> None:
        """Begins a stage."""
        with self._watch.told(self) as latest:
            self._stage = stage
            latest.stages[stage] = StageFigures(time.monotonic())

    def update(self, share: float, details: str) -> None:
        """Tells how far the running stage is: a share in [0, 1]."""
        with self._watch.told(self) as latest:
            latest.stages[self._stage].share = share

    def observe(self, figures: Figures) -> None:
        """Takes figures of the running stage in place of those before."""
        with self._watch.told(self) as latest:
            match figures:
                case FleetState():
                    latest.fleets[self._stage] = figures
                case DecodeState():
                    latest.decoding = figures
                case StepReport():
                    latest.steps[self._stage] = figures
                case Evaluated():
                    latest.miou[figures.configuration] = figures.miou
                case CostSoFar():
                    latest.cost = figures

    def end(self, details: str, reused: bool = False) -> None:
        """Ends the running stage."""
        with self._watch.told(self) as latest:
            stage = latest.stages[self._stage]
            stage.share, stage.ended = 1.0, time.monotonic()
            latest.ended["found" if reused else "made"] += 1
