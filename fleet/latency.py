"""How long work took, as counts in fixed buckets: cheap to send, and those of many hosts add up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

BOUNDS_S: tuple[float, ...] = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0
)  # fmt: skip
"""Upper bounds of the buckets in seconds, each of them inside its bucket; one more takes the rest."""


def _empty() -> list[int]:
    return [0] * (len(BOUNDS_S) + 1)


@dataclass
class Latencies:
    """A histogram of durations. Wall clock: for those who look on, never part of a result.

    Attributes:
        counts: durations in each bucket, of BOUNDS_S and of what is longer.
        seconds: their sum.
    """

    counts: list[int] = field(default_factory=_empty)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many durations there are."""
        return sum(self.counts)

    def add(self, seconds: float) -> None:
        """Counts a duration."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds

    def merge(self, other: Latencies) -> None:
        """Counts all of another's durations too."""
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.seconds += other.seconds

    def copy(self) -> Latencies:
        """The same counts, which stay as they are now."""
        return Latencies(list(self.counts), self.seconds)


def merge_by_name(into: dict[str, Latencies], more: Mapping[str, Latencies]) -> None:
    """Adds histograms to those of the same name, such as a codec's."""
    for name, latencies in more.items():
        into.setdefault(name, Latencies()).merge(latencies)
