"""How one column of a canonical table is declared: its type, its path in Corso's API, and its rule.

A column's name is its API path in snake case (`billingAddress.line1` -> `billing_address_line1`); the path is
kept in the column's metadata, where payloads and the listing find it. Rules are pandera checks made of plain
polars expressions, which also stand in the check's `statistics` (`make`), so that pandera can run them and
`corso.extract.rules` can run them all in one pass; a test holds the two against each other.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandera.polars as pa
import polars as pl
import pycountry
from pandera.polars import PolarsData

from schemas.wire import MONEY_DECIMALS, MOST_DECIMALS

TEXT = pl.String()
MONEY = pl.Decimal(38, MONEY_DECIMALS)
"""Exact."""
NUMBER = pl.Decimal(38, MOST_DECIMALS)
"""Exact; for quantities, weights, rates and coordinates."""
INSTANT = pl.Datetime("us", "UTC")
FLAG = pl.Boolean()
OPTIONS = pl.List(pl.Struct({"name": pl.String, "value": pl.String}))

PROVENANCE = {
    "file": pa.Column(pl.String, description="The export file, as its pattern in loader.yaml named it."),
    "line": pa.Column(
        pl.Int64,
        description="The line in that file on which the row begins, from 1; a Parquet row's number, from 1.",
    ),
}
"""The columns that say where a row came from; every table has them."""


def snake(api_path: str) -> str:
    """Return the column's name for an API path."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", api_path.replace(".", "_"))
    return words.lower()


@dataclass(frozen=True)
class Mending:
    """What a reason says of a column that is not mended in the export, as others are."""

    unread: str
    """What is said of a value that cannot be read."""
    remedy: str
    """What to do about it."""
    remedy_if_missing: str
    """What to do where there is no value."""


def field(
    dtype: pl.DataType,
    api_path: str,
    description: str,
    *checks: pa.Check,
    required: bool = False,
    mending: Mending | None = None,
) -> dict[str, pa.Column]:
    """Declare the column for `api_path`.

    `required` means that Corso refuses a record without it; `mending` stands for the words that its type has.
    """
    column = pa.Column(
        dtype,
        checks=list(checks),
        nullable=not required,
        description=description,
        metadata={"api": api_path, "mending": mending},
    )
    return {snake(api_path): column}


def rule(
    name: str,
    sentence: str,
    remedy: str,
    make: Callable[[], pl.Expr],
    *,
    shows: str,
    value: Callable[[], pl.Expr] | None = None,
) -> pa.Check:
    """Declare a rule about a whole row; `make` returns an expression that is true for a good row.

    A null counts as good. `shows` is the column that a report of the broken rule names; its text is shown, or what
    `value` returns.
    """

    def check(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(make().fill_null(value=True))

    facts = {"remedy": remedy, "shows": shows, "make": make, "value": value}
    return pa.Check(check, name=name, error=sentence, statistics=facts)


def value_rule(name: str, sentence: str, remedy: str, make: Callable[[pl.Expr], pl.Expr]) -> pa.Check:
    """Declare a rule about one column's value; `make` turns the column into true for a good value."""

    def check(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(make(pl.col(data.key or "*")))

    return pa.Check(check, name=name, error=sentence, statistics={"remedy": remedy, "make": make})


@cache
def country_codes() -> frozenset[str]:
    """ISO 3166-1 alpha-2 codes."""
    return frozenset(country.alpha_2 for country in pycountry.countries)


@cache
def currency_codes() -> frozenset[str]:
    """ISO 4217 alphabetic codes."""
    return frozenset(currency.alpha_3 for currency in pycountry.currencies)


COUNTRY = value_rule(
    "country_code_is_iso",
    "is not an ISO 3166-1 alpha-2 country code",
    "write two capital letters, e.g. US",
    lambda value: value.is_in(sorted(country_codes())),
)
CURRENCY = value_rule(
    "currency_code_is_iso",
    "is not an ISO 4217 currency code",
    "write three capital letters, e.g. USD",
    lambda value: value.is_in(sorted(currency_codes())),
)
PHONE = value_rule(
    "phone_is_e164",
    "is not a phone number in E.164",
    "write + and the digits with the country's code, e.g. +12025550123, or leave it empty; digits without + that begin with "
    "that code may be two numbers",
    lambda value: value.str.contains(r"^\+[1-9][0-9]{1,14}$"),
)


def api_paths(schema: pa.DataFrameSchema) -> dict[str, str]:
    """Column -> API path, for the columns of a schema that Corso knows."""
    return {
        name: column.metadata["api"]
        for name, column in schema.columns.items()
        if column.metadata and "api" in column.metadata
    }


def dtypes(schema: pa.DataFrameSchema) -> dict[str, Any]:
    """Column -> polars type."""
    return {name: column.dtype.type for name, column in schema.columns.items()}


def empty_frame(schema: pa.DataFrameSchema) -> pl.DataFrame:
    """Return a frame of this schema without rows."""
    return pl.DataFrame(schema=dtypes(schema))
