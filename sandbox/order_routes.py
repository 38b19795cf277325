"""The API's operations on orders and fulfillments.

A route reads the body (`answers`, `rules`), asks or changes the `store`, and answers a record as it is kept.
Nothing is awaited between looking for a duplicate and keeping the new record, so two requests cannot both find
the place empty.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from sandbox import records, rules
from sandbox.answers import Refused, json_answer, read_object
from sandbox.listing import CursorCodec, find_page, read_query
from sandbox.options import SandboxOptions
from sandbox.readers import Problem, Reader
from sandbox.store import LARGEST_ID, OrderRow, Store
from sandbox.strangeness import respell


class OrderRoutes:
    """The API's operations on orders and fulfillments."""

    def __init__(self, options: SandboxOptions, store: Store) -> None:
        self._options = options
        self._store = store
        self._cursors = CursorCodec(store.key("cursors"), options.cursor_lifetime_s)

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
        options = self._options
        query = read_query(
            request.query_params, self._cursors, options.page_sizes, options.filters, options.order_by
        )
        page = find_page(self._store, query, options.listing_lag_s)
        return json_answer(200, page.render(self._cursors))

    async def create(self, request: Request) -> Response:
        """POST /orders: keep a new order. One that carries sourceCanceledOn is an order like any (assumed)."""
        order = await self._read(request, rules.read_order)
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
        order = await self._read(request, rules.read_order)
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
        cancellation = await self._read(request, rules.read_cancellation)
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
        fulfillment = await self._read(request, rules.read_fulfillment)
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

    async def _read(self, request: Request, reader: Reader) -> dict[str, Any]:
        """Read the body, spelled as it is to be kept."""
        body = await read_object(request, reader)
        return respell(body) if self._options.normalise else body

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
