"""Which cells of results.csv and quarantine.csv are real numbers and dates in the workbook.

Both hold the merchant's own text. A column that is named like a canonical amount, count or instant, and our own `line`, is one
as far as its cells are written plainly: `1234.50`, `2026-01-31T10:00:00Z`. Every other cell stays text, as the export has it:
`1,234.50` may be two amounts, a time without an offset is in no zone, and a spreadsheet's number has fifteen digits.
"""

import re
from collections.abc import Iterable

import polars as pl

from schemas.fields import INSTANT, MONEY, dtypes
from schemas.fulfillments import FULFILLMENTS
from schemas.line_items import LINE_ITEMS
from schemas.orders import ORDERS

REAL = "\x00real"
"""Ends the name of a column that has the real values of a column of text; that one is empty where this is not."""
_COUNT = pl.Int64()
_COUNTS = ("quantity", "grams", "shipping_weight_grams", "line")
_PLAIN_AMOUNT = r"^-?(0|[1-9]\d{0,10})(\.\d{1,4})?$"
"""At most fifteen digits."""
_PLAIN_COUNT = r"^-?(0|[1-9]\d{0,14})$"
_PLAIN_INSTANT = r"^(19[1-9]|2\d\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)$"
"""A spreadsheet's calendar begins in 1900."""


def _normal(header: str) -> str:
    return re.sub(r"[\s_.\-]", "", header).lower()


_CANONICAL = {
    _normal(name): _COUNT if name in _COUNTS else dtype
    for schema in (FULFILLMENTS, LINE_ITEMS, ORDERS)
    for name, dtype in dtypes(schema).items()
    if name in _COUNTS or dtype in (MONEY, INSTANT)
}


def with_real_cells(cells: pl.LazyFrame, names: Iterable[str]) -> pl.LazyFrame:
    """Return text columns with those of REAL beside them, at the end."""
    real = {name: _real(name, dtype) for name in names if (dtype := _CANONICAL.get(_normal(name)))}
    return cells.with_columns(value.alias(name + REAL) for name, value in real.items()).with_columns(
        pl.when(pl.col(name + REAL).is_null()).then(pl.col(name)).alias(name) for name in real
    )


def _real(name: str, dtype: pl.DataType) -> pl.Expr:
    text = pl.col(name)
    if dtype == INSTANT:
        plain = pl.when(text.str.contains(_PLAIN_INSTANT)).then(text)
        return plain.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    is_plain = text.str.contains(_PLAIN_COUNT if dtype == _COUNT else _PLAIN_AMOUNT)
    return pl.when(is_plain).then(text).cast(dtype, strict=False)
