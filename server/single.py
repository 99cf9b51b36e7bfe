"""`bitfleet encode` and `bitfleet decode`: one image, one codec."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from fleet.budget import Allowance
from fleet.codecs import CodecConfig, codec_config, codec_names, identify
from fleet.codecs.base import AnalysingCodec, Codec, Frame
from fleet.errors import BitstreamError, InputError
from fleet.rate_control import RateControlConfig, RateController
from server.config_file import settings_from
from server.durable import replace_file

_MAX_PIXELS = 1 << 26
"""The largest picture that one command encodes or decodes: 67 megapixels."""
_MAX_ENCODES = 64


def encode_file(
    source: Path,
    target: Path,
    codec_name: str,
    settings: Sequence[str],
    quality: float | None,
    max_bytes: int | None,
) -> str:
    """Encodes an image; gives a line that says what came of it.

    Args:
        source: an image in any format that Pillow reads.
        target: the bitstream's file; written whole or not at all.
        codec_name: name in the registry.
        settings: the codec's settings, as key=value.
        quality: on the codec's scale; or None, and
        max_bytes: the most that the bitstream may be; the finest quality that fits is taken.

    Raises:
        InputError: unreadable image, unknown codec or setting, quality off the scale, or no quality
            that fits.
    """
    codec = _codec(codec_name, settings).build()
    frame = _read_image(source)
    if quality is not None:
        try:
            bitstream = codec.encode(frame, codec.scale.check(quality))
        except ValueError as error:
            raise InputError(f"--quality: {error}") from None
    else:
        assert max_bytes is not None
        quality, bitstream = _fit(codec, frame, max_bytes)
    _write(target, bitstream)
    height, width = frame.shape[:2]
    bpp = 8 * len(bitstream) / (width * height)
    return f"{target}: {len(bitstream)} bytes, {bpp:.4f} bpp, {codec.name} quality {quality:g}"


def decode_file(
    source: Path, target: Path, codec_name: str | None, settings: Sequence[str] = ()
) -> str:
    """Decodes a bitstream into a PNG file; gives a line that says what came of it.

    Args:
        source: the bitstream's file.
        target: the PNG file; written whole or not at all.
        codec_name: name in the registry; None: told by the bitstream.
        settings: of the codec that is named, as key=value.

    Raises:
        InputError: an unreadable file, an unknown codec or setting, or settings without a codec.
        BitstreamError: not a bitstream that can be decoded; the text names the file.
    """
    if settings and codec_name is None:
        raise InputError("--set: goes with --codec, whose settings these are")
    bitstream = _read(source)
    try:
        config = identify(bitstream) if codec_name is None else _codec(codec_name, settings)
        frame = config.build().decode(bitstream, _MAX_PIXELS)
    except BitstreamError as error:
        raise BitstreamError(f"{source}: {error}") from None
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    _write(target, file.getvalue())
    return f"{target}: {frame.shape[1]}×{frame.shape[0]}, from {config.name}"


def _codec(name: str, settings: Sequence[str]) -> CodecConfig:
    if name not in codec_names():
        raise InputError(f"--codec: {name!r} is not one of {', '.join(codec_names())}")

    def make(values: dict[str, Any]) -> CodecConfig:
        if "name" in values:
            raise InputError("--set: name is given by --codec")
        return codec_config(name, **values)

    return settings_from(make, settings)


def _fit(codec: Codec, frame: Frame, max_bytes: int) -> tuple[float, bytes]:
    """The finest quality whose bitstream is at most `max_bytes` long, and that bitstream."""
    if max_bytes < 1:
        raise InputError(f"--max-bytes: must be 1 or more, not {max_bytes}")
    made: dict[float, bytes] = {}
    analysis = codec.analyse([frame])[0] if isinstance(codec, AnalysingCodec) else None

    def encode(quality: float) -> int:
        made[quality] = analysis.encode(quality) if analysis else codec.encode(frame, quality)
        return 8 * len(made[quality])

    controller = RateController(RateControlConfig(max_encodes=_MAX_ENCODES), codec.scale, 1)
    allowance = Allowance(8 * max_bytes, 8 * max_bytes)
    choice = controller.choose(
        0, frame.shape[0] * frame.shape[1], allowance, encode, analysis.bits if analysis else None
    )
    if choice.quality is None:
        encode(codec.scale.coarsest)
        coarsest, least = min(made.items(), key=lambda one: len(one[1]))
        raise InputError(
            f"--max-bytes: no quality fits {max_bytes}; "
            f"the coarsest, {coarsest:g}, takes {len(least)} bytes"
        )
    return choice.quality, made[choice.quality]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def _read_image(path: Path) -> Frame:
    content = _read(path)
    try:
        with Image.open(io.BytesIO(content)) as image:
            width, height = image.size
            if width * height > _MAX_PIXELS:
                raise InputError(f"{path}: {width}×{height} is more than {_MAX_PIXELS} pixels")
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0].replace(repr(content), "it")[:120]
        raise InputError(f"{path}: not a readable image ({reason})") from None


def _write(path: Path, content: bytes) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a file to write")
    try:
        replace_file(path, content)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
