"""A Corso in memory behind the port of `corso.delivery.ports`, and operations to send to it.

A test scripts what goes wrong; all else is carried out. `tests/corso/delivery/test_fake_corso.py` holds it against
the real client and the sandbox.
"""

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from corso.clock import Clock
from corso.delivery.ledger import Entry, Key, Ledger
from corso.delivery.ports import unwatched
from corso.delivery.sender import Sender
from corso.errors import CorsoError, NotFound, Rejected
from schemas.wire import JsonObject, Operation, OperationKind, Receipt
from tests.clocks import JumpingClock
from tests.ledger_places import place_of

STORE_ID = 9359
Record = dict[str, Any]
_KEPT = {"orderId", "createdOn", "fulfillments"}
"""What an update, which replaces the whole order, does not touch."""


def order_body(number: int = 1, **changes: Any) -> Record:
    """Return an order's payload, decoded."""
    body: Record = {
        "storeId": STORE_ID,
        "sourceOrderId": f"o-{number}",
        "orderName": f"#{1000 + number}",
        "sourceCreatedOn": "2026-11-20T17:30:00Z",
        "customer": {"email": f"ann.{number}@example.com", "phone": "+12025550123"},
        "totalMoney": 27,
        "lineItems": [{"sourceLineItemId": "1", "quantity": 2, "price": 10, "name": "Blue mug"}],
    }
    return body | changes


ODD_IDS = [
    "1e5",
    "007",
    '"',
    "'",
    "\\",
    "\\u0000",
    "a\0b",
    "\0",
    "[1]",
    "a\tb\nc",
    "é🧨",
    "\u2028",
    "\ufffe",
    "null",
    "true",
    "a" * 9_999,
]
"""What an id may hold. The two with a zero byte only a ledger in a file can keep."""


def operation(
    number: int = 1,
    kind: OperationKind = "create_order",
    *,
    corso_order_id: str | None = None,
    **changes: Any,
) -> Operation:
    """Return an operation on order `o-<number>`; `changes` are to its payload's members."""
    fulfillment = kind == "create_fulfillment"
    body: Record
    if fulfillment:
        body = {"sourceFulfillmentId": f"f-{number}", "fulfillmentLocationId": 12} | changes
    elif kind == "cancel_order":
        body = {"canceledReason": "fraud", "sourceCanceledOn": "2026-11-21T00:00:00Z"} | changes
    else:
        body = order_body(number, **changes)
    payload = json.dumps(body).encode()
    return Operation(
        kind=kind,
        source_order_id=f"o-{number}",
        source_fulfillment_id=f"f-{number}" if fulfillment else "",
        corso_order_id=corso_order_id,
        payload=payload,
        payload_hash=sha256(payload).hexdigest(),
        cancelled=kind == "cancel_order",
    )


def opened(folder: Path, clock: Clock | None = None) -> Ledger:
    """Open a folder's ledger for writing, on whichever database the test has its ledgers."""
    return Ledger.open(place_of(folder), STORE_ID, clock=clock or JumpingClock())


def entry_of(ledger: Ledger, number: int = 1, fulfillment: str = "") -> Entry:
    """Return the ledger's entry of order `o-<number>` or one of its fulfillments."""
    key = Key(f"o-{number}", fulfillment)
    return ledger.entries_of([key])[key]


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong."""

    error: CorsoError
    before: bool = False
    """Whether it goes wrong before its turn came, so that surely nothing was sent."""
    carried_out: bool = False
    """Whether the server did it all the same."""


@dataclass
class FakeCorso:
    """Corso in memory; satisfies `corso.delivery.ports.OrderApi`."""

    clock: JumpingClock
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    """Source order id -> what goes wrong with the next requests about it, one after the other."""
    every_fault: Fault | None = None
    """What goes wrong with every request that has no fault of its own."""
    refuses_duplicates: bool = True
    closed: set[str] = field(default_factory=set)
    """Corso's ids of the orders that were cancelled by DELETE: nothing about them changes any more."""
    latency_s: float = 0.1
    orders: list[Record] = field(default_factory=list)
    """The oldest first."""
    sent: list[Operation] = field(default_factory=list)
    """What reached the wire, in order."""
    looks: list[str] = field(default_factory=list)
    """The look-ups that were made."""
    on_the_wire: Callable[[Operation], None] = lambda _operation: None
    """Called when a request's bytes leave."""
    finds_by_source_id: bool = True
    finds_by_email: bool = True
    lists: bool = True
    hidden_looks: int = 0
    """So many look-ups from now on see nothing: the listing lags."""
    known_after_s: float = 0.0
    """It knows an order by its id only so long after its creation."""
    is_behind: timedelta = timedelta(0)
    """How far its clock, by which `createdOn` goes, is behind ours."""
    shows_after_s: float = 0.0
    """A look-up but by Corso's id shows an order only so long after its creation."""
    under_way: int = 0
    ping_error: Exception | None = None
    """What every ping ends with; None: it is answered."""
    pings: list[float] = field(default_factory=list)
    """When a ping arrived, in seconds since the clock was made."""

    def fail(self, number: int, *faults: Fault) -> None:
        """Let the next requests about order `o-<number>` go wrong."""
        self.faults.setdefault(f"o-{number}", deque()).extend(faults)

    def has(self, body: Record, *, age: timedelta = timedelta(0), **changes: Any) -> Record:
        """Put a record into the store, as if it had been created `age` ago."""
        record = {
            **body,
            "orderId": 100 + len(self.orders),
            "createdOn": _text(self.clock.utc() - age - self.is_behind),
            "fulfillments": [],
        } | changes
        self.orders.append(record)
        return record

    async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> Receipt:
        """See `OrderApi.send`."""
        waiting = self.faults.get(operation.source_order_id)
        fault = waiting.popleft() if waiting else self.every_fault
        if fault and fault.before:
            raise fault.error
        await about_to_send()
        self.under_way += 1
        try:
            self.sent.append(operation)
            self.on_the_wire(operation)
            await self.clock.sleep(self.latency_s)
            if fault and not fault.carried_out:
                raise fault.error
            receipt = self._carry_out(operation)
            if fault:
                raise fault.error
            return receipt
        finally:
            self.under_way -= 1

    async def ping(self) -> None:
        """See `OrderApi.ping`."""
        self.pings.append(self.clock.elapsed)
        await self.clock.sleep(self.latency_s)
        if self.ping_error:
            raise self.ping_error

    def _carry_out(self, operation: Operation) -> Receipt:
        body: Record = json.loads(operation.payload)
        if operation.kind == "create_order":
            if self.refuses_duplicates and self._by_source(operation.source_order_id):
                message = "400"
                raise Rejected(message, status=400, body="the order is there already")
            return Receipt(201, str(self.has(body)["orderId"]))
        record = self._known(operation.corso_order_id)
        corso_id = str(record["orderId"])
        if corso_id in self.closed:
            message = "400"
            raise Rejected(message, status=400, body="cancelled orders cannot change")
        if operation.kind == "create_fulfillment":
            fulfillment_id = f"F{corso_id}-{len(record['fulfillments'])}"
            record["fulfillments"].append({**body, "fulfillmentId": fulfillment_id})
            return Receipt(201, fulfillment_id)
        if operation.kind == "cancel_order":
            self.closed.add(corso_id)
        else:
            for key in record.keys() - _KEPT:
                del record[key]
        record |= body
        return Receipt(200, corso_id)

    def _by_source(self, source_order_id: str) -> list[Record]:
        return [each for each in self.orders if str(each.get("sourceOrderId")) == source_order_id]

    def _known(self, corso_order_id: str | None) -> Record:
        latest = self.clock.utc() - self.is_behind - timedelta(seconds=self.known_after_s)
        for each in self.orders:
            is_new = self.known_after_s and datetime.fromisoformat(each["createdOn"]) > latest
            if str(each["orderId"]) == corso_order_id and not is_new:
                return each
        message = "404"
        raise NotFound(message, status=404)

    def _seen(self, look: str, records: Sequence[Record]) -> list[JsonObject]:
        self.looks.append(look)
        if self.hidden_looks > 0:
            self.hidden_looks -= 1
            return []
        if look in {"Corso id", "fulfillments"} or not self.shows_after_s:
            return list(records)
        latest = self.clock.utc() - self.is_behind - timedelta(seconds=self.shows_after_s)
        return [each for each in records if datetime.fromisoformat(each["createdOn"]) <= latest]

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """See `OrderApi.orders_by_source_id`."""
        if not self.finds_by_source_id:
            return None
        return self._seen("source id", self._by_source(source_order_id))

    async def orders_by_email_and_name(self, email: str, name: str) -> list[JsonObject] | None:
        """See `OrderApi.orders_by_email_and_name`."""
        if not self.finds_by_email:
            return None
        matches = [
            each
            for each in self.orders
            if each["customer"].get("email") == email and each["orderName"] == name
        ]
        return self._seen("e-mail and name", matches)

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """See `OrderApi.order`."""
        try:
            known = [self._known(corso_order_id)]
        except NotFound:
            known = []
        found = self._seen("Corso id", known)
        return found[0] if found else None

    async def fulfillments(self, corso_order_id: str) -> list[JsonObject]:
        """See `OrderApi.fulfillments`."""
        return self._seen("fulfillments", self._known(corso_order_id)["fulfillments"])

    async def newest_first(self) -> AsyncIterator[Sequence[JsonObject]]:
        """See `OrderApi.newest_first`; two records a page."""
        if not self.lists:
            message = "400"
            raise Rejected(message, status=400)
        records = self.orders[::-1]
        for start in range(0, len(records), 2):
            yield self._seen("page", records[start : start + 2])


def _text(instant: datetime) -> str:
    return instant.isoformat()


def sender_of(
    api: FakeCorso, journal: Any, *, max_in_flight: int = 4, outage_s: float = 60.0, watch: Any = unwatched
) -> Sender:
    """Return a sender on the fake's clock."""
    return Sender(api, journal, api.clock, max_in_flight=max_in_flight, outage_s=outage_s, watch=watch)
