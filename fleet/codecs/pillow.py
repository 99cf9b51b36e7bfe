"""Codecs that Pillow carries: JPEG, lossy WebP and AVIF."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field

from fleet.codecs.base import Chroma, Frame, Header, QualityScale, check_frame
from fleet.errors import BitstreamError

_SUBSAMPLING = {"420": "4:2:0", "444": "4:4:4"}


def save(frame: Frame, pillow_format: str, max_side: int, options: Mapping[str, Any]) -> bytes:
    """Encodes a frame (H, W, 3) uint8 RGB with one of Pillow's encoders.

    Raises ValueError for another array, or sides beyond 1 to `max_side`, the format's largest.
    """
    check_frame(frame, pillow_format, max_side)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(out, pillow_format, **options)
    return out.getvalue()


def load(bitstream: bytes, pillow_format: str, header: Header, max_pixels: int) -> Frame:
    """Decodes a file of one format and no other.

    Args:
        bitstream: the file.
        pillow_format: Pillow's name of the format.
        header: the size that the codec's `probe` found in it.
        max_pixels: the most that is decoded, checked before any pixel is.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BitstreamError: another format, damaged, truncated, several pictures, transparency, or more
            than `max_pixels` pixels.
    """
    header.check_pixels(max_pixels)
    if pillow_format == "JPEG" and not bitstream.endswith(b"\xff\xd9"):
        raise BitstreamError("damaged JPEG file: it does not end with its end marker")
    image = _open(bitstream, pillow_format)
    try:
        frame = np.array(image.convert("RGB"))
    except Exception as error:
        raise BitstreamError(f"damaged {pillow_format} file: {_line(error)}") from error
    if frame.shape != (header.height, header.width, 3):
        raise BitstreamError(f"damaged {pillow_format} file: its size is not the declared one")
    return frame


def webp_header(bitstream: bytes) -> tuple[str, Header]:
    """Reads the container of a WebP file of one picture (RFC 9649, section 2).

    Returns:
        The first chunk's name ("VP8 " lossy, "VP8L" lossless, "VP8X" extended) and the size.

    Raises:
        BitstreamError: not a WebP file, or its declared length is not that of the bytes.
    """
    if bitstream[:4] != b"RIFF" or bitstream[8:12] != b"WEBP" or len(bitstream) < 30:
        raise BitstreamError("not a WebP file")
    declared = int.from_bytes(bitstream[4:8], "little") + 8
    if declared != len(bitstream):
        raise BitstreamError(f"declares {declared} bytes in all, there are {len(bitstream)}")
    kind, body = bitstream[12:16], bitstream[20:30]
    if kind == b"VP8 " and body[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(body[i : i + 2], "little") & 0x3FFF for i in (6, 8))
    elif kind == b"VP8L" and body[0] == 0x2F:
        packed = int.from_bytes(body[1:5], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        width, height = (int.from_bytes(body[i : i + 3], "little") + 1 for i in (4, 7))
    else:
        raise BitstreamError("damaged WebP file: no picture header")
    if not width or not height:
        raise BitstreamError("damaged WebP file: no pixels")
    return kind.decode(), Header(width, height)


def _open(bitstream: bytes, pillow_format: str) -> Image.Image:
    """Opens a file of one format; BitstreamError unless it is one RGB or grey image.

    Pillow raises many kinds of errors on damaged files; all mean the same here. Its own limit on
    pixels, which warns first, is not relied on: `max_pixels` is checked before pixels are loaded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(bitstream), formats=[pillow_format])
            frames = getattr(image, "n_frames", 1)
    except UnidentifiedImageError as error:
        raise BitstreamError(f"not a {pillow_format} file, or a damaged one") from error
    except Exception as error:
        raise BitstreamError(f"not a readable {pillow_format} file: {_line(error)}") from error
    if frames != 1:
        raise BitstreamError(f"holds {frames} pictures; must be one")
    if image.mode not in ("RGB", "L"):
        raise BitstreamError(f"its pixels are {image.mode}; must be RGB or grey")
    return image


def _line(error: Exception) -> str:
    """An error's text as one line."""
    return " ".join(str(error).split()) or type(error).__name__


class _PillowConfig(BaseModel):
    """What the settings of all codecs here have in common."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    pillow_format: ClassVar[str]
    suffix: ClassVar[str]
    scale: ClassVar[QualityScale]
    max_side: ClassVar[int]

    name: str

    def options(self) -> dict[str, Any]:
        """What Pillow's encoder is told, but for the quality."""
        raise NotImplementedError

    def build(self) -> PillowCodec:
        """The codec with these settings."""
        return PillowCodec(self)


class JpegConfig(_PillowConfig):
    """Settings of the JPEG codec; its quality is libjpeg's, 1 to 100."""

    pillow_format = "JPEG"
    suffix = ".jpg"
    scale = QualityScale(coarsest=1, finest=100, step=1, log2_bits_per_unit=0.045)
    max_side = 65_500

    name: Literal["jpeg"] = "jpeg"
    subsampling: Chroma = Field(
        default="420", description="Chroma resolution: 420 halves it both ways, 444 keeps it."
    )
    optimize: bool = Field(
        default=True, description="Huffman tables made for each frame: about 5 % fewer bits."
    )
    progressive: bool = Field(
        default=False, description="Progressive scans: fewer bits still for more time."
    )

    def options(self) -> dict[str, Any]:
        """What Pillow's encoder is told, but for the quality."""
        return {
            "subsampling": _SUBSAMPLING[self.subsampling],
            "optimize": self.optimize,
            "progressive": self.progressive,
        }


class WebpConfig(_PillowConfig):
    """Settings of the lossy WebP codec; its quality is libwebp's, 0 to 100. Always 4:2:0."""

    pillow_format = "WEBP"
    suffix = ".webp"
    scale = QualityScale(coarsest=0, finest=100, step=1, log2_bits_per_unit=0.035)
    max_side = 16_383

    name: Literal["webp"] = "webp"
    method: int = Field(
        default=4, ge=0, le=6, description="Effort, 0 (fastest) to 6 (fewest bits)."
    )

    def options(self) -> dict[str, Any]:
        """What Pillow's encoder is told, but for the quality."""
        return {"method": self.method, "lossless": False}


class AvifConfig(_PillowConfig):
    """Settings of the AVIF codec; its quality is libavif's, 0 to 100."""

    pillow_format = "AVIF"
    suffix = ".avif"
    scale = QualityScale(coarsest=0, finest=100, step=1, log2_bits_per_unit=0.07)
    max_side = 16_384

    name: Literal["avif"] = "avif"
    speed: int = Field(
        default=6, ge=0, le=10, description="Effort, 10 (fastest) to 0 (fewest bits)."
    )
    subsampling: Chroma = Field(
        default="420", description="Chroma resolution: 420 halves it both ways, 444 keeps it."
    )

    def options(self) -> dict[str, Any]:
        """What Pillow's encoder is told, but for the quality."""
        return {
            "speed": self.speed,
            "subsampling": _SUBSAMPLING[self.subsampling],
            "codec": "aom",
            "range": "full",
            # One thread and no tiles: the bits do not depend on the machine's cores.
            "max_threads": 1,
            "autotiling": False,
        }


@dataclass(frozen=True)
class PillowCodec:
    """One of Pillow's lossy formats as a codec; the config says which."""

    config: _PillowConfig

    @property
    def name(self) -> str:
        """The registry's name."""
        return self.config.name

    @property
    def suffix(self) -> str:
        """File name ending."""
        return self.config.suffix

    @property
    def scale(self) -> QualityScale:
        """The encoder library's quality, in whole steps."""
        return self.config.scale

    def encode(self, frame: Frame, quality: float) -> bytes:
        """The file of a frame (H, W, 3) uint8 RGB; ValueError as the protocol has it."""
        quality = round(self.scale.check(quality))
        options = {**self.config.options(), "quality": quality}
        return save(frame, self.config.pillow_format, self.config.max_side, options)

    def probe(self, bitstream: bytes) -> Header:
        """The declared size; BitstreamError unless it is a file of this format."""
        if not bitstream:
            raise BitstreamError("empty")
        if self.config.pillow_format == "WEBP":
            # Pillow allocates a WebP's canvas when it opens it, before its size can be checked.
            kind, header = webp_header(bitstream)
            if kind == "VP8L":
                raise BitstreamError("a lossless WebP file; must be a lossy one")
            return header
        return Header(*_open(bitstream, self.config.pillow_format).size)

    def decode(self, bitstream: bytes, max_pixels: int) -> Frame:
        """The frame (H, W, 3) uint8 RGB; BitstreamError as the protocol has it.

        JPEG, and WebP's and AVIF's pixel data, have no checksum: a flipped bit can decode to
        another picture.
        """
        return load(bitstream, self.config.pillow_format, self.probe(bitstream), max_pixels)
