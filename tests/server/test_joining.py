"""RAY_ADDRESS of nobody, and of another kind: one line, soon. Tokens: see test_jobs.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fleet.errors import InputError
from server.cli import main
from server.joining import check_address, given_address


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture(autouse=True)
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have connected this process to a cluster."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)


@pytest.mark.parametrize("address", ["", "local"])
def test_without_an_address_a_local_cluster_is_meant(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert given_address() is None
    check_address()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("banana", "host:port"),
        ("nobody.invalid:6379", "no cluster answers at nobody.invalid:6379"),
        ("http://127.0.0.1:8265", "ray job submit"),
        ("ray://127.0.0.1:10001", "ray job submit"),
    ],
)
def test_what_is_no_clusters_address_is_said(
    address: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(InputError, match=r"^RAY_ADDRESS: ") as raised:
        check_address()
    assert says in str(raised.value)


def test_a_dead_cluster_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = nobody()
    monkeypatch.setenv("RAY_ADDRESS", address)
    config = tmp_path / "c.yaml"
    config.write_text("budget: {bits_per_hour: 1}\n")
    assert main(["simulate", str(config), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"bitfleet: RAY_ADDRESS: no cluster answers at {address} (")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
