"""The sandbox's routes: the token endpoint, the API under /v1, and what tests ask under /_sandbox/.

A request to the API passes `passage` first; a route reads the body (`answers`, `rules`), asks or changes the
`store`, and answers a record as it is kept. Nothing is awaited between looking for a duplicate and keeping
the new record, so two requests cannot both find the place empty.
"""

import hmac
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from sandbox import exact_json, records, rules
from sandbox.answers import (
    Refused,
    answer_http_exception,
    answer_refused,
    json_answer,
    media_type,
    read_body,
    read_object,
)
from sandbox.limits import FixedWindow
from sandbox.listing import CursorCodec, PageSizes, find_page, read_query
from sandbox.passage import AddLatency, CountAnswers, HeaderMode, LimitRate, RequireToken
from sandbox.readers import Problem
from sandbox.store import LARGEST_ID, OrderRow, Store
from sandbox.tokens import TokenMint

DuplicateMode = Literal["reject-400", "reject-409", "existing", "accept"]
"""What a second create of the same source id answers; Corso does not say."""


@dataclass(frozen=True)
class SandboxOptions:
    """How the sandbox behaves; every field is an option of the command, described there."""

    client_id: str = "sandbox"
    client_secret: str = "sandbox"  # noqa: S105 - it opens nothing but a sandbox
    audience: str | None = None
    """The only audience that gets a token; None lets all pass."""
    token_lifetime_s: int = 3600
    stores: frozenset[str] = frozenset()
    """The stores of the client, spelled as by `records.store_key`; empty means any."""
    limit: int = 1000
    """Requests a window; 0 means no limit."""
    window_s: float = 10.0
    headers: HeaderMode = "always"
    page_sizes: PageSizes = field(default_factory=PageSizes)
    latency_s: float = 0.0
    duplicates: DuplicateMode = "reject-400"


def build_app(options: SandboxOptions, store: Store) -> Starlette:
    """Join the routes to a store and to what a request passes before them."""
    mint = TokenMint(store.key("tokens"), options.token_lifetime_s, time.time)
    window = FixedWindow(options.limit, options.window_s, time.monotonic) if options.limit else None
    answers: Counter[str] = Counter()
    passage = [
        Middleware(CountAnswers, answers),
        Middleware(AddLatency, options.latency_s),
        Middleware(RequireToken, mint),
        Middleware(LimitRate, window, options.headers),
    ]
    api = _json_app(OrderRoutes(options, store).routes(), passage)
    tokens = TokenRoute(options, mint)
    counts = CountsRoute(store, answers, tokens)
    return _json_app(
        [
            Route("/oauth/token", tokens.issue, methods=["POST"]),
            Route("/_sandbox/counts", counts.show),
            Mount("/v1", api),
        ],
        [],
    )


def _json_app(routes: list[Route | Mount], passage: list[Middleware]) -> Starlette:
    handlers = {Refused: answer_refused, HTTPException: answer_http_exception}
    app = Starlette(routes=routes, middleware=passage, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class TokenRoute:
    """POST /oauth/token: client credentials, as JSON or as a form, for an access token."""

    def __init__(self, options: SandboxOptions, mint: TokenMint) -> None:
        self._options = options
        self._mint = mint
        self.issued = 0

    async def issue(self, request: Request) -> Response:
        """Answer a token, or an error in the form of RFC 6749, section 5.2 (assumed)."""
        given = await _read_credentials(request)
        wanted = ("client_id", "client_secret", "audience", "grant_type")
        missing = [name for name in wanted if not isinstance(given.get(name), str)]
        if missing:
            return _token_error(400, "invalid_request", f"missing, or not a string: {', '.join(missing)}")
        if given["grant_type"] != "client_credentials":
            return _token_error(400, "unsupported_grant_type", "grant_type must be client_credentials")
        if not self._knows(given["client_id"], given["client_secret"]):
            return _token_error(401, "invalid_client", "client_id or client_secret is wrong")
        if self._options.audience not in (None, given["audience"]):
            return _token_error(403, "access_denied", "the client may not ask for this audience")
        self.issued += 1
        return JSONResponse(
            {
                "access_token": self._mint.issue(given["client_id"]),
                "token_type": "Bearer",
                "expires_in": self._options.token_lifetime_s,
            },
            headers={"cache-control": "no-store"},
        )

    def _knows(self, client_id: str, client_secret: str) -> bool:
        expected = f"{self._options.client_id}\n{self._options.client_secret}"
        given = f"{client_id}\n{client_secret}"
        return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


async def _read_credentials(request: Request) -> dict[str, Any]:
    body = await read_body(request)
    if media_type(request) == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        given = exact_json.load(body)
    except exact_json.NotJson:
        return {}
    return given if isinstance(given, dict) else {}


def _token_error(status: int, code: str, description: str) -> Response:
    return JSONResponse({"error": code, "error_description": description}, status)


class CountsRoute:
    """GET /_sandbox/counts: what the sandbox holds and what it answered since it was started."""

    def __init__(self, store: Store, answers: Counter[str], tokens: TokenRoute) -> None:
        self._store = store
        self._answers = answers
        self._tokens = tokens

    async def show(self, _request: Request) -> Response:
        """Answer the counts."""
        requests = {"tokens_issued": self._tokens.issued, "requests_by_status": dict(self._answers)}
        return JSONResponse(self._store.counts() | requests)


class OrderRoutes:
    """The API's operations on orders and fulfillments."""

    def __init__(self, options: SandboxOptions, store: Store) -> None:
        self._options = options
        self._store = store
        self._cursors = CursorCodec(store.key("cursors"))

    def routes(self) -> list[Route | Mount]:
        """Return the operations with their paths."""
        one = "/orders/{order_id}"
        return [
            Route("/orders", self.list_orders, methods=["GET"]),
            Route("/orders", self.create, methods=["POST"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.cancel, methods=["DELETE"]),
            Route(f"{one}/fulfillments", self.list_fulfillments, methods=["GET"]),
            Route(f"{one}/fulfillments", self.create_fulfillment, methods=["POST"]),
        ]

    async def list_orders(self, request: Request) -> Response:
        """GET /orders: one page of the listing."""
        query = read_query(request.query_params, self._cursors, self._options.page_sizes)
        return json_answer(200, find_page(self._store, query).render(self._cursors))

    async def create(self, request: Request) -> Response:
        """POST /orders: keep a new order. One that carries sourceCanceledOn is an order like any (assumed)."""
        order = await read_object(request, rules.read_order)
        self._refuse_foreign_store(order)
        known = self._duplicate(order)
        if known is not None:
            return json_answer(200, known.record)
        row = records.new_order(self._store.take_order_id(), order)
        self._store.insert_order(row)
        return json_answer(201, row.record)

    async def show(self, request: Request) -> Response:
        """GET /orders/{orderId}: one order."""
        return json_answer(200, self._addressed(request).record)

    async def update(self, request: Request) -> Response:
        """POST /orders/{orderId}: replace the whole order."""
        row = self._addressed(request)
        order = await read_object(request, rules.read_order)
        self._refuse_foreign_store(order)
        row = self._open(self._addressed(request))
        if (records.store_key(order), order["sourceOrderId"]) != (row.store_id, row.source_order_id):
            self._refuse_taken_source_id(order)
        row = records.updated_order(row, order)
        self._store.replace_order(row)
        return json_answer(200, row.record)

    async def cancel(self, request: Request) -> Response:
        """DELETE /orders/{orderId}: note why and when, and close the order to changes."""
        self._addressed(request)
        cancellation = await read_object(request, rules.read_cancellation)
        row = records.cancelled_order(self._open(self._addressed(request)), cancellation)
        self._store.replace_order(row)
        return json_answer(200, row.record)

    async def list_fulfillments(self, request: Request) -> Response:
        """GET /orders/{orderId}/fulfillments: all of an order's fulfillments."""
        found = self._store.fulfillments(self._addressed(request).order_id)
        return json_answer(200, f'{{"fulfillments":[{",".join(found)}]}}')

    async def create_fulfillment(self, request: Request) -> Response:
        """POST /orders/{orderId}/fulfillments: keep a new fulfillment."""
        self._addressed(request)
        fulfillment = await read_object(request, rules.read_fulfillment)
        order_id = self._open(self._addressed(request)).order_id
        source_id = fulfillment["sourceFulfillmentId"]
        if self._options.duplicates != "accept":
            known = self._store.fulfillment_by_source(order_id, source_id)
            if known is not None:
                self._refuse_duplicate(
                    "sourceFulfillmentId", f"the order has a fulfillment {source_id!r} already"
                )
                return json_answer(200, known)
        fulfillment_id = self._store.take_fulfillment_id()
        record = records.new_fulfillment(fulfillment_id, fulfillment)
        self._store.insert_fulfillment(fulfillment_id, order_id, source_id, record)
        return json_answer(201, record)

    def _addressed(self, request: Request) -> OrderRow:
        """Find the order that the path names, or refuse.

        Asked before a body is read, so that 404 goes before what is wrong with the body, and again afterwards:
        while the body came in, another request may have changed the order.
        """
        given = request.path_params["order_id"]
        # An id as Python reads whole numbers may have blanks, underscores or other scripts' digits in it.
        if not (given.isascii() and given.removeprefix("-").isdigit()):
            raise Refused(
                400,
                "validation_failed",
                "the request has 1 problem",
                [Problem("orderId", "must be a whole number")],
            )
        row = self._store.order(int(given)) if len(given) <= len(str(LARGEST_ID)) else None
        if row is None:
            raise Refused(404, "order_not_found", f"there is no order {given[:40]}")
        return row

    def _open(self, row: OrderRow) -> OrderRow:
        """Return the order, if it may still be changed (documented: not after it was cancelled), or refuse."""
        if row.cancelled:
            raise Refused(400, "order_cancelled", "cancelled orders cannot change")
        return row

    def _refuse_foreign_store(self, order: dict[str, Any]) -> None:
        """Refuse an order for a store that the client does not own (403 is assumed)."""
        store_id = records.store_key(order)
        if self._options.stores and store_id not in self._options.stores:
            problem = Problem("storeId", f"the client does not own store {store_id}")
            raise Refused(403, "store_not_owned", problem.message, [problem])

    def _duplicate(self, order: dict[str, Any]) -> OrderRow | None:
        """Return the order whose source id a new one repeats, if that is to be answered; or refuse."""
        if self._options.duplicates == "accept":
            return None
        known = self._store.order_by_source(records.store_key(order), order["sourceOrderId"])
        if known is not None:
            self._refuse_duplicate(
                "sourceOrderId", f"the store has an order {order['sourceOrderId']!r} already"
            )
        return known

    def _refuse_taken_source_id(self, order: dict[str, Any]) -> None:
        """Refuse an update that gives an order the source id of another one."""
        if self._duplicate(order) is not None:
            raise Refused(400, "duplicate", "another order has this sourceOrderId")

    def _refuse_duplicate(self, path: str, message: str) -> None:
        """Refuse, unless the mode is to answer what is there."""
        status = {"reject-400": 400, "reject-409": 409}.get(self._options.duplicates)
        if status is not None:
            raise Refused(status, "duplicate", message, [Problem(path, message)])
