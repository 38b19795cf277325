"""Metadata of a reconciliation: numbers under names that stay the same, so that Dagster plots them over runs.

Never rows and never values of the data, which are personal. Amounts are floats here, as Dagster plots nothing else; the
exact ones are in the report. https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from corso.report.certificate import Certificate
from corso.report.compare import Reconciliation
from corso.report.summary import Summary
from corso.storage.address import is_in_a_bucket
from schemas.reconciliation import CAUSES, KINDS

Figures = Mapping[str, Any]


def figures_of_findings(result: Reconciliation) -> Figures:
    """Return what comparing found: orders by class, findings by kind, cause and life, money per currency."""
    told = result.findings.select(
        pl.len().alias("findings"),
        *(pl.col("kind").eq(kind).sum().alias(f"findings, kind {kind}") for kind in KINDS),
        # Every cause, also the ones that did not come up: a plot needs its zeros.
        *(pl.col("cause").eq(cause).sum().alias(f"findings, {cause}") for cause in CAUSES),
        pl.col("source_fulfillment_id").count().alias("findings about fulfillments"),
        (pl.col("age_days") == 0).sum().alias("findings, first seen today"),
        pl.col("age_days").max().fill_null(0).alias("oldest finding, days"),
        pl.col("owner").count().alias("findings with an owner"),
        pl.col("signed_off_at").count().alias("findings signed off"),
        pl.col("fallen_sign_off").count().alias("findings whose sign-off fell"),
    ).collect()
    healed = result.healed.select(pl.len()).collect().item()
    figures: dict[str, Any] = {**result.counts, **told.row(0, named=True), "findings healed so far": healed}
    totals = result.money.group_by("currency").agg(
        pl.col("source", "accepted", "corso").sum(), apart=pl.col("difference").abs().sum()
    )
    for currency, *amounts in totals.sort("currency").iter_rows():
        names = ("source", "accepted", "in Corso", "apart")
        figures |= {f"{currency} {name}": float(amount) for name, amount in zip(names, amounts, strict=True)}
    return figures


def figures_of_report(shown: Callable[[str], str], summary: Summary, certificate: Certificate) -> Figures:
    """Return where the report is, and the numbers that it begins with; `shown` tells where a file of the batch is."""
    page = shown("reconciliation.html")
    accepted, compared = summary.accepted.orders, summary.reconciliation
    return {
        "report": dg.MetadataValue.url(page if is_in_a_bucket(page) else Path(page).resolve().as_uri()),
        "report file": dg.MetadataValue.path(page),
        "workbook": dg.MetadataValue.path(shown("reconciliation.xlsx")),
        "certificate": dg.MetadataValue.path(shown("certificate.json")),
        "certificate's SHA-256": certificate.sha256,
        "verdict": certificate.verdict,
        "exit code": summary.exit_code,
        "source orders": summary.source.orders,
        "accepted orders": accepted,
        "quarantined orders": summary.quarantined.orders,
        "matched orders": compared.matched,
        "matched, percent of accepted": 100 * compared.matched / accepted if accepted else 100.0,
        "requests sent": summary.requests.sent,
    }
