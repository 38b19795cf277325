"""Orders put beside their records: who has none, one or several, and which pairs have to be looked at closely.

Narrow frames only: ids, times, totals and the number of each row (`corso.report.row_hashes`). No join by ids is needed for the
many that are equal: a record with the number of an order is equal to it, and where an order has one such record and no
other, the two are settled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from corso.report.row_hashes import HASH

ROW = "row"
"""Which of the listing's rows a record is, from 0."""

_ORDERS, _RECORDS, _UNEQUAL, _ID = "orders", "records", "unequal", "id"


@dataclass(frozen=True)
class Paired:
    """One range of a batch, paired with the listing."""

    apart: pl.DataFrame
    """The orders that are not surely equal: one row = one order, with its place and its `class`: missing, duplicated or
    single; single ones also with their record's columns."""
    surplus: pl.DataFrame
    """Records of orders that have several."""
    others: pl.DataFrame
    """Records of no accepted order of the batch."""
    suspects: pl.DataFrame
    """source_order_id, ROW: single ones that may differ from their record, which is this row of the listing; sorted by id."""


def numbers_of_orders(orders: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """Return HASH: for each order, the number of a record that is equal to it.

    `orders`, `lines`: source_order_id, HASH; `lines` are those of exactly these orders. Two orders whose ids have one hash
    become one number, which no record has: they are looked at closely.
    """
    rows = [side.lazy().select(_hashed_id(), HASH) for side in (orders, lines)]
    return pl.concat(rows).group_by(_ID).agg(pl.col(HASH).sum()).select(HASH).collect(engine="streaming")


def pair(orders: pl.DataFrame, records: pl.DataFrame, unequal: pl.Series) -> Paired:
    """Pair one range.

    `orders`: source_order_id, file, line, source_total, source_created_on, currency, has_currency, HASH. `records`:
    ROW, source_order_id, corso_order_id, created_on, updated_on, corso_total, record_currency, record_created_on,
    is_cancelled.
    `unequal`: ROW of those records that have the number of no order.
    """
    differs = pl.col(ROW).is_in(unequal.implode()).alias(_UNEQUAL)
    records = records.drop(HASH, strict=False).with_columns(differs)
    unsure = _unsure(orders, records)
    ours = unsure.filter(pl.col(_ORDERS) > 0)["source_order_id"].implode()
    there = latest(records.filter(pl.col("source_order_id").is_in(ours)))
    several = pl.col("source_order_id").is_duplicated()
    surplus = there.filter(several)
    twice = pl.col("source_order_id").is_in(surplus["source_order_id"].unique().implode())
    apart = (
        orders.drop(HASH)
        .filter(pl.col("source_order_id").is_in(ours))
        .join(there.filter(~several), on="source_order_id", how="left")
        .with_columns(
            pl.when(twice)
            .then(pl.lit("duplicated"))
            .when(pl.col("corso_order_id").is_null())
            .then(pl.lit("missing"))
            .otherwise(pl.lit("single"))
            .alias("class")
        )
    )
    may_differ = apart.filter(pl.col("class") == "single", _UNEQUAL)
    strangers = unsure.filter(pl.col(_ORDERS) == 0)
    others = records.join(strangers, on="source_order_id", how="semi", nulls_equal=True)
    not_told = (ROW, _UNEQUAL)
    return Paired(
        apart=apart.drop(not_told),
        surplus=surplus.drop(not_told),
        others=latest(others).drop(not_told),
        suspects=may_differ.select("source_order_id", ROW).sort("source_order_id"),
    )


def single_records(orders: pl.DataFrame, records: pl.DataFrame, apart: pl.DataFrame) -> pl.DataFrame:
    """Return those of some orders that have one record, with its corso_order_id; `apart` as in Paired."""
    not_one = apart.filter(pl.col("class") != "single")
    here = pl.col("source_order_id").is_in(orders["source_order_id"].implode())
    there = latest(records.filter(here)).select("source_order_id", "corso_order_id")
    return orders.join(not_one, on="source_order_id", how="anti").join(there, on="source_order_id")


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


def _unsure(orders: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return source_order_id, how many orders and how many records, of all that are not one equal pair.

    Ids are counted by their hashes first, in half the time of texts: nearly all come to one equal pair. Two pairs whose ids
    have one hash do not, and are looked at by their ids, like all that is left.
    """
    sides = (orders, records)
    left = _counted(sides, _hashed_id()).collect(engine="streaming")[_ID].implode()
    rest = [side.filter(_hashed_id().is_in(left)) for side in sides]
    return _counted(rest, pl.col("source_order_id")).collect()


def _counted(sides: Sequence[pl.DataFrame], key: pl.Expr) -> pl.LazyFrame:
    """Return a key, how many orders and how many records it has, for all keys that are not one equal pair."""
    orders, records = sides
    none, one = pl.lit(0, pl.UInt32()), pl.lit(1, pl.UInt32())
    parts = [
        orders.lazy().select(key, one.alias(_ORDERS), none.alias(_RECORDS), none.alias(_UNEQUAL)),
        records.lazy().select(
            key, none.alias(_ORDERS), one.alias(_RECORDS), pl.col(_UNEQUAL).cast(pl.UInt32)
        ),
    ]
    is_pair = (pl.col(_ORDERS) == 1) & (pl.col(_RECORDS) == 1) & (pl.col(_UNEQUAL) == 0)
    return (
        pl.concat(parts)
        .group_by(key.meta.output_name())
        .agg(pl.col(_ORDERS, _RECORDS, _UNEQUAL).sum())
        .filter(~is_pair)
        .drop(_UNEQUAL)
    )


def _hashed_id() -> pl.Expr:
    return pl.col("source_order_id").hash(0).alias(_ID)
