"""What delivery asks of the API; `corso.api.client.CorsoApi` is the real thing, tests bring a fake."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from schemas.wire import JsonObject, Operation, Receipt


class OrderReads(Protocol):
    """The API as whoever only looks sees it. Errors are those of `corso.errors.ApiError`."""

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """Return the store's records of this order; None where the API cannot be asked this way."""
        ...

    async def orders_by_email_and_name(self, email: str, name: str) -> list[JsonObject] | None:
        """Return the records that match both; None where the API cannot be asked this way."""
        ...

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """Return one record, or None where there is none."""
        ...

    async def fulfillments(self, corso_order_id: str) -> list[JsonObject]:
        """Return an order's fulfillments."""
        ...

    def newest_first(self) -> AsyncIterator[Sequence[JsonObject]]:
        """Yield the store's records page by page, the newest first."""
        ...


class OrderApi(OrderReads, Protocol):
    """The API as the sender sees it."""

    async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> Receipt:
        """Send one operation, at most once; `about_to_send` is awaited when its turn has come, before a byte leaves."""
        ...

    async def ping(self) -> None:
        """Ask for as little as possible, once: it returns, or raises what is wrong."""
        ...


Watch = Callable[[str, int, int], None]
"""Told of progress: (what is being done, how many are done, how many there are)."""


def unwatched(_what: str, _done: int, _total: int, _pace: object = None) -> None:
    """Tell nobody."""
