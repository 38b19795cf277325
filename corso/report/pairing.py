"""Orders put beside their records: who has none, one or several, and which pairs have to be looked at closely.

Narrow frames only: ids, times, totals and the number of each row (`corso.report.row_hashes`). No join is needed for the
many that are equal: over all orders, lines and records of one id, what the source says is added and what Corso says is
taken off, and where one order and one record come to nothing, they are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from corso.report.row_hashes import HASH

_ORDERS, _RECORDS, _ID = "orders", "records", "id"


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


def pair(orders: pl.DataFrame, lines: pl.DataFrame, records: pl.DataFrame) -> Paired:
    """Pair one range.

    `orders`: source_order_id, file, line, source_total, source_created_on, currency, has_currency, HASH. `lines`:
    source_order_id, HASH; one row a line. `records`: source_order_id, corso_order_id, created_on, updated_on,
    corso_total, record_currency, record_created_on, HASH.
    """
    unsure = _unsure(orders, lines, records)
    ours = unsure.filter(pl.col(_ORDERS) > 0)["source_order_id"].implode()
    there = latest(records.filter(pl.col("source_order_id").is_in(ours))).drop(HASH)
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
    strangers = unsure.filter(pl.col(_ORDERS) == 0)
    others = records.drop(HASH).join(strangers, on="source_order_id", how="semi", nulls_equal=True)
    return Paired(apart, surplus, latest(others))


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


def _unsure(orders: pl.DataFrame, lines: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    """Return source_order_id, how many orders and how many records, of all that are not one equal pair.

    Ids are added up by their hashes first, in half the time of texts: nearly all come to one equal pair. Two pairs whose ids
    have one hash do not, and are looked at by their ids, like all that is left.
    """
    sides = (orders, lines, records)
    hashed = pl.col("source_order_id").hash(0)
    left = _added_up(sides, hashed.alias(_ID)).collect(engine="streaming")[_ID].implode()
    rest = [side.filter(hashed.is_in(left)) for side in sides]
    return _added_up(rest, pl.col("source_order_id")).collect()


def _added_up(sides: Sequence[pl.DataFrame], key: pl.Expr) -> pl.LazyFrame:
    """Return a key, how many orders and how many records it has, for all keys that are not one equal pair."""
    orders, lines, records = sides
    none, one = pl.lit(0, pl.UInt32()), pl.lit(1, pl.UInt32())
    parts = [
        frame.lazy().select(key, number.alias(HASH), order.alias(_ORDERS), record.alias(_RECORDS))
        for frame, number, order, record in (
            (orders, pl.col(HASH), one, none),
            (lines, pl.col(HASH), none, none),
            (records, pl.lit(0, pl.UInt64()) - pl.col(HASH), none, one),
        )
    ]
    is_pair = (pl.col(_ORDERS) == 1) & (pl.col(_RECORDS) == 1) & (pl.col(HASH) == 0)
    return (
        pl.concat(parts)
        .group_by(key.meta.output_name())
        .agg(pl.col(HASH, _ORDERS, _RECORDS).sum())
        .filter(~is_pair)
        .drop(HASH)
    )
