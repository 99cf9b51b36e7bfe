"""Bit-level reading and writing: fixed-length codes, Exp-Golomb, ue7, emulation prevention."""

from __future__ import annotations

from fleet.errors import BitstreamError

_UE_MAX_ZEROS = 32
"""HEVC clause 9.2 has no ue(v) syntax element above 2³² − 2."""

_UE7_MAX_BYTES = 5
"""Every ue7 of the BPG header is at most 32 bits long, hence at most five 7-bit groups."""


class BitReader:
    """Reads bit fields, most significant bit first, of a short byte string.

    Meant for headers: the bytes are held as one integer, so that reading is simple rather than
    fast. Reading past the end raises BitstreamError.
    """

    def __init__(self, data: bytes, what: str = "header") -> None:
        """Starts at the first bit of `data`; `what` names the data in errors."""
        self._value = int.from_bytes(data, "big")
        self._length = 8 * len(data)
        self._what = what
        self.position = 0
        """Index of the next bit."""

    def u(self, bits: int) -> int:
        """An unsigned integer of `bits` bits."""
        end = self.position + bits
        if end > self._length:
            raise BitstreamError(f"{self._what} ends early")
        self.position = end
        return (self._value >> (self._length - end)) & ((1 << bits) - 1)

    def flag(self) -> bool:
        """One bit."""
        return self.u(1) == 1

    def ue(self) -> int:
        """An unsigned 0-th order Exp-Golomb code (HEVC clause 9.2)."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros >= _UE_MAX_ZEROS:
                raise BitstreamError(f"{self._what} holds an Exp-Golomb code that is too long")
        return (1 << zeros) - 1 + self.u(zeros)

    def remaining(self) -> int:
        """Number of bits not read yet."""
        return self._length - self.position


class BitWriter:
    """Writes bit fields, most significant bit first."""

    def __init__(self) -> None:
        self._value = 0
        self._length = 0

    def u(self, bits: int, value: int) -> None:
        """Appends an unsigned integer of `bits` bits; ValueError if it does not fit."""
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{value} does not fit into {bits} bits")
        self._value = self._value << bits | value
        self._length += bits

    def flag(self, value: bool) -> None:
        """Appends one bit."""
        self.u(1, int(value))

    def ue(self, value: int) -> None:
        """Appends an unsigned 0-th order Exp-Golomb code (HEVC clause 9.2), value < 2³² − 1."""
        if not 0 <= value < (1 << 32) - 1:
            raise ValueError(f"{value} is outside of what ue(v) codes")
        self.u(2 * (value + 1).bit_length() - 1, value + 1)

    def trailing(self) -> None:
        """Appends rbsp_trailing_bits: a one and zeros up to the byte (HEVC clause 7.3.2.11)."""
        self.u(1, 1)
        self.align()

    def align(self) -> None:
        """Appends zero bits up to the byte."""
        self.u(-self._length % 8, 0)

    def bytes(self) -> bytes:
        """The bytes written; ValueError unless aligned."""
        if self._length % 8:
            raise ValueError(f"{self._length} bits are no whole bytes")
        return self._value.to_bytes(self._length // 8, "big")


def read_ue7(data: bytes, offset: int) -> tuple[int, int]:
    """Reads a ue7 integer (BPG specification, section 2).

    Args:
        data: the file.
        offset: index of the integer's first byte.

    Returns:
        The value, < 2³², and the index of the byte after it.

    Raises:
        BitstreamError: the file ends, the form is not the shortest, or the value is too large.
    """
    value = 0
    for i in range(offset, offset + _UE7_MAX_BYTES):
        if i >= len(data):
            raise BitstreamError("the BPG header ends early")
        byte = data[i]
        if i == offset and byte == 0x80:
            raise BitstreamError("the BPG header holds an integer that is not in its shortest form")
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            if value >= 1 << 32:
                break
            return value, i + 1
    raise BitstreamError("the BPG header holds an integer of more than 32 bits")


def write_ue7(value: int) -> bytes:
    """The shortest ue7 form of an integer in [0, 2³²); ValueError outside."""
    if not 0 <= value < 1 << 32:
        raise ValueError(f"{value} is outside of what ue7(32) codes")
    out = bytearray([value & 0x7F])
    while value := value >> 7:
        out.insert(0, value & 0x7F | 0x80)
    return bytes(out)


def escape(rbsp: bytes) -> bytes:
    """Inserts emulation prevention bytes: 00 00 0x → 00 00 03 0x (HEVC clause 7.4.2)."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def unescape(payload: bytes) -> bytes:
    """Removes emulation prevention bytes; the inverse of :func:`escape`."""
    out = bytearray()
    zeros = 0
    for byte in payload:
        if zeros >= 2 and byte == 3:
            zeros = 0
            continue
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)
