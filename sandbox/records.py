"""What is kept and answered: the sender's fields together with those that the server assigns.

Assumed throughout: `orderNumber` falls back to `sourceOrderId` (documented) already in the record; an update
replaces every field of the sender; a line item keeps its `lineItemId` through an update as long as it keeps
its `sourceLineItemId`; what was cancelled is told by `canceledReason` and `sourceCanceledOn`.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox import exact_json
from sandbox.store import OrderRow

LINE_ITEM_IDS_PER_ORDER = 1_000_000
"""Line items are numbered within their order, so that no counter of them has to survive a restart."""


def store_key(order: dict[str, Any]) -> str:
    """Return the store's id in one spelling: 9359 and 9359.0 are one store."""
    return format(order["storeId"].normalize(), "f")


def new_order(order_id: int, order: dict[str, Any]) -> OrderRow:
    """Make the row of an order that was created just now."""
    return _row(order_id, order, created_on=moment(), known_lines=[])


def updated_order(row: OrderRow, order: dict[str, Any]) -> OrderRow:
    """Make the row of an order that is replaced as a whole; it keeps its id and the time of its creation."""
    before = exact_json.load(row.record.encode())
    return _row(row.order_id, order, created_on=before["createdOn"], known_lines=before["lineItems"])


def cancelled_order(row: OrderRow, cancellation: dict[str, Any]) -> OrderRow:
    """Make the row of an order that was cancelled just now."""
    record = exact_json.load(row.record.encode()) | cancellation | {"updatedOn": moment()}
    return OrderRow(
        order_id=row.order_id,
        store_id=row.store_id,
        source_order_id=row.source_order_id,
        email=row.email,
        order_name=row.order_name,
        order_number=row.order_number,
        cancelled=True,
        record=exact_json.dump(record),
    )


def new_fulfillment(fulfillment_id: int, fulfillment: dict[str, Any]) -> str:
    """Make the record of a fulfillment that was created just now."""
    now = moment()
    assigned = {"fulfillmentId": fulfillment_id, "createdOn": now, "updatedOn": now}
    return exact_json.dump(assigned | fulfillment)


def _row(
    order_id: int, order: dict[str, Any], *, created_on: str, known_lines: list[dict[str, Any]]
) -> OrderRow:
    now = moment() if known_lines else created_on
    record = {"orderId": order_id, "orderNumber": order["sourceOrderId"], **order}
    record["lineItems"] = _line_items(order_id, order["lineItems"], known_lines, now)
    record["createdOn"] = created_on
    record["updatedOn"] = now
    if "grams" in order:
        # What Corso computes here is not published; a reader must only get along with its being there.
        record["carbonGrams"] = order["grams"] * Decimal("0.5")
        record["carbonCalculationMethod"] = "sandbox"
    email = order.get("customer", {}).get("email")
    return OrderRow(
        order_id=order_id,
        store_id=store_key(order),
        source_order_id=order["sourceOrderId"],
        email=email.casefold() if email is not None else None,
        order_name=order.get("orderName"),
        order_number=record["orderNumber"],
        cancelled=False,
        record=exact_json.dump(record),
    )


def _line_items(
    order_id: int, line_items: list[dict[str, Any]], known_lines: list[dict[str, Any]], now: str
) -> list[dict[str, Any]]:
    known = {line["sourceLineItemId"]: line for line in known_lines}
    first_id = order_id * LINE_ITEM_IDS_PER_ORDER
    next_id = 1 + max((int(line["lineItemId"]) for line in known_lines), default=first_id)
    kept = []
    for line in line_items:
        before = known.pop(line["sourceLineItemId"], None)
        if before is None:
            assigned = {"lineItemId": next_id, "createdOn": now}
            next_id += 1
        else:
            assigned = {"lineItemId": before["lineItemId"], "createdOn": before["createdOn"]}
        kept.append({"orderId": order_id, **assigned, "updatedOn": now, **line})
    return kept


def moment(*, seconds_ago: float = 0.0) -> str:
    """Spell a moment as records do: always as long, so that texts sort as the moments do."""
    then = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return then.isoformat(timespec="microseconds").replace("+00:00", "Z")
