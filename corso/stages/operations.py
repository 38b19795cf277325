"""A plan's rows as operations: from the frame to the plain values that delivery takes."""

from collections.abc import Iterable, Mapping

import polars as pl

from corso.delivery.ledger import Key
from schemas.wire import Operation, OperationKind

_KINDS: Mapping[tuple[str, str], OperationKind] = {
    ("order", "create"): "create_order",
    ("order", "update"): "update_order",
    ("order", "cancel"): "cancel_order",
    ("fulfillment", "create"): "create_fulfillment",
}
_COLUMNS = (
    "subject",
    "action",
    "source_order_id",
    "source_fulfillment_id",
    "payload",
    "payload_hash",
    "cancelled",
    "content",
    "content_hash",
    "cancellation",
)


def operations_of(rows: pl.DataFrame) -> list[Operation]:
    """Return the operations of these rows (`corso.extract.plan.PLAN_COLUMNS`); rows without one are left out.

    Corso's id of the order is not in the plan; `corso.delivery.admission` gives it.
    """
    return [
        Operation(
            kind=_KINDS[row["subject"], row["action"]],
            source_order_id=row["source_order_id"],
            source_fulfillment_id=row["source_fulfillment_id"],
            corso_order_id=None,
            payload=row["payload"].encode(),
            payload_hash=row["payload_hash"],
            cancelled=row["cancelled"],
            content=(row["content"] or "").encode(),
            content_hash=row["content_hash"] or "",
            cancellation=(row["cancellation"] or "").encode(),
        )
        for row in rows.select(_COLUMNS).iter_rows(named=True)
        if (row["subject"], row["action"]) in _KINDS
    ]


def rows_of(plan: pl.LazyFrame, keys: Iterable[Key], *, but: bool = False) -> pl.LazyFrame:
    """Return the plan's rows of these entries, or of all `but` these, in the plan's order."""
    wanted = pl.LazyFrame(
        list(keys), schema={"source_order_id": pl.String, "source_fulfillment_id": pl.String}, orient="row"
    )
    return plan.join(
        wanted,
        on=["source_order_id", "source_fulfillment_id"],
        how="anti" if but else "semi",
        maintain_order="left",
    )
