"""What a training of the restorer is asked to do."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.discriminator import DiscriminatorConfig
from models.moving_average import decay_at
from models.restoration_losses import Adversary

Objective = Literal["adversarial", "distortion-only"]
"""What a restorer is to be good at."""


class RestorerTrainingConfig(BaseModel):
    """How the restorer is trained. The result depends on every field but `checkpoint_every`.

    The defaults are pix2pixHD's (Wang et al. 2018: Adam with 2e-4 and β₁ 0.5, feature matching ten times
    the adversarial loss, learning rates that fall to 0 over the second half) and DSSLIC's (Akbari et al.
    2019), which adds the pixels' distance; but the pixels are 0–1 here, and −1–1 there. With them the
    slopes of the weighted terms, seen from the restored pixels, are of one order where normalisation is
    `spectral`. A discriminator with `instance` has slopes ten times as steep: raise `pixel_weight`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    objective: Objective = Field(
        default="adversarial",
        description="`adversarial`: look like originals, against a discriminator. "
        "`distortion-only`: be close to them in the pixels alone (and in a network's features, with "
        "`semantic_weight`); the discriminator and its settings play no part.",
    )
    steps: int = Field(default=2000, ge=1, description="Optimiser steps, the warm-up's included.")
    warmup_steps: int = Field(
        default=200,
        ge=0,
        description="First steps, with the pixel loss alone; then the other terms join.",
    )
    batch_size: int = Field(
        default=8, ge=1, description="Crops a step, over all workers; a multiple of their number."
    )
    crop: int = Field(default=128, ge=8, description="Side of the square crops, pixels.")
    learning_rate: float = Field(default=2e-4, gt=0, description="Adam's, of the restorer.")
    discriminator_learning_rate: float = Field(
        default=2e-4, gt=0, description="Adam's, of the discriminator."
    )
    beta1: float = Field(default=0.5, ge=0, lt=1, description="Adam's momentum, of both.")
    decay: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the steps, at the end, over which both learning rates fall linearly "
        "to 0; constant before.",
    )
    adversary: Adversary = Field(
        default="hinge", description="Adversarial loss; `hinge` goes with spectral normalisation."
    )
    pixel_weight: float = Field(
        default=50.0, gt=0, description="Weight of the mean absolute difference of pixels 0–1."
    )
    adversarial_weight: float = Field(
        default=1.0, ge=0, description="Weight of the adversarial loss."
    )
    feature_matching_weight: float = Field(
        default=10.0, ge=0, description="Weight of the distance in the discriminator's features."
    )
    semantic_weight: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the distance in the features of a frozen network, such as a segmenter; "
        "needs no labels. 0: no such network.",
    )
    ema_decay: float = Field(
        default=0.999,
        ge=0,
        lt=1,
        description="How slowly the moving average of the weights, which is what the training leaves, "
        "follows them. It follows faster at the start: (1 + n) / (10 + n) after n steps, if smaller.",
    )
    discriminator: DiscriminatorConfig = Field(
        default=DiscriminatorConfig(), description="The restorer's opponent."
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32", description="bf16: autocast; for GPUs and CPUs with AMX."
    )
    threads: int = Field(
        default=2, ge=1, description="Torch's CPU threads; sums, hence results, depend on it."
    )
    channels_last: bool = Field(
        default=True, description="Memory format NHWC: faster nearly always."
    )
    checkpoint_every: int = Field(default=200, ge=1, description="Steps between checkpoints.")
    compile: bool = Field(
        default=False,
        description="torch.compile of the restorer: minutes of start-up, for long runs on a GPU.",
    )

    @model_validator(mode="after")
    def _warmup_ends(self) -> "RestorerTrainingConfig":
        more = self.objective == "adversarial" or self.semantic_weight > 0
        if more and self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} leaves none of the {self.steps} steps to the terms "
                "that join after it; want fewer, or objective distortion-only"
            )
        return self

    @model_validator(mode="after")
    def _crop_can_be_judged(self) -> "RestorerTrainingConfig":
        smallest = self.discriminator.smallest_crop
        if self.objective == "adversarial" and self.crop < smallest:
            raise ValueError(
                f"crop {self.crop} is too small for the discriminator, which wants {smallest} pixels; "
                "fewer scales or layers want fewer"
            )
        return self

    def fall_at(self, step: int) -> float:
        """Factor of both learning rates at a step, 0 ≤ step < steps: in (0, 1]."""
        falling = self.decay * self.steps
        return min(1.0, (self.steps - step) / falling) if falling else 1.0

    def ema_decay_at(self, done: int) -> float:
        """The moving average's own share of its next value, after so many steps, from 1."""
        return decay_at(self.ema_decay, done)
