"""Fulfillments read back, order by order, as many as the budget allows: the oldest debt first.

Corso lists no fulfillments; each order costs one request. Of a large batch they are therefore read by and by: first of
orders of which they never were, or were sent since; then of those where it is longest ago. What was read when is kept
with the store.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import polars as pl

from corso.clock import Clock, SystemClock
from corso.delivery.entry import Key
from corso.delivery.ledger import Ledger
from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S
from corso.errors import NotFound, Rejected
from corso.report.atomic import replacing
from corso.report.drift import sentences
from corso.report.read_back import read_fulfillments
from corso.settings import Settings
from corso.stages.batch import Batch, ProgressWatch
from corso.stages.delivering import counted_api, pace
from corso.stages.erasures import without_erased
from corso.stages.known_quota import open_api
from corso.stages.reading_back.lateness import NotShownYet
from corso.stages.signals import stopped_by_signals
from schemas.fields import dtypes
from schemas.listing import FULFILLMENTS_READ
from schemas.wire import JsonObject

_ROWS_AT_ONCE = 50_000
_MEMORY = {"source_order_id": pl.String(), "read_at": dtypes(FULFILLMENTS_READ)["read_at"]}


class Api(Protocol):
    """What is asked of the API; `corso.api.client.CorsoApi` is the real thing."""

    async def fulfillments(self, corso_order_id: str) -> list[JsonObject]:
        """Return an order's fulfillments; NotFound where the order is not there."""
        ...


@dataclass(frozen=True)
class Debt:
    """Which orders' fulfillments are to be read, counted beforehand."""

    orders: list[tuple[str, str]]
    """(source order id, Corso's id), the oldest debt first, no more than the budget allows."""
    due: int
    """Orders of the batch that have fulfillments and are in Corso."""
    never: int
    """Those of them whose fulfillments were never read, or sent since."""


@dataclass(frozen=True)
class FulfillmentsBack:
    """What was read."""

    fulfillments: pl.DataFrame
    """LISTED_FULFILLMENTS; one row = one fulfillment record."""
    read: pl.DataFrame
    """FULFILLMENTS_READ; one row = one order whose fulfillments were read."""
    debt: Debt
    note: str

    @property
    def figures(self) -> dict[str, int | str]:
        """What is worth plotting, or reading, of it."""
        return {
            "how": self.note,
            "orders read": self.read.height,
            "orders that have fulfillments": self.debt.due,
            "orders never read, or sent since": self.debt.never,
            "requests, counted beforehand": len(self.debt.orders),
        }


def read_fulfillments_back(
    batch: Batch,
    fulfillments: pl.LazyFrame,
    listing: pl.LazyFrame,
    watch: ProgressWatch,
    *,
    until: datetime | None = None,
    clock: Clock | None = None,
) -> FulfillmentsBack:
    """Read back what reconcile.fulfillment_requests allows, and note it and its drift among the batch's facts.

    `fulfillments` are the batch's accepted ones (FULFILLMENTS), `listing` its LISTING. Raises ApiError's children,
    Parked, Interrupted, SettingsError.
    """
    settings = batch.settings
    budget = settings.loader.reconcile.fulfillment_requests
    debt = debt_of(settings, fulfillments, listing, budget)
    clock = clock or SystemClock()
    lately = _accepted_lately(settings, fulfillments, debt, clock)
    reader = _Reader(settings.loader.limits.max_in_flight, lately, clock)

    async def read() -> None:
        async with counted_api(batch, open_api(settings, settings.credentials(), until=until)) as api:
            with stopped_by_signals():
                await reader.read(
                    api,
                    debt.orders,
                    lambda done: watch("read fulfillments", done, len(debt.orders), pace(api)),
                )

    if debt.orders:
        asyncio.run(read())
    frame, drift = read_fulfillments(reader.found)
    rows = [(source, corso, at) for (source, corso, _), at in zip(reader.found, reader.times, strict=True)]
    back = FulfillmentsBack(
        without_erased(frame.lazy(), settings).collect(),
        pl.DataFrame(rows, schema=dtypes(FULFILLMENTS_READ), orient="row"),
        debt,
        _said(debt, len(rows), budget, refused=reader.is_refused),
    )
    _note(batch, back.note, sentences(drift))
    return back


def remember_read(settings: Settings, read: pl.DataFrame) -> None:
    """Keep with the store whose fulfillments were read, and when (FULFILLMENTS_READ)."""
    before = _memory(settings).join(read.lazy(), on="source_order_id", how="anti")
    with replacing(_memory_path(settings)) as draft:
        pl.concat([before, read.lazy().select(list(_MEMORY))]).sink_parquet(draft, compression="zstd")


def count_due(fulfillments: pl.LazyFrame, budget: int) -> int:
    """Return the requests that reading a batch's fulfillments back costs at the most."""
    return min(budget, _distinct(fulfillments))


def debt_of(settings: Settings, fulfillments: pl.LazyFrame, listing: pl.LazyFrame, budget: int) -> Debt:
    """Count the orders whose fulfillments are due, and choose those of the oldest debt."""
    in_corso = listing.filter(pl.col("corso_order_id") != "")
    there = fulfillments.select("source_order_id", "source_fulfillment_id").join(
        in_corso, left_on=_hashed(), right_on=_hashed(), how="semi", maintain_order="left"
    )
    before = _memory(settings).join(there, on="source_order_id", how="semi").sort("read_at").collect()
    sent_since = _sent_since(settings, before, there)
    never = list(_never_read(there, before["source_order_id"], budget))
    rest = (each for each in before["source_order_id"] if each not in sent_since)
    chosen = list(itertools.islice(itertools.chain(never, sent_since, rest), budget))
    ids = _corso_ids(settings, chosen, in_corso)
    due = _distinct(there)
    return Debt(
        [(each, ids[each]) for each in chosen if each in ids], due, due - before.height + len(sent_since)
    )


def _hashed() -> pl.Expr:
    """Tell orders apart by a number: ids of ten millions would take a gigabyte."""
    return pl.col("source_order_id").hash(0)


def _distinct(rows: pl.LazyFrame) -> int:
    return int(rows.select(_hashed().n_unique()).collect(engine="streaming").item())


def _never_read(there: pl.LazyFrame, before: pl.Series, budget: int) -> Iterator[str]:
    """Yield orders whose fulfillments were never read, in the export's order, at most `budget`."""
    seen: dict[str, None] = {}
    unread = there.filter(~pl.col("source_order_id").is_in(before.implode()))
    for rows in unread.collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True):
        seen |= dict.fromkeys(rows["source_order_id"])
        if len(seen) >= budget:
            break
    yield from itertools.islice(seen, budget)


def _sent_since(settings: Settings, before: pl.DataFrame, there: pl.LazyFrame) -> dict[str, None]:
    """Return the orders of which a fulfillment was accepted after theirs were read, the longest ago first."""
    if before.is_empty():
        return {}
    read_at: dict[str, datetime] = dict(before.iter_rows())
    sent: set[str] = set()
    of_read = there.filter(pl.col("source_order_id").is_in(before["source_order_id"].implode()))
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        for rows in of_read.collect_batches(chunk_size=_ROWS_AT_ONCE):
            entries = ledger.entries_of(Key(*row) for row in rows.iter_rows())
            sent |= {
                key.source_order_id
                for key, entry in entries.items()
                if entry.held_at and entry.held_at > read_at[key.source_order_id]
            }
    return {each: None for each in before["source_order_id"] if each in sent}


def _corso_ids(settings: Settings, source_order_ids: Sequence[str], listing: pl.LazyFrame) -> dict[str, str]:
    """Return Corso's ids of orders: of a doubled one the record that the ledger knows, which was sent them."""
    chosen = pl.Series(source_order_ids, dtype=pl.String())
    rows = (
        listing.filter(pl.col("source_order_id").is_in(chosen.implode()))
        .select("source_order_id", "corso_order_id")
        .collect(engine="streaming")
    )
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        entries = ledger.entries_of(Key(each) for each in source_order_ids)
    ids: dict[str, str] = {}
    for source, corso in rows.iter_rows():
        entry = entries.get(Key(source))
        if source not in ids or (entry is not None and entry.corso_id == corso):
            ids[source] = corso
    return ids


def _accepted_lately(
    settings: Settings, fulfillments: pl.LazyFrame, debt: Debt, clock: Clock
) -> dict[str, dict[str, datetime]]:
    """Return source order id -> fulfillment id -> when Corso took it, of those that it may not show yet."""
    since = clock.utc() - timedelta(seconds=LONGEST_LAG_GUESSED_S)
    chosen = pl.Series([each for each, _ in debt.orders], dtype=pl.String()).implode()
    rows = fulfillments.filter(pl.col("source_order_id").is_in(chosen))
    keys = rows.select("source_order_id", "source_fulfillment_id").collect(engine="streaming").iter_rows()
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        entries = ledger.entries_of(Key(*each) for each in keys)
    lately: dict[str, dict[str, datetime]] = {}
    for key, entry in entries.items():
        if entry.corso_id and entry.held_at and entry.held_at >= since:
            lately.setdefault(key.source_order_id, {})[key.source_fulfillment_id] = entry.held_at
    return lately


class _Reader:
    """Reads fulfillments, and keeps what was there."""

    def __init__(
        self, max_in_flight: int, lately: Mapping[str, Mapping[str, datetime]], clock: Clock
    ) -> None:
        self._max_in_flight = max_in_flight
        self._lately = lately
        self._clock = clock
        self._not_shown_yet = NotShownYet[tuple[str, str]](clock)
        self.found: list[tuple[str, str, Sequence[JsonObject]]] = []
        """(source order id, Corso's order id, its fulfillments)."""
        self.times: list[datetime] = []
        """When each was read."""
        self.is_refused = False
        """Whether the API lets nobody read them."""

    async def read(self, api: Api, orders: Sequence[tuple[str, str]], watch: Callable[[int], None]) -> None:
        """Read the fulfillments of orders, side by side, again where one was accepted just now and is not shown.

        Raises what the API raises, but for a refusal.
        """
        await self._read(api, iter(orders), watch)
        async for again in self._not_shown_yet.rounds():
            await self._read(api, iter(again), watch)

    async def _read(self, api: Api, feed: Iterator[tuple[str, str]], watch: Callable[[int], None]) -> None:
        async def work() -> None:
            for source_order_id, corso_order_id in feed:
                if self.is_refused:
                    return
                records: list[JsonObject] | None = None
                try:
                    records = await api.fulfillments(corso_order_id)
                except NotFound:
                    pass
                except Rejected:
                    self.is_refused = True
                    return
                due_since = self._due_since(source_order_id, records or [])
                if self._not_shown_yet.puts_aside((source_order_id, corso_order_id), due_since):
                    continue
                if records is None:
                    # It went meanwhile: what is missing is the order.
                    continue
                self.found.append((source_order_id, corso_order_id, records))
                self.times.append(self._clock.utc())
                watch(len(self.found))

        workers = [asyncio.create_task(work()) for _ in range(self._max_in_flight)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _due_since(self, source_order_id: str, records: Sequence[JsonObject]) -> datetime | None:
        """Return when the last of an order's fulfillments that are not among these was accepted, if any was lately."""
        shown = {str(record.get("sourceFulfillmentId")) for record in records}
        lately = self._lately.get(source_order_id, {})
        return max((at for each, at in lately.items() if each not in shown), default=None)


def _said(debt: Debt, read: int, budget: int, *, refused: bool) -> str:
    if not debt.due:
        return ""
    said = f"Fulfillments were read back of {read:,} of the {debt.due:,} orders that have some"
    if refused:
        return f"{said}: the API refuses to tell them."
    if read < debt.due:
        said += f" (reconcile.fulfillment_requests: {budget:,}), the oldest debt first"
    left = max(0, debt.never - read)
    return f"{said}; of {left:,} they never were, or were sent since." if left else f"{said}."


def _note(batch: Batch, note: str, drift: Sequence[str]) -> None:
    """Put this step's sentences among the facts, in place of those of an earlier run of it."""
    facts = batch.read_facts()
    earlier = facts.of_fulfillments
    notes = [each for each in facts.notes if each not in earlier] + ([note] if note else [])
    every_drift = [each for each in facts.drift if each not in earlier] + list(drift)
    told = {"notes": tuple(notes), "drift": tuple(every_drift), "of_fulfillments": (note, *drift)}
    batch.write_facts(facts.model_copy(update=told))


def _memory(settings: Settings) -> pl.LazyFrame:
    """Return whose fulfillments were read when: `source_order_id`, `read_at`; one row = one order."""
    path = _memory_path(settings)
    return pl.scan_parquet(path, glob=False) if path.exists() else pl.LazyFrame(schema=_MEMORY)


def _memory_path(settings: Settings) -> Path:
    return settings.store_dir / "fulfillments_read.parquet"
