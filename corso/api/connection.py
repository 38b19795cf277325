"""One HTTP/1.1 connection at a time to one host, kept open between requests: the transport of direct connections.

Requests have bodies of known length, answers are read as a whole before anybody sees them: all that Corso's API
needs. The parser is httptools, which is llhttp, the one of Node.js. httpx's own transport does the same with h11 and
anyio in Python, at three to eight times the price (docs/performance.md); it carries what goes through a proxy.

Nothing is ever sent twice here. What is raised before the first byte was handed to the system is one of
`translate.NOT_SENT`, whatever is raised later is one of `translate.UNKNOWN`.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools
import httpx

from corso.api.translate import BodyTooLong

BEFORE_BYTES = "corso_before_bytes"
"""Request extension: a function that is called when a new connection is there, right before the first byte.

It raises to hold the request back. On a connection that is kept open nothing happens between the caller's own look
and the first byte, so that it is not called."""

KEEPALIVE_S = 4.0
"""Idle connections are given up early: most servers close them after five seconds or more, and a request that
meets a closing connection ends with its outcome unknown."""

TIMES_PATIENCE = 10
"""An answer that trickles in is given up once it takes so many times what a pause in it may take."""

LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that are read; more is an error."""

LONGEST_HEAD = 256 * 1024
"""Bytes of an answer's status line and header fields that are read."""

_EYEBALLS_S = 0.25
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class _Answer:
    """An answer while it is read."""

    done: asyncio.Future[httpx.Response]
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    head_size: int = 0
    body_size: int = 0
    has_head: bool = False

    def begin_anew(self) -> None:
        """Forget an interim answer (1xx)."""
        self.fields, self.has_head = [], False

    @property
    def ends_with_connection(self) -> bool:
        """Whether the body has no length: the connection's end is its end."""
        return self.has_head and not any(
            name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in self.fields
        )


class _Wire(asyncio.Protocol):
    """One socket: one request and its answer at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: _Answer | None = None
        self._is_open = True
        self._progress_at = self._loop.time()
        """When something was heard last, or a request began to leave, or its rest could leave."""
        self._began_at = self._progress_at
        """When the request began to leave."""
        self._patience_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[None] = self._loop.create_future()

    @property
    def is_fresh(self) -> bool:
        """Whether another request may go this way."""
        return self._is_open and self._loop.time() - self._progress_at < KEEPALIVE_S

    async def ask(self, content: bytes, patience_s: float | None) -> httpx.Response:
        """Send a request's bytes and read the answer; give up after so many seconds in which nothing moves."""
        if self._transport is None or not self._is_open:
            message = "the connection was closed before anything was sent"
            raise httpx.ConnectError(message)
        answer = self._answer = _Answer(self._loop.create_future())
        self._progress_at = self._began_at = self._loop.time()
        self._patience_s = patience_s
        if patience_s is not None and self._timer is None:
            self._timer = self._loop.call_later(patience_s, self._look_at_time)
        try:
            self._transport.write(content)
            return await answer.done
        except BaseException:
            # What may still come is no answer to anything that is sent later.
            self.close()
            raise
        finally:
            self._answer = None

    def close(self) -> None:
        """Close the socket at once."""
        self._is_open = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._transport:
            self._transport.abort()

    def _left_s(self, now: float) -> float:
        """Return how long the answer may still take: until nothing has moved for too long, or all of it takes too long."""
        patience_s = self._patience_s or 0.0
        return min(self._progress_at + patience_s, self._began_at + TIMES_PATIENCE * patience_s) - now

    def _look_at_time(self) -> None:
        # One timer for all requests of a socket, put off as long as something moves: a timer for each would cost more.
        self._timer = None
        if self._answer is None or self._answer.done.done() or self._patience_s is None:
            return
        now = self._loop.time()
        left_s = self._left_s(now)
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look_at_time)
        elif now - self._progress_at < self._patience_s:
            message = f"the answer was not complete after {TIMES_PATIENCE * self._patience_s:g} s"
            self._fail(httpx.ReadTimeout(message))
        else:
            message = f"nothing came for {self._patience_s:g} s"
            self._fail(httpx.ReadTimeout(message))

    def _fail(self, error: Exception) -> None:
        if self._answer and not self._answer.done.done():
            self._answer.done.set_exception(error)
        self.close()

    def _complete(self, answer: _Answer) -> None:
        body = answer.chunks[0] if len(answer.chunks) == 1 else b"".join(answer.chunks)
        answer.done.set_result(
            httpx.Response(
                self._parser.get_status_code(), headers=answer.fields, stream=httpx.ByteStream(body)
            )
        )

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        # Not asked: those of uvloop are no subclass.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        answer = self._answer
        if answer is None or answer.done.done():
            # Nobody has asked. To go on would be to take this for the answer to the next request.
            self.close()
            return
        self._progress_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"not an HTTP answer ({type(error).__name__}: {error})"))
            return
        if not answer.has_head:
            answer.head_size += len(data)
            if answer.head_size > LONGEST_HEAD:
                self._fail(httpx.RemoteProtocolError("the header fields of the answer have no end"))

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._progress_at = self._loop.time()

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        answer = self._answer
        if answer and not answer.done.done() and error is None and answer.ends_with_connection:
            self._complete(answer)
        elif error is None:
            self._fail(
                httpx.RemoteProtocolError("the server closed the connection before its answer was complete")
            )
        else:
            self._fail(httpx.ReadError(str(error) or type(error).__name__))
        self.close()
        if not self.closed.done():
            self.closed.set_result(None)

    # What httptools calls.

    def on_message_begin(self) -> None:
        """An answer begins: with the one that was asked for, or after it."""
        if self._answer is None or self._answer.done.done():
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of the head; what comes after the body is left out."""
        if self._answer and not self._answer.has_head:
            self._answer.fields.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there."""
        if self._answer:
            self._answer.has_head = True

    def on_body(self, body: bytes) -> None:
        """A part of the body is there."""
        answer = self._answer
        if answer is None or answer.done.done():
            return
        answer.chunks.append(body)
        answer.body_size += len(body)
        if answer.body_size > LONGEST_ANSWER:
            self._fail(BodyTooLong(f"the answer is longer than {LONGEST_ANSWER} bytes"))

    def on_message_complete(self) -> None:
        """All is there."""
        answer = self._answer
        if answer is None or answer.done.done():
            return
        if 100 <= self._parser.get_status_code() < 200:
            answer.begin_anew()
            return
        if self._transport and self._transport.get_write_buffer_size():
            # The server has not seen the whole request: it cannot know what it answers, but that it will not have it.
            if self._parser.get_status_code() < 400:
                self._fail(httpx.RemoteProtocolError("the server answered before it had the whole request"))
                return
            self._complete(answer)
            self.close()
            return
        self._complete(answer)
        if not self._parser.should_keep_alive():
            self.close()


class Connection(httpx.AsyncBaseTransport):
    """One request at a time, over one connection that is opened anew where need be."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._wire: _Wire | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole answer; `timeout` is understood as `connect` and `read`."""
        timeouts = request.extensions.get("timeout", {})
        content = await _content(request)
        wire = self._wire
        if wire is None or not wire.is_fresh:
            await self.aclose()
            wire = self._wire = await self._connect(request.url, timeouts.get("connect"))
            before_bytes: Callable[[], None] | None = request.extensions.get(BEFORE_BYTES)
            if before_bytes:
                # Connecting takes several round trips, in which a pause may have begun.
                before_bytes()
        return await wire.ask(content, timeouts.get("read"))

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        wire, self._wire = self._wire, None
        if wire:
            wire.close()
            await wire.closed

    async def _connect(self, url: httpx.URL, patience_s: float | None) -> _Wire:
        is_https = url.scheme == "https"
        if url.scheme not in _PORTS:
            message = f"{url.scheme}:// is neither http:// nor https://"
            raise httpx.UnsupportedProtocol(message)
        try:
            async with asyncio.timeout(patience_s):
                _, wire = await asyncio.get_running_loop().create_connection(
                    _Wire,
                    url.raw_host.decode("ascii"),
                    url.port or _PORTS[url.scheme],
                    ssl=self._context if is_https else None,
                    happy_eyeballs_delay=_EYEBALLS_S,
                )
        except TimeoutError as error:
            message = f"no connection within {patience_s:g} s"
            raise httpx.ConnectTimeout(message) from error
        except (OSError, ValueError) as error:
            raise httpx.ConnectError(str(error)) from error
        return wire


async def _content(request: httpx.Request) -> bytes:
    """Return the bytes of a request."""
    fields = request.headers.raw
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += map(b": ".join, fields)
    head = b"\r\n".join([*lines, b"", b""])
    if head.count(b"\n") != len(fields) + 2 or head.count(b"\r") != len(fields) + 2 or b"\0" in head:
        message = "a header field holds a line break"
        raise httpx.LocalProtocolError(message)
    if b"\r\ntransfer-encoding:" in head.lower():
        message = "a body has to have a known length"
        raise httpx.LocalProtocolError(message)
    stream = request.stream
    if isinstance(stream, httpx.ByteStream):
        return head + b"".join(stream)
    if not isinstance(stream, httpx.AsyncByteStream):
        message = "a body that can only be read by blocking"
        raise httpx.LocalProtocolError(message)
    return head + b"".join([chunk async for chunk in stream])
