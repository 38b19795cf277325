"""The client: operations go out, records come in, everything through one limiter.

An operation leaves at most once per call of `send`; whether it is sent again is the sender's decision. Reads are
repeated on 5xx and connection errors, with full jitter and within one budget for all of them, and wait through 429s.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from functools import partial
from importlib import metadata
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote, urlencode

import httpx

from corso.api import shared_pacers
from corso.api.auth import NoToken
from corso.api.backoff import ATTEMPTS, Jitter, RetryBudget, full_jitter_s, random_jitter
from corso.api.exchange import AboutToSend, Answer, Exchange
from corso.api.found_rate import Found
from corso.api.limiter import KeptPause, Limiter
from corso.api.listing import PAGE_SIZES, CursorRefused, CursorTrail, ListingRefused, Page, read_page
from corso.api.translate import AnswerTooLong
from corso.api.transport import open_transport
from corso.api.wire_json import decode_object
from corso.clock import Clock, SystemClock
from corso.errors import (
    ApiError,
    DoneWithoutId,
    NotAuthorised,
    NotFound,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
)
from corso.settings import Credentials, Settings
from schemas.wire import JsonObject, Operation, Receipt, id_text

T = TypeVar("T")
OrderBy = Literal["asc", "desc"]
"""asc: the oldest order first. By what the orders are ordered is not documented: creation in Corso (assumed)."""


class CorsoApi:
    """Corso's API for one store and one pair of credentials; an asynchronous context manager."""

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        *,
        clock: Clock,
        transport: httpx.AsyncBaseTransport,
        token_transport: httpx.AsyncBaseTransport,
        limiter: Limiter,
        jitter: Jitter = random_jitter,
        give_back: Callable[[], None] = lambda: None,
    ) -> None:
        """Make a client; `open` does it. `give_back` is called when it is closed: the limiter's pacer may be lent."""
        self._exchange = Exchange(
            settings.loader,
            credentials,
            limiter=limiter,
            clock=clock,
            transport=transport,
            token_transport=token_transport,
            user_agent=f"corso-loader/{_version()}",
            jitter=jitter,
        )
        self._clock = clock
        self._jitter = jitter
        self._store_id = str(settings.loader.store.id)
        self._base = settings.loader.corso.base_url
        self._orders_url = httpx.URL(f"{self._base}/orders")
        self._seeding: asyncio.Task[None] | None = None
        self._page_sizes = PAGE_SIZES
        self._retries = RetryBudget()
        self._give_back = give_back

    @classmethod
    def open(
        cls,
        settings: Settings,
        credentials: Credentials,
        *,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        jitter: Jitter = random_jitter,
        until: datetime | None = None,
        found: Found | None = None,
        pause: KeptPause | None = None,
    ) -> Self:
        """Make a client; nothing is sent yet.

        `transport` replaces the network, for tests. From `until` on, which knows its offset, nothing is sent: Parked.
        On the real network and in real time, all clients of one pair of credentials go on with the same pacer, one
        client after the other. `found`: what an earlier run learnt of an API that tells no quota. `pause`: what it was
        asked to wait for.
        """
        loader = settings.loader
        is_real = transport is None and (clock is None or isinstance(clock, SystemClock))
        key = shared_pacers.key_of(loader, credentials)
        clock = clock or SystemClock()
        limiter = Limiter(
            loader.limits,
            clock,
            jitter=jitter,
            time_zone=loader.store.time_zone,
            until=until,
            pacer=shared_pacers.borrow(key) if is_real else None,
            found=found,
            pause=pause,
        )
        return cls(
            settings,
            credentials,
            clock=clock,
            transport=transport
            or open_transport(loader.corso.base_url, loader.limits.max_in_flight, settings.ca_file),
            token_transport=transport or open_transport(loader.corso.token_url, 1, settings.ca_file),
            limiter=limiter,
            jitter=jitter,
            give_back=partial(shared_pacers.give_back, key, limiter.pacer) if is_real else lambda: None,
        )

    @property
    def limiter(self) -> Limiter:
        """What paces the requests; its counters are for the summary and the progress bar."""
        return self._exchange.limiter

    @property
    def ahead_s(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the API's, by an answer that came just now."""
        return self._exchange.ahead_s

    async def __aenter__(self) -> Self:
        """Return itself; connections open as they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        if self._seeding:
            # Nobody waits for it any more, and what it has under way is to be handed back.
            self._seeding.cancel()
            await asyncio.gather(self._seeding, return_exceptions=True)
        await self._exchange.aclose()
        give_back, self._give_back = self._give_back, lambda: None
        give_back()

    async def send(self, operation: Operation, about_to_send: AboutToSend | None = None) -> Receipt:
        """Send one operation, at most once; the payload's bytes go out as they are.

        `about_to_send` is awaited when the operation's turn has come, before a byte of it leaves: the ledger's
        moment. What is raised before it was awaited has surely sent nothing. Raises an ApiError, whose class says
        what may happen next, or Parked when the API asks for too long a wait.
        """
        method, url = self._route(operation)
        if not self.limiter.seeded:
            await self._seeded()
        answer = await self._exchange.ask(method, url, operation.payload, about_to_send)
        return Receipt(answer.status, _corso_id(operation, answer))

    async def ping(self) -> None:
        """Ask for a token and for as little as possible, each once, whatever comes of it."""
        await self._exchange.sign_in_once()
        await self._exchange.ask("GET", self._listing_url({"first": 1}))

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """Return one order by Corso's id; None when there is none."""
        try:
            return await self._get(self._order_url(corso_order_id), _read_order)
        except NotFound:
            return None

    async def fulfillments(self, corso_order_id: str) -> list[JsonObject]:
        """Return the fulfillments of one order; NotFound when the order is not there."""
        return await self._get(self._order_url(corso_order_id, "/fulfillments"), _read_fulfillments)

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """Return the store's orders with this source id; None when the API cannot look up by it.

        It cannot when it answers 400, or visibly ignores the filter and answers other orders.
        """

        def belongs(order: JsonObject) -> bool:
            return str(order.get("sourceOrderId")) == source_order_id

        return await self._look_up({"sourceOrderId": source_order_id}, belongs)

    async def orders_by_email_and_name(self, email: str, name: str) -> list[JsonObject] | None:
        """Return the store's orders of this e-mail address and order name or number.

        None when the API cannot look up by them; see `orders_by_source_id`. An order counts as another one's when
        its e-mail address differs; how the API compares names is not documented.
        """

        def belongs(order: JsonObject) -> bool:
            customer = order.get("customer")
            found = customer.get("email") if isinstance(customer, dict) else None
            return str(found).casefold() == email.casefold()

        return await self._look_up({"customerEmail": email, "orderNameOrNumber": name}, belongs)

    async def page(self, order_by: OrderBy, after: str | None) -> Page:
        """Read one page of the store's orders: the one behind the cursor `after`, or the first.

        It is asked for large, and may come smaller. Raises ListingRefused when the API wants filters, CursorRefused
        when it does not take `after`, ListingBroken when the answer is not a page.
        """
        while True:
            sizes = self._page_sizes
            asked = {"first": sizes[0], "after": after, "orderBy": order_by}
            try:
                return await self._get(self._listing_url(asked), _read_page)
            except AnswerTooLong:
                if len(sizes) <= 2:
                    raise
            except Rejected as error:
                if error.status != 400:
                    raise
                if len(sizes) == 1:
                    # The next pass begins with the largest size again: the cursor may have been at fault.
                    self._page_sizes = PAGE_SIZES
                    refused = ListingRefused if after is None else CursorRefused
                    raise refused(str(error), status=error.status, body=error.body) from error
            if self._page_sizes is sizes:
                self._page_sizes = sizes[1:]

    async def pages(self, *, order_by: OrderBy = "desc", after: str | None = None) -> AsyncIterator[Page]:
        """Read the store's orders page by page, from `after` on.

        Raises as `page`, and ListingBroken when the listing cannot be read to its end.
        """
        trail = CursorTrail(after)
        while True:
            page = await self.page(order_by, after)
            yield page
            if not page.has_next:
                return
            after = trail.advance(page)

    async def newest_first(self) -> AsyncIterator[list[JsonObject]]:
        """Yield the store's orders page by page, the newest first; raises as `pages`.

        Of other stores with the same credentials, which the listing shows, too, nothing is yielded: their source ids may
        be the same, and an order that was taken for ours would be replaced.
        """
        async for page in self.pages(order_by="desc"):
            yield [order for order in page.orders if self._is_of_our_store(order)]

    async def _look_up(
        self, filters: dict[str, str], belongs: Callable[[JsonObject], bool]
    ) -> list[JsonObject] | None:
        found: list[JsonObject] = []
        trail = CursorTrail(None)
        after: str | None = None
        while True:
            try:
                page = await self._get(self._listing_url({**filters, "after": after}), _read_page)
            except Rejected as error:
                if error.status == 400:
                    return None
                raise
            ours = [order for order in page.orders if belongs(order)]
            if len(ours) < len(page.orders) and (page.has_next or not ours):
                return None
            found += [order for order in ours if self._is_of_our_store(order)]
            if not page.has_next:
                return found
            after = trail.advance(page)

    def _is_of_our_store(self, order: JsonObject) -> bool:
        store_id = order.get("storeId")
        return store_id is None or id_text(store_id) == self._store_id

    def _listing_url(self, asked: dict[str, Any]) -> httpx.URL:
        given = {key: value for key, value in asked.items() if value is not None}
        return httpx.URL(f"{self._base}/orders?{urlencode(given, quote_via=quote)}")

    def _order_url(self, corso_order_id: str, rest: str = "") -> httpx.URL:
        return httpx.URL(f"{self._base}/orders/{quote(corso_order_id, safe='')}{rest}")

    def _route(self, operation: Operation) -> tuple[str, httpx.URL]:
        if operation.kind == "create_order":
            return "POST", self._orders_url
        if not operation.corso_order_id:
            message = f"{operation.kind} of order {operation.source_order_id} needs Corso's id of the order"
            raise ValueError(message)
        rest = "/fulfillments" if operation.kind == "create_fulfillment" else ""
        method = "DELETE" if operation.kind == "cancel_order" else "POST"
        return method, self._order_url(operation.corso_order_id, rest)

    async def _seeded(self) -> None:
        """Wait until the quota is known; all who wait share one read, and its failure."""
        if self._seeding is None or self._seeding.done():
            self._seeding = asyncio.create_task(self._seed())
        await asyncio.shield(self._seeding)

    async def _seed(self) -> None:
        """Learn the quota by one cheap read before anything else is sent."""
        try:
            await self._get(self._listing_url({"first": 1}), _read_nothing)
        except (NotAuthorised, NoToken):
            raise
        except (Rejected, NotFound):
            return  # an answer all the same: the limiter has read its fields
        except ApiError as error:
            message = f"nothing is sent as long as the API does not answer: {error}"
            raise NotSent(message, status=error.status, body=error.body) from error

    async def _get(self, url: httpx.URL, read: Callable[[Answer], T]) -> T:
        """Read something: repeated on 5xx, connection errors and answers that `read` calls unknown."""
        failures = 0
        while True:
            try:
                found = read(await self._exchange.ask("GET", url))
            except RateLimited:
                # Not an attempt, nor a retry for the budget: the limiter holds the next try as long as it must.
                self.limiter.note_retry()
                continue
            except (NoToken, AnswerTooLong):
                raise
            except (NotSent, OutcomeUnknown):
                failures += 1
                if failures >= ATTEMPTS or not self._retries.takes():
                    raise
            else:
                self._retries.succeeded(retried=failures > 0)
                return found
            self.limiter.note_retry()
            await self._clock.sleep(full_jitter_s(failures - 1, self._jitter))


def _corso_id(operation: Operation, answer: Answer) -> str:
    match operation.kind:
        case "create_order":
            name, wrapper = "orderId", "order"
        case "create_fulfillment":
            name, wrapper = "fulfillmentId", "fulfillment"
        case _:
            return str(operation.corso_order_id)
    record = _unwrapped(answer, name, wrapper)
    corso_id = id_text(record.get(name)) if record else None
    if corso_id is None:
        message = f"{answer.what}: the answer ({answer.status}) carries no {name}"
        # A page of somebody who answers for the API (a proxy, a portal) is neither empty nor an object.
        is_corsos = not answer.body or decode_object(answer.body) is not None
        raise (DoneWithoutId if is_corsos else OutcomeUnknown)(message, status=answer.status)
    return corso_id


def _unwrapped(answer: Answer, name: str, wrapper: str) -> dict[str, Any] | None:
    # The shape of these answers is inferred: a record that is wrapped in its own name is understood, too.
    content = decode_object(answer.body) or {}
    if name in content:
        return content
    inner = content.get(wrapper)
    return inner if isinstance(inner, dict) and name in inner else None


def _read_order(answer: Answer) -> JsonObject:
    record = _unwrapped(answer, "orderId", "order")
    if record is None:
        message = f"{answer.what}: the answer is not an order"
        raise OutcomeUnknown(message, status=answer.status)
    return record


def _read_fulfillments(answer: Answer) -> list[JsonObject]:
    records = (decode_object(answer.body) or {}).get("fulfillments")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        message = f"{answer.what}: the answer has no list of fulfillments"
        raise OutcomeUnknown(message, status=answer.status)
    return records


def _read_page(answer: Answer) -> Page:
    content = decode_object(answer.body)
    if content is None:
        message = f"{answer.what}: the answer is not JSON"
        raise OutcomeUnknown(message, status=answer.status)
    return read_page(content)


def _read_nothing(_answer: Answer) -> None:
    return None


def _version() -> str:
    try:
        return metadata.version("corso-loader")
    except metadata.PackageNotFoundError:
        return "0"
