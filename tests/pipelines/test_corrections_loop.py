"""The corrections loop on the whole road: quarantine.csv, edited, brings just its orders into Corso."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest

from schemas.corrections import CORRECTED_CELLS
from tests.export_factories import Row, csv_text, line_text, order_text
from tests.loader_process import BATCH, Shop
from tests.sandbox_process import running_sandbox

pytestmark = pytest.mark.slow

SETTINGS = 'corrections: "corrections/{batch}/*.csv"\nvalidation: {max_quarantined: 0.9}\n'
Rows = list[dict[str, str]]


def a_bad_export(shop: Shop) -> None:
    """Write six orders of two lines: four are bad, one of them by its second line only."""
    orders = [order_text(number) for number in range(1, 7)]
    orders[2]["billing_address_postal_code"] = None
    orders[3]["source_created_on"] = "20.11.2026"
    orders[5]["total_money"] = "28.00"
    lines: list[Row] = [line_text(number, line) for number in range(1, 7) for line in (1, 2)]
    lines[9]["quantity"] = "two"
    shop.export(orders, lines)


def edited(rows: Rows, file: str, line: int, **cells: str) -> Rows:
    """Return rows of quarantine.csv with edited cells in one of them."""
    (found,) = [row for row in rows if (row["file"], row["line"]) == (file, f"{line}")]
    return [row | cells if row is found else row for row in rows]


def three_corrections(rows: Rows) -> Rows:
    """Mend o-3, o-4 and o-5; touch a cell that was not bad, and one that is as it was."""
    rows = edited(
        rows, "in/orders.csv", 4, billing_address_postal_code="02101", customer_email="x@example.com"
    )
    rows = edited(rows, "in/orders.csv", 5, source_created_on="2026-11-20T12:30:00-05:00", total_money="27")
    return edited(rows, "in/line_items.csv", 11, quantity="2", price="'10.00")


def drop_back(shop: Shop, name: str, rows: Sequence[Mapping[str, str]]) -> Path:
    """Put a corrections file where loader.yaml looks for it."""
    path = shop.folder / "corrections" / BATCH / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(csv_text(rows), encoding="utf-8")
    return path


def outcomes(shop: Shop) -> dict[str, tuple[str, str]]:
    """Return order -> outcome and reason in results.csv."""
    return {row["source_order_id"]: (row["outcome"], row["reason"]) for row in shop.table("results")}


def facts(shop: Shop) -> dict[str, Any]:
    """Return what the batch's facts say of corrections."""
    content: dict[str, Any] = json.loads((shop.reports() / "tables" / "facts.json").read_text())
    return content["corrections"]  # type: ignore[no-any-return]  # an object


def test_corrected_orders_and_no_others_change_state(tmp_path: Path) -> None:
    """Plan shows a create for each of them, run sends these alone; a mended line brings its whole order back in."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.configure(SETTINGS)
        a_bad_export(shop)
        first = shop.run("run", "--yes")
        assert first.code == 1, first.said
        assert "no file fits corrections/{batch}/*.csv: nothing was corrected yet" in first.out
        assert sandbox.counts()["orders"] == 2
        before = outcomes(shop)
        drop_back(shop, "first.csv", three_corrections(shop.table("quarantine")))

        planned = shop.run("plan", "--offline")
        assert planned.code == 1, planned.said
        assert shop.summary()["plan"] == {"create": 3, "update": 0, "cancel": 0, "unchanged": 2}
        assert sandbox.counts()["orders"] == 2

        sent = shop.run("run", "--yes")
        assert sent.code == 1, sent.said
        assert sandbox.counts()["orders"] == 5
    summary, after = shop.summary(), outcomes(shop)
    assert (summary["outcome"]["created"], summary["outcome"]["unchanged"]) == (3, 2)
    assert summary["reconciliation"]["matched"] == 5
    assert after == before | {
        "o-1": ("unchanged", ""),
        "o-2": ("unchanged", ""),
        "o-3": ("created", "corrected: customer_email, billing_address_postal_code"),
        "o-4": ("created", "corrected: source_created_on"),
        "o-5": ("created", "corrected: quantity"),
    }
    page = (shop.reports() / "reconciliation.html").read_text()
    assert "4 cells of 3 rows in 3 orders" in page
    assert facts(shop)["files"][0]["sha256"][:12] in page
    sheet = openpyxl.load_workbook(shop.reports() / "reconciliation.xlsx")["Summary"]
    assert any("4 cells of 3 rows" in str(row[1]) for row in sheet.iter_rows(values_only=True))


def test_what_was_corrected_is_told_and_kept_without_values(tmp_path: Path) -> None:
    """By plan and its JSON, in the facts and the table of cells; the export's rows stay evidence."""
    shop = Shop(tmp_path)
    shop.configure(SETTINGS)
    a_bad_export(shop)
    shop.run("plan", "--offline")
    drop_back(shop, "first.csv", three_corrections(shop.table("quarantine")))
    planned = shop.run("plan", "--offline")
    assert (
        "corrections     corrected: 4 cells of 3 rows in 3 orders: customer_email (1), "
        "billing_address_postal_code (1), source_created_on (1), quantity (1); "
        f"read from corrections/{BATCH}/first.csv (12 rows)\n"
        f"  corrections     left as exported: total_money: 1 cell written as a number, corrections/{BATCH}/first.csv:11\n"
    ) in planned.out
    use = json.loads(shop.run("plan", "--offline", "--json").out)["corrections"]
    assert use == facts(shop)
    assert (use["cells"], use["rows"], use["orders"], use["refused_rows"]) == (4, 3, 3, 0)
    assert "x@example.com" not in json.dumps(use) + planned.said
    CORRECTED_CELLS.validate(pl.read_parquet(shop.reports() / "tables" / "corrected_cells.parquet"))
    assert {row["source_created_on"] for row in shop.table("results")} >= {"20.11.2026"}
    assert outcomes(shop)["o-4"] == ("not_sent", "planned; corrected: source_created_on")
    story = json.loads(shop.run("trace", "o-5", "--json").out)
    assert [place["reasons"] for place in story["places"]] == [[], [], ["corrected: quantity"]]


def test_a_second_round_adds_to_the_first(tmp_path: Path) -> None:
    """A row that is still bad comes back as exported and says what is corrected in it; a file's end is told."""
    shop = Shop(tmp_path)
    shop.configure(SETTINGS)
    a_bad_export(shop)
    shop.run("plan", "--offline")
    rows = edited(
        shop.table("quarantine"), "in/orders.csv", 7, customer_first_name="Anna", total_money="29.00"
    )
    drop_back(shop, "first.csv", rows)
    shop.run("plan", "--offline")
    (bad,) = [
        row for row in shop.table("quarantine") if row["line"] == "7" and row["file"] == "in/orders.csv"
    ]
    assert (bad["customer_first_name"], bad["total_money"]) == ("Ann", "28.00")
    assert "total_money '29.00 (" in bad["reasons"]
    assert bad["reasons"].endswith("; corrected: customer_first_name, total_money")

    second = drop_back(shop, "second.csv", [bad | {"total_money": "27.00"}])
    refused = shop.run("plan", "--offline")
    assert refused.code == 2
    assert (
        "second.csv:2 correct 'total_money' of in/orders.csv:7 in two ways; keep the one" in refused.sentence
    )

    drop_back(shop, "first.csv", edited(rows, "in/orders.csv", 7, total_money="28.00"))
    shop.run("plan", "--offline")
    assert outcomes(shop)["o-6"] == ("not_sent", "planned; corrected: customer_first_name, total_money")
    second.unlink()
    gone = shop.run("plan", "--offline")
    assert (
        "1 cells that the last plan corrected are as exported again, e.g. 'total_money' of in/orders.csv:7"
        in (gone.out)
    )
    assert outcomes(shop)["o-6"][0] == "quarantined"
