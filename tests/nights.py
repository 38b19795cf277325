"""A merchant whose nightly drops go into a landing, and what the sandbox has to hold after them."""

import csv
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.export_factories import Row, csv_text, fulfillment_text, line_text
from tests.merchant import Merchant, held_as_wanted

FILES = {
    "orders": "{batch}/orders.csv",
    "line_items": "{batch}/lines.csv",
    "fulfillments": "{batch}/fulfillments.csv",
}


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files of a drop."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


@dataclass
class Nights:
    """A merchant whose nightly drops hold what is new or changed since the drop before."""

    folder: Path
    merchant: Merchant = field(default_factory=lambda: Merchant(7))
    new: int = 12
    """Orders that are new each night."""
    _told: dict[str, object] = field(default_factory=dict)

    def texts(self) -> Mapping[str, str]:
        """Let a day pass; return its export files, by name."""
        self.merchant.night(self.new)
        rows = [row for number, row in self.merchant.orders.items() if self._is_news(number, row)]
        return self.written([dict(row) for row in rows])

    def written(self, orders: list[Row]) -> Mapping[str, str]:
        """Return export files of some orders as they are now."""
        ids = {str(row["source_order_id"]) for row in orders}
        shipped = [row for row in self.merchant.fulfillments.values() if row["source_order_id"] in ids]
        header = csv_text([fulfillment_text()]).splitlines()[0]
        return {
            "orders.csv": csv_text(orders),
            "lines.csv": csv_text([line_text(source_order_id=row["source_order_id"]) for row in orders]),
            "fulfillments.csv": csv_text(shipped) if shipped else header,
        }

    def drop(self, batch: str, texts: Mapping[str, str]) -> None:
        """Deliver a batch: its files, then the marker."""
        write(self.folder / batch, {**texts, "_COMPLETE": ""})

    def corrected(self, texts: Mapping[str, str]) -> Mapping[str, str]:
        """Return the files of the same orders, one of which is another one now."""
        ids = {row["source_order_id"] for row in csv.DictReader(io.StringIO(texts["orders.csv"]))}
        rows = [row for row in self.merchant.orders.values() if row["source_order_id"] in ids]
        next(row for row in rows if not row.get("source_canceled_on"))["notes"] = "corrected"
        return self.written([dict(row) for row in rows])

    def _is_news(self, number: int, row: Row) -> bool:
        shipped = [each for (of, _), each in self.merchant.fulfillments.items() if of == number]
        state = (dict(row), [dict(each) for each in shipped])
        before = self._told.get(str(number))
        self._told[str(number)] = state
        return state != before


def not_as_the_source(db: Path, merchant: Merchant, store_id: int | None = None) -> list[str]:
    """Name what is in the sandbox's database otherwise than in the merchant's shop; the sandbox has ended.

    `store_id`: of the merchant, where the sandbox has several.
    """
    with closing(sqlite3.connect(db)) as store:
        of = "" if store_id is None else f" WHERE store_id = '{store_id}'"
        orders = store.execute(f"SELECT order_id, source_order_id, record FROM orders{of}").fetchall()
        shipped = store.execute("SELECT order_id, source_fulfillment_id FROM fulfillments").fetchall()
    held = Counter(source for _, source, _ in orders)
    wanted = merchant.wanted()
    wrong = [f"{source}: {held[source]} times" for source in {*wanted, *held} if held[source] != 1]
    for number, source, record in orders:
        there = sorted(fulfillment for order, fulfillment in shipped if order == number)
        if source in wanted and not held_as_wanted(json.loads(record), wanted[source]):
            wrong.append(f"{source}: with other content")
        if source in wanted and there != sorted(wanted[source].fulfillments):
            wrong.append(f"{source}: fulfillments {there}")
    return wrong
