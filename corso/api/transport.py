"""Carrying requests: many one-connection transports behind one face, and answers of bounded size.

Why shards: httpcore's pool loops over all its connections twice a request, so that throughput falls as concurrency
grows (measured: 910 requests/s with 16 connections in one pool, 500 with 256). A shard is a `connection.Connection`,
or, where a proxy is between, a transport of httpx's own. All shards share ONE SSL context: each would build its own
otherwise (15 ms and 0.8 MiB apiece).
"""

import asyncio
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from corso.api.connection import BEFORE_BYTES, KEEPALIVE_S, LONGEST_ANSWER, TIMES_PATIENCE, Connection
from corso.api.translate import BodyTooLong
from corso.errors import SettingsError
from corso.settings import is_this_machine

Bytes = TypeVar("Bytes", bytes, bytearray)
_PIECE = 16_384
_CODINGS = frozenset({b"gzip", b"x-gzip", b"deflate"})


class HeldBack(Exception):
    """The request was stopped before its first byte; admit it again."""


class ShardedTransport(httpx.AsyncBaseTransport):
    """A free list of one-connection transports that grows as far as it is used.

    The last one used is the next one taken: few connections stay warm, the others expire.
    """

    def __init__(self, max_shards: int, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._max_shards = max_shards
        self._all: list[httpx.AsyncBaseTransport] = []
        self._free: list[httpx.AsyncBaseTransport] = []
        self._make = make

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request over a connection of its own; PoolTimeout when all are taken."""
        shard = self._free.pop() if self._free else self._one_more()
        try:
            response = await shard.handle_async_request(request)
        except BaseException:
            self._free.append(shard)
            raise
        stream = response.stream
        if isinstance(stream, httpx.ByteStream):
            # It was read to its end already.
            self._free.append(shard)
        elif isinstance(stream, httpx.AsyncByteStream):
            response.stream = _ReturningStream(stream, shard, self._free)
        else:
            message = "the transport's answer is not an asynchronous stream"
            raise TypeError(message)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        shards, self._all, self._free = self._all, [], []
        for shard in shards:
            await shard.aclose()

    def _one_more(self) -> httpx.AsyncBaseTransport:
        if len(self._all) >= self._max_shards:
            message = f"all {self._max_shards} connections are taken"
            raise httpx.PoolTimeout(message)
        shard = self._make()
        self._all.append(shard)
        return shard


class _ReturningStream(httpx.AsyncByteStream):
    """An answer's body that gives its shard back when it is closed."""

    def __init__(
        self,
        inner: httpx.AsyncByteStream,
        shard: httpx.AsyncBaseTransport,
        free: list[httpx.AsyncBaseTransport],
    ) -> None:
        self._inner = inner
        self._shard: httpx.AsyncBaseTransport | None = shard
        self._free = free

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._inner.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if self._shard is not None:
                self._free.append(self._shard)
                self._shard = None


class ProxiedConnection(httpx.AsyncBaseTransport):
    """One connection through a proxy: httpx's own, which knows how to speak to one."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and read the whole answer, within the bounds that direct connections have.

        `BEFORE_BYTES` is called before the first byte, whether the connection is new or not.
        """
        before_bytes: Callable[[], None] | None = request.extensions.get(BEFORE_BYTES)
        if before_bytes:
            check = before_bytes

            async def trace(event: str, _info: dict[str, Any]) -> None:
                if event == "http11.send_request_headers.started":
                    check()

            request.extensions["trace"] = trace
        patience_s = request.extensions.get("timeout", {}).get("read")
        longest_s = None if patience_s is None else TIMES_PATIENCE * patience_s
        try:
            async with asyncio.timeout(longest_s):
                return await _read_whole(await self._inner.handle_async_request(request))
        except TimeoutError:
            message = f"the answer was not complete after {longest_s:g} s"
            raise httpx.ReadTimeout(message) from None

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()


async def _read_whole(response: httpx.Response) -> httpx.Response:
    """Read an answer's bytes as they came, compressed or not."""
    stream = response.stream
    if not isinstance(stream, httpx.AsyncByteStream):
        message = "the transport's answer is not an asynchronous stream"
        raise TypeError(message)
    body = bytearray()
    try:
        async for chunk in stream:
            body += chunk
            _bounded(body, LONGEST_ANSWER)
    finally:
        await stream.aclose()
    response.stream = httpx.ByteStream(bytes(body))
    return response


async def read_bounded(response: httpx.Response, longest: int = LONGEST_ANSWER) -> bytes:
    """Read and close an answer; BodyTooLong past `longest` bytes (after decompression)."""
    stream = response.stream
    try:
        is_plain = _is_plain(response)
        if isinstance(stream, httpx.ByteStream):
            content = b"".join(stream)
            if is_plain:
                return _bounded(content, longest)
            response.stream = _InPieces(content)
        chunks = (
            stream.__aiter__()
            if is_plain and isinstance(stream, httpx.AsyncByteStream)
            else response.aiter_bytes()
        )
        body = bytearray()
        async for chunk in chunks:
            body += chunk
            _bounded(body, longest)
        return bytes(body)
    finally:
        if not isinstance(response.stream, httpx.ByteStream):
            # Else all was read before, and nothing is open.
            await response.aclose()


def _is_plain(response: httpx.Response) -> bool:
    """Say whether the body is not compressed. Raises DecodingError where it is in another way than was asked for.

    A body that is compressed twice, or by what packs tighter than deflate, is a bomb that goes off within one piece.
    """
    codings = [value for name, value in response.headers.raw if name.lower() == b"content-encoding"]
    if not codings:
        return True
    named = b",".join(codings).strip().lower()
    if named in {b"", b"identity"}:
        return True
    if named not in _CODINGS:
        message = "the answer is compressed in a way that was not asked for"
        raise httpx.DecodingError(message)
    return False


class _InPieces(httpx.AsyncByteStream):
    """Compressed bytes, a few at a time: what they become is looked at in between."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._content), _PIECE):
            yield self._content[start : start + _PIECE]


def _bounded(body: Bytes, longest: int) -> Bytes:
    if len(body) > longest:
        message = f"the answer is longer than {longest} bytes"
        raise BodyTooLong(message)
    return body


def open_transport(url: str, max_shards: int, ca_file: Path | None = None) -> ShardedTransport:
    """Return a transport for one host, through the environment's proxy if there is one for it.

    Certificates are verified, and that they are the host's; `ca_file` names authorities beside the usual ones. Raises
    SettingsError where it, or the file that SSL_CERT_FILE names, cannot be used, or the proxy's URL is none.
    """
    proxy = environment_proxy(url)
    make = _shard_maker(proxy, _context(ca_file))
    if proxy is not None:
        # Built once to see whether it can be: httpx says what is wrong with a URL by repeating it, password and all.
        try:
            make()
        except (ValueError, httpx.InvalidURL):
            message = (
                "the proxy that the environment names (HTTPS_PROXY, ALL_PROXY) is no URL that can be used"
            )
            raise SettingsError(message) from None
    return ShardedTransport(max_shards, make)


def environment_proxy(url: str) -> str | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for `url`.

    This machine is never reached through a proxy: http:// is allowed for it only, and the token would leave it.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_this_machine(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = httpx.create_ssl_context()
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        what = (
            f"corso.ca_file ({ca_file})" if ca_file else "the file that SSL_CERT_FILE or SSL_CERT_DIR names"
        )
        message = f"{what} cannot be read as certificates in PEM form ({getattr(error, 'strerror', None) or 'no PEM'})"
        raise SettingsError(message) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _shard_maker(proxy: str | None, context: ssl.SSLContext) -> Callable[[], httpx.AsyncBaseTransport]:
    if proxy is None:
        context.set_alpn_protocols(["http/1.1"])
        return lambda: Connection(context)
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S)
    return lambda: ProxiedConnection(httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy))
