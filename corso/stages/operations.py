"""A plan's rows as operations: from the frame to the plain values that delivery takes."""

from collections.abc import Iterable, Mapping

import polars as pl

from corso.delivery.ledger import Key
from corso.errors import UsageError
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
            kind=kind,
            source_order_id=source_order_id,
            source_fulfillment_id=source_fulfillment_id,
            corso_order_id=None,
            payload=_there(payload, source_order_id),
            payload_hash=payload_hash,
            cancelled=cancelled,
            content=content.encode() if content else b"",
            content_hash=content_hash or "",
            cancellation=cancellation.encode() if cancellation else b"",
        )
        for (
            subject,
            action,
            source_order_id,
            source_fulfillment_id,
            payload,
            payload_hash,
            cancelled,
            content,
            content_hash,
            cancellation,
        ) in rows.select(_COLUMNS).iter_rows()
        if (kind := _KINDS.get((subject, action)))
    ]


def _there(payload: str | None, source_order_id: str) -> bytes:
    if payload is None:
        message = f"the plan has no payload of order {source_order_id} any more (erased, or purged): plan the batch again"
        raise UsageError(message)
    return payload.encode()


def rows_of(plan: pl.LazyFrame, keys: Iterable[Key], *, but: bool = False) -> pl.LazyFrame:
    """Return the plan's rows of these entries, or of all `but` these, in the plan's order."""
    wanted = pl.DataFrame(
        list(keys), schema={"source_order_id": pl.String, "source_fulfillment_id": pl.String}, orient="row"
    )
    # A filter and no join: of a plan that is a file the payloads of the rows found are read, and no others.
    is_wanted = pl.struct(wanted.columns).is_in(wanted.to_struct().implode())
    return plan.filter(~is_wanted if but else is_wanted)
