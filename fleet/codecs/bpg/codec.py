"""The BPG codec: HEVC intra pictures from libx265 in F. Bellard's BPG file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fleet.codecs.base import Chroma, Frame, Header, QualityScale, check_frame
from fleet.codecs.bpg import colour, container, decoder, encoder


class BpgConfig(BaseModel):
    """Settings of the BPG codec."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Literal["bpg"] = "bpg"
    chroma: Chroma = Field(
        default="420",
        description="Chroma resolution: 420 halves it both ways (bpgenc's default), 444 keeps it;"
        " 444 is better above about 35 dB.",
    )
    preset: encoder.Preset = Field(
        default="slow",
        description="libx265's trade of time for bits. Kodak, 4:4:4, BD-rate against the published"
        " BPG curve and mean time a 768×512 image: ultrafast +22 % in 0.12 s, medium +2.8 % in"
        " 0.44 s, slow −0.6 % in 0.64 s, veryslow −0.9 % in 0.98 s.",
    )
    tune: encoder.Tune = Field(
        default="psnr",
        description="libx265's tuning. At a constant QP, the only mode used here, libx265 turns"
        " adaptive quantisation off and both tunings write the same bits.",
    )

    def build(self) -> BpgCodec:
        """The codec with these settings."""
        return BpgCodec(self)


@dataclass(frozen=True)
class BpgCodec:
    """Writes 8-bit full-range BT.601 BPG files and reads any still BPG file.

    The quality is libx265's QP, 0 (finest) to 51, as in bpgenc: libx265 codes intra pictures at
    three below it, so 0 to 3 are alike. Reading covers grey, 4:2:0, 4:2:2 and 4:4:4, bit depths
    8, 9, 10 and 12, all colour spaces and both ranges; alpha, CMYK and animation are refused.

    HEVC has no checksum: a flipped bit in a slice can decode to another picture. The digest that
    an upload carries is what guards against that. Files written here declare their length, so a
    truncation is always found.
    """

    config: BpgConfig = field(default_factory=BpgConfig)

    @property
    def name(self) -> str:
        """The registry's name."""
        return self.config.name

    @property
    def suffix(self) -> str:
        """File name ending."""
        return ".bpg"

    @property
    def scale(self) -> QualityScale:
        """QP 51 to 0. Bits double about every five to six steps."""
        return QualityScale(coarsest=51, finest=0, step=1, log2_bits_per_unit=0.18)

    def encode(self, frame: Frame, quality: float) -> bytes:
        """The BPG file of an RGB frame (H, W, 3) uint8, sides 1 to 16,384, at QP `quality`.

        Raises:
            ValueError: for another frame, or a quality off the scale.
            BitstreamError: if libx265 writes what a BPG file cannot carry; then nothing is written.
        """
        check_frame(frame, "BPG", container.MAX_SIDE)
        qp = round(self.scale.check(quality))
        height, width, _ = frame.shape
        block = encoder.coded_block(width, height, self.config.preset)
        picture = encoder.to_picture(frame, self.config.chroma, block)
        stream = encoder.encode_picture(picture, qp, self.config.preset, self.config.tune, block)
        return container.write(encoder.strip(stream, width, height))

    def probe(self, bitstream: bytes) -> Header:
        """The size in the file header; BitstreamError unless it is one that can be read."""
        header, _, _ = container.parse_header(bitstream)
        return Header(header.width, header.height)

    def decode(self, bitstream: bytes, max_pixels: int) -> Frame:
        """The frame (H, W, 3) uint8 RGB; samples of more than 8 bits are rounded.

        Raises BitstreamError, as the protocol has it.
        """
        self.probe(bitstream).check_pixels(max_pixels)
        file = container.parse(bitstream)
        return colour.to_rgb(decoder.decode(file), file.header)
