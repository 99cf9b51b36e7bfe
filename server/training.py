"""The segmenter's training on the cluster, through Ray Train.

Ray Train places the workers, joins them into a DDP group and starts them again when one dies; what
they run is ``models.segmenter_training.fit``. Everything goes through one folder, which all nodes
must share when the cluster has more than one: checkpoints, progress, weights. The driver follows
the progress by reading a file there, so nothing but the file system has to survive a worker.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Train's second version is the default of recent releases; earlier ones want it asked for.
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")

import ray
import ray.train
import torch
from pydantic import Field
from ray.train.torch import TorchTrainer

# What `ray.train` exports at run time; to a type checker its names are the first version's.
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from torch.nn.parallel import DistributedDataParallel

from fleet.config import Config
from fleet.errors import CampaignFailed, InputError
from models.frame_pairs import FramePairs
from models.segmenter import CLASSES, SegmenterConfig, build_segmenter
from models.segmenter_training import (
    WEIGHTS,
    StepReport,
    TrainingConfig,
    TrainingDiverged,
    fit,
    prepare,
)
from server.cluster import require

PROGRESS = "progress.jsonl"
_FAILURE, _STOP, _RAY_FOLDER = "failure.json", "stop", "ray"
_POLL_S = 0.2


class TrainerConfig(Config):
    """Where the segmenter is trained. The result depends on `workers` alone."""

    workers: int = Field(default=1, ge=1, description="Training processes, joined by DDP.")
    cpus_per_worker: float = Field(
        default=2,
        gt=0,
        description="CPUs reserved for each worker; how many threads it computes with is the "
        "training's `threads`.",
    )
    gpus_per_worker: float = Field(
        default=0, ge=0, description="GPUs reserved for each worker; above 0, it trains on one."
    )
    max_failures: int = Field(
        default=3, ge=0, description="How often the workers are started again after one died."
    )
    start_timeout_s: float = Field(
        default=300, gt=0, description="Seconds to wait until the cluster has the resources free."
    )
    report_every: int = Field(default=5, ge=1, description="Steps between two progress reports.")


@dataclass(frozen=True)
class _Task:
    """What a worker needs; it must pickle."""

    pairs: FramePairs
    segmenter: SegmenterConfig
    training: TrainingConfig
    trainer: TrainerConfig
    classes: int
    seed: int
    folder: Path


def train_segmenter(
    pairs: FramePairs,
    segmenter: SegmenterConfig,
    training: TrainingConfig,
    trainer: TrainerConfig,
    *,
    seed: int,
    folder: Path,
    classes: int = CLASSES,
    on_step: Callable[[StepReport], None] | None = None,
) -> Path:
    """Trains a segmenter from its config on the running Ray cluster; blocks until it is done.

    Called again on the folder of a run that was killed, it goes on from the last checkpoint.

    Args:
        pairs: frames and train ids; cheap to pickle (``NpyPairs``), readable on every node.
        segmenter: the network.
        training: how to train it.
        trainer: where.
        seed: of the initial weights, of the crops and of dropout.
        folder: for checkpoints and weights; on storage that driver and workers share.
        classes: of the network.
        on_step: called here, in the calling thread, every ``report_every`` steps and at the last.
            Where a run goes on, the steps taken before come first; those since the checkpoint come
            twice.

    Returns:
        The file with the weights, for ``models.checkpoint.load_weights``.

    Raises:
        InputError: the cluster is too small or too busy, or a config value cannot be used.
        TrainingDiverged: the loss is no longer a number.
        CampaignFailed: the workers failed more than ``max_failures`` times; one line.
    """
    check_cluster(trainer)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # PROGRESS stays: of a run that goes on, it tells the steps before the checkpoint too.
    for name in (_FAILURE, _STOP):
        (folder / name).unlink(missing_ok=True)
    task = _Task(pairs, segmenter, training, trainer, classes, seed, folder)
    errors: list[BaseException] = []
    # In a thread of its own, since fit() blocks, and in the main thread would take Ctrl-C over.
    thread = threading.Thread(target=_run_trainer, args=(task, errors), daemon=True)
    try:
        with _environment(
            RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S=str(trainer.start_timeout_s),
            RAY_TRAIN_HEALTH_CHECK_INTERVAL_S="0.5",  # how often the controller polls the workers
        ):
            thread.start()
            for report in _follow(folder / PROGRESS, thread):
                if on_step is not None:
                    on_step(report)
            thread.join()
    except BaseException:
        # Ctrl-C, or a callback that failed: the workers end at their next step.
        (folder / _STOP).touch()
        raise
    finally:
        if not thread.is_alive():
            shutil.rmtree(folder / _RAY_FOLDER, ignore_errors=True)
    _raise_failure(folder, trainer, errors)
    return folder / WEIGHTS


def _run_trainer(task: _Task, errors: list[BaseException]) -> None:
    trainer = task.trainer
    resources = {"CPU": trainer.cpus_per_worker}
    if trainer.gpus_per_worker:
        resources["GPU"] = trainer.gpus_per_worker
    try:
        TorchTrainer(
            _work,
            train_loop_config={"task": task},
            scaling_config=ScalingConfig(
                num_workers=trainer.workers,
                use_gpu=trainer.gpus_per_worker > 0,
                resources_per_worker=resources,
            ),
            run_config=RunConfig(  # type: ignore[arg-type]  # as above: the checker's is the first
                name="run",
                storage_path=str(task.folder / _RAY_FOLDER),
                # Its own controller fails only when it cannot place the workers in time: once.
                failure_config=FailureConfig(
                    max_failures=trainer.max_failures, controller_failure_limit=0
                ),
                logging_config=LoggingConfig(log_level="CRITICAL"),
            ),
        ).fit()
    except BaseException as error:  # Ray ends a thread by SystemExit when it is shut down
        errors.append(error)


def _work(config: dict[str, Any]) -> None:
    """What each worker runs."""
    task: _Task = config["task"]
    failure = task.folder / _FAILURE
    if failure.exists():
        return  # another worker's error, which a restart cannot mend
    logging.getLogger().setLevel(logging.ERROR)
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    try:
        _train(task, rank, world_size)
    except ValueError as error:
        # Bad input and divergence come again however often it is tried. So that Ray does not try,
        # a lone worker ends as if all were well; of several, the others wait in DDP until this
        # one is seen to fail.
        line = " ".join(str(error).split())
        text = json.dumps({"diverged": isinstance(error, TrainingDiverged), "line": line})
        temporary = failure.with_suffix(f".{rank}")
        temporary.write_text(text)
        temporary.replace(failure)
        if world_size > 1:
            raise


def _train(task: _Task, rank: int, world_size: int) -> None:
    device = ray.train.torch.get_device()
    bare = build_segmenter(task.segmenter, task.classes, seed=task.seed)
    model: torch.nn.Module = prepare(bare, task.training, device)
    if world_size > 1:
        devices = [device] if device.type == "cuda" else None
        model = DistributedDataParallel(model, device_ids=devices)

    def report(step: StepReport) -> None:
        last = step.step == step.steps
        # Ray takes one report per poll and holds the worker until then: not every one goes to it.
        if last or step.step % task.training.checkpoint_every == 0:
            ray.train.report({"step": step.step, "loss": step.loss})
        if not last and step.step % task.trainer.report_every:
            return
        if rank == 0:
            # `pid` and `threads` tell which process took the step, and how it was set up.
            worker = {"pid": os.getpid(), "threads": torch.get_num_threads()}
            with (task.folder / PROGRESS).open("a") as file:
                file.write(json.dumps(asdict(step) | worker) + "\n")
        if (task.folder / _STOP).exists():
            raise ValueError("stopped by the driver")

    fit(
        model,
        task.pairs,
        task.training,
        seed=task.seed,
        device=device,
        folder=task.folder,
        rank=rank,
        world_size=world_size,
        on_step=report,
    )


def _follow(file: Path, thread: threading.Thread) -> Iterator[StepReport]:
    """The reports in a growing file, until the thread has ended."""
    position, rest = 0, b""
    while True:
        ended = not thread.is_alive()  # looked at first, so that the last lines are read too
        if file.exists():
            with file.open("rb") as opened:
                opened.seek(position)
                data = opened.read()
            position += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                try:
                    fields = json.loads(line)
                    report = {name: fields[name] for name in StepReport.__dataclass_fields__}
                except ValueError:
                    continue  # a line that a worker was killed in, with the next one's behind it
                yield StepReport(**report)
        if ended:
            return
        time.sleep(_POLL_S)


def check_cluster(trainer: TrainerConfig) -> None:
    """Raises InputError for workers that the cluster's nodes cannot hold even when idle."""
    require("learning.trainer", trainer.workers, trainer.cpus_per_worker, trainer.gpus_per_worker)


def _raise_failure(folder: Path, trainer: TrainerConfig, errors: list[BaseException]) -> None:
    """Turns what went wrong, if anything, into one line."""
    failure = folder / _FAILURE
    if failure.exists():
        found = json.loads(failure.read_text())
        failure.unlink()
        raise TrainingDiverged(found["line"]) if found["diverged"] else InputError(found["line"])
    if not errors:
        return
    error = errors[0]
    if isinstance(error, ray.train.ControllerError):
        raise InputError(
            f"learning.trainer: {_wanted(trainer)} were not free within {trainer.start_timeout_s:g} s; "
            f"free now: {_amounts(ray.available_resources)}"
        ) from error
    causes = getattr(error, "worker_failures", {}) or {0: error}
    rank, cause = min(causes.items())
    cause = getattr(cause, "_base_exc", cause)
    line = " ".join(str(cause).split())[:300]
    raise CampaignFailed(
        f"training failed for good after {trainer.max_failures} restarts; worker {rank}: "
        f"{type(cause).__name__}: {line}"
    ) from error


def _wanted(trainer: TrainerConfig) -> str:
    gpus = f" and {trainer.gpus_per_worker:g} GPU" if trainer.gpus_per_worker else ""
    return f"{trainer.workers} × {trainer.cpus_per_worker:g} CPU{gpus}"


def _amounts(ask: Callable[[], dict[str, float]]) -> str:
    resources = ask()
    return f"{resources.get('CPU', 0):g} CPU and {resources.get('GPU', 0):g} GPU"


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Environment variables that hold within the block: Ray Train hands them to its controller."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
