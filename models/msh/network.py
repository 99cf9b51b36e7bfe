"""The neural codec as it is trained: CompressAI's mean-scale hyperprior, at any rate of a range."""

from __future__ import annotations

import torch
from compressai.models import MeanScaleHyperprior
from compressai.ops import quantize_ste
from torch import nn

from models.msh.training_config import MshNetworkConfig

LN2 = 0.6931471805599453


class VariableRateMsh(nn.Module):
    """A mean-scale hyperprior whose latents are multiplied by a gain before they are quantised.

    The weights are those of CompressAI's ``MeanScaleHyperprior``, so that its checkpoints fit; at a gain
    of 1 it is that network.

    Attributes:
        net: the transforms, the hyperprior and the entropy models.
    """

    def __init__(self, config: MshNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.net = MeanScaleHyperprior(config.channels, config.latents)

    def forward(
        self, frames_N3HW: torch.Tensor, gains_N: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What would be decoded, and the bits it would take.

        In training mode, bits are those of latents with uniform noise in place of rounding (Ballé et
        al. 2017), and rounding passes gradients straight through.

        Args:
            frames_N3HW: RGB, floating 0–1; height and width multiples of 64.
            gains_N: of each frame, > 0.

        Returns:
            Frames (N, 3, H, W) around 0–1, not clamped, and bits (N,), headers left out.
        """
        net, gains_N111 = self.net, gains_N[:, None, None, None]
        y_NMhw = net.g_a(frames_N3HW).float()
        z_NChw = net.h_a(y_NMhw).float()
        # Likelihoods are differences of numbers near each other: bf16 has not the digits for them.
        with torch.autocast(frames_N3HW.device.type, enabled=False):
            _, z_likelihoods = net.entropy_bottleneck(z_NChw)
            medians = net.entropy_bottleneck.quantiles[:, 0, 1].detach()[None, :, None, None]
            z_hat_NChw = quantize_ste(z_NChw - medians) + medians
            scales_NMhw, means_NMhw = net.h_s(z_hat_NChw).chunk(2, 1)
            _, y_likelihoods = net.gaussian_conditional(
                y_NMhw * gains_N111, scales_NMhw * gains_N111, means=means_NMhw * gains_N111
            )
            y_hat_NMhw = quantize_ste((y_NMhw - means_NMhw) * gains_N111) / gains_N111 + means_NMhw
            bits_N = (
                y_likelihoods.log().flatten(1).sum(1) + z_likelihoods.log().flatten(1).sum(1)
            ) / -LN2
        decoded_N3HW: torch.Tensor = net.g_s(y_hat_NMhw)
        return decoded_N3HW, bits_N

    def auxiliary_loss(self) -> torch.Tensor:
        """How far the entropy bottleneck's quantiles are from where they should be."""
        loss: torch.Tensor = self.net.entropy_bottleneck.loss()
        return loss

    def groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Parameters of the main loss, and of the auxiliary loss."""
        named = dict(self.named_parameters())
        auxiliary = [p for name, p in named.items() if name.endswith(".quantiles")]
        return [p for name, p in named.items() if not name.endswith(".quantiles")], auxiliary


def build_msh(config: MshNetworkConfig, *, seed: int = 0) -> VariableRateMsh:
    """The untrained network, on the CPU.

    Args:
        config: its size.
        seed: of the random weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VariableRateMsh(config)
