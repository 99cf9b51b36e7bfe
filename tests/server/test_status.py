"""`status.json`: what those who look on from outside can read at any time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.status import STATUS, StatusFile


def read(folder: Path) -> dict[str, object]:
    facts: dict[str, object] = json.loads((folder / STATUS).read_text())
    return facts


def test_tells_the_running_stage_and_those_that_ended(tmp_path: Path) -> None:
    status = StatusFile(tmp_path)
    with status.kept():
        status.start("collect")
        status.end("3 frames")
        status.start("decode")
        facts = read(tmp_path)
        assert (facts["state"], facts["stage"], facts["ended"]) == (
            "running",
            "decode",
            ["collect"],
        )
    assert read(tmp_path)["state"] == "done"


@pytest.mark.parametrize(
    ("error", "state"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")]
)
def test_how_it_ends_is_its_state(tmp_path: Path, error: type[BaseException], state: str) -> None:
    def fail() -> None:
        with StatusFile(tmp_path).kept():
            raise error

    with pytest.raises(error):
        fail()
    assert read(tmp_path)["state"] == state


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    status = StatusFile(tmp_path / "absent")
    with status.kept():
        status.start("collect")
    assert not (tmp_path / "absent").exists()
