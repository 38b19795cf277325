"""Servers that lie, trickle, blow up and redirect, and proxies: what is trusted, what is unknown, where the token goes.

An answer that cannot be trusted is unknown, never a refusal; what never left is not sent.
"""

import asyncio
import contextlib
import gzip
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from corso.api import connection as connection_module
from corso.api.client import CorsoApi
from corso.api.connection import Connection
from corso.api.translate import BodyTooLong, from_httpx
from corso.api.transport import open_transport, read_bounded
from corso.errors import ApiError, NotAuthorised, NotSent, OutcomeUnknown, Rejected, SettingsError
from corso.settings import Credentials, read_settings
from tests.certificates import Authority

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\n"
TOKEN = "planted-token"
Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Hostile:
    """A server that plays a scene with every connection, and remembers every byte that it was told."""

    def __init__(self, play: Play, context: ssl.SSLContext | None = None) -> None:
        self._play = play
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self.heard = b""
        self.connections = 0
        self.port = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Hostile"]:
        """Listen until the block ends."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        feed = reader.feed_data

        def overhear(data: bytes) -> None:
            self.heard += data
            feed(data)

        reader.feed_data = overhear  # type: ignore[method-assign]
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            await self._play(reader, writer)


async def asked(reader: asyncio.StreamReader) -> bytes:
    """Read one request."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return head + await reader.readexactly(int(length[1]) if length else 0)


def saying(*parts: bytes, every_s: float = 0.0, last_for_ever: bool = False) -> Play:
    """Return the scene in which every request is answered with these parts."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await asked(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(every_s)
            while last_for_ever:
                writer.write(parts[-1])
                await writer.drain()
                await asyncio.sleep(every_s)

    return play


def request(
    port: int, *, scheme: str = "http", host: str = "127.0.0.1", patience_s: float = 2.0
) -> httpx.Request:
    """Return a POST that carries the token."""
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), patience_s)
    headers = {"authorization": f"Bearer {TOKEN}"}
    url = f"{scheme}://{host}:{port}/v1/orders"
    return httpx.Request("POST", url, headers=headers, content=b"{}", extensions={"timeout": timeouts})


async def ended(transport: httpx.AsyncBaseTransport, one: httpx.Request) -> bytes | ApiError:
    """Return the body, or the error that the sender would be told."""
    try:
        return await read_bounded(await transport.handle_async_request(one))
    except httpx.HTTPError as error:
        return from_httpx(error, "POST /v1/orders")


def met(play: Play, *, patience_s: float = 2.0, times: int = 1) -> list[bytes | ApiError]:
    """Send requests to a hostile server over one connection; return how they ended."""

    async def scenario() -> list[bytes | ApiError]:
        async with Hostile(play).listening() as server, Connection(httpx.create_ssl_context()) as connection:
            one = request(server.port, patience_s=patience_s)
            return [await ended(connection, one) for _ in range(times)]

    return asyncio.run(asyncio.wait_for(scenario(), 30))


LIES = {
    "a length and chunks": HEAD
    + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks and a length": HEAD
    + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\n{}{}",
    "a length with a sign": HEAD + b"content-length: +2\r\n\r\n{}",
    "a length in hexadecimal": HEAD + b"content-length: 0x2\r\n\r\n{}",
    "a length without end": HEAD + b"content-length: " + b"9" * 40 + b"\r\n\r\n{}",
    "a chunk of a length that is none": HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk of a negative length": HEAD + b"transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than it says": HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk of a length without end": HEAD
    + b"transfer-encoding: chunked\r\n\r\n"
    + b"f" * 40
    + b"\r\n{}\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    "a field with a zero byte": HEAD + b"x: \0\r\ncontent-length: 2\r\n\r\n{}",
    "another version": b"HTTP/3.7 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    "a status that is none": b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\n{}",
    "what it was told": b"POST /v1/orders HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
    "brotli": HEAD + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}",
    "zstandard": HEAD + b"content-encoding: zstd\r\ncontent-length: 2\r\n\r\n{}",
    "gzip that is none": HEAD + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("name", LIES)
def test_an_answer_that_cannot_be_trusted_is_unknown(name: str) -> None:
    """Not a success, and not a refusal either: the request may have been carried out."""
    (answer,) = met(saying(LIES[name]), patience_s=0.3)
    assert isinstance(answer, OutcomeUnknown), answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "play",
    [
        saying(HEAD, b"x: y\r\n", every_s=0.05, last_for_ever=True),
        saying(b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n", every_s=0.05, last_for_ever=True),
        saying(HEAD + b"content-length: 100000\r\n\r\n", b"{", every_s=0.05, last_for_ever=True),
        saying(
            HEAD + b"transfer-encoding: chunked\r\n\r\n1;", b"extension", every_s=0.05, last_for_ever=True
        ),
        saying(
            HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n",
            b"trailer: y\r\n",
            every_s=0.05,
            last_for_ever=True,
        ),
    ],
    ids=["fields", "interim answers", "body", "chunk extension", "trailers"],
)
def test_an_answer_that_trickles_is_given_up(play: Play) -> None:
    """However little comes, and however regularly: ten times the patience, and its outcome is unknown."""
    (answer,) = met(play, patience_s=0.1)
    assert isinstance(answer, OutcomeUnknown)
    assert "not complete after 1 s" in str(answer)


@pytest.mark.parametrize(
    "flood", [b"x: " + b"y" * 50_000, b"HTTP/1.1 103 Early Hints\r\nlink: " + b"a" * 1_000 + b"\r\n\r\n"]
)
def test_a_head_without_end_is_given_up(flood: bytes) -> None:
    """One field, or thousands of interim answers: no more is kept than the bound."""
    first = HEAD if flood.startswith(b"x") else b""
    (answer,) = met(saying(first, flood, last_for_ever=True))
    assert isinstance(answer, OutcomeUnknown)
    assert "no end" in str(answer)


def test_what_packs_tighter_than_it_should_is_not_unpacked() -> None:
    """Compressed twice, a kilobyte is a gigabyte within one piece; nothing of it is unpacked."""
    twice = gzip.compress(gzip.compress(b"x" * 30_000_000))
    for codings in (
        b"content-encoding: gzip, gzip\r\n",
        b"content-encoding: gzip\r\ncontent-encoding: gzip\r\n",
    ):
        (answer,) = met(saying(HEAD + codings + b"content-length: %d\r\n\r\n" % len(twice) + twice))
        assert isinstance(answer, OutcomeUnknown)
        assert "not asked for" in str(answer)


def test_a_bomb_is_given_up_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deflate, as gzip, is unpacked piece by piece."""
    bomb = zlib.compress(b"x" * 3_000_000)
    response = httpx.Response(200, headers={"content-encoding": "deflate"}, stream=httpx.ByteStream(bomb))
    with pytest.raises(BodyTooLong):
        asyncio.run(read_bounded(response, longest=1_000_000))


def test_an_early_success_is_not_believed_and_its_connection_not_used_again() -> None:
    """A server that has not read the request cannot have carried it out; a refusal it may give at once."""

    def early(answer: bytes) -> Play:
        async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(answer)
            await writer.drain()
            await asyncio.sleep(5)

        return play

    async def scenario(answer: bytes) -> tuple[object, int]:
        async with (
            Hostile(early(answer)).listening() as server,
            Connection(httpx.create_ssl_context()) as connection,
        ):
            extensions = {"timeout": dict.fromkeys(("connect", "read"), 2.0)}
            url = f"http://127.0.0.1:{server.port}/v1/orders"
            one = httpx.Request("POST", url, content=b"x" * 30_000_000, extensions=extensions)
            try:
                told: object = (await connection.handle_async_request(one)).status_code
            except httpx.HTTPError as error:
                told = from_httpx(error, "POST")
            assert connection._wire is None or not connection._wire.is_fresh
            return told, server.connections

    told, _ = asyncio.run(scenario(OK))
    assert isinstance(told, OutcomeUnknown)
    told, _ = asyncio.run(scenario(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"))
    assert told == 413


CERTIFICATES = {
    "another host's": ("elsewhere.example", 2),
    "one that has ended": ("localhost", -1),
    "one of nobody that is trusted": ("localhost", 2),
}


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_that_proves_nothing_gets_no_byte(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was not sent, and the token did not leave."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    host, days = CERTIFICATES[name]
    authority = Authority(tmp_path)
    ca_file = None if "nobody" in name else authority.ca_file

    async def scenario() -> tuple[object, bytes]:
        server = Hostile(saying(OK), authority.server(host, days=days))
        async with server.listening():
            transport = open_transport(f"https://localhost:{server.port}", 1, ca_file)
            async with transport:
                one = request(server.port, scheme="https", host="localhost")
                return await ended(transport, one), server.heard

    told, heard = asyncio.run(scenario())
    assert isinstance(told, NotSent)
    assert TOKEN.encode() not in heard


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(tmp_path: Path) -> None:
    """`corso.ca_file`, beside the usual ones."""
    authority = Authority(tmp_path)

    async def scenario() -> object:
        server = Hostile(saying(OK), authority.server("localhost"))
        async with (
            server.listening(),
            open_transport(f"https://localhost:{server.port}", 1, authority.ca_file) as transport,
        ):
            return await ended(transport, request(server.port, scheme="https", host="localhost"))

    assert asyncio.run(scenario()) == b"{}"


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_said_at_once(content: str | None, tmp_path: Path) -> None:
    """Exit code 2, before anything is asked."""
    path = tmp_path / "authority.pem"
    if content:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"corso\.ca_file .*authority\.pem"):
        open_transport("https://api.example", 1, path)


class Proxy(Hostile):
    """A proxy that knows CONNECT and joins the two ends."""

    def __init__(self, *, refuses: bool = False) -> None:
        super().__init__(self._join)
        self.asked: list[bytes] = []
        self._refuses = refuses

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if self._refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        port = int(head.split()[1].rpartition(b":")[2])
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.closing(far_writer):
            await asyncio.gather(_pumped(reader, far_writer), _pumped(far_reader, writer))


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


def through_proxy(
    proxy: Proxy, server: Hostile, ca_file: Path, monkeypatch: pytest.MonkeyPatch, *, patience_s: float = 2.0
) -> object:
    """Send one request through a proxy that the environment names, with a password of its own."""

    async def scenario() -> object:
        async with proxy.listening(), server.listening():
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:planted-password@127.0.0.1:{proxy.port}")
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            # Not this machine by its name: that is never reached through a proxy.
            url = f"https://api.example:{server.port}"
            async with open_transport(url, 1, ca_file) as transport:
                one = request(server.port, scheme="https", host="api.example", patience_s=patience_s)
                return await ended(transport, one)

    return asyncio.run(scenario())


@pytest.mark.slow
def test_a_proxy_carries_what_it_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CONNECT with the proxy's own password; inside it TLS to the API, whose certificate is verified as ever."""
    authority = Authority(tmp_path)
    proxy, server = Proxy(), Hostile(saying(OK), authority.server("api.example"))
    assert through_proxy(proxy, server, authority.ca_file, monkeypatch) == b"{}"
    (head,) = proxy.asked
    assert head.startswith(b"CONNECT api.example:")
    assert b"proxy-authorization: basic " in head.lower()
    assert TOKEN.encode() not in proxy.heard
    assert TOKEN.encode() in server.heard
    assert b"proxy-authorization" not in server.heard.lower()


@pytest.mark.slow
def test_a_proxy_that_plays_the_api_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificate is another host's: nothing was sent."""
    authority = Authority(tmp_path)
    proxy, server = Proxy(), Hostile(saying(OK), authority.server("proxy.example"))
    told = through_proxy(proxy, server, authority.ca_file, monkeypatch)
    assert isinstance(told, NotSent)
    assert TOKEN.encode() not in server.heard + proxy.heard


def test_a_proxy_that_refuses_is_said_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent; the sentence may stand anywhere."""
    authority = Authority(tmp_path)
    told = through_proxy(
        Proxy(refuses=True),
        Hostile(saying(OK), authority.server("api.example")),
        authority.ca_file,
        monkeypatch,
    )
    assert isinstance(told, NotSent)
    assert "407" in str(told)
    assert "planted-password" not in str(told)


@pytest.mark.slow
def test_an_answer_that_trickles_through_a_proxy_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that comes directly."""
    authority = Authority(tmp_path)
    trickle = saying(HEAD + b"content-length: 100000\r\n\r\n", b"{", every_s=0.05, last_for_ever=True)
    server = Hostile(trickle, authority.server("api.example"))
    told = through_proxy(Proxy(), server, authority.ca_file, monkeypatch, patience_s=0.1)
    assert isinstance(told, OutcomeUnknown)
    assert "not complete after 1 s" in str(told)


def test_a_proxy_whose_url_is_none_is_said_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a password."""
    monkeypatch.setenv("HTTPS_PROXY", "ftp://me:planted-password@proxy.example:3128")
    with pytest.raises(SettingsError) as told:
        open_transport("https://api.example", 1)
    assert "planted-password" not in str(told.value)


@pytest.mark.parametrize(
    "status", [b"301 Moved", b"302 Found", b"307 Temporary Redirect", b"308 Permanent Redirect"]
)
def test_a_redirect_is_refused_and_the_token_stays(status: bytes, tmp_path: Path) -> None:
    """Neither the API's nor the token endpoint's leads anywhere; the other host is never asked."""

    async def scenario() -> tuple[ApiError, ApiError, int]:
        other = Hostile(saying(OK))
        async with other.listening():
            redirect = (
                b"HTTP/1.1 %b\r\nlocation: http://127.0.0.1:%d/v1/orders\r\ncontent-length: 0\r\n\r\n"
                % (status, other.port)
            )
            token = b'{"access_token": "planted-token", "token_type": "Bearer"}'
            given = HEAD + b"content-length: %d\r\n\r\n" % len(token) + token
            async with (
                Hostile(saying(redirect)).listening() as api,
                Hostile(saying(given)).listening() as tokens,
            ):
                told = [await _read_one(tmp_path, api.port, each.port) for each in (tokens, api)]
                assert b"planted-token" in api.heard
            return told[0], told[1], other.connections

    of_api, of_tokens, connections = asyncio.run(scenario())
    assert isinstance(of_api, Rejected)
    assert "redirects are not followed" in str(of_api)
    assert isinstance(of_tokens, NotAuthorised)
    assert connections == 0


async def _read_one(folder: Path, api_port: int, token_port: int) -> ApiError:
    config = folder / "loader.yaml"
    config.write_text(
        "store: {id: 1}\nexports: {profile: canonical, orders: o.csv}\n"
        f'corso: {{environment: custom, base_url: "http://127.0.0.1:{api_port}/v1", '
        f'token_url: "http://127.0.0.1:{token_port}/token", audience: x}}\n',
        encoding="utf-8",
    )
    async with CorsoApi.open(read_settings(config), Credentials("id", "planted-secret")) as api:
        with pytest.raises(ApiError) as told:
            await api.order("1")
        return told.value


@pytest.mark.parametrize(
    "host", ["127.0.0.1.example.com", "127.example.com", "localhost.example.com", "10.0.0.1"]
)
def test_a_host_that_only_looks_like_this_machine_wants_https(host: str, tmp_path: Path) -> None:
    """What begins like a loopback address is anybody's name."""
    config = tmp_path / "loader.yaml"
    config.write_text(
        "store: {id: 1}\nexports: {profile: canonical, orders: o.csv}\n"
        f'corso: {{environment: custom, base_url: "http://{host}/v1", token_url: "https://x/token", audience: x}}\n',
        encoding="utf-8",
    )
    with pytest.raises(SettingsError, match="in clear"):
        read_settings(config)


def test_bounds_are_those_that_docs_name() -> None:
    """docs/security.md tells operators of them."""
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    assert f"{connection_module.LONGEST_ANSWER >> 20} MiB" in text
    assert f"{connection_module.LONGEST_HEAD >> 10} KiB" in text
