"""`bitfleet dashboard`: serves the campaigns beneath a folder until it is interrupted."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, make_server

from fleet.errors import InputError
from server.dashboard.app import make_app
from server.dashboard.catalogue import Catalogue


def open_server(folder: Path, host: str, port: int) -> BaseWSGIServer:
    """The dashboard's server, which listens already and serves once it is told to.

    Args:
        folder: a sweep's or a campaign's folder, or any above such.
        host: the address to listen at.
        port: the port; 0 takes a free one.

    Raises:
        InputError: the folder has no campaigns or one of another version, or the port is in use.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}: must be a port, 0 to 65535")
    catalogue = Catalogue(folder)
    app = make_app(catalogue)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    _check_free(host, port)
    return make_server(host, port, app.server, threaded=True)


def serve(folder: Path, host: str, port: int, tell: Callable[[str], None] = print) -> None:
    """Serves the dashboard until it is interrupted; `tell` is told the address. See `open_server`."""
    server = open_server(folder, host, port)
    tell(f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/ (Ctrl+C ends it)")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


def _check_free(host: str, port: int) -> None:
    """Raises InputError unless one can listen there: the server itself would end the process."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except socket.gaierror as error:
        raise InputError(f"--host {host}: no address of this machine ({error.strerror})") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"--port {port}: in use; choose another, or 0 for any that is free"
            ) from None
        raise InputError(f"--host {host}, --port {port}: {error.strerror}") from None
