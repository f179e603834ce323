"""The server of the page: on this computer's own address, with a fixed number of threads."""

from __future__ import annotations

import logging
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler

from magdr_core.errors import MagdrError

ADDRESS = "127.0.0.1"

THREADS = 8
"""Browsers open connections ahead and say nothing on them; one thread would wait for such a one."""

SILENCE = 20
"""Seconds that a connection may say nothing."""


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection that is kept open would keep a thread
    timeout = SILENCE

    def log(self, type: str, message: str, *args: Any) -> None:
        logging.getLogger("magdr.web").debug(message, *args)


class PageServer(BaseWSGIServer):
    """Serves an application until it is told to stop.

    Its threads are a pool's. A component is blamed for threads that begin while it runs and do not end, and
    those that a connection would begin are not its own.

    Args:
        port: 0 takes a free one; `port` says which.

    Raises:
        MagdrError: the port is taken, or may not be used.
    """

    multithread = True

    def __init__(self, app: Flask, port: int) -> None:
        with _listening(port) as listening:
            super().__init__(ADDRESS, port, app, _Handler, fd=listening.fileno())
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="magdr-web")

    def process_request(self, request: Any, client_address: Any) -> None:
        self._pool.submit(self._handled, request, client_address)

    def _handled(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception as e:
            logging.getLogger("magdr.web").debug("a connection broke: %r", e)
        finally:
            self.shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        if hasattr(self, "_pool"):  # the base closes a socket of its own before there is one
            self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.port}/"


def _listening(port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((ADDRESS, port))
    except OSError as e:
        found.close()
        reason = (e.strerror or str(e)).lower()
        raise MagdrError(
            f"port {port} of {ADDRESS} cannot be used ({reason}); choose another with --port, or 0 for any"
        ) from None
    found.listen()
    return found
