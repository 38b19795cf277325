"""Looking up: orders asked for one by one, by the first of these ways that the API offers.

| by | shows |
|---|---|
| `sourceOrderId` | every record of the order, doubled ones too |
| `customerEmail` with `orderNameOrNumber` | the same, as far as they carry this address and this name |
| Corso's id, where it is known | that record, also where the two above do not show it (yet) |

What is answered goes into the checkpoint in groups, so that a kill costs no more than a group and what was under way.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import polars as pl

from corso.clock import Clock
from corso.delivery.entry import CHANGES, Key
from corso.delivery.ledger import Ledger
from corso.report.read_back import read_records
from corso.stages.reading_back.checkpoint import Checkpoint
from corso.stages.reading_back.lateness import NotShownYet, is_as_before
from schemas.wire import JsonObject, id_text, instant

LANE = "looked up"
_ANSWERS_AT_ONCE = 50
_ORDERS_AT_ONCE = 2_000


class Api(Protocol):
    """What looking up asks of the API; `corso.api.client.CorsoApi` is the real thing."""

    async def orders_by_source_id(self, source_order_id: str) -> list[JsonObject] | None:
        """Return the store's records of this order; None where the API cannot be asked this way."""
        ...

    async def orders_by_email_and_name(self, email: str, name: str) -> list[JsonObject] | None:
        """Return the records that match both; None where the API cannot be asked this way."""
        ...

    async def order(self, corso_order_id: str) -> JsonObject | None:
        """Return one record, or None where there is none."""
        ...

    @property
    def ahead_s(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the API's; None where that is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """An order to ask for."""

    source_order_id: str
    corso_order_ids: Sequence[str] = ()
    """Corso's ids under which it was there."""
    email: str | None = None
    name: str | None = None
    """What the shop shows: its name, or its number."""
    accepted_at: datetime | None = None
    """When Corso accepted it last, by the ledger."""
    changed_id: str | None = None
    """Which of Corso's ids was changed then; None where the order was created."""


def asked_of(orders: pl.LazyFrame, ledger: Ledger) -> Iterator[Asked]:
    """Yield the orders of a frame with what they can be asked by; read and asked for in the ledger by and by.

    Columns: `source_order_id`, `customer_email`, `order_name`, `order_number`, and perhaps `corso_order_ids`, a list.
    """
    known = ["corso_order_ids"] if "corso_order_ids" in orders.collect_schema() else []
    columns = ["source_order_id", "customer_email", "order_name", "order_number", *known]
    for rows in orders.select(columns).collect_batches(chunk_size=_ORDERS_AT_ONCE, maintain_order=True):
        entries = ledger.entries_of(Key(each) for each in rows["source_order_id"])
        for source_order_id, email, name, number, *ids in rows.iter_rows():
            entry = entries.get(Key(source_order_id))
            from_ledger = [entry.corso_id] if entry and entry.corso_id else []
            every = dict.fromkeys([*from_ledger, *(ids[0] or [] if ids else [])])
            accepted_at = entry.held_at if entry else None
            changed_id = entry.corso_id if entry and entry.kind in CHANGES else None
            yield Asked(source_order_id, tuple(every), email, name or number, accepted_at, changed_id)


class LookingUp:
    """Asks for orders; learns by and by which ways the API offers."""

    def __init__(
        self, api: Api, checkpoint: Checkpoint, store_id: int, max_in_flight: int, clock: Clock
    ) -> None:
        self._api = api
        self._clock = clock
        self._checkpoint = checkpoint
        self._store_id = store_id
        self._max_in_flight = max_in_flight
        self._filters_by_source_id = True
        self._filters_by_email = True
        self._answered: list[tuple[Asked, Sequence[JsonObject]]] = []
        self._not_shown_yet = NotShownYet[Asked](clock)
        self.orders = checkpoint.count_asked()
        """How many orders were asked for."""
        self.unanswered = 0
        """How many of them the API offers no way to ask for."""

    async def look_up(self, orders: Iterable[Asked]) -> None:
        """Ask for every order that was not asked for before, again where what was accepted just now is not shown.

        Raises what the API raises.
        """
        await self._ask(self._not_yet_asked(iter(orders)))
        async for again in self._not_shown_yet.rounds():
            await self._ask(iter(again))

    async def _ask(self, feed: Iterator[Asked]) -> None:
        async def work() -> None:
            for asked in feed:
                records = await self._records_of(asked)
                if self._is_late(asked, records) and self._not_shown_yet.puts_aside(asked, asked.accepted_at):
                    continue
                self.unanswered += records is None
                self._answered.append((asked, records or []))
                if len(self._answered) >= _ANSWERS_AT_ONCE:
                    self._keep()

        workers = [asyncio.create_task(work()) for _ in range(self._max_in_flight)]
        try:
            await asyncio.gather(*workers)
        finally:
            # Where one failed, the others ask nothing more; what was answered is kept all the same.
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self._keep()

    def _is_late(self, asked: Asked, records: Sequence[JsonObject] | None) -> bool:
        """Say whether records do not show what the ledger says."""
        if not records:
            return records is not None
        changed = [each for each in records if id_text(each.get("orderId")) == asked.changed_id]
        return any(
            is_as_before(instant(each.get("updatedOn")), asked.accepted_at, self._api.ahead_s)
            for each in changed
        )

    def _not_yet_asked(self, orders: Iterator[Asked]) -> Iterator[Asked]:
        if not self.orders:
            yield from orders
            return
        for asked in orders:
            if not self._checkpoint.was_asked([asked.source_order_id]):
                yield asked

    async def _records_of(self, asked: Asked) -> list[JsonObject] | None:
        """Return an order's records; None where the API cannot be asked for it."""
        records = await self._by_filter(asked)
        if records:
            return records
        by_id = [await self._api.order(each) for each in asked.corso_order_ids]
        found = [record for record in by_id if record is not None]
        return found if found or by_id else records

    async def _by_filter(self, asked: Asked) -> list[JsonObject] | None:
        if self._filters_by_source_id:
            records = await self._api.orders_by_source_id(asked.source_order_id)
            if records is not None:
                return records
            self._filters_by_source_id = False
        if self._filters_by_email and asked.email and asked.name:
            records = await self._api.orders_by_email_and_name(asked.email, asked.name)
            if records is not None:
                return [each for each in records if str(each.get("sourceOrderId")) == asked.source_order_id]
            self._filters_by_email = False
        return None

    def _keep(self) -> None:
        answered, self._answered = self._answered, []
        if answered:
            frame, drift = read_records([each for _, records in answered for each in records], self._store_id)
            self.orders += len(answered)
            ids = [asked.source_order_id for asked, _ in answered]
            self._checkpoint.keep(LANE, frame, drift, self._clock.utc(), asked=ids)
