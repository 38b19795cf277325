"""What API requests pass on their way to a route; `app` says in which order.

Each step is a plain ASGI middleware that knows nothing of the others. What disturbs requests (an error, a lost
answer) is one more of them, in `disturbance`. Requests for tokens and the sandbox's own `/_sandbox/` pass none
of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.answers import Refused, refusal
from sandbox.limits import Admission
from sandbox.quota import Quota
from sandbox.quota_headers import HeaderForm, HeaderMode, quota_headers
from sandbox.tokens import TokenMint


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
    """Refuses what is too much for the quota, and tells how it stands; `utc` gives seconds since the epoch."""

    def __init__(
        self,
        app: ASGIApp,
        quota: Quota | None,
        headers: HeaderMode,
        form: HeaderForm,
        utc: Callable[[], float],
    ) -> None:
        self._app = app
        self._quota = quota
        self._headers = headers
        self._form = form
        self._utc = utc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429."""
        if self._quota is None:
            await self._app(scope, receive, send)
            return
        admission = self._quota.admit()
        if not admission.allowed:
            headers = {"retry-after": str(admission.retry_after_s)}
            if self._headers != "never":
                headers |= dict(self._fields(self._quota, admission))
            refused = Refused(429, "too_many_requests", f"try again in {admission.retry_after_s} s")
            await refusal(refused, headers)(scope, receive, send)
        elif self._headers == "always":
            await self._app(scope, receive, _with_headers(send, self._fields(self._quota, admission)))
        else:
            await self._app(scope, receive, send)

    def _fields(self, quota: Quota, admission: Admission) -> list[tuple[str, str]]:
        return quota_headers(admission, self._form, quota.window_s, self._utc())


def _unauthorized(message: str) -> Response:
    return refusal(Refused(401, "unauthorized", message), {"www-authenticate": "Bearer"})


def _with_headers(send: Send, headers: Iterable[tuple[str, str]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"].extend((name.encode(), value.encode()) for name, value in headers)
        await send(message)

    return send_with_headers
