"""Rows as numbers: two sides that say the same have the same two numbers, so that nearly all rows are settled by them.

Of ten million orders nearly all are equal; joining two wide tables to find that out would cost their whole size. Here
each side is read once and each order, its lines included, becomes 128 bits. Orders whose numbers are equal are equal (that
two different ones have the same 128 bits is likelier by no more than 1 in 10^20 in any store); the others are compared
field by field (`corso.report.differences`). The converse does not hold: values that only a tolerance makes equal have
different numbers.

polars' hashes change from version to version, so these never leave one reconciliation.
"""

from collections.abc import Callable, Collection, Iterable

import polars as pl

HASHES = ("hash_a", "hash_b")
"""The two numbers of a row."""
_SEEDS = dict(zip(HASHES, (1, 10_001), strict=True))
_OF_LINE = 5_000
"""Line items take other seeds than orders."""


def order_hashes(columns: Iterable[str], source_order_id: str = "source_order_id") -> list[pl.Expr]:
    """Return the two numbers of an order's own columns.

    An order number that is missing stands for the order's id, as Corso falls back to it (documented).
    """
    fallback = pl.coalesce("order_number", source_order_id)
    values = {name: fallback if name == "order_number" else pl.col(name) for name in columns}
    return [_mixed(values, seed).alias(name) for name, seed in _SEEDS.items()]


def line_hashes(columns: Collection[str]) -> list[pl.Expr]:
    """Return the two numbers of one line item; those of an order's lines are to be summed up."""
    return _line_hashes(columns, pl.col)


def listed_line_hashes(columns: Collection[str]) -> list[pl.Expr]:
    """Return, for a record of the listing, the sums of the numbers of its lines."""

    def of_element(name: str) -> pl.Expr:
        return pl.element().struct.field(name)

    return [
        pl.col("line_items").list.eval(value).list.sum().fill_null(0).alias(name)
        for name, value in zip(HASHES, _line_hashes(columns, of_element), strict=True)
    ]


def _line_hashes(columns: Collection[str], value: Callable[[str], pl.Expr]) -> list[pl.Expr]:
    # Hashed once more: sums of the columns alone would not tell which value stands in which line.
    values = {name: value(name) for name in columns}
    return [
        _mixed(values, seed + _OF_LINE).hash(seed + _OF_LINE - 1).alias(name) for name, seed in _SEEDS.items()
    ]


def _mixed(values: dict[str, pl.Expr], seed: int) -> pl.Expr:
    """Return one number of several values: each is hashed in its own way, so that their places count. Sums wrap."""
    mixed = pl.lit(0, pl.UInt64())
    for place, value in enumerate(values.values()):
        mixed = mixed + value.hash(seed + place)
    return mixed
