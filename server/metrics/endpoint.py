"""The HTTP endpoint that Prometheus reads a process' figures from."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from fleet.errors import InputError
from server.metrics.watch import Watch

_POLL_S = 0.1


@contextmanager
def served(port: int, host: str, linger_s: float) -> Iterator[Watch]:
    """Serves `http://HOST:PORT/metrics` for as long as the context lasts, and says so.

    Args:
        port: 0 takes any that is free.
        host: the address to listen at.
        linger_s: how long to go on after work that ended well, at most, until its last figures have
            been read once.

    Raises:
        InputError: the port is in use, or cannot be listened at.
    """
    watch = Watch()
    try:
        server, thread = start_http_server(port, host, watch.registry)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"--metrics-port: cannot listen at {host}:{port} ({reason}); give another port, "
            "or 0 for any that is free"
        ) from None
    try:
        print(f"metrics: http://{host}:{server.server_port}/metrics", flush=True)
        yield watch
        _linger(watch, linger_s)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _linger(watch: Watch, seconds: float) -> None:
    """Waits for the next read, so that a short run's last figures are not lost."""
    reads, until = watch.reads, time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_POLL_S)  # the last time, it is for the answer to get out
        if watch.reads > reads:
            return
