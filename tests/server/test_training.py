"""Training on a cluster: what comes out, what is reported, what happens when things die."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from safetensors.torch import load_file

from fleet.errors import InputError
from models.frame_pairs import NpyPairs
from models.segmenter import SegmenterConfig, build_segmenter
from models.segmenter_training import WEIGHTS, StepReport, TrainingConfig, TrainingDiverged, fit
from server.learning import SegmenterTraining
from server.training import PROGRESS, TrainerConfig, run_training

NETWORK = SegmenterConfig(decoder_channels=8)
TRAINING = TrainingConfig(
    steps=8, batch_size=2, crop_height=32, crop_width=32, checkpoint_every=2, threads=1
)
ONE = TrainerConfig(workers=1, cpus_per_worker=2, report_every=2)

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def pairs(tmp_path: Path) -> NpyPairs:
    rng = np.random.default_rng(0)
    frames, labels = [], []
    for index in range(3):
        ids = np.zeros((40, 48), np.uint8)
        ids[15 + index :] = 1
        frames.append(tmp_path / f"{index}.frame.npy")
        labels.append(tmp_path / f"{index}.labels.npy")
        np.save(frames[-1], (rng.integers(0, 60, (40, 48, 3)) + 180 * ids[..., None]).astype("u1"))
        np.save(labels[-1], ids)
    return NpyPairs(frames, labels)


def train(
    pairs: NpyPairs,
    folder: Path,
    trainer: TrainerConfig = ONE,
    on_step: Callable[[StepReport], None] | None = None,
    *,
    network: SegmenterConfig = NETWORK,
    config: TrainingConfig = TRAINING,
) -> Path:
    """Trains a segmenter on the cluster; gives its weights."""
    training = SegmenterTraining(pairs, network, config, seed=4, folder=folder, classes=2)
    run_training(training, trainer, on_step, section="some.section")
    return folder / WEIGHTS


def _same(a: Path, b: Path) -> bool:
    one, other = load_file(a), load_file(b)
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_killed_worker_is_replaced_and_the_weights_are_those_of_a_plain_run(
    pairs: NpyPairs, tmp_path: Path
) -> None:
    folder, killed = tmp_path / "run", []

    def kill_once(report: StepReport) -> None:
        steps.append(report.step)
        if report.step >= 2 and not killed:
            line = (folder / PROGRESS).read_text().splitlines()[0]
            killed.append(json.loads(line)["pid"])
            os.kill(killed[0], signal.SIGKILL)

    steps: list[int] = []
    # Enough steps that the worker cannot be through before it is killed.
    training = TRAINING.model_copy(update={"steps": 60, "checkpoint_every": 10})
    weights = train(pairs, folder, on_step=kill_once, config=training)
    lines = [json.loads(line) for line in (folder / PROGRESS).read_text().splitlines()]
    assert {line["pid"] for line in lines} > set(killed)
    assert {line["threads"] for line in lines} == {1}
    assert steps[-1] == 60
    assert sorted(file.name for file in folder.iterdir()) == [PROGRESS, weights.name]
    # The same run without Ray, without interruption, in this process.
    model = build_segmenter(NETWORK, 2, seed=4)
    plain = tmp_path / "plain"
    fit(model, pairs, training, seed=4, device=torch.device("cpu"), folder=plain)
    assert _same(weights, plain / weights.name)


def test_two_workers_share_the_batch_and_report_once(pairs: NpyPairs, tmp_path: Path) -> None:
    steps: list[int] = []
    two = TrainerConfig(workers=2, cpus_per_worker=1, report_every=3)
    # Batch norm wants more than one value a channel on each worker.
    training = TRAINING.model_copy(update={"batch_size": 4})
    weights = train(
        pairs, tmp_path / "two", two, lambda report: steps.append(report.step), config=training
    )
    assert steps == [3, 6, 8]
    saved, start = load_file(weights), build_segmenter(NETWORK, 2, seed=4).state_dict()
    assert saved.keys() == start.keys()  # no `module.` of DDP's
    assert all(bool(tensor.isfinite().all()) for tensor in saved.values())
    assert any(not torch.equal(saved[name], start[name]) for name in saved)


def test_divergence_comes_out_as_itself(
    pairs: NpyPairs, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wild = TRAINING.model_copy(update={"learning_rate": 1e30, "warmup_steps": 0})
    with pytest.raises(TrainingDiverged, match=r"the loss is .* at step") as caught:
        train(pairs, tmp_path / "wild", config=wild)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in capfd.readouterr().err


def test_bad_encoder_is_an_input_error(pairs: NpyPairs, tmp_path: Path) -> None:
    network = SegmenterConfig(encoder="resnet19")
    with pytest.raises(InputError, match=r"^encoder: .*resnet18"):
        train(pairs, tmp_path / "bad", network=network)


@pytest.mark.parametrize(
    ("trainer", "match"),
    [
        (TrainerConfig(workers=1, cpus_per_worker=1000), "asks for 1 × 1000 CPU, and 0 fit"),
        (TrainerConfig(workers=1000), "asks for 1000 × 2 CPU, and 2 fit"),
        (TrainerConfig(workers=1, gpus_per_worker=64), "2 CPU and 64 GPU, and 0 fit"),
    ],
)
def test_cluster_that_is_too_small_is_refused(
    trainer: TrainerConfig, match: str, pairs: NpyPairs, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"^some.section: .*{match}"):
        train(pairs, tmp_path / "big", trainer)


def test_cluster_that_stays_busy_is_reported(pairs: NpyPairs, tmp_path: Path) -> None:
    total = ray.cluster_resources()["CPU"]

    class Holder:
        def ready(self) -> bool:
            return True

    holder = ray.remote(num_cpus=total)(Holder).remote()
    try:
        assert ray.get(holder.ready.remote())
        hasty = TrainerConfig(workers=1, cpus_per_worker=1, start_timeout_s=1)
        says = r"^some\.section: 1 × 1 CPU were not free within 1 s; free now: 0"
        with pytest.raises(InputError, match=says):
            train(pairs, tmp_path / "busy", hasty)
    finally:
        ray.kill(holder)


def test_failing_callback_stops_the_workers(pairs: NpyPairs, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"

    def fail(report: StepReport) -> None:
        raise ZeroDivisionError

    training = TRAINING.model_copy(update={"steps": 100_000})
    with pytest.raises(ZeroDivisionError):
        train(pairs, folder, on_step=fail, config=training)
    # They give their CPUs back: with more than half of them, another training finds room.
    half = TrainerConfig(workers=1, cpus_per_worker=ray.cluster_resources()["CPU"])
    train(pairs, tmp_path / "next", half)
