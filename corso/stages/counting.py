"""Counting a batch's tables: what checks and books say of them, read from the files that were written."""

import pandera.polars as pa
import polars as pl

from corso.extract.profile import TABLES
from corso.report.summary import TableCounts
from corso.stages.batch import Batch

_ROWS_PER_VALIDATION = 250_000


def scan_table(batch: Batch, name: str) -> pl.LazyFrame | None:
    """Return a table of the batch; None where it is not there."""
    path = batch.table(name)
    return pl.scan_parquet(path, glob=False) if path.exists() else None


def count_rows(batch: Batch, table: str) -> int:
    """Return how many rows a table has."""
    return int(pl.scan_parquet(batch.table(table), glob=False).select(pl.len()).collect().item())


def count_by(frame: pl.LazyFrame, column: str) -> dict[str, int]:
    """Return value -> number of rows."""
    return dict(frame.group_by(column).len().collect().iter_rows())


def count_quarantined(batch: Batch) -> TableCounts:
    """Count quarantined orders by their id (a row without one is an order of its own), and rows of the others."""
    rows = pl.scan_parquet(batch.table("quarantined_orders"), glob=False).filter(kind="quarantined")
    source_id = pl.col("source_order_id")
    orders = rows.filter(table="orders").select(source_id.drop_nulls().n_unique() + source_id.is_null().sum())
    counts = count_by(rows, "table")
    return TableCounts(
        orders=orders.collect().item(),
        line_items=counts.get("line_items", 0),
        fulfillments=counts.get("fulfillments", 0),
    )


def quarantined_share(batch: Batch) -> float:
    """Return which part of the batch's source orders is quarantined."""
    quarantined = count_quarantined(batch).orders
    source = quarantined + count_rows(batch, "accepted_orders")
    return quarantined / source if source else 0.0


def unaccounted_rows(batch: Batch) -> dict[str, int]:
    """Return, for each table, rows read less rows accepted, quarantined or repeated; zero where all is well."""
    set_aside = count_by(pl.scan_parquet(batch.table("quarantined_orders"), glob=False), "table")
    return {
        name: count_rows(batch, f"raw_{name}")
        - count_rows(batch, f"accepted_{name}")
        - set_aside.get(name, 0)
        for name in TABLES
    }


def broken_contracts(batch: Batch) -> dict[str, int]:
    """Let pandera validate the accepted tables; return, for each, how many values it refuses."""
    return {
        name: sum(
            _failures(schema, rows)
            for rows in pl.scan_parquet(batch.table(f"accepted_{name}"), glob=False).collect_batches(
                chunk_size=_ROWS_PER_VALIDATION
            )
        )
        for name, schema in TABLES.items()
    }


def _failures(schema: pa.DataFrameSchema, rows: pl.DataFrame) -> int:
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        return len(error.failure_cases)
    return 0
