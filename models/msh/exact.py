"""The path from hyper-latents to means and scales, in exact integer arithmetic.

An entropy decoder must come to the very tables that the encoder used: a scale that differs in its last
bit can choose another table, and all that follows is lost (CompressAI #309, #279). Here weights and
activations are integers carried in float64; every intermediate result is an integer below 2⁵³, or one
divided by a power of two, hence exact, in whatever order a library adds and on whatever device.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

FRACTION = 12
"""Activations are multiples of 2**−FRACTION."""
LIMIT = 1 << 22
"""Activations, as integers, are within ± this: ± 1024 as numbers."""
_SLOPE_FRACTION = 12
_SLOPE = 41
"""Of the leaky ReLU's negative side: 41 / 4096, for 0.01."""
_BOUND = 1 << 46
"""What a sum of products may come to; times the slope's 41 it is still below 2⁵³."""
_MOST_FRACTION = 16

LAYERS = (0, 2, 4)
"""Names of the three layers: two transposed convolutions (5×5, stride 2), then a convolution (3×3)."""


def quantise_layer(
    weight: torch.Tensor, bias: torch.Tensor, outputs: int
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Integers in place of a layer's weights.

    Args:
        weight: floating, of a convolution or a transposed one.
        bias: floating (outputs,).
        outputs: the dimension of ``weight`` that its outputs are in.

    Returns:
        Weights (int32), multiples of 2**−fraction; biases (int64), multiples of 2**−(fraction +
        FRACTION); and the fraction, as large as the bound on sums allows.

    Raises:
        ValueError: the weights are so large that no fraction will do.
    """
    inputs = [dimension for dimension in range(weight.ndim) if dimension != outputs]
    for fraction in range(_MOST_FRACTION, -1, -1):
        whole = (weight.double() * 2**fraction).round()
        shift = (bias.double() * 2 ** (fraction + FRACTION)).round()
        if float((whole.abs().sum(inputs) * LIMIT + shift.abs()).max()) < _BOUND:
            return whole.to(torch.int32), shift.to(torch.int64), fraction
    raise ValueError("hyper synthesis: weights are too large for exact arithmetic")


class ExactHyperSynthesis:
    """Hyper-latents to means and scales, the same integers on every machine."""

    def __init__(self, tensors: Mapping[str, torch.Tensor], device: torch.device) -> None:
        """Takes what ``quantise_layer`` made.

        Args:
            tensors: `h_s.{layer}.weight`, `.bias` and `.fraction` of the three layers, and `medians`
                int32 (C,), multiples of 2**−FRACTION.
            device: where to compute.

        Raises:
            ValueError: weights that break the bound, with which results would not be exact.
        """
        self._medians = tensors["medians"].to(device, torch.float64)[:, None, None]
        self._layers = []
        for layer in LAYERS:
            weight = tensors[f"h_s.{layer}.weight"].to(device, torch.float64)
            bias = tensors[f"h_s.{layer}.bias"].to(device, torch.float64)
            fraction = int(tensors[f"h_s.{layer}.fraction"])
            inputs = (1, 2, 3) if layer == LAYERS[-1] else (0, 2, 3)
            sums = weight.abs().sum(inputs) * LIMIT + bias.abs()
            if float(sums.max()) >= _BOUND or not 0 <= fraction <= _MOST_FRACTION:
                raise ValueError(f"h_s.{layer}: weights are too large for exact arithmetic")
            self._layers.append((weight, bias, fraction))

    @torch.inference_mode()
    def __call__(self, z_NChw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means and scales of the latents.

        Args:
            z_NChw: hyper-latents as they are coded, integers of any type.

        Returns:
            Means and scales, int32 (N, M, 4h, 4w), multiples of 2**−FRACTION.
        """
        x = z_NChw.to(self._medians.device, torch.float64) * 2**FRACTION + self._medians
        x = x.clamp(-LIMIT, LIMIT)
        # cuDNN may take transforms whose intermediate results are no integers.
        with torch.backends.cudnn.flags(enabled=False):
            for number, (weight, bias, fraction) in enumerate(self._layers):
                if number < len(self._layers) - 1:
                    total = F.conv_transpose2d(x, weight, bias, 2, 2, 1)
                    # The slope is multiplied in before the sum is rounded to a whole number.
                    total = torch.where(total < 0, total * _SLOPE, total * 2**_SLOPE_FRACTION)
                    fraction += _SLOPE_FRACTION
                else:
                    total = F.conv2d(x, weight, bias, 1, 1)
                x = (total * 2**-fraction + 0.5).floor().clamp(-LIMIT, LIMIT)
        scales, means = x.to(torch.int32).chunk(2, 1)
        return means, scales
