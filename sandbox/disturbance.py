"""Acting out the faults that `faults` draws: one middleware, and one short coroutine a fault.

A write is carried out in one statement while nobody awaits, so a request whose app was not called has changed
nothing, and one whose app has returned is committed. "Before" therefore means: the app is not called; "after":
it is called with a `send` that keeps its answer back. What the app refused (400, 429) is disturbed as well.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.answers import Refused, refusal
from sandbox.connections import connection_of
from sandbox.faults import Fault, FaultPlan, Kind

ERROR_STATUSES = (500, 502, 503)
_ERROR_BODIES = (
    ("application/json", '{"message": "Internal error"}'),
    ("text/html", "<html><head><title>Error</title></head><body><h1>Error</h1><hr>proxy</body></html>"),
    (None, ""),
)
_PROXY_PAGE = b"<!doctype html><html><body><p>Please wait while we check your connection.</p></body></html>"


class Disturb:
    """Lets some requests meet a fault; `slow_for_s` is how long slow ones are held back."""

    def __init__(self, app: ASGIApp, plan: FaultPlan, slow_for_s: float) -> None:
        self._app = app
        self._plan = plan
        self._slow_for_s = slow_for_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or act out the fault that was drawn for it."""
        fault = self._plan.draw(scope["method"])
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await _ACTS[fault.kind](_Exchange(self._app, scope, receive, send, fault, self._slow_for_s))


class FailTokenRequests:
    """Answers some token requests with 500."""

    def __init__(self, app: ASGIApp, plan: FaultPlan) -> None:
        self._app = app
        self._plan = plan

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the token request on, or answer 500."""
        if self._plan.draw_token_error():
            refused = Refused(500, "internal_error", "the token endpoint fails, as it was told to")
            await refusal(refused)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


@dataclass(slots=True)
class _Answer:
    """An answer that was kept back."""

    start: Message = field(default_factory=dict)
    body: bytes = b""

    async def keep(self, message: Message) -> None:
        """Take a message as `send` does."""
        if message["type"] == "http.response.start":
            self.start = dict(message)
        else:
            self.body += message.get("body", b"")

    def with_body(self, body: bytes, content_type: bytes) -> "_Answer":
        """Return the same answer with another body, whose length it tells rightly."""
        kept = [pair for pair in self.start["headers"] if not pair[0].startswith(b"content-")]
        about_body = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
        return _Answer({**self.start, "headers": kept + about_body}, body)

    async def go(self, send: Send) -> None:
        """Send it."""
        await send(self.start)
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request and the fault that it meets."""

    app: ASGIApp
    scope: Scope
    receive: Receive
    send: Send
    fault: Fault
    slow_for_s: float

    async def carried_out(self) -> _Answer:
        """Let the app do its work, and keep the answer back."""
        answer = _Answer()
        await self.app(self.scope, self.receive, answer.keep)
        return answer

    async def body(self) -> list[Message]:
        """Read the whole body, however large: the app's own limit comes later."""
        messages = [await self.receive()]
        while messages[-1].get("more_body", False):
            messages.append(await self.receive())
        return messages

    async def hang_up(self) -> None:
        """Close the connection."""
        await connection_of(self.scope).hang_up()

    async def reset(self) -> None:
        """Reset the connection."""
        await connection_of(self.scope).reset()

    async def answer_error(self) -> None:
        """Answer 500, 502 or 503 with one of the bodies that such errors come with."""
        number = self.fault.pick(len(ERROR_STATUSES) * len(_ERROR_BODIES))
        media_type, body = _ERROR_BODIES[number // len(ERROR_STATUSES)]
        status = ERROR_STATUSES[number % len(ERROR_STATUSES)]
        await Response(body, status, media_type=media_type)(self.scope, self.receive, self.send)


async def _drop_answer(exchange: _Exchange) -> None:
    await exchange.carried_out()
    await exchange.hang_up()


async def _reset_before(exchange: _Exchange) -> None:
    await exchange.reset()


async def _reset_during(exchange: _Exchange) -> None:
    await exchange.receive()
    await exchange.reset()


async def _reset_after(exchange: _Exchange) -> None:
    await exchange.body()
    await exchange.reset()


async def _error_before(exchange: _Exchange) -> None:
    await exchange.answer_error()


async def _error_after(exchange: _Exchange) -> None:
    await exchange.carried_out()
    await exchange.answer_error()


async def _slow(exchange: _Exchange) -> None:
    answer = await exchange.carried_out()
    await asyncio.sleep(exchange.slow_for_s)
    await answer.go(exchange.send)


async def _stall(exchange: _Exchange) -> None:
    # The body is read first: once the client has gone, uvicorn gives out nothing of it, read or not.
    messages = await exchange.body()
    await asyncio.sleep(exchange.slow_for_s)
    await exchange.app(exchange.scope, _replay(messages, exchange.receive), exchange.send)


async def _truncate(exchange: _Exchange) -> None:
    answer = await exchange.carried_out()
    await exchange.send(answer.start)
    half = answer.body[: len(answer.body) // 2]
    await exchange.send({"type": "http.response.body", "body": half, "more_body": True})
    await exchange.hang_up()


async def _garble(exchange: _Exchange) -> None:
    answer = await exchange.carried_out()
    garbled = (
        (_PROXY_PAGE, b"text/html"),
        (b"", b"application/json"),
        (answer.body[: len(answer.body) // 2], b"application/json"),
    )
    await answer.with_body(*garbled[exchange.fault.pick(len(garbled))]).go(exchange.send)


def _replay(messages: Iterable[Message], receive: Receive) -> Receive:
    """Return a `receive` that gives these messages first."""
    kept = iter(messages)

    async def replay() -> Message:
        message = next(kept, None)
        return await receive() if message is None else message

    return replay


_ACTS: dict[Kind, Callable[[_Exchange], Awaitable[None]]] = {
    "drop-answer": _drop_answer,
    "reset-before": _reset_before,
    "reset-during": _reset_during,
    "reset-after": _reset_after,
    "error-before": _error_before,
    "error-after": _error_after,
    "slow": _slow,
    "stall": _stall,
    "truncate": _truncate,
    "garble": _garble,
}
