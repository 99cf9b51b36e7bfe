"""The `msh` codec: the neural codec's networks (`models.msh`) behind the codec protocol, in a container.

A bitstream is a header of 36 bytes, little-endian, and an entropy-coded payload:

    ==  ====================================================================
    4   magic, "MSH" and the version, 1
    2   width of the frame, pixels
    2   height
    4   gain that the latents were multiplied by, in multiples of 2⁻¹⁶
    8   first bytes of the weights' digest (SHA-256)
    8   digest of the latents that the payload decodes to (BLAKE2b)
    4   length of the payload, bytes
    4   CRC-32 of all other bytes of header and payload
    ==  ====================================================================
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fleet.codecs.base import Analysis, Frame, Header, QualityScale, check_frame
from fleet.errors import BitstreamError
from models.msh.rate import COARSEST, FINEST, HIGHEST_GAIN, LOWEST_GAIN, gain_of

# The networks are imported where they are used: they bring torch, which other codecs do without.
if TYPE_CHECKING:
    from models.msh.model import Latents, MshModel
    from models.msh.weights import MshWeights

MAGIC = b"MSH\x01"
_HEADER = struct.Struct("<4sHHI8s8sI")
_CRC = struct.Struct("<I")
HEADER_BYTES = _HEADER.size + _CRC.size
LARGEST = 16_384
"""Longest side of a frame, pixels."""
_SCALE = QualityScale(COARSEST, FINEST, step=0.0, log2_bits_per_unit=0.5)
_GPU_BATCH = 8
_ZOO = "zoo:"


class MshConfig(BaseModel):
    """Settings of the neural codec."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    name: Literal["msh"] = "msh"
    weights: str = Field(
        default="small",
        min_length=1,
        description="Weights that come with the package, by name; a file that `bitfleet train-codec` "
        "left; a CompressAI checkpoint (.pth, .pth.tar); or zoo:mbt2018-mean:q3, a published one of "
        "CompressAI's (q1 to q8), which is downloaded.",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{16}$",
        description="What the weights' digest must begin with; null: it is filled in.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="Where the networks run; auto: on a GPU where the process has one.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="Of the transforms; bf16 on GPUs."
    )
    threads: int = Field(
        default=1, ge=1, le=64, description="CPU threads of one frame; vehicles are many."
    )

    @model_validator(mode="after")
    def _weights_are_there(self) -> Self:
        path = Path(self.weights)
        if path.is_file():  # other processes may have another working folder
            object.__setattr__(self, "weights", str(path.resolve()))
        found = load_weights(self.weights).digest.hex()[:16]
        if self.digest is not None and self.digest != found:
            raise ValueError(f"weights: {self.weights} has digest {found}, not {self.digest}")
        object.__setattr__(self, "digest", found)  # so that configs and artifacts name them
        return self

    def build(self) -> MshCodec:
        """The codec with these settings."""
        return MshCodec(self)


@dataclass(frozen=True)
class MshCodec:
    """A mean-scale hyperprior; its quality is any number from 0 to 8."""

    config: MshConfig

    @property
    def name(self) -> str:
        """The registry's name."""
        return self.config.name

    @property
    def suffix(self) -> str:
        """File name ending."""
        return ".msh"

    @property
    def scale(self) -> QualityScale:
        """Continuous: two units halve the quantisation's step."""
        return _SCALE

    @property
    def batch(self) -> int:
        """Frames that are best analysed together."""
        return _GPU_BATCH if self._model.device.type == "cuda" else 1

    def analyse(self, frames: Sequence[Frame]) -> list[Analysis]:
        """What any rate of these frames, all of one size, can be encoded from.

        Raises ValueError for a frame that is too small, too large, or not (H, W, 3) uint8.
        """
        for frame in frames:
            check_frame(frame, self.name, LARGEST)
        model = self._model
        return [_Analysis(model, latents) for latents in model.analyse(frames)]

    def encode(self, frame: Frame, quality: float) -> bytes:
        """The file of a frame (H, W, 3) uint8 RGB; ValueError as the protocol has it."""
        self.scale.check(quality)
        return self.analyse([frame])[0].encode(quality)

    def probe(self, bitstream: bytes) -> Header:
        """The declared size; BitstreamError unless header, length and checksum are right."""
        return _Parsed.of(bitstream).header

    def decode(self, bitstream: bytes, max_pixels: int) -> Frame:
        """The frame (H, W, 3) uint8 RGB; BitstreamError as the protocol has it."""
        from models.msh.model import Coded
        from models.msh.rans import DamagedStream

        parsed = _Parsed.of(bitstream)
        parsed.header.check_pixels(max_pixels)
        model = self._model
        if parsed.weights != model.weights.digest[:8]:
            raise BitstreamError(
                f"was encoded with weights {parsed.weights.hex()}, "
                f"and {self.config.weights} is {model.weights.digest[:8].hex()}"
            )
        try:
            coded = Coded(parsed.payload, parsed.latents)
            return model.decode(coded, parsed.header.height, parsed.header.width, parsed.gain)
        except DamagedStream as error:
            raise BitstreamError(f"damaged msh file: {error}") from None

    @property
    def _model(self) -> MshModel:
        config = self.config
        assert config.digest is not None
        return _model(
            config.weights, config.digest, config.device, config.precision, config.threads
        )


@dataclass(frozen=True)
class _Analysis:
    """A frame's latents; see `fleet.codecs.base.Analysis`."""

    model: MshModel
    latents: Latents

    def bits(self, quality: float) -> float:
        """The file's length in bits, or up to 32 more."""
        return 8 * HEADER_BYTES + self.model.estimate(self.latents, gain_of(quality))

    def encode(self, quality: float) -> bytes:
        """The file at a quality."""
        gain = gain_of(quality)
        coded = self.model.encode(self.latents, gain)
        size = (self.latents.width, self.latents.height)
        weights = self.model.weights.digest[:8]
        head = _HEADER.pack(MAGIC, *size, gain, weights, coded.digest, len(coded.payload))
        return head + _CRC.pack(zlib.crc32(head + coded.payload)) + coded.payload


@dataclass(frozen=True)
class _Parsed:
    """A bitstream's header and payload, checked as far as that needs no network."""

    header: Header
    gain: int
    weights: bytes
    latents: bytes
    payload: bytes

    @classmethod
    def of(cls, bitstream: bytes) -> Self:
        """Takes a bitstream apart.

        Raises:
            BitstreamError: not such a file, truncated, too long, damaged, or with impossible values.
        """
        bitstream = bytes(bitstream)
        if bitstream[:3] != MAGIC[:3]:
            raise BitstreamError("not an msh file")
        if len(bitstream) < HEADER_BYTES:
            raise BitstreamError(f"truncated msh file: {len(bitstream)} bytes")
        head = bitstream[: _HEADER.size]
        magic, width, height, gain, weights, latents, length = _HEADER.unpack(head)
        if magic != MAGIC:
            raise BitstreamError(
                f"an msh file of version {magic[3]}; this reads version {MAGIC[3]}"
            )
        payload = bitstream[HEADER_BYTES:]
        if len(payload) != length:
            raise BitstreamError(f"declares a payload of {length} bytes, there are {len(payload)}")
        (declared,) = _CRC.unpack_from(bitstream, _HEADER.size)
        if zlib.crc32(head + payload) != declared:
            raise BitstreamError("damaged msh file: its checksum does not match")
        if not all(1 <= side <= LARGEST for side in (width, height)):
            raise BitstreamError(f"declares {width}×{height} pixels; sides are 1 to {LARGEST}")
        if not LOWEST_GAIN <= gain <= HIGHEST_GAIN:
            raise BitstreamError("damaged msh file: a gain out of range")
        return cls(Header(width, height), gain, weights, latents, payload)


def load_weights(name: str) -> MshWeights:
    """The codec's weights, read once a process.

    Args:
        name: as `MshConfig.weights` has it.

    Raises:
        ValueError: there are none, or they cannot be used; one line that names them.
    """
    path = Path(name)
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return _loaded(name, stamp)


@lru_cache(maxsize=8)
def _loaded(name: str, changed_ns: int) -> MshWeights:
    del changed_ns  # a file that was replaced is read again
    from models.msh.weights import SHIPPED, load_msh, shipped_names

    if name in shipped_names():
        return load_msh(SHIPPED / f"{name}.safetensors")
    path = Path(name)
    if name.startswith(_ZOO):
        from models.msh.export import export, from_zoo

        return export(from_zoo(name.removeprefix(_ZOO)), name)
    if path.suffix in (".pth", ".tar", ".pt"):
        from models.msh.export import export, from_checkpoint

        return export(from_checkpoint(path), path.name)
    if not path.is_file():
        raise ValueError(
            f"weights: {name} is neither a file nor one of {', '.join(shipped_names())}"
        )
    return load_msh(path)


@lru_cache(maxsize=2)
def _model(weights: str, digest: str, device: str, precision: str, threads: int) -> MshModel:
    """Once a process: networks are large."""
    import torch

    from models.msh.model import MshModel

    loaded = load_weights(weights)
    if not loaded.digest.hex().startswith(digest):
        raise BitstreamError(f"weights {weights}: were replaced since the run began")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    half: Literal["fp32", "bf16"] = "bf16" if precision == "bf16" else "fp32"
    return MshModel(loaded, torch.device(device), half, threads)
