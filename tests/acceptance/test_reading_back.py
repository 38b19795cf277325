"""Reading back, seen from outside: what it costs, that a kill costs two pages, and that no damage is skipped by it."""

import contextlib
import json
import sqlite3
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from corso.stages.reading_back.known_records import SHOWS_WITHIN
from tests.export_factories import fulfillment_text
from tests.loader_process import Shop, good_orders, kill
from tests.sandbox.bodies import an_order
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow

SMALL_PAGES = ("--limit", "0", "--page-size", "2", "--max-page", "2", "--duplicates", "accept")


def answered(sandbox: RunningSandbox) -> int:
    """Return how many requests were answered 200: reads, where nothing is sent."""
    return int(sandbox.counts()["requests_by_status"].get("200", 0))


def facts(shop: Shop, batch: str) -> dict[str, Any]:
    """Return what a batch's stages found out."""
    content: dict[str, Any] = json.loads((shop.reports(batch) / "tables" / "facts.json").read_bytes())
    return content


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param((), id="sorted"),
        pytest.param(("--order-by", "ignored"), id="asc ignored", marks=pytest.mark.long),
    ],
)
def test_a_killed_reconciliation_goes_on_where_it_was(tmp_path: Path, mode: tuple[str, ...]) -> None:
    """Two pages at the most are read again, and the result is that of one that was not killed."""
    with running_sandbox(*SMALL_PAGES, "--latency", "0.03", *mode) as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.export(good_orders(range(1, 121)))
        shop.configure("reconcile: {mode: listing}")
        assert shop.run("upload").code == 0
        before = answered(sandbox)
        whole = shop.run("reconcile")
        assert whole.code == 0, whole.said
        summary, pages = shop.summary(), answered(sandbox) - before
        before = answered(sandbox)
        process = shop.start("reconcile")
        while answered(sandbox) < before + pages // 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        kill(process)
        again = shop.run("reconcile")
        assert again.code == 0, again.said
        # Two again; and where the cursors meet differs by a page or two between any two passes.
        assert answered(sandbox) - before <= pages + 2 + 2
        assert shop.summary()["reconciliation"] == summary["reconciliation"]
        assert shop.summary()["reconciliation"]["matched"] == 120
        assert "gone on with after an interruption" in facts(shop, "2026-11-22")["notes"][0]


def test_a_nightly_batch_is_read_newest_first_and_its_damage_is_found(tmp_path: Path) -> None:
    """The pages of the night and a look-up for each older order: not the store; and nothing of the batch is skipped."""
    with running_sandbox(*SMALL_PAGES) as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.export(good_orders(range(1, 201)))
        shop.configure()
        assert shop.run("run", batch="monday").code == 0
        _let_a_night_pass(shop)
        shop.export(good_orders([3, 7, 201, 202, 203]), fulfillments=[fulfillment_text(201)])
        assert shop.run("upload", batch="tuesday").code == 0
        with sandbox.client() as client:
            damaged = client.get("/orders", params={"sourceOrderId": "o-7"}).json()["orders"][0]
            changed = {
                key: value
                for key, value in damaged.items()
                if key not in {"orderId", "createdOn", "updatedOn"}
            }
            client.post(
                f"/orders/{damaged['orderId']}", json=changed | {"notes": "changed by hand"}
            ).raise_for_status()
            double = client.get("/orders", params={"sourceOrderId": "o-202"}).json()["orders"][0]
            client.post("/orders", json=double).raise_for_status()
            client.post("/orders", json=an_order(storeId=shop.store_id)).raise_for_status()
        before = answered(sandbox)
        reconciled = shop.run("reconcile", batch="tuesday")
        assert reconciled.code == 1, reconciled.said
        found = shop.summary("tuesday")["reconciliation"]
        assert (found["matched"], found["different"], found["duplicated"], found["missing"]) == (3, 1, 1, 0)
        assert found["foreign"] >= 1
        assert "Read back from the newest orders of the listing" in facts(shop, "tuesday")["notes"][0]
        assert answered(sandbox) - before <= 15


def _let_a_night_pass(shop: Shop) -> None:
    """Have the first load lie a year back in the ledger, and its orders created ten minutes before they were read back."""
    with contextlib.closing(sqlite3.connect(shop.folder / "work" / "ledger.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE entries SET held_at = replace(held_at, '202', '192')")
    path = shop.reports().parent / "known_records.json"
    known = json.loads(path.read_bytes())
    known["newest"] = (datetime.fromisoformat(known["newest"]) + SHOWS_WITHIN).isoformat()
    path.write_text(json.dumps(known), encoding="utf-8")
