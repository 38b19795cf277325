"""Serving the app on a socket of its own, until a signal asks to stop."""

import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from sandbox.connections import BreakableHttp

BACKLOG = 2048
"""Connections that may wait to be accepted: a sender opens hundreds at once."""
PATIENCE_S = 5
"""How long requests under way may take to end after a signal."""


def bind(host: str, port: int) -> socket.socket:
    """Take the port for this process; 0 takes any that is free. Raises OSError or OverflowError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError):
        listener.close()
        raise
    return listener


def serve(app: Starlette, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, then end what is under way and return; `announce` is called when ready."""
    # uvicorn raises the signal that stopped it again, for handlers that were there before it: these take it.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda _number, _frame: None)
    make_server(app, announce).run(sockets=[listener])


def make_server(app: Starlette, announce: Callable[[], None]) -> uvicorn.Server:
    """Make a server that minds no signals if it is run on another thread than the first.

    There, `server.should_exit = True` stops it. The store must be opened on the thread that runs it.
    """
    config = uvicorn.Config(
        app,
        http=BreakableHttp,
        backlog=BACKLOG,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=PATIENCE_S,
        timeout_keep_alive=75,
    )
    return _AnnouncingServer(config, announce)


class _AnnouncingServer(uvicorn.Server):
    """A server that says when it accepts connections; uvicorn itself says so in a log only."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()
