"""How the orders or fulfillments of a plan ended, as a table on disk: in memory is never more than a slice of it."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import polars as pl

from corso.delivery.ledger import Ledger
from corso.report.outcomes import PLAN_NEEDED, fulfillment_outcomes, order_outcomes
from corso.stages.batch import Batch
from corso.stages.delivering import Subject
from corso.stages.known_entries import entries_of

_ROWS_AT_ONCE = 200_000
"""Rows of a plan, without their payloads: with what the ledger says of them some 150 MB."""


def write_outcomes(batch: Batch, plan: pl.LazyFrame, subject: Subject, folder: Path) -> pl.LazyFrame:
    """Hold a plan against the ledger, slice by slice; return how its orders, or its fulfillments, ended.

    See `corso.report.outcomes.order_outcomes` and `fulfillment_outcomes`; the rows are in the plan's order. They are read
    from below `folder`, which must stay until that is done.
    """
    settings = batch.settings
    table = folder / f"{subject}_outcomes"
    table.mkdir(parents=True)
    written_at = batch.table_written_at("upload_plan")
    planned_at = None if written_at is None else datetime.fromtimestamp(written_at, UTC)
    of_order = partial(order_outcomes, batch=batch.name, planned_at=planned_at)
    ended = of_order if subject == "order" else fulfillment_outcomes
    rows = plan.select(pl.len()).collect().item()
    needed = plan.select(PLAN_NEEDED)
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        # One slice at least: a table without rows has columns, too.
        for start in range(0, max(1, rows), _ROWS_AT_ONCE):
            own = needed.slice(start, _ROWS_AT_ONCE).filter(subject=subject).collect()
            if start and own.is_empty():
                continue
            known = entries_of(ledger, own["source_order_id"], fulfillments=subject == "fulfillment")
            outcomes = ended(own.lazy(), known.lazy()).collect()
            outcomes.write_parquet(table / f"{start:012}.parquet", compression="lz4")
    return pl.scan_parquet(table, glob=False)
