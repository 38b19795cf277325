"""Field by field: which fields of an order and of its lines differ, and what each side says.

Equal rows must cost little, as nearly all are equal: a first pass keeps the rows in which any value is not the very
same, and only those are looked at with the tolerances, and written as text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from corso.report.tolerances import (
    IN_CORSO,
    LINE_PREFIX,
    LINES,
    column_type,
    compared_line_columns,
    compared_order_columns,
    differs,
    may_differ,
)
from schemas.fields import FLAG, INSTANT, MONEY, OPTIONS, TEXT, dtypes
from schemas.line_items import LINE_ITEM_PATHS, LINE_ITEMS
from schemas.orders import ORDERS

DIFFERENCES = {
    "source_order_id": TEXT,
    "source_line_item_id": TEXT,
    "field": TEXT,
    "rank": pl.Int32(),
    "source_value": TEXT,
    "corso_value": TEXT,
}
"""One row = one field that differs; `rank` orders the fields of an order as the schemas do."""

_NAMED_BY = ("source_order_id", "source_line_item_id")
_LINE_KEY = ("source_order_id", "source_line_item_id", "copy")


def order_differences(orders: pl.LazyFrame, listing: pl.LazyFrame, ignored: Iterable[str]) -> pl.DataFrame:
    """Return the fields that differ between orders and their records.

    `orders` has each order once, `listing` at most one record of each; orders without a record are left out.
    """
    columns = compared_order_columns(ignored)
    if not columns:
        return pl.DataFrame(schema=DIFFERENCES)
    corso = listing.select("source_order_id", pl.col(columns).name.prefix(IN_CORSO))
    suspects = (
        orders.select("source_order_id", *columns)
        .join(corso, on="source_order_id")
        .filter(pl.any_horizontal(may_differ(name) for name in columns))
        .with_columns(pl.lit(None, TEXT).alias("source_line_item_id"))
        .collect()
    )
    ranks = {name: rank for rank, name in enumerate(dtypes(ORDERS))}
    found = field_differences(suspects, columns, "", ranks, _NAMED_BY)
    return pl.concat([pl.DataFrame(schema=DIFFERENCES), *found])


def line_differences(lines: pl.LazyFrame, listing: pl.LazyFrame, ignored: Iterable[str]) -> pl.DataFrame:
    """Return what differs between the lines of orders and those of their records.

    `lines` holds the lines of exactly the orders that `listing` has one record of. A line on one side only is one
    difference with the field `line_items`. A line id that occurs twice is paired once; the rest are extra lines.
    """
    ignored = set(ignored)
    if LINES in ignored:
        return pl.DataFrame(schema=DIFFERENCES)
    columns = compared_line_columns(ignored)
    source = lines.select("source_order_id", *LINE_ITEM_PATHS)
    corso = (
        listing.filter(pl.col("line_items").list.len() > 0)
        .select("source_order_id", "line_items")
        .explode("line_items")
        .unnest("line_items")
    )
    key = list(_LINE_KEY)
    suspects = (
        _numbered(source)
        .with_columns(here=pl.lit(value=True))
        .join(
            _numbered(corso)
            .with_columns(there=pl.lit(value=True))
            .rename({name: IN_CORSO + name for name in LINE_ITEM_PATHS if name not in key}),
            on=key,
            how="full",
            coalesce=True,
            nulls_equal=True,
        )
        .filter(
            pl.col("here").is_null()
            | pl.col("there").is_null()
            | pl.any_horizontal(pl.lit(value=False), *(may_differ(name, LINE_PREFIX) for name in columns))
        )
        .collect()
    )
    both = suspects.filter(pl.col("here"), pl.col("there"))
    ranks = {name: rank for rank, name in enumerate(LINE_ITEM_PATHS, 1000)}
    return pl.concat(
        [
            _one_sided(suspects.filter(pl.col("here").is_null()), IN_CORSO, "corso_value"),
            _one_sided(suspects.filter(pl.col("there").is_null()), "", "source_value"),
            *field_differences(both, columns, LINE_PREFIX, ranks, _NAMED_BY),
        ]
    )


def value_text(value: pl.Expr, dtype: Any) -> pl.Expr:
    """Write a value as the report shows it: exact, without an exponent, instants in UTC."""
    if dtype == INSTANT:
        return value.dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    if dtype == OPTIONS:
        return value.list.eval(pl.element().struct.json_encode()).list.join(", ")
    if dtype in (TEXT, FLAG):
        return value.cast(TEXT)
    least = 2 if dtype == MONEY else 0
    return value.cast(TEXT).str.replace(rf"(\.\d{{{least}}}\d*?)0+$", "${1}").str.strip_suffix(".")


def _numbered(lines: pl.LazyFrame) -> pl.LazyFrame:
    """Add `copy`: which of the lines with the same id a line is, from 0.

    Nearly always there is one; asking first costs a tenth of numbering them all.
    """
    key = ["source_order_id", "source_line_item_id"]
    if lines.select(pl.struct(key).is_duplicated().any()).collect().item():
        return lines.with_columns(copy=pl.int_range(pl.len()).over(key).cast(pl.Int64))
    return lines.with_columns(copy=pl.lit(0, pl.Int64()))


def field_differences(
    pairs: pl.DataFrame, columns: Sequence[str], prefix: str, ranks: Mapping[str, int], keys: Sequence[str]
) -> list[pl.DataFrame]:
    """Return the pairs in which a field differs, with what each side says, field by field; `keys` name them.

    A pair has the source's columns, and Corso's under the prefix `IN_CORSO`. Most fields differ nowhere, which is found out
    for all of them at once.
    """
    somewhere = pairs.select(may_differ(name, prefix).any().alias(name) for name in columns)
    return [
        _field_differences(pairs, name, prefix, ranks[name], keys)
        for name in columns
        if somewhere[name].item()
    ]


def settled_by_tolerance(
    pairs: pl.DataFrame, columns: Sequence[str], prefix: str, share: float
) -> frozenset[str]:
    """Return the columns in which more than this share of the pairs are not the very same, and equal by a tolerance."""
    columns = [name for name in columns if column_type(name, prefix) in (TEXT, INSTANT)]
    if pairs.is_empty() or not columns:
        return frozenset()
    settled = pairs.select(
        (may_differ(name, prefix) & ~differs(name, prefix)).mean().alias(name) for name in columns
    )
    return frozenset(name for name in columns if settled[name].item() > share)


def _field_differences(
    pairs: pl.DataFrame, column: str, prefix: str, rank: int, keys: Sequence[str]
) -> pl.DataFrame:
    dtype = column_type(column, prefix)
    return (
        pairs.filter(may_differ(column, prefix))
        .filter(differs(column, prefix))
        .select(
            *keys,
            field=pl.lit(prefix + column),
            rank=pl.lit(rank, pl.Int32()),
            source_value=value_text(pl.col(column), dtype),
            corso_value=value_text(pl.col(IN_CORSO + column), dtype),
        )
    )


def _one_sided(lines: pl.DataFrame, prefix: str, side: str) -> pl.DataFrame:
    """Describe lines that only one side has, e.g. `2 x SKU-1 at 10.00`."""
    kinds = dtypes(LINE_ITEMS)
    words = pl.format(
        "{} x {} at {}",
        value_text(pl.col(prefix + "quantity"), kinds["quantity"]).fill_null("?"),
        pl.coalesce(prefix + "sku", prefix + "name", pl.lit("?")),
        value_text(pl.col(prefix + "price"), kinds["price"]).fill_null("?"),
    )
    return lines.select(
        "source_order_id",
        "source_line_item_id",
        field=pl.lit(LINES),
        rank=pl.lit(999, pl.Int32()),
        source_value=words if side == "source_value" else pl.lit(None, TEXT),
        corso_value=words if side == "corso_value" else pl.lit(None, TEXT),
    )
