"""Joins the cluster of RAY_ADDRESS; a dead one or a wrong token is said in one line, soon.

Ray itself tries a dead address for a quarter of an hour, and a wrong token for twenty seconds without
telling that it is the token.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import ray
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # native, without types
from ray.exceptions import AuthenticationError, RayError

from fleet.errors import InputError

_CONNECT_S = 10.0
"""Seconds that the head node may take to accept a connection."""


def given_address() -> str | None:
    """The cluster that RAY_ADDRESS names; None where a local one is to be started."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def check_address() -> None:
    """Looks whether the cluster of RAY_ADDRESS, if one is given, is there and takes the token.

    A process that is connected already, such as a worker that runs a campaign, has no need to.

    Raises:
        InputError: nobody answers there, the token is wrong or missing, or the address is of
            another kind.
    """
    address = given_address()
    if ray.is_initialized() or address is None or address == "auto":
        return
    if "://" in address:
        raise InputError(
            f"RAY_ADDRESS: {address} is no address of a cluster's head node, host:port; to run from "
            "outside of the cluster, use `ray job submit`"
        )
    with _told(address):
        _check_alive(address)
        _check_token(address)


def join(address: str, options: dict[str, Any]) -> None:
    """Connects this process to a cluster.

    Args:
        address: what RAY_ADDRESS says.
        options: for `ray.init`.

    Raises:
        InputError: as in :func:`check_address`.
    """
    check_address()
    with _told(address):
        ray.init(**options)


@contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise InputError(
            f"RAY_ADDRESS: the cluster at {address} refuses this token, or the lack of one; set "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to the cluster's "
            f"({_line(error)})"
        ) from None
    except (OSError, RayError, RuntimeError, ValueError) as error:
        raise InputError(f"RAY_ADDRESS: no cluster answers at {address} ({_line(error)})") from None


def _check_alive(address: str) -> None:
    """Raises OSError where nobody listens, and ValueError for what is no host:port."""
    parts = urlsplit(f"//{address}")
    if parts.hostname is None or parts.port is None:
        raise ValueError("it is written host:port, such as 10.0.0.1:6379")
    socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_S).close()


def _check_token(address: str) -> None:
    """Raises AuthenticationError for a token that the head node does not take."""
    ensure_token_if_auth_enabled(create_token_if_missing=False)
    with _no_native_words():
        GcsClient(address=address)


@contextmanager
def _no_native_words() -> Iterator[None]:
    """Keeps what native code writes to the standard error away: here, the same error once more."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a file descriptor is wanted
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _line(error: Exception) -> str:
    """The first sentence, or what fits into a line."""
    return " ".join(str(error).split()).partition(". ")[0][:200]
