"""Upload: orders first, then fulfillments, which need Corso's id of their order.

Dagster retries none of it: retries live in `corso`, in one place. The pool is courtesy to the API; that there is
one sender is the ledger's business.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg
import polars as pl

from assets.partitions import BATCHES, FROM_API
from assets.resources import ApiConfig, LoaderFile, Progress
from corso.report.summary import FulfillmentCounts, OutcomeCounts, Summary
from corso.stages.batch import Batch
from corso.stages.books import close_books
from corso.stages.delivering import plan_rejected_again, upload
from corso.stages.metrics import oldest_unknown_s, orders_per_second
from corso.stages.outcomes import write_outcomes

API_POOL = "corso_api"


class UploadConfig(ApiConfig):
    """How one run uploads."""

    limit: int | None = None
    """Send no more orders than so many."""
    retry_rejected: bool = False
    """Send again what Corso rejected earlier."""


def _counts(outcomes: pl.LazyFrame, names: Iterable[str]) -> dict[str, int]:
    """Count by outcome, in words; also those that did not come up, as a plot needs its zeros."""
    found = dict(outcomes.group_by("outcome").len().collect().iter_rows())
    return {name.replace("_", " "): found.get(name, 0) for name in names}


def figures_of_upload(batch: Batch, summary: Summary, now: datetime) -> dict[str, float]:
    """Return what an operator plots of an upload: pace, quota, refusals, and what is in doubt for how long."""
    requests, quota = summary.requests, batch.read_facts().quota
    figures = {
        "orders a second": orders_per_second(summary),
        "requests": float(requests.sent),
        "answers with 429": float(requests.throttled),
        "reads tried again": float(requests.retried),
        "seconds of asking": requests.seconds,
        "oldest unknown, hours": round(oldest_unknown_s(batch, now) / 3600, 3),
    }
    if quota.used_share is not None and quota.foreign_share is not None:
        figures |= {"quota used": quota.used_share, "quota used by others": quota.foreign_share}
    return figures


@dg.asset(partitions_def=BATCHES, group_name="upload", kinds=FROM_API, pool=API_POOL)
def uploaded_orders(
    context: dg.AssetExecutionContext,
    config: UploadConfig,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    upload_plan: pl.LazyFrame,
) -> Iterator[dg.Output[pl.LazyFrame]]:
    """Send the plan's orders; one row = one accepted order and how it ended."""
    batch = loader.batch(context.partition_key)
    if config.retry_rejected:
        context.log.info("%d rejected operations are planned again", plan_rejected_again(batch, upload_plan))
    upload(batch, upload_plan, "order", progress.watch, limit=config.limit, until=config.ends)
    with batch.scratch() as scratch:
        outcomes = write_outcomes(batch, upload_plan, "order", scratch)
        yield dg.Output(outcomes, metadata=_counts(outcomes, OutcomeCounts.model_fields))


@dg.asset(partitions_def=BATCHES, group_name="upload", kinds=FROM_API, pool=API_POOL, deps=[uploaded_orders])
def uploaded_fulfillments(
    context: dg.AssetExecutionContext,
    config: ApiConfig,
    loader: LoaderFile,
    progress: dg.ResourceParam[Progress],
    upload_plan: pl.LazyFrame,
) -> Iterator[dg.Output[pl.LazyFrame]]:
    """Send the plan's fulfillments; one row = one accepted fulfillment and how it ended."""
    batch = loader.batch(context.partition_key)
    upload(batch, upload_plan, "fulfillment", progress.watch, until=config.ends)
    summary = close_books(batch, "upload", datetime.now(UTC))
    figures = figures_of_upload(batch, summary, datetime.now(UTC))
    with batch.scratch() as scratch:
        outcomes = write_outcomes(batch, upload_plan, "fulfillment", scratch)
        yield dg.Output(outcomes, metadata={**_counts(outcomes, FulfillmentCounts.model_fields), **figures})
