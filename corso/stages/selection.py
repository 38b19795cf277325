"""Rows of a plan, read slice by slice: what is in memory is a slice, however large the plan.

Not polars' own batches: those of a file are read ahead of whoever takes them, all of a gigabyte of payloads.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import polars as pl

from corso.delivery.ledger import Key
from corso.stages.operations import rows_of

ROWS_A_SLICE = 20_000
"""Some 30 MB of payloads; with slices of 2,000 every row group would be decoded dozens of times over."""


def _all(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows


@dataclass(frozen=True)
class Selection:
    """Some rows of a plan, in its order. Whether a row is among them shows from the row alone."""

    plan: pl.LazyFrame
    """Cheap to slice: a file that is scanned, nothing that is computed first."""
    chosen: Callable[[pl.LazyFrame], pl.LazyFrame] = _all
    """The plan, or a slice of it -> the rows of it that are selected."""

    def where(self, *predicates: pl.Expr, **values: Any) -> Self:
        """Return those of the rows that fulfil all of this; see `polars.LazyFrame.filter`."""
        return self._then(lambda rows: rows.filter(*predicates, **values))

    def of(self, keys: Iterable[Key], *, but: bool = False) -> Self:
        """Return the rows of these entries, or of all `but` these."""
        listed = list(keys)
        return self._then(lambda rows: rows_of(rows, listed, but=but))

    def of_orders(self, source_order_ids: pl.Series) -> Self:
        """Return the rows about these orders, their fulfillments included."""
        return self.where(pl.col("source_order_id").is_in(source_order_ids.implode()))

    @property
    def rows(self) -> pl.LazyFrame:
        """All of them at once."""
        return self.chosen(self.plan)

    def count(self) -> int:
        """Return how many there are."""
        return _count(self.rows)

    def slices(self, most: int) -> Iterator[pl.DataFrame]:
        """Yield them, at most so many at once."""
        for start in range(0, _count(self.plan), ROWS_A_SLICE):
            yield from self.chosen(self.plan.slice(start, ROWS_A_SLICE)).collect().iter_slices(most)

    def _then(self, choose: Callable[[pl.LazyFrame], pl.LazyFrame]) -> Self:
        chosen = self.chosen
        return type(self)(self.plan, lambda rows: choose(chosen(rows)))


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())
