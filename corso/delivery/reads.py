"""The reads of the API, which a stop ends at once: nothing is lost with one, however long it waits for its turn."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from corso.delivery.ports import OrderReads
from corso.errors import CorsoError
from schemas.wire import JsonObject

Answer = TypeVar("Answer")


class StoppableReads:
    """Satisfies `corso.delivery.ports.OrderReads`; after a stop every read raises what stopped it."""

    def __init__(self, api: OrderReads) -> None:
        self._api = api
        self._stopped: CorsoError | None = None
        self._under_way: set[asyncio.Timeout] = set()

    def stop(self, why: CorsoError) -> None:
        """End what is being read, and begin no more."""
        self._stopped = why
        now = asyncio.get_running_loop().time()
        for each in self._under_way:
            each.reschedule(now)

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """See `OrderReads.orders_by_source_id`."""
        return await self._read(lambda: self._api.orders_by_source_id(source_order_id))

    async def orders_by_email_and_name(self, email: str, name: str) -> list[JsonObject] | None:
        """See `OrderReads.orders_by_email_and_name`."""
        return await self._read(lambda: self._api.orders_by_email_and_name(email, name))

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """See `OrderReads.order`."""
        return await self._read(lambda: self._api.order(corso_order_id))

    async def fulfillments(self, corso_order_id: str) -> list[JsonObject]:
        """See `OrderReads.fulfillments`."""
        return await self._read(lambda: self._api.fulfillments(corso_order_id))

    async def newest_first(self) -> AsyncIterator[Sequence[JsonObject]]:
        """See `OrderReads.newest_first`."""
        pages = self._api.newest_first()

        async def next_page() -> Sequence[JsonObject] | None:
            return await anext(pages, None)

        while (page := await self._read(next_page)) is not None:
            yield page

    async def _read(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        if self._stopped:
            raise self._stopped
        patience = asyncio.timeout(None)
        try:
            async with patience:
                self._under_way.add(patience)
                try:
                    return await ask()
                finally:
                    self._under_way.discard(patience)
        except TimeoutError:
            if self._stopped and patience.expired():
                raise self._stopped from None
            raise
