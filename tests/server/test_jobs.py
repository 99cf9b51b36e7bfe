"""Campaigns as Ray jobs, on a real head node of their own with token authentication."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.server.test_pipeline import timeless

ROOT = Path(__file__).resolve().parents[2]
SIMULATE = (
    "python", "-m", "server", "simulate", "configs/demo.yaml",
    *(f"data.scenes.{value}" for value in (
        "width=96", "height=64", "train_cities=1", "val_cities=1", "frames_per_city=8",
        "val_frames_per_city=2",
    )),
    "fleet.vehicles=2", "fleet.hosts=1", "fleet.hours=0.2", "fleet.capture_interval_s=60",
    "codec.preset=ultrafast", "learning.configurations=[CO]", "learning.pictures=1",
    "learning.segmenter.decoder_channels=16", "learning.trainer.cpus_per_worker=1",
    "learning.training.batch_size=2", "learning.training.crop_height=64",
    "learning.training.crop_width=64", "learning.training.warmup_steps=0",
    "learning.training.threads=1", "learning.training.steps=60",
)  # fmt: skip


class Head:
    """A head node: its own ports, folder, home and token."""

    def __init__(self, home: Path) -> None:
        self.home, self.folder = home, Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
        names = (
            "port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port",
            "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port",
        )  # fmt: skip
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.address = f"127.0.0.1:{ports['port']}"
        self.environment = {
            **without_ray(),
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{ports['dashboard-port']}",
        }
        self._log = (self.folder / "head.log").open("w")
        self._process = subprocess.Popen(
            ["ray", "start", "--head", "--block", "--num-cpus=2", "--num-gpus=0",
             "--object-store-memory=100000000", "--disable-usage-stats",
             "--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={self.folder}",
             *(f"--{name}={port}" for name, port in ports.items())],
            env=self.environment, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def ray(self, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Runs `ray job …` as someone outside of the cluster does; None takes a variable away."""
        changed = {**self.environment, **environment}
        return subprocess.run(
            ["ray", "job", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=550,
            env={name: value for name, value in changed.items() if value is not None},
        )  # fmt: skip

    def wait(self) -> None:
        """Waits until jobs are taken."""
        until = time.monotonic() + 500
        while self.ray("list").returncode != 0:
            assert self._process.poll() is None, (self.folder / "head.log").read_text()
            assert time.monotonic() < until, (self.folder / "head.log").read_text()

    def stop(self) -> None:
        """Ends this head's own processes, and none of another cluster's."""
        own = psutil.Process(self._process.pid).children(recursive=True)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        for process in psutil.wait_procs(own, timeout=5)[1]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]


def without_ray() -> dict[str, str]:
    """This environment without what a cluster of the test session left in it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "BITFLEET_")) and name != "PYTHONPATH"
    }


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    head = Head(tmp_path_factory.mktemp("home"))
    try:
        head.wait()
        yield head
    finally:
        head.stop()


@pytest.fixture(scope="module")
def straight(head: Head) -> tuple[str, Path]:
    """What a job said that ran to its end, and its campaign's folder."""
    job = head.ray("submit", "--submission-id", "straight", "--working-dir", ".", "--", *SIMULATE)
    assert job.returncode == 0, job.stdout + job.stderr
    return job.stdout, head.home / "bitfleet-runs" / "demo"


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_a_job_needs_no_out_and_its_results_outlive_it(
    head: Head, straight: tuple[str, Path]
) -> None:
    said, out = straight
    assert "Job 'straight' succeeded" in said
    assert "SUCCEEDED" in head.ray("status", "straight").stdout.upper()
    logs = head.ray("logs", "straight").stdout
    assert "✓ collect: " in logs
    assert f"report: {out / 'report.html'}" in logs, "an absolute path"
    assert (out / "report.html").exists()
    assert read(out / "status.json")["state"] == "done"
    assert read(out / "provenance.json")["versions"]["bitfleet"]


def test_workers_run_the_source_that_came_with_the_job(head: Head) -> None:
    program = (
        "import ray, fleet\n"
        "ray.init()\n"
        "@ray.remote\n"
        "def where():\n"
        "    import fleet\n"
        "    return fleet.__file__\n"
        "print('driver', fleet.__file__)\n"
        "print('worker', ray.get(where.remote()))\n"
    )
    # Its lines as one word: an entrypoint goes through a shell.
    job = head.ray("submit", "--working-dir", ".", "--", "python", "-c", f"exec({program!r})")
    lines = [line for line in job.stdout.splitlines() if line.startswith(("driver", "worker"))]
    assert len(lines) == 2, job.stdout + job.stderr
    assert all("_ray_pkg_" in line for line in lines), lines


def test_what_goes_up_is_the_source_alone(head: Head, straight: tuple[str, Path]) -> None:
    (package,) = (head.folder / "session_latest/runtime_resources/working_dir_files").glob("*/")
    names = {path.name for path in package.iterdir()}
    assert names >= {"server", "fleet", "models", "configs", "pyproject.toml"}
    assert not names & {".git", ".venv", "runs", ".mypy_cache"}
    assert sum(path.stat().st_size for path in package.rglob("*") if path.is_file()) < 30e6


@pytest.mark.parametrize("wrong", ["not the token", None])
def test_without_the_token_no_job_is_taken(head: Head, wrong: str | None) -> None:
    mode = "disabled" if wrong is None else "token"
    refused = head.ray(
        "submit", "--no-wait", "--", "true", RAY_AUTH_TOKEN=wrong, RAY_AUTH_MODE=mode
    )
    assert refused.returncode != 0
    assert "authentication" in (refused.stdout + refused.stderr).lower()


@pytest.mark.parametrize("wrong", ["not the token", None])
def test_without_the_token_no_campaign_joins(head: Head, tmp_path: Path, wrong: str | None) -> None:
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    del environment["RAY_AUTH_TOKEN"]
    if wrong is not None:
        environment["RAY_AUTH_TOKEN"] = wrong
    done = subprocess.run(
        [sys.executable, "-c", "from server.joining import check_address; check_address()"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fleet.errors.InputError: RAY_ADDRESS: the cluster at")
    assert "refuses this token" in last
    assert "RAY_AUTH_TOKEN_PATH" in last


@pytest.mark.slow
def test_a_stopped_job_resumes_under_the_same_id(head: Head, straight: tuple[str, Path]) -> None:
    out = head.home / "stopped"
    submit = ("--submission-id", "again", "--working-dir", ".", "--", *SIMULATE, "--out", str(out))
    assert head.ray("submit", "--no-wait", *submit).returncode == 0
    until = time.monotonic() + 500
    while not (out / "status.json").exists() or "collect" not in read(out / "status.json")["ended"]:
        assert time.monotonic() < until, head.ray("logs", "again").stdout
        time.sleep(0.1)
    stopped = head.ray("stop", "again")
    assert "was stopped" in stopped.stdout + stopped.stderr
    assert "STOPPED" in head.ray("status", "again").stdout.upper()
    assert read(out / "status.json")["state"] == "interrupted"
    assert not (out / "result.json").exists()

    assert head.ray("delete", "again").returncode == 0
    resumed = head.ray("submit", *submit)
    assert "Job 'again' succeeded" in resumed.stdout, resumed.stdout
    assert read(out / "provenance.json")["stages"]["collect"]["reused"]
    assert timeless(read(out / "result.json")) == timeless(read(straight[1] / "result.json"))
