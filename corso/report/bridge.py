"""The money, step by step, per currency and month: from what the source says to what Corso holds.

source - quarantined - rejected - unknown - not sent = expected
expected - changed - duplicate - unexplained = Corso's records of the batch's orders
these + foreign = all that Corso holds, as far as it was read

Each step's amount comes from the findings, so that each has its rows (`rows_of`). Amounts are exact, and those of two
currencies are never added up.
"""

from collections.abc import Iterable, Mapping
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
AMOUNTS = (
    "source",
    "quarantined",
    *STEPS,
    "expected",
    *APART,
    "corso",
    "difference",
    "foreign",
    "corso_with_foreign",
)
"""The columns of the bridge after `currency` and `month`, in the order of the report."""

_CAUSES: Mapping[str, tuple[str, ...]] = {step: (step,) for step in STEPS} | APART
_KEYS = {"currency": TEXT, "month": TEXT}
CURRENCY_FIELD = "customer_currency_code"
TOTAL_FIELD = "total_money"
_NOTHING = pl.lit(Decimal(0)).cast(MONEY)


def rows_of(step: str) -> pl.Expr:
    """Return which findings a step's amount is made of.

    `step` is one of quarantined, rejected, unknown, not_sent, changed, duplicate, unexplained, foreign.
    """
    kind, cause = pl.col("kind"), pl.col("cause")
    about_an_order = pl.col("source_fulfillment_id").is_null()
    if step == "foreign":
        return about_an_order & (kind == "foreign")
    return about_an_order & (kind != "foreign") & cause.is_in(_CAUSES.get(step, (step,)))


def money_bridge(money: Iterable[MoneyRow], findings: pl.DataFrame) -> pl.DataFrame:
    """Return one row per currency and month with the columns of `AMOUNTS`.

    `corso` are the records of accepted orders, as in summary.json. `expected` = source - quarantined - the steps;
    `difference` = expected - corso, zero where the money ties; it is what `changed`, `duplicate` and `unexplained`
    add up to.
    """
    totals = pl.DataFrame(
        [(row.currency, row.month, row.source, row.accepted, row.corso) for row in money],
        schema=_KEYS | dict.fromkeys(("source", "accepted", "corso"), MONEY),
        orient="row",
    )
    sums = (
        _amounts(findings)
        .group_by("currency", "month")
        .agg(
            *(pl.col("amount").filter(rows_of(name)).sum().alias(name) for name in _CAUSES),
            (-pl.col("amount")).filter(rows_of("foreign")).sum().alias("foreign"),
        )
    )
    # A month in which nothing but foreign records was written is a row, too; findings about rows without amounts are not.
    moved = pl.any_horizontal(pl.col(name) != 0 for name in (*_CAUSES, "foreign"))
    return (
        totals.join(sums.filter(moved), on=list(_KEYS), how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.exclude(list(_KEYS)).fill_null(_NOTHING).cast(MONEY))
        .with_columns(quarantined=pl.col("source") - pl.col("accepted"))
        .with_columns(expected=pl.col("accepted") - pl.sum_horizontal(*STEPS))
        .with_columns(
            difference=pl.col("expected") - pl.col("corso"),
            corso_with_foreign=pl.col("corso") + pl.col("foreign"),
        )
        .select(*_KEYS, pl.col(AMOUNTS).cast(MONEY))
        .sort("currency", "month")
    )


def orders_off(findings: pl.DataFrame) -> pl.DataFrame:
    """Return source_order_id, currency, amount: whose money is off in Corso for no step's reason, and by how much.

    In the sums orders may make up for each other. An amount is zero where a total differs by less than is counted, or a
    currency is left out.
    """
    amounts = _amounts(findings.filter(pl.any_horizontal(rows_of(name) for name in APART)))
    is_named = ((pl.col("kind") == "different") & pl.col("field").is_in([TOTAL_FIELD, CURRENCY_FIELD])).any()
    return (
        amounts.group_by("source_order_id", "currency")
        .agg(pl.col("amount").sum(), is_named=is_named)
        .filter((pl.col("amount") != 0) | pl.col("is_named"))
        .drop("is_named")
    )


def as_effects(bridge: pl.DataFrame) -> pl.DataFrame:
    """Return the bridge as people read it: each step with its sign, so that what stands in a row adds up."""
    taken_off = ("quarantined", *_CAUSES)
    return bridge.with_columns(
        pl.when(pl.col(name) != 0).then(-pl.col(name)).otherwise(pl.col(name)).alias(name)
        for name in taken_off
    )


def _amounts(findings: pl.DataFrame) -> pl.DataFrame:
    """Return each amount of a finding as a row: what the source says, and taken off what Corso says, in its currency.

    On a finding that says that the currency differs, Corso's amount is in the currency that it names.
    """
    named = (pl.col("kind") == "different") & (pl.col("field") == CURRENCY_FIELD)
    there = pl.coalesce(pl.when(named).then("corso_value"), "currency")
    keys = ("month", "kind", "cause", "field", "source_order_id", "source_fulfillment_id")
    parts = [
        findings.select("currency", *keys, amount="source_money"),
        findings.select(there.alias("currency"), *keys, amount=-pl.col("corso_money")),
    ]
    return pl.concat(parts).filter(pl.col("amount").is_not_null())
