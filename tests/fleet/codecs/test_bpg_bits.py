"""Bit fields, Exp-Golomb, ue7 and emulation prevention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.codecs.bpg.bits import BitReader, BitWriter, escape, read_ue7, unescape, write_ue7
from fleet.errors import BitstreamError

U32 = st.integers(0, (1 << 32) - 1)


@given(U32)
def test_ue7_round_trips_in_its_shortest_form(value: int) -> None:
    data = write_ue7(value)
    assert read_ue7(data + b"\xff", 0) == (value, len(data))
    assert data[0] != 0x80
    assert len(data) == max(1, -(-value.bit_length() // 7))
    with pytest.raises(BitstreamError, match="shortest"):
        read_ue7(b"\x80" + data, 0)
    for end in range(len(data)):
        with pytest.raises(BitstreamError, match="ends early"):
            read_ue7(data[:end], 0)


@pytest.mark.parametrize(
    ("data", "value"), [(b"\x08", 8), (b"\x84\x1e", 542), (b"\xac\xbe\x17", 728855)]
)
def test_ue7_has_the_specifications_examples(data: bytes, value: int) -> None:
    assert write_ue7(value) == data
    assert read_ue7(data, 0) == (value, len(data))


@pytest.mark.parametrize("data", [b"\xff" * 5, b"\x90\x80\x80\x80\x00", b"\xff" * 40])
def test_ue7_refuses_more_than_32_bits(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="32 bits"):
        read_ue7(data, 0)


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_what_does_not_fit_is_not_written(value: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        write_ue7(value)
    with pytest.raises(ValueError, match="outside"):
        BitWriter().ue(value)
    with pytest.raises(ValueError, match="fit"):
        BitWriter().u(32, value)


@given(st.lists(st.tuples(st.sampled_from("uef"), st.integers(0, (1 << 31) - 1))))
def test_fields_round_trip(fields: list[tuple[str, int]]) -> None:
    writer = BitWriter()
    for kind, value in fields:
        if kind == "u":
            writer.u(31, value)
        elif kind == "e":
            writer.ue(value)
        else:
            writer.flag(bool(value & 1))
    writer.trailing()
    reader = BitReader(writer.bytes())
    for kind, value in fields:
        if kind == "u":
            assert reader.u(31) == value
        elif kind == "e":
            assert reader.ue() == value
        else:
            assert reader.flag() == bool(value & 1)
    assert reader.flag()
    assert reader.u(reader.remaining()) == 0
    with pytest.raises(BitstreamError, match="ends early"):
        reader.u(1)


@pytest.mark.parametrize(("value", "bits"), [(0, "1"), (1, "010"), (2, "011"), (6, "00111")])
def test_exp_golomb_has_the_standards_examples(value: int, bits: str) -> None:
    writer = BitWriter()
    writer.ue(value)
    writer.align()
    assert writer.bytes() == bytes([int(bits.ljust(8, "0"), 2)])


def test_exp_golomb_of_zeros_ends() -> None:
    with pytest.raises(BitstreamError, match="too long"):
        BitReader(bytes(64)).ue()


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255])).map(bytes))
def test_emulation_prevention_round_trips_and_leaves_no_start_code(rbsp: bytes) -> None:
    payload = escape(rbsp)
    assert unescape(payload) == rbsp
    for code in (b"\0\0\0", b"\0\0\1", b"\0\0\2"):
        assert code not in payload
