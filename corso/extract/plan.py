"""The plan: what has to be sent so that Corso holds what the export says.

One row = one order or one fulfillment of the batch, held against what the ledger knows Corso to hold.
"""

from collections.abc import Sequence

import polars as pl

PLAN_COLUMNS: pl.Schema = pl.Schema(
    {
        "subject": pl.String,
        "action": pl.String,
        "source_order_id": pl.String,
        "source_fulfillment_id": pl.String,
        "payload": pl.String,
        "payload_hash": pl.String,
        "cancelled": pl.Boolean,
        "content": pl.String,
        "content_hash": pl.String,
        "cancellation": pl.String,
        "file": pl.String,
        "line": pl.Int64,
    }
)
"""subject: order or fulfillment. action: `schemas.reconciliation.ACTIONS`, and changed_but_fixed for fulfillments.
source_fulfillment_id: empty for orders. payload: the request's body, null where none is to be sent. payload_hash: of the whole order or
fulfillment, also where the body says less (a cancellation). cancelled: whether the order says it is cancelled.
content, content_hash: of orders to cancel, what Corso has to hold before: it changes no cancelled order. cancellation: of
orders to create that are cancelled, the body of the DELETE, should they turn out to be there uncancelled; these have
a content, too."""

KNOWN_COLUMNS: pl.Schema = pl.Schema(
    {
        "source_order_id": pl.String,
        "source_fulfillment_id": pl.String,
        "corso_id": pl.String,
        "held_hash": pl.String,
        "held_cancelled": pl.String,
    }
)
"""What the ledger knows. corso_id: null where nothing was accepted yet. held_hash: of what Corso holds.
held_cancelled: '' no, 'sent' it was created or updated with its cancellation, 'deleted' by DELETE."""


def plan_orders(
    payloads: pl.DataFrame, known: pl.DataFrame, later: Sequence[str] = (), *, cancel_with_delete: bool
) -> pl.DataFrame:
    """Decide what to do with each order (`corso.extract.payloads.order_payloads`).

    `later`: ids of orders that a later batch brought; where they are in Corso, they stay as that one has them.
    """
    orders = known.filter(pl.col("source_fulfillment_id") == "")
    held = payloads.join(orders, on="source_order_id", how="left", maintain_order="left")
    cancelled = pl.col("cancel_payload").is_not_null()
    same = pl.col("held_hash") == pl.col("payload_hash")
    newly_cancelled = cancelled & (pl.col("held_cancelled") == "") & cancel_with_delete
    action = (
        pl.when(pl.col("corso_id").is_null())
        .then(pl.lit("create"))
        # Corso does not change an order that was cancelled by DELETE.
        .when(same | (pl.col("held_cancelled") == "deleted") | pl.col("source_order_id").is_in(later))
        .then(pl.lit("unchanged"))
        .when(newly_cancelled)
        .then(pl.lit("cancel"))
        .otherwise(pl.lit("update"))
    )
    planned = held.with_columns(
        subject=pl.lit("order"), action=action, source_fulfillment_id=pl.lit(""), cancelled=cancelled
    )
    to_cancel = pl.col("action") == "cancel"
    may_be_to_cancel = (pl.col("action") == "create") & cancelled & cancel_with_delete
    return planned.with_columns(
        payload=pl.when(to_cancel)
        .then("cancel_payload")
        .when(pl.col("action") != "unchanged")
        .then("payload"),
        content=pl.when(to_cancel | may_be_to_cancel).then("content"),
        content_hash=pl.when(to_cancel | may_be_to_cancel).then("content_hash"),
        cancellation=pl.when(may_be_to_cancel).then("cancel_payload"),
    ).select(*PLAN_COLUMNS)


def plan_fulfillments(payloads: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Decide what to do with each fulfillment; Corso cannot change one, so a changed one is only reported."""
    held = payloads.join(
        known.filter(pl.col("source_fulfillment_id") != ""),
        on=["source_order_id", "source_fulfillment_id"],
        how="left",
        maintain_order="left",
    )
    action = (
        pl.when(pl.col("corso_id").is_null())
        .then(pl.lit("create"))
        .when(pl.col("held_hash") == pl.col("payload_hash"))
        .then(pl.lit("unchanged"))
        .otherwise(pl.lit("changed_but_fixed"))
    )
    return held.with_columns(
        subject=pl.lit("fulfillment"),
        action=action,
        payload=pl.when(action == "create").then("payload"),
        cancelled=pl.lit(value=False),
        content=pl.lit(None, pl.String),
        content_hash=pl.lit(None, pl.String),
        cancellation=pl.lit(None, pl.String),
    ).select(*PLAN_COLUMNS)
