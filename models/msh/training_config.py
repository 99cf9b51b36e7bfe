"""What a training of the neural codec is asked to do."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.metrics import MS_SSIM_SIDE
from models.msh.rate import COARSEST, FINEST

MS_SSIM_FACTOR = 1300.0
"""What 1 − MS-SSIM is multiplied by beside 255² × the squared error, so that rates are alike: the ratio
of the two λ of CompressAI's published models of one quality."""


class MshNetworkConfig(BaseModel):
    """How large the network is."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    channels: int = Field(
        default=128, ge=8, le=512, description="Width of the transforms and of the hyper-latents."
    )
    latents: int = Field(
        default=192, ge=8, le=640, multiple_of=2, description="Channels of the latents."
    )


class MshTrainingConfig(BaseModel):
    """How the neural codec is trained. The result depends on every field but `checkpoint_every`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    steps: int = Field(default=200_000, ge=1, description="Optimiser steps.")
    batch_size: int = Field(default=8, ge=1, description="Crops a step.")
    crop: int = Field(
        default=256, ge=64, multiple_of=64, description="Side of the square crops, pixels."
    )
    distortion: Literal["mse", "ms-ssim"] = Field(
        default="mse", description="What is made small beside the rate."
    )
    rate_distortion: float = Field(
        default=0.013,
        gt=0,
        description="λ at quality 4: bits per pixel + λ · 255² · mean squared error of pixels 0–1. It "
        "is 1300 times as much for 1 − MS-SSIM.",
    )
    coarsest: float = Field(
        default=COARSEST,
        ge=COARSEST,
        le=FINEST,
        description="Coarsest quality trained for; λ falls with the square of the gain.",
    )
    finest: float = Field(
        default=FINEST, ge=COARSEST, le=FINEST, description="Finest quality trained for."
    )
    learning_rate: float = Field(default=1e-4, gt=0, description="Adam's, at its highest.")
    auxiliary_learning_rate: float = Field(
        default=1e-3, gt=0, description="Adam's, of the entropy bottleneck's quantiles."
    )
    warmup_steps: int = Field(
        default=100, ge=0, description="Steps over which the learning rate rises linearly."
    )
    decay: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the steps, at the end, over which the learning rate falls to 0.",
    )
    gradient_norm: float = Field(default=1.0, gt=0, description="Longer gradients are cut to it.")
    ema_decay: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="How slowly the moving average of the weights, which is what the training leaves, "
        "follows them. It follows faster at the start: (1 + n) / (10 + n) after n steps, if smaller.",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="bf16: autocast of the transforms; for GPUs."
    )
    threads: int = Field(
        default=2, ge=1, description="Torch's CPU threads; sums, hence results, depend on it."
    )
    checkpoint_every: int = Field(default=500, ge=1, description="Steps between checkpoints.")
    validate_every: int = Field(
        default=5000, ge=1, description="Steps between measurements on the validation frames."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.coarsest > self.finest:
            raise ValueError(f"coarsest {self.coarsest:g} is finer than finest {self.finest:g}")
        if self.distortion == "ms-ssim" and self.crop <= MS_SSIM_SIDE:
            raise ValueError(
                f"crop {self.crop} is too small for ms-ssim, which wants more than {MS_SSIM_SIDE}"
            )
        return self

    def learning_rate_at(self, step: int) -> float:
        """Of the main optimiser at a step, 0 ≤ step < steps."""
        rise = min(1.0, (step + 1) / (self.warmup_steps + 1))
        falling = self.decay * self.steps
        left = min(1.0, (self.steps - step) / falling) if falling else 1.0
        return self.learning_rate * rise * (1 - math.cos(math.pi * left)) / 2
