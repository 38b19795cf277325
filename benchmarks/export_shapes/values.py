"""What the shapes have in common: how values are written, and how the bad ones are bad."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks.export_rows import Part

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
OF_ANY_EXPORT = ("money_cannot_be_read", "city_is_missing", "country_is_unknown", "date_is_impossible")
"""Ways to be bad that every shape has."""
OF_MOST_EXPORTS = (*OF_ANY_EXPORT, "total_does_not_add_up", "phone_is_destroyed")
"""The same, for exports that have a total and a phone."""

Tables = Mapping[str, pl.DataFrame]
"""File name -> rows, all of them text."""


@dataclass(frozen=True)
class Shape:
    """How a platform writes its orders."""

    tables: Callable[[Part], Tables]
    ways: Sequence[str]
    """The ways in which orders are bad, of `pipelines.samples.BAD_WAYS`."""
    delimiter: str = ","


def is_bad(name: str) -> pl.Expr:
    """Say of each row whether its order is bad in this way."""
    return (pl.col("way") == name).fill_null(value=False)


def money(cents: pl.Expr) -> pl.Expr:
    """Write cents as an amount."""
    return pl.format("{}.{}", cents // 100, (cents % 100).cast(pl.String).str.zfill(2))


def total() -> pl.Expr:
    """Write the total, with the faults of those that are bad in it."""
    text = money(pl.col("total") + pl.when(is_bad("total_does_not_add_up")).then(1).otherwise(0))
    comma = text.str.replace(".", ",", literal=True)
    return pl.when(is_bad("money_cannot_be_read")).then(comma).otherwise(text)


def city() -> pl.Expr:
    """Write the city, which some bad orders lack."""
    return pl.when(~is_bad("city_is_missing")).then("city")


def country(column: str = "country") -> pl.Expr:
    """Write the country, which is none in some bad orders."""
    return pl.when(is_bad("country_is_unknown")).then(pl.lit("XX")).otherwise(column)


def phone() -> pl.Expr:
    """Write the phone, which a spreadsheet destroyed in some bad orders."""
    return pl.when(is_bad("phone_is_destroyed")).then(pl.lit("9.2E+11")).otherwise("phone")


def utc(instant: pl.Expr) -> pl.Expr:
    """Write an instant with a Z."""
    return instant.dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def in_store(instant: pl.Expr, form: str) -> pl.Expr:
    """Write an instant by the clock of a store in New York."""
    return instant.dt.convert_time_zone("America/New_York").dt.strftime(form)


def placed_on(written: pl.Expr, impossible: str) -> pl.Expr:
    """Write when an order was placed; in some bad orders that is no day."""
    return pl.when(is_bad("date_is_impossible")).then(pl.lit(impossible)).otherwise(written)


def in_columns(
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


def sku() -> pl.Expr:
    """Write the SKU, which the first line of some bad orders lacks."""
    return pl.when(~(is_bad("line_has_no_sku") & (pl.col("number") == 1))).then("sku")


def shipping_title() -> pl.Expr:
    """Write what the shipping is called."""
    return pl.when(pl.col("shipping") > 500).then(pl.lit("Express")).otherwise(pl.lit("Standard"))


def with_sums(part: Part) -> pl.DataFrame:
    """Put the amounts of an order beside each of its lines."""
    sums = part.orders.select("subtotal", "total", "grams", order_tax="tax")
    return pl.concat([part.lines, sums[part.lines["row"]]], how="horizontal")
