"""Read back, reconcile, report: what Corso holds, held against the source."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from assets.delivering import API_POOL, uploaded_fulfillments, uploaded_orders
from assets.figures import figures_of_findings, figures_of_report
from assets.partitions import BATCHES, FRAME, FROM_API
from assets.resources import ApiConfig, LoaderFile, Progress, ReadBackConfig
from corso.report.certificate import Certificate
from corso.stages.books import close_books
from corso.stages.reading_back.fulfillments import read_fulfillments_back, remember_read
from corso.stages.reading_back.reading import reading_back
from corso.stages.reconciling import reconcile


@dg.asset(
    partitions_def=BATCHES,
    group_name="read_back",
    kinds=FROM_API,
    pool=API_POOL,
    deps=[uploaded_orders, uploaded_fulfillments],
)
def corso_orders(
    context: dg.AssetExecutionContext,
    config: ReadBackConfig,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    accepted_orders: pl.LazyFrame,
) -> Iterator[dg.Output[pl.LazyFrame]]:
    """Read the store's listing back; one row = one record."""
    batch = loader.batch(context.partition_key, whole_listing=config.whole_listing)
    with reading_back(batch, accepted_orders, progress.watch, until=config.ends) as found:
        records = found.listing.select(pl.len()).collect().item()
        yield dg.Output(found.listing, metadata={"records": records, **found.figures})


@dg.multi_asset(
    name="corso_fulfillments",
    outs={
        "corso_fulfillments": dg.AssetOut(
            description="Corso's fulfillments of the orders that were asked about.", kinds=FROM_API
        ),
        "fulfillments_read": dg.AssetOut(
            description="Which orders were asked about, as far as the budget went.", kinds=FROM_API
        ),
    },
    partitions_def=BATCHES,
    group_name="read_back",
    pool=API_POOL,
    deps=[uploaded_fulfillments],
)
def corso_fulfillments(
    context: dg.AssetExecutionContext,
    config: ApiConfig,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    accepted_fulfillments: pl.LazyFrame,
    corso_orders: pl.LazyFrame,
) -> Iterator[dg.Output[pl.LazyFrame]]:
    """Read fulfillments back, as far as the budget goes; one row = one record, and one row = one order that was asked."""
    batch = loader.batch(context.partition_key)
    back = read_fulfillments_back(
        batch, accepted_fulfillments, corso_orders, progress.watch, until=config.ends
    )
    yield dg.Output(
        back.fulfillments.lazy(), "corso_fulfillments", metadata={"records": back.fulfillments.height}
    )
    yield dg.Output(back.read.lazy(), "fulfillments_read", metadata={**back.figures})
    remember_read(batch.settings, back.read)


@dg.asset(
    partitions_def=BATCHES,
    group_name="reconcile",
    kinds=FRAME,
    deps=[
        "accepted_orders",
        "accepted_line_items",
        "quarantined_orders",
        "upload_plan",
        "corso_fulfillments",
        "fulfillments_read",
    ],
)
def reconciliation(
    context: dg.AssetExecutionContext,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    corso_orders: pl.LazyFrame,
) -> Iterator[dg.Output[pl.LazyFrame]]:
    """Compare the source with the listing; one row = one finding."""
    batch = loader.batch(context.partition_key)
    progress.watch("compare", 0, 0)
    with batch.scratch() as scratch:
        result = reconcile(batch, corso_orders, datetime.now(UTC), scratch)
        yield dg.Output(result.findings, metadata=figures_of_findings(result))


@dg.asset(partitions_def=BATCHES, group_name="reconcile", kinds={"html", "excel"}, deps=[reconciliation])
def reconciliation_report(
    context: dg.AssetExecutionContext, loader: LoaderFile, progress: dg.ResourceParam[Progress]
) -> dg.MaterializeResult[None]:
    """Write the report files of the batch."""
    batch = loader.batch(context.partition_key)
    progress.watch("books", 0, 0)
    summary = close_books(batch, "reconcile", datetime.now(UTC))
    certificate = Certificate.read(batch.file("certificate.json"))
    return dg.MaterializeResult(metadata=figures_of_report(batch.shown, summary, certificate))
