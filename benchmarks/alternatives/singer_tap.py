"""A Singer tap of one's own: reads the export, puts orders together, and writes Singer messages.

What only several rows show is found here, where all rows are; it goes out as a stream of its own. Values are sent as the
text that they are, as tap-csv does, with a schema that says what they have to look like.
"""

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pycountry

KEY = "source_order_id"

TEXT = {"type": "string"}
MONEY = {"type": "string", "pattern": r"^[+-]?[0-9]{1,18}(\.[0-9]{0,4})?$"}
NUMBER = {"type": "string", "pattern": r"^[+-]?[0-9]{1,18}(\.[0-9]{0,10})?$"}
FLAG = {"type": "string", "enum": ["true", "false"]}
TIME = {"type": "string", "format": "date-time"}
COUNTRY = {"type": "string", "enum": sorted(country.alpha_2 for country in pycountry.countries)}
CURRENCY = {"type": "string", "enum": sorted(currency.alpha_3 for currency in pycountry.currencies)}
PHONE = {"type": "string", "pattern": r"^\+[1-9][0-9]{1,14}$"}


def camel(column: str) -> str:
    """Return Corso's name for a column."""
    first, *others = column.split("_")
    return first + "".join(word.capitalize() for word in others)


def an_object(columns: dict[str, Any], required: str, **more: Any) -> dict[str, Any]:
    """Declare an object by its columns."""
    needed = [camel(column) for column in required.split()]
    return {
        "type": "object",
        "properties": {camel(column): kind for column, kind in columns.items()},
        "required": needed,
        **more,
    }


CUSTOMER_COLUMNS = {
    "source_customer_id": TEXT,
    "first_name": TEXT,
    "last_name": TEXT,
    "email": TEXT,
    "phone": PHONE,
}
ADDRESS_COLUMNS = {
    "line1": TEXT,
    "line2": TEXT,
    "city": TEXT,
    "state_or_province_code": TEXT,
    "postal_code": TEXT,
    "country_code": COUNTRY,
    "name": TEXT,
    "first_name": TEXT,
    "last_name": TEXT,
    "latitude": NUMBER,
    "longitude": NUMBER,
}
LINE_COLUMNS = {
    "source_line_item_id": TEXT,
    "name": TEXT,
    "quantity": NUMBER,
    "sku": TEXT,
    "tax": MONEY,
    "price": MONEY,
    "product_id": TEXT,
    "variant_id": TEXT,
    "vendor": TEXT,
    "img_url": TEXT,
    "options": {"type": "array", "items": an_object({"name": TEXT, "value": TEXT}, "name value")},
    "source_canceled_on": TIME,
}
FULFILLMENT_COLUMNS = {
    "source_fulfillment_id": TEXT,
    "fulfillment_location_id": NUMBER,
    "shipping_weight_grams": NUMBER,
    "tracking_info_company": TEXT,
    "tracking_info_number": TEXT,
    "tracking_info_url": TEXT,
    "shipment_status": TEXT,
    "delivered_on": TIME,
    "estimated_delivery_on": TIME,
    "in_transit_on": TIME,
    "source_created_on": TIME,
}
ORDER_COLUMNS = {
    "source_order_id": TEXT,
    "order_number": TEXT,
    "order_name": TEXT,
    "currency_conversion_rate": NUMBER,
    "is_shipping_protected": FLAG,
    "customer": an_object(
        CUSTOMER_COLUMNS,
        "source_customer_id first_name last_name",
        anyOf=[{"required": ["email"]}, {"required": ["phone"]}],
    ),
    "source_created_on": TIME,
    "source_updated_on": TIME,
    "source_canceled_on": TIME,
    "shipping_money": MONEY,
    "subtotal_money": MONEY,
    "tax_money": MONEY,
    "total_money": MONEY,
    "billing_address": (
        address := an_object(ADDRESS_COLUMNS, "line1 city state_or_province_code postal_code country_code")
    ),
    "shipping_address": address,
    "grams": NUMBER,
    "shipping_title": TEXT,
    "canceled_reason": TEXT,
    "notes": TEXT,
    "channel": TEXT,
    "channel_id": TEXT,
    "customer_currency_code": CURRENCY,
    "line_items": {
        "type": "array",
        "minItems": 1,
        "items": an_object(LINE_COLUMNS, "source_line_item_id name quantity sku tax price"),
    },
    "fulfillments": {
        "type": "array",
        "items": an_object(FULFILLMENT_COLUMNS, "source_fulfillment_id fulfillment_location_id"),
    },
}
ORDERS = an_object(
    ORDER_COLUMNS,
    "source_order_id shipping_money subtotal_money tax_money total_money billing_address shipping_address line_items",
)
QUARANTINE = {
    "type": "object",
    "properties": {
        "table": TEXT,
        "source_order_id": TEXT,
        "reasons": {"type": "array", "items": TEXT},
        "original": {"type": "object"},
    },
}

PLACE_OF = {
    column: (None, camel(column))
    for columns in (ORDER_COLUMNS, LINE_COLUMNS, FULFILLMENT_COLUMNS)
    for column in columns
}
PLACE_OF |= {
    f"{outer}_{column}": (camel(outer), camel(column))
    for outer, columns in (
        ("customer", CUSTOMER_COLUMNS),
        ("billing_address", ADDRESS_COLUMNS),
        ("shipping_address", ADDRESS_COLUMNS),
    )
    for column in columns
}
"""Column of the export -> the object and the key that it goes to."""


def message(kind: str, stream: str, **more: Any) -> None:
    """Write one message."""
    sys.stdout.write(json.dumps({"type": kind, "stream": stream, **more}, ensure_ascii=False) + "\n")


def refuse(table: str, rows: list[dict[str, str]], reason: str) -> None:
    """Send rows to the quarantine."""
    for row in rows:
        record = {"table": table, KEY: row[KEY], "reasons": [reason], "original": row}
        message("RECORD", "quarantine", record=record)


def by_order(path: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each order; exact repetitions count once."""
    found: dict[str, list[dict[str, str]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            of_order = found.setdefault(row[KEY], [])
            if row not in of_order:
                of_order.append(row)
    return found


def placed(row: dict[str, str]) -> dict[str, Any]:
    """Put a row's values where Corso has them; leave out what is empty."""
    record: dict[str, Any] = {}
    for column, value in row.items():
        if value:
            outer, key = PLACE_OF[column]
            if outer is None:
                record[key] = value
            else:
                record.setdefault(outer, {})[key] = value
    return record


def child(row: dict[str, str]) -> dict[str, Any]:
    """Return a line or a fulfillment as it stands inside of its order."""
    record = placed(row)
    del record["sourceOrderId"]
    if "options" in record:
        # Text that is no JSON stays text: the target will say that it is no array.
        with suppress(ValueError):
            record["options"] = json.loads(record["options"])
    return record


def orders(exports: Path) -> Iterator[dict[str, Any]]:
    """Yield orders with all that belongs to them; refuse what only several rows show to be wrong."""
    versions_of = by_order(exports / "orders.csv")
    lines_of = by_order(exports / "line_items.csv")
    fulfillments_of = by_order(exports / "fulfillments.csv")
    for order_id, versions in versions_of.items():
        lines, dispatches = lines_of.pop(order_id, []), fulfillments_of.pop(order_id, [])
        ids = {line["source_line_item_id"] for line in lines}
        more_ids = {dispatch["source_fulfillment_id"] for dispatch in dispatches}
        if len(versions) > 1 or len(ids) < len(lines) or len(more_ids) < len(dispatches):
            refuse("orders", versions, "an id stands in several rows that differ")
            refuse("line_items", lines, "its order is quarantined")
            refuse("fulfillments", dispatches, "its order is quarantined")
            continue
        yield placed(versions[0]) | {
            "lineItems": [child(line) for line in lines],
            "fulfillments": [child(dispatch) for dispatch in dispatches],
        }
    for table, left in (("line_items", lines_of), ("fulfillments", fulfillments_of)):
        for rows in left.values():
            refuse(table, rows, "names no order of this export")


def main(exports: Path) -> None:
    """Write the messages to standard output."""
    message("SCHEMA", "orders", schema=ORDERS, key_properties=["sourceOrderId"])
    message("SCHEMA", "quarantine", schema=QUARANTINE, key_properties=[])
    for order in orders(exports):
        message("RECORD", "orders", record=order)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
