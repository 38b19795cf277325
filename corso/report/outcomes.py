"""How each accepted order and fulfillment of a batch ended: the plan held against the ledger."""

from datetime import datetime

import polars as pl

LEDGER_COLUMNS = pl.Schema(
    {
        "source_order_id": pl.String(),
        "source_fulfillment_id": pl.String(),
        "corso_id": pl.String(),
        "held_hash": pl.String(),
        "held_at": pl.Datetime("us", "UTC"),
        "state": pl.String(),
        "attempted_hash": pl.String(),
        "batch": pl.String(),
        "attempts": pl.Int64(),
        "reason": pl.String(),
    }
)
"""What the ledger says of an entry, as a frame; attempted_hash, batch and attempts are of its current operation."""

PLAN_NEEDED = (
    "subject",
    "action",
    "source_order_id",
    "source_fulfillment_id",
    "payload_hash",
    "content_hash",
)
"""The columns of a plan that outcomes are told by."""

_DONE = {"create": "created", "update": "updated", "cancel": "cancelled"}


def order_outcomes(
    plan: pl.LazyFrame, ledger: pl.LazyFrame, batch: str, planned_at: datetime | None
) -> pl.LazyFrame:
    """Return OUTCOME_TABLE: one row = one accepted order of `batch`.

    What Corso took of another batch since `planned_at` is newer: this one leaves it alone.
    """
    orders = _held_against(plan, ledger, "order")
    return orders.select(
        "source_order_id",
        "action",
        pl.when(_was_overtaken(batch, planned_at))
        .then(pl.lit("unchanged"))
        .otherwise(_outcome())
        .alias("outcome"),
        pl.col("corso_id").alias("corso_order_id"),
        _reason().alias("reason"),
        pl.col("held_at").alias("accepted_at"),
        _holds_planned().alias("holds_planned"),
    )


def fulfillment_outcomes(plan: pl.LazyFrame, ledger: pl.LazyFrame) -> pl.LazyFrame:
    """Return the outcome of every accepted fulfillment.

    source_order_id, source_fulfillment_id, outcome, corso_fulfillment_id, reason, accepted_at, holds_planned: as in
    OUTCOME_TABLE.
    """
    fulfillments = _held_against(plan, ledger, "fulfillment")
    # A look-up may have found it there with other content, after the plan was made.
    there_but_different = pl.col("corso_id").is_not_null() & ~_holds_planned()
    fixed = (pl.col("action") == "changed_but_fixed") | there_but_different
    return fulfillments.select(
        "source_order_id",
        "source_fulfillment_id",
        pl.when(fixed).then(pl.lit("changed_but_fixed")).otherwise(_outcome()).alias("outcome"),
        pl.col("corso_id").alias("corso_fulfillment_id"),
        _reason().alias("reason"),
        pl.col("held_at").alias("accepted_at"),
        _holds_planned().alias("holds_planned"),
    )


def _held_against(plan: pl.LazyFrame, ledger: pl.LazyFrame, subject: str) -> pl.LazyFrame:
    return plan.filter(subject=subject).join(
        ledger, on=["source_order_id", "source_fulfillment_id"], how="left", maintain_order="left"
    )


def _holds_planned() -> pl.Expr:
    return (pl.col("held_hash") == pl.col("payload_hash")).fill_null(value=False)


def _is_current() -> pl.Expr:
    """Whether the ledger's current operation is about what is planned, or about its step before a cancellation."""
    attempted = pl.col("attempted_hash")
    return (attempted == pl.col("payload_hash")).fill_null(value=False) | (
        attempted == pl.col("content_hash")
    ).fill_null(value=False)


def _was_overtaken(batch: str, planned_at: datetime | None) -> pl.Expr:
    """Whether Corso took the order of another batch after this plan was made.

    The batch tells, not the content: a cancelled order's step before its cancellation says what a batch says in which it is
    not cancelled.
    """
    since = pl.lit(planned_at, pl.Datetime("us", "UTC"))
    taken = (pl.col("state") == "accepted") & (pl.col("attempts") > 0) & (pl.col("held_at") > since)
    return (taken & ~_holds_planned() & (pl.col("batch") != batch)).fill_null(value=False)


def _outcome() -> pl.Expr:
    return (
        pl.when(pl.col("action") == "unchanged")
        .then(pl.lit("unchanged"))
        # Held without an attempt: it was in Corso before, and only found there.
        .when(_holds_planned() & (pl.col("attempts") == 0))
        .then(pl.lit("unchanged"))
        .when(_holds_planned())
        .then(pl.col("action").replace_strict(_DONE, default="unchanged"))
        .when(_is_current() & (pl.col("state") == "rejected"))
        .then(pl.lit("rejected"))
        .when(pl.col("state").is_in(["unknown", "sending"]))
        .then(pl.lit("unknown"))
        .otherwise(pl.lit("not_sent"))
    )


def _reason() -> pl.Expr:
    settled = _holds_planned() | (pl.col("action") == "unchanged")
    return pl.when(~settled).then(pl.col("reason"))
