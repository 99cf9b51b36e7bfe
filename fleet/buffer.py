"""The on-board buffers of a shard of vehicles: bounded queues of bitstreams that wait for the link."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """One bounded first-in-first-out queue a vehicle, as rings in numpy arrays.

    Only sizes and ids live here: an entry's id is an integer that its owner knows the bitstream by.

    Attributes:
        count: entries of each vehicle, int64 (V,).
        held_bytes: bytes of all entries of each vehicle, int64 (V,).
        backlog: bits of each vehicle that still have to go on the wire, int64 (V,).
    """

    def __init__(self, vehicles: int, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        # Rings start small and grow together, so that a million vehicles cost what they use.
        self._size = np.zeros((vehicles, min(4, max_frames)), np.int64)  # bytes
        self._entry = np.zeros_like(self._size)
        self._head = np.zeros(vehicles, np.int64)
        self._rest = np.zeros(vehicles, np.int64)  # bits of the head entry not sent yet
        self.count = np.zeros(vehicles, np.int64)
        self.held_bytes = np.zeros(vehicles, np.int64)
        self.backlog = np.zeros(vehicles, np.int64)

    def has_room(self, vehicle: int, size: int) -> bool:
        """Whether an entry of `size` bytes fits a vehicle's buffer now."""
        return bool(
            self.count[vehicle] < self._max_frames
            and self.held_bytes[vehicle] + size <= self._max_bytes
        )

    def can_make_room(self, vehicle: int, size: int) -> bool:
        """Whether an entry of `size` bytes would fit if all that is not being sent were dropped."""
        _, head = self.head(vehicle)
        started = self.sent_of_head[vehicle] > 0
        kept = head if started else 0
        return kept + size <= self._max_bytes and int(started) < self._max_frames

    def push(self, vehicle: int, entry: int, size: int) -> None:
        """Appends an entry; there must be room."""
        if self.count[vehicle] == self._size.shape[1]:
            self._grow()
        at = (self._head[vehicle] + self.count[vehicle]) % self._size.shape[1]
        self._size[vehicle, at], self._entry[vehicle, at] = size, entry
        if self.count[vehicle] == 0:
            self._rest[vehicle] = 8 * size
        self.count[vehicle] += 1
        self.held_bytes[vehicle] += size
        self.backlog[vehicle] += 8 * size

    def drop_oldest(self, vehicle: int) -> int | None:
        """Drops the oldest entry of which nothing was sent yet; its id, or None if there is none."""
        ring = self._size.shape[1]
        head = int(self._head[vehicle])
        started = self.count[vehicle] > 0 and self._rest[vehicle] < 8 * self._size[vehicle, head]
        skip = int(started)
        if self.count[vehicle] <= skip:
            return None
        at = (head + skip) % ring
        entry, size = int(self._entry[vehicle, at]), int(self._size[vehicle, at])
        if started:
            # The entry being sent moves up over the dropped one.
            self._size[vehicle, at] = self._size[vehicle, head]
            self._entry[vehicle, at] = self._entry[vehicle, head]
            self._head[vehicle] = at
            self.count[vehicle] -= 1
        else:
            self._advance(np.array([vehicle]))
        self.held_bytes[vehicle] -= size
        self.backlog[vehicle] -= 8 * size
        return entry

    def send(self, most: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Puts bits of the head entries on the wire.

        Args:
            most: bits that each vehicle may send now, int64 (V,).

        Returns:
            Bits sent by each vehicle, int64 (V,), and the vehicles whose head entry is now sent
            whole; :meth:`pop` or :meth:`again` must follow for each of those.
        """
        sent = np.where(self.count > 0, np.minimum(self._rest, most), 0)
        self._rest -= sent
        self.backlog -= sent
        return sent, np.flatnonzero((sent > 0) & (self._rest == 0))

    def head(self, vehicle: int) -> tuple[int, int]:
        """(entry id, size in bytes) of a vehicle's head entry."""
        at = self._head[vehicle]
        return int(self._entry[vehicle, at]), int(self._size[vehicle, at])

    def pop(self, vehicle: int) -> None:
        """Removes a head entry that is sent whole."""
        self.held_bytes[vehicle] -= self._size[vehicle, self._head[vehicle]]
        self._advance(np.array([vehicle]))

    def again(self, vehicle: int) -> None:
        """Puts a head entry that is sent whole back to be sent from its first bit."""
        bits = 8 * self._size[vehicle, self._head[vehicle]]
        self._rest[vehicle] = bits
        self.backlog[vehicle] += bits

    @property
    def sent_of_head(self) -> NDArray[np.int64]:
        """Bits of each vehicle's head entry that are on the wire already, int64 (V,)."""
        rows = np.arange(len(self.count))
        return np.where(self.count > 0, 8 * self._size[rows, self._head] - self._rest, 0)

    def _advance(self, vehicles: NDArray[np.int64]) -> None:
        self._head[vehicles] = (self._head[vehicles] + 1) % self._size.shape[1]
        self.count[vehicles] -= 1
        self._rest[vehicles] = np.where(
            self.count[vehicles] > 0, 8 * self._size[vehicles, self._head[vehicles]], 0
        )

    def _grow(self) -> None:
        """Doubles every ring, its head moved to place 0."""
        ring = self._size.shape[1]
        places = (self._head[:, None] + np.arange(ring)) % ring
        wider = min(2 * ring, self._max_frames)
        for name in ("_size", "_entry"):
            grown = np.zeros((len(self.count), wider), np.int64)
            grown[:, :ring] = np.take_along_axis(getattr(self, name), places, axis=1)
            setattr(self, name, grown)
        self._head[:] = 0
