"""The loop that one would write: so many workers post one payload after the other and read the order's id.

    python bare_loop.py TRANSPORT URL PAYLOADS CONCURRENCY REQUESTS

TRANSPORT is `installed` (httpx as it comes), `ours` (the loader's transport below `httpx.AsyncClient`) or `alone` (the
loader's transport without the client around it). PAYLOADS is a file of JSON lines. Prints JSON: seconds and processor
seconds, both of the loop alone, without imports and reading.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

FIELDS = {"authorization": "Bearer nothing", "content-type": "application/json", "accept": "application/json"}

Post = Callable[[bytes], Awaitable[object]]


def _with_client(client: httpx.AsyncClient, url: str) -> Post:
    async def post(payload: bytes) -> object:
        response = await client.post(url, content=payload, headers=FIELDS)
        response.raise_for_status()
        return response.json()["orderId"]

    return post


def _alone(transport: httpx.AsyncBaseTransport, url: str) -> Post:
    target = httpx.URL(url)
    fields = [
        (b"host", target.netloc),
        *((name.encode(), value.encode()) for name, value in FIELDS.items()),
    ]
    timeouts = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 10.0}

    async def post(payload: bytes) -> object:
        headers = [*fields, (b"content-length", str(len(payload)).encode())]
        stream = httpx.ByteStream(payload)
        request = httpx.Request(
            "POST", target, headers=headers, stream=stream, extensions={"timeout": timeouts}
        )
        response = await transport.handle_async_request(request)
        body = b"".join([chunk async for chunk in response.aiter_raw()])
        await response.aclose()
        if response.status_code != 201:
            raise RuntimeError(response.status_code)
        return json.loads(body)["orderId"]

    return post


async def run(kind: str, url: str, payloads: list[bytes], concurrency: int) -> None:
    """Post all payloads."""
    feed: Iterator[bytes] = iter(payloads)
    async with AsyncExitStack() as stack:
        if kind == "installed":
            post = _with_client(await stack.enter_async_context(httpx.AsyncClient()), url)
        else:
            from corso.api.transport import open_transport  # noqa: PLC0415  (not in the environment of `installed`)

            transport = open_transport(url, concurrency)
            stack.push_async_callback(transport.aclose)
            if kind == "alone":
                post = _alone(transport, url)
            else:
                client = httpx.AsyncClient(transport=transport)
                post = _with_client(await stack.enter_async_context(client), url)

        async def work() -> None:
            for payload in feed:
                await post(payload)

        await asyncio.gather(*(work() for _ in range(concurrency)))


def main(kind: str, url: str, path: str, concurrency: int, requests: int) -> None:
    """Run the loop and print what it took."""
    lines = Path(path).read_bytes().splitlines()[:requests]
    began, cpu_began = time.perf_counter(), time.process_time()
    asyncio.run(run(kind, url, lines, concurrency))
    print(json.dumps({"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
