"""Reading: a batch read back by the way that `ways` chooses, gone on with where a kill has ended it.

Whichever way it goes, an order is never called missing because it was not reached: those of the batch that Corso took,
by the ledger, and that a pass did not show, are looked up, and those that it showed as they were before a change.
"""

import asyncio
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from corso.api.client import CorsoApi
from corso.api.listing import ListingRefused
from corso.clock import Clock, SystemClock
from corso.delivery.entry import Entry, Key
from corso.delivery.ledger import Ledger
from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S
from corso.delivery.states import State
from corso.report.drift import sentences
from corso.settings import Settings
from corso.stages.batch import Batch, ProgressWatch
from corso.stages.delivering import counted_api, pace
from corso.stages.erasures import without_erased
from corso.stages.known_quota import open_api
from corso.stages.purging import check_not_purged
from corso.stages.reading_back.checkpoint import Checkpoint
from corso.stages.reading_back.known_records import Known, keep_known, read_known
from corso.stages.reading_back.lateness import is_as_before
from corso.stages.reading_back.looking_up import Asked, LookingUp, asked_of
from corso.stages.reading_back.pages import ListingPass
from corso.stages.reading_back.records import each_once
from corso.stages.reading_back.ways import Counted, Way, count_requests, older_orders
from corso.stages.signals import stopped_by_signals
from schemas.fields import dtypes
from schemas.listing import LISTING

BY_LISTING = "Read back from the listing of the whole store."
BY_LOOK_UPS = "Read back by looking up every order of the batch; orders of other origin were not read."
REFUSED = "The API refuses to list without a filter."

LOOKED_UP_AGAIN = 10_000
"""Orders that a pass over the whole listing did not show, though Corso took them, and that are looked up: those that
were accepted last, which a late listing hides."""

_ORDERS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class ReadBack:
    """What was read back."""

    listing: pl.LazyFrame
    """LISTING; one row = one record, each of Corso's ids once."""
    counted: Counted
    way: Way
    """The way that it went."""
    pages: int
    looked_up: int
    """Orders that were asked for one by one."""
    is_resumed: bool
    """Whether it went on with what an earlier run had read."""
    note: str
    """How it was read, and what that proves, for the report."""

    @property
    def figures(self) -> dict[str, int | str | bool]:
        """What is worth plotting, or reading, of it."""
        counted = {f"requests, {way}": self.counted.requests(way) for way in ("listing", "look-ups")}
        if self.counted.newest_first is not None:
            counted["requests, newest first"] = self.counted.newest_first
        return {
            "how": self.note,
            "way": self.way,
            **counted,
            "pages read": self.pages,
            "orders looked up": self.looked_up,
            "resumed": self.is_resumed,
        }


@contextmanager
def reading_back(
    batch: Batch,
    orders: pl.LazyFrame,
    watch: ProgressWatch,
    *,
    until: datetime | None = None,
    clock: Clock | None = None,
) -> Iterator[ReadBack]:
    """Read the store back; what was read is kept for the next run until the block ends well.

    `orders` are the batch's accepted orders (ORDERS). From `until` on, which knows its offset, nothing is asked. Raises
    ApiError's children, Parked, Interrupted, SettingsError.
    """
    settings = batch.settings
    settings.check_store_is_named()
    check_not_purged(batch)
    credentials = settings.credentials()
    with Checkpoint.open(batch.file("tables/reading_back"), batch.publish_checkpoint) as checkpoint:
        reader = _Reader(batch, orders, checkpoint, watch, clock or SystemClock())

        async def read() -> None:
            async with counted_api(batch, open_api(settings, credentials, until=until)) as api:
                with stopped_by_signals():
                    await reader.read(api)

        asyncio.run(read())
        found = reader.found()
        found = replace(found, listing=without_erased(found.listing, settings))
        facts = batch.read_facts()
        drift = sentences(checkpoint.drift())
        batch.write_facts(facts.model_copy(update={"notes": (found.note,), "drift": drift}))
        yield found
        reader.remember(found.listing)
        checkpoint.remove()


class _Reader:
    """One reading back."""

    def __init__(
        self,
        batch: Batch,
        orders: pl.LazyFrame,
        checkpoint: Checkpoint,
        watch: ProgressWatch,
        clock: Clock,
    ) -> None:
        self._settings: Settings = batch.settings
        self._orders = orders
        self._checkpoint = checkpoint
        self._watch = watch
        self._clock = clock
        self._known: Known | None = read_known(self._settings)
        self._count = int(orders.select(pl.len()).collect().item())
        self._counted = count_requests(self._settings, orders, count=self._count)
        loader = self._settings.loader
        self._way = self._counted.way(loader.reconcile.mode)
        with self._ledger() as ledger:
            reading = {
                "store": loader.store.id,
                "base_url": loader.corso.base_url,
                "batch": batch.name,
                "mode": loader.reconcile.mode,
                "way": self._way,
                "known": str(self._known.passed_at) if self._known and self._way == "newest first" else None,
                # What is sent after it was begun would be read in part.
                "last_attempt": ledger.last_attempt(),
                # What another version read may not have the same columns.
                "columns": str(dtypes(LISTING)),
            }
        now = clock.utc()
        self._is_resumed = checkpoint.begin(reading, now) and checkpoint.fact("began") is not None
        if not self._is_resumed:
            checkpoint.note({"began": now.isoformat()})
        self._began = datetime.fromisoformat(checkpoint.fact("began"))
        self._note = ""
        self._pass: ListingPass | None = None
        self._looked_up = 0
        self._left_out = 0
        self._shown_as_before: list[str] = []

    async def read(self, api: CorsoApi) -> None:
        """Read what is left to be read."""
        looking = LookingUp(
            api,
            self._checkpoint,
            self._settings.loader.store.id,
            self._settings.loader.limits.max_in_flight,
            self._clock,
        )
        if self._way == "look-ups" or not await self._passes(api):
            await self._look_up(looking, self._orders)
            self._note = " ".join(filter(None, (BY_LOOK_UPS, self._note, _said_unanswered(looking))))
        else:
            self._shown_as_before = self._as_before(api.ahead_s)
            await self._look_up(looking, self._not_reached())
            self._note = self._said_of_the_pass(looking)
        self._looked_up = looking.orders
        self._note += f" Requests counted beforehand: {self._counted}."
        if self._is_resumed:
            self._note += (
                f" Begun at {self._began:%Y-%m-%d %H:%M} UTC and gone on with after an interruption."
            )

    def found(self) -> ReadBack:
        """Return what was read."""
        return ReadBack(
            each_once(self._checkpoint.parts()),
            self._counted,
            self._way,
            self._pass.pages if self._pass else 0,
            self._looked_up,
            self._is_resumed,
            self._note,
        )

    def remember(self, listing: pl.LazyFrame) -> None:
        """Keep with the store which records there are, where a pass has shown them all."""
        if self._pass is None:
            return
        keep_known(
            self._settings,
            listing,
            newest=self._pass.newest,
            began=self._began,
            page_size=self._pass.largest_page,
            on_top_of=None if self._pass.reached_all else self._known,
        )

    async def _passes(self, api: CorsoApi) -> bool:
        """Go through the listing; say whether the API lets it. Raises ListingRefused where there may be no other way."""
        if self._checkpoint.fact("refused"):
            self._way, self._note = "look-ups", REFUSED
            return False
        loader = self._settings.loader
        down_to = self._known.watermark if self._known and self._way == "newest first" else None
        total = self._known.records if self._known and down_to is None else 0

        def took(records: int) -> None:
            self._watch("read back", records, max(total, records) if total else 0, pace(api))

        going = ListingPass(
            api,
            self._checkpoint,
            loader.store.id,
            self._clock.utc,
            down_to=down_to,
            took=took,
        )
        try:
            await going.run()
        except ListingRefused:
            if loader.reconcile.mode == "listing":
                raise
            self._checkpoint.note({"refused": True})
            self._way, self._note = "look-ups", REFUSED
            return False
        self._watch("read back", going.records, going.records)
        if down_to is not None and going.reached_all:
            # The order of the listing was another than assumed, or the watermark below all that there is.
            self._way = "listing"
        self._pass = going
        return True

    async def _look_up(self, looking: LookingUp, orders: pl.LazyFrame) -> None:
        total = int(orders.select(pl.len()).collect().item())

        def counted(asked: Iterator[Asked]) -> Iterator[Asked]:
            for number, each in enumerate(asked):
                self._watch("look up", number, total)
                yield each

        if total:
            with self._ledger() as ledger:
                await looking.look_up(counted(asked_of(orders, ledger)))
            self._watch("look up", total, total)

    def _not_reached(self) -> pl.LazyFrame:
        """Return the batch's orders that the pass did not show, or not as they are now by the ledger."""
        older = pl.DataFrame(schema={"source_order_id": pl.String, "corso_order_ids": pl.List(pl.String)})
        if self._known and self._way == "newest first":
            older = older_orders(self._settings, self._known, self._orders)
        accepted = pl.DataFrame(
            {"source_order_id": [*self._accepted_and_not_shown(), *self._shown_as_before]},
            schema=["source_order_id"],
        )
        rows = pl.concat([older, accepted.cast(pl.String)], how="diagonal")
        once = rows.unique("source_order_id", keep="first", maintain_order=True).lazy()
        return self._orders.join(once, on="source_order_id", how="inner", maintain_order="left")

    def _accepted_and_not_shown(self) -> list[str]:
        """Return the batch's orders that Corso took, or may have, and no record of this reading carries.

        Of very many those that were accepted last: the others are surely not hidden by a late listing.
        """
        parts = self._checkpoint.parts()
        shown = pl.scan_parquet(parts, glob=False).select("source_order_id")
        rows = int(shown.select(pl.len()).collect().item())
        buckets = 1 + max(rows, self._count) // _ORDERS_AT_ONCE
        here = pl.col("source_order_id").hash(0) % buckets
        found: list[tuple[str, str]] = []
        with self._ledger() as ledger:
            for bucket in range(buckets):
                there = shown.filter(here == bucket)
                missing = self._orders.select("source_order_id").filter(here == bucket)
                ids = missing.join(there, on="source_order_id", how="anti").collect(engine="streaming")
                for some in ids.iter_slices(_ORDERS_AT_ONCE // 1_000):
                    entries = ledger.entries_of(Key(each) for each in some["source_order_id"])
                    may_be_there = (each for each in entries.values() if _may_be_there(each))
                    found += [(_since(each), each.key.source_order_id) for each in may_be_there]
        if self._way == "newest first" or len(found) <= LOOKED_UP_AGAIN:
            return [each for _, each in found]
        self._left_out = len(found) - LOOKED_UP_AGAIN
        return [each for _, each in heapq.nlargest(LOOKED_UP_AGAIN, found)]

    def _as_before(self, ahead_s: float | None) -> list[str]:
        """Return the orders that Corso changed just before it was read, or meanwhile, and that the pass showed as before."""
        since = self._began - timedelta(seconds=LONGEST_LAG_GUESSED_S)
        with self._ledger() as ledger:
            changed = {each.corso_id: each for each in ledger.latest_changed(since, LOOKED_UP_AGAIN)}
        if not changed:
            return []
        shown = pl.scan_parquet(self._checkpoint.parts(), glob=False).filter(
            pl.col("corso_order_id").is_in(list(changed))
        )
        newest = shown.group_by("corso_order_id").agg(pl.col("updated_on").max()).collect()
        return [
            changed[corso_id].key.source_order_id
            for corso_id, updated_on in newest.iter_rows()
            if is_as_before(updated_on, changed[corso_id].held_at, ahead_s)
        ]

    def _said_of_the_pass(self, looking: LookingUp) -> str:
        if self._way == "listing" or self._known is None or self._known.watermark is None:
            said = BY_LISTING
            if looking.orders:
                as_before = ", or as they were before a change" if self._shown_as_before else ""
                orders, took = ("order", "it, was") if looking.orders == 1 else ("orders", "them, were")
                said += f" {looking.orders:,} {orders} that it did not show{as_before}, though Corso took {took} looked up."
            if self._left_out:
                said += f" {self._left_out:,} more {'was' if self._left_out == 1 else 'were'} not."
            return said
        return (
            f"Read back from the newest orders of the listing, down to those created at "
            f"{self._known.watermark:%Y-%m-%d %H:%M} UTC; {looking.orders:,} older orders of the batch were looked up. Older orders of other batches were "
            "not read: what changed of them, or went, a pass over the whole listing finds (reconcile.mode: listing); the "
            f"last one was on {self._known.fully_passed_at:%Y-%m-%d}."
        )

    def _ledger(self) -> Ledger:
        return Ledger.read(self._settings.ledger, self._settings.loader.store.id)


def _may_be_there(entry: Entry) -> bool:
    return entry.corso_id is not None or entry.state in {State.UNKNOWN, State.SENDING}


def _since(entry: Entry) -> str:
    return (entry.held_at or entry.updated_at).isoformat()


def _said_unanswered(looking: LookingUp) -> str:
    if not looking.unanswered:
        return ""
    return f"{looking.unanswered:,} orders could not be asked for: the API offers no way to."
