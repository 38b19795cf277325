"""Real exports, where they lie beside the project: the whole road on each, every order accounted for.

None of them is part of the project; where they are absent these tests skip.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox_process import running_sandbox

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT.parent / "shared" / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the real exports (../shared/examples) are not here"),
]

SHOPIFY = {"orders.customer_source_customer_id": "{customer_email|lower}"}
BILLING = {"orders.billing_address": "{shipping_address}"}
GENERIC = """\
name: generic
title: One row an order, by somebody's own program
files: {orders: {needs: [order_id, total]}}
money: {line_tax: shared}
tables:
  orders:
    file: orders
    columns:
      source_order_id: order_id
      source_created_on: placed_at
      customer_email: buyer_email
      customer_source_customer_id: buyer_email
      customer_first_name: {first_word: buyer_name, where: buyer_email}
      customer_last_name: {other_words: buyer_name, where: buyer_email}
      subtotal_money: {sum: [total, -tax, -shipping]}
      shipping_money: shipping
      tax_money: tax
      total_money: total
      billing_address_line1: address1
      billing_address_city: city
      billing_address_state_or_province_code: state
      billing_address_postal_code: zip
      billing_address_country_code: country
  line_items:
    file: orders
    columns:
      source_order_id: order_id
      source_line_item_id: {template: "{order_id}-1"}
      name: title
      quantity: quantity
      price: unit_price
      sku: sku
"""
"""A profile of one's own for generic-flat."""
CASES: dict[str, dict[str, Any]] = {
    "shopify-admin-fake": {
        "exports": {"profile": "shopify", "orders": "shopify-orders-export.csv"},
        "fallbacks": SHOPIFY,
        "expected": (3, 3, 0, 0),
    },
    "shopify-admin-devstore": {
        "exports": {"profile": "shopify", "orders": "orders_export_1.csv"},
        "fallbacks": SHOPIFY | {"line_items.sku": "{source_line_item_id}"},
        "expected": (2, 2, 2, 0),
    },
    "amazon-order-report": {
        "exports": {"profile": "amazon", "orders": "amazon-order-report.txt"},
        "fallbacks": BILLING | SHOPIFY,
        "expected": (3, 3, 0, 0),
    },
    "tiktok-orders": {
        "exports": {"profile": "tiktok", "orders": "tiktok-orders.csv"},
        "fallbacks": BILLING,
        # One has the quantity abc.
        "expected": (4, 3, 0, 1),
    },
    "woo-fake": {
        "exports": {"profile": "woocommerce", "orders": "woocommerce_orders.csv"},
        "fallbacks": SHOPIFY,
        "expected": (25, 25, 15, 0),
    },
    "etsy-items": {
        "exports": {"profile": "etsy", "orders": "etsy-sold-order-items.csv"},
        "fallbacks": BILLING | {"orders.customer_email": "{customer_source_customer_id}@buyers.example"},
        # The row without an order id, and with it all that it lacks.
        "expected": (5, 4, 0, 1),
    },
    "magento-basic": {
        "exports": {"profile": "magento", "orders": "orders_basic.csv"},
        "fallbacks": {},
        # No lines at all, and one total is off by 1.00.
        "expected": (2, 0, 0, 1),
    },
    "shopify-warehouse-gql": {
        "exports": {
            "profile": "shopify-warehouse",
            "orders": "order.csv",
            "line_items": "order_line.csv",
            "fulfillments": "fulfillment.csv",
        },
        "fallbacks": {},
        # Every line and fulfillment is an orphan, no total adds up.
        "expected": (9, 0, 0, 1),
    },
    "generic-flat": {
        "exports": {"profile": "generic.yaml", "orders": "generic-orders.csv"},
        "fallbacks": {
            "orders.shipping_address": "{billing_address}",
            "line_items.sku": "{source_line_item_id}",
        },
        "expected": (3, 3, 0, 0),
    },
    "olist-half": {
        "exports": {
            "profile": str(PROJECT / "docs" / "profiles" / "olist.yaml"),
            "orders": "olist_orders_dataset.csv",
            "line_items": "olist_order_items_dataset.csv",
            "customers": "olist_customers_dataset.csv",
            "payments": "olist_order_payments_dataset.csv",
            "products": "olist_products_dataset.csv",
        },
        "fallbacks": {
            "orders.billing_address_line1": "not in the export",
            "orders.shipping_address_line1": "not in the export",
        },
        # Of 1,500 orders, 11 have no lines and 8 were paid another amount than their lines add up to.
        "expected": (1500, 1481, 1464, 1),
    },
}


@pytest.mark.parametrize("name", CASES)
def test_a_real_export_goes_the_whole_road(name: str, tmp_path: Path) -> None:
    """With declared fallbacks it ends with 0 or 1, and every order is accepted and matched, or quarantined."""
    case = CASES[name]
    source, accepted, fulfillments, exit_code = case["expected"]
    exports = {
        role: value if role == "profile" else str(EXAMPLES / name / value)
        for role, value in case["exports"].items()
    }

    with running_sandbox("--limit", "0") as sandbox:
        loader = {
            "store": {"id": 7, "time_zone": "UTC", "fulfillment_locations": {"default": 12}},
            "exports": exports,
            "corso": {
                "environment": "custom",
                "base_url": sandbox.base_url,
                "token_url": sandbox.token_url,
                "audience": "sandbox",
            },
            "fallbacks": case["fallbacks"],
            "limits": {"requests_per_second": 300},
            "validation": {"max_quarantined": 1.0},
        }
        (tmp_path / "generic.yaml").write_text(GENERIC)
        (tmp_path / "loader.yaml").write_text(json.dumps(loader))
        command = [
            sys.executable,
            "-m",
            "pipelines.cli",
            "run",
            "-c",
            str(tmp_path / "loader.yaml"),
            "--json",
        ]
        environment = {**os.environ, "CORSO_CLIENT_ID": "sandbox", "CORSO_CLIENT_SECRET": "sandbox"}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=240
        )
        counts = sandbox.counts()

    assert done.returncode == exit_code, done.stderr
    summary = json.loads(done.stdout)
    assert summary["source"]["orders"] == source
    assert summary["quarantined"]["orders"] == source - accepted
    assert summary["reconciliation"]["matched"] == accepted == counts["orders"] == counts["source_orders"]
    assert summary["fulfillments"]["created"] == fulfillments == counts["fulfillments"]
