"""Orders put beside their records: who has none, one or several, and which pairs have to be looked at closely.

Narrow frames only: ids, times, totals and the two numbers of each row (`corso.report.row_hashes`).
"""

from dataclasses import dataclass

import polars as pl

from corso.report.row_hashes import HASHES

_FROM_ORDER = (
    "source_order_id",
    "currency",
    "has_currency",
    "source_created_on",
    "source_total",
)


@dataclass(frozen=True)
class Paired:
    """One range of a batch, paired with the listing."""

    pairs: pl.DataFrame
    """One row = one accepted order and its only record: source_order_id, currency, has_currency, source_created_on,
    source_total; and of the record, null where there is none or several, corso_order_id, corso_total, record_currency."""
    apart: pl.DataFrame
    """The orders that are not surely equal: one row = one order, with its place and its `class`: missing,
    duplicated or single; single ones also with their record's columns."""
    surplus: pl.DataFrame
    """Records of orders that have several."""
    others: pl.DataFrame
    """Records of no accepted order of the batch."""


def pair(orders: pl.DataFrame, line_hashes: pl.DataFrame, records: pl.DataFrame) -> Paired:
    """Pair one range.

    `orders`: source_order_id, file, line, source_total, source_created_on, currency, has_currency, HASHES.
    `line_hashes`: source_order_id, HASHES; one row a line. `records`: source_order_id, corso_order_id, created_on, updated_on,
    corso_total, record_currency, record_created_on, HASHES.
    """
    mine = _with_lines(orders, line_hashes)
    beside = _beside(mine, records)
    surplus = records.clear()
    if beside.height > mine.height:
        # Nearly no order has several records: only those are sorted out.
        ids = beside.filter(pl.col("source_order_id").is_duplicated())["source_order_id"].unique().implode()
        several = pl.col("source_order_id").is_in(ids)
        those = latest(records.filter(several))
        surplus = those.filter(pl.col("source_order_id").is_duplicated())
        single = those.filter(pl.col("source_order_id").is_unique())
        beside = pl.concat([beside.filter(~several), _beside(mine.filter(several), single)])
        records = pl.concat([records.filter(~several), those])
    unlike = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_in_corso") for name in HASHES)
    absent = pl.col("corso_order_id").is_null()
    beside = beside.with_columns(is_apart=absent | unlike).drop(
        *HASHES, *(f"{name}_in_corso" for name in HASHES)
    )
    held = beside["corso_order_id"].is_not_null().sum() + surplus.height
    others = (
        records.clear()
        if held == records.height
        else latest(records.join(orders, on="source_order_id", how="anti"))
    )
    apart = _apart(beside.filter("is_apart")["source_order_id"], orders, records, surplus)
    return Paired(beside.drop("is_apart"), apart, surplus, others)


def latest(records: pl.DataFrame) -> pl.DataFrame:
    """Return each record once, in its latest state.

    Two cursors that meet, or a record that moved while the listing was read, give the same Corso id twice. Records
    without an id are never taken for one another.
    """
    has_id = pl.col("corso_order_id") != ""
    if not records.select((has_id & pl.col("corso_order_id").is_duplicated()).any()).item():
        return records
    named = (
        records.filter(has_id)
        .sort("updated_on", nulls_last=False, maintain_order=True)
        .unique("corso_order_id", keep="last", maintain_order=True)
    )
    return pl.concat([named, records.filter(~has_id)])


def _with_lines(orders: pl.DataFrame, line_hashes: pl.DataFrame) -> pl.DataFrame:
    sums = line_hashes.lazy().group_by("source_order_id").agg(pl.col(HASHES).sum())
    return (
        orders.lazy()
        .select(*_FROM_ORDER, *HASHES)
        .join(sums, on="source_order_id", how="left", suffix="_of_lines")
        .with_columns(pl.col(name) + pl.col(f"{name}_of_lines").fill_null(0) for name in HASHES)
        .drop(f"{name}_of_lines" for name in HASHES)
        .collect(engine="streaming")
    )


def _beside(orders: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    there = records.lazy().select(
        "source_order_id",
        "corso_order_id",
        "corso_total",
        "record_currency",
        pl.col(HASHES).name.suffix("_in_corso"),
    )
    return orders.lazy().join(there, on="source_order_id", how="left").collect(engine="streaming")


def _apart(
    ids: pl.Series, orders: pl.DataFrame, records: pl.DataFrame, surplus: pl.DataFrame
) -> pl.DataFrame:
    here = pl.col("source_order_id").is_in(ids.implode())
    twice = pl.col("source_order_id").is_in(surplus["source_order_id"].unique().implode())
    return (
        orders.drop(HASHES)
        .filter(here)
        .join(records.drop(HASHES).filter(here & ~twice), on="source_order_id", how="left")
        .with_columns(
            pl.when(twice)
            .then(pl.lit("duplicated"))
            .when(pl.col("corso_order_id").is_null())
            .then(pl.lit("missing"))
            .otherwise(pl.lit("single"))
            .alias("class")
        )
    )
