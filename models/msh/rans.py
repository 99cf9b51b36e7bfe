"""An entropy coder for integers: range asymmetric numeral systems, compiled, with adaptive tables.

Each value is coded with the table that its index names. Encoder and decoder are integer arithmetic alone:
the same bytes on every machine. A decoder never reads beyond the bytes that it was given, and knows when
they are not what an encoder wrote: it must end where the encoder began.

J. Duda, "Asymmetric numeral systems" (arXiv 1311.2540); 63-bit state, 32-bit words, 16-bit probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

PRECISION = 16
"""Bits of a probability: those of a table sum to 1 << PRECISION."""
OVERHEAD_BITS = 64
"""What a stream takes at most beyond the cost of its values; at least half of it."""
VALUE_LIMIT = 32_767
"""Values are within ± this."""

_TOTAL = 1 << PRECISION
_LOWEST = 1 << 31
"""The state is within [_LOWEST, _LOWEST << 32), and begins as _LOWEST."""
_RAW_BITS = 9
"""A value outside of its table is told by an escape and two groups of so many bits."""
_RAW_MASK = (1 << _RAW_BITS) - 1

Ints = NDArray[np.int32]


class DamagedStream(ValueError):
    """The bytes are not what the encoder wrote. One line."""


@dataclass(frozen=True)
class Tables:
    """Probability tables, end to end.

    Table k holds the values offsets[k] … offsets[k] + lengths[k] − 2 and, as the last, an escape for all
    others.

    Attributes:
        cumulative: of all tables, int32: lengths[k] + 1 entries for table k, from 0 to 1 << PRECISION,
            rising.
        lengths: of each table, ≥ 2, escape included, int32.
        offsets: the first value of each table, int32.
    """

    cumulative: Ints
    lengths: Ints
    offsets: Ints

    def __post_init__(self) -> None:
        """Raises ValueError for tables that no coder could work with."""
        sizes = self.lengths.astype(np.int64) + 1
        whole = len(self.lengths) == len(self.offsets) > 0 and int(self.lengths.min()) >= 2
        if not whole or sizes.sum() != len(self.cumulative):
            raise ValueError("entropy tables: lengths and entries do not fit")
        steps = np.diff(self.cumulative.astype(np.int64))
        ends = np.cumsum(sizes)
        inner = np.ones(len(steps), bool)
        inner[ends[:-1] - 1] = False  # from one table's end to the next one's start
        firsts, lasts = self.cumulative[self.starts], self.cumulative[ends - 1]
        if (steps[inner] < 1).any() or firsts.any() or (lasts != _TOTAL).any():
            raise ValueError(f"entropy tables: must rise from 0 to {_TOTAL}")
        if np.abs(self.offsets.astype(np.int64)).max() > VALUE_LIMIT:
            raise ValueError("entropy tables: offsets are too large")

    @cached_property
    def starts(self) -> Ints:
        """Where each table begins in `cumulative`, int32."""
        sizes = self.lengths + 1
        starts: Ints = (np.cumsum(sizes) - sizes).astype(np.int32)
        return starts

    @cached_property
    def bits(self) -> NDArray[np.float32]:
        """What each entry costs in bits, raw bits of an escape included; laid out as `cumulative`."""
        widths = np.diff(self.cumulative.astype(np.float64), append=_TOTAL)
        ends = self.starts + self.lengths
        widths[ends] = _TOTAL  # no entry: the end of a table
        bits = PRECISION - np.log2(widths)
        bits[ends - 1] += 2 * _RAW_BITS
        rounded: NDArray[np.float32] = bits.astype(np.float32)
        return rounded

    def entries(self, values: Ints, indexes: Ints) -> NDArray[np.int32]:
        """Where in `cumulative` and `bits` the values stand; those outside of a table at its escape."""
        places = values - self.offsets[indexes]
        last = self.lengths[indexes] - 1
        outside = (places < 0) | (places >= last)
        entries: NDArray[np.int32] = self.starts[indexes] + np.where(outside, last, places)
        return entries


def encode(values: Ints, indexes: Ints, tables: Tables) -> bytes:
    """The bytes of a sequence of values; never empty.

    Args:
        values: int32 (n,), within ± VALUE_LIMIT.
        indexes: of each value's table, int32 (n,).
        tables: the tables.
    """
    words = np.empty(2 * len(values) + 2, np.uint32)
    written = _encode(
        values, indexes, tables.cumulative, tables.starts, tables.lengths, tables.offsets, words
    )
    return words[:written][::-1].astype("<u4").tobytes()


class Decoder:
    """Reads a sequence of values, part by part, in the order in which they were encoded."""

    def __init__(self, stream: bytes, tables: Tables) -> None:
        """Takes the encoder's bytes.

        Raises:
            DamagedStream: too short, of a broken length, or with a state that no encoder leaves.
        """
        if len(stream) < 8 or len(stream) % 4:
            raise DamagedStream(f"an entropy-coded part of {len(stream)} bytes cannot be whole")
        self._words = np.frombuffer(stream, "<u4").astype(np.uint32)
        self._tables = tables
        state = (int(self._words[0]) << 32) | int(self._words[1])
        if not _LOWEST <= state < _LOWEST << 32:
            raise DamagedStream("the entropy-coded part begins with an impossible state")
        self._state = np.array([state, 2], np.int64)

    def read(self, indexes: Ints) -> Ints:
        """The next values, int32 (n,).

        Args:
            indexes: of each value's table, int32 (n,).

        Raises:
            DamagedStream: the bytes end too early, or hold a value that no encoder writes.
        """
        values, tables = np.empty(len(indexes), np.int32), self._tables
        fine = _decode(
            indexes, tables.cumulative, tables.starts, tables.lengths, tables.offsets,
            self._words, self._state, values,
        )  # fmt: skip
        if not fine:
            raise DamagedStream("the entropy-coded part ends too early, or is damaged")
        return values

    def finish(self) -> None:
        """Raises DamagedStream unless all was read and the decoder is where the encoder began."""
        if int(self._state[0]) != _LOWEST or int(self._state[1]) != len(self._words):
            raise DamagedStream(
                "the entropy-coded part is damaged: it does not end where it should"
            )


@njit(cache=True, nogil=True)
def _encode(
    values: Any,
    indexes: Any,
    cumulative: Any,
    starts: Any,
    lengths: Any,
    offsets: Any,
    words: Any,
) -> int:
    """Writes words, last first; gives how many. Values go in backwards, as they come out forwards."""
    state = np.int64(_LOWEST)
    written = 0
    for place in range(len(values) - 1, -1, -1):
        index = indexes[place]
        symbol = values[place] - offsets[index]
        last = lengths[index] - 1
        if symbol < 0 or symbol >= last:
            excess = -symbol - 1 if symbol < 0 else symbol - last
            raw = 2 * excess + (1 if symbol < 0 else 0)
            for part in range(2):
                bits = (raw >> (_RAW_BITS * part)) & _RAW_MASK
                # As a symbol of 1 << (PRECISION − _RAW_BITS) out of 1 << PRECISION.
                if state >= np.int64(1) << (PRECISION - _RAW_BITS + 47):
                    words[written] = state & 0xFFFFFFFF
                    written += 1
                    state >>= 32
                state = (state << _RAW_BITS) | bits
            symbol = last
        entry = starts[index] + symbol
        low = np.int64(cumulative[entry])
        width = np.int64(cumulative[entry + 1]) - low
        if state >= width << 47:
            words[written] = state & 0xFFFFFFFF
            written += 1
            state >>= 32
        state = ((state // width) << PRECISION) + state % width + low
    words[written] = state & 0xFFFFFFFF
    words[written + 1] = state >> 32
    return written + 2


@njit(cache=True, nogil=True)
def _decode(
    indexes: Any,
    cumulative: Any,
    starts: Any,
    lengths: Any,
    offsets: Any,
    words: Any,
    kept: Any,
    values: Any,
) -> bool:
    """Fills `values`, moves `kept` (state, words read) on; False where the bytes cannot be right."""
    state, read = kept[0], kept[1]
    for place in range(len(indexes)):
        index = indexes[place]
        slot = state & (_TOTAL - 1)
        start = starts[index]
        last = lengths[index] - 1
        low, high = start, start + last  # the entry is one of low … high
        while low < high:
            middle = (low + high + 1) >> 1
            if cumulative[middle] <= slot:
                low = middle
            else:
                high = middle - 1
        begin = np.int64(cumulative[low])
        width = np.int64(cumulative[low + 1]) - begin
        state = width * (state >> PRECISION) + slot - begin
        if state < _LOWEST:
            if read >= len(words):
                return False
            state = (state << 32) | np.int64(words[read])
            read += 1
        symbol = np.int64(low - start)
        if symbol == last:
            raw = np.int64(0)
            for _ in range(2):
                raw = (raw << _RAW_BITS) | (state & _RAW_MASK)
                state >>= _RAW_BITS
                if state < _LOWEST:
                    if read >= len(words):
                        return False
                    state = (state << 32) | np.int64(words[read])
                    read += 1
            excess = raw >> 1
            symbol = -excess - 1 if raw & 1 else last + excess
        value = symbol + offsets[index]
        if value < -VALUE_LIMIT or value > VALUE_LIMIT:
            return False
        values[place] = value
    kept[0], kept[1] = state, read
    return True
