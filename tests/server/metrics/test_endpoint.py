"""The endpoint: what it serves, how long, and what it says of a port that it cannot have."""

from __future__ import annotations

import argparse
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.errors import InputError
from server.cli import main
from server.figures import Evaluated
from server.metrics.endpoint import served
from server.metrics.options import add_metrics_options, metrics_of


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def get(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def test_serves_while_the_work_lasts(free: int, capsys: pytest.CaptureFixture[str]) -> None:
    with served(free, "127.0.0.1", 0) as watch:
        watch.campaign('odd "name"\n').observe(Evaluated("CO", 0.5))
        assert 'bitfleet_miou_ratio{campaign="odd \\"name\\"\\n",configuration="CO"}' in get(free)
    assert capsys.readouterr().out == f"metrics: http://127.0.0.1:{free}/metrics\n"
    with pytest.raises(OSError):
        get(free)


def test_two_endpoints_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    with served(0, "127.0.0.1", 0) as first, served(0, "127.0.0.1", 0) as second:
        first.campaign("one").start("collect")
        second.campaign("two").start("collect")
        lines = capsys.readouterr().out.splitlines()
        ports = [int(line.rpartition(":")[2].partition("/")[0]) for line in lines]
        texts = [get(port) for port in ports]
    assert ['campaign="one"' in text for text in texts] == [True, False]
    assert ['campaign="two"' in text for text in texts] == [False, True]


def test_a_taken_port_is_said(taken: int) -> None:
    said = rf"cannot listen at 127\.0\.0\.1:{taken} \(Address already in use\)"
    with pytest.raises(InputError, match=said), served(taken, "127.0.0.1", 0):
        pytest.fail("served where something else listens")


def test_lingers_until_it_was_read_once(free: int) -> None:
    reader = threading.Thread(target=lambda: (time.sleep(0.5), get(free)))
    with served(free, "127.0.0.1", 300):
        reader.start()
    reader.join()  # 300 seconds would be more than this test may take


def test_does_not_linger_after_what_failed(free: int) -> None:
    with pytest.raises(KeyError), served(free, "127.0.0.1", 3600):
        raise KeyError


def options(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_metrics_options(parser)
    return parser.parse_args(arguments)


def test_nothing_is_served_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BITFLEET_METRICS_PORT", raising=False)
    with metrics_of(options()) as watch:
        assert watch is None


def test_the_environment_asks_and_the_command_line_goes_first(
    free: int, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITFLEET_METRICS_PORT", str(free))
    with metrics_of(options()):
        assert "bitfleet_campaigns" in get(free)
    monkeypatch.setenv("BITFLEET_METRICS_PORT", str(taken))
    with metrics_of(options("--metrics-port", str(free))):
        assert "bitfleet_campaigns" in get(free)


def test_bad_input_is_one_line_and_status_2(
    taken: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config, out = tmp_path / "c.yaml", tmp_path / "out"
    config.write_text("budget: {bits_per_hour: 300000}\n")
    study = tmp_path / "s.yaml"
    study.write_text("qualities: [42]\ncampaign: {budget: {bits_per_hour: 300000}}\n")

    def run(*arguments: object) -> str:
        try:
            status = main([str(each) for each in arguments])
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
        error = capsys.readouterr().err
        assert status == 2, error
        assert error.count("\n") == 1, error
        assert not out.exists()
        return error

    for command in (["simulate", config], ["study", study]):
        assert f"127.0.0.1:{taken}" in run(*command, "--out", out, "--metrics-port", taken)
    command = ["simulate", config, "--out", out]
    assert "'70000' is not a port" in run(*command, "--metrics-port", 70000)
    assert "'-1' is not a time" in run(*command, "--metrics-port", 0, "--metrics-linger=-1")
    assert "nowhere.invalid" in run(
        *command, "--metrics-port", 0, "--metrics-host", "nowhere.invalid"
    )
    monkeypatch.setenv("BITFLEET_METRICS_PORT", "http")
    assert "BITFLEET_METRICS_PORT: 'http' is not a port" in run(*command)
