"""Reconciling and closing the books of a batch that was loaded whole: seconds and memory, by the number of orders.

scripts/bench books [ORDERS...]

The export of `benchmarks.exports` is prepared, the ledger holds all of its orders and fulfillments as accepted, and what was read
back holds every order as it was sent. What is measured are the last two stages, each in a process of its own: comparing (`reconcile`,
with how everything ended by the ledger) and the books (results.csv, page, workbook, certificate).
"""

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from benchmarks import measured_process, own_process
from benchmarks.bench_prepare import prepare
from benchmarks.exports import write_export
from corso.delivery.ledger import Change, Ledger, key_of
from corso.delivery.states import State
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.books import close_books
from corso.stages.operations import operations_of
from corso.stages.reconciling import reconcile
from corso.stages.selection import Selection
from schemas.fields import INSTANT, NUMBER, dtypes
from schemas.line_items import LINE_ITEM_PATHS
from schemas.listing import LISTED_LINE_ITEM, LISTING
from schemas.orders import ORDER_PATHS

_OPERATIONS_AT_ONCE = 20_000
_NUMBER_OF = pl.col("source_order_id").hash(0).cast(pl.String)
"""Stands for the id that Corso gives."""


def load(batch: Batch) -> None:
    """Have the ledger hold all that the plan sends, and the listing every order."""
    settings = batch.settings
    with Ledger.open(settings.ledger, settings.loader.store.id) as ledger:
        for rows in Selection(pl.scan_parquet(batch.table("upload_plan"))).slices(_OPERATIONS_AT_ONCE):
            operations = operations_of(rows)
            numbers = rows.select(_NUMBER_OF).to_series()
            ledger.plan(operations, batch.name)
            ledger.start(operations)
            ledger.settle(
                [
                    Change(
                        key_of(each), State.ACCEPTED, corso_id=number, held_hash=each.payload_hash, status=201
                    )
                    for each, number in zip(operations, numbers, strict=True)
                ]
            )
    listing = batch.table("corso_orders")
    listing.mkdir()
    for part in sorted(batch.table("accepted_orders").glob("*.parquet")):
        _listed(batch, part).write_parquet(listing / part.name, compression="zstd")


def _listed(batch: Batch, part: Path) -> pl.DataFrame:
    """Return the records of a part's orders."""
    lines = pl.read_parquet(batch.table("accepted_line_items") / part.name)
    nested = lines.group_by("source_order_id").agg(
        line_items=pl.struct(list(LINE_ITEM_PATHS)).cast(LISTED_LINE_ITEM)
    )
    moment = pl.lit(datetime.now(UTC)).cast(INSTANT)
    records = (
        pl.read_parquet(part)
        .select(list(ORDER_PATHS))
        .join(nested, on="source_order_id", how="left")
        .with_columns(
            corso_order_id=_NUMBER_OF,
            store_id=pl.lit(batch.settings.loader.store.id).cast(NUMBER),
            created_on=moment,
            updated_on=moment,
        )
    )
    return records.select(list(dtypes(LISTING)))


def compare(batch: Batch) -> None:
    """Compare, and keep the findings."""
    with batch.scratch() as scratch:
        result = reconcile(batch, pl.scan_parquet(batch.table("corso_orders")), datetime.now(UTC), scratch)
        result.findings.sink_parquet(batch.table("reconciliation"))


def books(batch: Batch) -> None:
    """Close the books."""
    summary = close_books(batch, "reconcile", datetime.now(UTC))
    assert summary.reconciliation.matched == summary.accepted.orders


STAGES = {"compare": compare, "books": books}


def main(orders: int) -> None:
    """Print one row a stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_export(folder, orders)
        prepare(folder)
        load(_batch(folder))
        for stage in STAGES:
            errors = folder / "errors"
            took = measured_process.run(
                [sys.executable, __file__, "--stage", stage, folder],
                output=folder / "said",
                errors=errors,
                environment=own_process.environment(),
            )
            if took.code:
                raise subprocess.CalledProcessError(
                    took.code, stage, stderr=errors.read_text(encoding="utf-8")
                )
            print(
                f"| {orders:,} | {stage} | {took.wall_s:.1f} | {took.cpu_s:.1f} | {took.peak_mib:,.0f} |",
                flush=True,
            )


def _batch(folder: Path) -> Batch:
    return Batch(read_settings(folder / "loader.yaml"), "bench")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        STAGES[sys.argv[2]](_batch(Path(sys.argv[3])))
    else:
        print("| orders | stage | s | CPU s | peak MiB |\n|---|---|---|---|---|")
        for given in sys.argv[1:] or ("100000",):
            main(int(given))
