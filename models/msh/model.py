"""Encoding and decoding frames with the neural codec's weights: transforms, latents, entropy coding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from models.msh.exact import ExactHyperSynthesis
from models.msh.layers import LATENT_STRIDE, STRIDE, analysis, hyper_analysis, synthesis
from models.msh.rans import OVERHEAD_BITS, VALUE_LIMIT, DamagedStream, Decoder, Ints, encode
from models.msh.rate import GAIN_ONE
from models.msh.weights import DIGEST_BYTES, MshWeights
from models.segmenter_training import cpu_threads

U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Latents:
    """What the transforms make of a frame; any rate can be encoded from it.

    Attributes:
        height, width: of the frame, pixels.
        y_Mhw: latents, float32.
        z_Chw: hyper-latents, rounded, int32.
        means_Mhw, scales_Mhw: of the latents, int32, multiples of 2**−12; exact.
    """

    height: int
    width: int
    y_Mhw: torch.Tensor
    z_Chw: torch.Tensor
    means_Mhw: torch.Tensor
    scales_Mhw: torch.Tensor


@dataclass(frozen=True)
class Coded:
    """A frame's latents, entropy-coded.

    Attributes:
        payload: the bytes.
        digest: of the latents that they decode to, DIGEST_BYTES bytes.
    """

    payload: bytes
    digest: bytes


class MshModel:
    """The codec's network, ready to encode and to decode.

    On the CPU, a frame's bitstream depends on the frame and the gain alone. On a GPU it may also depend
    on which frames were encoded beside it; what it decodes to does not.

    Args:
        weights: trained.
        device: where the transforms run.
        precision: of the transforms; bf16 on GPUs.
        threads: torch's CPU threads.
    """

    def __init__(
        self,
        weights: MshWeights,
        device: torch.device,
        precision: Literal["fp32", "bf16"] = "fp32",
        threads: int = 1,
    ) -> None:
        self.weights, self.device, self.threads = weights, device, threads
        self._bf16 = precision == "bf16"
        # What threads ask of a GPU to code one batch must not queue behind the transforms of the next.
        self._beside: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._beside = torch.cuda.Stream(device, priority=-1)  # type: ignore[no-untyped-call]
        sizes = (weights.channels, weights.latents)
        self._g_a = self._load("g_a", analysis(*sizes))
        self._h_a = self._load("h_a", hyper_analysis(*sizes))
        self._g_s = self._load("g_s", synthesis(*sizes))
        self._h_s = ExactHyperSynthesis(weights.tensors, device)
        tensors, tables = weights.tensors, weights.tables
        self._medians = tensors["medians"].to(device)[:, None, None] * 2.0**-12
        self._thresholds = tensors["thresholds"].to(device)
        self._tables = tables
        # What a latent costs, by table and value, for estimates on the device.
        self._bits = torch.from_numpy(tables.bits).to(device)
        self._starts, self._lengths, self._offsets = (
            torch.from_numpy(array).to(device, torch.int64)
            for array in (tables.starts, tables.lengths, tables.offsets)
        )

    def _load(self, name: str, module: nn.Module) -> nn.Module:
        prefix = f"{name}."
        state = {
            key.removeprefix(prefix): tensor
            for key, tensor in self.weights.tensors.items()
            if key.startswith(prefix)
        }
        module.load_state_dict(state)
        module = module.requires_grad_(False).eval().to(self.device)
        return module.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def analyse(self, frames: Sequence[U8]) -> list[Latents]:
        """The latents of frames of one size, each (H, W, 3) uint8, as one batch."""
        height, width = frames[0].shape[:2]
        with cpu_threads(self.threads):
            frames_NHW3 = torch.from_numpy(np.stack(frames)).to(self.device)
            x_N3HW = frames_NHW3.permute(0, 3, 1, 2).float() / 255
            padding = (0, -width % STRIDE, 0, -height % STRIDE)
            if any(padding):
                x_N3HW = F.pad(x_N3HW, padding, mode="replicate")
            with self._autocast():
                y_NMhw = self._g_a(x_N3HW.contiguous(memory_format=torch.channels_last))
                z_NChw = self._h_a(y_NMhw)
            z_NChw = (z_NChw.float() - self._medians).round()
            z_NChw = z_NChw.clamp(-VALUE_LIMIT, VALUE_LIMIT).to(torch.int32)
            means_NMhw, scales_NMhw = self._h_s(z_NChw)
        y_NMhw = y_NMhw.float().contiguous()
        if self.device.type == "cuda":  # what is given out is ready, for whichever stream
            torch.cuda.current_stream(self.device).synchronize()
        return [
            Latents(height, width, y, z, means, scales)
            for y, z, means, scales in zip(
                y_NMhw, z_NChw.contiguous(), means_NMhw, scales_NMhw, strict=True
            )
        ]

    @torch.inference_mode()
    def estimate(self, latents: Latents, gain: int) -> float:
        """Bits that ``encode`` would take, or up to 32 more, without entropy coding.

        Args:
            latents: of the frame.
            gain: a multiple of 1/GAIN_ONE.
        """
        with self._coding():
            values, indexes = self._quantise(latents, gain)
            y_bits = self._cost(values, indexes)
            z = latents.z_Chw.long()
            channels = torch.arange(len(z), device=z.device)[:, None, None].expand_as(z)
            return y_bits + self._cost(z, channels) + OVERHEAD_BITS

    def _cost(self, values: torch.Tensor, indexes: torch.Tensor) -> float:
        places = values - self._offsets[indexes]
        last = self._lengths[indexes] - 1
        outside = (places < 0) | (places >= last)
        entries = self._starts[indexes] + torch.where(outside, last, places)
        return float(self._bits[entries].sum(dtype=torch.float64))

    def _quantise(self, latents: Latents, gain: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Values and table indexes of the latents, int64 (M, h, w)."""
        difference = latents.y_Mhw - latents.means_Mhw * 2.0**-12
        values = (difference * (gain / GAIN_ONE)).round().clamp(-VALUE_LIMIT, VALUE_LIMIT).long()
        return values, self._indexes(latents.scales_Mhw, gain)

    def _indexes(self, scales: torch.Tensor, gain: int) -> torch.Tensor:
        """Which table: integers alone, since decoders must agree."""
        return (
            torch.bucketize((scales.long() * gain).contiguous(), self._thresholds)
            + self.weights.channels
        )

    @torch.inference_mode()
    def encode(self, latents: Latents, gain: int) -> Coded:
        """A frame's bytes at a gain, a multiple of 1/GAIN_ONE."""
        with self._coding():
            y, y_indexes = (_flat(tensor) for tensor in self._quantise(latents, gain))
            z, means = _flat(latents.z_Chw), _flat(latents.means_Mhw)
        z_indexes = _channel_indexes(latents.z_Chw.shape)
        payload = encode(
            np.concatenate([z, y]), np.concatenate([z_indexes, y_indexes]), self._tables
        )
        size = (latents.height, latents.width, gain)
        return Coded(payload, latent_digest(size, z, y, means, y_indexes))

    @torch.inference_mode()
    def decode(self, coded: Coded, height: int, width: int, gain: int) -> U8:
        """The frame, (height, width, 3) uint8.

        Raises:
            DamagedStream: the payload is not what an encoder wrote, or decodes to other latents.
        """
        high, wide = -(-height // STRIDE), -(-width // STRIDE)
        per = STRIDE // LATENT_STRIDE
        decoder = Decoder(coded.payload, self._tables)
        shape = (self.weights.channels, high, wide)
        z = decoder.read(_channel_indexes(shape))
        with cpu_threads(self.threads):
            z_NChw = torch.from_numpy(z.reshape(1, *shape)).to(self.device)
            means, scales = (tensor[0] for tensor in self._h_s(z_NChw))
            indexes = _flat(self._indexes(scales, gain))
            y = decoder.read(indexes)
            decoder.finish()
            found = latent_digest((height, width, gain), z, y, _flat(means), indexes)
            if found != coded.digest:
                raise DamagedStream("decodes to latents that are not those that were encoded")
            values = torch.from_numpy(y.reshape(self.weights.latents, per * high, per * wide))
            y_hat = values.to(self.device) / (gain / GAIN_ONE) + means * 2.0**-12
            y_hat_NMhw = y_hat[None].contiguous(memory_format=torch.channels_last)
            with self._autocast():
                x_N3HW = self._g_s(y_hat_NMhw).float()
            frame = (x_N3HW[0, :, :height, :width] * 255).round().clamp(0, 255).to(torch.uint8)
            pixels: U8 = frame.permute(1, 2, 0).contiguous().cpu().numpy()
            return pixels

    def _coding(self) -> AbstractContextManager[object]:
        """Where the small steps before entropy coding run; each ends by reading its result back."""
        return nullcontext() if self._beside is None else torch.cuda.stream(self._beside)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16)


def latent_digest(
    size: tuple[int, int, int], z: Ints, y: Ints, means: Ints, indexes: Ints
) -> bytes:
    """A digest of all that the synthesis depends on, the same on every machine.

    Args:
        size: height, width and gain.
        z, y: hyper-latents and latents as they are coded.
        means, indexes: of the latents: means as integers, and their tables.
    """
    blake = hashlib.blake2b(np.array(size, "<u4").tobytes(), digest_size=DIGEST_BYTES)
    for values, kind in ((z, "<i2"), (y, "<i2"), (means, "<i4"), (indexes, "<i2")):
        blake.update(values.astype(kind).tobytes())
    return blake.digest()


def _flat(tensor: torch.Tensor) -> Ints:
    flat: Ints = tensor.to(torch.int32).cpu().numpy().reshape(-1)
    return flat


def _channel_indexes(shape: Sequence[int]) -> Ints:
    """The table of each hyper-latent: its channel's."""
    channels, high, wide = shape
    return np.repeat(np.arange(channels, dtype=np.int32), high * wide)
