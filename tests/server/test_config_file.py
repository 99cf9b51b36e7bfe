"""Config files: strict, and wrong ones say so in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.errors import InputError
from server.campaign import CampaignConfig
from server.config_file import dump_yaml, load_config

GOOD = "budget: {bits_per_hour: 1000000}\n"


def load(tmp_path: Path, text: str, *overrides: str) -> CampaignConfig:
    path = tmp_path / "campaign.yaml"
    path.write_text(text)
    return load_config(CampaignConfig, path, overrides)


def test_overrides_take_the_place_of_the_files_values(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        GOOD,
        "fleet.vehicles=3",
        "codec.name=jpeg",
        "data.root=/x",
        "budget.burst_bits=90000",
    )
    assert config.fleet.vehicles == 3
    assert config.codec.name == "jpeg"
    assert config.data.root == Path("/x")
    assert config.budget.burst_bits == 90_000


def test_the_resolved_config_reads_back_as_itself(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD, "codec={name: bpg, chroma: '444'}", "data.root=/x")
    assert load(tmp_path, dump_yaml(config)) == config


@pytest.mark.parametrize(
    ("text", "override", "says"),
    [
        (GOOD, "fleet.vehicels=3", "fleet.vehicels: unknown key"),
        (GOOD, "fleet.vehicles=0", "fleet.vehicles: Input should be greater than or equal to 1"),
        (GOOD, "fleet.vehicles=1.5", "fleet.vehicles"),
        (GOOD, "fleet.vehicles='3'", "fleet.vehicles: Input should be a valid integer, not '3'"),
        (GOOD, "budget.bits_per_hour=0", "budget.bits_per_hour"),
        (GOOD, "budget.bits_per_hour=null", "budget: give at least one of"),
        (GOOD, "codec.name=gif", "codec.name: must be one of 'bpg', 'jpeg', 'webp'"),
        (GOOD, "codec={name: bpg, qp: 3}", "codec.qp: unknown key"),
        (GOOD, "codec={chroma: '444'}", "codec.name: Field required"),
        (GOOD, "rate_control.finest=99", "rate_control.finest: quality 99"),
        (GOOD, "restoration={qualities: [40.0, 52.0]}", "restoration.qualities: quality 52: must"),
        (
            GOOD,
            "learning={configurations: [AO], augmentation: {finest: 99.0}}",
            "learning.augmentation.finest: quality 99: must be",
        ),
        (GOOD, "learning.configurations=[XO]", "learning.configurations.0"),
        (GOOD, "learning.configurations=[CO, CO]", "learning.configurations: names"),
        (GOOD, "data.test_split=train", "data: test_split must differ"),
        (GOOD, "data.holdout=0.5", "data: give either test_split or a holdout"),
        (GOOD, "fleet.uplink.loss=1.0", "fleet.uplink.loss"),
        (GOOD, "prices.vehicle_hour=.nan", "prices.vehicle_hour"),
        (GOOD, "seed.x=1", "seed"),
        (GOOD, "nothing", "an override is written key=value"),
        ("", "seed=1", "budget: Field required"),
        ("- a list", "seed=1", "must hold keys and values"),
        ("a: [", "seed=1", "not YAML"),
        (GOOD, "learning.segmenter.encoder=nonsense", "learning: segmenter.encoder: no encoder"),
        (GOOD, "learning.trainer.workers=3", "learning: training.batch_size: 8 crops cannot"),
        (GOOD, "learning.training.weight_decay=.inf", "learning.training.weight_decay"),
        (GOOD, "fleet.hours=1.001", "fleet: hours must be a whole number of tick_s"),
        (GOOD, "fleet.tick_s=0.0015", "whole number of milliseconds"),
        (GOOD, "budget.burst_bits=1", "budget.burst_bits: must be at least a capture interval's"),
        ("budget: &x [*x]", "seed=1", "Circular reference"),
        (GOOD, "name=2026-01-01", "write the value in quotes"),
    ],
)
def test_bad_configs_say_so_in_one_line(
    tmp_path: Path, text: str, override: str, says: str
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, text, override)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        load_config(CampaignConfig, tmp_path / "none.yaml")
