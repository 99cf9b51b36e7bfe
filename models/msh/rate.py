"""The rate knob of the neural codec: one network, any rate within its range.

Latents are divided by a step before they are rounded, a fine one where many bits may be spent. What
multiplies them is the gain, 1/step. (Kamisli, Racapé, Choi, "Variable-Rate Learned Image Compression
with Multi-Objective Optimization and Quantization-Reconstruction Offsets", DCC 2024.)
"""

from __future__ import annotations

import math

COARSEST, FINEST = 0.0, 8.0
"""The range of qualities. Two units halve the step, and cost about as many bits as 6 dB do."""

GAIN_ONE = 1 << 16
"""A gain of 1 as it stands in a bitstream, an integer: gains are multiples of 1/GAIN_ONE."""


def gain_of(quality: float) -> int:
    """The gain at a quality, as an integer multiple of 1/GAIN_ONE; quality 4 has a gain of 1.

    Only encoders call it, so it need not be exact: a bitstream carries the gain itself.

    Raises:
        ValueError: the quality is not within COARSEST–FINEST.
    """
    if not COARSEST <= quality <= FINEST:
        raise ValueError(f"quality {quality:g}: must be a number from {COARSEST:g} to {FINEST:g}")
    return round(GAIN_ONE * 2 ** ((quality - 4) / 2))


def quality_of(gain: int) -> float:
    """The quality whose gain this is; gain ≥ 1, an integer multiple of 1/GAIN_ONE."""
    return 4 + 2 * math.log2(gain / GAIN_ONE)


LOWEST_GAIN, HIGHEST_GAIN = gain_of(COARSEST), gain_of(FINEST)
"""The range of gains in a bitstream."""
