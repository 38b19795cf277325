"""Rows as numbers: two sides that say the same have the same number, so that nearly all rows are settled by it.

Of ten million orders nearly all are equal; joining two wide tables to find that out would cost their whole size. Here
each order, its id and lines included, becomes 64 bits. A record that has the number of any order is
taken for equal to it: that one that differs is not noticed has a chance of 1 in 10^13 beside a million orders. The others
are compared field by field (`corso.report.differences`). The converse does not hold: values that only a tolerance makes
equal have different numbers, but in those columns that are taken as they are compared (`corso.report.tolerances.as_compared`),
which costs more than the bare values.

polars' hashes change from version to version, so these never leave one reconciliation.
"""

from collections.abc import Callable, Collection, Iterable

import polars as pl

from corso.report.tolerances import LINE_PREFIX, as_compared, column_type
from schemas.fields import MONEY, NUMBER

HASH = "hash"
"""The number of a row."""
_OF_LINE = 5_000
"""Line items take other seeds than orders."""


def order_hash(columns: Iterable[str], loose: Collection[str] = ()) -> pl.Expr:
    """Return the number of an order's id and own columns, of which `loose` are taken as they are compared.

    An order number that is missing stands for the order's id, as Corso falls back to it (documented).
    """
    id_ = pl.col("source_order_id")

    def value(name: str) -> pl.Expr:
        bare = pl.coalesce("order_number", id_) if name == "order_number" else pl.col(name)
        return _hashed(bare, name, "", loose)

    values = [value(name) for name in columns]
    return _mixed([id_, *values], 1).alias(HASH)


def line_hash(columns: Collection[str], loose: Collection[str] = ()) -> pl.Expr:
    """Return the number of one line item; those of an order and its lines are to be summed up."""
    return _line_hash(columns, loose, pl.col).alias(HASH)


def listed_lines_hash(columns: Collection[str], loose: Collection[str] = ()) -> pl.Expr:
    """Return, for a record of the listing, the sum of the numbers of its lines."""
    of_each = _line_hash(columns, loose, pl.element().struct.field)
    return pl.col("line_items").list.eval(of_each).list.sum().fill_null(0).alias(HASH)


def _line_hash(columns: Collection[str], loose: Collection[str], value: Callable[[str], pl.Expr]) -> pl.Expr:
    values = [_hashed(value(name), name, LINE_PREFIX, loose) for name in columns]
    # Hashed once more: sums of the columns alone would not tell which value stands in which line.
    return _mixed(values, _OF_LINE + 1).hash(_OF_LINE)


def _hashed(value: pl.Expr, name: str, prefix: str, loose: Collection[str]) -> pl.Expr:
    if name in loose:
        return as_compared(value, name, prefix)
    # The listing has amounts with more decimals, and the same amount must have the same number on both sides.
    return value.cast(NUMBER) if column_type(name, prefix) == MONEY else value


def _mixed(values: Iterable[pl.Expr], seed: int) -> pl.Expr:
    """Return one number of several values: each is hashed in its own way, so that their places count. Sums wrap."""
    mixed = pl.lit(0, pl.UInt64())
    for place, value in enumerate(values):
        mixed = mixed + value.hash(seed + place)
    return mixed
