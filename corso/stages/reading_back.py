"""Read back: what Corso holds of the store, as the listing (`schemas.listing`)."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl

from corso.api.client import CorsoApi
from corso.api.listing import CursorRefused, ListingRefused
from corso.delivery.ledger import Ledger
from corso.report.read_back import Drift, read_records
from corso.stages.batch import Batch, ProgressWatch
from corso.stages.delivering import counted_api
from corso.stages.signals import stopped_by_signals
from schemas.fields import empty_frame
from schemas.listing import LISTING
from schemas.wire import JsonObject

_RECORDS_PER_PART = 20_000
_ORDERS_PER_PAGE = 50
"""Corso's documented default: what a page surely holds, for counting requests beforehand."""

BY_LISTING = "Read back from the listing of the whole store."
BY_LOOK_UPS = "Read back by looking up every order of the batch; orders of other origin were not read."


def read_back(
    batch: Batch,
    source_order_ids: pl.LazyFrame,
    scratch: Path,
    watch: ProgressWatch,
    *,
    until: datetime | None = None,
) -> pl.LazyFrame:
    """Return the listing, by whichever way reconcile.mode allows.

    `source_order_ids` (one column) are the batch's accepted orders, for look-ups. From `until` on, which knows its
    offset, nothing is asked. Raises ApiError's children, Parked, SettingsError.
    """
    settings = batch.settings
    credentials = settings.credentials()
    ids = source_order_ids.collect()["source_order_id"].to_list()

    async def read() -> None:
        async with counted_api(batch, CorsoApi.open(settings, credentials, until=until)) as api:
            with stopped_by_signals():
                await _Reader(batch, api, scratch, watch).read(ids)

    asyncio.run(read())
    listing = pl.concat([pl.scan_parquet(part) for part in sorted(scratch.glob("*.parquet"))])
    # A record may stand on two pages when orders arrive meanwhile; one without an id is never taken for another.
    named = listing.filter(pl.col("corso_order_id") != "")
    return pl.concat(
        [named.unique("corso_order_id", keep="last", maintain_order=True), listing.filter(corso_order_id="")]
    )


class _Reader:
    """Reads records and writes them as parts of the listing."""

    def __init__(self, batch: Batch, api: CorsoApi, scratch: Path, watch: ProgressWatch) -> None:
        self._batch = batch
        self._api = api
        self._scratch = scratch
        self._watch = watch
        self._waiting: list[JsonObject] = []
        self._parts = 0
        self._records = 0
        self._drift = Drift()

    async def read(self, ids: Sequence[str]) -> None:
        note = await self._by_the_cheaper_way(ids)
        self._write()
        facts = self._batch.read_facts()
        self._batch.write_facts(facts.model_copy(update={"notes": (note,), "drift": sentences(self._drift)}))

    async def _by_the_cheaper_way(self, ids: Sequence[str]) -> str:
        mode = self._batch.settings.loader.reconcile.mode
        if mode == "lookup" or (mode == "auto" and len(ids) < self._pages_at_most()):
            await self._look_up(ids)
            return BY_LOOK_UPS
        try:
            await self._list()
        except ListingRefused:
            if mode == "listing":
                raise
            await self._look_up(ids)
            return f"{BY_LOOK_UPS} The API refuses to list without a filter."
        return BY_LISTING

    def _pages_at_most(self) -> int:
        """Pages of the orders that the ledger knows: a lower bound of what a listing costs."""
        settings = self._batch.settings
        with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
            orders = sum(count for (subject, _), count in ledger.counts().items() if subject == "order")
        return 1 + orders // _ORDERS_PER_PAGE

    async def _list(self) -> None:
        # Oldest first: orders that arrive meanwhile come at the end, and none slips from page to page.
        try:
            async for page in self._api.pages(order_by="asc"):
                self._keep(page.orders)
        except CursorRefused:
            async for page in self._api.pages(order_by="asc"):
                self._keep(page.orders)

    async def _look_up(self, ids: Sequence[str]) -> None:
        settings = self._batch.settings
        with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
            corso_ids = {
                entry.key.source_order_id: entry.corso_id for entry in ledger.entries(fulfillments=False)
            }
        feed = iter(ids)

        async def work() -> None:
            for source_order_id in feed:
                self._keep(await self._records_of(source_order_id, corso_ids.get(source_order_id)))

        workers = [asyncio.create_task(work()) for _ in range(settings.loader.limits.max_in_flight)]
        try:
            await asyncio.gather(*workers)
        finally:
            # Where one failed, the others ask nothing more.
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _records_of(self, source_order_id: str, corso_id: str | None) -> list[JsonObject]:
        """Ask by the source's id, which also shows duplicates, or else by Corso's."""
        records = await self._api.orders_by_source_id(source_order_id)
        if records is None and corso_id is not None:
            record = await self._api.order(corso_id)
            return [record] if record else []
        return records or []

    def _keep(self, records: Sequence[JsonObject]) -> None:
        self._waiting += records
        self._records += len(records)
        self._watch("read back", self._records, 0)
        if len(self._waiting) >= _RECORDS_PER_PART:
            self._write()

    def _write(self) -> None:
        frame, drift = (
            read_records(self._waiting, self._batch.settings.loader.store.id)
            if self._waiting
            else (empty_frame(LISTING), Drift())
        )
        self._drift += drift
        frame.write_parquet(self._scratch / f"{self._parts:05}.parquet", compression="zstd")
        self._waiting, self._parts = [], self._parts + 1


def sentences(drift: Drift) -> tuple[str, ...]:
    """Say how answers differ from the contract, one sentence a kind of difference."""
    kinds = (
        ("Corso answered fields that its reference does not name", drift.unknown),
        ("Corso left out fields that its reference calls required", drift.missing),
        ("Corso answered values of another type than documented", drift.wrong_type),
    )
    return tuple(
        f"{what}: {', '.join(f'{path} ({count} times)' for path, count in sorted(counts.items()))}."
        for what, counts in kinds
        if counts
    )
