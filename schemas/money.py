"""Where an amount is counted in the report, and how it is written: its currency, its month, its text.

Expressions over the canonical columns of `orders`, so that accepted and quarantined orders are counted alike.
"""

from decimal import Decimal

import polars as pl

UNDATED = "undated"
"""The month of an order that says no date; sorts behind every month."""
NO_CURRENCY = "XXX"
"""ISO 4217 for "no currency": the order names none, and neither does store.currency."""


_WITHOUT_COINS = (
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "UYI",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
)
_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_TEN_THOUSANDTHS = ("CLF", "UYW")


def minor_units(currency: pl.Expr) -> pl.Expr:
    """Return how many decimals amounts of a currency have, by ISO 4217 (list one, "minor unit"); 2 for unknown ones."""
    return (
        pl.when(currency.is_in(_WITHOUT_COINS))
        .then(0)
        .when(currency.is_in(_THOUSANDTHS))
        .then(3)
        .when(currency.is_in(_TEN_THOUSANDTHS))
        .then(4)
        .otherwise(2)
    )


def month_of(created_on: pl.Expr, time_zone: str) -> pl.Expr:
    """Return `YYYY-MM` of an instant in the store's time zone, or `undated`."""
    return created_on.dt.convert_time_zone(time_zone).dt.strftime("%Y-%m").fill_null(UNDATED)


def currency_of(customer_currency_code: pl.Expr, store_currency: str | None) -> pl.Expr:
    """Return the currency that an order is reported in: its own, else the store's, else XXX."""
    return pl.coalesce(customer_currency_code, pl.lit(store_currency or NO_CURRENCY))


def month_and_currency(time_zone: str, store_currency: str | None) -> list[pl.Expr]:
    """Return the expressions that give a frame of orders its columns `month` and `currency`."""
    return [
        month_of(pl.col("source_created_on"), time_zone).alias("month"),
        currency_of(pl.col("customer_currency_code"), store_currency).alias("currency"),
    ]


def money_text(amount: Decimal, *, grouped: bool = False) -> str:
    """Write an amount with at least two decimals; zeros beyond the second are left out.

    `grouped` parts the thousands with commas, for people.
    """
    whole, _, decimals = f"{amount:{',' if grouped else ''}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0'):0<2}"
