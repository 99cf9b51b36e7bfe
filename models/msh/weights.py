"""The neural codec's weights as they are kept: one safetensors file, known by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from models.checkpoint import read_metadata, write_tensors
from models.msh.exact import LAYERS
from models.msh.layers import analysis, hyper_analysis, synthesis
from models.msh.rans import Tables

FORMAT = "bitfleet msh 1"
"""What the file's header calls itself."""

SHIPPED = Path(__file__).parent / "shipped"
"""Folder of the weights that come with the package, by name."""

DIGEST_BYTES = 8
"""Of a digest that travels in a bitstream."""


@dataclass(frozen=True)
class MshWeights:
    """All that encoders and decoders of one network share.

    Attributes:
        tensors: by name. Transforms `g_a.*`, `h_a.*`, `g_s.*` floating; `h_s.*`, `medians` and the
            entropy tables `cumulative`, `lengths`, `offsets`, `thresholds` integers. Tables 0 … C − 1
            are those of the hyper-latents' channels; from C on, those of the latents' scales, which
            `thresholds` (int64, multiples of 2**−28) divide.
        note: what they were trained on, in words.
    """

    tensors: Mapping[str, torch.Tensor]
    note: str = ""

    @property
    def channels(self) -> int:
        """Width of the transforms, and channels of the hyper-latents."""
        return len(self.tensors["medians"])

    @property
    def latents(self) -> int:
        """Channels of the latents."""
        return len(self.tensors["g_a.6.bias"])

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over names, types, shapes and values of all tensors, 32 bytes."""
        sha = hashlib.sha256(FORMAT.encode())
        for name in sorted(self.tensors):
            tensor = self.tensors[name].detach().cpu().contiguous()
            sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            sha.update(tensor.numpy().tobytes())
        return sha.digest()

    @cached_property
    def tables(self) -> Tables:
        """The entropy coder's tables."""
        arrays = [
            np.ascontiguousarray(self.tensors[name].numpy().astype(np.int32))
            for name in ("cumulative", "lengths", "offsets")
        ]
        return Tables(*arrays)

    def check(self) -> None:
        """Raises ValueError unless every tensor is there, of its shape, and the tables can be used."""
        try:
            channels, latents = self.channels, self.latents
            shapes = _shapes(channels, latents)
            for name, shape in shapes.items():
                if tuple(self.tensors[name].shape) != shape:
                    found = tuple(self.tensors[name].shape)
                    raise ValueError(f"{name} is {found}, must be {shape}")
        except KeyError as error:
            raise ValueError(f"tensor {error} is missing") from None
        scales = len(self.tensors["thresholds"]) + 1
        if len(self.tables.lengths) != channels + scales:
            raise ValueError("entropy tables: not one for each channel and scale")
        if (torch.diff(self.tensors["thresholds"]) <= 0).any():
            raise ValueError("thresholds: must rise")


def _shapes(channels: int, latents: int) -> dict[str, tuple[int, ...]]:
    """What each floating tensor, and each of the exact path, must look like."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, build in (("g_a", analysis), ("g_s", synthesis), ("h_a", hyper_analysis)):
        for key, tensor in build(channels, latents).state_dict().items():
            shapes[f"{name}.{key}"] = tuple(tensor.shape)
    half = latents * 3 // 2
    kernels = ((channels, latents, 5, 5), (latents, half, 5, 5), (2 * latents, half, 3, 3))
    for layer, kernel, outputs in zip(LAYERS, kernels, (latents, half, 2 * latents), strict=True):
        shapes[f"h_s.{layer}.weight"] = kernel
        shapes[f"h_s.{layer}.bias"] = (outputs,)
        shapes[f"h_s.{layer}.fraction"] = ()
    return shapes


def save_msh(weights: MshWeights, path: Path) -> None:
    """Writes the weights, whole or not at all."""
    facts = {"format": FORMAT, "note": weights.note, "digest": weights.digest.hex()}
    write_tensors(path, dict(weights.tensors), facts)


def load_msh(path: Path) -> MshWeights:
    """Reads weights and checks their digest.

    Raises:
        ValueError: no such file, not weights of this codec, or damaged; one line that names the file.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    facts = read_metadata(path)
    if facts.get("format") != FORMAT:
        raise ValueError(
            f"{path}: not weights of the neural codec (its header says {facts.get('format')!r}, "
            f"not {FORMAT!r})"
        )
    weights = MshWeights(load_file(path), facts.get("note", ""))
    if weights.digest.hex() != facts.get("digest"):
        raise ValueError(f"{path}: damaged, its digest is not the one in its header")
    try:
        weights.check()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return weights


def shipped_names() -> tuple[str, ...]:
    """Names of the weights that come with the package."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.safetensors")))
