"""What shops export: Shopify, WooCommerce, BigCommerce, Magento."""

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


def shopify(part: Part) -> Tables:
    """Write the admin's order export: one row a line, what the order says on its first row only."""
    lines = with_sums(part)
    zip_code = "'" + pl.col("postal")
    created = placed_on(in_store(pl.col("created"), "%Y-%m-%d %H:%M:%S %z"), "2026-02-30 10:00:00 -0500")
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    of_order = {
        "Financial Status": pl.when("cancelled").then(pl.lit("voided")).otherwise(pl.lit("paid")),
        "Paid at": created,
        "Fulfillment Status": shipped.then(pl.lit("fulfilled")).otherwise(pl.lit("unfulfilled")),
        "Fulfilled at": shipped.then(
            in_store(pl.col("created") + pl.duration(hours=44), "%Y-%m-%d %H:%M:%S %z")
        ),
        "Accepts Marketing": pl.lit("no"),
        "Currency": pl.col("currency"),
        "Subtotal": money(pl.col("subtotal")),
        "Shipping": money(pl.col("shipping")),
        "Taxes": money(pl.col("order_tax")),
        "Total": total(),
        "Discount Amount": pl.lit("0.00"),
        "Shipping Method": shipping_title(),
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
        "Shipping City": city(),
        "Shipping Zip": zip_code,
        "Shipping Province": pl.col("state"),
        "Shipping Country": country(),
        "Shipping Province Name": pl.col("state_name"),
        "Notes": pl.col("note"),
        "Cancelled at": pl.when("cancelled").then(
            in_store(pl.col("created") + pl.duration(hours=26), "%Y-%m-%d %H:%M:%S %z")
        ),
        "Payment Method": pl.lit("Shopify Payments"),
        "Payment Reference": pl.format("r{}", 1001 + pl.col("place")),
        "Refunded Amount": pl.lit("0.00"),
        "Outstanding Balance": pl.lit("0.00"),
        "Id": pl.col("source_order_id"),
        "Risk Level": pl.lit("Low"),
        "Source": pl.lit("web"),
        "Tax 1 Name": pl.format("{} Tax", "state_name"),
        "Tax 1 Value": money(pl.col("order_tax")),
        "Phone": "'" + phone(),
        "Payment ID": pl.format("r{}", 1001 + pl.col("place")),
        "Payment References": pl.format("r{}", 1001 + pl.col("place")),
    }
    of_line = {
        "Name": pl.format("#{}", 1001 + pl.col("place")),
        "Email": pl.col("email"),
        "Created at": created,
        "Lineitem quantity": pl.col("quantity").cast(pl.String),
        "Lineitem name": pl.col("name"),
        "Lineitem price": money(pl.col("cents")),
        "Lineitem sku": pl.col("sku"),
        "Lineitem requires shipping": pl.lit("true"),
        "Lineitem taxable": pl.lit("true"),
        "Lineitem fulfillment status": shipped.then(pl.lit("fulfilled")).otherwise(pl.lit("pending")),
        "Vendor": pl.col("vendor"),
        "Lineitem discount": pl.lit("0.00"),
    }
    first = {name: pl.when(pl.col("number") == 1).then(value) for name, value in of_order.items()}
    return {"orders_export.csv": in_columns(lines, "shopify/orders_export.csv", ",", of_line | first)}


def woocommerce(part: Part) -> Tables:
    """Write what Advanced Order Export writes: one row a line, what the order says on each of them."""
    form = "%Y-%m-%d %H:%M"
    completed = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0)).then(
        in_store(pl.col("created") + pl.duration(hours=44), form)
    )
    created = placed_on(in_store(pl.col("created"), form), "2026-02-30 10:00")
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
        "Phone (Billing)": phone(),
        "First Name (Shipping)": pl.col("first_name"),
        "Last Name (Shipping)": pl.col("last_name"),
        "Address 1 (Shipping)": pl.col("line1"),
        "Address 2 (Shipping)": pl.col("line2"),
        "City (Shipping)": city(),
        "State Code (Shipping)": pl.col("state"),
        "Postcode (Shipping)": pl.col("postal"),
        "Country Code (Shipping)": country(),
        "Payment Method Title": pl.lit("Invoice"),
        "Cart Discount Amount": pl.lit("0.00"),
        "Order Subtotal Amount": money(pl.col("subtotal")),
        "Shipping Method Title": shipping_title(),
        "Order Shipping Amount": money(pl.col("shipping")),
        "Order Total Fee": pl.lit("0.00"),
        "Order Refund Amount": pl.lit("0.00"),
        "Order Total Amount": total(),
        "Order Total Tax Amount": money(pl.col("order_tax")),
        "Item ID": pl.format("{}{}", pl.col("place") + 40_000, "number"),
        "SKU": sku(),
        "Item Name": pl.col("name"),
        "Product Id": pl.col("product_id"),
        "Variation Id": pl.col("variant_id"),
        "Quantity": pl.col("quantity").cast(pl.String),
        "Order Line Total": money(pl.col("amount")),
        "Order Line Tax": money(pl.col("tax")),
    }
    return {"orders.csv": in_columns(with_sums(part), "woocommerce/orders.csv", ",", columns)}


def bigcommerce(part: Part) -> Tables:
    """Write BigCommerce's export: one row an order, its lines packed into one cell."""
    details = pl.format(
        "Product ID: {}, Product Qty: {}, Product SKU: {}, Product Name: {}, Product Weight: {}, "
        "Product Variation Details: , Product Unit Price: {}, Product Total Price: {}",
        "product_id",
        "quantity",
        "sku",
        "name",
        (pl.col("unit_grams") / 1000).round(3).cast(pl.String),
        money(pl.col("cents")),
        money(pl.col("amount")),
    )
    shipped = pl.when(~pl.col("cancelled") & (pl.col("dispatches") > 0))
    people = {
        "First Name": pl.col("first_name"),
        "Last Name": pl.col("last_name"),
        "Street 1": pl.col("line1"),
        "Street 2": pl.col("line2"),
        "Suburb": pl.col("city"),
        "State": pl.col("state_name"),
        "Zip": pl.col("postal"),
        "Country": pl.col("country_name"),
        "Email": pl.col("email"),
    }
    columns = {
        "Order ID": pl.col("source_order_id"),
        "Order Status": pl.when("cancelled").then(pl.lit("Cancelled")).otherwise(pl.lit("Completed")),
        "Order Date": placed_on(in_store(pl.col("created"), "%d/%m/%Y"), "30/02/2026"),
        "Order Time": in_store(pl.col("created"), "%H:%M:%S"),
        "Subtotal (inc tax)": money(pl.col("subtotal")),
        "Subtotal (ex tax)": money(pl.col("subtotal")),
        "Tax Total": money(pl.col("tax")),
        "Shipping Cost (inc tax)": money(pl.col("shipping")),
        "Shipping Cost (ex tax)": money(pl.col("shipping")),
        "Handling Cost (inc tax)": pl.lit("0.0000"),
        "Handling Cost (ex tax)": pl.lit("0.0000"),
        "Order Total (inc tax)": total(),
        "Order Total (ex tax)": money(pl.col("total") - pl.col("tax")),
        "Refund Amount": pl.lit("0.00"),
        "Customer ID": (700_000 + pl.col("customer")).cast(pl.String),
        "Customer Name": pl.col("full_name"),
        "Customer Email": pl.col("email"),
        "Customer Phone": phone(),
        "Ship Method": shipping_title(),
        "Payment Method": pl.lit("Invoice"),
        "Store Credit Redeemed": pl.lit("0.00"),
        "Gift Certificate Amount Redeemed": pl.lit("0.00"),
        "Date Shipped": shipped.then(in_store(pl.col("created") + pl.duration(hours=44), "%d/%m/%Y")),
        "Order Currency Code": pl.col("currency"),
        "Exchange Rate": pl.lit("1.0000000000"),
        "Customer Message": pl.col("note"),
        **{f"Billing {name}": value for name, value in people.items()},
        **{f"Shipping {name}": value for name, value in people.items()},
        "Shipping Suburb": city(),
        "Shipping Country": country("country_name"),
        "Product Details": pl.when(~is_bad("order_has_no_lines")).then("packed"),
        "# Unique Products in Order": pl.lit("3"),
        "Channel ID": pl.lit("1"),
        "Channel Name": pl.lit("Pottery Shop"),
    }
    orders = part.orders.with_columns(_packed(part, details, "|"))
    return {"orders.csv": in_columns(orders, "bigcommerce/orders.csv", ",", columns)}


def magento(part: Part) -> Tables:
    """Write an export of Magento's: one row an order, its lines as JSON in one cell, streets of several lines."""
    details = pl.struct(
        item_id=pl.col("place") * 10 + pl.col("number"),
        sku=sku(),
        name="name",
        qty_ordered="quantity",
        price=money(pl.col("cents")),
        tax_amount=money(pl.col("tax")),
        product_id="product_id",
    ).struct.json_encode()
    form = "%Y-%m-%d %H:%M:%S"
    placed = placed_on(pl.col("created").dt.strftime(form), "2026-02-30 10:00:00")
    status = pl.when("cancelled").then(pl.lit("canceled")).otherwise(pl.lit("complete"))
    people = {
        "firstname": pl.col("first_name"),
        "lastname": pl.col("last_name"),
        "street": pl.concat_str("line1", "line2", separator="\n", ignore_nulls=True),
        "city": pl.col("city"),
        "region": pl.col("state_name"),
        "postcode": pl.col("postal"),
        "country_id": pl.col("country"),
    }
    columns = {
        "entity_id": pl.col("source_order_id"),
        "increment_id": (1001 + pl.col("place")).cast(pl.String).str.zfill(9),
        "customer_id": (700_000 + pl.col("customer")).cast(pl.String),
        "customer_email": pl.col("email"),
        "customer_firstname": pl.col("first_name"),
        "customer_lastname": pl.col("last_name"),
        "status": status,
        "state": status,
        "grand_total": total(),
        "base_grand_total": total(),
        "subtotal": money(pl.col("subtotal")),
        "discount_amount": pl.lit("0.0000"),
        "discount_tax_compensation_amount": pl.lit("0.0000"),
        "tax_amount": money(pl.col("tax")),
        "shipping_amount": money(pl.col("shipping")),
        "gift_cards_amount": pl.lit("0.0000"),
        "total_refunded": pl.lit("0.0000"),
        "order_currency_code": pl.col("currency"),
        "shipping_description": shipping_title(),
        "payment_method": pl.lit("checkmo"),
        "created_at": placed,
        "updated_at": (pl.col("created") + pl.duration(hours=26)).dt.strftime(form),
        "customer_note": pl.col("note"),
        **{f"billing_{name}": value for name, value in people.items()},
        "billing_telephone": phone(),
        "same_as_billing": pl.lit("0"),
        **{f"shipping_{name}": value for name, value in people.items()},
        "shipping_city": city(),
        "shipping_country_id": country(),
        "items": pl.when(~is_bad("order_has_no_lines")).then(pl.format("[{}]", "packed")),
    }
    orders = part.orders.with_columns(_packed(part, details, ", "))
    return {"orders.csv": in_columns(orders, "magento/orders.csv", ",", columns)}


def _packed(part: Part, details: pl.Expr, mark: str) -> pl.Series:
    """Return the lines of each order as one text, in the order of the orders."""
    return (
        part.lines.select("row", details.alias("packed"))
        .group_by("row", maintain_order=True)
        .agg(pl.col("packed").str.join(mark))["packed"]
    )
