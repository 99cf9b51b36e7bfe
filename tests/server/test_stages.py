"""Artifacts: made once, whole or absent, shared by whoever needs the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.durable import put_if_absent, replace_file
from server.stages import ArtifactStore


def test_an_artifact_is_made_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "result").write_text("42")

    first = store.run("add", {"a": 1}, make)
    again = ArtifactStore(tmp_path).run("add", {"a": 1}, make)
    other = store.run("add", {"a": 2}, make)
    assert len(calls) == 2
    assert (first.reused, again.reused, other.reused) == (False, True, False)
    assert first.path == again.path != other.path
    assert (again.path / "result").read_text() == "42"


@pytest.mark.parametrize("resumable", [True, False])
def test_an_interrupted_stage_leaves_no_artifact(tmp_path: Path, resumable: bool) -> None:
    store = ArtifactStore(tmp_path)
    found = []

    def make(folder: Path) -> None:
        found.append((folder / "half").exists())
        (folder / "half").touch()
        if len(found) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.run("slow", {}, make, resumable=resumable)
    assert not list(tmp_path.glob("slow-*"))
    assert not store.run("slow", {}, make, resumable=resumable).reused
    assert found == [False, resumable]


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    with pytest.raises(FileExistsError):
        put_if_absent(path, b"three")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
