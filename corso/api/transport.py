"""Carrying requests: many one-connection transports behind one face, and answers of bounded size.

Why shards: httpcore's pool loops over all its connections twice a request, so that throughput falls as concurrency
grows (measured: 910 requests/s with 16 connections in one pool, 500 with 256; one-connection transports hold 2,000).
All shards share ONE SSL context: each would build its own otherwise (15 ms and 0.8 MiB apiece).
"""

import time
import urllib.request
from collections.abc import AsyncIterator, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx

from corso.api.translate import BodyTooLong

BEFORE_BYTES = "corso_before_bytes"
"""Request extension: a function that is called when a new connection is there, right before the first byte.

It raises to hold the request back. On a connection that is kept open nothing happens between the caller's own look
and the first byte, so that it is not called."""

KEEPALIVE_S = 4.0
"""Idle connections are given up early: most servers close them after five seconds or more, and a request that
meets a closing connection ends with its outcome unknown."""

LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that are read; more is an error."""


class HeldBack(Exception):
    """The request was stopped before its first byte; admit it again."""


class ShardedTransport(httpx.AsyncBaseTransport):
    """A free list of one-connection transports that grows as far as it is used.

    The last one used is the next one taken: few connections stay warm, the others expire.
    """

    def __init__(
        self,
        max_shards: int,
        *,
        proxy: str | None = None,
        make: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._max_shards = max_shards
        self._all: list[httpx.AsyncBaseTransport] = []
        self._free: list[tuple[float, httpx.AsyncBaseTransport]] = []
        self._make = make or _shard_maker(proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request over a connection of its own; PoolTimeout when all are taken."""
        idle_since, shard = self._take()
        try:
            self._guard(request.extensions, idle_since)
            response = await shard.handle_async_request(request)
        except BaseException:
            self._free.append((time.monotonic(), shard))
            raise
        if not isinstance(response.stream, httpx.AsyncByteStream):
            message = "the transport's answer is not an asynchronous stream"
            raise TypeError(message)
        response.stream = _ReturningStream(response.stream, shard, self._free)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        shards, self._all, self._free = self._all, [], []
        for shard in shards:
            await shard.aclose()

    def _take(self) -> tuple[float, httpx.AsyncBaseTransport]:
        if self._free:
            return self._free.pop()
        if len(self._all) >= self._max_shards:
            message = f"all {self._max_shards} connections are taken"
            raise httpx.PoolTimeout(message)
        shard = self._make()
        self._all.append(shard)
        return 0.0, shard

    @staticmethod
    def _guard(extensions: MutableMapping[str, Any], idle_since: float) -> None:
        before_bytes: Callable[[], None] | None = extensions.get(BEFORE_BYTES)
        if before_bytes is None or time.monotonic() - idle_since < KEEPALIVE_S / 2:
            return
        # Connecting takes several round trips, in which a pause may begin: ask again when it is done.
        check = before_bytes

        async def trace(event: str, _info: dict[str, Any]) -> None:
            if event == "http11.send_request_headers.started":
                check()

        extensions["trace"] = trace


class _ReturningStream(httpx.AsyncByteStream):
    """An answer's body that gives its shard back when it is closed."""

    def __init__(
        self,
        inner: httpx.AsyncByteStream,
        shard: httpx.AsyncBaseTransport,
        free: list[tuple[float, httpx.AsyncBaseTransport]],
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
                self._free.append((time.monotonic(), self._shard))
                self._shard = None


async def read_bounded(response: httpx.Response, longest: int = LONGEST_ANSWER) -> bytes:
    """Read and close an answer; BodyTooLong past `longest` bytes (after decompression)."""
    try:
        plain = "content-encoding" not in response.headers and isinstance(
            response.stream, httpx.AsyncByteStream
        )
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.stream if plain else response.aiter_bytes():  # type: ignore[union-attr]
            size += len(chunk)
            if size > longest:
                message = f"the answer is longer than {longest} bytes"
                raise BodyTooLong(message)
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    finally:
        await response.aclose()


def open_transport(url: str, max_shards: int) -> ShardedTransport:
    """Return a transport for one host, through the environment's proxy if there is one for it."""
    return ShardedTransport(max_shards, proxy=environment_proxy(url))


def environment_proxy(url: str) -> str | None:
    """Return the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for `url`.

    This machine is never reached through a proxy: http:// is allowed for it only, and the token would leave it.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shard_maker(proxy: str | None) -> Callable[[], httpx.AsyncBaseTransport]:
    context = httpx.create_ssl_context()
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_S)

    def make() -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy)

    return make
