"""The stage that collects: hosts drive the fleet, the collector commits what they hand in."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray

from fleet.budget import BudgetConfig
from fleet.codecs import CodecConfig
from fleet.errors import CampaignFailed, InputError
from fleet.fleet_config import FleetConfig
from fleet.frames.data import DataSet
from fleet.host import HostProgress, HostSpec, VehicleHost
from fleet.latency import Latencies, merge_by_name
from fleet.rate_control import RateControlConfig
from fleet.shard import Counters
from server.cluster import require
from server.collector import Collected, Collector, Taken
from server.durable import write_json
from server.inspection import Rules

_CALLS = 100
"""How many calls a host's campaign is cut into: how often it tells where it stands."""
_HEADER_BYTES = 4096
"""What a bitstream may take beyond four bytes a pixel: no codec needs more."""
_RESTARTS = 10
"""How often a host or the collector that died is started again before the campaign gives up."""


@dataclass(frozen=True)
class FleetState:
    """Where the whole fleet and the collector stand, for those who look on.

    Attributes:
        vehicles: their number.
        share: of the campaign's simulated time, in [0, 1].
        hours: simulated hours driven.
        totals: sums of all vehicles' counters.
        buffer_bytes: bytes aboard all vehicles.
        links_up: vehicles whose link is up.
        bits_granted: bits that the budget has granted all vehicles.
        waiting: uploads that hosts had handed in and not yet an answer to: the most of each host at
            once, since it last reported.
        taken: where the collector stood when it was last asked.
        encoding: by codec, how long each bitstream took that this run made.
    """

    vehicles: int
    share: float
    hours: float
    totals: dict[str, int]
    buffer_bytes: int
    links_up: int
    bits_granted: int = 0
    waiting: int = 0
    taken: Taken = field(default_factory=Taken)
    encoding: dict[str, Latencies] = field(default_factory=dict)


@dataclass(frozen=True)
class CollectionConfig:
    """All that a collection's outcome depends on beside its frames."""

    fleet: FleetConfig
    budget: BudgetConfig
    rate_control: RateControlConfig
    codecs: tuple[CodecConfig, ...]
    seed: int

    def inputs(self) -> dict[str, Any]:
        """The stage's inputs: everything here but where vehicles are simulated, which changes nothing."""
        placement = {"hosts", "vehicles_per_host", "cpus_per_host", "gpus_per_host"}
        return {
            "version": 1,
            "fleet": self.fleet.model_dump(mode="json", exclude=placement),
            "budget": self.budget.model_dump(mode="json"),
            "rate_control": self.rate_control.model_dump(mode="json"),
            "codec": self.codecs[0].model_dump(mode="json"),
            "seed": self.seed,
            **(
                {"also": [one.model_dump(mode="json") for one in self.codecs[1:]]}
                if len(self.codecs) > 1
                else {}
            ),
        }


def check_cluster(fleet: FleetConfig) -> None:
    """Raises InputError for hosts that the cluster's nodes cannot hold even when idle."""
    require("fleet.hosts", fleet.host_count, fleet.cpus_per_host, fleet.gpus_per_host)


class _CollectorActor(Collector):
    """The collector, with its rules read from a file; see `fleet.host.VehicleHost`."""

    def __init__(self, folder: Path, rules: Path) -> None:
        super().__init__(folder, pickle.loads(rules.read_bytes()))


def collect(
    config: CollectionConfig,
    campaign: str,
    data: DataSet,
    bitstreams: Path,
    folder: Path,
    on_progress: Callable[[FleetState], None],
) -> None:
    """Runs the fleet on the present Ray cluster and commits what arrives.

    Writes into `folder`: what the collector writes, `counters.parquet` (one row a vehicle),
    `telemetry.parquet` (samples over simulated time) and `collected.json`. A folder that an
    interrupted run left is carried on with: what it committed stays committed.

    Args:
        config: what decides the outcome.
        campaign: digest that names the collection in every upload's key.
        data: the frames.
        bitstreams: folder for encoded frames, shared with other campaigns.
        folder: the collection's folder.
        on_progress: called before the start, on every report of a host, and when all are done.

    Raises:
        InputError: hosts that the cluster cannot hold, or a frame that cannot be read.
    """
    fleet = config.fleet
    check_cluster(fleet)
    rules = Rules(
        campaign=campaign,
        vehicles=fleet.vehicles,
        frames=frozenset(ref.frame_id for ref in data.train),
        codecs=config.codecs,
        max_bytes=4 * data.max_pixels + _HEADER_BYTES,
        max_pixels=data.max_pixels,
    )
    restarts = {"max_restarts": _RESTARTS, "max_task_retries": _RESTARTS}
    # What actors start from lies in files, so that one that dies can start again from them.
    setup = folder / "setup"
    setup.mkdir(exist_ok=True)
    (setup / "rules").write_bytes(pickle.dumps(rules))
    actor: Any = ray.remote(_CollectorActor)
    collector = actor.options(num_cpus=0, **restarts).remote(folder, setup / "rules")
    hosts: list[Any] = []
    for index in range(fleet.host_count):
        vehicles = np.arange(index, fleet.vehicles, fleet.host_count, dtype=np.int64)
        spec = HostSpec(
            campaign, fleet, config.budget, config.rate_control, config.codecs, data.train,
            data.reader, vehicles, config.seed, bitstreams,
        )  # fmt: skip
        (setup / f"host-{index}").write_bytes(pickle.dumps(spec))
        actor = ray.remote(VehicleHost).options(
            num_cpus=fleet.cpus_per_host, num_gpus=fleet.gpus_per_host, **restarts
        )
        hosts.append(actor.remote(setup / f"host-{index}"))
    try:
        collected = _drive(hosts, collector, config, on_progress)
        finished = ray.get([host.finish.remote(collector) for host in hosts])
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, InputError):
            raise error.cause from None
        raise
    except ray.exceptions.RayActorError as error:
        reason = " ".join(str(error).split())[:200]
        raise CampaignFailed(f"a host or the collector died too often: {reason}") from error
    finally:
        for handle in [*hosts, collector]:
            ray.kill(handle)
        shutil.rmtree(setup)
    _write_table(folder / "counters.parquet", [counters for _, counters, _ in finished], "vehicle")
    _write_table(folder / "telemetry.parquet", [table for _, _, table in finished], "vehicle")
    # Latencies are of a host's last report only, and told already.
    work = [asdict(replace(progress, latencies={})) for progress, _, _ in finished]
    write_json(folder / "collected.json", {"collected": asdict(collected), "hosts": work})


def _drive(
    hosts: list[Any],
    collector: Any,
    config: CollectionConfig,
    on_progress: Callable[[FleetState], None],
) -> Collected:
    """Keeps one call in flight to every host until all are done; hosts do not wait for each other.

    The collector is asked where it stands, one question at a time, and not waited for until the end.
    """
    fleet = config.fleet
    chunk = max(1, fleet.ticks // _CALLS)
    progress: dict[int, HostProgress] = {}
    taken = Taken()
    encoding: dict[str, Latencies] = {codec.name: Latencies() for codec in config.codecs}

    def tell() -> None:
        on_progress(_state(list(progress.values()), len(hosts), fleet, taken, encoding))

    tell()
    asked = collector.standing.remote()
    running = {host.advance.remote(chunk, collector): index for index, host in enumerate(hosts)}
    while running:
        ready, _ = ray.wait(list(running), num_returns=1)
        index = running.pop(ready[0])
        progress[index] = ray.get(ready[0])
        merge_by_name(encoding, progress[index].latencies)
        if not progress[index].done:
            following = progress[index].tick + chunk
            running[hosts[index].advance.remote(following, collector)] = index
        if ray.wait([asked], timeout=0)[0]:
            taken, asked = ray.get(asked), collector.standing.remote()
        tell()
    taken = ray.get(collector.standing.remote())
    tell()
    collected: Collected = taken.collected
    return collected


def _state(
    reports: list[HostProgress],
    hosts: int,
    fleet: FleetConfig,
    taken: Taken,
    encoding: dict[str, Latencies],
) -> FleetState:
    driven = sum(min(1.0, report.tick / fleet.drive_ticks) for report in reports) / hosts
    return FleetState(
        vehicles=fleet.vehicles,
        share=driven,
        hours=driven * fleet.end_ms / 3_600_000,
        totals={
            each.name: sum(report.totals[each.name] for report in reports)
            for each in fields(Counters)
        },
        buffer_bytes=sum(report.buffer_bytes for report in reports),
        links_up=sum(report.links_up for report in reports),
        bits_granted=sum(report.bits_granted for report in reports),
        waiting=sum(report.waiting for report in reports),
        taken=taken,
        encoding={name: latencies.copy() for name, latencies in encoding.items()},
    )


def read_state(folder: Path, fleet: FleetConfig) -> FleetState:
    """Where the fleet of a finished collection stood at its end."""
    table = pq.read_table(folder / "counters.parquet")
    sums = {name: pc.sum(table[name]).as_py() or 0 for name in table.column_names}
    return FleetState(
        vehicles=fleet.vehicles,
        share=1.0,
        hours=fleet.end_ms / 3_600_000,
        totals={each.name: sums[each.name] for each in fields(Counters)},
        buffer_bytes=0,
        links_up=0,
        bits_granted=sums["bits_granted"],
        taken=Taken(read_collected(folder)),
    )


def _write_table(path: Path, tables: list[dict[str, Any]], key: str) -> None:
    """Writes the hosts' tables as one, sorted by vehicle, so that it is the same for any hosts."""
    joined = pa.concat_tables([pa.table(table) for table in tables])
    order = [(key, "ascending")]
    if "time_s" in joined.column_names:
        order.insert(0, ("time_s", "ascending"))
    pq.write_table(joined.sort_by(order), path)


def read_collected(folder: Path) -> Collected:
    """What a finished collection's collector had taken."""
    return Collected(**json.loads((folder / "collected.json").read_text())["collected"])
