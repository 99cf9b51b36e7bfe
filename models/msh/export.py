"""From a trained network, or a published checkpoint, to weights for use: integers where it matters."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import torch
from compressai.layers import GDN
from compressai.models import MeanScaleHyperprior
from compressai.zoo import mbt2018_mean
from numpy.typing import NDArray
from torch import nn

from models.msh.exact import FRACTION, LAYERS, quantise_layer
from models.msh.network import VariableRateMsh
from models.msh.rans import PRECISION
from models.msh.training_config import MshNetworkConfig
from models.msh.weights import MshWeights

SCALES = np.exp(np.linspace(math.log(0.11), math.log(256), 64))
"""Scales of the latents' tables, as CompressAI has them."""
_GAIN_FRACTION = 16
_REACH = 128
"""Hyper-latents farther than this from their median are told by escapes."""


def export(network: VariableRateMsh, note: str = "", *, half: bool = False) -> MshWeights:
    """Weights for use of a trained network.

    Args:
        network: in any mode; left as it was.
        note: what it was trained on, in words.
        half: keep the transforms in float16, half the size; they compute in float32 all the same.

    Raises:
        ValueError: weights too large for exact arithmetic.
    """
    net = network.net
    tensors: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for name in ("g_a", "h_a", "g_s"):
            tensors |= _transform(name, getattr(net, name), half)
        for layer in LAYERS:
            module = net.h_s[layer]
            outputs = 1 if isinstance(module, nn.ConvTranspose2d) else 0
            weight, bias, fraction = quantise_layer(module.weight.cpu(), module.bias.cpu(), outputs)
            tensors[f"h_s.{layer}.weight"] = weight
            tensors[f"h_s.{layer}.bias"] = bias
            tensors[f"h_s.{layer}.fraction"] = torch.tensor(fraction)
        medians = net.entropy_bottleneck.quantiles[:, 0, 1].double().cpu()
        tensors["medians"] = (medians * 2**FRACTION).round().to(torch.int32)
        tables = _hyper_tables(net) + [_gaussian(float(scale)) for scale in SCALES]
    cuts = np.sqrt(SCALES[:-1] * SCALES[1:]) * 2 ** (FRACTION + _GAIN_FRACTION)
    tensors["thresholds"] = torch.from_numpy(np.rint(cuts).astype(np.int64))
    cumulative = [_cumulative(probabilities) for _, probabilities in tables]
    tensors["cumulative"] = torch.from_numpy(np.concatenate(cumulative))
    lengths = np.array([len(entries) - 1 for entries in cumulative], np.int32)
    tensors["lengths"] = torch.from_numpy(lengths)
    tensors["offsets"] = torch.from_numpy(np.array([first for first, _ in tables], np.int32))
    weights = MshWeights(tensors, note)
    weights.check()
    return weights


def from_checkpoint(path: Path) -> VariableRateMsh:
    """The network of a CompressAI checkpoint (``mbt2018-mean``), as published or as its trainer saves.

    Raises:
        ValueError: not such a file; one line that names it.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("state_dict", state)
        state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
        return from_published(MeanScaleHyperprior.from_state_dict(state))
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a checkpoint of mbt2018-mean ({reason})") from error


def from_zoo(name: str) -> VariableRateMsh:
    """A published network of CompressAI's, downloaded on first use.

    Args:
        name: `mbt2018-mean:q1` to `:q8`; `mbt2018-mean:ms-ssim:q3` for one trained on MS-SSIM.

    Raises:
        ValueError: no such name, or it cannot be downloaded.
    """
    found = re.fullmatch(r"mbt2018-mean(?::(mse|ms-ssim))?:q([1-8])", name)
    if found is None:
        raise ValueError(f"zoo:{name}: must be zoo:mbt2018-mean:q1 to :q8")
    try:
        net = mbt2018_mean(int(found[2]), metric=found[1] or "mse", pretrained=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"zoo:{name} cannot be downloaded ({reason})") from error
    return from_published(net)


def from_published(net: MeanScaleHyperprior) -> VariableRateMsh:
    """A network of CompressAI's, at a gain of 1 the very same."""
    config = MshNetworkConfig(channels=net.N, latents=net.M)
    network = VariableRateMsh(config)
    network.net = net
    return network.eval()


def _transform(name: str, transform: nn.Sequential, half: bool) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for place, module in enumerate(transform):
        if isinstance(module, GDN):
            tensors[f"{name}.{place}.beta"] = module.beta_reparam(module.beta).float().cpu()
            tensors[f"{name}.{place}.gamma"] = module.gamma_reparam(module.gamma).float().cpu()
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            assert module.bias is not None
            tensors[f"{name}.{place}.weight"] = module.weight.float().cpu()
            tensors[f"{name}.{place}.bias"] = module.bias.float().cpu()
    kind = torch.float16 if half else torch.float32
    return {key: tensor.detach().to(kind, copy=True) for key, tensor in tensors.items()}


def _hyper_tables(net: MeanScaleHyperprior) -> list[tuple[int, NDArray[np.float64]]]:
    """Of each channel, the first value and the probabilities of it and those that follow."""
    bottleneck = net.entropy_bottleneck
    values = torch.arange(-_REACH, _REACH + 1, dtype=torch.float32)
    medians = bottleneck.quantiles[:, 0, 1].detach().cpu()
    where = values[None, None, :] + medians[:, None, None]
    device = bottleneck.quantiles.device
    likelihood, _, _ = bottleneck._likelihood(where.to(device))
    found = likelihood[:, 0].double().cpu().numpy()
    tables = []
    for row in found:
        kept = np.flatnonzero(row > 2.0 ** -(PRECISION + 1))
        first, last = (int(kept[0]), int(kept[-1])) if len(kept) else (_REACH, _REACH)
        tables.append((first - _REACH, row[first : last + 1]))
    return tables


def _gaussian(scale: float) -> tuple[int, NDArray[np.float64]]:
    """The first value and the probabilities of whole numbers, normal around 0 with a deviation."""

    def above(value: float) -> float:
        return math.erfc(value / scale / math.sqrt(2)) / 2

    reach = 1
    while 2 * above(reach + 0.5) > 2.0 ** -(PRECISION + 1):
        reach += 1
    half = np.array([above(value - 0.5) - above(value + 0.5) for value in range(reach + 1)])
    return -reach, np.concatenate([half[:0:-1], half])


def _cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.int32]:
    """A table of whole numbers from 0 to 1 << PRECISION, each at least one wide, with an escape at its end.

    Raises:
        ValueError: more values than a table can tell apart.
    """
    rest = max(0.0, 1.0 - float(probabilities.sum()))
    wanted = np.append(probabilities, rest)
    if len(wanted) > 1 << (PRECISION - 1):
        raise ValueError(f"{len(wanted)} values are too many for one entropy table")
    widths = np.maximum(1, np.rint(wanted / wanted.sum() * (1 << PRECISION)).astype(np.int64))
    # The widest give, or take, what rounding left: there a unit costs least.
    order = np.argsort(-widths, kind="stable")
    left = (1 << PRECISION) - int(widths.sum())
    place = 0
    while left:
        at, step = order[place % len(order)], int(math.copysign(1, left))
        if widths[at] + step >= 1:
            widths[at] += step
            left -= step
        place += 1
    table: NDArray[np.int32] = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    return table
