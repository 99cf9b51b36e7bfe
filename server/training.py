"""Trainings on the cluster: of one worker as a Ray task, of several through Ray Train.

Ray Train joins workers into a DDP group. A lone worker needs none of that, and starts in a tenth of the
time as a task, in a process that the cluster has already. Either way a worker that dies is started again;
what it runs is a plain loop of ``models``. Everything goes through one folder, which all nodes must share
when the cluster has more than one: checkpoints, progress, weights. The driver follows the progress by
reading a file there, so nothing but the file system has to survive a worker.
"""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, Self

# Train's second version is the default of recent releases; earlier ones want it asked for.
os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from pydantic import Field
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fleet.config import Config
from fleet.errors import CampaignFailed, InputError
from models.training_config import StepReport, TrainingDiverged
from server.cluster import require

OnStep = Callable[[StepReport], None]
"""Told of each step."""

PROGRESS = "progress.jsonl"
_FAILURE, _STOP, _BEGUN, _RAY_FOLDER = "failure.json", "stop", "begun", "ray"
_POLL_S = 0.2


class TrainerConfig(Config):
    """Where a network is trained. The result depends on `workers` alone."""

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


class Training(Protocol):
    """What a worker runs; it must pickle, and its files be readable on every node.

    Attributes:
        folder: for checkpoints and weights; on storage that driver and workers share.
        checkpoint_every: steps between checkpoints.
    """

    @property
    def folder(self) -> Path:
        """See the attributes."""

    @property
    def checkpoint_every(self) -> int:
        """See the attributes."""

    def train(self, device: torch.device, rank: int, world_size: int, on_step: OnStep) -> None:
        """Trains on this worker, going on from a checkpoint in the folder if there is one.

        Raises:
            TrainingDiverged: the loss is no longer a number.
            ValueError: bad input, in one line.
        """


class LossTable:
    """The losses of a training's steps, written as Parquet when it is through.

    Columns: `step`, `loss`, and the loss's parts by name if it has any.
    """

    def __init__(self, path: Path, on_step: OnStep) -> None:
        self._path, self._on_step = path, on_step
        self._rows: dict[int, dict[str, float]] = {}

    def __enter__(self) -> Self:
        return self

    def add(self, report: StepReport) -> None:
        """Keeps a step; one that is reported again, after a restart, takes its own place."""
        self._rows[report.step] = {"loss": report.loss, **report.parts}
        self._on_step(report)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            steps = sorted(self._rows)
            names = dict.fromkeys(name for step in steps for name in self._rows[step])
            columns = {name: [self._rows[step].get(name) for step in steps] for name in names}
            pq.write_table(pa.table({"step": steps, **columns}), self._path)


def distribute(model: nn.Module, device: torch.device, world_size: int) -> nn.Module:
    """The model, joined with its copies on the other workers by DDP if there are any."""
    if world_size == 1:
        return model
    return DistributedDataParallel(model, [device] if device.type == "cuda" else None)


def run_training(
    training: Training, trainer: TrainerConfig, on_step: OnStep | None = None, *, section: str
) -> None:
    """Runs a training on the running Ray cluster; blocks until it is done.

    Called again on the folder of a run that was killed, it goes on from the last checkpoint. Several
    may run at the same time, each from a thread of its own.

    Args:
        training: what to train.
        trainer: where.
        section: of the config that says where, for messages.
        on_step: called here, in the calling thread, every ``report_every`` steps and at the last.
            Where a run goes on, the steps taken before come first; those since the checkpoint come
            twice.

    Raises:
        InputError: the cluster is too small or too busy, or a config value cannot be used.
        TrainingDiverged: the loss is no longer a number.
        CampaignFailed: the workers failed more than ``max_failures`` times; one line.
    """
    check_cluster(trainer, section)
    folder = training.folder
    folder.mkdir(parents=True, exist_ok=True)
    # PROGRESS stays: of a run that goes on, it tells the steps before the checkpoint too.
    for name in (_FAILURE, _STOP, _BEGUN):
        (folder / name).unlink(missing_ok=True)
    errors: list[BaseException] = []
    # In a thread of its own, since fit() blocks, and in the main thread would take Ctrl-C over.
    thread = threading.Thread(target=_run, args=(training, trainer, errors), daemon=True)
    try:
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
            (folder / _BEGUN).unlink(missing_ok=True)
    _raise_failure(folder, trainer, errors, section)


class _NotPlaced(Exception):
    """The cluster had no room for a worker in time."""


def _run(training: Training, trainer: TrainerConfig, errors: list[BaseException]) -> None:
    try:
        if trainer.workers == 1:
            _run_alone(training, trainer)
        else:
            _run_group(training, trainer)
    except BaseException as error:  # Ray ends a thread by SystemExit when it is shut down
        errors.append(error)


def _run_alone(training: Training, trainer: TrainerConfig) -> None:
    """A single worker, as a task; one that dies is started again."""
    task = ray.remote(_work_alone).options(
        num_cpus=trainer.cpus_per_worker,
        num_gpus=trainer.gpus_per_worker,
        max_retries=trainer.max_failures,
    )
    running = task.remote(training, trainer)
    deadline = time.monotonic() + trainer.start_timeout_s
    while not (training.folder / _BEGUN).exists():
        if ray.wait([running], timeout=_POLL_S)[0]:
            break
        if time.monotonic() > deadline:
            ray.cancel(running, force=True)
            raise _NotPlaced
    ray.get(running)


def _work_alone(training: Training, trainer: TrainerConfig) -> None:
    (training.folder / _BEGUN).touch()
    device = torch.device("cuda" if trainer.gpus_per_worker else "cpu")
    _train(training, device, 0, 1, _reporter(training, 0, trainer.report_every))


def _run_group(training: Training, trainer: TrainerConfig) -> None:
    """Several workers, through Ray Train, which takes seconds to import."""
    from ray.train.torch import TorchTrainer

    # What `ray.train` exports at run time; to a type checker its names are the first version's.
    from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig

    # Ray Train hands them to its controller. Set for good: another training may start meanwhile.
    os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(trainer.start_timeout_s)
    os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.5"  # how often it polls the workers
    resources = {"CPU": trainer.cpus_per_worker}
    if trainer.gpus_per_worker:
        resources["GPU"] = trainer.gpus_per_worker
    TorchTrainer(
        _work_in_group,
        train_loop_config={"training": training, "report_every": trainer.report_every},
        scaling_config=ScalingConfig(
            num_workers=trainer.workers,
            use_gpu=trainer.gpus_per_worker > 0,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(  # type: ignore[arg-type]  # as above: the checker's is the first
            name="run",
            storage_path=str(training.folder / _RAY_FOLDER),
            # Its own controller fails only when it cannot place the workers in time: once.
            failure_config=FailureConfig(
                max_failures=trainer.max_failures, controller_failure_limit=0
            ),
            logging_config=LoggingConfig(log_level="CRITICAL"),
        ),
    ).fit()


def _work_in_group(config: dict[str, Any]) -> None:
    import ray.train
    import ray.train.torch

    training: Training = config["training"]
    context = ray.train.get_context()
    rank, world_size = context.get_world_rank(), context.get_world_size()
    on_step = _reporter(training, rank, config["report_every"])

    def report(step: StepReport) -> None:
        # Ray takes one report per poll and holds the worker until then: not every one goes to it.
        if step.step == step.steps or step.step % training.checkpoint_every == 0:
            ray.train.report({"step": step.step, "loss": step.loss})
        on_step(step)

    _train(training, ray.train.torch.get_device(), rank, world_size, report)


def _train(
    training: Training, device: torch.device, rank: int, world_size: int, on_step: OnStep
) -> None:
    """What each worker runs."""
    failure = training.folder / _FAILURE
    if failure.exists():
        return  # another worker's error, which a restart cannot mend
    logging.getLogger().setLevel(logging.ERROR)
    try:
        training.train(device, rank, world_size, on_step)
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


def _reporter(training: Training, rank: int, every: int) -> OnStep:
    """What a worker calls after each step."""

    def report(step: StepReport) -> None:
        if step.step < step.steps and step.step % every:
            return
        if rank == 0:
            # `pid` and `threads` tell which process took the step, and how it was set up.
            worker = {"pid": os.getpid(), "threads": torch.get_num_threads()}
            with (training.folder / PROGRESS).open("a") as file:
                file.write(json.dumps(asdict(step) | worker) + "\n")
        if (training.folder / _STOP).exists():
            raise ValueError("stopped by the driver")

    return report


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
                except ValueError:
                    continue  # a line that a worker was killed in, with the next one's behind it
                known = StepReport.__dataclass_fields__
                yield StepReport(**{name: fields[name] for name in known if name in fields})
        if ended:
            return
        time.sleep(_POLL_S)


def check_cluster(trainer: TrainerConfig, section: str) -> None:
    """Raises InputError for workers that the cluster's nodes cannot hold even when idle."""
    require(section, trainer.workers, trainer.cpus_per_worker, trainer.gpus_per_worker)


def _raise_failure(
    folder: Path, trainer: TrainerConfig, errors: list[BaseException], section: str
) -> None:
    """Turns what went wrong, if anything, into one line."""
    failure = folder / _FAILURE
    if failure.exists():
        found = json.loads(failure.read_text())
        failure.unlink()
        raise TrainingDiverged(found["line"]) if found["diverged"] else InputError(found["line"])
    if not errors:
        return
    import ray.train

    error = errors[0]
    if isinstance(error, _NotPlaced | ray.train.ControllerError):
        raise InputError(
            f"{section}: {_wanted(trainer)} were not free within {trainer.start_timeout_s:g} s; "
            f"free now: {_amounts(ray.available_resources)}"
        ) from error
    causes = getattr(error, "worker_failures", {}) or {0: error}
    rank, cause = min(causes.items())
    cause = getattr(cause, "_base_exc", None) or getattr(cause, "cause", None) or cause
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
