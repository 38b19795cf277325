"""Amounts that the export has and Corso's order has no field for: what a profile's money policy did with them.

Sums over accepted orders, by kind, place and currency; which order had which amount stands in the export.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from schemas.fields import MONEY

MOVED_COLUMNS = pl.Schema(
    {"kind": pl.String(), "into": pl.String(), "currency": pl.String(), "orders": pl.Int64(), "amount": MONEY}
)
"""kind: what the profile calls it. into: subtotal, shipping, tax, lines, nothing. orders: accepted orders that had some.
amount: their sum; less than nothing where it was taken away."""


@dataclass(frozen=True)
class MovedAmount:
    """One row of MOVED_COLUMNS."""

    kind: str
    into: str
    currency: str
    orders: int
    amount: Decimal


def moved_amounts(parts: Iterable[pl.DataFrame]) -> tuple[MovedAmount, ...]:
    """Add up frames of MOVED_COLUMNS; one value for each kind, place and currency, in the order of their names."""
    whole = (
        pl.concat([pl.DataFrame(schema=MOVED_COLUMNS), *parts])
        .group_by("kind", "into", "currency")
        .agg(pl.col("orders", "amount").sum())
        .sort("kind", "into", "currency")
    )
    return tuple(MovedAmount(*row) for row in whole.select(*MOVED_COLUMNS).iter_rows())
