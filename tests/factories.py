"""Makes valid rows, and lets a test say only what matters to it.

A canonical order, its lines and the record that Corso answers for it are made from one number, and fit each other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from corso.report.read_back import records_to_frame
from corso.report.summary import Summary
from schemas.fields import dtypes
from schemas.filled_values import FILLED_VALUES
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import ORDER_PATHS, ORDERS
from schemas.quarantine import QUARANTINE
from schemas.reconciliation import OUTCOME_TABLE

STORE_ID = 9359
NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
"""When the tests' reconciliation is made."""
SENT_AT = NOW - timedelta(hours=1)
"""When Corso accepted the tests' orders."""

Row = dict[str, Any]


def order_row(number: int = 1, **changes: Any) -> Row:
    """Return a valid row of the canonical table `orders`: 5.00 shipping + 20.00 goods + 2.00 tax."""
    address = {
        "line1": f"{number} Main St",
        "city": "Springfield",
        "postal_code": "02101",
        "country_code": "US",
    }
    row: Row = dict.fromkeys(dtypes(ORDERS))
    row |= {
        "source_order_id": f"o-{number}",
        "order_number": f"{1000 + number}",
        "order_name": f"#{1000 + number}",
        "customer_source_customer_id": f"c-{number}",
        "customer_first_name": "Ann",
        "customer_last_name": "Lee",
        "customer_email": f"ann.{number}@example.com",
        "customer_phone": "+12025550123",
        "source_created_on": datetime(2026, 11, 20, 12, 30, tzinfo=UTC),
        "shipping_money": Decimal("5.00"),
        "subtotal_money": Decimal("20.00"),
        "tax_money": Decimal("2.00"),
        "total_money": Decimal("27.00"),
        "customer_currency_code": "USD",
        "file": "orders.csv",
        "line": number + 1,
    }
    for which in ("billing", "shipping"):
        row |= {f"{which}_address_{name}": value for name, value in address.items()}
        row[f"{which}_address_state_or_province_code"] = "MA"
    return row | changes


def line_row(number: int = 1, line: int = 1, **changes: Any) -> Row:
    """Return a valid row of the canonical table `line_items`: line `line` of order `number`."""
    row: Row = dict.fromkeys(dtypes(LINE_ITEMS))
    row |= {
        "source_order_id": f"o-{number}",
        "source_line_item_id": f"{line}",
        "name": "Blue mug",
        "quantity": Decimal(2),
        "sku": f"MUG-{line}",
        "tax": Decimal("2.00"),
        "price": Decimal("10.00"),
        "product_id": "p-1",
        "variant_id": "v-1",
        "file": "line_items.csv",
        "line": number + line,
    }
    return row | changes


def record_of(
    order: Mapping[str, Any], lines: Iterable[Mapping[str, Any]], corso_order_id: int = 1, **changes: Any
) -> Row:
    """Return the record that Corso holds after taking the order: a decoded JSON object of its API."""
    record: Row = {"orderId": corso_order_id, "storeId": STORE_ID}
    record |= {"createdOn": _json(SENT_AT), "updatedOn": _json(SENT_AT)}
    _fill(record, order, ORDER_PATHS)
    record["lineItems"] = []
    for number, line in enumerate(lines):
        record["lineItems"].append({"lineItemId": number})
        _fill(record["lineItems"][-1], line, LINE_ITEM_PATHS)
    return record | changes


def _fill(target: Row, row: Mapping[str, Any], paths: Mapping[str, str]) -> None:
    for column, path in paths.items():
        if row[column] is None:
            continue
        parent, _, key = path.rpartition(".")
        holder = target.setdefault(parent, {}) if parent else target
        holder[key] = _json(row[column])


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def orders_frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows of `orders` as a frame of its schema."""
    return pl.DataFrame(rows, schema=dtypes(ORDERS), orient="row")


def lines_frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Return rows of `line_items` as a frame of its schema."""
    return pl.DataFrame(rows, schema=dtypes(LINE_ITEMS), orient="row")


def listing_frame(records: Sequence[Row]) -> pl.DataFrame:
    """Return records as Corso's API answers them as a frame of the listing's schema."""
    return records_to_frame(records, STORE_ID)


def outcome_row(number: int = 1, **changes: Any) -> Row:
    """Return the outcome of an order that was created in this batch."""
    return {
        "source_order_id": f"o-{number}",
        "action": "create",
        "outcome": "created",
        "corso_order_id": f"{number}",
        "reason": None,
        "accepted_at": SENT_AT,
        "holds_planned": True,
    } | changes


def outcomes_frame(rows: Sequence[Row]) -> pl.DataFrame:
    """Return outcomes as a frame of their schema."""
    return pl.DataFrame(rows, schema=dtypes(OUTCOME_TABLE), orient="row")


def filled_frame(filled: Mapping[str, Sequence[tuple[str, int]]]) -> pl.DataFrame:
    """Return what fallbacks filled: order -> (fallback, values)."""
    rows = [
        {"source_order_id": order, "filled": [{"fallback": name, "values": values} for name, values in uses]}
        for order, uses in filled.items()
    ]
    return pl.DataFrame(rows, schema=dtypes(FILLED_VALUES))


def quarantine_row(number: int | None = 1, table: str = "orders", **changes: Any) -> Row:
    """Return a row of the quarantine with one broken rule and its row as it stood in the export."""
    problem = {
        "rule": "money_adds_up",
        "column": "total_money",
        "value": "28",
        "sentence": "is not shipping_money + subtotal_money + tax_money",
        "remedy": "correct the amounts",
    }
    return {
        "table": table,
        "source_order_id": None if number is None else f"o-{number}",
        "file": f"{table}.csv",
        "line": (number or 0) + 1,
        "kind": "quarantined",
        "problems": [problem],
        "reasons": "total_money '28' is not shipping_money + subtotal_money + tax_money",
        "total_money": Decimal("28.00"),
        "currency": "USD",
        "month": "2026-11",
        "original": {"id": None if number is None else f"o-{number}", "total": "28"},
    } | changes


def quarantine_frame(rows: Sequence[Row], original: Sequence[str] = ("id", "total")) -> pl.DataFrame:
    """Return rows of the quarantine as a frame; `original` names the export's columns."""
    struct = pl.Struct(dict.fromkeys(original, pl.String))
    return pl.DataFrame(rows, schema={**dtypes(QUARANTINE), "original": struct}, orient="row")


def raw_orders_frame(
    originals: Sequence[Mapping[str, str | None]], ids: Sequence[str | None]
) -> pl.DataFrame:
    """Return the columns of `raw_orders` that results.csv needs; one row = one line of orders.csv."""
    names = list(originals[0]) if originals else ["id"]
    return pl.DataFrame(
        {
            "source_order_id": pl.Series(ids, dtype=pl.String),
            "file": pl.Series(["orders.csv"] * len(ids), dtype=pl.String),
            "line": pl.Series(range(2, len(ids) + 2), dtype=pl.Int64),
            "original": pl.Series(originals, dtype=pl.Struct(dict.fromkeys(names, pl.String))),
        }
    )


def summary_of(accepted: int = 0, **parts: Any) -> Summary:
    """Return the summary of a batch of which every order was created and matched, but for `parts`."""
    every: dict[str, Any] = {
        "source": {"orders": accepted},
        "accepted": {"orders": accepted},
        "plan": {"create": accepted},
        "outcome": {"created": accepted},
        "reconciliation": {"matched": accepted},
    }
    return Summary.model_validate({"store_id": STORE_ID, "batch": "2026-11-22", **every, **parts})
