"""The drives: which frames each vehicle sees, in which order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fleet.frames.layout import FrameRef
from fleet.noise import uniform


class Drives:
    """The drives of a shard of vehicles.

    Vehicles are dealt to cities in turn, so that they differ. Those of one city start evenly spread
    over its frames, each with an offset of its own, and follow them in order, round and round.
    """

    def __init__(
        self, refs: Sequence[FrameRef], vehicles: NDArray[np.int64], fleet_size: int, seed: int
    ) -> None:
        """Lays out the drives.

        Args:
            refs: all train frames, sorted by id; at least one.
            vehicles: the shard's global vehicle numbers, int64 (V,).
            fleet_size: vehicles in the whole fleet.
            seed: the campaign's seed.
        """
        self._refs = refs
        cities = sorted({ref.city for ref in refs})
        number = {city: index for index, city in enumerate(cities)}
        city_of_frame = np.array([number[ref.city] for ref in refs])
        order = np.argsort(city_of_frame, kind="stable")
        counts = np.bincount(city_of_frame, minlength=len(cities))
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._order = order
        city = vehicles % len(cities)
        self._first, self._count = first[city], counts[city]
        # Vehicle k of a city's n starts k/n of the way along, plus up to 1/n by luck.
        peers = (fleet_size - city + len(cities) - 1) // len(cities)
        luck = uniform(seed, "drive", vehicles, 0)
        start = (vehicles // len(cities) + luck) / peers
        self.place = np.floor(start * self._count).astype(np.int64) % self._count

    def see(self, vehicle: int) -> FrameRef:
        """The frame before a vehicle (index in the shard) now."""
        return self._refs[int(self._order[self._first[vehicle] + self.place[vehicle]])]

    def move(self, vehicles: NDArray[np.int64]) -> None:
        """Moves vehicles (indices in the shard) one frame on."""
        self.place[vehicles] = (self.place[vehicles] + 1) % self._count[vehicles]
