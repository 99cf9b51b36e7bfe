"""The base of every config model: strict, closed, documented."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A part of a campaign's config.

    Unknown keys are refused, values are never coerced ("3" is not 3), and a model is immutable, so
    that its digest can stand for it.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )
