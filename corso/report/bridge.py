"""The money, step by step: source - quarantined - rejected - unknown - not sent = Corso, per currency and month.

Each step's amount comes from the findings, so that each has its rows; what is then still apart is named too:
duplicates, changes, and what nobody can explain.
"""

from collections.abc import Iterable
from decimal import Decimal

import polars as pl

from corso.report.summary import MoneyRow
from schemas.fields import MONEY, TEXT

STEPS = ("rejected", "unknown", "not_sent")
"""Causes whose amounts are rightly not in Corso."""
APART = {
    "changed": ("changed_in_corso", "changed_in_source_since"),
    "duplicate": ("duplicate",),
    "unexplained": ("unexplained",),
}
"""Name of an amount by which Corso is off -> the causes that are counted in it."""
AMOUNTS = ("source", "quarantined", *STEPS, "expected", "corso", "difference", *APART)
"""The columns of the bridge after `currency` and `month`, in the order of the report."""


def money_bridge(money: Iterable[MoneyRow], findings: pl.DataFrame) -> pl.DataFrame:
    """Return one row per currency and month with the columns of `AMOUNTS`.

    `expected` = source - quarantined - the steps; `difference` = expected - corso, zero where the money ties.
    """
    keys = {"currency": TEXT, "month": TEXT}
    totals = pl.DataFrame(
        [(row.currency, row.month, row.source, row.accepted, row.corso) for row in money],
        schema=keys | dict.fromkeys(("source", "accepted", "corso"), MONEY),
        orient="row",
    )
    nothing = pl.lit(Decimal(0)).cast(MONEY)
    missing_here = pl.col("source_money").fill_null(nothing) - pl.col("corso_money").fill_null(nothing)
    steps = {name: (name,) for name in STEPS} | APART
    sums = (
        findings.filter(pl.col("kind") != "foreign")
        .group_by("currency", "month")
        .agg(
            missing_here.filter(pl.col("cause").is_in(causes)).sum().alias(name)
            for name, causes in steps.items()
        )
    )
    return (
        totals.join(sums, on=list(keys), how="left")
        .with_columns(pl.col(list(steps)).fill_null(nothing).cast(MONEY))
        .with_columns(quarantined=pl.col("source") - pl.col("accepted"))
        .with_columns(expected=pl.col("accepted") - pl.sum_horizontal(*STEPS))
        .with_columns(difference=pl.col("expected") - pl.col("corso"))
        .select(*keys, pl.col(AMOUNTS).cast(MONEY))
        .sort("currency", "month")
    )
