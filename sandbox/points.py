"""The points of a request's life at which a test can step in, for instance to kill the sender.

The callback is called synchronously, on the server's only thread: while it runs, nothing moves. What it raises
becomes a 500. These middlewares are there only where a callback is given.
"""

from collections.abc import Callable
from typing import Final, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Point = Literal["token", "look-up", "arrived", "body read", "committed"]
AtPoint = Callable[[Point], None]

TOKEN: Final = "token"  # noqa: S105 - a point's name
"""A token request has arrived."""
LOOK_UP: Final = "look-up"
"""A GET on /orders, or on anything below it, has arrived and is not answered."""
ARRIVED: Final = "arrived"
"""The headers of a write have arrived; its body is not read."""
BODY_READ: Final = "body read"
"""The body of a write has been read; nothing is committed. Not reached by a request that is refused before."""
COMMITTED: Final = "committed"
"""A write is committed (or, with `--duplicates existing`, found there); the answer is not sent."""


class TellArrivals:
    """Tells of requests as they come in; the outermost of all, so that no fault comes before it."""

    def __init__(self, app: ASGIApp, at_point: AtPoint) -> None:
        self._app = app
        self._at_point = at_point

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what has arrived, and when the body of a write has been read."""
        if scope["path"] == "/oauth/token":
            self._at_point(TOKEN)
        elif f"{scope['path']}/".startswith("/v1/orders/"):
            if scope["method"] in ("POST", "DELETE"):
                self._at_point(ARRIVED)
                receive = self._telling(receive)
            elif scope["method"] == "GET":
                self._at_point(LOOK_UP)
        await self._app(scope, receive, send)

    def _telling(self, receive: Receive) -> Receive:
        async def receive_and_tell() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                self._at_point(BODY_READ)
            return message

        return receive_and_tell


class TellCommits:
    """Tells of writes that were carried out; the innermost of all, so that a fault that hides the answer comes after."""

    def __init__(self, app: ASGIApp, at_point: AtPoint) -> None:
        self._app = app
        self._at_point = at_point

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell when the route begins its answer to a write, if it is no refusal."""

        async def tell_and_send(message: Message) -> None:
            if message["type"] == "http.response.start" and 200 <= message["status"] < 300:
                self._at_point(COMMITTED)
            await send(message)

        writes = scope["method"] in ("POST", "DELETE")
        await self._app(scope, receive, tell_and_send if writes else send)
