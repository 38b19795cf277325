"""Making a client that talks to a function instead of the network, in virtual time."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from clocks import JumpingClock

from corso.api.client import CorsoApi
from corso.settings import Credentials, Loader, Settings
from schemas.wire import Operation

SECRET = "the-client-secret"
STORE_ID = 9359

Handler = Callable[[httpx.Request], httpx.Response]


def loader_settings(*, corso: dict[str, Any] | None = None, **limits: Any) -> Settings:
    """Return settings for the sandbox's addresses, as if read from a loader.yaml."""
    sections = {"store": {"id": STORE_ID}, "exports": {}, "corso": corso or {}, "limits": limits}
    return Settings(Path("loader.yaml"), Loader.model_validate(sections))


def operation(
    kind: Any = "create_order", *, corso_order_id: str | None = None, payload: bytes = b"{}"
) -> Operation:
    """Return an operation on order S-1."""
    return Operation(kind, "S-1", "", corso_order_id, payload, "hash")


def answer(status: int, content: Any = None, **fields: str) -> httpx.Response:
    """Return a JSON answer; `fields` are header fields, with underscores for dashes."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    if content is None:
        return httpx.Response(status, headers=headers)
    body = json.dumps(
        content, default=lambda value: float(value) if isinstance(value, Decimal) else str(value)
    )
    return httpx.Response(status, headers={"content-type": "application/json", **headers}, content=body)


class FakeCorso:
    """Answers token requests by itself and hands all else to `handler`; remembers what it was asked."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.token_answers: Callable[[int], httpx.Response] = lambda number: answer(
            200, {"access_token": f"token-{number}", "token_type": "Bearer", "expires_in": 3600}
        )
        self.token_requests: list[httpx.Request] = []
        self.seeds: list[httpx.Request] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request; the seeding read is kept apart."""
        if request.url.path.endswith("/oauth/token"):
            self.token_requests.append(request)
            return self.token_answers(len(self.token_requests))
        if request.url.params.get("first") == "1":
            self.seeds.append(request)
            return answer(200, {"orders": [], "pageInfo": page_info()})
        self.requests.append(request)
        return self._handler(request)


def page_info(end_cursor: str | None = None, *, has_next: bool = False) -> dict[str, Any]:
    """Return a pageInfo as documented."""
    return {
        "hasNextPage": has_next,
        "hasPreviousPage": False,
        "startCursor": None,
        "endCursor": end_cursor,
    }


def client(fake: Handler, clock: JumpingClock | None = None, *, settings: Settings | None = None) -> CorsoApi:
    """Return a client whose network is `fake`."""
    return CorsoApi.open(
        settings or loader_settings(),
        Credentials("the-client-id", SECRET),
        clock=clock or JumpingClock(),
        transport=httpx.MockTransport(fake),
        jitter=lambda: 0.5,
    )
