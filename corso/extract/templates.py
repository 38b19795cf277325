"""The templates of fallbacks: text with placeholders such as `{customer_email|lower}`, filled for whole tables.

A placeholder names a column of the same table, or one of the row's order as `{orders.column}`, and filters that its
value goes through from left to right. Where one placeholder has no value the whole template has none: half a value
is no value. Which columns a template may fill is the business of `corso.extract.fallbacks`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from corso.errors import SettingsError
from corso.extract.profile import TABLES, TableName, literal_parts, placeholders
from corso.settings import nearest
from schemas.fields import PROVENANCE

ORDER_COLUMN = "__order."
"""Prefix of the order's columns while they stand beside a line item's or fulfillment's own."""

FILTERS: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "first_word": lambda text: text.str.extract(r"^(\S+)"),
    "other_words": lambda text: text.str.extract(r"(?s)^\S+\s+(.+)$"),
    "before_at": lambda text: text.str.extract(r"(?s)^(.+)@"),
    "lower": lambda text: text.str.to_lowercase(),
}
"""What can be done to a value (blanks at its ends are gone): `other_words` of one word and `before_at` of what has no
@ are nothing."""


@dataclass(frozen=True)
class Placeholder:
    """One column, and what is done to its value."""

    column: str
    of_order: bool
    """Whether it is a column of the row's order, not of the row's own table."""
    filters: Sequence[str]

    def value(self) -> pl.Expr:
        """Return its text, null where there is nothing but blanks."""
        text = pl.col(ORDER_COLUMN + self.column if self.of_order else self.column).str.strip_chars()
        for name in self.filters:
            text = FILTERS[name](text).str.strip_chars()
        return pl.when(text != "").then(text)


@dataclass(frozen=True)
class Template:
    """Text and placeholders by turns: one text more than there are placeholders."""

    texts: Sequence[str]
    placeholders: Sequence[Placeholder]

    def value(self) -> pl.Expr:
        """Return the filled text, null where a placeholder has no value."""
        parts = [pl.lit(self.texts[0])]
        for placeholder, text in zip(self.placeholders, self.texts[1:], strict=True):
            parts += [placeholder.value(), pl.lit(text)]
        return pl.concat_str(parts)


def read_template(text: str, table: TableName, key: str) -> Template:
    """Read a template for a column of `table`; `key` is where it stands in loader.yaml.

    Raises SettingsError: unknown column or filter, with the nearest known one; a brace alone; no text at all.
    """
    texts = literal_parts(text)
    if any(brace in part for part in texts for brace in "{}"):
        message = f"{key}: a brace stands alone in {text!r}; a placeholder is written {{column}}"
        raise SettingsError(message)
    if not text.strip():
        message = f"{key}: the rule is empty, and would fill nothing"
        raise SettingsError(message)
    return Template(texts, [_read_placeholder(inside, table, key) for inside in placeholders(text)])


def own_columns(table: TableName) -> list[str]:
    """Return the columns of a table that come from the export."""
    return [name for name in TABLES[table].columns if name not in PROVENANCE]


def _read_placeholder(inside: str, table: TableName, key: str) -> Placeholder:
    name, *filters = (part.strip() for part in inside.split("|"))
    of_orders = [] if table == "orders" else [f"orders.{column}" for column in own_columns("orders")]
    column = name.removeprefix(f"{table}.")
    if column not in own_columns(table) and name not in of_orders:
        message = f"{key}: {table} has no column {name!r}; {nearest(name, own_columns(table) + of_orders)}"
        raise SettingsError(message)
    for each in filters:
        if each not in FILTERS:
            message = f"{key}: there is no filter {each!r}; {nearest(each, list(FILTERS))}"
            raise SettingsError(message)
    of_order = name in of_orders
    return Placeholder(name.removeprefix("orders.") if of_order else column, of_order, filters)
