"""A connection over real sockets: what it reads, what its failures mean, and that no answer goes to another request."""

import asyncio
import contextlib
import re
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from corso.api import connection as connection_module
from corso.api.connection import BEFORE_BYTES, Connection
from corso.api.translate import NOT_SENT, UNKNOWN
from corso.api.transport import HeldBack, open_transport, read_bounded

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
OTHER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother"
HANG_UP = b""
"""Among what a server sends: close the connection."""
FINE = (200, [(b"content-length", b"2")], b"{}")

Answer = Sequence[bytes]
"""What a server sends after a request, with a little time between the parts."""


class Server:
    """Answers the requests of each connection by its script, then keeps silent; remembers what it was asked."""

    def __init__(self, *connections: Sequence[Answer], context: ssl.SSLContext | None = None) -> None:
        self._scripts = iter(connections)
        self._context = context
        self._handlers: list[asyncio.Task[None]] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Server"]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        scheme, host = ("https", "localhost") if self._context else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}/v1/orders"
        try:
            yield self
        finally:
            server.close()
            for handler in self._handlers:
                handler.cancel()
            await asyncio.gather(*self._handlers, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._handlers.append(asyncio.create_task(self._serve(next(self._scripts, ()), reader, writer)))

    async def _serve(
        self, answers: Sequence[Answer], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for answer in answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head.lower())
                self.requests.append(head + await reader.readexactly(int(length[1]) if length else 0))
                for part in answer:
                    if part == HANG_UP:
                        return
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0.01)
            await reader.read()


def play(server: Server, scene: Callable[[Connection], Awaitable[None]]) -> None:
    """Run a scene with one connection to a server."""

    async def scenario() -> None:
        async with server.listening(), Connection(httpx.create_ssl_context()) as connection:
            await asyncio.wait_for(scene(connection), 20)

    asyncio.run(scenario())


def request(
    url: str,
    *,
    method: str = "GET",
    content: bytes | None = None,
    before_bytes: Callable[[], None] | None = None,
    patience_s: float = 5.0,
) -> httpx.Request:
    """Return a request to a server."""
    extensions: dict[str, object] = {
        "timeout": dict.fromkeys(("connect", "read", "write", "pool"), patience_s)
    }
    if before_bytes:
        extensions[BEFORE_BYTES] = before_bytes
    return httpx.Request(method, url, content=content, extensions=extensions)


async def ended(transport: httpx.AsyncBaseTransport, one: httpx.Request) -> object:
    """Ask once; return status, fields and body, or whether the request surely did not leave."""
    try:
        response = await transport.handle_async_request(one)
        body = await read_bounded(response)
    except NOT_SENT:
        return "not sent"
    except UNKNOWN:
        return "unknown"
    return response.status_code, response.headers.raw, body


ANSWERS: dict[str, Answer] = {
    "a length": (OK,),
    "a length, in parts": (b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 2\r\n\r\n{", b"}"),
    "chunks": (
        b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
        b"1\r\n}\r\n0\r\n\r\n",
    ),
    "chunks and a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nratelimit-remaining: 0\r\n\r\n",
    ),
    "no body": (b"HTTP/1.1 204 No Content\r\nx: y\r\n\r\n",),
    "an empty body": (b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n",),
    "an interim answer before": (b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", OK),
    "the connection's end is its end": (b"HTTP/1.1 200 OK\r\n\r\n{", b"}", HANG_UP),
    "a connection to be closed": (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",),
    "an old server": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",),
    "a field twice": (b"HTTP/1.1 200 OK\r\nRateLimit: a\r\nRateLimit: b\r\ncontent-length: 0\r\n\r\n",),
    "nothing": (HANG_UP,),
    "half a head": (b"HTTP/1.1 200 OK\r\ncontent-le", HANG_UP),
    "half a body": (b"HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{}", HANG_UP),
    "half of the chunks": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
        HANG_UP,
    ),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n",),
    "a length that is none": (b"HTTP/1.1 200 OK\r\ncontent-length: -3\r\n\r\n{}",),
    "two lengths": (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",),
    "silence": (),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_it_reads_answers_as_httpx_reads_them(name: str) -> None:
    """Held against httpx's own transport: the same status, fields and body, or the same kind of failure."""

    async def scenario(transport: httpx.AsyncBaseTransport) -> object:
        async with Server([ANSWERS[name]]).listening() as server, transport:
            return await ended(transport, request(server.url, patience_s=0.2))

    ours = asyncio.run(scenario(Connection(httpx.create_ssl_context())))
    assert ours == asyncio.run(scenario(httpx.AsyncHTTPTransport()))


def test_a_connection_is_kept_and_what_leaves_is_what_was_asked() -> None:
    """Two requests, one connection; the target, the fields in their order, the body."""
    server = Server([[OK], [OK]])
    body = b"a" * 300_000 + b"\r\n\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        yield body[:7]
        yield body[7:]

    async def scene(connection: Connection) -> None:
        for content in (body, pieces()):
            fields = [("Host", "x"), ("A", "b"), ("Content-Length", "300004")]
            one = httpx.Request("POST", f"{server.url}?a=b%20c", headers=fields, content=content)
            assert await ended(connection, one) == FINE

    play(server, scene)
    head = b"POST /v1/orders?a=b%20c HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 300004\r\n\r\n"
    assert (server.requests, server.connections) == ([head + body] * 2, 1)


@pytest.mark.parametrize(
    "last", [OK, OK.replace(b"OK", b"OK\r\nconnection: close"), OK.replace(b"1.1", b"1.0")]
)
def test_a_connection_that_was_closed_is_opened_anew(last: bytes) -> None:
    """Nothing is in doubt by it: that it is closed was noticed before a byte left."""
    server = Server([[last, HANG_UP]], [[OK]])

    async def scene(connection: Connection) -> None:
        response = await connection.handle_async_request(request(server.url))
        assert await read_bounded(response) == b"{}"
        await asyncio.sleep(0.05)
        assert await ended(connection, request(server.url)) == FINE

    play(server, scene)
    assert (len(server.requests), server.connections) == (2, 2)


def test_an_idle_connection_is_given_up_before_a_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that meets a closing connection would end with its outcome unknown."""
    server = Server([[OK], [OK]], [[OK]])
    monkeypatch.setattr(connection_module, "KEEPALIVE_S", 0.1)

    async def scene(connection: Connection) -> None:
        for pause_s in (0.0, 0.2, 0.0):
            assert await ended(connection, request(server.url)) == FINE
            await asyncio.sleep(pause_s)

    play(server, scene)
    assert server.connections == 2


@pytest.mark.parametrize("answer", [[OK + OTHER], [OK + OTHER[:-1]], [OK, OTHER]])
def test_what_nobody_asked_for_is_no_answer_to_the_next_request(answer: Answer) -> None:
    """Be it in the same packet or later: the connection is not used again."""
    server = Server([answer, [OTHER]], [[OK]])

    async def scene(connection: Connection) -> None:
        assert await ended(connection, request(server.url)) == FINE
        await asyncio.sleep(0.05)
        assert await ended(connection, request(server.url)) == FINE

    play(server, scene)
    assert server.connections == 2


def test_the_answer_to_a_request_that_was_given_up_goes_to_nobody() -> None:
    """Whether its task was cancelled or its time was over."""
    late: Answer = (b"HTTP/1.1 200 OK\r\n", b"content-length: 5\r\n\r\n", b"other")
    server = Server([late], [[]], [[OK]])

    async def scene(connection: Connection) -> None:
        asking = asyncio.create_task(ended(connection, request(server.url)))
        await asyncio.sleep(0.015)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await ended(connection, request(server.url, patience_s=0.05)) == "unknown"
        assert await ended(connection, request(server.url)) == FINE

    play(server, scene)
    assert server.connections == 3


def test_an_answer_that_comes_slowly_is_waited_for() -> None:
    """What is limited is the time in which nothing comes; of every request anew."""
    slow: Answer = [bytes([byte]) for byte in OK]
    server = Server([slow, [], [OK]])

    async def scene(connection: Connection) -> None:
        for expected in (FINE, "unknown"):
            assert await ended(connection, request(server.url, patience_s=0.2)) == expected

    play(server, scene)


def test_a_pause_holds_back_what_is_still_connecting() -> None:
    """The guard is asked once a new connection is there, before the first byte; on one that is kept it is not asked."""
    server = Server([[OK], [OK]])
    asked: list[int] = []

    def guard() -> None:
        asked.append(len(server.requests))
        if len(asked) == 1:
            raise HeldBack

    async def scene(connection: Connection) -> None:
        with pytest.raises(HeldBack):
            await connection.handle_async_request(request(server.url, before_bytes=guard))
        assert await ended(connection, request(server.url, before_bytes=guard)) == FINE
        assert await ended(connection, request(server.url, before_bytes=guard)) == FINE

    play(server, scene)
    assert asked == [0]


def test_where_nobody_listens_nothing_is_sent() -> None:
    """A closed port, a host that is none, another scheme."""

    async def scenario() -> list[object]:
        async with Server().listening() as server:
            gone = server.url
        connection = Connection(httpx.create_ssl_context())
        urls = (gone, "http://host.invalid/", f"http://{'a' * 70}.invalid/", "ftp://127.0.0.1/")
        return [await ended(connection, request(url)) for url in urls]

    assert asyncio.run(scenario()) == ["not sent"] * 4


def test_a_connection_that_does_not_come_about_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for connecting is one of its own, and nothing was sent."""

    async def scenario() -> object:
        async def hang(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", hang)
        connection = Connection(httpx.create_ssl_context())
        with pytest.raises(httpx.ConnectTimeout, match=r"no connection within 0\.05 s"):
            await connection.handle_async_request(request("http://127.0.0.1/", patience_s=0.05))

    asyncio.run(scenario())


@pytest.mark.parametrize("field", [("a", "b\r\nc: d"), ("a\nb", "c"), ("a", "b\rc"), ("a", "\0")])
def test_a_line_break_in_a_field_is_refused(field: tuple[str, str]) -> None:
    """What is sent is the request that was meant, and no second one."""
    server = Server([[OK]])

    async def scene(connection: Connection) -> None:
        one = httpx.Request("GET", server.url, headers=[field])
        with pytest.raises(httpx.LocalProtocolError):
            await connection.handle_async_request(one)

    play(server, scene)
    assert server.requests == []


def test_a_body_of_unknown_length_is_refused() -> None:
    """Nothing here sends one."""
    server = Server([[OK]])

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    async def scene(connection: Connection) -> None:
        with pytest.raises(httpx.LocalProtocolError):
            await connection.handle_async_request(httpx.Request("POST", server.url, content=pieces()))

    play(server, scene)
    assert server.requests == []


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n", b"HTTP/1.1 200 OK\r\na: "]
)
def test_an_answer_without_end_is_given_up(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not fill the memory, be it body or head."""
    monkeypatch.setattr(connection_module, "LONGEST_ANSWER", 1_000)
    monkeypatch.setattr(connection_module, "LONGEST_HEAD", 1_000)
    server = Server([[answer, *[b"x" * 200] * 20]])

    async def scene(connection: Connection) -> None:
        assert await ended(connection, request(server.url)) == "unknown"

    play(server, scene)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_over_tls_the_server_has_to_prove_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a certificate that is trusted it answers; with any other nothing is sent."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def scenario() -> list[object]:
        server = Server([[OK], [OK]], context=context)
        async with server.listening(), open_transport(server.url, 1) as transport:
            return [await ended(transport, request(server.url)) for _ in range(2)] + [server.connections]

    assert asyncio.run(scenario())[:2] == ["not sent", "not sent"]
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert asyncio.run(scenario()) == [FINE, FINE, 1]
