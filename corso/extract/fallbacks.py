"""The merchant's declared fallbacks: what fills a column where the export has nothing.

A fallback is a template of the same table's columns (`{source_line_item_id}`), or a constant. It is applied
before conversion, only where the column is empty, in the order of loader.yaml; each use is counted.
A fallback of a customer column is for orders that have a customer: it never makes one up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

import polars as pl

from corso.errors import SettingsError
from corso.extract.profile import TABLES, TableName, literal_parts, placeholders
from corso.settings import nearest
from schemas.orders import CUSTOMER


@dataclass(frozen=True)
class Fallback:
    """One declared fallback."""

    table: TableName
    column: str
    template: str

    @property
    def name(self) -> str:
        """How loader.yaml and the reports name it."""
        return f"{self.table}.{self.column}"


def read_fallbacks(declared: Mapping[str, str]) -> list[Fallback]:
    """Check the fallbacks of loader.yaml.

    Raises SettingsError: unknown table or column, with the nearest known one.
    """
    fallbacks = []
    for key, template in declared.items():
        table, _, column = key.partition(".")
        if table not in get_args(TableName) or not column:
            known = [f"{name}.{each}" for name in TABLES for each in _columns(name)]
            message = f"fallbacks: {key!r} is not table.column; {nearest(key, known)}"
            raise SettingsError(message)
        for name in (column, *placeholders(template)):
            if name not in _columns(table):
                message = f"fallbacks.{key}: {table} has no column {name!r}; {nearest(name, _columns(table))}"
                raise SettingsError(message)
        fallbacks.append(Fallback(cast(TableName, table), column, template))
    return fallbacks


def apply_fallbacks(
    frame: pl.DataFrame, table: TableName, fallbacks: list[Fallback]
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Fill a raw table's empty columns; return it with the number of uses of each fallback."""
    uses = {}
    for fallback in fallbacks:
        if fallback.table != table:
            continue
        column = pl.col(fallback.column)
        wanted = column.is_null() & pl.col("fault").is_null()
        if fallback.column in CUSTOMER and table == "orders":
            wanted &= pl.any_horizontal(pl.col(name).is_not_null() for name in CUSTOMER)
        filled = frame.select(pl.when(wanted).then(_fill(fallback.template)).alias("value"))["value"]
        uses[fallback.name] = filled.count()
        frame = frame.with_columns(pl.coalesce(column, filled).alias(fallback.column))
    return frame, uses


def _fill(template: str) -> pl.Expr:
    texts = literal_parts(template)
    parts = [pl.lit(texts[0])]
    for name, text in zip(placeholders(template), texts[1:], strict=True):
        parts += [pl.col(name), pl.lit(text)]
    return pl.concat_str(parts)


def _columns(table: str) -> list[str]:
    return [name for name in TABLES[cast(TableName, table)].columns if name not in {"file", "line"}]
