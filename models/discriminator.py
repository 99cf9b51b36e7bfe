"""The discriminator: judges patches of restored frames at several scales.

PatchGAN (Isola et al. 2017) at the scales of pix2pixHD (Wang et al. 2018), with spectral normalisation
(Miyato et al. 2018). A logit judges the patch that it sees, not the picture; the feature maps on the way to
it serve a feature-matching loss. Conditional, it sees the decoded frame beside the restored one, and judges
whether the one is what the other was before the codec.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

WIDEST = 512
"""Channels do not double beyond this (or beyond the first layer's, where that is wider)."""

SLOPE = 0.2
"""Of the leaky ReLUs."""


class DiscriminatorConfig(BaseModel):
    """Which network tells restored frames from those that no codec touched."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    scales: int = Field(
        default=2, ge=1, le=4, description="Judges: at full size, at half of it, and so on."
    )
    channels: int = Field(
        default=32, ge=8, le=512, description="Width of the first layer; each later one doubles it."
    )
    layers: int = Field(
        default=3,
        ge=1,
        le=6,
        description="Layers that halve the size; patches grow with them (3: 70 pixels).",
    )
    normalisation: Literal["spectral", "instance", "none"] = Field(
        default="spectral",
        description="`spectral`: every convolution is divided by its largest singular value. "
        "`instance`: each map by its own spread, but for the first layer and the logits.",
    )
    conditional: bool = Field(default=True, description="Show the decoded frame as well.")

    @property
    def smallest_crop(self) -> int:
        """Smallest height and width that can be judged, pixels: one logit at the coarsest scale."""
        # Two convolutions of stride 1 take a pixel each, a strided one halves and rounds down …
        side = 3 << self.layers
        for _ in range(self.scales - 1):
            side = 2 * side - 1  # … and the pooling between scales halves and rounds up.
        return side


class PatchDiscriminator(nn.Module):
    """The judge of one scale.

    Args:
        in_channels: planes of the input.
        config: the network; ``scales`` and ``conditional`` are not looked at.
    """

    def __init__(self, in_channels: int, config: DiscriminatorConfig) -> None:
        super().__init__()
        widest = max(WIDEST, config.channels)
        widths = [min(config.channels << depth, widest) for depth in range(config.layers + 1)]
        stages: list[nn.Module] = []
        before = in_channels
        for depth, width in enumerate(widths):
            stride = 2 if depth < config.layers else 1
            stage: list[nn.Module] = [_convolution(before, width, stride, config)]
            if config.normalisation == "instance" and depth > 0:
                stage.append(nn.InstanceNorm2d(width))
            stages.append(nn.Sequential(*stage, nn.LeakyReLU(SLOPE, inplace=True)))
            before = width
        stages.append(_convolution(before, 1, 1, config))
        self.stages = nn.ModuleList(stages)

    def forward(self, x_NCHW: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of each stage; the last are the logits, (N, 1, h, w)."""
        maps = []
        for stage in self.stages:
            x_NCHW = stage(x_NCHW)
            maps.append(x_NCHW)
        return maps


class MultiScaleDiscriminator(nn.Module):
    """One judge per scale, each with weights of its own.

    With spectral normalisation, a pass in training mode also takes a step of power iteration: its vectors
    are buffers, so a resumed run goes on bit for bit where the other was.
    """

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        planes = 6 if config.conditional else 3
        self.judges = nn.ModuleList(
            PatchDiscriminator(planes, config) for _ in range(config.scales)
        )

    def forward(
        self, frames_N3HW: torch.Tensor, decoded_N3HW: torch.Tensor | None = None
    ) -> list[list[torch.Tensor]]:
        """Judges frames.

        Args:
            frames_N3HW: floating RGB 0–1, restored or original; sides of at least
                ``config.smallest_crop``.
            decoded_N3HW: what the codec made of them, floating RGB 0–1, where the discriminator is
                conditional; None where it is not.

        Returns:
            For each scale, from full size on: ``layers + 1`` feature maps (N, C, h, w), then the logits of
            the patches (N, 1, h, w), positive for "original".

        Raises:
            ValueError: frames that are too small or not floating, or a decoded frame that is missing, of
                another shape or not asked for.
        """
        if (decoded_N3HW is not None) != self.config.conditional:
            wants = "wants" if self.config.conditional else "takes no"
            raise ValueError(f"the discriminator {wants} decoded frames (conditional)")
        height, width = frames_N3HW.shape[-2:]
        smallest = self.config.smallest_crop
        if min(height, width) < smallest:
            raise ValueError(
                f"a crop of {width}×{height} pixels is too small for scales {self.config.scales} and "
                f"layers {self.config.layers} of the discriminator: at least {smallest}×{smallest}"
            )
        shown = [frames_N3HW]
        if decoded_N3HW is not None:
            if decoded_N3HW.shape != frames_N3HW.shape:
                raise ValueError(
                    f"frames of {tuple(frames_N3HW.shape)} beside decoded ones of "
                    f"{tuple(decoded_N3HW.shape)}"
                )
            shown.append(decoded_N3HW)
        if not all(x.is_floating_point() for x in shown):
            raise ValueError("the discriminator wants floating frames, 0–1")
        x_NCHW = 2 * torch.cat(shown, 1) - 1
        maps: list[list[torch.Tensor]] = []
        for judge in self.judges:
            if maps:
                x_NCHW = F.avg_pool2d(x_NCHW, 3, 2, 1, count_include_pad=False)
            maps.append(judge(x_NCHW))
        return maps


def _convolution(
    channels_in: int, channels_out: int, stride: int, config: DiscriminatorConfig
) -> nn.Module:
    """A 4×4 convolution: halves the size (stride 2) or takes a pixel off it (stride 1)."""
    convolution = nn.Conv2d(channels_in, channels_out, 4, stride, 1)
    nn.init.kaiming_normal_(convolution.weight, a=SLOPE)
    if config.normalisation == "spectral":
        normalised: nn.Module = spectral_norm(convolution)
        return normalised
    return convolution


def build_discriminator(config: DiscriminatorConfig, *, seed: int = 0) -> MultiScaleDiscriminator:
    """The network that ``config`` describes, on the CPU.

    Args:
        config: the network.
        seed: of the random weights; the global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MultiScaleDiscriminator(config)
