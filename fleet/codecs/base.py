"""What a codec is: the protocol that every codec follows and the scale of its rate knob."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from fleet.errors import BitstreamError

Frame = NDArray[np.uint8]
"""A frame: uint8, shape (height, width, 3), RGB."""


def check_frame(frame: Frame, file_format: str, largest: int) -> None:
    """Raises ValueError for what is not (H, W, 3) uint8 with sides of 1 to the format's largest."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        raise ValueError(f"frame {frame.shape} {frame.dtype}: must be (H, W, 3) uint8")

    if min(frame.shape[:2]) < 1 or max(frame.shape[:2]) > largest:
        raise ValueError(f"frame {frame.shape}: {file_format} takes sides of 1 to {largest}")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Chroma = Annotated[Literal["420", "444"], BeforeValidator(_as_text)]
"""Chroma resolution in a codec's settings: 4:2:0 or 4:4:4. YAML reads a bare 444 as a number."""


@dataclass(frozen=True)
class QualityScale:
    """A codec's rate knob: the qualities it takes, from the fewest bits to the most.

    Attributes:
        coarsest: the quality that spends the fewest bits (BPG: QP 51, JPEG: 1).
        finest: the quality that spends the most bits (BPG: QP 0, JPEG: 100). Bits grow
            monotonically, if not strictly, from coarsest to finest.
        step: distance between neighbouring qualities; 0 for a continuous knob.
        log2_bits_per_unit: a typical change of log2(bits) when the quality moves by one unit
            towards the finest; only a starting point for a rate model that learns.
    """

    coarsest: float
    finest: float
    step: float
    log2_bits_per_unit: float

    @property
    def span(self) -> float:
        """Distance from the coarsest to the finest quality, in the knob's units, ≥ 0."""
        return abs(self.finest - self.coarsest)

    def at(self, position: float) -> float:
        """The quality at a position in [0, span], counted from the coarsest; snapped *down*
        (towards fewer bits) to the knob's step."""
        position = min(max(position, 0.0), self.span)
        if self.step > 0:
            position = math.floor(position / self.step + 1e-9) * self.step
        return self.coarsest + math.copysign(position, self.finest - self.coarsest)

    def position(self, quality: float) -> float:
        """The inverse of :meth:`at`: distance of a quality from the coarsest, ≥ 0."""
        return abs(quality - self.coarsest)

    def place(self, quality: float) -> float:
        """Where a quality lies on the scale, in [0, 1], 0 the coarsest."""
        return self.position(quality) / self.span if self.span else 0.0

    def check(self, quality: float) -> float:
        """Returns the quality if the knob takes it, else raises ValueError with what it takes."""
        low, high = sorted((self.coarsest, self.finest))
        # In this order: NaN and infinity are out of bounds before they could be rounded.
        inside = low <= quality <= high
        if not (inside and (self.step == 0 or (quality / self.step).is_integer())):
            kind = "a number" if self.step == 0 else f"a multiple of {self.step:g}"
            raise ValueError(f"quality {quality:g}: must be {kind} from {low:g} to {high:g}")
        return quality


@dataclass(frozen=True)
class Header:
    """What a bitstream says of itself before anything is decoded.

    Attributes:
        width, height: size in pixels of the frame that would come out.
    """

    width: int
    height: int

    def check_pixels(self, max_pixels: int) -> None:
        """Raises BitstreamError if the declared picture has more than `max_pixels` pixels."""
        if self.width * self.height > max_pixels:
            raise BitstreamError(
                f"declares {self.width}×{self.height} pixels, more than the {max_pixels} allowed"
            )


class Analysis(Protocol):
    """What a codec has found out of a frame before it is told the rate."""

    def bits(self, quality: float) -> float:
        """About how long the bitstream would be, in bits; without the work of making it."""

    def encode(self, quality: float) -> bytes:
        """The bitstream at a quality, as `Codec.encode` gives it."""


class Codec(Protocol):
    """Turns a frame into a bitstream and back.

    A codec holds settings only, no state: the same frame and quality give the same bitstream,
    and a bitstream decodes to the same pixels, in any process and on any thread. Both directions
    may be called from several threads at once.
    """

    @property
    def name(self) -> str:
        """The registry's name of the codec, e.g. "bpg"."""

    @property
    def suffix(self) -> str:
        """File name ending of a bitstream, with the dot, e.g. ".bpg"."""

    @property
    def scale(self) -> QualityScale:
        """The codec's rate knob."""

    def encode(self, frame: Frame, quality: float) -> bytes:
        """The whole bitstream, container header included, of a frame (H, W, 3) uint8 RGB.

        Raises ValueError for a quality off the scale or a frame that the format cannot hold.
        """

    def probe(self, bitstream: bytes) -> Header:
        """Reads the header only: cheap, bounded, safe on hostile bytes.

        Raises BitstreamError if the header is not one that this codec writes or reads.
        """

    def decode(self, bitstream: bytes, max_pixels: int) -> Frame:
        """The frame (H, W, 3) uint8 RGB.

        Raises BitstreamError if the bitstream is damaged, truncated, of another format, or
        declares more than `max_pixels` pixels; never returns a picture of damaged bytes that the
        format can tell are damaged, and never allocates for more than `max_pixels`.
        """


@runtime_checkable
class AnalysingCodec(Codec, Protocol):
    """A codec whose work on a frame is nearly the same at any rate: done once, all rates are at hand."""

    @property
    def batch(self) -> int:
        """How many frames are best analysed together."""

    def analyse(self, frames: Sequence[Frame]) -> list[Analysis]:
        """What any rate of these frames, all of one size, can be encoded from.

        Raises ValueError for a frame that the format cannot hold.
        """
