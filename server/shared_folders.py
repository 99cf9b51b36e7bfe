"""Whether every node of the cluster sees the folders that a campaign reads and writes."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fleet.errors import InputError

_PATIENCE_S = 10.0
"""Seconds that a node looks for a file: network file systems may show it late."""
_TIMEOUT_S = 120.0
"""Seconds that a node may take to answer, the start of a worker process included."""


def check_shared(written: Mapping[str, Path], read: Mapping[str, Path]) -> None:
    """Checks that all nodes share the folders; instant where the cluster has one node.

    Args:
        written: folders that nodes write to, by the option or field that names them; made if need be.
        read: folders that nodes read from, by the option or field.

    Raises:
        InputError: one line that names the node and the folder that it does not see.
    """
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    alive = [node for node in nodes if node["Alive"]]
    if len(alive) > 1:
        probe_nodes(alive, written, read)


def probe_nodes(
    nodes: Sequence[Mapping[str, Any]], written: Mapping[str, Path], read: Mapping[str, Path]
) -> None:
    """Looks for the folders from each node; arguments and errors as in :func:`check_shared`.

    Args:
        nodes: as `ray.nodes()` describes them.
        written, read: the folders by name.
    """
    token = f".seen-by-all-{uuid.uuid4().hex}"
    marks = [folder / token for folder in written.values()]
    wanted = [str(path) for path in [*marks, *read.values()]]
    names = [*written.items(), *read.items()]
    try:
        for name, folder in written.items():
            _mark(name, folder, token)
        asked = [
            _unseen.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(wanted, len(marks))
            for node in nodes
        ]
        for node, answer in zip(nodes, asked, strict=True):
            where = node["NodeManagerHostname"]
            try:
                unseen, why = ray.get(answer, timeout=_TIMEOUT_S)
            except (GetTimeoutError, RayError) as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"node {where} does not answer ({reason})") from None
            if unseen is not None:
                name, folder = names[unseen]
                raise InputError(
                    f"{name}: node {where} {why} {folder}; it must lie on storage that all nodes "
                    "share"
                )
    finally:
        for mark in marks:
            mark.unlink(missing_ok=True)


def _mark(name: str, folder: Path, token: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / token).touch()
    except OSError as error:
        raise InputError(f"{name}: {folder} cannot be written ({error.strerror})") from None


@ray.remote(num_cpus=0, max_retries=0)
def _unseen(paths: Sequence[str], writable: int) -> tuple[int | None, str]:
    """The index of the first path that this node lacks, and what it cannot do with it."""
    until = time.monotonic() + _PATIENCE_S
    for index, path in enumerate(paths):
        while not os.path.exists(path):  # noqa: PTH110 - a path that others made, as text
            if time.monotonic() > until:
                return index, "does not see"
            time.sleep(0.2)
        if index < writable and not os.access(Path(path).parent, os.W_OK):
            return index, "cannot write to"
    return None, ""
