"""A sweep's points: values of the varied fields, and the campaign that they make."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from server.campaign import CampaignConfig


@dataclass(frozen=True)
class Point:
    """One campaign of a sweep.

    Attributes:
        values: of the varied fields, by dotted name.
        seed: of the campaign.
    """

    values: dict[str, Any]
    seed: int

    @property
    def label(self) -> str:
        """What it is called where a person reads, e.g. "vehicles 4, bits_per_hour 100000, seed 0"."""
        return f"{label_of(self.values)}, seed {self.seed}"

    @property
    def folder(self) -> str:
        """Its folder's name: readable, and no other point's."""
        text = json.dumps([self.values, self.seed], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", self.label).strip("-.")[:60].rstrip("-.")
        return f"{slug}-{digest}"

    def campaign(self, base: CampaignConfig) -> CampaignConfig:
        """Its config.

        Raises:
            ValidationError: the values do not go together.
        """
        name = f"{base.name}: {self.label}"[:200]
        return with_values(base, {**self.values, "seed": self.seed, "name": name})


def label_of(values: dict[str, Any]) -> str:
    """Values in words: the last part of each field's name, and its value in short."""
    return ", ".join(f"{field.rpartition('.')[2]} {short(v)}" for field, v in values.items())


def with_values(base: CampaignConfig, values: dict[str, Any]) -> CampaignConfig:
    """A campaign with some fields' values replaced.

    Args:
        base: the campaign.
        values: by dotted field name.

    Raises:
        ValueError: there is no such field.
        ValidationError: the values do not go together (it is a ValueError, too).
    """
    return CampaignConfig.model_validate_json(json.dumps(settings_with(base, values)))


def settings_with(base: CampaignConfig, values: dict[str, Any]) -> dict[str, Any]:
    """A campaign's settings with some replaced, as JSON values that are not validated.

    Raises:
        ValueError: there is no such field.
    """
    settings = copy.deepcopy(base.model_dump(mode="json"))
    for field, value in values.items():
        *parents, last = field.split(".")
        place: Any = settings
        for parent in parents:
            if isinstance(place, dict) and place.get(parent, "") is None:
                place[parent] = {}  # a section that the base leaves out is begun
            place = place.get(parent) if isinstance(place, dict) else None
        # What is new in a section that was begun is for the section's own config to know.
        if not isinstance(place, dict) or (place and last not in place):
            raise ValueError("no such field of a campaign")
        place[last] = value
    return settings


def short(value: Any) -> str:
    """A varied value in short."""
    if isinstance(value, dict):
        # A section is known by what names it, such as a codec's name, and by its other values.
        return " ".join(short(part) for part in value.values()) or "default"
    if isinstance(value, list):
        return "+".join(short(part) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
