"""Means over seeds with their 95 % intervals, by configuration and rate."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from server.report import units
from server.report.result import ORDER
from server.report.study.tables import Drop, Row, Study

# Student's t, 97.5 %, for up to ten degrees of freedom; beyond, the series in 1/n is exact to 0.1 %.
_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Rate:
    """One setting of one codec, and the rate it comes to."""

    codec: str
    quality: float
    bpp: float

    @property
    def text(self) -> str:
        """The rate as a person reads it."""
        return f"{units.significant(self.bpp, 2)} bpp"

    @property
    def setting(self) -> str:
        """The codec and its quality."""
        return f"{self.codec}, quality {units.plain(self.quality, 6)}"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; the interval is None where one seed ran."""

    mean: float
    half: float | None
    seeds: int

    @property
    def low(self) -> float:
        """The lower end of the interval, the mean where there is none."""
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        """The upper end of the interval, the mean where there is none."""
        return self.mean + (self.half or 0.0)

    @property
    def text(self) -> str:
        """The mean as a percentage, with half its interval."""
        mean = units.fixed(100 * self.mean, 1)
        return mean if self.half is None else f"{mean} ± {units.fixed(100 * self.half, 1)}"


def over_seeds(rows: Iterable[Row]) -> Estimate | None:
    """The mean mIoU of a few rows, each seed counted once, with Student's 95 % interval."""
    by_seed = defaultdict(list)
    for row in rows:
        by_seed[row.seed].append(row.miou)
    values = [statistics.fmean(by_seed[seed]) for seed in sorted(by_seed)]
    if not values:
        return None
    half = None
    if len(values) > 1:
        half = student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(statistics.fmean(values), half, len(values))


def student(freedom: int) -> float:
    """The 97.5 % point of Student's t."""
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    return 1.95996 + 2.3723 / freedom + 2.823 / freedom**2


class Estimates:
    """A study's rows by configuration, rate, restorer and share; all names in their order."""

    def __init__(self, study: Study) -> None:
        self._rows: dict[tuple[str, str, float, str | None], list[Row]] = defaultdict(list)
        for row in study.rows:
            self._rows[row.configuration, row.codec, row.quality, row.restorer].append(row)
        self._drops = {(d.codec, d.quality, d.quantity, d.restorer): d for d in study.drops}
        found = [r.restorer for table in (study.rows, study.curve, study.drops) for r in table]
        named = [name for name in (*study.facts.restorers, *found) if name is not None]
        self.restorers = sorted(dict.fromkeys(named), key=lambda name: name != "adversarial")
        """Every restorer, the adversarial one first."""
        self.rates = _rates(study)
        """Every rate, by codec, then bpp."""
        self.codecs = list(dict.fromkeys(rate.codec for rate in self.rates))
        """Every codec that anything was trained with."""
        self.measured = list(dict.fromkeys((*self.codecs, *(p.codec for p in study.curve))))
        """Every codec, those too that are only held against the others in rate and distortion."""
        present = {row.configuration for row in study.rows}
        self.configurations = [name for name in ORDER if name in present]
        evaluated = {r.restorer for r in study.rows if r.configuration == "RO"}
        self.restorer = next((name for name in self.restorers if name in evaluated), None)
        """The restorer that RO stands for where only one is shown; None if RO was not evaluated."""

    def of(self, codec: str) -> list[Rate]:
        """The rates of a codec, lowest first."""
        return [rate for rate in self.rates if rate.codec == codec]

    def rows(
        self, configuration: str, rate: Rate, restorer: str | None, share: float = 1.0
    ) -> list[Row]:
        """The rows of a configuration at a rate and a share, one for each seed."""
        rows = self._rows.get((configuration, rate.codec, rate.quality, restorer), [])
        return [row for row in rows if math.isclose(row.share, share)]

    def score(
        self, configuration: str, rate: Rate, restorer: str | None = None, share: float = 1.0
    ) -> Estimate | None:
        """The mIoU of a configuration at a rate."""
        return over_seeds(self.rows(configuration, rate, restorer, share))

    def originals(self, codec: str) -> Estimate | None:
        """The mIoU of OO, which every rate of a codec shares."""
        return over_seeds(r for rate in self.of(codec) for r in self.rows("OO", rate, None))

    def variants(self, configuration: str) -> list[str | None]:
        """The restorers that a configuration was evaluated with; None stands for without."""
        found = {restorer for name, _, _, restorer in self._rows if name == configuration}
        return [name for name in (None, *self.restorers) if name in found]

    def main(self, configuration: str) -> str | None:
        """The restorer that a configuration stands for where only one is shown."""
        variants = self.variants(configuration)
        return self.restorer if self.restorer in variants or not variants else variants[0]

    def drop(self, rate: Rate, quantity: str, restorer: str | None = None) -> Drop | None:
        """The row of `drops.parquet` for a quantity at a rate, if there is one.

        A row may name the restorer it holds for, or leave the name out where it is the main one.
        """
        named: list[str | None] = [restorer]
        if restorer is None:
            named += self.restorers
        elif restorer == self.restorer:
            named.append(None)
        keys = ((rate.codec, rate.quality, quantity, name) for name in named)
        return next((self._drops[key] for key in keys if key in self._drops), None)

    def quantities(self, codec: str) -> list[tuple[str, str | None]]:
        """Every quantity with its restorer that the drops of a codec hold, in their order."""
        found = {(name, restorer) for c, _, name, restorer in self._drops if c == codec}
        return sorted(found, key=lambda pair: (_place(pair[0]), pair[0], self._rank(pair[1])))

    def seeds(self) -> int:
        """How many seeds ran."""
        return len({row.seed for rows in self._rows.values() for row in rows})

    def _rank(self, restorer: str | None) -> int:
        return -1 if restorer is None else self.restorers.index(restorer)


QUANTITIES = (
    "drop", "information loss", "covariate shift", "won back", "share won back", "RO − AO",
    "RO − BO", "RO − MO", "adversarial − distortion-only",
)  # fmt: skip
"""What the drops measure, in the order of the page."""


def _place(quantity: str) -> int:
    return QUANTITIES.index(quantity) if quantity in QUANTITIES else len(QUANTITIES)


def _rates(study: Study) -> list[Rate]:
    """Every rate that anything was trained at: of the frames of the whole drive, or else of any."""
    found: dict[tuple[str, float], list[float]] = {}
    rows = [row for row in study.rows if row.bpp > 0]
    most = [r for r in rows if math.isclose(r.share, 1.0) and r.configuration[0] != "O"]
    for few in (most, rows):
        more: dict[tuple[str, float], list[float]] = defaultdict(list)
        for point in few:
            more[point.codec, point.quality].append(point.bpp)
        found = {**more, **found}
    names = [*study.facts.codecs, *(codec for codec, _ in found)]
    rates = [Rate(codec, q, statistics.fmean(bpp)) for (codec, q), bpp in found.items()]
    return sorted(rates, key=lambda rate: (names.index(rate.codec), rate.bpp, rate.quality))
