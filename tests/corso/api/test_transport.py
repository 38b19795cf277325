"""Shards: how many there are, when they are given back, what holds a request back."""

import asyncio
import contextlib
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from corso.api.connection import BEFORE_BYTES
from corso.api.translate import BodyTooLong
from corso.api.transport import (
    HeldBack,
    ProxiedConnection,
    ShardedTransport,
    environment_proxy,
    open_transport,
    read_bounded,
)

GONE = "the connection is gone"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Pieces(httpx.AsyncByteStream):
    """A body that is still on its way: so many times `{}`."""

    def __init__(self, count: int = 1) -> None:
        self._count = count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self._count):
            yield b"{}"


class Shard(httpx.AsyncBaseTransport):
    """A transport that answers at once, to be read piece by piece, and remembers what happened to it."""

    def __init__(self) -> None:
        self.requests = 0
        self.is_closed = False
        self.traced = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer 200; fail where the request asks for it."""
        self.requests += 1
        if trace := request.extensions.get("trace"):
            self.traced += 1
            await trace("connection.connect_tcp.started", {})
            await trace("http11.send_request_headers.started", {})
        if request.url.path == "/fails":
            raise httpx.ReadError(GONE)
        return httpx.Response(200, stream=Pieces())

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.is_closed = True


def sharded(limit: int) -> tuple[ShardedTransport, list[Shard]]:
    """Return a transport over fake shards, and the shards."""
    shards: list[Shard] = []

    def make() -> Shard:
        shards.append(Shard())
        return shards[-1]

    return ShardedTransport(limit, make), shards


def request(path: str = "/", before_bytes: Callable[[], None] | None = None) -> httpx.Request:
    """Return a request, with a guard if one is given."""
    extensions = {BEFORE_BYTES: before_bytes} if before_bytes else {}
    return httpx.Request("GET", f"http://127.0.0.1{path}", extensions=extensions)


def test_a_shard_is_busy_until_its_answer_is_closed() -> None:
    """Two requests at once take two connections; one after another take one; all are closed in the end."""
    transport, shards = sharded(2)

    async def scenario() -> None:
        first = await transport.handle_async_request(request())
        second = await transport.handle_async_request(request())
        with pytest.raises(httpx.PoolTimeout):
            await transport.handle_async_request(request())
        await read_bounded(first)
        await first.aclose()
        await read_bounded(second)
        for _ in range(5):
            await read_bounded(await transport.handle_async_request(request()))
        await transport.aclose()

    asyncio.run(scenario())

    assert sorted(shard.requests for shard in shards) == [1, 6]
    assert all(shard.is_closed for shard in shards)


def test_a_shard_that_failed_is_used_again() -> None:
    """Its httpcore pool opens a new connection by itself."""
    transport, shards = sharded(1)

    async def scenario() -> None:
        with pytest.raises(httpx.ReadError):
            await transport.handle_async_request(request("/fails"))
        await read_bounded(await transport.handle_async_request(request()))

    asyncio.run(scenario())

    assert len(shards) == 1


def test_a_shard_whose_answer_is_complete_is_free_at_once() -> None:
    """Nobody has to close what was read to its end."""
    transport = ShardedTransport(1, lambda: httpx.MockTransport(lambda _: httpx.Response(200, content=b"{}")))

    async def scenario() -> None:
        first = await transport.handle_async_request(request())
        assert await read_bounded(await transport.handle_async_request(request())) == b"{}"
        assert await read_bounded(first) == b"{}"

    asyncio.run(scenario())


def test_a_pause_holds_back_what_is_still_connecting_to_a_proxy() -> None:
    """The guard is asked again after the connection is there, before the first byte."""
    shard = Shard()
    transport = ProxiedConnection(shard)
    asked: list[int] = []

    def guard() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise HeldBack

    async def scenario() -> None:
        with pytest.raises(HeldBack):
            await transport.handle_async_request(request(before_bytes=guard))
        await read_bounded(await transport.handle_async_request(request(before_bytes=guard)))
        await transport.aclose()

    asyncio.run(scenario())

    assert (len(asked), shard.traced, shard.is_closed) == (2, 2, True)


@pytest.mark.slow
def test_an_answer_is_read_up_to_its_bound() -> None:
    """A listing without end, or a compressed bomb, does not fill the memory."""

    async def scenario(response: httpx.Response) -> bytes:
        return await read_bounded(response, longest=100)

    def compressed(size: int) -> httpx.Response:
        stream = httpx.ByteStream(gzip.compress(b"x" * size))
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream)

    for body in (httpx.ByteStream(b"x" * 100), Pieces(50)):
        assert len(asyncio.run(scenario(httpx.Response(200, stream=body)))) == 100
    assert asyncio.run(scenario(compressed(100))) == b"x" * 100
    for too_long in (
        httpx.Response(200, stream=httpx.ByteStream(b"x" * 101)),
        httpx.Response(200, stream=Pieces(51)),
        compressed(101),
    ):
        with pytest.raises(BodyTooLong):
            asyncio.run(scenario(too_long))
    bomb = compressed(200_000_000)
    tracemalloc.start()
    with pytest.raises(BodyTooLong):
        asyncio.run(scenario(bomb))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50_000_000


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.corso.com/v1", "http://proxy:3128"),
        ("https://api.stg.corso.com/v1", None),
        ("http://127.0.0.1:8787/v1", None),
        ("http://localhost:8787/v1", None),
    ],
)
def test_the_environment_names_the_proxy(
    url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere else, but never for this machine."""
    for name in ("HTTP_PROXY", "http_proxy", "https_proxy", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://other:1")
    monkeypatch.setenv("NO_PROXY", "api.stg.corso.com")

    assert environment_proxy(url) == expected


class ClosingServer:
    """A real server that answers two requests on a connection and hangs up on the third."""

    def __init__(self) -> None:
        self._handlers: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """Connections so far."""
        return len(self._handlers)

    async def start(self) -> int:
        """Listen; return the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and wait for the connections to end."""
        if self._server:
            self._server.close()
        await asyncio.gather(*self._handlers)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._handlers.append(asyncio.create_task(self._serve(reader, writer)))

    @staticmethod
    async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            for one in (OK, OK, b""):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(one)
                await writer.drain()
        writer.close()
        await writer.wait_closed()


def test_over_a_real_socket_a_connection_is_kept_and_a_closed_one_is_noticed() -> None:
    """The fake shards are held against httpx's own: reuse, the guard after connecting, the lost connection."""
    asked: list[int] = []
    guards: list[int] = []

    async def scenario() -> int:
        server = ClosingServer()
        url = f"http://127.0.0.1:{await server.start()}/"
        transport = open_transport(url, 1)

        async def ask() -> bytes:
            extensions = {BEFORE_BYTES: lambda: guards.append(1)}
            one = httpx.Request("GET", url, extensions=extensions)
            return await read_bounded(await transport.handle_async_request(one))

        for _ in range(2):
            assert await ask() == b"{}"
            asked.append(len(guards))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await ask()
        assert await ask() == b"{}"
        await transport.aclose()
        await server.stop()
        return server.connections

    assert asyncio.run(scenario()) == 2
    assert asked == [1, 1]
