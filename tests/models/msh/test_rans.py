"""The entropy coder: exact round trips, sizes near the entropy, and no faith in the bytes it is given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.msh.export import _cumulative, _gaussian
from models.msh.rans import OVERHEAD_BITS, VALUE_LIMIT, DamagedStream, Decoder, Tables, encode


def gaussian_tables(scales: list[float]) -> Tables:
    made = [_gaussian(scale) for scale in scales]
    cumulative = [_cumulative(probabilities) for _, probabilities in made]
    return Tables(
        np.concatenate(cumulative),
        np.array([len(one) - 1 for one in cumulative], np.int32),
        np.array([first for first, _ in made], np.int32),
    )


def read_all(stream: bytes, indexes: np.ndarray) -> np.ndarray:
    decoder = Decoder(stream, TABLES)
    values = decoder.read(indexes)
    decoder.finish()
    return values


SCALES = [0.11, 0.5, 2.0, 30.0, 256.0]
TABLES = gaussian_tables(SCALES)


def sample(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, len(SCALES), count).astype(np.int32)
    values = np.rint(rng.normal(0, np.array(SCALES)[indexes])).astype(np.int32)
    return values, indexes


@given(
    st.lists(
        st.tuples(st.integers(-VALUE_LIMIT, VALUE_LIMIT), st.integers(0, len(SCALES) - 1)),
        max_size=60,
    )
)
@settings(deadline=None)
def test_any_values_come_back(pairs: list[tuple[int, int]]) -> None:
    values = np.array([value for value, _ in pairs], np.int32)
    indexes = np.array([index for _, index in pairs], np.int32)
    decoder = Decoder(encode(values, indexes, TABLES), TABLES)
    assert np.array_equal(decoder.read(indexes), values)
    decoder.finish()


def test_read_in_parts_it_is_the_same() -> None:
    values, indexes = sample(5000, 1)
    decoder = Decoder(encode(values, indexes, TABLES), TABLES)
    parts = [decoder.read(indexes[start : start + 700]) for start in range(0, 5000, 700)]
    decoder.finish()
    assert np.array_equal(np.concatenate(parts), values)


def test_it_takes_hardly_more_than_the_entropy() -> None:
    values, indexes = sample(100_000, 2)
    bits = 8 * len(encode(values, indexes, TABLES))
    told = float(TABLES.bits[TABLES.entries(values, indexes)].sum())
    assert told + OVERHEAD_BITS - 33 <= bits <= told + OVERHEAD_BITS + 1
    scales = np.array(SCALES)[indexes]
    from scipy.stats import norm

    mass = norm.cdf((values + 0.5) / scales) - norm.cdf((values - 0.5) / scales)
    ideal = -np.log2(np.maximum(mass, 1e-9)).sum()
    assert bits < 1.003 * ideal


def test_the_bytes_are_always_the_same() -> None:
    """What was written once must be read for ever: these bytes are part of the format."""
    values = np.array([0, 1, -1, 5, 300, -VALUE_LIMIT, 0, 0], np.int32)
    indexes = np.array([0, 1, 1, 2, 3, 4, 0, 0], np.int32)
    tables = Tables(
        np.array([0, 60000, 65000, 65536, 0, 1, 2, 65536, 0, 9, 30, 65000, 65536,
                  0, 30000, 65536, 0, 65535, 65536], np.int32),
        np.array([3, 3, 4, 2, 2], np.int32),
        np.array([0, -1, 4, 299, 7], np.int32),
    )  # fmt: skip
    stream = encode(values, indexes, tables)
    assert stream.hex() == EXPECTED
    assert np.array_equal(Decoder(stream, tables).read(indexes), values)


EXPECTED = "03000000267b84a90000001cc0c0430e8016009a"


@pytest.mark.parametrize("stream", [b"", b"abc", b"abcdefg", bytes(8), b"\xff" * 8, bytes(11)])
def test_no_stream_at_all_is_refused(stream: bytes) -> None:
    with pytest.raises(DamagedStream):
        Decoder(stream, TABLES)


def test_truncated_streams_never_pass() -> None:
    values, indexes = sample(400, 3)
    stream = encode(values, indexes, TABLES)
    for length in range(8, len(stream), 4):
        with pytest.raises(DamagedStream):
            read_all(stream[:length], indexes)


def test_damage_never_reads_beyond_the_bytes() -> None:
    """Damage is either found here, or decodes to values of the right number and range."""
    values, indexes = sample(300, 4)
    stream = bytearray(encode(values, indexes, TABLES))
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(3000):
        bad = bytearray(stream)
        for place in rng.integers(0, len(bad), rng.integers(1, 4)):
            bad[place] ^= int(rng.integers(1, 256))
        try:
            got = read_all(bytes(bad), indexes)
        except DamagedStream:
            found += 1
            continue
        assert len(got) == len(indexes)
        assert np.abs(got).max() <= VALUE_LIMIT
    assert found > 2900


@pytest.mark.parametrize(
    ("cumulative", "lengths", "offsets"),
    [
        ([0, 1, 65535], [2], [0]),
        ([0, 0, 65536], [2], [0]),
        ([1, 2, 65536], [2], [0]),
        ([0, 65536], [1], [0]),
        ([0, 5, 65536], [3], [0]),
        ([0, 5, 65536], [2], [40_000]),
        ([0, 5, 65536], [2], []),
    ],
)
def test_tables_that_no_coder_could_use_are_refused(
    cumulative: list[int], lengths: list[int], offsets: list[int]
) -> None:
    with pytest.raises(ValueError, match="entropy tables"):
        Tables(*(np.array(one, np.int32) for one in (cumulative, lengths, offsets)))
