"""A law given in a file, to plan by without a sweep."""

from __future__ import annotations

from pydantic import Field

from fleet.config import Config
from server.planning.law import LawConfig


class GivenLaw(Config):
    """A law of error against frames and bytes, and the size of a frame."""

    name: str = Field("law", min_length=1, max_length=200)
    """What it is of."""
    law: LawConfig
    """Its constants."""
    pixels: int | None = Field(None, ge=1)
    """Pixels of a frame, to tell bits per pixel; null: not told."""
