"""A sweep's config: its points, and what cannot be swept."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from server.config_file import describe
from server.sweep.config import Range, SweepConfig

BASE: dict[str, Any] = {
    "campaign": {"budget": {"bits_per_frame": 8000}},
    "vary": {"fleet.vehicles": [4, 8], "budget.bits_per_frame": [4000, 8000]},
    "seeds": [0, 1],
}


def make(**settings: Any) -> SweepConfig:
    return SweepConfig.model_validate_json(json.dumps({**BASE, **settings}))


def fault(**settings: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        make(**settings)
    return describe(raised.value)


def test_a_grid_is_every_value_with_every_other_and_every_seed() -> None:
    config = make()
    points = config.points()
    assert config.count == len(points) == 8
    campaigns = [point.campaign(config.campaign) for point in points]
    told = {(one.fleet.vehicles, one.budget.bits_per_frame, one.seed) for one in campaigns}
    assert told == {(v, b, s) for v in (4, 8) for b in (4000, 8000) for s in (0, 1)}
    assert len({point.folder for point in points}) == 8
    # Neighbours run side by side: they differ by seed, and wait for none of each other's stages.
    assert [one.seed for one in campaigns] == [0, 1] * 4


def test_a_points_folder_is_its_own_whatever_else_is_swept() -> None:
    few, many = make(), make(vary={**BASE["vary"], "fleet.vehicles": [2, 4, 8, 16]})
    assert {point.folder for point in few.points()} < {point.folder for point in many.points()}


def test_sections_and_lists_can_be_varied() -> None:
    codecs = [{"name": "webp"}, {"name": "bpg", "chroma": "444"}]
    config = make(vary={"codec": codecs, "learning.configurations": [["CO"], ["CO", "CC"]]})
    campaigns = [point.campaign(config.campaign) for point in config.points()]
    assert {(one.codec.name, len(one.learning.configurations)) for one in campaigns} == {
        ("webp", 1), ("webp", 2), ("bpg", 1), ("bpg", 2),
    }  # fmt: skip
    assert "codec bpg 444" in " ".join(point.label for point in config.points())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"vary": {}}, "vary: must name at least one field"),
        ({"vary": {"fleet.vehicles": []}}, "vary.fleet.vehicles: must have at least one value"),
        ({"vary": {"fleet.vehicles": [4, 4]}}, "vary.fleet.vehicles: has 4 twice"),
        ({"vary": {"fleet.cars": [4]}}, "vary.fleet.cars: no such field"),
        ({"vary": {"cars": [4]}}, "vary.cars: no such field"),
        ({"vary": {"fleet.vehicles.x": [4]}}, "vary.fleet.vehicles.x: no such field"),
        ({"vary": {"seed": [4]}}, "vary.seed: cannot be varied; give seeds"),
        ({"vary": {"fleet.vehicles": [4, -1]}}, "vary: at vehicles -1, seed 0: fleet.vehicles"),
        ({"vary": {"fleet.vehicles": {"low": 2, "high": 9}}}, "a grid needs a list of values"),
        ({"seeds": []}, "seeds: "),
        ({"seeds": [1, 1]}, "seeds: names 1 twice"),
    ],
)
def test_what_cannot_be_swept_is_named(settings: dict[str, Any], says: str) -> None:
    assert says in fault(**settings)


def test_several_training_workers_are_refused() -> None:
    campaign = {**BASE["campaign"], "learning": {"trainer": {"workers": 2}}}
    assert "one worker a campaign" in fault(campaign=campaign)


def test_a_latin_hypercube_uses_each_value_evenly() -> None:
    vary = {
        "fleet.vehicles": {"low": 1, "high": 8, "integer": True},
        "budget.bits_per_frame": {"low": 1000, "high": 64000, "log": True, "integer": True},
        "codec": [{"name": "bpg"}, {"name": "webp"}],
    }
    config = make(vary=vary, search={"kind": "latin-hypercube", "points": 8}, seeds=[0])
    points = [point.campaign(config.campaign) for point in config.points()]
    assert config.count == len(points) == 8
    assert sorted(one.fleet.vehicles for one in points) == list(range(1, 9))
    assert [one.codec.name for one in points].count("webp") == 4
    bits = sorted(one.budget.bits_per_frame or 0 for one in points)
    assert all(1000 * 2 ** (k * 0.75) - 2 <= b <= 1000 * 2 ** (k * 0.75 + 0.75) + 2
               for k, b in enumerate(bits))  # fmt: skip
    assert [p.values for p in config.points()] == [p.values for p in config.points()]


@pytest.mark.parametrize("log", [False, True])
def test_a_range_ends_where_it_says(log: bool) -> None:
    assert Range(low=2, high=5, log=log).at(0.0) == pytest.approx(2)
    assert Range(low=2, high=5, log=log).at(1.0) == pytest.approx(5)
    whole = Range(low=2, high=5, log=log, integer=True)
    assert {whole.at(share / 100) for share in range(101)} == {2, 3, 4, 5}


@pytest.mark.parametrize(
    "settings",
    [
        {"low": 3, "high": 3},
        {"low": 0, "high": 3, "log": True},
        {"low": 0.5, "high": 3, "integer": True},
    ],
)
def test_a_range_that_is_none_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Range(**settings)
