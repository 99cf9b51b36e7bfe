"""A campaign as a Ray Tune trial: what it needs of the cluster, and how it runs there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from fleet.errors import BitstreamError, CampaignFailed, InputError
from models.training_config import TrainingDiverged
from server.campaign import CampaignConfig
from server.pipeline import Pipeline
from server.progress import Progress
from server.stages import ArtifactStore

LOG = "log.txt"
"""A campaign's progress, in its folder."""


def places(config: CampaignConfig) -> tune.PlacementGroupFactory:
    """What a campaign holds of the cluster for as long as it runs.

    A trial that started actors without having reserved their places could wait for ever for those of
    another one that waits, too. A campaign's stages follow one another, so it needs the most that any
    of them takes: a training's CPUs and GPU on one node, and all the hosts at once.
    """
    fleet, learning, restoration = config.fleet, config.learning, config.restoration
    trainers = [learning.trainer, *([restoration.trainer] if restoration is not None else [])]
    # Frames are decoded by tasks of one CPU.
    cpus = max(1.0, *(float(one.cpus_per_worker) for one in trainers))
    gpus = max(float(one.gpus_per_worker) for one in trainers)
    first = _bundle(cpus, gpus)
    hosted = int(cpus / fleet.cpus_per_host + 1e-9)
    if fleet.gpus_per_host > 0:
        hosted = min(hosted, int(gpus / fleet.gpus_per_host + 1e-9))
    others = max(0, fleet.host_count - hosted)
    host = _bundle(float(fleet.cpus_per_host), float(fleet.gpus_per_host))
    # The trial itself only waits for its stages: its bundle is empty.
    return tune.PlacementGroupFactory([{}, first, *[host] * others])


def _bundle(cpus: float, gpus: float) -> dict[str, float]:
    return {"CPU": cpus, **({"GPU": gpus} if gpus > 0 else {})}


def run_campaigns(
    configs: Sequence[tuple[str, str]], out: Path, store: Path, command: str
) -> dict[str, Any]:
    """Runs campaigns one after the other, each in a folder of its own.

    Args:
        configs: the name of each campaign's folder, and its config as JSON.
        out: the folder of the campaigns' folders.
        store: folder of artifacts that all share.
        command: the command line, for the provenance.

    Returns:
        The means over the campaigns of `miou` (of the first configuration) and `cost_total`; or
        the `fault`, in one line, of one that could not be run.
    """
    results = []
    for name, text in configs:
        config = CampaignConfig.model_validate_json(text)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("a", buffering=1) as log:
            progress = Progress(Console(file=log, width=200))
            pipeline = Pipeline(config, folder, ArtifactStore(store), progress, command)
            try:
                results.append(pipeline.run())
            except (InputError, BitstreamError, CampaignFailed, TrainingDiverged) as error:
                log.write(f"{error}\n")
                return {"fault": f"{name}: {error}"}
    count = len(results)
    return {name: sum(one[name] for one in results) / count for name in ("miou", "cost_total")}
