"""Extract, validate, plan: from export files to what has to be sent."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl

from assets.partitions import BATCHES, FRAME
from assets.resources import LoaderFile, Progress
from corso.extract.profile import TABLES
from corso.stages.books import close_books
from corso.stages.preparing import extract, plan, validate


@dg.multi_asset(
    outs={
        "raw_orders": dg.AssetOut(
            description="The exports' orders as text, with file and line.", kinds=FRAME
        ),
        "raw_line_items": dg.AssetOut(
            description="The exports' line items as text, with file and line.", kinds=FRAME
        ),
        "raw_fulfillments": dg.AssetOut(
            description="The exports' fulfillments as text, with file and line.", kinds=FRAME
        ),
    },
    partitions_def=BATCHES,
    group_name="extract",
)
def raw_tables(
    context: dg.AssetExecutionContext, loader: LoaderFile, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.Output[Path]]:
    """Read a batch's export files by the profile; one row = one row of the export."""
    batch = loader.batch(context.partition_key)
    progress.watch("read", 0, 0)
    with batch.scratch() as scratch:
        for name, table in extract(batch, scratch).items():
            yield dg.Output(table, f"raw_{name}", metadata={"profile": batch.read_facts().profile})


@dg.multi_asset(
    outs={
        "accepted_orders": dg.AssetOut(description="Orders that satisfy Corso's contract.", kinds=FRAME),
        "accepted_line_items": dg.AssetOut(description="The line items of accepted orders.", kinds=FRAME),
        "accepted_fulfillments": dg.AssetOut(description="The fulfillments of accepted orders.", kinds=FRAME),
        "filled_values": dg.AssetOut(
            description="What declared fallbacks filled in which accepted order.", kinds=FRAME
        ),
        "quarantined_orders": dg.AssetOut(
            description="Every row that is not loaded, with the reasons.", kinds=FRAME
        ),
    },
    partitions_def=BATCHES,
    group_name="validate",
)
def validated_tables(
    context: dg.AssetExecutionContext,
    loader: LoaderFile,
    raw_orders: pl.LazyFrame,
    raw_line_items: pl.LazyFrame,
    raw_fulfillments: pl.LazyFrame,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.Output[Path | pl.LazyFrame]]:
    """Split the raw tables into accepted and quarantined; the unit is the order."""
    batch = loader.batch(context.partition_key)
    raw = {"orders": raw_orders, "line_items": raw_line_items, "fulfillments": raw_fulfillments}
    with batch.scratch() as scratch:
        validated = validate(batch, raw, scratch, progress.watch)  # type: ignore[arg-type]  # the keys are the tables' names
        for name, table in validated.accepted.items():
            yield dg.Output(table, f"accepted_{name}")
        used = {use.fallback: use.values for use in batch.read_facts().fallbacks_used}
        yield dg.Output(
            validated.filled_values,
            "filled_values",
            metadata={"values": dg.MetadataValue.json(used)},
        )
        yield dg.Output(validated.quarantine, "quarantined_orders")


# The plan reads the accepted tables part by part; its books speak of the quarantine, and of what was filled.
@dg.asset(
    partitions_def=BATCHES,
    group_name="plan",
    kinds=FRAME,
    deps=[
        "accepted_orders", "accepted_line_items", "accepted_fulfillments", "filled_values", "quarantined_orders",
    ],
)  # fmt: skip
def upload_plan(
    context: dg.AssetExecutionContext, loader: LoaderFile, progress: dg.ResourceParam[Progress]
) -> Iterator[dg.Output[Path]]:
    """Hold every accepted order against the ledger: create, update, cancel or unchanged."""
    batch = loader.batch(context.partition_key)
    with batch.scratch() as scratch:
        accepted = {name: batch.table(f"accepted_{name}") for name in TABLES}
        planned = plan(batch, accepted, scratch, progress.watch)
        actions = (
            pl.scan_parquet(planned, glob=False).group_by("subject", "action").len().collect().iter_rows()
        )
        metadata = {
            f"{subject}s to {action}"
            if action in {"create", "update", "cancel"}
            else f"{subject}s {action}": count
            for subject, action, count in actions
        }
        yield dg.Output(planned, metadata=metadata)
    progress.watch("books", 0, 0)
    close_books(batch, "plan", datetime.now(UTC))
