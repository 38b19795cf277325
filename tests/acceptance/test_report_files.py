"""The report of a real batch: its pictures count what summary.json counts, its orders open, its data is veiled as told."""

import json
import re
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.export_factories import order_text
from tests.loader_process import Shop, good_orders
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow


def data_of(page: str, name: str) -> Any:
    """Return what is embedded in the page under a name."""
    found = re.search(rf'id="{name}-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def changed_in_corso(sandbox: RunningSandbox, source_order_id: str) -> None:
    """Let somebody change an order's notes in Corso."""
    with sandbox.client() as client:
        (record,) = client.get("/orders", params={"sourceOrderId": source_order_id}).json()["orders"]
        body = {
            key: value for key, value in record.items() if key not in {"orderId", "createdOn", "updatedOn"}
        }
        client.post(f"/orders/{record['orderId']}", json={**body, "notes": "ring Ann"}).raise_for_status()


def test_the_report_of_a_batch_counts_shows_and_veils(tmp_path: Path) -> None:
    """One order quarantined, one changed in Corso, the rest equal; then the same with personal data shown."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.export([*good_orders(range(1, 9)), order_text(9, customer_phone="Ann Lee")])
        shop.configure("validation: {max_quarantined: 0.5}")
        assert shop.run("run").code == 1
        changed_in_corso(sandbox, "o-1")
        assert shop.run("reconcile").code == 1
        page = (shop.reports() / "reconciliation.html").read_text(encoding="utf-8")
        shop.configure("validation: {max_quarantined: 0.5}\nreport: {personal_data: show}")
        assert shop.run("reconcile").code == 1
        plain = (shop.reports() / "reconciliation.html").read_text(encoding="utf-8")
        summary = shop.summary()

    assert summary["reconciliation"]["different"] == 1
    columns = re.findall(
        r"<title>(\S+): (\d+)((?:, \d+ \w+)*)</title>", page.split('class="months"')[1].split("</ol>")[0]
    )
    states: dict[str, int] = {}
    for _, _, parts in columns:
        for count, state in re.findall(r"(\d+) (\w+)", parts):
            states[state] = states.get(state, 0) + int(count)
    assert states == {"matched": 7, "different": 1, "quarantined": 1}
    assert sum(int(total) for _, total, _ in columns) == summary["source"]["orders"] == 9

    opened, shown = data_of(page, "orders"), data_of(plain, "orders")
    assert set(opened) == {"o-1", "o-9"}
    notes = {row[2]: row[3:] for row in opened["o-1"]["rows"]}["notes"]
    assert notes[-1] == "r•••"
    assert {row[2]: row[3:] for row in shown["o-1"]["rows"]}["notes"][-1] == "ring Ann"
    assert opened["o-9"]["outcome"] == "quarantined"
    assert "Ann Lee" not in page
    assert "Ann Lee" in plain
    assert "ring Ann" not in page

    book = openpyxl.load_workbook(shop.reports() / "reconciliation.xlsx")
    head, *rows = [[cell.value for cell in row] for row in book["Findings"].iter_rows()]
    assert len(rows) == data_of(page, "findings")["rows"]
    assert "ring Ann" in [row[head.index("corso_value")] for row in rows]
