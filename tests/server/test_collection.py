"""Collecting on a real Ray cluster: the same for any number of hosts, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fleet.budget import BudgetConfig
from fleet.codecs import BpgConfig
from fleet.fleet_config import FleetConfig
from fleet.frames.data import DataConfig, DataSet, open_data
from fleet.rate_control import RateControlConfig
from fleet.scenes import ScenesConfig, write_scenes
from fleet.uplink import UplinkConfig
from server.collection import (
    CollectionConfig,
    FleetState,
    collect,
    read_collected,
    read_state,
)
from server.manifest import manifest_digest, read_manifest

UPLINK = UplinkConfig(
    bits_per_second=600.0, outages_per_hour=3.0, outage_s=120.0, loss=0.05, corruption=0.1
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    root = tmp_path_factory.mktemp("frames") / "data"
    scenes = ScenesConfig(
        width=192, height=96, train_cities=2, val_cities=1, frames_per_city=8, val_frames_per_city=1
    )
    write_scenes(scenes, root, processes=1)
    return open_data(DataConfig(root=root), root)


def run(
    data: DataSet,
    folder: Path,
    on_progress: Callable[[FleetState], None] = lambda state: None,
    **fleet: Any,
) -> Path:
    settings = {"vehicles": 4, "hours": 1.0, "capture_interval_s": 60.0, "tick_s": 5.0, **fleet}
    config = CollectionConfig(
        FleetConfig(uplink=UPLINK, **settings),
        BudgetConfig(bits_per_hour=300_000, burst_bits=60_000),
        RateControlConfig(),
        (BpgConfig(preset="ultrafast"),),
        seed=1,
    )
    folder.mkdir(exist_ok=True)
    collect(config, "c" * 64, data, folder / "encoded", folder, on_progress)
    return folder


def outcome(folder: Path) -> dict[str, Any]:
    """All that must not depend on where and how often vehicles were simulated."""
    return {
        "digest": manifest_digest(read_manifest(folder / "manifest")),
        "collected": read_collected(folder),
        "counters": pq.read_table(folder / "counters.parquet").to_pydict(),
        "stored": sum(file.stat().st_size for file in folder.glob("bitstreams/*/*.bpg")),
    }


@pytest.fixture(scope="module")
def alone(
    ray_cluster: None, data: DataSet, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The outcome of one host that is left alone."""
    return outcome(run(data, tmp_path_factory.mktemp("alone") / "one", hosts=1))


def test_every_bit_is_counted(alone: dict[str, Any]) -> None:
    counters, collected = alone["counters"], alone["collected"]
    assert collected.bits == 8 * alone["stored"] > 0
    assert set(collected.refused) == {"digest does not match"}
    assert sum(counters["bits_sent"]) == (
        collected.bits
        + collected.bits_refused
        + sum(counters["bits_retransmitted"])
        + sum(counters["bits_unfinished"])
    )
    assert collected.frames + sum(collected.refused.values()) == sum(counters["delivered"])


@pytest.mark.parametrize(
    "placement", [{"hosts": 3}, {"vehicles_per_host": 1, "cpus_per_host": 0.5}]
)
def test_hosts_change_nothing(
    alone: dict[str, Any], data: DataSet, tmp_path: Path, placement: dict[str, Any]
) -> None:
    states: list[FleetState] = []
    assert outcome(run(data, tmp_path / "many", states.append, **placement)) == alone
    assert states[-1].totals["captured"] == sum(alone["counters"]["captured"])
    assert states[-1].share == 1
    assert states[0].totals["captured"] == 0, "told before the start, so that rates begin at 0"


def test_what_those_who_look_on_are_told_adds_up(
    ray_cluster: None, alone: dict[str, Any], data: DataSet, tmp_path: Path
) -> None:
    states: list[FleetState] = []
    folder = run(data, tmp_path / "told", states.append, hosts=2)
    assert outcome(folder) == alone
    last = states[-1]
    hosts = json.loads((folder / "collected.json").read_text())["hosts"]
    assert last.encoding["bpg"].count == sum(host["encodes"] for host in hosts) > 0
    assert last.encoding["bpg"].seconds == pytest.approx(
        sum(host["encode_seconds"] for host in hosts)
    )
    assert last.taken.collected == alone["collected"]
    batches = len(list((folder / "manifest").glob("part-*.parquet")))
    assert last.taken.commits.count >= batches > 0
    assert last.bits_granted == sum(alone["counters"]["bits_granted"])
    assert max(state.waiting for state in states) > 0
    for name in ("captured", "delivered", "bits_sent"):
        told = [state.totals[name] for state in states]
        assert told == sorted(told)
    found = read_state(folder, FleetConfig(vehicles=4, hours=1.0))
    assert (found.totals, found.bits_granted) == (last.totals, last.bits_granted)
    assert (found.taken.collected, found.hours) == (last.taken.collected, last.hours)


def processes(title: str) -> list[int]:
    """Descendants of this process whose title begins so; other clusters' are left alone."""
    parent_of, found = {}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent_of[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
            if (entry / "cmdline").read_bytes().startswith(title.encode()):
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile

    def ours(process: int) -> bool:
        while process in parent_of and process != os.getpid():
            process = parent_of[process]
        return process == os.getpid()

    return [process for process in found if ours(process)]


@pytest.mark.parametrize("victim", ["VehicleHost", "_CollectorActor"])
def test_killed_actors_change_nothing(
    alone: dict[str, Any], data: DataSet, tmp_path: Path, victim: str
) -> None:
    """Kills an actor's process as soon as some uploads are committed; Ray starts it again."""
    folder = tmp_path / "killed"
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while not killed and not over.is_set():
            time.sleep(0.01)
            if list((folder / "manifest").glob("part-*.parquet")):
                for process in processes(f"ray::{victim}")[:1]:
                    killed.append(process)
                    os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        run(data, folder, hosts=2)
    finally:
        over.set()
        killer.join()
    assert killed, "the campaign was over before its actor could be killed"
    assert outcome(folder) == alone


def test_an_interrupted_collection_is_carried_on(
    alone: dict[str, Any], data: DataSet, tmp_path: Path
) -> None:
    """Stopped half-way by the driver's own end, and begun again in the same folder."""
    folder = tmp_path / "stopped"

    class Stop(Exception):
        pass

    def stop(state: FleetState) -> None:
        if state.totals["delivered"] > 20:
            raise Stop

    with pytest.raises(Stop):
        run(data, folder, stop, hosts=2)
    committed = {(row["vehicle"], row["sequence"]) for row in read_manifest(folder / "manifest")}
    assert committed
    assert outcome(run(data, folder, hosts=2)) == alone
    assert committed <= {
        (row["vehicle"], row["sequence"]) for row in read_manifest(folder / "manifest")
    }
