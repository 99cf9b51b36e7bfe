"""The command line's options for live metrics. Imports nothing heavy: every command's help reads it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleet.errors import InputError

if TYPE_CHECKING:
    from server.metrics.watch import Watch

_PORT = "BITFLEET_METRICS_PORT"


def add_metrics_options(command: argparse.ArgumentParser) -> None:
    """Adds --metrics-port, --metrics-host and --metrics-linger to a command."""
    command.add_argument(
        "--metrics-port", type=_port, metavar="PORT",
        help="serve live metrics to Prometheus at this port, 0: any that is free "
        f"(default: {_PORT} if that is set, or none are served)",
    )  # fmt: skip
    command.add_argument(
        "--metrics-host", default="127.0.0.1", metavar="HOST",
        help="address to serve them at (default: 127.0.0.1, this machine only)",
    )  # fmt: skip
    command.add_argument(
        "--metrics-linger", type=_seconds, default=0.0, metavar="SECONDS",
        help="at the end, serve the last metrics until they are read, so long at most (default: 0)",
    )  # fmt: skip


@contextmanager
def metrics_of(options: argparse.Namespace) -> Iterator[Watch | None]:
    """Serves metrics for as long as the context lasts, if options or environment ask for it.

    Raises:
        InputError: the port is in use, or the environment's is none.
    """
    port = options.metrics_port
    if port is None and (given := os.environ.get(_PORT)):
        try:
            port = _port(given)
        except argparse.ArgumentTypeError as error:
            raise InputError(f"{_PORT}: {error}") from None
    if port is None:
        yield None
        return
    from server.metrics.endpoint import served

    with served(port, options.metrics_host, options.metrics_linger) as watch:
        yield watch


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time: give seconds from 0 to 3600")
    return seconds
