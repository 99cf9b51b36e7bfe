"""A study end to end on a real Ray cluster: what it leaves, what it shares, how it is stopped."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from fleet.errors import InputError
from fleet.scenes import ScenesConfig, write_scenes
from models.training_config import TrainingDiverged
from server.cli import main
from server.evaluation import read_confusions, read_score
from server.side_by_side import JobsProgress
from server.stages import ArtifactStore
from server.study import run as study
from server.study.config import Job, StudyConfig
from server.study.rows import SCHEMA
from server.study.run import RESULTS, Study, run_study

ROOT = Path(__file__).resolve().parents[3]
FRAMES = 8
"""Train frames that are left when four of the twelve have gone into calibration."""
KEY = ("configuration", "codec", "quality", "share", "restorer", "seed")
TRAINING = {"steps": 3, "batch_size": 2, "crop_height": 64, "crop_width": 64, "threads": 1}
TINY: dict[str, Any] = {
    "name": "Tiny",
    "seeds": [0, 1],
    "qualities": [5],
    "restorers": ["adversarial"],
    "campaign": {
        "codec": {"name": "jpeg"},
        "budget": {"bits_per_frame": 1_000_000},
        # Two cities of four frames each: a vehicle a city, and four captures.
        "fleet": {
            "vehicles": 2,
            "hours": 0.1,
            "capture_interval_s": 90,
            "tick_s": 10,
            "hosts": 1,
            "uplink": {"bits_per_second": 20_000},
        },
        "calibration": {"frames": 4, "vehicles": 2, "uplink": {"bits_per_second": 1_000_000}},
        "restoration": {
            "restorer": {"channels": 8, "blocks": 1},
            "training": {
                "steps": 4, "warmup_steps": 2, "batch_size": 2, "crop": 64, "threads": 1,
                "discriminator": {"channels": 8},
            },
            "trainer": {"cpus_per_worker": 1},
        },
        "learning": {
            "configurations": ["RO", "CO", "OO"],
            "segmenter": {"encoder": "compact-small", "decoder_channels": 8},
            "training": TRAINING,
            "trainer": {"cpus_per_worker": 1},
            "pictures": 1,
            "measured_frames": 4,
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes") / "data"
    config = ScenesConfig(
        width=192, height=96, train_cities=2, val_cities=1, frames_per_city=6, val_frames_per_city=4
    )
    write_scenes(config, root, processes=1)
    return root


def make(scenes: Path, learning: dict[str, Any] | None = None, **values: Any) -> StudyConfig:
    campaign = TINY["campaign"] | {"data": {"root": str(scenes)}}
    campaign["learning"] = campaign["learning"] | (learning or {})
    return StudyConfig.model_validate_json(json.dumps({**TINY, "campaign": campaign, **values}))


def run(config: StudyConfig, out: Path) -> str:
    """Runs a study; gives what it showed."""
    shown = out.with_name(f"{out.name}.txt")
    with shown.open("w") as file:
        run_study(config, out, out / "artifacts", "test", Console(file=file, width=200))
    return shown.read_text()


def artifacts(out: Path, stage: str) -> list[Path]:
    return sorted((out / "artifacts").glob(f"{stage}-*"))


def table(out: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / f"{name}.parquet").to_pylist()
    return rows


def check_rows(config: StudyConfig, out: Path) -> list[dict[str, Any]]:
    """What holds of the rows of any study."""
    assert pq.read_schema(out / "study.parquet").equals(SCHEMA)
    rows = table(out, "study")
    keys = [tuple(row[name] for name in KEY) for row in rows]
    asked = [
        (name, job.codec.name, job.quality, job.share, job.restorer if "R" in name or name == "MO"
         else None, job.seed)
        for job in config.jobs()
        for name in job.configurations
    ]  # fmt: skip
    assert len(keys) == len(set(keys))
    assert set(keys) == set(asked)
    for row in rows:
        assert 0 < row["miou"] < 1
        assert row["bpp"] > 0
        assert row["cost_total"] > 0
        assert row["frames_trained"] == FRAMES * row["share"]
        assert (row["psnr"] is not None) == (row["configuration"][0] in "CRB")
    return rows


@pytest.fixture(scope="module")
def done(
    ray_cluster: None, scenes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudyConfig, Path, str]:
    """A finished study: its config, its folder, and what it showed."""
    config = make(scenes, compare=[{"codec": {"name": "webp"}, "qualities": [1, 30]}])
    out = tmp_path_factory.mktemp("studies") / "one"
    return config, out, run(config, out)


def test_the_folder_holds_what_was_promised(done: tuple[StudyConfig, Path, str]) -> None:
    config, out, shown = done
    assert {path.name for path in out.iterdir()} >= {*RESULTS, "config.yaml", "pictures"}
    check_rows(config, out)
    facts = json.loads((out / "study.json").read_text())
    assert (facts["train_frames"], facts["test_frames"]) == (FRAMES, 4)
    assert facts["calibration_frames"] == 4
    quantities = {row["quantity"] for row in table(out, "drops")}
    assert quantities == {"drop", "won back", "share won back"}
    rates = {(row["codec"], row["quality"], row["domain"]) for row in table(out, "rate_distortion")}
    assert rates == {("jpeg", 5, "C"), ("jpeg", 5, "R"), ("webp", 1, "C"), ("webp", 30, "C")}
    assert all(row["frames"] == 4 for row in table(out, "rate_distortion"))
    for words in (
        "restorer: 4 steps",
        "train on O: 3 steps",
        "2 of 2 jobs",
        "undecided",
        "report:",
    ):
        assert words in shown
    assert "Tiny" in (out / "report.html").read_text()


def test_what_can_be_shared_is_made_once(done: tuple[StudyConfig, Path, str]) -> None:
    _, out, _ = done
    names = ("collect", "calibrate", "decode", "originals", "restorer", "segmenter", "evaluate")
    found = {name: len(artifacts(out, name)) for name in names}
    # Two seeds of O, C and R: their segmenters, and how they do on originals.
    assert found == dict.fromkeys(names[:5], 1) | {"segmenter": 6, "evaluate": 6}
    (collection,) = artifacts(out, "collect")
    hosts = json.loads((collection / "collected.json").read_text())["hosts"]
    assert sum(host["encodes"] for host in hosts) == FRAMES


def test_the_rows_are_those_of_the_artifacts(done: tuple[StudyConfig, Path, str]) -> None:
    _, out, _ = done
    scores = {read_score(path).miou for path in artifacts(out, "evaluate")}
    assert {row["miou"] for row in table(out, "study")} == scores
    for path in artifacts(out, "evaluate"):
        confusions = read_confusions(path)
        assert confusions.shape == (4, 19, 19)
        assert confusions.dtype == np.int64


def test_run_again_everything_is_found(done: tuple[StudyConfig, Path, str]) -> None:
    config, out, _ = done
    names = ("study.parquet", "drops.parquet", "rate_distortion.parquet", "claims.json")
    before = {name: (out / name).read_bytes() for name in names}
    stages = {path: path.stat().st_mtime_ns for path in (out / "artifacts").glob("*-*")}
    shown = run(config, out)
    assert {name: (out / name).read_bytes() for name in names} == before
    assert {path: path.stat().st_mtime_ns for path in (out / "artifacts").glob("*-*")} == stages
    assert "train on" not in shown


def test_collections_do_not_wait_for_each_others_hosts(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster that holds the hosts of one only, two at a time might have half of theirs each."""
    running, most, made = 0, 0, []

    class OneAtATime:
        def __init__(self, config: Any, store: Any, progress: Any) -> None:
            self.config = config

        @property
        def collection(self) -> None:
            nonlocal running, most
            running, most = running + 1, max(most, running + 1)
            time.sleep(0.05)
            made.append((self.config.rate_control.finest, self.config.fleet.hours))
            running -= 1

        calibration = collection

    monkeypatch.setattr(study, "Gathering", OneAtATime)
    monkeypatch.setattr(Study, "_restorer", lambda self, job: None)
    monkeypatch.setattr(Study, "_result", lambda self, job: job)
    config = make(scenes, qualities=[5, 10, 20], fewer=[{"quality": 5, "share": 0.5}], parallel=4)
    jobs: Any = in_progress(config, tmp_path)._jobs()
    assert jobs == config.jobs()
    assert most == 1
    assert sorted(set(made)) == [(5, 0.05), (5, 0.1), (10, 0.1), (20, 0.1)]
    assert len(made) == 8, "each collection once, with its calibration"


def in_progress(config: StudyConfig, folder: Path) -> Study:
    with (folder / "shown.txt").open("a") as file:
        progress = JobsProgress(Console(file=file), len(config.jobs()))
    return Study(config, folder / "out", ArtifactStore(folder / "store"), progress, "test")


@pytest.mark.parametrize("error", [TrainingDiverged("step 7: the loss is nan"), OSError("full")])
def test_an_error_in_one_job_stops_the_others(
    scenes: Path, tmp_path: Path, error: Exception
) -> None:
    config = make(scenes, seeds=[0, 1, 2, 3])
    running = in_progress(config, tmp_path)
    begun, stopped = [], []
    both = threading.Barrier(2, timeout=30)

    def work(job: Job) -> None:
        begun.append(job.seed)
        both.wait()
        if job.seed == 1:
            raise error
        try:
            while True:
                running.progress.job(job.label).update(0.5, "")
                time.sleep(0.01)
        except BaseException:
            stopped.append(job.seed)
            raise

    expected = InputError if isinstance(error, TrainingDiverged) else OSError
    with pytest.raises(expected) as caught:
        running._side_by_side(2, work, config.jobs())
    assert sorted(begun) == [0, 1], "the others are not begun"
    assert stopped == [0]
    if expected is InputError:
        assert str(caught.value) == "jpeg 5 seed 1 adversarial: step 7: the loss is nan"
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("job")]


# The slow ones: more rates, real processes that are killed, a training that diverges.


@pytest.mark.slow
def test_a_fuller_study(ray_cluster: None, scenes: Path, tmp_path: Path) -> None:
    """Two rates, two restorers, less driving; hosts that fill the cluster."""
    config = make(
        scenes,
        {"configurations": ["RO", "CO", "OO", "CC", "RR", "BO"]},
        qualities=[5, 20],
        restorers=["adversarial", "distortion-only"],
        fewer=[{"quality": 20, "share": 0.5}],
    )
    fleet = config.campaign.fleet.model_copy(update={"hosts": 2, "cpus_per_host": 2.0})
    campaign = config.campaign.model_copy(update={"fleet": fleet})
    config = config.model_copy(update={"campaign": campaign})
    out = tmp_path / "out"
    run(config, out)
    rows = check_rows(config, out)
    # A segmenter of O a seed, whatever the rate or restorer; C, and R of each restorer, at each
    # rate; C and R with less driving. B is C's, with other statistics.
    assert len(artifacts(out, "segmenter")) == 2 * (1 + 2 + 2 * 2 + 2)
    assert len(artifacts(out, "restorer")) == 2
    assert len(artifacts(out, "reestimate")) == 4
    assert len(artifacts(out, "collect")) == 3
    # What less driving sends was encoded before.
    encodes = [
        host["encodes"]
        for path in artifacts(out, "collect")
        for host in json.loads((path / "collected.json").read_text())["hosts"]
    ]
    assert sum(encodes) == 2 * FRAMES
    originals = {(row["seed"], row["miou"]) for row in rows if row["configuration"] == "OO"}
    assert len(originals) == 2, "OO is the same at each rate"
    compared = [row for row in table(out, "drops") if "distortion-only" in row["quantity"]]
    assert [row["quality"] for row in compared] == [5, 20]


@pytest.mark.slow
def test_a_training_that_diverges_is_named(
    ray_cluster: None, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write(scenes, tmp_path, {"training": {**TRAINING, "learning_rate": 1e30}})
    assert main(["study", str(config), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("bitfleet: jpeg 5 seed ")
    assert "loss" in error
    assert not (tmp_path / "out" / "study.json").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("job")]


def write(scenes: Path, folder: Path, learning: dict[str, Any] | None = None) -> Path:
    """A study's config file: one rate, one seed, and what else is asked for."""
    path = folder / "study.yaml"
    values = make(scenes, learning, seeds=[0]).model_dump(mode="json")
    path.write_text(yaml.safe_dump(values))
    return path


class Command:
    """`bitfleet study` in a process group of its own, as in a terminal."""

    def __init__(self, config: Path, out: Path) -> None:
        self.said = out.with_name(f"{out.name}.log")
        with self.said.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server", "study", config, "--out", out],
                cwd=ROOT, stdout=file, stderr=subprocess.PIPE, text=True, start_new_session=True,
                env={name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        """To the whole group."""
        os.killpg(self.process.pid, number)

    def end(self, timeout: float = 600) -> tuple[int, str]:
        """Exit status, and what it said on the standard error."""
        _, error = self.process.communicate(timeout=timeout)
        return self.process.returncode, error

    def wait_for(self, words: str) -> None:
        """Until it has said so."""
        while words not in self.said.read_text():
            assert self.process.poll() is None, self.end()
            time.sleep(0.1)


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    """Commands that are killed at the end, whatever became of them."""
    begun: list[Command] = []
    yield begun
    for command in begun:
        if command.process.poll() is None:
            command.signal(signal.SIGKILL)
            command.process.wait()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_at_any_moment_it_comes_to_the_same(
    scenes: Path, tmp_path: Path, commands: list[Command]
) -> None:
    config = write(scenes, tmp_path)
    started = time.monotonic()
    commands.append(Command(config, tmp_path / "whole"))
    assert commands[-1].end() == (0, "")
    took = time.monotonic() - started
    rng = random.Random(os.urandom(8))
    moments = sorted(rng.uniform(0.15, 0.9) * took for _ in range(3))
    for moment in moments:
        commands.append(Command(config, tmp_path / "killed"))
        try:
            commands[-1].process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            commands[-1].signal(signal.SIGKILL)
            assert commands[-1].end()[0] == -signal.SIGKILL
    commands.append(Command(config, tmp_path / "killed"))
    assert commands[-1].end() == (0, ""), moments
    for name in ("study", "drops", "rate_distortion"):
        path = f"{name}.parquet"
        same = (tmp_path / "whole" / path).read_bytes() == (tmp_path / "killed" / path).read_bytes()
        assert same, (path, moments)
    assert not list((tmp_path / "killed" / "artifacts").glob(".*.partial")), moments


@pytest.mark.slow
@pytest.mark.parametrize("words", ["✓ jpeg 5 seed 0 adversarial: collect", "adversarial restorer"])
def test_ctrl_c_is_one_line_and_status_130(
    scenes: Path, tmp_path: Path, commands: list[Command], words: str
) -> None:
    config = write(scenes, tmp_path)
    commands.append(Command(config, tmp_path / "out"))
    commands[-1].wait_for(words)
    commands[-1].signal(signal.SIGINT)
    status, error = commands[-1].end(timeout=180)
    assert status == 130
    assert error == "bitfleet: interrupted; the same command carries on from here\n"
    assert not (tmp_path / "out" / "study.json").exists()
