"""What is wrong with the fulfillments of orders that have one record in Corso.

Fulfillments can only be read order by order, and a budget may leave some unread: what is there is compared for those
orders alone whose fulfillments were read. What the ledger knows by itself (rejected, unknown, not sent, changed in the
source although Corso changes none) is a finding in any case. The fulfillments of an order that is missing or duplicated
are not mentioned: the order's own finding comes first.

A finding about a fulfillment never changes the class of its order. It is something to look at, and makes exit code 1,
but for `foreign` ones: live integrations write fulfillments, too.
"""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from corso.report.causes import UNSETTLED, cause_of_difference, cause_of_missing
from corso.report.differences import field_differences
from corso.report.tolerances import (
    DISPATCHES,
    FULFILLMENT_PREFIX,
    IN_CORSO,
    compared_fulfillment_columns,
)
from schemas.fields import TEXT
from schemas.fulfillments import FULFILLMENT_PATHS

KEY = ("source_order_id", "source_fulfillment_id")
RANKS = {name: rank for rank, name in enumerate(FULFILLMENT_PATHS, 2000)}
"""Fulfillments come after an order's own fields and its lines."""


@dataclass(frozen=True)
class FulfillmentSides:
    """The fulfillments of a batch, and what was read of Corso's."""

    accepted: pl.LazyFrame
    """FULFILLMENTS of the batch."""
    outcomes: pl.LazyFrame
    """One row = one accepted fulfillment: KEY, outcome, accepted_at, holds_planned."""
    held: pl.LazyFrame
    """LISTED_FULFILLMENTS."""
    read: pl.LazyFrame
    """FULFILLMENTS_READ: whose fulfillments were read, also where there were none."""

    def by_range(self) -> dict[str, pl.LazyFrame]:
        """Return the tables under names, each with a source_order_id to be cut by."""
        held = self.held.select(
            "corso_order_id", "corso_fulfillment_id", "updated_on", *FULFILLMENT_PATHS, "source_order_id"
        )
        return {
            "fulfillments": self.accepted.select("source_order_id", "file", "line", *FULFILLMENT_PATHS),
            "fulfillment_outcomes": self.outcomes.select(*KEY, "outcome", "accepted_at", "holds_planned"),
            "fulfillments_held": held,
            "fulfillments_read": self.read.select("source_order_id", "corso_order_id").unique(),
        }


def fulfillment_findings(
    tables: dict[str, pl.DataFrame], known: pl.DataFrame, single: pl.DataFrame, ignored: Collection[str]
) -> list[pl.DataFrame]:
    """Return the findings of one range; `tables` as `FulfillmentSides.by_range` names them.

    `known`: KEY of those of the fulfillments held that are in the ledger, whatever their batch.
    `single`: source_order_id, corso_order_id, currency, month of the orders that have one record.
    """
    if DISPATCHES in ignored:
        return []
    # Only of the record that is there now: an order that was made anew has other fulfillments.
    read = tables["fulfillments_read"].join(single, on=["source_order_id", "corso_order_id"], how="semi")
    outcomes = tables["fulfillment_outcomes"]
    planned = (
        tables["fulfillments"]
        .join(outcomes, on=KEY, how="left")
        .join(single, on="source_order_id")
        .with_columns(
            is_read=pl.col("source_order_id").is_in(read["source_order_id"].implode()),
        )
    )
    held = (
        tables["fulfillments_held"]
        .join(read, on=["source_order_id", "corso_order_id"], how="semi")
        .unique("corso_fulfillment_id", keep="last", maintain_order=True)
        .with_columns(copies=pl.len().over(KEY))
    )
    return [
        _missing(planned, held),
        _only_told_by_the_ledger(planned),
        _different(planned, held.filter(pl.col("copies") == 1), ignored),
        _duplicated(planned, held.filter(pl.col("copies") > 1), known, single),
        _foreign(held, planned, known, single),
    ]


def _missing(planned: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    absent = planned.join(held, on=KEY, how="anti")
    told = pl.col("is_read") | pl.col("outcome").is_in(UNSETTLED)
    return absent.filter(told).with_columns(kind=pl.lit("missing"), cause=cause_of_missing())


def _only_told_by_the_ledger(planned: pl.DataFrame) -> pl.DataFrame:
    """Return those that changed in the source and were not read: which fields differ is not known."""
    unread = planned.filter(~pl.col("is_read"), pl.col("outcome") == "changed_but_fixed")
    return unread.with_columns(kind=pl.lit("different"), cause=pl.lit("changed_in_source_since"))


def _different(planned: pl.DataFrame, held: pl.DataFrame, ignored: Collection[str]) -> pl.DataFrame:
    columns = compared_fulfillment_columns(ignored)
    there = held.select(*KEY, "updated_on", pl.col(columns).name.prefix(IN_CORSO))
    pairs = planned.join(there, on=KEY)
    differences = field_differences(pairs, columns, FULFILLMENT_PREFIX, RANKS, KEY)
    if not differences:
        return planned.clear()
    return (
        pl.concat(differences)
        .join(pairs.drop(columns, strict=False), on=KEY)
        .with_columns(kind=pl.lit("different"), cause=cause_of_difference())
    )


def _duplicated(
    planned: pl.DataFrame, held: pl.DataFrame, known: pl.DataFrame, single: pl.DataFrame
) -> pl.DataFrame:
    """Return one finding for each copy of a fulfillment that this batch or an earlier one loaded."""
    number = pl.int_range(1, pl.len() + 1).over(KEY)
    told = pl.format("fulfillment {} of {}, number {} in Corso", number, "copies", "corso_fulfillment_id")
    ours = pl.concat([planned.select(KEY), known.select(KEY)]).unique()
    return (
        held.join(ours, on=KEY, how="semi")
        .sort(*KEY, "corso_fulfillment_id")
        .select(*KEY, rank=number.cast(pl.Int32), corso_value=told)
        .join(planned.select(*KEY, "file", "line"), on=KEY, how="left")
        .join(single, on="source_order_id")
        .with_columns(kind=pl.lit("duplicated"), cause=pl.lit("duplicate"))
    )


def _foreign(
    held: pl.DataFrame, planned: pl.DataFrame, known: pl.DataFrame, single: pl.DataFrame
) -> pl.DataFrame:
    told = pl.format("number {} in Corso", "corso_fulfillment_id")
    return (
        held.join(planned, on=KEY, how="anti")
        .join(known, on=KEY, how="anti")
        .with_columns(kind=pl.lit("foreign"), cause=pl.lit("foreign"), corso_value=told.cast(TEXT))
        .join(single.drop("corso_order_id"), on="source_order_id")
    )
