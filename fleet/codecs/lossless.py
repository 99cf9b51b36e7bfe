"""The lossless codec, for calibration frames: WebP's lossless mode.

Chosen by measurement, mean of a few frames, one core (encode; decode is 0.1 s or less):

    ===================  ======================  ======================
    file                 Cityscapes 2048×1024    CamVid 480×360
    ===================  ======================  ======================
    PNG, level 6         8.30 bpp, 1.18 s        11.24 bpp, 0.07 s
    WebP, method 0       7.00 bpp, 0.27 s         8.52 bpp, 0.01 s
    WebP, method 4       6.35 bpp, 1.33 s         8.06 bpp, 0.11 s
    ===================  ======================  ======================

Calibration frames are few and their bits are paid for, so method 4 is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fleet.codecs import pillow
from fleet.codecs.base import Frame, Header, QualityScale
from fleet.errors import BitstreamError

_FORMAT = "WEBP"
_MAX_SIDE = 16_383
_SEARCH = 50
"""libwebp's "quality" of lossless files: how far to search for fewer bits, 0 to 100. More than
half takes much longer for little."""


class LosslessConfig(BaseModel):
    """Settings of the lossless codec."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Literal["lossless"] = "lossless"
    method: int = Field(
        default=4,
        ge=0,
        le=6,
        description="Effort, 0 (fastest) to 6 (fewest bits); 0 takes a fifth of 4's time for"
        " 5 to 10 % more bits.",
    )

    def build(self) -> LosslessCodec:
        """The codec with these settings."""
        return LosslessCodec(self)


@dataclass(frozen=True)
class LosslessCodec:
    """Lossless WebP: what is decoded is what was encoded. Its only quality is 0."""

    config: LosslessConfig = field(default_factory=LosslessConfig)

    @property
    def name(self) -> str:
        """The registry's name."""
        return self.config.name

    @property
    def suffix(self) -> str:
        """File name ending."""
        return ".webp"

    @property
    def scale(self) -> QualityScale:
        """A single quality, 0."""
        return QualityScale(coarsest=0, finest=0, step=1, log2_bits_per_unit=0)

    def encode(self, frame: Frame, quality: float) -> bytes:
        """The file of a frame (H, W, 3) uint8 RGB; ValueError as the protocol has it."""
        self.scale.check(quality)
        options = {"lossless": True, "quality": _SEARCH, "method": self.config.method}
        return pillow.save(frame, _FORMAT, _MAX_SIDE, options)

    def probe(self, bitstream: bytes) -> Header:
        """The declared size; BitstreamError unless it is a lossless WebP file."""
        kind, header = pillow.webp_header(bitstream)
        if kind != "VP8L":
            raise BitstreamError("not a lossless WebP file")
        return header

    def decode(self, bitstream: bytes, max_pixels: int) -> Frame:
        """The frame (H, W, 3) uint8 RGB; BitstreamError as the protocol has it."""
        return pillow.load(bitstream, _FORMAT, self.probe(bitstream), max_pixels)
