"""What the collector checks of an upload before anything of it is decoded."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from fleet.codecs import Codec, CodecConfig
from fleet.errors import BitstreamError
from fleet.upload import Upload, digest_of

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LATEST_MS = 2**53


@dataclass(frozen=True)
class Rules:
    """What uploads of a campaign look like.

    Attributes:
        campaign: digest of the collection.
        vehicles: number of vehicles; their numbers are 0 … vehicles − 1.
        frames: ids of the frames that vehicles can capture; no test frame is among them.
        codecs: the codecs in use.
        max_bytes: the largest bitstream taken.
        max_pixels: the largest picture that a bitstream may declare.
    """

    campaign: str
    vehicles: int
    frames: frozenset[str]
    codecs: tuple[CodecConfig, ...]
    max_bytes: int
    max_pixels: int


class Inspector:
    """Finds what is wrong with an upload; takes nothing in it on trust."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._codecs: dict[str, Codec] = {config.name: config.build() for config in rules.codecs}

    def suffix(self, upload: Upload) -> str:
        """File name ending for an upload that has no fault."""
        return self._codecs[upload.codec].suffix

    def fault(self, upload: Upload) -> str | None:
        """What is wrong with an upload, in a few words; None if nothing is.

        Checked in this order, each relying on those before: types, key, size, digest, header.
        """
        return (
            self._type_fault(upload)
            or self._key_fault(upload)
            or self._payload_fault(upload)
            or self._header_fault(upload)
        )

    @staticmethod
    def _type_fault(upload: Upload) -> str | None:
        number = (float, int)
        types: dict[str, Any] = {"str": str, "int": int, "float": number, "bytes": bytes}
        for field in fields(Upload):
            value = getattr(upload, field.name, None)
            if isinstance(value, bool) or not isinstance(value, types[str(field.type)]):
                return f"{field.name} is not {field.type}"
        return None

    def _key_fault(self, upload: Upload) -> str | None:
        rules = self._rules
        if upload.campaign != rules.campaign:
            return "another campaign's key"
        if not 0 <= upload.vehicle < rules.vehicles:
            return "no such vehicle"
        if not 0 <= upload.sequence < 2**31:
            return "sequence number out of range"
        if upload.frame_id not in rules.frames:
            return "no such frame to capture"
        if not 0 <= upload.captured_ms <= upload.arrived_ms < _LATEST_MS:
            return "impossible times"
        return None

    def _payload_fault(self, upload: Upload) -> str | None:
        if len(upload.payload) > self._rules.max_bytes:
            return "larger than the largest upload taken"
        if len(upload.payload) != upload.size:
            return "size is not as declared"
        if not _DIGEST.fullmatch(upload.digest) or digest_of(upload.payload) != upload.digest:
            return "digest does not match"
        return None

    def _header_fault(self, upload: Upload) -> str | None:
        codec = self._codecs.get(upload.codec)
        if codec is None:
            return "a codec that this campaign does not use"
        try:
            codec.scale.check(upload.quality)
        except (ValueError, OverflowError):
            return "quality out of range"
        try:
            header = codec.probe(upload.payload)
            header.check_pixels(self._rules.max_pixels)
        except BitstreamError as error:
            return f"not a {upload.codec} bitstream: {error}"
        if (header.width, header.height) != (upload.width, upload.height):
            return "frame size is not as declared"
        return None
