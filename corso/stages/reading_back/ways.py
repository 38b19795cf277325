"""Ways: by which way a batch is read back, chosen by counting the requests of each beforehand.

| way | requests | proves |
|---|---|---|
| listing | the store's pages | all: every record of the store, as it is now |
| newest first | the pages since the last pass, and one look-up for each older order of the batch | the batch's orders, and all records that came since the last pass; not what became of older orders of other batches |
| look-ups | one for each order of the batch | the batch's orders; records of other origin are not seen |
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from corso.settings import Settings
from corso.stages.reading_back.known_records import SHOWS_WITHIN, Known, known_ids, read_known

ORDERS_PER_PAGE = 50
"""Corso's documented default: what a page surely holds, before it is known what the API gives."""

WORTH_ALL = 10
"""So many requests more are spent on the whole listing: it proves the most."""

Way = Literal["listing", "newest first", "look-ups"]
Mode = Literal["auto", "listing", "lookup"]


@dataclass(frozen=True)
class Counted:
    """The requests of each way, counted beforehand."""

    listing: int
    look_ups: int
    newest_first: int | None = None
    """None where no earlier pass has seen the rest of the store, or where it surely costs more than the listing."""
    older: int = 0
    """The look-ups among those of `newest_first`."""

    def way(self, mode: Mode) -> Way:
        """Choose a way; `auto` takes the one of the fewest requests."""
        if mode != "auto":
            return "listing" if mode == "listing" else "look-ups"
        way: Way = "listing"
        if self.newest_first is not None and self.newest_first + WORTH_ALL < self.listing:
            way = "newest first"
        return "look-ups" if self.look_ups < self.requests(way) else way

    def requests(self, way: Way) -> int:
        """Return the requests of a way."""
        newest_first = self.listing if self.newest_first is None else self.newest_first
        return {"listing": self.listing, "newest first": newest_first, "look-ups": self.look_ups}[way]

    def pages_and_look_ups(self, way: Way) -> tuple[int, int]:
        """Return the requests of a way, those for pages and those for single orders."""
        if way == "look-ups":
            return 0, self.look_ups
        older = self.older if way == "newest first" else 0
        return self.requests(way) - older, older

    def __str__(self) -> str:
        """Say them in words."""
        newest = "" if self.newest_first is None else f", {self.newest_first:,} newest first"
        return f"{self.listing:,} for the whole listing{newest}, {self.look_ups:,} for look-ups"


def count_requests(
    settings: Settings, orders: pl.LazyFrame | None, *, count: int, to_create: int = 0
) -> Counted:
    """Count what reading a batch back costs by each way.

    `orders` has the column `source_order_id`, `count` rows of it (None: not at hand); `to_create` of them are not sent
    yet.
    """
    known = read_known(settings)
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        # What an earlier run left planned is in this plan again.
        held = sum(
            number
            for (subject, state), number in ledger.counts().items()
            if subject == "order" and state != State.PLANNED
        )
        since = ledger.count_held_since(known.passed_at - SHOWS_WITHIN) if known else 0
    size = (known.page_size if known else 0) or ORDERS_PER_PAGE
    listing = 1 + max(held + to_create, known.records if known else 0) // size
    counted = Counted(listing, count)
    if known is None or known.watermark is None or orders is None:
        return counted
    newer = since + to_create
    pages = 1 + newer // size
    # What cannot win is not counted to the last order: the batch may be millions.
    if pages + max(0, count - newer) >= listing:
        return counted
    older = older_orders(settings, known, orders).height
    return Counted(listing, count, pages + older, older)


def older_orders(settings: Settings, known: Known, orders: pl.LazyFrame) -> pl.DataFrame:
    """Return the orders with a record below the watermark: `source_order_id`, `corso_order_ids` (a list); one row = one order."""
    ids = orders.select("source_order_id").collect()["source_order_id"]
    rows = known_ids(settings, known, ids)
    below = rows.filter((pl.col("created_on") < known.watermark).fill_null(value=True))
    return below.group_by("source_order_id", maintain_order=True).agg(
        corso_order_ids=pl.col("corso_order_id").unique(maintain_order=True)
    )
