"""Declared fallbacks on the whole road: the plan tells their uses, results.csv names them order by order."""

import json
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import polars as pl
import pytest

from corso.report.results import FILLED_BY
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.books import close_books
from schemas.filled_values import FILLED_VALUES
from tests.export_factories import line_text, order_text
from tests.loader_process import BATCH, Shop
from tests.sandbox_process import running_sandbox

FALLBACKS = """\
fallbacks:
  orders.shipping_address: "{billing_address}"
  orders.billing_address: "{shipping_address}"
  orders.customer_source_customer_id: "{customer_email|lower}"
  orders.customer_first_name: ["{billing_address_first_name}", "{billing_address_name|first_word}"]
  orders.customer_last_name: ["{billing_address_last_name}", "{billing_address_name|other_words}", "{customer_email|before_at}"]
  orders.billing_address_state_or_province_code: {where_country_has_none: "{billing_address_country_code}"}
  orders.shipping_address_state_or_province_code: {where_country_has_none: "{shipping_address_country_code}"}
  line_items.vendor: "{orders.channel}"
  line_items.sku: ["{variant_id}", "{source_order_id}-{source_line_item_id}"]
validation: {max_quarantined: 0.5}
"""
NO_SHIPPING = {name: None for name in order_text() if name.startswith("shipping_address_")}
GERMAN = {
    f"{which}_address_{part}": value
    for which in ("billing", "shipping")
    for part, value in (("country_code", "DE"), ("postal_code", "04109"), ("state_or_province_code", None))
}
NO_STATE = {"shipping_address_state_or_province_code": None}
NAMELESS = dict.fromkeys(("customer_source_customer_id", "customer_first_name", "customer_last_name"))
PLANNED = """\
  fallback orders.shipping_address filled 1 order
  fallback orders.billing_address filled nothing
  fallback orders.customer_source_customer_id filled 1 order
  fallback orders.customer_first_name filled 1 order: 1 by {billing_address_name|first_word}
  fallback orders.customer_last_name filled 1 order: 1 by {billing_address_name|other_words}
  fallback orders.billing_address_state_or_province_code filled 1 order
  fallback orders.shipping_address_state_or_province_code filled 1 order
  fallback line_items.vendor filled nothing
  fallback line_items.sku filled 3 line items of 2 orders: 1 by {variant_id}, \
2 by {source_order_id}-{source_line_item_id} (1 more in rows that are not loaded)
"""
NAMES = "orders.customer_source_customer_id, orders.customer_first_name, orders.customer_last_name"
STATES = "orders.billing_address_state_or_province_code, orders.shipping_address_state_or_province_code"
REASONS = {
    "o-1": "filled by fallback: orders.shipping_address, line_items.sku (2)",
    "o-2": f"filled by fallback: {NAMES}",
    "o-3": f"filled by fallback: {STATES}, line_items.sku",
    "o-5": "",
}
"""Accepted order -> what results.csv says once it is created."""


@pytest.mark.slow
def test_the_uses_of_fallbacks_are_told_by_plan_report_and_results(tmp_path: Path) -> None:
    """What is filled is what Corso gets; a US address without its state stays quarantined."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.configure(FALLBACKS)
        shop.export(
            [
                order_text(1, **NO_SHIPPING),
                order_text(
                    2, **NAMELESS, customer_email="Ann@Example.com", billing_address_name="Ann M. Lee"
                ),
                order_text(3, **GERMAN),
                order_text(4, **NO_STATE),
                order_text(5),
            ],
            [
                line_text(1, 1, sku=None),
                line_text(1, 2, sku=None),
                line_text(2),
                line_text(3, sku=None, variant_id="v-7"),
                line_text(4, sku=None),
                line_text(5),
            ],
        )
        planned = shop.run("plan", "--offline")
        assert PLANNED in planned.out
        rows = {row["source_order_id"]: row for row in shop.table("results")}
        assert {order: rows[order]["reason"] for order in REASONS} == {
            order: "; ".join(filter(None, ["planned", said])) for order, said in REASONS.items()
        }
        facts = json.loads(shop.run("plan", "--json").out)
        assert facts["fallbacks"][-1] == {
            "fallback": "line_items.sku",
            "values": 3,
            "orders": 2,
            "values_of_all_rows": 4,
            "rules": [
                {"rule": "{variant_id}", "values": 1, "values_of_all_rows": 1},
                {"rule": "{source_order_id}-{source_line_item_id}", "values": 2, "values_of_all_rows": 3},
            ],
        }
        assert facts == facts | shop.summary()

        shop.configure(FALLBACKS.replace("0.5", "0.1"))
        stopped = shop.run("plan", "--offline")
        assert stopped.code == 3
        assert PLANNED in stopped.out

        shop.configure(FALLBACKS)
        loaded = shop.run("run", "--yes")
        assert loaded.code == 1, loaded.said
        assert sandbox.counts()["orders"] == len(REASONS)
    rows = {row["source_order_id"]: row for row in shop.table("results")}
    assert {order: rows[order]["reason"] for order in REASONS} == REASONS
    assert "shipping_address_state_or_province_code is missing" in rows["o-4"]["reason"]
    assert shop.summary()["reconciliation"]["matched"] == len(REASONS)
    FILLED_VALUES.validate(pl.read_parquet(shop.reports() / "tables" / "filled_values.parquet"))
    assert "{billing_address_name|first_word}" in (shop.reports() / "reconciliation.html").read_text()
    summary = openpyxl.load_workbook(shop.reports() / "reconciliation.xlsx")["Summary"]
    assert ("Fallback line_items.vendor", "nothing") in list(summary.iter_rows(values_only=True))

    for order, reason in REASONS.items():
        story = json.loads(shop.run("trace", order, "--json").out)
        said = [place["reasons"] for place in story["places"] if place["table"] == "orders"]
        assert said == [[reason] if reason else []]

    # So an older version left a batch; its books can still be closed.
    (shop.reports() / "tables" / "filled_values.parquet").unlink()
    close_books(Batch(read_settings(shop.config), BATCH), "reconcile", datetime.now(UTC))
    assert not any(FILLED_BY in row["reason"] for row in shop.table("results"))
