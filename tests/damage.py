"""Damage done to a sandbox's database by hand, and what a reconciliation must say of it.

Import it as `from tests.damage import Damaged, KINDS`. Each kind of damage is done to an order of its own, straight in the
tables, as a migration script or a mistaken integration would: the loader's ledger knows nothing of it.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

LATER = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
"""When somebody changed a record: after the loader sent it, by Corso's clock."""


class Told(NamedTuple):
    """A finding, as far as damage decides it."""

    kind: str
    cause: str
    source_order_id: str
    source_line_item_id: str | None = None
    field: str | None = None
    source_fulfillment_id: str | None = None
    source_value: str | None = None
    corso_value: str | None = None


@dataclass
class Damaged:
    """A sandbox's database that is being damaged, and what is to be found of it."""

    database: sqlite3.Connection
    told: list[Told] = field(default_factory=list)
    orders: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("missing", "different", "duplicated", "foreign"), 0)
    )
    """Accepted orders by class, and foreign records."""
    money: Decimal = Decimal(0)
    """By what Corso's records of the batch's orders hold more than was accepted."""

    @classmethod
    def of(cls, path: Path, damages: Mapping[str, str]) -> "Damaged":
        """Damage a database file; `damages`: source order id -> a name of KINDS."""
        with closing(sqlite3.connect(path)) as database, database:
            damaged = cls(database)
            for source_order_id, kind in damages.items():
                KINDS[kind](damaged, source_order_id)
        return damaged

    def record(self, source_order_id: str) -> dict[str, Any]:
        """Return an order's record."""
        query = "SELECT record FROM orders WHERE source_order_id = ?"
        content: dict[str, Any] = json.loads(
            self.database.execute(query, (source_order_id,)).fetchone()[0], parse_float=Decimal
        )
        return content

    def put(self, source_order_id: str, record: Mapping[str, Any]) -> None:
        """Put a record in place of an order's."""
        text = json.dumps(record, default=float)
        self.database.execute(
            "UPDATE orders SET record = ? WHERE source_order_id = ?", (text, source_order_id)
        )

    def add(self, record: Mapping[str, Any], source_order_id: str) -> None:
        """Add a record as one more order."""
        (new,) = self.database.execute("SELECT max(order_id) + 1 FROM orders").fetchone()
        text = json.dumps({**record, "orderId": new, "sourceOrderId": source_order_id}, default=float)
        self.database.execute(
            "INSERT INTO orders (order_id, store_id, source_order_id, email, order_name, order_number, cancelled, record) "
            "SELECT ?, store_id, ?, email, order_name, order_number, cancelled, ? FROM orders LIMIT 1",
            (new, source_order_id, text),
        )

    def fulfillment(self, source_order_id: str) -> tuple[int, int, str, dict[str, Any]]:
        """Return an order's only fulfillment: its id, the order's, the source's, and the record."""
        query = (
            "SELECT fulfillment_id, f.order_id, source_fulfillment_id, f.record FROM fulfillments f JOIN orders o "
            "ON o.order_id = f.order_id WHERE source_order_id = ?"
        )
        number, order, source, text = self.database.execute(query, (source_order_id,)).fetchone()
        return number, order, source, json.loads(text, parse_float=Decimal)

    def add_fulfillment(self, order: int, source: str, record: Mapping[str, Any]) -> None:
        """Add a fulfillment to an order."""
        (new,) = self.database.execute("SELECT max(fulfillment_id) + 1 FROM fulfillments").fetchone()
        text = json.dumps({**record, "fulfillmentId": new, "sourceFulfillmentId": source}, default=float)
        self.database.execute("INSERT INTO fulfillments VALUES (?,?,?,?)", (new, order, source, text))


def _change(
    path: str, value: Any, column: str, before: str, *, silently: bool = False
) -> Callable[[Damaged, str], None]:
    """Change a field; `silently`: the record does not say that it was changed, so that nobody can name the cause."""

    def change(damaged: Damaged, order: str) -> None:
        record = damaged.record(order)
        holder, _, key = path.rpartition(".")
        (record[holder] if holder else record)[key] = value
        if not silently:
            record["updatedOn"] = LATER
        damaged.put(order, record)
        cause = "unexplained" if silently else "changed_in_corso"
        damaged.told.append(
            Told(
                "different", cause, order, None, column, None, before.format(order.removeprefix("o-")), value
            )
        )
        damaged.orders["different"] += 1

    return change


def _delete(damaged: Damaged, order: str) -> None:
    number = damaged.record(order)["orderId"]
    damaged.database.execute("DELETE FROM fulfillments WHERE order_id = ?", (number,))
    damaged.database.execute("DELETE FROM orders WHERE order_id = ?", (number,))
    damaged.told.append(Told("missing", "unexplained", order))
    damaged.orders["missing"] += 1
    damaged.money -= 27


def _move_a_cent(damaged: Damaged, order: str) -> None:
    """From the goods to the total: the sum is off, too."""
    record = damaged.record(order) | {"totalMoney": Decimal("27.01"), "updatedOn": LATER}
    damaged.put(order, record)
    damaged.told.append(
        Told("different", "changed_in_corso", order, None, "total_money", None, "27.00", "27.01")
    )
    damaged.orders["different"] += 1
    damaged.money += Decimal("0.01")


def _shift_a_cent(damaged: Damaged, order: str) -> None:
    """From the tax to the shipping: the total is right, and nothing shows in any sum of totals."""
    changes = {"taxMoney": Decimal("1.99"), "shippingMoney": Decimal("5.01"), "updatedOn": LATER}
    damaged.put(order, damaged.record(order) | changes)
    for column, before, after in (("shipping_money", "5.00", "5.01"), ("tax_money", "2.00", "1.99")):
        damaged.told.append(Told("different", "changed_in_corso", order, None, column, None, before, after))
    damaged.orders["different"] += 1


def _alter_a_line(damaged: Damaged, order: str) -> None:
    record = damaged.record(order)
    record["lineItems"][1]["price"] = Decimal("4.99")
    damaged.put(order, record | {"updatedOn": LATER})
    damaged.told.append(
        Told("different", "changed_in_corso", order, "2", "line_items.price", None, "5.00", "4.99")
    )
    damaged.orders["different"] += 1


def _swap_prices(damaged: Damaged, order: str) -> None:
    """Two lines with each other's price: every sum of the record is as it was."""
    record = damaged.record(order)
    for line, price in zip(record["lineItems"], (Decimal(5), Decimal(10)), strict=True):
        line["price"] = price
    damaged.put(order, record | {"updatedOn": LATER})
    for line, before, after in (("1", "10.00", "5.00"), ("2", "5.00", "10.00")):
        damaged.told.append(
            Told("different", "changed_in_corso", order, line, "line_items.price", None, before, after)
        )
    damaged.orders["different"] += 1


def _drop_a_line(damaged: Damaged, order: str) -> None:
    record = damaged.record(order)
    record["lineItems"].pop()
    damaged.put(order, record | {"updatedOn": LATER})
    damaged.told.append(
        Told("different", "changed_in_corso", order, "2", "line_items", None, "1 x MUG-2 at 5.00", None)
    )
    damaged.orders["different"] += 1


def _double(damaged: Damaged, order: str) -> None:
    damaged.add(damaged.record(order), order)
    damaged.told += [Told("duplicated", "duplicate", order)] * 2
    damaged.orders["duplicated"] += 1
    damaged.money += 27


def _write_a_foreign_order(damaged: Damaged, order: str) -> None:
    damaged.add(damaged.record(order), f"live-{order}")
    damaged.told.append(Told("foreign", "foreign", f"live-{order}"))
    damaged.orders["foreign"] += 1


def _lose_a_fulfillment(damaged: Damaged, order: str) -> None:
    number, _, source, _ = damaged.fulfillment(order)
    damaged.database.execute("DELETE FROM fulfillments WHERE fulfillment_id = ?", (number,))
    damaged.told.append(Told("missing", "unexplained", order, None, None, source))


def _change_a_fulfillment(damaged: Damaged, order: str) -> None:
    number, _, source, record = damaged.fulfillment(order)
    text = json.dumps(record | {"trackingInfoNumber": "TRK-other", "updatedOn": LATER}, default=float)
    damaged.database.execute("UPDATE fulfillments SET record = ? WHERE fulfillment_id = ?", (text, number))
    damaged.told.append(
        Told(
            "different",
            "changed_in_corso",
            order,
            None,
            "fulfillments.tracking_info_number",
            source,
            f"TRK-{order}",
            "TRK-other",
        )
    )


def _double_a_fulfillment(damaged: Damaged, order: str) -> None:
    _, number, source, record = damaged.fulfillment(order)
    damaged.add_fulfillment(number, source, record)
    damaged.told += [Told("duplicated", "duplicate", order, None, None, source)] * 2


def _write_a_foreign_fulfillment(damaged: Damaged, order: str) -> None:
    _, number, _, record = damaged.fulfillment(order)
    damaged.add_fulfillment(number, f"live-{order}", record)
    damaged.told.append(Told("foreign", "foreign", order, None, None, f"live-{order}"))


KINDS: Mapping[str, Callable[[Damaged, str], None]] = {
    "nothing": lambda _damaged, _order: None,
    "deleted": _delete,
    "a cent moved": _move_a_cent,
    "a cent shifted": _shift_a_cent,
    "renamed": _change("orderName", "#changed", "order_name", "#10{:0>2}"),
    "renamed without a trace": _change("orderName", "#changed", "order_name", "#10{:0>2}", silently=True),
    "moved to another city": _change(
        "shippingAddress.city", "Shelbyville", "shipping_address_city", "Springfield"
    ),
    "somebody else's e-mail": _change(
        "customer.email", "bob@example.com", "customer_email", "ann.{}@example.com"
    ),
    "a line altered": _alter_a_line,
    "prices swapped": _swap_prices,
    "a line dropped": _drop_a_line,
    "doubled": _double,
    "a foreign order": _write_a_foreign_order,
    "a fulfillment lost": _lose_a_fulfillment,
    "a fulfillment changed": _change_a_fulfillment,
    "a fulfillment doubled": _double_a_fulfillment,
    "a foreign fulfillment": _write_a_foreign_fulfillment,
}
"""Name of a kind of damage -> what does it to an order and notes what is to be found."""
