"""What the fleet adds to its encodes, and how well it uses its budget.

    python tests/benchmarks/bench_campaign.py [--data ../shared/data/camvid] [--runs 3]

Prints, for a campaign of 200 captures at two hosts: the time that hosts spend driving over the time that
they spend inside the codec's encode (the overhead), encodes a frame, and the share of the budget used;
medians over the runs. Both times come from the same run, so that a noisy machine slows both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from fleet.budget import BudgetConfig
from fleet.codecs import BpgConfig
from fleet.fleet_config import FleetConfig
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.rate_control import RateControlConfig
from fleet.scenes import ScenesConfig, write_scenes
from server.cluster import cluster
from server.collection import CollectionConfig, collect

BUDGETS = {
    "token bucket": BudgetConfig(bits_per_hour=1_000_000, burst_bits=300_000),
    "per frame": BudgetConfig(bits_per_frame=17_000),
    "campaign": BudgetConfig(campaign_bits=200 * 17_000),
}


def main() -> None:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/camvid"))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = frames(options.data, Path(temporary))
        print(
            f"{'budget':14} {'captures':>8} {'drive ÷ encode':>15} {'stage ÷ encode':>15} "
            f"{'encodes/frame':>14} {'budget used':>12}"
        )
        with cluster():
            for name, budget in BUDGETS.items():
                rows = [
                    measure(budget, data, Path(temporary) / f"{name} {run}")
                    for run in range(options.runs)
                ]
                captures, *ratios = (
                    statistics.median(column) for column in zip(*rows, strict=True)
                )
                drive, stage, encodes, used = ratios
                print(
                    f"{name:14} {captures:8.0f} {drive:15.3f} {stage:15.3f} {encodes:14.2f} "
                    f"{100 * used:11.1f}%"
                )


def frames(root: Path, temporary: Path) -> DataSet:
    """Real frames where they are, else scenes; says which."""
    if root.is_dir():
        print(f"frames: {root}")
    else:
        print(f"frames: procedural scenes, since {root} is not there")
        root = temporary / "scenes"
        write_scenes(ScenesConfig(width=480, height=352), root)
    return open_data(DataConfig(root=root), root)


def measure(
    budget: BudgetConfig, data: DataSet, folder: Path
) -> tuple[float, float, float, float, float]:
    """(captures, drive ÷ encode, stage ÷ (encode ÷ hosts), encodes a frame, budget used)."""
    fleet = FleetConfig(
        vehicles=10, hours=1.0, capture_interval_s=180.0, tick_s=10.0, hosts=2, cpus_per_host=1.0
    )
    config = CollectionConfig(fleet, budget, RateControlConfig(), (BpgConfig(),), seed=0)
    folder.mkdir()
    started = time.perf_counter()
    collect(config, "benchmark", data, folder / "encoded", folder, lambda state: None)
    stage = time.perf_counter() - started
    hosts = json.loads((folder / "collected.json").read_text())["hosts"]
    encode = sum(host["encode_seconds"] for host in hosts)
    drive = sum(host["drive_seconds"] for host in hosts)
    counters = pq.read_table(folder / "counters.parquet").to_pydict()
    total = {name: sum(values) for name, values in counters.items()}
    return (
        total["captured"],
        drive / encode,
        stage / (encode / len(hosts)),
        total["encodes"] / total["captured"],
        total["bits_sent"] / total["bits_granted"],
    )


if __name__ == "__main__":
    main()
