"""Breaking a connection from inside the app, which ASGI has no message for.

Two traps. An app that returns without an answer does not close the connection: uvicorn logs an error and answers
500 of its own. So who breaks a connection waits here until the server has taken note, after which it sends
nothing more. And `receive`, which would tell of that too, gives out first what is still unread of the body, past
everything that watches it. So the server's own protocol does the breaking, and lays itself into the scope.
"""

import asyncio
import socket
import struct

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "sandbox.connection"
_NO_LINGERING = struct.pack("ii", 1, 0)
"""SO_LINGER, on, for 0 seconds: closing then sends RST instead of FIN, and drops what was not sent yet."""


class BreakableHttp(HttpToolsProtocol):
    """uvicorn's protocol, for apps that break connections: `connection_of(scope)` finds it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Note that there is a connection."""
        super().connection_made(transport)
        self._gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that there is none any more."""
        super().connection_lost(exc)
        self._gone.set()

    def on_message_begin(self) -> None:
        """Lay the connection into the scope of the request that begins, as an ASGI extension."""
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"protocol": self}}

    async def hang_up(self) -> None:
        """Close the connection properly (FIN) once what was sent so far is out.

        Only for requests whose body was read: the kernel makes a reset of a close that leaves bytes unread.
        """
        self.transport.close()
        await self._gone.wait()

    async def reset(self) -> None:
        """Break the connection off (RST), whatever is under way."""
        if not self.transport.is_closing():  # else the client was first, and its socket is no more
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGERING)
            self.transport.abort()
        await self._gone.wait()


def connection_of(scope: Scope) -> BreakableHttp:
    """Return the connection that a request came by."""
    extension = scope.get("extensions", {}).get(_EXTENSION)
    if extension is None:
        msg = (
            "faults that break connections need sandbox.server: no other server gives the app its connection"
        )
        raise RuntimeError(msg)
    protocol: BreakableHttp = extension["protocol"]
    return protocol
