"""The Ray cluster that a campaign runs on: the one it is submitted to, or a local one."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray

from fleet.errors import InputError
from server.joining import given_address, join


@contextmanager
def cluster() -> Iterator[None]:
    """Connects to the cluster of RAY_ADDRESS, or starts a local one for as long as it is needed.

    A Ray job's driver finds RAY_ADDRESS and its token set. Where this process is connected already,
    that connection is used and left alone.

    Raises:
        InputError: nobody answers at RAY_ADDRESS, or the token is not the cluster's.
    """
    if ray.is_initialized():
        yield
        return
    # Workers must use this environment as it is, not have `uv run` build one for each of them.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = given_address()
    if address is not None:
        join(address, quiet)
    else:
        # A local cluster listens on this machine only; there is no one to authenticate.
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray.init(address="local", include_dashboard=False, **quiet)
    # Set now, since Ray sets a handler of its own, which prints stacks.
    with interrupted_by_sigterm():
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Within the block, a process that is asked to end ends as it does at Ctrl-C.

    Hosts and workers go, what is half-written goes, what is done stays. Does nothing but in the main
    thread, which alone gets signals.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _interrupt) if in_main_thread else None
    try:
        yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def resources() -> dict[str, float]:
    """What the whole cluster has, by resource name."""
    there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return there


def require(what: str, count: int, cpus: float, gpus: float) -> None:
    """Checks that the cluster's nodes, when idle, hold so many actors or workers at once.

    Ray would wait for ever for a place that there is not.

    Args:
        what: the config's section that asks for them, for the message.
        count: how many.
        cpus, gpus: of each; each must fit on one node.

    Raises:
        InputError: they do not fit.
    """
    places = 0
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    for node in nodes:
        if node["Alive"]:
            fits = node["Resources"].get("CPU", 0) / cpus
            if gpus > 0:
                fits = min(fits, node["Resources"].get("GPU", 0) / gpus)
            places += int(fits + 1e-9)
    if places < count:
        there = resources()
        wanted = f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus > 0 else "")
        raise InputError(
            f"{what}: asks for {count} × {wanted}, and {places} fit on the cluster, which has "
            f"{there.get('CPU', 0):g} CPU and {there.get('GPU', 0):g} GPU"
        )
