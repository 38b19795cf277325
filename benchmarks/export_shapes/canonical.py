"""The canonical tables.

Places, currencies, phones and times stand as Corso takes them, so that whoever only checks them comes to the same
result.
"""

import polars as pl

from benchmarks.export_rows import Part
from benchmarks.export_shapes.values import (
    Tables,
    city,
    country,
    in_store,
    is_bad,
    money,
    phone,
    placed_on,
    shipping_title,
    sku,
    total,
    utc,
)

_ZONE_OF = {
    "America/Los_Angeles": ("OR", "CA", "WA"),
    "America/Chicago": ("TX", "IL"),
    "Europe/London": ("LND", "LIV"),
    "Europe/Berlin": ("BY", "BE"),
}
"""Zones other than New York's, by the states of _PLACES."""


def canonical(part: Part) -> Tables:
    """Write orders, line items and fulfillments in the canonical columns, as Corso takes the values."""
    orders = _canonical_orders(part.orders)
    twice = orders.filter(part.orders.select(is_bad("order_stands_twice_and_differs")).to_series())
    later = twice.with_columns(notes=pl.lit("a later version of the same order"), channel=pl.lit("phone"))
    lines, fulfillments = _canonical_lines(part.lines), _canonical_fulfillments(part.fulfillments)
    return {
        "orders.csv": pl.concat([orders, later]),
        "line_items.csv": pl.concat([lines, _orphaned(lines.head(part.orphans))]),
        "fulfillments.csv": pl.concat([fulfillments, _orphaned(fulfillments.head(part.orphans))]),
    }


def _orphaned(rows: pl.DataFrame) -> pl.DataFrame:
    """Let rows name orders that are nowhere: ids of orders are seven apart."""
    return rows.with_columns((pl.col("source_order_id").cast(pl.Int64) + 3).cast(pl.String))


def _canonical_orders(orders: pl.DataFrame) -> pl.DataFrame:
    known = ~pl.col("guest")
    address = {
        "name": pl.col("full_name"),
        "line1": pl.col("line1"),
        "line2": pl.col("line2"),
        "city": pl.col("city"),
        "state_or_province_code": pl.col("state"),
        "postal_code": pl.col("postal"),
        "country_code": pl.col("country"),
    }
    shipping = address | {"city": city(), "country_code": country()}
    columns = {
        "order_number": (1001 + pl.col("place")).cast(pl.String),
        "order_name": pl.format("#{}", 1001 + pl.col("place")),
        "source_created_on": placed_on(_local_time(), "2026-02-30T10:00:00Z"),
        "source_canceled_on": pl.when("cancelled").then(utc(pl.col("created") + pl.duration(hours=26))),
        "canceled_reason": pl.when("cancelled").then("reason"),
        "customer_source_customer_id": pl.when(known).then((700_000 + pl.col("customer")).cast(pl.String)),
        "customer_first_name": pl.when(known).then("first_name"),
        "customer_last_name": pl.when(known).then("last_name"),
        "customer_email": pl.when(known).then("email"),
        "customer_phone": pl.when(known).then(phone()),
        "subtotal_money": money(pl.col("subtotal")),
        "shipping_money": money(pl.col("shipping")),
        "tax_money": money(pl.col("tax")),
        "total_money": total(),
        "customer_currency_code": pl.col("currency"),
        "currency_conversion_rate": pl.when(pl.col("currency") == "EUR").then(pl.lit("0.9215")),
        "is_shipping_protected": (pl.col("customer") % 4 == 0).cast(pl.String),
        **{f"billing_address_{name}": value for name, value in address.items()},
        **{f"shipping_address_{name}": value for name, value in shipping.items()},
        "grams": pl.col("grams").cast(pl.String),
        "shipping_title": shipping_title(),
        "notes": pl.col("note"),
        "channel": pl.lit("web"),
    }
    return orders.select("source_order_id", **columns)


def _local_time() -> pl.Expr:
    """Write when an order was placed, with the offset of where it was: every twelfth time Z."""
    form = "%Y-%m-%dT%H:%M:%S%:z"
    text = in_store(pl.col("created"), form)
    for zone, states in _ZONE_OF.items():
        local = pl.col("created").dt.convert_time_zone(zone).dt.strftime(form)
        text = pl.when(pl.col("state").is_in(states)).then(local).otherwise(text)
    return pl.when(pl.col("customer") % 12 == 0).then(utc(pl.col("created"))).otherwise(text)


def _canonical_lines(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.filter(~is_bad("order_has_no_lines")).select(
        "source_order_id",
        pl.format("{}{}", "source_order_id", "number").alias("source_line_item_id"),
        "product_id",
        "variant_id",
        sku().alias("sku"),
        "name",
        "vendor",
        pl.col("quantity").cast(pl.String),
        money(pl.col("cents")).alias("price"),
        money(pl.col("tax")).alias("tax"),
        "options",
    )


def _canonical_fulfillments(fulfillments: pl.DataFrame) -> pl.DataFrame:
    there = pl.col("left") + pl.duration(hours=50)
    return fulfillments.select(
        "source_order_id",
        source_fulfillment_id=pl.format("{}.F{}", "source_order_id", "dispatch"),
        fulfillment_location_id=pl.when(pl.col("country") == "DE").then(pl.lit("14")).otherwise(pl.lit("12")),
        shipping_weight_grams=(pl.col("grams") // pl.col("dispatches")).cast(pl.String),
        tracking_info_company=pl.col("carrier"),
        tracking_info_number=pl.col("tracking"),
        tracking_info_url=pl.lit("https://track.example.com/") + pl.col("tracking"),
        shipment_status=pl.when("arrived").then(pl.lit("delivered")).otherwise(pl.lit("in_transit")),
        source_created_on=utc(pl.col("left")),
        in_transit_on=utc(pl.col("left") + pl.duration(hours=2)),
        delivered_on=pl.when("arrived").then(utc(there)),
    )
