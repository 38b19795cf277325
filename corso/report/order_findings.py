"""What is wrong with whole orders: findings out of paired orders and records (`corso.report.pairing`).

Two decisions. An order that is quarantined in this batch is a finding with that cause, missing or, where an earlier batch
brought it, different; it is in no class, as these count accepted orders. A record that somebody else wrote under its id is a
finding of its own, `foreign` with the cause `quarantined`: the order is ours, the record is not, nor need the currency be.
"""

import polars as pl

from corso.report.bridge import CURRENCY_FIELD
from corso.report.causes import cause_of_difference, cause_of_missing
from corso.report.pairing import Paired
from schemas.money import UNDATED, month_of

ID_FIELD = "source_order_id"
"""The field of a finding about a record that carries another id than the one that it was sent with."""


def missing(paired: Paired, renamed: pl.DataFrame) -> pl.DataFrame:
    """Return one finding for every accepted order without a record under its id.

    `renamed`: source_order_id, corso_order_id, renamed (its id now) of those whose record somebody gave another one.
    """
    gone = paired.apart.filter(pl.col("class") == "missing").drop("corso_order_id")
    is_renamed = pl.col("renamed").is_not_null()
    return gone.join(renamed, on="source_order_id", how="left").with_columns(
        kind=pl.lit("missing"),
        cause=pl.when(is_renamed).then(pl.lit("changed_in_corso")).otherwise(cause_of_missing()),
        field=pl.when(is_renamed).then(pl.lit(ID_FIELD)),
        source_value=pl.when(is_renamed).then("source_order_id"),
        corso_value="renamed",
        source_money="source_total",
    )


def different(paired: Paired, differences: pl.DataFrame, *, by_its_own_currency: bool) -> pl.DataFrame:
    """Return one finding for every field that differs between an order and its only record.

    Where the currency itself differs, the record's total stands on the finding that says so, and is in that currency
    (`by_its_own_currency`: currencies are compared; see `corso.report.totals`).
    """
    found = differences.join(paired.apart, on="source_order_id").with_columns(
        kind=pl.lit("different"), cause=cause_of_difference(), source_money="source_total"
    )
    other_currency = _own_currency(by_its_own_currency) != pl.col("currency")
    return found.with_columns(
        corso_money=pl.when(
            ~other_currency.fill_null(value=False) | (pl.col("field") == CURRENCY_FIELD)
        ).then("corso_total")
    )


def duplicated(paired: Paired, *, by_its_own_currency: bool) -> pl.DataFrame:
    """Return one finding for each record of a duplicated order, the oldest record first.

    A record in another currency than the order's is in its own.
    """
    number = pl.int_range(1, pl.len() + 1).over("source_order_id")
    told = pl.format(
        "record {} of {}, created {}{}{}",
        number,
        pl.len().over("source_order_id"),
        pl.col("created_on").dt.strftime("%Y-%m-%dT%H:%M:%SZ").fill_null("at an unknown time"),
        pl.when((pl.col("corso_order_id") == pl.col("ledger_corso_order_id")).fill_null(value=False))
        .then(pl.lit(", the one in the ledger"))
        .otherwise(pl.lit("")),
        pl.when("is_cancelled").then(pl.lit(", cancelled")).otherwise(pl.lit("")),
    )
    orders = paired.apart.filter(pl.col("class") == "duplicated").drop(
        "corso_order_id",
        "created_on",
        "updated_on",
        "corso_total",
        "record_currency",
        "record_created_on",
        "is_cancelled",
    )
    own = _own_currency(by_its_own_currency)
    return (
        orders.join(paired.surplus, on="source_order_id")
        .sort("source_order_id", "created_on", "corso_order_id")
        .with_columns(
            kind=pl.lit("duplicated"),
            cause=pl.lit("duplicate"),
            rank=number.cast(pl.Int32),
            corso_value=told,
            source_money=pl.when((own == pl.col("currency")).fill_null(value=True)).then("source_total"),
            corso_money="corso_total",
            currency=pl.coalesce(own, "currency"),
        )
    )


def foreign(
    paired: Paired, known: pl.DataFrame, quarantined: pl.DataFrame, time_zone: str, no_currency: str
) -> pl.DataFrame:
    """Return one finding for each record of no batch in the ledger; `known` are the ids that the ledger knows."""
    ours = quarantined.select("source_order_id", "file", "line", quarantined=pl.lit(value=True))
    return (
        paired.others.join(known, on="source_order_id", how="anti")
        .join(ours, on="source_order_id", how="left")
        .with_columns(
            pl.when(pl.col("source_order_id") != "").then(pl.col("source_order_id")).alias("source_order_id"),
            kind=pl.lit("foreign"),
            cause=pl.when(pl.col("quarantined")).then(pl.lit("quarantined")).otherwise(pl.lit("foreign")),
            currency=pl.col("record_currency").fill_null(no_currency),
            month=month_of(pl.col("record_created_on"), time_zone),
            corso_money="corso_total",
        )
    )


def renamed(foreign: pl.DataFrame, owners: pl.DataFrame) -> pl.DataFrame:
    """Return the same findings; of a record that is an order of the ledger's each says that somebody gave it another id.

    `owners`: corso_order_id, ledger_order_id.
    """
    is_renamed = pl.col("ledger_order_id").is_not_null()
    return foreign.join(owners, on="corso_order_id", how="left").with_columns(
        cause=pl.when(is_renamed).then(pl.lit("changed_in_corso")).otherwise("cause"),
        field=pl.when(is_renamed).then(pl.lit(ID_FIELD)),
        source_value="ledger_order_id",
        corso_value=pl.when(is_renamed).then("source_order_id"),
    )


def of_quarantined(paired: Paired, known: pl.DataFrame, quarantined: pl.DataFrame) -> pl.DataFrame:
    """Return one finding for every quarantined order; `known` are the ids that the ledger knows.

    Of one that an earlier batch brought Corso holds what that one said.
    """
    ours = paired.others.join(known, on="source_order_id").sort("source_order_id", "corso_order_id")
    held = ours.unique("source_order_id", keep="first").select("source_order_id", "corso_order_id")
    return quarantined.join(held, on="source_order_id", how="left").with_columns(
        kind=pl.when(pl.col("corso_order_id").is_null())
        .then(pl.lit("missing"))
        .otherwise(pl.lit("different")),
        cause=pl.lit("quarantined"),
        source_money="source_total",
    )


def quarantined_orders(rows: pl.DataFrame, orders: pl.DataFrame) -> pl.DataFrame:
    """Return the quarantined orders, each once; a row without an id is an order of its own.

    `rows`: source_order_id, file, line, currency, month, source_total of rows of orders. `orders`: the accepted ones.
    """
    first = rows.sort("file", "line").filter(
        pl.col("source_order_id").is_null() | pl.col("source_order_id").is_first_distinct()
    )
    # Of a million accepted orders few are spoken of, or none.
    accepted = orders.filter(pl.col("source_order_id").is_in(first["source_order_id"].implode()))
    return first.join(accepted, on="source_order_id", how="anti")


def with_month(findings: pl.DataFrame, time_zone: str) -> pl.DataFrame:
    """Give findings of accepted orders their month: only now, as writing it for every order would take a second."""
    if findings.is_empty():
        return findings.with_columns(month=pl.lit(UNDATED))
    return findings.with_columns(month=month_of(pl.col("source_created_on"), time_zone))


def _own_currency(counts: bool) -> pl.Expr:
    """Return the currency that a record names, where the source names one, too, and that `counts`."""
    return pl.when(pl.col("has_currency") & counts).then("record_currency")
