"""Findings and whole reports, made up for the tests of the page and the workbook."""

from decimal import Decimal
from typing import Any

import polars as pl
from factories import NOW, Row, outcomes_frame, quarantine_frame, summary_of

from corso.report.facts import ReportFacts
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
