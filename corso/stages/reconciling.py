"""Reconcile: the batch compared with what was read back, and its findings' lives carried on."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from corso.report.atomic import replacing
from corso.report.compare import Reconciliation, Sides
from corso.report.compare import reconcile as compare
from corso.report.fulfillment_findings import FulfillmentSides
from corso.report.life import Earlier
from corso.report.review import drop_fallen, read_reviews
from corso.report.summary import ReconciliationCounts, money_rows
from corso.stages.batch import Batch, batches_of
from corso.stages.erasures import source_without_erased
from corso.stages.known_entries import known_keys, orders_of_records
from corso.stages.outcomes import write_outcomes
from corso.stages.reviewing import review_path, take_up_reviews

OF_WHOLE_STORE = "Read back from the listing of the whole store"
"""How the note on reading back begins where records of others were read, too."""
REMEMBERED = 2_000_000
"""So many findings of other batches are looked through for when a finding was first seen, the latest batches first. What is
found every night is handed on from batch to batch, so that the last one would do."""


def reconcile(batch: Batch, listing: pl.LazyFrame, now: datetime, scratch: Path) -> Reconciliation:
    """Compare the batch's accepted orders with the listing and keep the counts and the money among its facts.

    What people wrote into the workbook since it was written is taken up first. The result is read from `scratch`.
    """
    taken_up = take_up_reviews(batch, now)
    reviews = read_reviews(review_path(batch.settings))
    earlier = _earlier(batch, reviews)
    plan = pl.scan_parquet(batch.table("upload_plan"), glob=False)
    facts = batch.read_facts()
    sides = Sides(
        orders=_accepted(batch, "orders"),
        line_items=_accepted(batch, "line_items"),
        quarantine=pl.scan_parquet(batch.table("quarantined_orders"), glob=False),
        listing=listing,
        outcomes=write_outcomes(batch, plan, "order", scratch),
        known=partial(known_keys, batch),
        owners=partial(orders_of_records, batch),
        fulfillments=_fulfillments(batch, plan, scratch),
        reads_whole_store=any(note.startswith(OF_WHOLE_STORE) for note in facts.notes),
    )
    result = compare(sides, earlier, batch.settings, now, scratch / "compared")
    fallen = result.findings.filter(pl.col("fallen_sign_off").is_not_null()).collect()
    drop_fallen(fallen, reviews, review_path(batch.settings))
    for name, table in (("healed", result.healed), ("unseen", result.unseen)):
        with replacing(batch.table(name)) as draft:
            table.sink_parquet(draft, compression="zstd", maintain_order=True)
    found = {
        "reconciliation": ReconciliationCounts(**result.counts),
        "money": money_rows(result.money),
        "review_notes": taken_up,
    }
    batch.write_facts(facts.model_copy(update=found))
    return result


def _accepted(batch: Batch, name: str) -> pl.LazyFrame:
    table = pl.scan_parquet(batch.table(f"accepted_{name}"), glob=False)
    return source_without_erased(table, batch.settings)


def _fulfillments(batch: Batch, plan: pl.LazyFrame, scratch: Path) -> FulfillmentSides | None:
    held, read = batch.table("corso_fulfillments"), batch.table("fulfillments_read")
    if not (held.exists() and read.exists()):
        return None
    return FulfillmentSides(
        accepted=_accepted(batch, "fulfillments"),
        outcomes=write_outcomes(batch, plan, "fulfillment", scratch),
        held=pl.scan_parquet(held, glob=False),
        read=pl.scan_parquet(read, glob=False),
    )


def _earlier(batch: Batch, reviews: pl.DataFrame) -> Earlier:
    """Return what earlier reconciliations found: of this batch all of it, of others when each finding was first seen."""
    nothing = Earlier(reviews=reviews)
    mine = {name: batch.table(name) for name in ("reconciliation", "healed", "unseen")}
    still_open = [
        pl.scan_parquet(mine[name], glob=False)
        for name in ("reconciliation", "unseen")
        if mine[name].exists()
    ]
    return Earlier(
        open=pl.concat([nothing.open, *still_open], how="diagonal_relaxed"),
        healed=pl.scan_parquet(mine["healed"], glob=False) if mine["healed"].exists() else nothing.healed,
        elsewhere=pl.concat([nothing.elsewhere, *_seen(_tables_of_others(batch, mine))]),
        reviews=reviews,
    )


def _tables_of_others(batch: Batch, names: Iterable[str]) -> Iterator[tuple[float, Callable[[], Path]]]:
    """Yield the tables of these names of the store's other batches: when each was written, and what gets it."""
    for other in batches_of(batch.settings):
        for name in names if other.name != batch.name else ():
            if (written_at := other.table_written_at(name)) is not None:
                yield written_at, partial(other.table, name)


def _seen(tables: Iterable[tuple[float, Callable[[], Path]]]) -> Iterator[pl.LazyFrame]:
    """Yield when findings were first seen, the tables that were written last first, up to REMEMBERED rows."""
    rows = 0
    for _, table_at in sorted(tables, key=lambda each: each[0], reverse=True):
        # A batch that is being written anew at this moment is left out.
        with suppress(OSError, pl.exceptions.PolarsError):
            table = pl.scan_parquet(table_at(), glob=False).select(
                "source_order_id", "finding_id", "first_seen"
            )
            rows += table.select(pl.len()).collect().item()
            if rows > REMEMBERED:
                return
            yield table
