"""The books: a batch in numbers and in files that people read.

The books can be closed after every stage, also when a guard stopped the run: they say how far it came.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import metadata
from pathlib import Path

import polars as pl

from corso.report.atomic import replacing
from corso.report.facts import ReportFacts
from corso.report.page.writing import render_html
from corso.report.results import (
    problems_by_frequency,
    reasons_by_frequency,
    write_quarantine,
    write_results,
)
from corso.report.summary import (
    FulfillmentCounts,
    MoneyRow,
    OutcomeCounts,
    PlanCounts,
    QuotaUse,
    ReconciliationCounts,
    Stage,
    Summary,
    TableCounts,
    exit_code_of,
    fulfillments_apart,
    money_rows,
)
from corso.report.workbook import write_workbook
from corso.stages.batch import Batch, Facts
from corso.stages.certifying import certify_batch, said_environment
from corso.stages.corrected import read_corrected_cells
from corso.stages.counting import count_by, count_quarantined, count_rows, scan_table
from corso.stages.illustrating import months_of, opened_of, shows_personal_data
from corso.stages.known_quota import keep_measured, said_length
from corso.stages.outcomes import write_outcomes
from corso.stages.reviewing import WORKBOOK, remember_written, save_late_edits
from schemas.fields import empty_frame
from schemas.filled_values import FILLED_VALUES
from schemas.money import month_and_currency
from schemas.raw import original_struct, scan_raw
from schemas.reconciliation import FINDINGS, HEALED, OUTCOME_TABLE

HEALED_IN_REPORT = 100_000
LIBRARIES = ("polars", "pandera", "httpx", "pyarrow", "dagster")


def close_books(
    batch: Batch, stage: Stage, now: datetime, *, stopped: str | None = None, exit_code: int | None = None
) -> Summary:
    """Write the batch's files as they are after `stage`, and return the summary.

    summary.json, results.csv, quarantine.csv and reconciliation.html always; the workbook, the findings and the
    certificate once the batch was compared. `stopped` and `exit_code` say that a guard ended the run, and how.
    """
    with batch.scratch() as scratch:
        facts = batch.read_facts().model_copy(update={"stage": stage})
        batch.write_facts(facts)
        keep_measured(batch.settings, facts.quota, now)
        plan = scan_table(batch, "upload_plan")
        quarantine = pl.scan_parquet(batch.table("quarantined_orders"), glob=False)
        outcomes, fulfillments = _ended(batch, plan, stage, scratch)
        summary = _summary(batch, facts, plan, outcomes, fulfillments, stage)
        findings = _findings(batch, stage)
        if exit_code is None:
            exit_code = exit_code_of(summary, stage, fulfillments_apart(findings))
        summary = summary.model_copy(update={"exit_code": exit_code})
        folder = batch.folder
        raw_orders = scan_raw(batch.table("raw_orders"))
        write_results(
            raw_orders.select(
                "source_order_id", "file", "line", original_struct(raw_orders.collect_schema())
            ),
            quarantine,
            outcomes,
            _filled_values(batch),
            folder / "results.csv",
            scratch,
            read_corrected_cells(batch),
            scan_table(batch, "corso_orders") if stage == "reconcile" else None,
        )
        write_quarantine(quarantine, folder / "quarantine.csv", scratch, read_corrected_cells(batch))
        report = _report(batch, facts, summary, findings, quarantine, outcomes, now, stopped)
        if stage == "reconcile":
            with replacing(folder / "reconciliation.parquet") as draft:
                findings.write_parquet(draft)
            save_late_edits(batch)
            write_workbook(report, folder / "results.csv", folder / "quarantine.csv", folder / WORKBOOK)
            remember_written(batch)
            report = replace(report, certificate=certify_batch(batch, report))
        render_html(report, folder / "reconciliation.html")
    # Last: whoever finds a new summary finds the files that it speaks of.
    summary.write(folder / "summary.json")
    batch.publish()
    return summary


def _findings(batch: Batch, stage: Stage) -> pl.DataFrame:
    table = scan_table(batch, "reconciliation") if stage == "reconcile" else None
    return empty_frame(FINDINGS) if table is None else table.collect()


def _healed(batch: Batch, stage: Stage) -> pl.DataFrame:
    """Return what healed, the latest first; of very many not all: the report shows them, and proves nothing by them."""
    table = scan_table(batch, "healed") if stage == "reconcile" else None
    return empty_frame(HEALED) if table is None else table.head(HEALED_IN_REPORT).collect()


def _filled_values(batch: Batch) -> pl.LazyFrame:
    """Return what fallbacks filled; nothing where an older version planned the batch, and did not keep it."""
    values = scan_table(batch, "filled_values")
    return empty_frame(FILLED_VALUES).lazy() if values is None else values


def _ended(
    batch: Batch, plan: pl.LazyFrame | None, stage: Stage, scratch: Path
) -> tuple[pl.LazyFrame, FulfillmentCounts]:
    """Return how the orders ended (OUTCOME_TABLE, read from `scratch`), and how many fulfillments did in each way."""
    not_sent = FulfillmentCounts(not_sent=count_rows(batch, "accepted_fulfillments"))
    if plan is None:
        return empty_frame(OUTCOME_TABLE).lazy(), not_sent
    outcomes = write_outcomes(batch, plan, "order", scratch)
    if stage == "plan":
        # Nothing was sent by this plan, whatever earlier ones did.
        return outcomes.with_columns(outcome=pl.lit("not_sent"), reason=pl.lit("planned")), not_sent
    fulfillments = write_outcomes(batch, plan, "fulfillment", scratch)
    if stage == "reconcile":
        # The ledger moves on: this is what a second person counts again.
        with replacing(batch.table("fulfillment_outcomes")) as draft:
            fulfillments.select("source_order_id", "source_fulfillment_id", "outcome").sink_parquet(
                draft, compression="zstd", maintain_order=True
            )
    return outcomes, FulfillmentCounts(**count_by(fulfillments, "outcome"))


def _summary(
    batch: Batch,
    facts: Facts,
    plan: pl.LazyFrame | None,
    outcomes: pl.LazyFrame,
    fulfillments: FulfillmentCounts,
    stage: Stage,
) -> Summary:
    accepted = TableCounts(
        **{name: count_rows(batch, f"accepted_{name}") for name in TableCounts.model_fields}
    )
    quarantined = count_quarantined(batch)
    source = TableCounts(
        **{name: getattr(accepted, name) + getattr(quarantined, name) for name in TableCounts.model_fields}
    )
    compared = stage == "reconcile"
    return Summary(
        store_id=batch.settings.loader.store.id,
        batch=batch.name,
        source=source,
        accepted=accepted,
        quarantined=quarantined,
        plan=PlanCounts(**count_by(plan.filter(subject="order"), "action"))
        if plan is not None
        else PlanCounts(),
        outcome=OutcomeCounts(**count_by(outcomes, "outcome")),
        fulfillments=fulfillments,
        reconciliation=facts.reconciliation if compared else ReconciliationCounts(),
        requests=facts.requests,
        money=facts.money if compared else _source_money(batch),
    )


def _source_money(batch: Batch) -> tuple[MoneyRow, ...]:
    """Return the source's side of the money before anything was compared."""
    store = batch.settings.loader.store
    accepted = pl.scan_parquet(batch.table("accepted_orders"), glob=False).select(
        *month_and_currency(store.time_zone, store.currency), accepted="total_money", source="total_money"
    )
    quarantined = (
        pl.scan_parquet(batch.table("quarantined_orders"), glob=False)
        .filter(
            (pl.col("table") == "orders")
            & (pl.col("kind") == "quarantined")
            & pl.col("total_money").is_not_null()
        )
        .select("month", "currency", source="total_money")
    )
    sums = (
        pl.concat([accepted, quarantined], how="diagonal")
        .group_by("currency", "month")
        .agg(pl.col("source", "accepted").sum())
        .sort("currency", "month")
        .with_columns(corso=pl.lit(0).cast(pl.Decimal(38, 4)), difference=pl.col("accepted"))
    )
    return money_rows(sums.collect())


def _report(
    batch: Batch,
    facts: Facts,
    summary: Summary,
    findings: pl.DataFrame,
    quarantine: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    now: datetime,
    stopped: str | None,
) -> ReportFacts:
    loader = batch.settings.loader
    return ReportFacts(
        summary=summary,
        findings=findings,
        problems=problems_by_frequency(quarantine),
        reasons=reasons_by_frequency(outcomes),
        generated_at=now,
        version=metadata.version("corso-loader"),
        profile=facts.profile,
        environment=said_environment(loader),
        time_zone=loader.store.time_zone,
        fallbacks_used=facts.fallbacks_used,
        moved=facts.moved,
        corrections=facts.corrections,
        files=facts.files,
        versions={name: metadata.version(name) for name in LIBRARIES},
        ignored=loader.reconcile.ignore,
        notes=_notes(facts),
        stopped=stopped,
        stage=facts.stage,
        healed=_healed(batch, facts.stage),
        orders_by_month=months_of(batch, facts.stage, quarantine, outcomes, findings),
        opened=opened_of(batch, quarantine, outcomes, findings),
        personal=shows_personal_data(batch),
    )


def _notes(facts: Facts) -> Sequence[str]:
    times = [
        f"{count:,} {'time without an offset was' if count == 1 else 'times without an offset were'} {kind} where daylight saving changes; see the documentation of dates."
        for kind, count in facts.times_settled.items()
        if count
    ]
    return (
        *facts.review_notes,
        *facts.upload_notes,
        *facts.notes,
        *_quota_notes(facts.quota),
        *times,
        *facts.drift,
    )


def _quota_notes(quota: QuotaUse) -> Iterator[str]:
    if quota.used_share is None or quota.foreign_share is None:
        return
    told = (
        f" of {quota.limit:,} requests per {said_length(quota.length_s)} s"
        if quota.limit and quota.length_s
        else ""
    )
    yield (
        f"This loader used {quota.used_share * 100:.0f} % of the API's quota{told} while it ran, "
        f"others {quota.foreign_share * 100:.0f} %."
    )
