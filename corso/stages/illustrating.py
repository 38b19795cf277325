"""What the page shows beside the books: the batch's orders by month and state, and some of them side by side."""

from collections.abc import Sequence

import polars as pl

from corso.report.monthly import orders_by_month
from corso.report.opened import FULFILLMENT, LINE, ORDER, BatchTables, OpenedOrder, opened_orders
from corso.report.summary import Stage
from corso.stages.batch import Batch
from corso.stages.counting import scan_table
from schemas.money import month_and_currency

_TABLES = {ORDER: "orders", LINE: "line_items", FULFILLMENT: "fulfillments"}


def months_of(
    batch: Batch, stage: Stage, quarantine: pl.LazyFrame, outcomes: pl.LazyFrame, findings: pl.DataFrame
) -> pl.DataFrame:
    """Return ORDERS_BY_MONTH as far as the batch has come."""
    store = batch.settings.loader.store
    month, _ = month_and_currency(store.time_zone, store.currency)
    return orders_by_month(
        pl.scan_parquet(batch.table("accepted_orders"), glob=False).select("source_order_id", month),
        quarantine,
        outcomes=outcomes if stage == "upload" else None,
        findings=findings if stage == "reconcile" else None,
    )


def opened_of(
    batch: Batch, quarantine: pl.LazyFrame, outcomes: pl.LazyFrame, findings: pl.DataFrame
) -> Sequence[OpenedOrder]:
    """Open some of the orders that the findings are about."""
    tables = BatchTables(
        raw=_scanned(batch, "raw"),
        accepted=_scanned(batch, "accepted"),
        quarantine=quarantine,
        outcomes=outcomes,
        listing=scan_table(batch, "corso_orders"),
        corso_fulfillments=scan_table(batch, "corso_fulfillments"),
        fulfillments_read=scan_table(batch, "fulfillments_read"),
    )
    return opened_orders(findings, tables, personal=shows_personal_data(batch))


def shows_personal_data(batch: Batch) -> bool:
    """Whether the page shows personal data instead of veiling it (`report.personal_data`)."""
    return batch.settings.loader.report.personal_data == "show"


def _scanned(batch: Batch, state: str) -> dict[str, pl.LazyFrame]:
    tables = {part: scan_table(batch, f"{state}_{name}") for part, name in _TABLES.items()}
    return {part: frame for part, frame in tables.items() if frame is not None}
