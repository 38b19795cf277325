"""What API requests pass on their way to a route; `app` says in which order.

Each step is a plain ASGI middleware that knows nothing of the others. What disturbs requests (an error, a lost
answer) is one more of them, in `disturbance`. Requests for tokens and the sandbox's own `/_sandbox/` pass none
of it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.answers import Refused, refusal
from sandbox.limits import Admission, FixedWindow
from sandbox.tokens import TokenMint

HeaderMode = Literal["always", "429", "never"]
"""Which answers carry RateLimit-*: all, refused ones only, none."""


class CountAnswers:
    """Counts answers by status."""

    def __init__(self, app: ASGIApp, answers: Counter[str]) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at what comes back."""

        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answers[str(message["status"])] += 1
            await send(message)

        await self._app(scope, receive, count)


class AddLatency:
    """Lets every request wait before anything is done with it."""

    def __init__(self, app: ASGIApp, latency_s: float) -> None:
        self._app = app
        self._latency_s = latency_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, then pass the request on."""
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        await self._app(scope, receive, send)


class RequireToken:
    """Refuses who brings no token of ours that is alive."""

    def __init__(self, app: ASGIApp, mint: TokenMint) -> None:
        self._app = app
        self._mint = mint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        scheme, _, token = Request(scope).headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._mint.accepts(token.strip()):
            await self._app(scope, receive, send)
            return
        await _unauthorized("the access token is missing, wrong or expired")(scope, receive, send)


class RevokeTokens:
    """Refuses a token that has been used `after` times; comes after `RequireToken`, so it sees good ones only."""

    def __init__(self, app: ASGIApp, after: int | None) -> None:
        self._app = app
        self._after = after
        self._uses: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if self._after is not None:
            token = Request(scope).headers["authorization"].partition(" ")[2].strip()
            self._uses[token] += 1
            if self._uses[token] > self._after:
                await _unauthorized("the access token was revoked")(scope, receive, send)
                return
        await self._app(scope, receive, send)


class ForbidAfter:
    """Refuses every request after the first `after`, whatever it brings."""

    def __init__(self, app: ASGIApp, after: int | None) -> None:
        self._app = app
        self._after = after
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        self._requests += 1
        if self._after is not None and self._requests > self._after:
            await refusal(Refused(403, "forbidden", "the client may not do this any more"))(
                scope, receive, send
            )
        else:
            await self._app(scope, receive, send)


class LimitRate:
    """Refuses what is too much for the window, and tells how the window stands."""

    def __init__(self, app: ASGIApp, window: FixedWindow | None, headers: HeaderMode) -> None:
        self._app = app
        self._window = window
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        if self._window is None:
            await self._app(scope, receive, send)
            return
        admission = self._window.admit()
        if not admission.allowed:
            headers = {"retry-after": str(admission.reset_s)}
            if self._headers != "never":
                headers |= dict(_window_headers(admission))
            refused = Refused(429, "too_many_requests", f"try again in {admission.reset_s} s")
            await refusal(refused, headers)(scope, receive, send)
        elif self._headers == "always":
            await self._app(scope, receive, _with_headers(send, _window_headers(admission)))
        else:
            await self._app(scope, receive, send)


def _unauthorized(message: str) -> Response:
    return refusal(Refused(401, "unauthorized", message), {"www-authenticate": "Bearer"})


def _window_headers(admission: Admission) -> list[tuple[str, str]]:
    return [
        ("ratelimit-limit", str(admission.limit)),
        ("ratelimit-remaining", str(admission.remaining)),
        ("ratelimit-reset", str(admission.reset_s)),
    ]


def _with_headers(send: Send, headers: Iterable[tuple[str, str]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"].extend((name.encode(), value.encode()) for name, value in headers)
        await send(message)

    return send_with_headers
