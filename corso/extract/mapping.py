"""From export files to the raw tables, by a profile. Everything stays text.

A raw table has every canonical column as text (null where the export has nothing), `file`, `line`, `fault`
(null, or why the row as a whole cannot be trusted) and `original`: a struct of text with the row as it stood in
the export, which reports give back to the merchant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.profile import (
    TABLES,
    FileForm,
    Join,
    Profile,
    Rule,
    Table,
    TableName,
    literal_parts,
    placeholders,
)
from corso.extract.text import FAULT, LINE, CsvForm, read_header, read_rows

_ROW = "__row_in_order"
_HEAD = "__head"
_FILE = "__file"


def normal(header: str) -> str:
    """Return a header without what does not tell headers apart: case, spaces, underscores, dots, dashes."""
    return re.sub(r"[\s_.\-]", "", header).lower()


@dataclass(frozen=True)
class _Role:
    """All rows of one file role, and its headers in their order."""

    rows: pl.LazyFrame
    headers: list[str]

    def find(self, header: str) -> str | None:
        wanted = normal(header)
        return next((own for own in self.headers if normal(own) == wanted), None)


def map_exports(
    profile: Profile, files: Mapping[str, Sequence[ExportFile]], scratch: Path
) -> dict[TableName, pl.LazyFrame]:
    """Return the raw tables of a batch.

    Raises ExportError: a role without files, an unknown role, headers that the profile needs are not there.
    """
    _check_roles(profile, files)
    roles = {
        role: _read_role(role, form, files[role], scratch)
        for role, form in profile.files.items()
        if role in files
    }
    return {
        name: _map_table(name, table, roles)
        if (table := profile.tables.get(name)) and table.file in roles
        else _empty(name, roles[profile.tables["orders"].file].headers)
        for name in TABLES
    }


def _check_roles(profile: Profile, files: Mapping[str, Sequence[ExportFile]]) -> None:
    for role in files:
        if role not in profile.files:
            message = f"exports.{role}: profile {profile.name!r} reads no such file; it knows {', '.join(profile.files)}"
            raise ExportError(message)
    for role, form in profile.files.items():
        if role not in files and not form.optional:
            message = f"exports.{role}: profile {profile.name!r} needs this file"
            raise ExportError(message)


def _read_role(role: str, form: FileForm, files: Sequence[ExportFile], scratch: Path) -> _Role:
    csv_form = CsvForm(form.delimiter, form.encoding)
    headers: dict[str, str] = {}
    parts = []
    for file in files:
        own = read_header(file, csv_form)
        _check_needed(role, form, file, own)
        for name in own:
            headers.setdefault(normal(name), name)
        parts.append((file, own))
    union = list(headers.values())
    frames = [
        _read_file(file, own, union=union, headers=headers, form=form, csv_form=csv_form, scratch=scratch)
        for file, own in parts
    ]
    return _Role(pl.concat(frames), union)


def _check_needed(role: str, form: FileForm, file: ExportFile, headers: list[str]) -> None:
    there = {normal(header) for header in headers}
    if len(there) < len(headers):
        message = f"{file.name}:1: two columns have the same name but for case, spaces and underscores"
        raise ExportError(message)
    needed = (*form.needs, *filter(None, [form.order_starts_with]))
    missing = [header for header in needed if normal(header) not in there]
    if missing:
        message = f"{file.name}:1: exports.{role} needs the column {missing[0]!r}; the file has {', '.join(headers[:8])}"
        raise ExportError(message)


def _read_file(
    file: ExportFile,
    own: list[str],
    *,
    union: list[str],
    headers: Mapping[str, str],
    form: FileForm,
    csv_form: CsvForm,
    scratch: Path,
) -> pl.LazyFrame:
    """Return one file's rows with the columns of all files of its role."""
    rows = read_rows(file, csv_form, scratch).rename({name: headers[normal(name)] for name in own})
    absent = [
        pl.lit(None, pl.String).alias(name) for name in union if normal(name) not in {normal(n) for n in own}
    ]
    rows = rows.with_columns(pl.lit(file.name).alias(_FILE), *absent).select(_FILE, LINE, FAULT, *union)
    if form.order_starts_with is None:
        return rows
    start = next(name for name in union if normal(name) == normal(form.order_starts_with or ""))
    index = pl.int_range(pl.len(), dtype=pl.Int64)
    head = pl.when(pl.col(start).is_not_null()).then(index).forward_fill()
    return rows.with_columns(head.alias(_HEAD), (index - head + 1).alias(_ROW))


def _map_table(name: TableName, table: Table, roles: Mapping[str, _Role]) -> pl.LazyFrame:
    role = roles[table.file]
    rows, find = role.rows, role.find
    if any(rule.order for rule in table.columns.values()):
        rows = _with_order_columns(role, table)
    if table.rows == "first_of_order":
        rows = rows.filter(pl.col(_ROW) == 1)
    if table.filled:
        rows = rows.filter(pl.col(find(table.filled) or FAULT).is_not_null() | pl.col(FAULT).is_not_null())
    for join in table.join:
        rows = _join(rows, role, join, roles[join.file])
    scope = _Scope(role, table, roles)
    columns = [column for column in TABLES[name].columns if column not in {"file", "line"}]
    return rows.select(
        *(scope.fill(column).alias(column) for column in columns),
        pl.col(_FILE).alias("file"),
        pl.col(LINE).alias("line"),
        pl.col(FAULT).alias("fault"),
        pl.struct(role.headers).alias("original"),
    )


def _order_column(header: str) -> str:
    return f"__order.{header}"


def _with_order_columns(role: _Role, table: Table) -> pl.LazyFrame:
    """Add, for each header that a rule wants from the order's first row, its value there."""
    wanted = {own for rule in table.columns.values() for header in rule.order if (own := role.find(header))}
    heads = role.rows.filter(pl.col(_ROW) == 1).select(
        _FILE, _HEAD, *(pl.col(own).alias(_order_column(own)) for own in wanted)
    )
    return role.rows.join(heads, on=[_FILE, _HEAD], how="left", maintain_order="left")


def _join(rows: pl.LazyFrame, role: _Role, join: Join, other: _Role) -> pl.LazyFrame:
    key, other_key = role.find(join.by), other.find(join.by)
    if key is None or other_key is None:
        message = f"join of {join.file}: both files need the column {join.by!r}"
        raise ExportError(message)
    if join.totals:
        totals = [
            _total(pl.col(other.find(header) or FAULT)).alias(f"{join.file}.{name}")
            for name, header in join.totals.items()
        ]
        right = other.rows.group_by(pl.col(other_key).alias("__key")).agg(totals)
    else:
        right = other.rows.select(
            pl.col(other_key).alias("__key"),
            *(pl.col(own).alias(f"{join.file}.{own}") for own in other.headers),
        ).unique("__key", keep="first", maintain_order=True)
    return rows.join(right, left_on=key, right_on="__key", how="left", maintain_order="left")


def _total(column: pl.Expr) -> pl.Expr:
    amounts = _amount(column)
    unreadable = (amounts.is_null() & column.is_not_null()).any()
    return pl.when(unreadable).then(pl.lit("unreadable amount")).otherwise(_written(amounts.sum()))


def _amount(text: pl.Expr) -> pl.Expr:
    return text.str.strip_chars().cast(pl.Decimal(38, 4), strict=False)


def _written(amount: pl.Expr) -> pl.Expr:
    return amount.cast(pl.String)


@dataclass(frozen=True)
class _Scope:
    """What a rule of one table can see."""

    role: _Role
    table: Table
    roles: Mapping[str, _Role]

    def fill(self, column: str) -> pl.Expr:
        """Return the expression of one canonical column."""
        value = self._value(column)
        # Ids are what tables are joined by: blanks around them tell nothing apart.
        return value.str.strip_chars() if column.startswith("source_") and column.endswith("_id") else value

    def _value(self, column: str) -> pl.Expr:
        rule = self.table.columns.get(column)
        if rule is None:
            own = self.role.find(column) if self.table.by_name else None
            return pl.col(own) if own else pl.lit(None, pl.String)
        value = self._source(rule)
        if rule.strip:
            value = value.str.strip_chars().str.strip_chars(rule.strip)
        if rule.map:
            for old, new in rule.map.items():
                value = pl.when(value == old).then(pl.lit(new)).otherwise(value)
        if rule.where:
            value = pl.when(self._header(rule.where).is_not_null()).then(value)
        return pl.when(value != "").then(value)

    def _source(self, rule: Rule) -> pl.Expr:
        if rule.constant is not None:
            return pl.lit(rule.constant)
        if rule.template is not None:
            return self._template(rule.template)
        if rule.sum:
            return self._sum(rule.sum)
        if rule.order:
            return pl.coalesce(self._header(header, of_order=True) for header in rule.order)
        if rule.from_:
            return self._first(rule.from_)
        name = self._first(rule.first_word or rule.other_words).str.strip_chars()
        return name.str.extract(r"^(\S+)") if rule.first_word else name.str.extract(r"^\S+\s+(.+)$")

    def _first(self, headers: Sequence[str]) -> pl.Expr:
        return pl.coalesce(self._header(header) for header in headers)

    def _header(self, header: str, *, of_order: bool = False) -> pl.Expr:
        if header == "row_in_order":
            return pl.col(_ROW).cast(pl.String)
        joined = {join.file: join for join in self.table.join}
        role, _, rest = header.partition(".")
        if role in joined and rest:
            own = rest if rest in joined[role].totals else self.roles[role].find(rest)
            return pl.col(f"{role}.{own}") if own else pl.lit(None, pl.String)
        found = self.role.find(header)
        if found is None:
            return pl.lit(None, pl.String)
        return pl.col(_order_column(found) if of_order else found)

    def _template(self, template: str) -> pl.Expr:
        texts = literal_parts(template)
        parts = [pl.lit(texts[0])]
        for name, text in zip(placeholders(template), texts[1:], strict=True):
            parts += [self._header(name), pl.lit(text)]
        return pl.concat_str(parts)

    def _sum(self, headers: Sequence[str]) -> pl.Expr:
        signed = [(self._header(header.removeprefix("-")), header.startswith("-")) for header in headers]
        amounts = [_amount(value) for value, _ in signed]
        unreadable = pl.any_horizontal(
            amount.is_null() & value.is_not_null() for amount, (value, _) in zip(amounts, signed, strict=True)
        )
        total = pl.sum_horizontal(
            (-amount if minus else amount).fill_null(0)
            for amount, (_, minus) in zip(amounts, signed, strict=True)
        )
        some = pl.any_horizontal(value.is_not_null() for value, _ in signed)
        return pl.when(unreadable).then(pl.lit("unreadable amount")).when(some).then(_written(total))


def _empty(name: TableName, headers: Sequence[str]) -> pl.LazyFrame:
    columns = [column for column in TABLES[name].columns if column not in {"file", "line"}]
    schema: dict[str, pl.DataType] = dict.fromkeys(columns, pl.String())
    original = pl.Struct(dict.fromkeys(headers, pl.String()))
    schema |= {"file": pl.String(), "line": pl.Int64(), "fault": pl.String(), "original": original}
    return pl.LazyFrame(schema=schema)
