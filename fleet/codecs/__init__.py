"""Codecs: the registry of what turns a frame into a bitstream and back.

A new codec is one file with a config model (a `name`, documented fields, `build()`) and a codec
beside it, and one line in `CodecConfig` below.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from fleet.codecs.base import AnalysingCodec, Codec, Frame, Header, QualityScale
from fleet.codecs.bpg import BpgConfig
from fleet.codecs.lossless import LosslessConfig
from fleet.codecs.msh import MAGIC as MSH_MAGIC
from fleet.codecs.msh import MshConfig
from fleet.codecs.pillow import AvifConfig, JpegConfig, WebpConfig
from fleet.errors import BitstreamError, InputError

CodecConfig = Annotated[
    BpgConfig | JpegConfig | WebpConfig | AvifConfig | MshConfig | LosslessConfig,
    Field(discriminator="name"),
]
"""The settings of any codec, told apart by `name`; `.build()` makes the codec."""

_ADAPTER: TypeAdapter[CodecConfig] = TypeAdapter(CodecConfig)


def codec_names() -> tuple[str, ...]:
    """The names of all codecs, in the registry's order."""
    models = get_args(get_args(CodecConfig)[0])
    return tuple(model.model_fields["name"].default for model in models)


def codec_config(name: str, **settings: Any) -> CodecConfig:
    """The checked settings of a codec.

    Args:
        name: one of :func:`codec_names`.
        settings: of that codec; what is left out has its default.

    Raises:
        InputError: an unknown name or setting, or a value that is not allowed.
    """
    if name not in codec_names():
        raise InputError(f"codec {name!r}: must be one of {', '.join(codec_names())}")
    try:
        return _ADAPTER.validate_python({"name": name, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        raise InputError(f"codec {name}: setting {field!r}: {first['msg']}") from error


def identify(bitstream: bytes) -> CodecConfig:
    """The codec that reads a bitstream, by its first bytes; any settings of it can decode.

    Raises BitstreamError if no codec's files begin like this.
    """
    head = bytes(bitstream[:16])
    if head.startswith(b"BPG\xfb"):
        return BpgConfig()
    if head.startswith(b"\xff\xd8\xff"):
        return JpegConfig()
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return LosslessConfig() if head[12:16] == b"VP8L" else WebpConfig()
    if head[4:12] == b"ftypavif":
        return AvifConfig()
    if head.startswith(MSH_MAGIC[:3]):
        return MshConfig()
    raise BitstreamError("of no known codec: its first bytes match none")


__all__ = [
    "AnalysingCodec",
    "AvifConfig",
    "BpgConfig",
    "Codec",
    "CodecConfig",
    "Frame",
    "Header",
    "JpegConfig",
    "LosslessConfig",
    "MshConfig",
    "QualityScale",
    "WebpConfig",
    "codec_config",
    "codec_names",
    "identify",
]
