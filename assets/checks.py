"""The checks: each a sentence that is true when it is green. What blocks says so.

https://docs.dagster.io/guides/test/asset-checks
"""

import warnings

import dagster as dg
import polars as pl

from assets.delivering import uploaded_fulfillments
from assets.partitions import BATCHES
from assets.preparing import upload_plan
from assets.reconciling import corso_orders, reconciliation, reconciliation_report
from assets.resources import LoaderFile
from corso.report.bridge import orders_off
from corso.report.summary import Summary
from corso.stages.counting import broken_contracts, quarantined_share, scan_table, unaccounted_rows

# Partitioned checks are a preview in this version of Dagster, which is pinned exactly; without them a check of one
# batch would overwrite that of another.
warnings.filterwarnings("ignore", message="Specifying a partitions_def on an AssetCheckSpec")

QUARANTINED = dg.AssetKey("quarantined_orders")


@dg.asset_check(asset=QUARANTINED, partitions_def=BATCHES, blocking=True)
def every_row_is_accounted_for(
    context: dg.AssetCheckExecutionContext, loader: LoaderFile
) -> dg.AssetCheckResult:
    """Every row that was read is accepted, quarantined or a repetition."""
    unaccounted = unaccounted_rows(loader.batch(context.partition_key))
    return dg.AssetCheckResult(
        passed=not any(unaccounted.values()),
        metadata={f"{_words(table)}, rows not accounted for": count for table, count in unaccounted.items()},
    )


@dg.asset_check(
    asset=QUARANTINED,
    partitions_def=BATCHES,
    blocking=True,
    additional_deps=["accepted_orders", "accepted_line_items", "accepted_fulfillments"],
)
def accepted_tables_satisfy_the_contract(
    context: dg.AssetCheckExecutionContext, loader: LoaderFile
) -> dg.AssetCheckResult:
    """Validated by pandera itself, which did not sort the rows, the accepted ones are without fault."""
    broken = broken_contracts(loader.batch(context.partition_key))
    return dg.AssetCheckResult(
        passed=not any(broken.values()),
        metadata={f"{_words(table)}, faults": count for table, count in broken.items()},
    )


@dg.asset_check(asset=upload_plan, partitions_def=BATCHES, blocking=True)
def quarantine_is_within_its_limit(
    context: dg.AssetCheckExecutionContext, loader: LoaderFile
) -> dg.AssetCheckResult:
    """No larger part of the orders is quarantined than validation.max_quarantined allows; else nothing is sent."""
    batch = loader.batch(context.partition_key)
    share, limit = quarantined_share(batch), batch.settings.loader.validation.max_quarantined
    return dg.AssetCheckResult(
        passed=share <= limit, metadata={"quarantined, part of the orders": share, "limit": limit}
    )


@dg.asset_check(asset=uploaded_fulfillments, partitions_def=BATCHES)
def every_operation_is_settled(
    context: dg.AssetCheckExecutionContext, loader: LoaderFile
) -> dg.AssetCheckResult:
    """No order and no fulfillment is unknown or not sent."""
    summary = _summary(context, loader)
    counts = {
        "orders unknown": summary.outcome.unknown,
        "orders not sent": summary.outcome.not_sent,
        "fulfillments unknown": summary.fulfillments.unknown,
        "fulfillments not sent": summary.fulfillments.not_sent,
    }
    return dg.AssetCheckResult(passed=not any(counts.values()), metadata=counts)


@dg.asset_check(asset=reconciliation_report, partitions_def=BATCHES)
def money_ties_to_the_cent(context: dg.AssetCheckExecutionContext, loader: LoaderFile) -> dg.AssetCheckResult:
    """In every currency and month, and of every order, Corso holds what was accepted, to the cent."""
    off = [row for row in _summary(context, loader).money if row.difference]
    metadata: dict[str, str | int] = {f"{row.currency} {row.month}": str(row.difference) for row in off}
    findings = scan_table(loader.batch(context.partition_key), "reconciliation")
    if findings is not None and (off_too := orders_off(findings.collect())).height:
        metadata["orders that are off"] = off_too["source_order_id"].n_unique()
    return dg.AssetCheckResult(passed=not metadata, metadata=metadata)


@dg.asset_check(asset=reconciliation, partitions_def=BATCHES)
def nothing_is_unexplained(
    context: dg.AssetCheckExecutionContext,  # noqa: ARG001  (Dagster tells the partition by it)
    reconciliation: pl.LazyFrame,
) -> dg.AssetCheckResult:
    """The ledger names the cause of every finding."""
    unexplained = reconciliation.filter(cause="unexplained").select(pl.len()).collect().item()
    return dg.AssetCheckResult(passed=unexplained == 0, metadata={"findings without a cause": unexplained})


@dg.asset_check(
    asset=corso_orders, partitions_def=BATCHES, additional_deps=["corso_fulfillments", "fulfillments_read"]
)
def the_api_still_matches_its_contract(
    context: dg.AssetCheckExecutionContext, loader: LoaderFile
) -> dg.AssetCheckResult:
    """Corso answers what its reference says, no more and no less."""
    drift = loader.batch(context.partition_key).read_facts().drift
    return dg.AssetCheckResult(
        passed=not drift,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={str(number): text for number, text in enumerate(drift, 1)},
    )


def _summary(context: dg.AssetCheckExecutionContext, loader: LoaderFile) -> Summary:
    return Summary.read(loader.batch(context.partition_key).file("summary.json"))


def _words(table: str) -> str:
    return table.replace("_", " ")
