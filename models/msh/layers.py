"""The transforms of the neural codec as they are used: plain torch, nothing to train.

Their names are those of CompressAI's ``MeanScaleHyperprior``; its divisive normalisations come with their
parameters worked out, so that neither encoder nor decoder needs more than torch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

STRIDE = 64
"""Sides of what is transformed are multiples of it; frames are padded to them."""
LATENT_STRIDE = 16
"""Pixels per latent, in height and in width."""


class Gdn(nn.Module):
    """Generalised divisive normalisation (Ballé et al. 2016), or its approximate inverse.

    Args:
        channels: in and out.
        inverse: multiply by the norm rather than divide.
    """

    def __init__(self, channels: int, *, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.register_buffer("beta", torch.ones(channels))
        self.register_buffer("gamma", torch.zeros(channels, channels))

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) → (N, C, H, W)."""
        gamma = self.get_buffer("gamma")[:, :, None, None]
        norm_NCHW = F.conv2d(x_NCHW.square(), gamma, self.get_buffer("beta"))
        return x_NCHW * (norm_NCHW.sqrt() if self.inverse else norm_NCHW.rsqrt())


def analysis(channels: int, latents: int) -> nn.Sequential:
    """Frames (N, 3, 16h, 16w) 0–1 → latents (N, M, h, w)."""
    return nn.Sequential(
        _down(3, channels), Gdn(channels), _down(channels, channels), Gdn(channels),
        _down(channels, channels), Gdn(channels), _down(channels, latents),
    )  # fmt: skip


def synthesis(channels: int, latents: int) -> nn.Sequential:
    """Latents (N, M, h, w) → frames (N, 3, 16h, 16w) around 0–1."""
    return nn.Sequential(
        _up(latents, channels), Gdn(channels, inverse=True),
        _up(channels, channels), Gdn(channels, inverse=True),
        _up(channels, channels), Gdn(channels, inverse=True), _up(channels, 3),
    )  # fmt: skip


def hyper_analysis(channels: int, latents: int) -> nn.Sequential:
    """Latents (N, M, 4h, 4w) → hyper-latents (N, C, h, w)."""
    return nn.Sequential(
        nn.Conv2d(latents, channels, 3, 1, 1), nn.LeakyReLU(), _down(channels, channels),
        nn.LeakyReLU(), _down(channels, channels),
    )  # fmt: skip


def _down(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 5, 2, 2)


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)
