"""A merchant whose export changes from night to night: new orders, changes, cancellations, fulfillments.

Seeded, so that the same nights come again. It says what has to stand in Corso after each of them.
"""

import random
from dataclasses import dataclass
from typing import Any

from tests.export_factories import Row, fulfillment_text, order_text

_NOTES = (None, "ring twice", "für Zoë 🎁", '"quoted" \\ and\nbroken', "ends with spaces  ")
_CANCELLED_AT = "2026-11-21T10:00:00Z"


@dataclass(frozen=True)
class Wanted:
    """What Corso has to hold of one order."""

    notes: str | None
    cancelled: bool
    fulfillments: frozenset[str]


class Merchant:
    """The orders and fulfillments of one shop, as its export says them today."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.orders: dict[int, Row] = {}
        self.fulfillments: dict[tuple[int, int], Row] = {}

    def night(self, new: int) -> None:
        """Let a day pass: `new` orders, and changes to what was there."""
        chance, before = self._chance, list(self.orders)
        closed = {number for number, order in self.orders.items() if order.get("source_canceled_on")}
        for number in range(len(before), len(before) + new):
            self.orders[number] = order_text(number, **self._variety(number))
        # Corso changes no cancelled order, and the export of a cancelled one does not change either.
        for number in (each for each in before if each not in closed):
            order = self.orders[number]
            if chance.random() > 0.25:
                continue
            what = chance.randrange(3)
            if what != 1:
                order["notes"] = f"changed {chance.randrange(10**6)}"
            if what != 0:
                self._cancel(order)
        # An order that is cancelled tonight may have been shipped today.
        for number in (each for each in self.orders if each not in closed):
            if chance.random() < 0.4:
                dispatch = sum(order == number for order, _ in self.fulfillments) + 1
                tracking = f"T-{chance.randrange(10**6)}"
                self.fulfillments[number, dispatch] = fulfillment_text(
                    number, dispatch, tracking_info_number=tracking
                )

    def _variety(self, number: int) -> dict[str, str | None]:
        """Return what makes a new order unlike the others: no e-mail, no name, cancelled already, of other years."""
        chance = self._chance
        changes: dict[str, str | None] = {
            "notes": chance.choice(_NOTES),
            "customer_phone": None,
            "source_created_on": f"{chance.randrange(2021, 2027)}-03-07T12:00:00-05:00",
        }
        if chance.random() < 0.25:
            changes |= {"customer_email": None, "customer_phone": f"+1202555{number % 10_000:04}"}
        elif chance.random() < 0.25:
            # Two orders of one address: the e-mail alone tells nothing.
            changes |= {"customer_email": f"Ann.{number // 2}@example.com"}
        if chance.random() < 0.2:
            changes |= {"order_name": None}
        if chance.random() < 0.1:
            changes |= {"source_canceled_on": _CANCELLED_AT, "canceled_reason": "fraud"}
        return changes

    @staticmethod
    def _cancel(order: Row) -> None:
        order |= {"source_canceled_on": _CANCELLED_AT, "canceled_reason": "customer"}

    def wanted(self) -> dict[str, Wanted]:
        """Return source order id -> what Corso has to hold."""
        return {
            str(order["source_order_id"]): Wanted(
                order.get("notes"),
                bool(order.get("source_canceled_on")),
                frozenset(
                    str(row["source_fulfillment_id"])
                    for (of, _), row in self.fulfillments.items()
                    if of == number
                ),
            )
            for number, order in self.orders.items()
        }


def held_as_wanted(record: dict[str, Any], wanted: Wanted) -> bool:
    """Say whether a record of the sandbox says what the export says."""
    notes = (record.get("notes") or "").strip() or None
    return (
        notes == ((wanted.notes or "").strip() or None)
        and bool(record.get("sourceCanceledOn")) == wanted.cancelled
    )
