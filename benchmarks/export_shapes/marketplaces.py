"""What marketplaces report: Amazon, TikTok Shop, Etsy, Walmart."""

import polars as pl

from benchmarks.export_rows import Part
from benchmarks.export_shapes.values import (
    Tables,
    city,
    country,
    in_columns,
    in_store,
    is_bad,
    money,
    phone,
    placed_on,
    shipping_title,
    sku,
    total,
    with_sums,
)


def amazon(part: Part) -> Tables:
    """Write the order report and that of shipments: one row an item, parted by tabs, no totals."""
    created = placed_on(_zoned(pl.col("created")), "2026-02-30T10:00:00+00:00")
    shipping = pl.when(pl.col("number") == 1).then("shipping").otherwise(0)
    orders = {
        "order-id": _amazon_id(),
        "order-item-id": pl.format("62{}{}", "source_order_id", "number"),
        "purchase-date": created,
        "payments-date": created,
        "buyer-email": pl.format("x{}@marketplace.example.com", "customer"),
        "buyer-name": pl.col("full_name"),
        "sku": sku(),
        "product-name": pl.col("name"),
        "quantity-purchased": pl.col("quantity").cast(pl.String),
        "currency": pl.col("currency"),
        "item-price": _amount(),
        "item-tax": money(pl.col("tax")),
        "shipping-price": money(shipping),
        "shipping-tax": pl.lit("0.00"),
        "ship-service-level": pl.when(pl.col("shipping") > 500)
        .then(pl.lit("Expedited"))
        .otherwise(pl.lit("Standard")),
        "recipient-name": pl.col("full_name"),
        "ship-address-1": pl.col("line1"),
        "ship-address-2": pl.col("line2"),
        "ship-city": city(),
        "ship-state": pl.col("state"),
        "ship-postal-code": pl.col("postal"),
        "ship-country": country(),
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
        "orders.txt": in_columns(with_sums(part), "amazon/orders.txt", "\t", orders),
        "shipments.txt": in_columns(part.fulfillments, "amazon/shipments.txt", "\t", shipped),
    }


def _amazon_id() -> pl.Expr:
    digits = pl.col("place").cast(pl.String).str.zfill(14)
    return pl.format("111-{}-{}", digits.str.head(7), digits.str.tail(7))


def _zoned(instant: pl.Expr) -> pl.Expr:
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def tiktok(part: Part) -> Tables:
    """Write TikTok Shop's export: one row a SKU, amounts with a dollar sign, tabs behind ids and times."""
    form = "%m/%d/%Y %I:%M:%S %p"
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    left, there = (pl.col("created") + pl.duration(hours=hours) for hours in (22, 72))
    created = placed_on(in_store(pl.col("created"), form), "02/30/2026 10:00:00 AM")
    nothing = pl.lit("$0.00")
    columns = {
        "Order ID": pl.col("source_order_id") + "\t",
        "Order Status": pl.when("cancelled").then(pl.lit("Canceled")).otherwise(pl.lit("Completed")),
        "Order Substatus": pl.when("cancelled").then(pl.lit("Canceled")).otherwise(pl.lit("Completed")),
        "Normal or Pre-order": pl.lit("Normal"),
        # A SKU stands in an order once; here the same one may be drawn twice.
        "SKU ID": pl.format("17295{}{}\t", "variant_id", "number"),
        "Seller SKU": sku(),
        "Product Name": pl.col("name"),
        "Variation": pl.lit("Default"),
        "Quantity": pl.col("quantity").cast(pl.String),
        "Sku Quantity of return": pl.lit("0"),
        "SKU Unit Original Price": "$" + money(pl.col("cents")),
        "SKU Subtotal Before Discount": "$" + money(pl.col("amount")),
        "SKU Platform Discount": nothing,
        "SKU Seller Discount": nothing,
        "SKU Subtotal After Discount": "$" + money(pl.col("amount")),
        "Shipping Fee After Discount": "$" + money(pl.col("shipping")),
        "Original Shipping Fee": "$" + money(pl.col("shipping")),
        "Shipping Fee Seller Discount": nothing,
        "Shipping Fee Platform Discount": nothing,
        "Payment platform discount": nothing,
        "Retail Delivery Fee": nothing,
        "Taxes": "$" + money(pl.col("order_tax")),
        "Order Amount": "$" + total(),
        "Order Refund Amount": nothing,
        "Created Time": created + "\t",
        "Paid Time": created + "\t",
        "Shipped Time": shipped.then(in_store(left, form) + "\t"),
        "Delivered Time": shipped.then(in_store(there, form) + "\t"),
        "Cancelled Time": pl.when("cancelled").then(
            in_store(pl.col("created") + pl.duration(hours=26), form) + "\t"
        ),
        "Cancel Reason": pl.when("cancelled").then("reason"),
        "Fulfillment Type": pl.lit("Fulfillment by seller"),
        "Warehouse Name": pl.lit("Boston"),
        "Tracking ID": shipped.then(pl.format("TRK{}\t", "source_order_id")),
        "Delivery Option Type": pl.lit("Ship to address"),
        "Delivery Option": shipping_title(),
        "Shipping Provider Name": shipped.then(pl.lit("UPS")),
        "Buyer Message": pl.col("note"),
        "Buyer Username": pl.format("buyer{}", "customer"),
        "Recipient": pl.col("full_name"),
        "Phone #": phone(),
        "Country": country("country_name"),
        "State": pl.col("state_name"),
        "City": city(),
        "Zipcode": pl.col("postal"),
        "Detail Address": pl.col("line1"),
        "Additional address information": pl.col("line2"),
        "Payment Method": pl.lit("Card"),
        "Weight(kg)": (pl.col("unit_grams") / 1000).round(3).cast(pl.String),
        "Package ID": shipped.then(pl.format("1157{}\t", "source_order_id")),
    }
    return {"orders.csv": in_columns(with_sums(part), "tiktok/orders.csv", ",", columns)}


def etsy(part: Part) -> Tables:
    """Write Etsy's sold order items: one row an item, dates without times; the order's amounts stand on its first."""
    first = pl.col("number") == 1
    form = "%m/%d/%Y"
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    columns = {
        "Sale Date": placed_on(in_store(pl.col("created"), "%m/%d/%y"), "02/30/26"),
        "Item Name": pl.col("name"),
        "Buyer": pl.format("buyer{}", "customer"),
        "Quantity": pl.col("quantity").cast(pl.String),
        "Price": money(pl.col("cents")),
        "Discount Amount": pl.lit("0.00"),
        "Delivery Discount": pl.lit("0.00"),
        "Order Delivery": money(pl.when(first).then("shipping").otherwise(0)),
        "Order Sales Tax": money(pl.when(first).then("order_tax").otherwise(0)),
        "Item Total": _amount(),
        "Currency": pl.col("currency"),
        "Transaction ID": pl.format("{}{}", pl.col("place") + 600_000_000, "number"),
        "Listing ID": pl.col("product_id"),
        "Date Paid": in_store(pl.col("created"), form),
        "Date Posted": shipped.then(in_store(pl.col("created") + pl.duration(hours=44), form)),
        "Delivery Name": pl.col("full_name"),
        "Delivery Address1": pl.col("line1"),
        "Delivery Address2": pl.col("line2"),
        "Delivery City": city(),
        "Delivery State": pl.col("state"),
        "Delivery Zipcode": pl.col("postal"),
        "Delivery Country": country("country_name"),
        "Order ID": pl.col("source_order_id"),
        "Order Type": pl.lit("online"),
        "Listings Type": pl.lit("listing"),
        "Payment Type": pl.lit("online_cc"),
        "VAT Paid by Buyer": pl.lit("0.00"),
        "SKU": pl.col("sku"),
    }
    rows = in_columns(with_sums(part), "etsy/EtsySoldOrderItems2026.csv", ",", columns)
    return {"EtsySoldOrderItems2026.csv": rows}


def walmart(part: Part) -> Tables:
    """Write Walmart Marketplace's order report: one row a line, no totals, everything in the United States."""
    american = pl.format("20255501{}", (10 + pl.col("customer") % 90).cast(pl.String))
    number = pl.when(is_bad("phone_is_destroyed")).then(pl.lit("9.2E+11")).otherwise(american)
    date = placed_on(in_store(pl.col("created"), "%Y-%m-%d"), "2026-02-30")
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    price = money(pl.col("cents"))
    columns = {
        "PO#": pl.col("source_order_id"),
        "Order#": (200_012_000_000_000 + pl.col("place")).cast(pl.String),
        "Order Date": date,
        "Ship By": date,
        "Delivery Date": date,
        "Customer Name": pl.col("full_name"),
        "Customer Shipping Address": pl.concat_str("full_name", "line1", "city", "state", separator=", "),
        "Customer Phone Number": number,
        "Ship to Address 1": pl.col("line1"),
        "Ship to Address 2": pl.col("line2"),
        "City": city(),
        "State": pl.col("state"),
        "Zip": pl.col("postal"),
        "Line#": pl.col("number").cast(pl.String),
        "UPC": pl.col("product_id").str.zfill(12),
        "Status": pl.when("cancelled").then(pl.lit("Cancelled")).otherwise(pl.lit("Delivered")),
        "Item Description": pl.col("name"),
        "Shipping Method": pl.lit("Value"),
        "Shipping Tier": pl.lit("STANDARD"),
        "Qty": pl.col("quantity").cast(pl.String),
        "SKU": sku(),
        "Item Cost": pl.when(_first_is_bad())
        .then(price.str.replace(".", ",", literal=True))
        .otherwise(price),
        "Shipping Cost": money(pl.when(pl.col("number") == 1).then("shipping").otherwise(0)),
        "Tax": money(pl.col("tax")),
        "Carrier": shipped.then(pl.lit("UPS")),
        "Tracking Number": shipped.then(pl.format("1Z{}", "source_order_id")),
        "Tracking Url": shipped.then(pl.format("https://track.example.com/1Z{}", "source_order_id")),
        "Fulfillment Entity": pl.lit("Seller Fulfilled"),
        "Replacement Order": pl.lit("No"),
    }
    return {"orders.csv": in_columns(with_sums(part), "walmart/orders.csv", ",", columns)}


def _amount() -> pl.Expr:
    """Write what all pieces of a line cost; on the first line of some bad orders with a comma."""
    text = money(pl.col("amount"))
    return pl.when(_first_is_bad()).then(text.str.replace(".", ",", literal=True)).otherwise(text)


def _first_is_bad() -> pl.Expr:
    return is_bad("money_cannot_be_read") & (pl.col("number") == 1)
