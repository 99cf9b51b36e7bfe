"""Where results go when nobody says, and whether all nodes see them there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.errors import InputError
from server.folders import default_out, in_job, out_folder, store_folder
from server.shared_folders import check_shared, probe_nodes

CONFIG = Path("configs/demo.yaml")
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(JOB, raising=False)
    monkeypatch.delenv("BITFLEET_RUNS", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_run_is_named_after_its_config(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_out(CONFIG) == Path("runs/demo")
    monkeypatch.setenv("BITFLEET_RUNS", "~/all")
    assert default_out(CONFIG) == Path.home() / "all" / "demo"
    assert out_folder(Path("here"), CONFIG) == Path("here")
    assert store_folder(None, Path("here")) == Path("here/artifacts")


def test_in_a_job_nothing_goes_where_the_job_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_job()
    monkeypatch.setenv(JOB, "{}")
    assert default_out(CONFIG) == Path.home() / "bitfleet-runs" / "demo"
    with pytest.raises(InputError, match=r"^--out: runs/x is relative"):
        out_folder(Path("runs/x"), CONFIG)
    with pytest.raises(InputError, match=r"^--store: s is relative"):
        store_folder(Path("s"), Path("/out"))
    monkeypatch.setenv("BITFLEET_RUNS", "runs")
    with pytest.raises(InputError, match=r"^BITFLEET_RUNS: runs is relative"):
        out_folder(None, CONFIG)
    assert out_folder(Path("/out"), CONFIG) == Path("/out"), "what is not asked is not in the way"


@pytest.fixture
def nodes(ray_cluster: None) -> list[dict[str, object]]:
    import ray

    found: list[dict[str, object]] = ray.nodes()
    return found


def test_folders_that_all_nodes_see_are_left_as_they_were(
    nodes: list[dict[str, object]], tmp_path: Path
) -> None:
    probe_nodes(nodes, {"--out": tmp_path / "out"}, {"data.root": tmp_path})
    assert list((tmp_path / "out").iterdir()) == []


def test_the_node_that_does_not_see_a_folder_is_named(
    nodes: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of each process its own: what this one sees there, a worker does not.
    monkeypatch.chdir(tmp_path)
    own = Path("/proc/self/cwd/out")
    name = nodes[0]["NodeManagerHostname"]
    with pytest.raises(InputError, match=f"^--out: node {name} does not see {own}; it must lie on"):
        probe_nodes(nodes, {"--out": own}, {})
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(InputError, match=f"^data.root: node {name} does not see"):
        probe_nodes(nodes, {}, {"data.root": own})


def test_one_node_is_not_asked(
    nodes: list[dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_shared({"--out": Path("/proc/self/cwd/out")}, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(
    nodes: list[dict[str, object]], tmp_path: Path
) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=r"^--store: .* cannot be written"):
        probe_nodes(nodes, {"--store": tmp_path / "store"}, {})
