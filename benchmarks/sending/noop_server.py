"""A server that answers every order with the same order, as cheaply as Python can: no routing, no JSON, no state.

    python noop_server.py CORE [RATELIMIT]

It prints its address and serves until its input is closed, on one core. `GET /counts` tells how many POSTs to
`/v1/orders` there were since it was asked last. With RATELIMIT every answer tells what is left of so many requests in
ten seconds.
"""

import asyncio
import json
import os
import sys
import time
from typing import cast

ORDER = {
    "orderId": 123456789,
    "storeId": 9359,
    "sourceOrderId": "S-1",
    "orderName": "#1001",
    "currencyConversionRate": 1,
    "isShippingProtected": False,
    "customer": {
        "sourceCustomerId": "C-1",
        "firstName": "Ann",
        "lastName": "Example",
        "email": "ann@example.com",
    },
    "lineItems": [
        {
            "orderId": 123456789,
            "lineItemId": number,
            "sourceLineItemId": f"S-1-{number}",
            "name": "Blue mug",
            "quantity": 1,
            "sku": "MUG-1",
            "price": 10.5,
            "tax": 0.8,
        }
        for number in range(3)
    ],
    "shippingMoney": 5.25,
    "subtotalMoney": 31.5,
    "taxMoney": 2.4,
    "totalMoney": 39.15,
    "sourceCreatedOn": "2026-11-20T17:30:00Z",
    "createdOn": "2026-11-22T17:30:00Z",
    "updatedOn": "2026-11-22T17:30:00Z",
}
EMPTY = {
    "orders": [],
    "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
}
TOKEN = {"access_token": "nothing", "token_type": "Bearer", "expires_in": 86400}


WINDOW_S = 10


def _answer(status: str, content: object) -> bytes:
    body = json.dumps(content).encode()
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


class State:
    """What all connections share."""

    def __init__(self, limit: int) -> None:
        self.posts = 0
        self._limit = limit
        self._used = 0
        self._ends = 0.0

    def quota(self) -> bytes:
        """Count one request; return the fields that tell of it, or nothing."""
        if not self._limit:
            return b""
        now = time.monotonic()
        if now >= self._ends:
            self._used, self._ends = 0, now + WINDOW_S
        self._used += 1
        left, reset = max(0, self._limit - self._used), int(self._ends - now) + 1
        return b"ratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d\r\n" % (
            self._limit,
            left,
            reset,
        )


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there as a whole."""
        buffer = self._buffer + data if self._buffer else data
        while (head := buffer.find(b"\r\n\r\n")) >= 0:
            end = head + 4 + _length(buffer, head)
            if len(buffer) < end:
                break
            self._transport.write(self._answer_to(buffer))
            buffer = buffer[end:]
        self._buffer = buffer

    def _answer_to(self, request: bytes) -> bytes:
        if request.startswith(b"POST /v1/orders "):
            self._state.posts += 1
            answer = _CREATED
        elif request.startswith(b"GET /counts "):
            posts, self._state.posts = self._state.posts, 0
            return _answer("200 OK", posts)
        else:
            answer = _TOKEN if request.startswith(b"POST /oauth/token ") else _EMPTY
        quota = self._state.quota()
        # Behind the status line, wherever the other fields are.
        return answer.replace(b"\r\n", b"\r\n" + quota, 1) if quota else answer


_CREATED, _TOKEN, _EMPTY = _answer("201 Created", ORDER), _answer("200 OK", TOKEN), _answer("200 OK", EMPTY)


def _length(buffer: bytes, head: int) -> int:
    place = buffer.find(b"ontent-", 0, head)
    while place >= 0:
        if buffer[place + 7 : place + 14].lower() == b"length:":
            return int(buffer[place + 14 : buffer.index(b"\r\n", place)])
        place = buffer.find(b"ontent-", place + 7, head)
    return 0


async def serve(limit: int) -> None:
    """Listen on a free port until the input is closed."""
    state = State(limit)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(state), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    run(serve(int(sys.argv[2]) if len(sys.argv) > 2 else 0))
