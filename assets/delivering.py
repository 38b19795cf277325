"""Upload: orders first, then fulfillments, which need Corso's id of their order.

Dagster retries none of it: retries live in `corso`, in one place. The pool is courtesy to the API; that there is
one sender is the ledger's business.
"""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from assets.partitions import BATCHES
from assets.resources import ApiConfig, LoaderFile, Progress
from corso.report.outcomes import fulfillment_outcomes, order_outcomes
from corso.stages.books import close_books, ledger_frame
from corso.stages.delivering import plan_rejected_again, upload

API_POOL = "corso_api"


class UploadConfig(ApiConfig):
    """How one run uploads."""

    limit: int | None = None
    """Send no more orders than so many."""
    retry_rejected: bool = False
    """Send again what Corso rejected earlier."""


def _counts(outcomes: pl.LazyFrame) -> dict[str, int]:
    return dict(outcomes.group_by("outcome").len().sort("outcome").collect().iter_rows())


@dg.asset(partitions_def=BATCHES, group_name="upload", pool=API_POOL)
def uploaded_orders(
    context: dg.AssetExecutionContext,
    config: UploadConfig,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    upload_plan: pl.LazyFrame,
) -> dg.Output[pl.LazyFrame]:
    """Send the plan's orders; one row = one accepted order and how it ended."""
    batch = loader.batch(context.partition_key)
    if config.retry_rejected:
        context.log.info("%d rejected operations are planned again", plan_rejected_again(batch, upload_plan))
    upload(batch, upload_plan, "order", progress.watch, limit=config.limit, until=config.ends)
    outcomes = order_outcomes(upload_plan, ledger_frame(batch))
    return dg.Output(outcomes, metadata=_counts(outcomes))


@dg.asset(partitions_def=BATCHES, group_name="upload", pool=API_POOL, deps=[uploaded_orders])
def uploaded_fulfillments(
    context: dg.AssetExecutionContext,
    config: ApiConfig,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    upload_plan: pl.LazyFrame,
) -> dg.Output[pl.LazyFrame]:
    """Send the plan's fulfillments; one row = one accepted fulfillment and how it ended."""
    batch = loader.batch(context.partition_key)
    upload(batch, upload_plan, "fulfillment", progress.watch, until=config.ends)
    close_books(batch, "upload", datetime.now(UTC))
    outcomes = fulfillment_outcomes(upload_plan, ledger_frame(batch))
    return dg.Output(outcomes, metadata=_counts(outcomes))
