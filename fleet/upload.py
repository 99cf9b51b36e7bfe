"""An upload: one bitstream on its way to the collector, with what the vehicle says of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


def digest_of(payload: bytes) -> str:
    """The digest that stands for a bitstream: SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(payload).hexdigest()


@dataclass(frozen=True)
class Upload:
    """One bitstream with its key, digest and times.

    Attributes:
        campaign: digest of the campaign that collects it.
        vehicle: the vehicle's number, from 0.
        sequence: counts the vehicle's uploads, from 0; (campaign, vehicle, sequence) is the key.
        frame_id: the captured frame.
        codec: the codec's name in the registry.
        quality: the quality it was encoded at, on the codec's own scale.
        width, height: the frame's size in pixels.
        captured_ms, arrived_ms: simulated times, from the campaign's start.
        size: length of the bitstream in bytes as it was sent.
        digest: of the bitstream as it was sent.
        payload: the bitstream as it arrived.
    """

    campaign: str
    vehicle: int
    sequence: int
    frame_id: str
    codec: str
    quality: float
    width: int
    height: int
    captured_ms: int
    arrived_ms: int
    size: int
    digest: str
    payload: bytes


@dataclass(frozen=True)
class Receipt:
    """The collector's answer to one upload.

    Attributes:
        vehicle, sequence: the upload's key.
        reason: None if it is stored for good (now, or by an earlier commit of the same upload); else
            why it was refused, one line.
    """

    vehicle: int
    sequence: int
    reason: str | None

    @property
    def committed(self) -> bool:
        """Whether the upload is stored durably."""
        return self.reason is None
