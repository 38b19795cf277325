"""The shapes in which `exports` writes orders: those of the canonical tables, and of platforms' own files.

A shape is a function from a part of drawn orders to the rows of its files, all of them text. The headers are those of
`data/samples`. Places, currencies, phones and times of canonical exports stand as Corso takes them, so that whoever
only checks them comes to the same result. What is longer than half a thousand lines here are lists of columns.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.export_rows import Part
from pipelines.samples import BAD_WAYS

SAMPLES = Path(__file__).parents[1] / "data" / "samples"

_ZONE_OF = {
    "America/Los_Angeles": ("OR", "CA", "WA"),
    "America/Chicago": ("TX", "IL"),
    "Europe/London": ("LND", "LIV"),
    "Europe/Berlin": ("BY", "BE"),
}
"""Zones other than New York's, by the states of _PLACES."""

Tables = Mapping[str, pl.DataFrame]
"""File name -> rows, all of them text."""


@dataclass(frozen=True)
class Shape:
    """How a platform writes its orders."""

    tables: Callable[[Part], Tables]
    ways: Sequence[str]
    """The ways in which orders are bad, of `pipelines.samples.BAD_WAYS`."""
    delimiter: str = ","


# What the shapes have in common.


def _way(name: str) -> pl.Expr:
    return (pl.col("way") == name).fill_null(value=False)


def _money(cents: pl.Expr) -> pl.Expr:
    return pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))


def _total() -> pl.Expr:
    """Write the total, with the faults of those that are bad in it."""
    text = _money(pl.col("total") + pl.when(_way("total_does_not_add_up")).then(1).otherwise(0))
    comma = text.str.replace(".", ",", literal=True)
    return pl.when(_way("money_cannot_be_read")).then(comma).otherwise(text)


def _city() -> pl.Expr:
    return pl.when(~_way("city_is_missing")).then("city")


def _country(column: str = "country") -> pl.Expr:
    return pl.when(_way("country_is_unknown")).then(pl.lit("XX")).otherwise(column)


def _phone() -> pl.Expr:
    return pl.when(_way("phone_is_destroyed")).then(pl.lit("9.2E+11")).otherwise("phone")


def _utc(instant: pl.Expr) -> pl.Expr:
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _in_store(instant: pl.Expr, form: str) -> pl.Expr:
    return instant.dt.convert_time_zone("America/New_York").dt.strftime(form)


def _created(written: pl.Expr, impossible: str) -> pl.Expr:
    return pl.when(_way("date_is_impossible")).then(pl.lit(impossible)).otherwise(written)


def _in_columns(
    frame: pl.DataFrame, sample: str, delimiter: str, columns: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """Select a platform's columns, as a sample's header has them; those that are not told are empty."""
    with (SAMPLES / sample).open(encoding="utf-8-sig", newline="") as file:
        names = next(csv.reader(file, delimiter=delimiter))
    unknown = columns.keys() - set(names)
    if unknown:
        message = f"{sample} has no columns {sorted(unknown)}"
        raise ValueError(message)
    return frame.select(columns.get(name, pl.lit(None, pl.String)).alias(name) for name in names)


# canonical


def _canonical(part: Part) -> Tables:
    orders = _canonical_orders(part.orders)
    twice = orders.filter(part.orders.select(_way("order_stands_twice_and_differs")).to_series())
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
    shipping = address | {"city": _city(), "country_code": _country()}
    columns = {
        "order_number": (1001 + pl.col("place")).cast(pl.String),
        "order_name": pl.format("#{}", 1001 + pl.col("place")),
        "source_created_on": _created(_local_time(), "2026-02-30T10:00:00Z"),
        "source_canceled_on": pl.when("cancelled").then(_utc(pl.col("created") + pl.duration(hours=26))),
        "canceled_reason": pl.when("cancelled").then("reason"),
        "customer_source_customer_id": pl.when(known).then((700_000 + pl.col("customer")).cast(pl.String)),
        "customer_first_name": pl.when(known).then("first_name"),
        "customer_last_name": pl.when(known).then("last_name"),
        "customer_email": pl.when(known).then("email"),
        "customer_phone": pl.when(known).then(_phone()),
        "subtotal_money": _money(pl.col("subtotal")),
        "shipping_money": _money(pl.col("shipping")),
        "tax_money": _money(pl.col("tax")),
        "total_money": _total(),
        "customer_currency_code": pl.col("currency"),
        "currency_conversion_rate": pl.when(pl.col("currency") == "EUR").then(pl.lit("0.9215")),
        "is_shipping_protected": (pl.col("customer") % 4 == 0).cast(pl.String),
        **{f"billing_address_{name}": value for name, value in address.items()},
        **{f"shipping_address_{name}": value for name, value in shipping.items()},
        "grams": pl.col("grams").cast(pl.String),
        "shipping_title": _shipping_title(),
        "notes": pl.col("note"),
        "channel": pl.lit("web"),
    }
    return orders.select("source_order_id", **columns)


def _shipping_title() -> pl.Expr:
    return pl.when(pl.col("shipping") > 500).then(pl.lit("Express")).otherwise(pl.lit("Standard"))


def _local_time() -> pl.Expr:
    """Write when an order was placed, with the offset of where it was: every twelfth time Z."""
    form = "%Y-%m-%dT%H:%M:%S%:z"
    text = _in_store(pl.col("created"), form)
    for zone, states in _ZONE_OF.items():
        local = pl.col("created").dt.convert_time_zone(zone).dt.strftime(form)
        text = pl.when(pl.col("state").is_in(states)).then(local).otherwise(text)
    return pl.when(pl.col("customer") % 12 == 0).then(_utc(pl.col("created"))).otherwise(text)


def _canonical_lines(lines: pl.DataFrame) -> pl.DataFrame:
    return lines.filter(~_way("order_has_no_lines")).select(
        "source_order_id",
        pl.format("{}{}", "source_order_id", "number").alias("source_line_item_id"),
        "product_id",
        "variant_id",
        _sku().alias("sku"),
        "name",
        "vendor",
        pl.col("quantity").cast(pl.String),
        _money(pl.col("cents")).alias("price"),
        _money(pl.col("tax")).alias("tax"),
        "options",
    )


def _sku() -> pl.Expr:
    return pl.when(~(_way("line_has_no_sku") & (pl.col("number") == 1))).then("sku")


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
        source_created_on=_utc(pl.col("left")),
        in_transit_on=_utc(pl.col("left") + pl.duration(hours=2)),
        delivered_on=pl.when("arrived").then(_utc(there)),
    )


# Shopify: one row a line; what the order says stands on its first row.


def _shopify(part: Part) -> Tables:
    lines = _with_sums(part)
    zip_code = "'" + pl.col("postal")
    created = _created(_in_store(pl.col("created"), "%Y-%m-%d %H:%M:%S %z"), "2026-02-30 10:00:00 -0500")
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    of_order = {
        "Financial Status": pl.when("cancelled").then(pl.lit("voided")).otherwise(pl.lit("paid")),
        "Paid at": created,
        "Fulfillment Status": shipped.then(pl.lit("fulfilled")).otherwise(pl.lit("unfulfilled")),
        "Fulfilled at": shipped.then(
            _in_store(pl.col("created") + pl.duration(hours=44), "%Y-%m-%d %H:%M:%S %z")
        ),
        "Accepts Marketing": pl.lit("no"),
        "Currency": pl.col("currency"),
        "Subtotal": _money(pl.col("subtotal")),
        "Shipping": _money(pl.col("shipping")),
        "Taxes": _money(pl.col("order_tax")),
        "Total": _total(),
        "Discount Amount": pl.lit("0.00"),
        "Shipping Method": _shipping_title(),
        "Billing Name": pl.col("full_name"),
        "Billing Street": pl.concat_str("line1", "line2", separator=", ", ignore_nulls=True),
        "Billing Address1": pl.col("line1"),
        "Billing Address2": pl.col("line2"),
        "Billing City": pl.col("city"),
        "Billing Zip": zip_code,
        "Billing Province": pl.col("state"),
        "Billing Country": pl.col("country"),
        "Billing Province Name": pl.col("state_name"),
        "Shipping Name": pl.col("full_name"),
        "Shipping Street": pl.concat_str("line1", "line2", separator=", ", ignore_nulls=True),
        "Shipping Address1": pl.col("line1"),
        "Shipping Address2": pl.col("line2"),
        "Shipping City": _city(),
        "Shipping Zip": zip_code,
        "Shipping Province": pl.col("state"),
        "Shipping Country": _country(),
        "Shipping Province Name": pl.col("state_name"),
        "Notes": pl.col("note"),
        "Cancelled at": pl.when("cancelled").then(
            _in_store(pl.col("created") + pl.duration(hours=26), "%Y-%m-%d %H:%M:%S %z")
        ),
        "Payment Method": pl.lit("Shopify Payments"),
        "Payment Reference": pl.format("r{}", 1001 + pl.col("place")),
        "Refunded Amount": pl.lit("0.00"),
        "Outstanding Balance": pl.lit("0.00"),
        "Id": pl.col("source_order_id"),
        "Risk Level": pl.lit("Low"),
        "Source": pl.lit("web"),
        "Tax 1 Name": pl.format("{} Tax", "state_name"),
        "Tax 1 Value": _money(pl.col("order_tax")),
        "Phone": "'" + _phone(),
        "Payment ID": pl.format("r{}", 1001 + pl.col("place")),
        "Payment References": pl.format("r{}", 1001 + pl.col("place")),
    }
    of_line = {
        "Name": pl.format("#{}", 1001 + pl.col("place")),
        "Email": pl.col("email"),
        "Created at": created,
        "Lineitem quantity": pl.col("quantity").cast(pl.String),
        "Lineitem name": pl.col("name"),
        "Lineitem price": _money(pl.col("cents")),
        "Lineitem sku": pl.col("sku"),
        "Lineitem requires shipping": pl.lit("true"),
        "Lineitem taxable": pl.lit("true"),
        "Lineitem fulfillment status": shipped.then(pl.lit("fulfilled")).otherwise(pl.lit("pending")),
        "Vendor": pl.col("vendor"),
        "Lineitem discount": pl.lit("0.00"),
    }
    first = {name: pl.when(pl.col("number") == 1).then(value) for name, value in of_order.items()}
    return {"orders_export.csv": _in_columns(lines, "shopify/orders_export.csv", ",", of_line | first)}


def _with_sums(part: Part) -> pl.DataFrame:
    sums = part.orders.select("subtotal", "total", "grams", order_tax="tax")
    return pl.concat([part.lines, sums[part.lines["row"]]], how="horizontal")


# WooCommerce, as Advanced Order Export writes it: what the order says is repeated on each of its lines.


def _woocommerce(part: Part) -> Tables:
    form = "%Y-%m-%d %H:%M"
    completed = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0)).then(
        _in_store(pl.col("created") + pl.duration(hours=44), form)
    )
    created = _created(_in_store(pl.col("created"), form), "2026-02-30 10:00")
    status = pl.when("cancelled").then(pl.lit("Cancelled")).otherwise(pl.lit("Completed"))
    columns = {
        "Order ID": pl.col("source_order_id"),
        "Order Number": pl.format("W-{}", 1001 + pl.col("place")),
        "Order Status": status,
        "Order Date": created,
        "Modification Date": pl.coalesce(completed, created),
        "Completed Date": completed,
        "Currency": pl.col("currency"),
        "Customer Note": pl.col("note"),
        "Customer User ID": (700_000 + pl.col("customer")).cast(pl.String),
        "First Name (Billing)": pl.col("first_name"),
        "Last Name (Billing)": pl.col("last_name"),
        "Address 1 (Billing)": pl.col("line1"),
        "Address 2 (Billing)": pl.col("line2"),
        "City (Billing)": pl.col("city"),
        "State Code (Billing)": pl.col("state"),
        "Postcode (Billing)": pl.col("postal"),
        "Country Code (Billing)": pl.col("country"),
        "Email (Billing)": pl.col("email"),
        "Phone (Billing)": _phone(),
        "First Name (Shipping)": pl.col("first_name"),
        "Last Name (Shipping)": pl.col("last_name"),
        "Address 1 (Shipping)": pl.col("line1"),
        "Address 2 (Shipping)": pl.col("line2"),
        "City (Shipping)": _city(),
        "State Code (Shipping)": pl.col("state"),
        "Postcode (Shipping)": pl.col("postal"),
        "Country Code (Shipping)": _country(),
        "Payment Method Title": pl.lit("Invoice"),
        "Cart Discount Amount": pl.lit("0.00"),
        "Order Subtotal Amount": _money(pl.col("subtotal")),
        "Shipping Method Title": _shipping_title(),
        "Order Shipping Amount": _money(pl.col("shipping")),
        "Order Total Fee": pl.lit("0.00"),
        "Order Refund Amount": pl.lit("0.00"),
        "Order Total Amount": _total(),
        "Order Total Tax Amount": _money(pl.col("order_tax")),
        "Item ID": pl.format("{}{}", pl.col("place") + 40_000, "number"),
        "SKU": _sku(),
        "Item Name": pl.col("name"),
        "Product Id": pl.col("product_id"),
        "Variation Id": pl.col("variant_id"),
        "Quantity": pl.col("quantity").cast(pl.String),
        "Order Line Total": _money(pl.col("amount")),
        "Order Line Tax": _money(pl.col("tax")),
    }
    return {"orders.csv": _in_columns(_with_sums(part), "woocommerce/orders.csv", ",", columns)}


# Amazon: one row an item, parted by tabs, no totals; what it shipped itself is in a report of its own.


def _amazon(part: Part) -> Tables:
    created = _created(_zoned(pl.col("created")), "2026-02-30T10:00:00+00:00")
    shipping = pl.when(pl.col("number") == 1).then("shipping").otherwise(0)
    price = _money(pl.col("amount"))
    comma = _way("money_cannot_be_read") & (pl.col("number") == 1)
    orders = {
        "order-id": _amazon_id(),
        "order-item-id": pl.format("62{}{}", "source_order_id", "number"),
        "purchase-date": created,
        "payments-date": created,
        "buyer-email": pl.format("x{}@marketplace.example.com", "customer"),
        "buyer-name": pl.col("full_name"),
        "sku": _sku(),
        "product-name": pl.col("name"),
        "quantity-purchased": pl.col("quantity").cast(pl.String),
        "currency": pl.col("currency"),
        "item-price": pl.when(comma).then(price.str.replace(".", ",", literal=True)).otherwise(price),
        "item-tax": _money(pl.col("tax")),
        "shipping-price": _money(shipping),
        "shipping-tax": pl.lit("0.00"),
        "ship-service-level": pl.when(pl.col("shipping") > 500)
        .then(pl.lit("Expedited"))
        .otherwise(pl.lit("Standard")),
        "recipient-name": pl.col("full_name"),
        "ship-address-1": pl.col("line1"),
        "ship-address-2": pl.col("line2"),
        "ship-city": _city(),
        "ship-state": pl.col("state"),
        "ship-postal-code": pl.col("postal"),
        "ship-country": _country(),
        "item-promotion-discount": pl.lit("0.00"),
        "ship-promotion-discount": pl.lit("0.00"),
        "delivery-Instructions": pl.col("note"),
        "sales-channel": pl.when(pl.col("country") == "DE")
        .then(pl.lit("Amazon.de"))
        .otherwise(pl.lit("Amazon.com")),
        "is-business-order": pl.lit("false"),
    }
    shipped = {
        "amazon-order-id": _amazon_id(),
        "shipment-id": pl.format("D{}x{}", "place", "dispatch"),
        "shipment-date": _zoned(pl.col("left")),
        "reporting-date": _zoned(pl.col("left")),
        "carrier": pl.col("carrier"),
        "tracking-number": pl.col("tracking"),
        "estimated-arrival-date": _zoned(pl.col("left") + pl.duration(hours=50)),
        "fulfillment-channel": pl.lit("AFN"),
    }
    return {
        "orders.txt": _in_columns(_with_sums(part), "amazon/orders.txt", "\t", orders),
        "shipments.txt": _in_columns(part.fulfillments, "amazon/shipments.txt", "\t", shipped),
    }


def _amazon_id() -> pl.Expr:
    digits = pl.col("place").cast(pl.String).str.zfill(14)
    return pl.format("111-{}-{}", digits.str.head(7), digits.str.tail(7))


def _zoned(instant: pl.Expr) -> pl.Expr:
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")


# TikTok Shop: one row a SKU, amounts in dollars with their sign, a tab behind ids and times.


def _tiktok(part: Part) -> Tables:
    form = "%m/%d/%Y %I:%M:%S %p"
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    left, there = (pl.col("created") + pl.duration(hours=hours) for hours in (22, 72))
    created = _created(_in_store(pl.col("created"), form), "02/30/2026 10:00:00 AM")
    nothing = pl.lit("$0.00")
    columns = {
        "Order ID": pl.col("source_order_id") + "\t",
        "Order Status": pl.when("cancelled").then(pl.lit("Canceled")).otherwise(pl.lit("Completed")),
        "Order Substatus": pl.when("cancelled").then(pl.lit("Canceled")).otherwise(pl.lit("Completed")),
        "Normal or Pre-order": pl.lit("Normal"),
        # A SKU stands in an order once; here the same one may be drawn twice.
        "SKU ID": pl.format("17295{}{}\t", "variant_id", "number"),
        "Seller SKU": _sku(),
        "Product Name": pl.col("name"),
        "Variation": pl.lit("Default"),
        "Quantity": pl.col("quantity").cast(pl.String),
        "Sku Quantity of return": pl.lit("0"),
        "SKU Unit Original Price": "$" + _money(pl.col("cents")),
        "SKU Subtotal Before Discount": "$" + _money(pl.col("amount")),
        "SKU Platform Discount": nothing,
        "SKU Seller Discount": nothing,
        "SKU Subtotal After Discount": "$" + _money(pl.col("amount")),
        "Shipping Fee After Discount": "$" + _money(pl.col("shipping")),
        "Original Shipping Fee": "$" + _money(pl.col("shipping")),
        "Shipping Fee Seller Discount": nothing,
        "Shipping Fee Platform Discount": nothing,
        "Payment platform discount": nothing,
        "Retail Delivery Fee": nothing,
        "Taxes": "$" + _money(pl.col("order_tax")),
        "Order Amount": "$" + _total(),
        "Order Refund Amount": nothing,
        "Created Time": created + "\t",
        "Paid Time": created + "\t",
        "Shipped Time": shipped.then(_in_store(left, form) + "\t"),
        "Delivered Time": shipped.then(_in_store(there, form) + "\t"),
        "Cancelled Time": pl.when("cancelled").then(
            _in_store(pl.col("created") + pl.duration(hours=26), form) + "\t"
        ),
        "Cancel Reason": pl.when("cancelled").then("reason"),
        "Fulfillment Type": pl.lit("Fulfillment by seller"),
        "Warehouse Name": pl.lit("Boston"),
        "Tracking ID": shipped.then(pl.format("TRK{}\t", "source_order_id")),
        "Delivery Option Type": pl.lit("Ship to address"),
        "Delivery Option": _shipping_title(),
        "Shipping Provider Name": shipped.then(pl.lit("UPS")),
        "Buyer Message": pl.col("note"),
        "Buyer Username": pl.format("buyer{}", "customer"),
        "Recipient": pl.col("full_name"),
        "Phone #": _phone(),
        "Country": _country("country_name"),
        "State": pl.col("state_name"),
        "City": _city(),
        "Zipcode": pl.col("postal"),
        "Detail Address": pl.col("line1"),
        "Additional address information": pl.col("line2"),
        "Payment Method": pl.lit("Card"),
        "Weight(kg)": (pl.col("unit_grams") / 1000).cast(pl.String),
        "Package ID": shipped.then(pl.format("1157{}\t", "source_order_id")),
    }
    return {"orders.csv": _in_columns(_with_sums(part), "tiktok/orders.csv", ",", columns)}


_OF_ANY_EXPORT = ("money_cannot_be_read", "city_is_missing", "country_is_unknown", "date_is_impossible")

SHAPES: Mapping[str, Shape] = {
    "canonical": Shape(_canonical, BAD_WAYS),
    "shopify": Shape(_shopify, (*_OF_ANY_EXPORT, "total_does_not_add_up", "phone_is_destroyed")),
    "woocommerce": Shape(
        _woocommerce,
        (*_OF_ANY_EXPORT, "total_does_not_add_up", "phone_is_destroyed", "line_has_no_sku"),
    ),
    "amazon": Shape(_amazon, (*_OF_ANY_EXPORT, "line_has_no_sku"), delimiter="\t"),
    "tiktok": Shape(
        _tiktok, (*_OF_ANY_EXPORT, "total_does_not_add_up", "phone_is_destroyed", "line_has_no_sku")
    ),
}
