"""Stages and their artifacts: what was made once is found, not made again.

An artifact is a folder named after the digest of everything that went into it. It is made under
another name and renamed when it is whole; so a campaign that was killed finds what is done, and two
campaigns that share a stage run it once.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.errors import InputError
from server.durable import sync_folder, write_json


def digest_inputs(inputs: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a stage's inputs, 64 hexadecimal digits."""
    text = json.dumps(inputs, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A stage's result.

    Attributes:
        path: its folder, whole.
        digest: of everything that went into it; an input to the stages that follow.
        reused: whether it was found rather than made.
        seconds: how long finding or making it took.
    """

    path: Path
    digest: str
    reused: bool
    seconds: float


class ArtifactStore:
    """The folder of artifacts, shared by the campaigns that name the same one."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @property
    def bitstreams(self) -> Path:
        """Folder of encoded frames, by content; see `fleet.encoder`."""
        return self.root / "bitstreams"

    def run(
        self,
        stage: str,
        inputs: Mapping[str, Any],
        make: Callable[[Path], None],
        *,
        resumable: bool = False,
    ) -> Artifact:
        """Finds a stage's artifact, or makes it.

        Args:
            stage: the stage's name; part of the folder's name.
            inputs: everything the result depends on, as JSON values.
            make: makes the artifact in the folder it is given.
            resumable: whether `make` carries on from what an interrupted run left in that folder;
                otherwise it is given an empty one.

        Raises:
            InputError: the store's folder cannot be made.
        """
        started = time.monotonic()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--store: {self.root} cannot be made ({error.strerror})") from None
        digest = digest_inputs({"stage": stage, **inputs})
        name = f"{stage}-{digest[:16]}"
        final, partial = self.root / name, self.root / f".{name}.partial"
        with _locked(self.root / f".{name}.lock"):
            reused = final.is_dir()
            if not reused:
                if not resumable:
                    shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(exist_ok=True)
                make(partial)
                write_json(partial / "stage.json", {"stage": stage, "inputs": dict(inputs)})
                partial.rename(final)
                sync_folder(self.root)
        return Artifact(final, digest, reused, time.monotonic() - started)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lets one process at a time make an artifact; others wait and find it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
        path.unlink(missing_ok=True)
