"""Four nights of one store, with a real Dagster daemon and a real sandbox: nobody does anything but drop files."""

import csv
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from assets.run_tags import DROP_TAG
from tests.daemon_process import Daemon, running_daemon
from tests.export_factories import Row, csv_text, fulfillment_text, line_text
from tests.loader_process import Shop
from tests.merchant import Merchant, held_as_wanted
from tests.sandbox_process import running_sandbox

STORE = "north"
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
    _told: dict[str, object] = field(default_factory=dict)

    def texts(self) -> Mapping[str, str]:
        """Let a day pass; return its export files, by name."""
        self.merchant.night(12)
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


def attempts(shop: Shop) -> int:
    """Return how many requests that change something were ever made, by the ledger."""
    with closing(sqlite3.connect(shop.folder / "work" / "ledger.sqlite")) as ledger:
        return int(ledger.execute("SELECT count(*) FROM attempts").fetchone()[0])


def not_as_the_source(db: Path, merchant: Merchant) -> list[str]:
    """Name what is in the sandbox's database otherwise than in the merchant's shop; the sandbox has ended."""
    with closing(sqlite3.connect(db)) as store:
        orders = store.execute("SELECT order_id, source_order_id, record FROM orders").fetchall()
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


@pytest.mark.long
@pytest.mark.timeout(900)
def test_four_nights_of_one_store_go_by_without_anybody(tmp_path: Path) -> None:
    """New, changed, cancelled, delivered again, half-written, missed, late, corrected: Corso ends as the source is.

    Delivering the same again sends nothing; nothing is loaded before it is complete, and nothing twice.
    """
    landing, db = tmp_path / "landing", tmp_path / "corso.sqlite"
    with running_sandbox("--limit", "0", db=db) as sandbox:
        shop = Shop(landing / STORE, sandbox, files=FILES)
        shop.configure("nightly: {quiet_s: 3}\nupload: {canary: 2, listing_delay_s: 0.5}")
        nights = Nights(shop.folder)
        with running_daemon(tmp_path / "home", landing) as daemon:
            _all_nights(daemon, shop, nights)
        assert sandbox.stop() == 0
    assert not_as_the_source(db, nights.merchant) == []


def _all_nights(daemon: Daemon, shop: Shop, nights: Nights) -> None:
    first = nights.texts()
    nights.drop("2026-11-21", first)
    _loaded(daemon, shop, "2026-11-21", 1)
    _again(daemon, shop, nights, "2026-11-21", first)

    # The second night is written slowly, and one of its files is cut off for a while.
    second = nights.texts()
    half = {name: text[: len(text) // 2] for name, text in second.items() if name == "orders.csv"}
    write(shop.folder / "2026-11-22", half)
    daemon.wait_for("a look at half a drop", lambda: "2026-11-22: exports.line_items" in daemon.said)
    assert daemon.runs(f"{STORE}/2026-11-22") == []
    nights.drop("2026-11-22", second)
    _loaded(daemon, shop, "2026-11-22", 1)
    _again(daemon, shop, nights, "2026-11-22", second)

    # The third one does not arrive before the fourth is loaded; it has no marker and comes to rest.
    third, fourth = nights.texts(), nights.texts()
    nights.drop("2026-11-24", fourth)
    _loaded(daemon, shop, "2026-11-24", 1)
    write(shop.folder / "2026-11-23", third)
    _loaded(daemon, shop, "2026-11-23", 1, late=True)
    _again(daemon, shop, nights, "2026-11-23", third, late=True)
    _again(daemon, shop, nights, "2026-11-24", fourth)

    # What was wrong in the fourth is delivered again, corrected.
    corrected = nights.corrected(fourth)
    before = attempts(shop)
    nights.drop("2026-11-24", corrected)
    _loaded(daemon, shop, "2026-11-24", 3)
    assert attempts(shop) - before == 1


def _loaded(daemon: Daemon, shop: Shop, batch: str, number: int, *, late: bool = False) -> None:
    """Wait for a load of a batch, which ends well: every source order is in Corso, and equal."""
    run = daemon.wait_for_run(f"{STORE}/{batch}", number)
    assert run.status is dg.DagsterRunStatus.SUCCESS, daemon.log.read_text()[-3000:]
    # Of a drop that comes late, orders are left as the later batch has them.
    summary = shop.summary(batch)
    assert (
        summary["outcome"]["rejected"] + summary["outcome"]["unknown"] + summary["outcome"]["not_sent"] == 0
    )
    assert late or summary["exit_code"] == 0, summary


def _again(
    daemon: Daemon, shop: Shop, nights: Nights, batch: str, texts: Mapping[str, str], *, late: bool = False
) -> None:
    """Deliver a batch again as it was: it is loaded once more, and nothing is sent."""
    before, loads = attempts(shop), len(daemon.runs(f"{STORE}/{batch}"))
    nights.drop(batch, texts)
    _loaded(daemon, shop, batch, loads + 1, late=late)
    assert attempts(shop) == before
    first, second = daemon.runs(f"{STORE}/{batch}")[-2:]
    assert first.tags[DROP_TAG] != second.tags[DROP_TAG]
