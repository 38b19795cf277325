"""Findings and whole reports, made up for the tests of the page and the workbook."""

from decimal import Decimal
from typing import Any

import polars as pl
from factories import NOW, Row, outcomes_frame, quarantine_frame, summary_of

from corso.report.certificate import Certificate, HashedFile, certify
from corso.report.facts import ReportFacts
from corso.report.monthly import ORDERS_BY_MONTH
from corso.report.results import problems_by_frequency, reasons_by_frequency
from corso.report.summary import MoneyRow
from schemas.fields import dtypes
from schemas.reconciliation import FINDINGS


def finding(number: int = 1, **changes: Any) -> Row:
    """Return a finding about a changed order name."""
    row: Row = dict.fromkeys(dtypes(FINDINGS))
    row |= {
        "finding_id": f"{number:016x}",
        "kind": "different",
        "cause": "changed_in_corso",
        "source_order_id": f"o-{number}",
        "corso_order_id": f"{number}",
        "field": "order_name",
        "source_value": "a",
        "corso_value": "b",
        "currency": "USD",
        "month": "2026-11",
        "source_money": Decimal(27),
        "corso_money": Decimal(27),
        "file": "orders.csv",
        "line": number + 1,
        "first_seen": NOW,
        "age_days": 0,
    }
    return row | changes


def findings_frame(rows: list[Row]) -> pl.DataFrame:
    """Return findings as a frame of their schema."""
    return pl.DataFrame(rows, schema=dtypes(FINDINGS), orient="row")


def money_row(accepted: str, corso: str, source: str | None = None, month: str = "2026-11") -> MoneyRow:
    """Return a month's totals in USD."""
    return MoneyRow(
        currency="USD",
        month=month,
        source=Decimal(source or accepted),
        accepted=Decimal(accepted),
        corso=Decimal(corso),
        difference=Decimal(accepted) - Decimal(corso),
    )


def facts(rows: list[Row] | None = None, **changes: Any) -> ReportFacts:
    """Return a report of three orders that are all well, but for `rows` and `changes`."""
    values: dict[str, Any] = {
        "summary": summary_of(accepted=3, money=(money_row("81.00", "81.00"),)),
        "findings": findings_frame(rows or []),
        "problems": problems_by_frequency(quarantine_frame([]).lazy()),
        "reasons": reasons_by_frequency(outcomes_frame([]).lazy()),
        "generated_at": NOW,
        "version": "0.1.0",
        "profile": "canonical",
        "environment": "sandbox, 127.0.0.1:8787",
    }
    return ReportFacts(**values | changes)


def many_findings(number: int) -> pl.DataFrame:
    """Return so many findings of every kind and cause, over sixty months, two currencies and three owners."""
    ways = (
        ("missing", "quarantined"), ("missing", "rejected"), ("missing", "not_sent"), ("different", "changed_in_corso"),
        ("different", "unexplained"), ("duplicated", "duplicate"), ("foreign", "foreign"),
    )  # fmt: skip
    fields = ("total_money", "shipping_title", "customer_email", "line_items.price", "notes")
    at = pl.int_range(number, dtype=pl.Int64, eager=True).alias("at").to_frame()
    kinds, causes = (pl.Series([way[side] for way in ways]) for side in (0, 1))
    is_different = pl.col("kind") == "different"
    money = (1000 + pl.col("at") % 9000).cast(pl.Decimal(38, 4)) / 100
    has_source, has_corso = pl.col("kind") != "foreign", pl.col("kind") != "missing"
    rows = at.with_columns(
        finding_id=pl.format("{}", pl.col("at").hash(1)).str.zfill(20).str.slice(4),
        kind=pl.lit(kinds).gather(pl.col("at") % len(ways)),
        cause=pl.lit(causes).gather(pl.col("at") % len(ways)),
        field=pl.lit(pl.Series(fields)).gather(pl.col("at") % len(fields)),
        month=pl.format(
            "{}-{}", 2022 + pl.col("at") % 60 // 12, (1 + pl.col("at") % 12).cast(pl.String).str.zfill(2)
        ),
        currency=pl.when(pl.col("at") % 10 < 8).then(pl.lit("USD")).otherwise(pl.lit("EUR")),
        owner=pl.when(pl.col("at") % 5 == 0)
        .then(pl.lit("Kim"))
        .when(pl.col("at") % 5 == 1)
        .then(pl.lit("Lou")),
    ).with_columns(
        source_order_id=pl.when(has_source).then(pl.format("450123{}", 1_000_000 + pl.col("at"))),
        corso_order_id=pl.when(has_corso).then(pl.format("{}", 700_000 + pl.col("at"))),
        field=pl.when(is_different).then("field"),
        source_line_item_id=pl.when(is_different & (pl.col("field") == "line_items.price")).then(
            pl.format("{}", "at")
        ),
        source_value=pl.when(is_different).then(pl.format("ann.{}@example.com", "at")),
        corso_value=pl.when(is_different).then(pl.format("bob.{}@example.com", "at")),
        source_money=pl.when(has_source).then(money),
        corso_money=pl.when(has_corso).then(
            money + pl.when(pl.col("field") == "total_money").then(1).otherwise(0)
        ),
        file=pl.lit("in/orders.csv"),
        line=pl.col("at") + 2,
        first_seen=pl.lit(NOW) - pl.duration(days=pl.col("at") % 30),
        age_days=(pl.col("at") % 30).cast(pl.Int32),
        signed_off_by=pl.when(pl.col("at") % 10 == 0).then(pl.lit("Kim Ro")),
        signed_off_at=pl.when(pl.col("at") % 10 == 0).then(pl.lit(NOW)),
    )
    return rows.select(
        (pl.col(name) if name in rows.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in dtypes(FINDINGS).items()
    )


def months_frame() -> pl.DataFrame:
    """Return orders by month and state: three years, with a few that need a look."""
    months = [f"{year}-{month:02d}" for year in (2024, 2025, 2026) for month in range(1, 13)]
    rows = [(month, "matched", 100 + 7 * place) for place, month in enumerate(months)]
    rows += [(month, "missing", 1 + place % 5) for place, month in enumerate(months) if place % 3 == 0]
    return pl.DataFrame([*rows, ("undated", "quarantined", 4)], schema=ORDERS_BY_MONTH, orient="row")


def certificate() -> Certificate:
    """Return the certificate of a small batch."""
    return certify(
        summary_of(accepted=3),
        findings_frame([finding()]),
        verdict="All good.",
        program="corso-loader 0.1.0",
        versions={"polars": "2.1.0"},
        environment="sandbox, 127.0.0.1:8787",
        time_zone="UTC",
        made_at=NOW,
        not_compared=(),
        inputs=[HashedFile(name="in/orders.csv", sha256="a" * 64)],
        outputs=[HashedFile(name="summary.json", sha256="b" * 64)],
    )
