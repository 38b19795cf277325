"""The canonical table `orders`: one row = one order of the merchant. Mirrors the order object of CORSO's API.

The required columns are held against `corso_api.yaml` by a test. Left out: `storeId` (from loader.yaml) and
what only Corso assigns (`orderId`, `createdOn`, `updatedOn`, `carbonGrams`, `carbonCalculationMethod`).
"""

import pandera.polars as pa
import polars as pl

from schemas.fields import (
    COUNTRY,
    CURRENCY,
    FLAG,
    INSTANT,
    MONEY,
    NUMBER,
    PHONE,
    PROVENANCE,
    TEXT,
    api_paths,
    field,
    rule,
)

CUSTOMER = (
    "customer_source_customer_id",
    "customer_first_name",
    "customer_last_name",
    "customer_email",
    "customer_phone",
)
"""The columns of the customer object, which is left out whole or complete."""


def _has_customer() -> pl.Expr:
    return pl.any_horizontal(pl.col(name).is_not_null() for name in CUSTOMER)


def _customer_needs(name: str) -> pa.Check:
    column = f"customer_{name}"
    return rule(
        f"{column}_is_there",
        "is missing although the order has a customer",
        f"fill the column, or declare the fallback orders.{column}",
        lambda: ~_has_customer() | pl.col(column).is_not_null(),
        shows=column,
    )


def _arithmetic() -> pl.Expr:
    parts = [("shipping", "shipping_money"), ("subtotal", "subtotal_money"), ("tax", "tax_money")]
    said = [pl.format(f"{name} {{}}", _short(pl.col(column))) for name, column in parts]
    total = pl.sum_horizontal(column for _, column in parts)
    return pl.format(
        "{} ({} = {})", _short(pl.col("total_money")), pl.concat_str(said, separator=" + "), _short(total)
    )


def _short(amount: pl.Expr) -> pl.Expr:
    return amount.cast(MONEY).cast(pl.String).str.replace(r"(\.\d\d\d*?)0+$", "$1")


def _address(path: str, which: str) -> dict[str, pa.Column]:
    return {
        **field(TEXT, f"{path}.line1", f"First line of the {which} address.", required=True),
        **field(TEXT, f"{path}.line2", f"Second line of the {which} address."),
        **field(TEXT, f"{path}.city", f"City of the {which} address.", required=True),
        **field(
            TEXT, f"{path}.stateOrProvinceCode", f"State or province of the {which} address.", required=True
        ),
        **field(TEXT, f"{path}.postalCode", f"Postal code of the {which} address.", required=True),
        **field(
            TEXT,
            f"{path}.countryCode",
            f"Country of the {which} address, ISO 3166-1 alpha-2.",
            COUNTRY,
            required=True,
        ),
        **field(TEXT, f"{path}.name", f"Full name at the {which} address."),
        **field(TEXT, f"{path}.firstName", f"First name at the {which} address."),
        **field(TEXT, f"{path}.lastName", f"Last name at the {which} address."),
        **field(NUMBER, f"{path}.latitude", f"Latitude of the {which} address, degrees."),
        **field(NUMBER, f"{path}.longitude", f"Longitude of the {which} address, degrees."),
    }


ORDERS = pa.DataFrameSchema(
    {
        **field(
            TEXT,
            "sourceOrderId",
            "The order's id on the source platform, unique in the store.",
            required=True,
        ),
        **field(TEXT, "orderNumber", "The number that the shop shows; Corso falls back to sourceOrderId."),
        **field(TEXT, "orderName", "The name that the shop shows, e.g. #1001."),
        **field(NUMBER, "currencyConversionRate", "Between the store's and the customer's currency."),
        **field(FLAG, "isShippingProtected", "Whether the customer bought Corso's protection."),
        **field(TEXT, "customer.sourceCustomerId", "The customer's id on the source platform."),
        **field(TEXT, "customer.firstName", "The customer's first name."),
        **field(TEXT, "customer.lastName", "The customer's last name."),
        **field(TEXT, "customer.email", "The customer's e-mail address."),
        **field(TEXT, "customer.phone", "The customer's phone, E.164.", PHONE),
        **field(INSTANT, "sourceCreatedOn", "When the order was placed, by the source's clock."),
        **field(INSTANT, "sourceUpdatedOn", "When the source last changed the order."),
        **field(INSTANT, "sourceCanceledOn", "When the order was cancelled; empty if it was not."),
        **field(MONEY, "shippingMoney", "Shipping, in the store's currency.", required=True),
        **field(MONEY, "subtotalMoney", "Goods without tax and shipping.", required=True),
        **field(MONEY, "taxMoney", "Tax.", required=True),
        **field(MONEY, "totalMoney", "The sum of shipping, subtotal and tax, exactly.", required=True),
        **_address("billingAddress", "billing"),
        **_address("shippingAddress", "shipping"),
        **field(NUMBER, "grams", "Weight in grams."),
        **field(TEXT, "shippingTitle", "The shipping method's name."),
        **field(TEXT, "canceledReason", "Why the order was cancelled."),
        **field(TEXT, "notes", "Free text."),
        **field(TEXT, "channel", "Where the order was placed."),
        **field(TEXT, "channelId", "The id of that channel."),
        **field(TEXT, "customerCurrencyCode", "The customer's currency, ISO 4217.", CURRENCY),
        **PROVENANCE,
    },
    checks=[
        rule(
            "money_adds_up",
            "is not shipping_money + subtotal_money + tax_money",
            "Corso refuses an order whose total is not that sum exactly; correct the amounts or the profile's money policy",
            lambda: (
                pl.col("total_money")
                == pl.col("shipping_money") + pl.col("subtotal_money") + pl.col("tax_money")
            ),
            shows="total_money",
            value=_arithmetic,
        ),
        _customer_needs("source_customer_id"),
        _customer_needs("first_name"),
        _customer_needs("last_name"),
        rule(
            "customer_can_be_reached",
            "and customer_phone are both missing although the order has a customer",
            "Corso needs one of the two; fill a column, or declare the fallback orders.customer_email",
            lambda: (
                ~_has_customer()
                | pl.col("customer_email").is_not_null()
                | pl.col("customer_phone").is_not_null()
            ),
            shows="customer_email",
        ),
    ],
    strict=True,
    name="orders",
)

ORDER_PATHS = api_paths(ORDERS)
"""Column -> path in the API's order object."""

NO_CANCEL_REASON = "not given"
"""Sent where an order is cancelled and the export says no reason: a DELETE has to give one (documented)."""
