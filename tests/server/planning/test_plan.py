"""`bitfleet plan` by sweeps that follow a known law: the best choice is known, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from fleet.errors import InputError
from server.cli import main
from server.planning.law import Law
from server.planning.run import Asked, plan
from server.sweep.rows import write_table

ROOT = Path(__file__).resolve().parents[3]
LAWS = {
    "CO": Law(2.0, 0.5, 900.0, 1.0, 0.25),
    "RO": Law(2.0, 0.5, 300.0, 1.0, 0.25),  # restoration: less is lost at low rates
}
FIXED, PER_VEHICLE, PER_BYTE, PER_FRAME = 10.0, 5.0, 4e-6, 0.5
CALIBRATION = 60.0
"""What RO costs beside: calibration frames and restorer."""


def cost(configuration: str, vehicles: float, size: float) -> float:
    """What a campaign of the folder costs: 100 frames a vehicle are delivered, 50 are distinct."""
    extra = CALIBRATION if configuration == "RO" else 0.0
    parts = PER_VEHICLE * vehicles + PER_BYTE * 100 * vehicles * size + PER_FRAME * 50 * vehicles
    return FIXED + extra + parts


def write_sweep(
    folder: Path,
    *,
    seeds: int = 3,
    noise: float = 0.003,
    vehicles: tuple[int, ...] = (2, 4, 8, 16),
    sizes: tuple[int, ...] = (1000, 2000, 4000, 8000),
) -> Path:
    """Writes `sweep.json` and `sweep.parquet` of a sweep over vehicles and bits a frame."""
    luck = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for fleet in vehicles:
        for size in sizes:
            for seed in range(seeds):
                for name, law in LAWS.items():
                    error = float(law.error(50 * fleet, size)) + luck.normal(0, noise)
                    rows.append(
                        {
                            "campaign": f"{fleet}-{size}-{seed}",
                            "configuration": name,
                            "codec": "bpg",
                            "restorer": "adversarial" if name == "RO" else None,
                            "seed": seed,
                            "vehicles": fleet,
                            "frames_delivered": 100 * fleet,
                            "frames_trained": 50 * fleet,
                            "bytes_mean": float(size),
                            "bpp": size * 8 / 73728,
                            "miou": 1 - error,
                            "cost_total": cost(name, fleet, size),
                            "currency": "EUR",
                            "config.fleet.vehicles": fleet,
                            "config.budget.bits_per_frame": 8 * size,
                        }
                    )
    folder.mkdir(parents=True, exist_ok=True)
    write_table(rows, folder / "sweep.parquet")
    facts = {
        "version": 1,
        "name": "made",
        "currency": "EUR",
        "varied": ["fleet.vehicles", "budget.bits_per_frame"],
        "seeds": list(range(seeds)),
    }
    (folder / "sweep.json").write_text(json.dumps(facts))
    return folder


def planned(folder: Path, **asked: float) -> dict[str, Any]:
    plan(folder, Asked(**asked), Console(quiet=True))
    read: dict[str, Any] = json.loads((folder / "plan.json").read_text())
    return read


def best(budget: float) -> tuple[float, str]:
    """The greatest accuracy that a budget buys, by trying everything."""
    vehicles, sizes = np.arange(2, 17), np.geomspace(1000, 8000, 200)
    found = [
        (1 - float(law.error(50 * fleet, size)), name)
        for name, law in LAWS.items()
        for fleet in vehicles
        for size in sizes
        if cost(name, fleet, size) <= budget
    ]
    return max(found)


@pytest.mark.parametrize("budget", [150.0, 260.0, 420.0])
def test_the_choice_within_a_budget_is_the_best_there_is(tmp_path: Path, budget: float) -> None:
    chosen = planned(write_sweep(tmp_path), budget=budget)["choice"]
    accuracy, configuration = best(budget)
    assert chosen["configuration"] == configuration
    assert chosen["cost"] <= budget
    assert cost(configuration, chosen["vehicles"], chosen["size"]) == pytest.approx(
        chosen["cost"], rel=0.02
    )
    assert chosen["accuracy"] == pytest.approx(accuracy, abs=0.01)
    low, high = chosen["accuracy_bounds"]
    assert low <= chosen["accuracy"] <= high
    bits = chosen["settings"]["budget.bits_per_frame"]
    assert bits == pytest.approx(8 * chosen["size"], rel=0.01)


def test_the_cheapest_for_an_accuracy_reaches_it_and_to_be_surer_costs_no_less(
    tmp_path: Path,
) -> None:
    told = planned(write_sweep(tmp_path), accuracy=0.5)
    chosen, surer = told["choice"], told["surer"]
    assert chosen["accuracy"] >= 0.5
    assert surer["accuracy_bounds"][0] >= 0.5
    assert surer["cost"] >= chosen["cost"]
    true = 1 - float(LAWS[chosen["configuration"]].error(50 * chosen["vehicles"], chosen["size"]))
    assert true == pytest.approx(0.5, abs=0.01)


def test_plan_json_holds_what_was_measured_beside_the_law(tmp_path: Path) -> None:
    laws = planned(write_sweep(tmp_path), budget=200)["laws"]
    assert {law["configuration"] for law in laws} == {"CO", "RO"}
    for law in laws:
        assert len(law["measured"]) == 16
        assert len(law["bootstrap"]["floor"]) == 200
        for point in law["measured"]:
            assert np.mean(point["errors"]) == pytest.approx(point["law"], abs=0.01)


def test_a_single_seed_gives_a_choice_without_intervals(tmp_path: Path) -> None:
    told = planned(write_sweep(tmp_path, seeds=1), budget=200)
    assert told["choice"]["accuracy_bounds"] is None
    assert told["surer"] is None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"budget": 1.0}, r"--budget 1: every choice .* costs more; the cheapest \d"),
        ({"accuracy": 0.99}, r"--accuracy 0.99: no choice .* the most is 0\.\d+"),
        ({"accuracy": 70.0}, "--accuracy 70: must be between 0 and 1"),
        ({"budget": float("nan")}, "--budget nan: must be a number greater than 0"),
        ({"bytes": 1e6}, "--bytes: is for a given law"),
        ({}, "give one of"),
    ],
)
def test_what_cannot_be_met_is_said_in_one_line(
    tmp_path: Path, asked: dict[str, float], says: str
) -> None:
    folder = write_sweep(tmp_path)
    with pytest.raises(InputError, match=says):
        plan(folder, Asked(**asked), Console(quiet=True))
    assert not (folder / "plan.json").exists()


def test_a_sweep_of_two_fleet_sizes_has_no_law(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, vehicles=(2, 4))
    with pytest.raises(InputError, match=r"no law can be fitted: CO, bpg.* at least 3 numbers"):
        plan(folder, Asked(budget=100), Console(quiet=True))


def test_a_given_law_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    law = str(ROOT / "configs" / "law-cityscapes.yaml")
    assert main(["plan", law, "--bytes", "36.4e6"]) == 0
    said = capsys.readouterr().out
    assert "1,138" in said
    assert "31,996" in said
    assert main(["plan", str(ROOT / "configs"), "--budget", "10"]) == 2
    assert "holds no sweep.json" in capsys.readouterr().err
