"""Which rows of a file are rows of a table, which hold a line of an order, and which nobody reads.

A row, or a group of columns, that says something of a line and lacks what marks one is a damaged line. Left out it would be
missing in an order that is sent; so it is a line, and what it lacks quarantines its order. How rows are read is in `mapping`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from corso.extract.headers import normal
from corso.extract.profile import Profile, Table, TableName
from corso.extract.roles import NOBODYS, ROW, Role
from corso.extract.text import FAULT

_OF_A_LINE = ("name", "quantity", "price", "tax", "sku", "product_id", "variant_id")
"""The columns that say what was bought."""
_SAYS_SOMETHING = r"[\p{L}1-9]"
"""What a text has in it unless it is blank, a dash or a zero, as stand where there is no line."""


def with_rows_of_nobody(profile: Profile, name: TableName, roles: Mapping[str, Role]) -> Mapping[str, Role]:
    """Mark, for the table that has to name them, the rows of its file that no table takes.

    They are in the line items, or in whatever table reads the file, with a fault: so that they are quarantined, and a line
    item that names its order with it. One that names its order and says nothing of a line, as the row that WooCommerce's
    exporters write for a second coupon, is a row of its order and no line.
    """
    table = profile.tables[name]
    role = roles[table.file]
    readers = [each for each, other in profile.tables.items() if other.file == table.file]
    keeper = "line_items" if "line_items" in readers else readers[0]
    if keeper != name or table.spread or table.unpack:
        return roles
    nobody = ~pl.any_horizontal(_takes(profile, each, role) for each in readers) & pl.col(FAULT).is_null()
    if name == "line_items":
        nobody &= ~names_its_order(role, table) | _say_something(role, _headers_of_a_line(table))
    marked = role.rows.with_columns(nobody.alias(NOBODYS)).with_columns(
        pl.when(NOBODYS).then(pl.lit("no table of the profile reads this row")).otherwise(FAULT).alias(FAULT)
    )
    return {**roles, table.file: replace(role, rows=marked, marks_nobodys=True)}


def _takes(profile: Profile, name: TableName, role: Role) -> pl.Expr:
    """Say which rows a table takes, but for conditions by which a profile leaves rows out on purpose."""
    table = profile.tables[name]
    taken = pl.lit(value=True)
    if table.rows == "first_of_order":
        taken &= (pl.col(ROW) == 1).fill_null(value=False)
    if table.filled and not table.spread:
        taken &= is_there(profile, name, role)
    return taken


def is_there(profile: Profile, name: TableName, role: Role, number: int | None = None) -> pl.Expr:
    """Say which rows hold a row of a table with `filled` or `spread`; `number`: of lines side by side which one."""
    table = profile.tables[name]
    mark = role.find(_numbered(table.filled or table.spread or "", number))
    is_marked = _is_written(mark) if mark else pl.lit(value=False)
    if name != "line_items":
        return is_marked
    own = [_numbered(header, number) for header in own_headers_of_a_line(profile, role)]
    return is_marked | _say_something(role, own)


def own_headers_of_a_line(profile: Profile, role: Role) -> list[str]:
    """Return the headers that say what was bought and nothing else: side by side those with {n}, else those of no other table."""
    table = profile.tables["line_items"]
    headers = _headers_of_a_line(table)
    if table.spread:
        return [header for header in headers if "{n}" in header]
    others = [each for each in profile.tables.values() if each is not table and each.file == table.file]
    read = {role.find(header) for each in others for rule in each.columns.values() for header in rule.headers}
    return [header for header in headers if role.find(header) not in read]


def names_its_order(role: Role, table: Table) -> pl.Expr:
    """Say which rows tell by themselves whose they are."""
    named_by = [role.form.order_named_by] if role.form.order_named_by else []
    headers = [*role.form.order_key, *named_by, *_sources(table, "source_order_id")]
    return _any_of(_is_written(own) for own in _found(role, headers))


def _headers_of_a_line(table: Table) -> list[str]:
    """Return the headers that say what was bought, but for those of the order's id."""
    ids = set(map(normal, _sources(table, "source_order_id")))
    headers = [header for column in _OF_A_LINE for header in _sources(table, column)]
    return [header for header in headers if normal(header) not in ids]


def _sources(table: Table, column: str) -> Sequence[str]:
    """Return the headers of a row from which a column is filled."""
    if rule := table.columns.get(column):
        return rule.sources
    return [column] if table.by_name else []


def _numbered(header: str, number: int | None) -> str:
    return header if number is None else header.replace("{n}", str(number))


def _say_something(role: Role, headers: Sequence[str]) -> pl.Expr:
    said = (pl.col(own).str.contains(_SAYS_SOMETHING) for own in _found(role, headers))
    return _any_of(each.fill_null(value=False) for each in said)


def _is_written(header: str) -> pl.Expr:
    """Take blanks for nothing: some platforms write a tab into empty fields."""
    return (pl.col(header).str.strip_chars() != "").fill_null(value=False)


def _found(role: Role, headers: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(own for header in headers if (own := role.find(header))))


def _any_of(conditions: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(pl.lit(value=False), *conditions)
