"""What a training of the segmenter is asked to do, and what it says on the way."""

import math
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrainingDiverged(ValueError):
    """The loss is no longer a number. One line that names the step."""


class TrainingConfig(BaseModel):
    """How the segmenter is trained. The result depends on every field but `checkpoint_every`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    steps: int = Field(default=1000, ge=1, description="Optimiser steps.")
    batch_size: int = Field(
        default=8, ge=1, description="Crops a step, over all workers; a multiple of their number."
    )
    crop_height: int = Field(default=224, ge=32, description="Height of a crop, pixels.")
    crop_width: int = Field(default=288, ge=32, description="Width of a crop, pixels.")
    learning_rate: float = Field(
        default=2e-3, gt=0, description="AdamW's peak learning rate, after the warm-up."
    )
    weight_decay: float = Field(
        default=1e-2, ge=0, description="AdamW's decay of the convolutions' weights."
    )
    warmup_steps: int = Field(
        default=50, ge=0, description="Steps over which the learning rate rises linearly."
    )
    schedule: Literal["poly", "cosine"] = Field(
        default="poly",
        description="How the learning rate falls to 0 after the warm-up: (1 − t)^0.9 or cosine.",
    )
    horizontal_flip: bool = Field(default=True, description="Mirror every second crop.")
    scale_min: float = Field(
        default=0.75, gt=0, le=8, description="Smallest random scaling of a frame before the crop."
    )
    scale_max: float = Field(
        default=1.5, gt=0, le=8, description="Largest; factors are even in their logarithm."
    )
    colour_jitter: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="How far brightness, contrast and tint of a crop vary: factors of 1 ± this.",
    )
    class_weighting: Literal["none", "root"] = Field(
        default="none",
        description="Weights of the classes in the loss. `root`: one over the square root of a "
        "class's share of the labelled pixels, scaled so that the mean pixel weighs 1.",
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
        default=False, description="torch.compile: minutes of start-up, for long runs on a GPU."
    )

    @model_validator(mode="after")
    def _scales(self) -> "TrainingConfig":
        if self.scale_min > self.scale_max:
            raise ValueError(f"scale_min {self.scale_min} is above scale_max {self.scale_max}")
        return self

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step, 0 ≤ step < steps."""
        warmup = min(self.warmup_steps, self.steps // 2)
        if step < warmup:
            return self.learning_rate * (step + 1) / (warmup + 1)
        done = (step - warmup) / (self.steps - warmup)
        fall = (1 - done) ** 0.9 if self.schedule == "poly" else (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * fall


@dataclass(frozen=True)
class StepReport:
    """One step, as it was.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        loss: what the step made smaller (of this worker's share). The segmenter's is the mean
            cross-entropy of the labelled pixels, nats; the restorer's the weighted sum of its terms.
        learning_rate: that the step was taken with.
        seconds: wall clock since this process took the run up.
        parts: the terms of the loss by name, before they are weighted; the restorer's alone.
    """

    step: int
    steps: int
    loss: float
    learning_rate: float
    seconds: float
    parts: dict[str, float] = field(default_factory=dict)
