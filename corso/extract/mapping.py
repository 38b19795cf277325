"""From export files to the raw tables, by a profile. Everything stays text.

A raw table (`schemas.raw`) has every canonical column as text, where the row stands, and the row as it stood in the
export, which reports give back to the merchant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import mul
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from corso.errors import ExportError
from corso.extract.cells import plain_amount, plain_id, plain_time
from corso.extract.files import ExportFile
from corso.extract.headers import normal, said_of
from corso.extract.layouts import ITEM, PART, begins_like, spread_numbers, unpacked
from corso.extract.line_rows import is_there, names_its_order, own_headers_of_a_line, with_rows_of_nobody
from corso.extract.money_policy import apply_policy, read_amount, written
from corso.extract.profile import (
    AS_EXPORTED,
    TABLES,
    FileForm,
    Join,
    MoneyPolicy,
    Moved,
    Profile,
    Rule,
    Table,
    TableName,
    Unpack,
    factors,
    literal_parts,
    placeholders,
)
from corso.extract.roles import FILE, NOBODYS, ORDER, ROW, Role, order_of_a_name, read_roles
from corso.extract.text import FAULT, LINE
from corso.extract.used_headers import canonical_columns
from schemas.fields import INSTANT, MONEY, NUMBER, dtypes
from schemas.raw import ORIGINAL

_UNREADABLE = "unreadable amount"
_AS_THE_PROFILE_SAYS: Mapping[str, Mapping[str, Any]] = {}


@dataclass(frozen=True)
class Mapped:
    """A raw table as it comes from the files."""

    rows: pl.LazyFrame
    word_for_word: Mapping[str, str]
    """Header of the export -> the canonical column that holds its text as it stands there."""


def map_exports(
    profile: Profile,
    files: Mapping[str, Sequence[ExportFile]],
    scratch: Path,
    forms: Mapping[str, Mapping[str, Any]] = _AS_THE_PROFILE_SAYS,
) -> dict[TableName, pl.LazyFrame]:
    """Return the raw tables of a batch; `forms`: role -> fields of a CsvForm that differ from the profile's.

    Raises ExportError: a role without files, an unknown role, headers that the profile needs are not there.
    """
    mapped = map_roles(profile, read_roles(profile, files, scratch, forms))
    return {name: table.rows for name, table in mapped.items()}


def map_roles(profile: Profile, roles: Mapping[str, Role]) -> dict[TableName, Mapped]:
    """Return the raw tables of files that were read. Raises ExportError: headers that the profile needs are not there."""
    return {
        name: _map_table(profile, name, with_rows_of_nobody(profile, name, roles))
        if (table := profile.tables.get(name)) and table.file in roles
        else Mapped(_empty(name, roles[profile.tables["orders"].file].headers), {})
        for name in TABLES
    }


def _map_table(profile: Profile, name: TableName, roles: Mapping[str, Role]) -> Mapped:
    table = profile.tables[name]
    role = roles[table.file]
    rows = role.rows
    if any(each.order for rule in table.columns.values() for each in rule.chain):
        rows = _with_order_columns(role, table)
    if table.rows == "first_of_order":
        rows = rows.filter(
            (pl.col(ROW) == 1) | (pl.col(NOBODYS) if role.marks_nobodys else pl.lit(value=False))
        )
    if table.filled and not table.spread:
        rows = rows.filter(is_there(profile, name, role) | pl.col(FAULT).is_not_null())
    if table.first_of:
        rows = rows.filter(_is_first_of(role, table.first_of))
    for join in table.join:
        if join.file in roles:
            rows = _join(rows, role, join, roles[join.file])
    scope = _Scope(role, table, roles)
    if table.unpack:
        rows = _unpacked(rows, role, table)
    if table.where or table.except_:
        rows = rows.filter(scope.wants(table) | pl.col(FAULT).is_not_null())
    if table.spread:
        return Mapped(_spread(rows, profile, name, roles), {})
    return _mapped(name, rows, scope, profile.money)


def _mapped(name: TableName, rows: pl.LazyFrame, scope: "_Scope", policy: MoneyPolicy) -> Mapped:
    columns = scope.columns(name)
    mapped = rows.select(
        *columns.values(),
        *_provenance(scope.role),
        *([scope.moved(policy)] if name == "orders" else []),
    )
    word_for_word = _word_for_word(columns, scope.role)
    if name != "orders":
        return Mapped(mapped, word_for_word)
    if policy != AS_EXPORTED:
        word_for_word = {header: own for header, own in word_for_word.items() if not own.endswith("_money")}
    return Mapped(apply_policy(mapped, policy), word_for_word)


def _word_for_word(columns: Mapping[str, pl.Expr], role: Role) -> dict[str, str]:
    """Return, for each header that a column takes as it is, that column."""
    takes = {
        expression.meta.output_name(): column
        for column, named in columns.items()
        if (expression := named.meta.undo_aliases()).meta.is_column()
    }
    return {
        header: takes[own] for header in role.headers if (own := role.corrected.exported(header)) in takes
    }


def _is_first_of(role: Role, headers: Sequence[str]) -> pl.Expr:
    """Say which rows are the first with their values; a row that lacks one, or cannot be trusted, stands for itself."""
    names = [own for header in headers if (own := role.find(header))]
    if not names:
        return pl.lit(value=True)
    place = pl.int_range(pl.len(), dtype=pl.Int64).over(names)
    lacks_one = pl.any_horizontal(_written(pl.col(name)).is_null() for name in names)
    return (place == 0) | lacks_one | pl.col(FAULT).is_not_null()


def _provenance(role: Role) -> list[pl.Expr]:
    return [
        pl.col(FILE).alias("file"),
        pl.col(LINE).alias("line"),
        pl.col(FAULT).alias("fault"),
        *role.original,
    ]


def _unpack_forms(table: Table) -> tuple[Unpack, ...]:
    return table.unpack.chain if table.unpack else ()


def _unpacked(rows: pl.LazyFrame, role: Role, table: Table) -> pl.LazyFrame:
    """Return one row for each line in the cells, each read by the first form that it begins like."""
    forms = _unpack_forms(table)
    found = [(cell, form) for form in forms if (cell := role.find_any(form.from_))]
    wanted = _parts_read(table)
    if not found and any(form.optional for form in forms):
        nothing = [pl.lit(None, pl.String).alias(PART + name) for name in wanted]
        return rows.clear().with_columns(pl.lit(None, pl.Int64).alias(ITEM), *nothing)
    if not found:
        message = f"exports.{role.name}: no column {forms[0].from_[0]!r}, which holds the order's lines; {said_of(role.headers)}"
        raise ExportError(message)
    parts = []
    for cell, form in found[:-1]:
        fits = begins_like(pl.col(cell), form)
        parts.append(unpacked(rows.filter(fits), cell, form, wanted))
        rows = rows.filter(~fits)
    return pl.concat([*parts, unpacked(rows, *found[-1], wanted)])


def _parts_read(table: Table) -> list[str]:
    """Return the parts of a cell that rules read."""
    read = [
        header.removeprefix(PART)
        for rule in table.columns.values()
        for header in rule.headers
        if header.startswith(PART)
    ]
    read += [
        header.removeprefix(PART) for header in (*table.where, *table.except_) if header.startswith(PART)
    ]
    return list(dict.fromkeys(read))


def _spread(rows: pl.LazyFrame, profile: Profile, name: TableName, roles: Mapping[str, Role]) -> pl.LazyFrame:
    """Return one row for each line that stands beside others in a row."""
    table = profile.tables[name]
    role = roles[table.file]
    pattern = table.spread or ""
    if not spread_numbers(pattern, role.headers):
        message = f"exports.{role.name}: no column like {pattern.replace('{n}', '1')!r}, in which an order's lines begin"
        raise ExportError(message)
    patterns = [pattern, *(own_headers_of_a_line(profile, role) if name == "line_items" else [])]
    numbers = {number for each in patterns for number in spread_numbers(each, role.headers)}
    lines = []
    for place, number in enumerate(sorted(numbers)):
        scope = _Scope(role, table, roles, number)
        taken = is_there(profile, name, role, number)
        if not place:
            taken |= pl.col(FAULT).is_not_null()
        lines.append(pl.when(taken).then(pl.struct(*scope.columns(name).values())))
    return (
        rows.select(*_provenance(role), pl.concat_list(lines).alias("\0lines"))
        .explode("\0lines")
        .filter(pl.col("\0lines").is_not_null())
        .unnest("\0lines")
        .select(
            *canonical_columns(name),
            "file",
            "line",
            "fault",
            pl.col([ORIGINAL + each for each in role.headers]),
        )
    )


def _order_column(header: str) -> str:
    return f"\0order.{header}"


def _with_order_columns(role: Role, table: Table) -> pl.LazyFrame:
    """Add, for each header that a rule wants from the order's first row, its value there."""
    rules = [each for rule in table.columns.values() for each in rule.chain]
    wanted = {own for rule in rules for header in rule.order if (own := role.find(header))}
    own_columns = [pl.col(own).alias(_order_column(own)) for own in sorted(wanted)]
    first_rows = role.rows.filter(pl.col(ROW) == 1)
    heads = first_rows.select(ORDER, *own_columns)
    if role.form.order_named_by and (name := role.find(role.form.order_named_by)):
        by_name = first_rows.select(order_of_a_name(name).alias(ORDER), *own_columns)
        heads = pl.concat([heads, by_name.unique(ORDER, keep="first")])
    return role.rows.join(heads, on=ORDER, how="left", maintain_order="left")


def _join(rows: pl.LazyFrame, role: Role, join: Join, other: Role) -> pl.LazyFrame:
    key, other_key = role.find(join.by), other.find(join.also_called or join.by)
    if key is None or other_key is None:
        message = f"join of {join.file}: both files need the column {join.by!r}"
        raise ExportError(message)
    own_keys, other_keys = [_key(pl.col(key))], [_key(pl.col(other_key))]
    is_within = other is role
    if is_within:
        # Files that overlap hold an order twice: its rows are those of its own file.
        own_keys.append(pl.col(FILE))
        other_keys.append(pl.col(FILE))
    right_keys = [each.alias(f"\0key.{number}") for number, each in enumerate(other_keys)]
    if join.where or join.except_:
        wanted = _Scope(other, Table(file=join.file), {}).wants(join)
        other = replace(other, rows=other.rows.filter(wanted | pl.col(FAULT).is_not_null()))
    if join.totals:
        if other.files > 1 and not is_within:
            other = replace(other, rows=_in_one_file_or_more(other))
        right = _totals(other, right_keys, join)
    else:
        right = other.rows.select(
            *right_keys,
            *(pl.col(own).alias(f"{join.prefix}.{own}") for own in other.headers),
            _fault_there().alias("\0fault_there"),
        ).unique(cs.starts_with("\0key."), keep="first", maintain_order=True)
    left_keys = [each.alias(f"\0own_key.{number}") for number, each in enumerate(own_keys)]
    joined = rows.with_columns(left_keys).join(
        right.with_columns(pl.lit(value=True).alias("\0has_rows")),
        left_on=[f"\0own_key.{number}" for number in range(len(own_keys))],
        right_on=[f"\0key.{number}" for number in range(len(other_keys))],
        how="left",
        maintain_order="left",
    )
    if join.without_rows == "zero":
        totals = pl.col([f"{join.prefix}.{name}" for name in join.totals])
        joined = joined.with_columns(pl.when("\0has_rows").then(totals).otherwise(pl.lit("0")))
    if not is_within:
        # What was joined may stand in the wrong columns.
        joined = joined.with_columns(pl.coalesce(FAULT, "\0fault_there").alias(FAULT))
    return joined.drop(
        "\0has_rows", "\0fault_there", *(f"\0own_key.{number}" for number in range(len(own_keys)))
    )


def _fault_there() -> pl.Expr:
    """Return the fault of a row of a joined file, and where it stands."""
    return pl.format("{}, line {}: {}", FILE, LINE, FAULT)


def _in_one_file_or_more(role: Role) -> pl.LazyFrame:
    """Return the rows of files that overlap: one that stands in several is the same row, two alike in one file are two."""
    same = pl.struct(role.headers).hash().alias("\0same")
    which = pl.int_range(pl.len(), dtype=pl.UInt32).over(FILE, "\0same").alias("\0which")
    rows = role.rows.with_columns(same).with_columns(which)
    return rows.unique(["\0same", "\0which"], keep="first").drop("\0same", "\0which")


def _totals(role: Role, keys: Sequence[pl.Expr], join: Join) -> pl.LazyFrame:
    # Row by row first: within the groups polars 2.0 falls over amounts that every row has to be asked for.
    sums = {
        name: _added_up(headers, lambda header: _text_of(role, header))
        for name, headers in join.totals.items()
    }
    rows = role.rows.select(
        *keys,
        *(
            part.alias(f"{name}.{number}")
            for name, parts in sums.items()
            for number, part in enumerate(parts)
        ),
        _fault_there().alias("\0fault_there"),
    )
    return rows.group_by(f"\0key.{number}" for number in range(len(keys))).agg(
        pl.col("\0fault_there").drop_nulls().first(),
        *(
            pl.when(pl.col(f"{name}.1").is_not_null().any())
            .then(pl.col(f"{name}.1").drop_nulls().first())
            .when(pl.col(f"{name}.2").any())
            .then(written(pl.col(f"{name}.0").sum()))
            .alias(f"{join.prefix}.{name}")
            for name in sums
        ),
    )


def _text_of(role: Role, header: str) -> pl.Expr:
    own = role.find(header)
    return _plain(pl.col(own), MONEY, role.form) if own else pl.lit(None, pl.String)


def _added_up(headers: Sequence[str], text_of: Callable[[str], pl.Expr]) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return the sum of signed headers, what cannot be read of them (else null), whether one is there at all."""
    signed, unreadable, is_there = [], [], []
    for part in headers:
        texts = [_written(text_of(header)) for header in factors(part)]
        amounts = [read_amount(text) for text in texts]
        signed.append((reduce(mul, amounts) * (-1 if part.startswith("-") else 1)).fill_null(0))
        unreadable += [_unreadable(text, amount) for amount, text in zip(amounts, texts, strict=True)]
        is_there.append(pl.all_horizontal(text.is_not_null() for text in texts))
    return pl.sum_horizontal(signed), pl.coalesce(unreadable), pl.any_horizontal(is_there)


def _unreadable(text: pl.Expr, amount: pl.Expr) -> pl.Expr:
    """Return what stands for a sum of which this text is a part and no amount: never a number, and with the text in it."""
    named = pl.when(text.str.starts_with(_UNREADABLE)).then(text).otherwise(pl.lit(f"{_UNREADABLE} ") + text)
    return pl.when(amount.is_null() & text.is_not_null()).then(named)


def _plain(text: pl.Expr, dtype: pl.DataType, form: FileForm) -> pl.Expr:
    """Write a column's text in the plain form of its type, as far as the file's form says how it is written."""
    if form.amounts and dtype in {MONEY, NUMBER}:
        return plain_amount(text, form.amounts.decimal)
    if (form.dates or form.times_are_utc) and dtype == INSTANT:
        return plain_time(text, form.dates, is_utc=form.times_are_utc)
    return text


def _plain_of(texts: Sequence[tuple[pl.Expr, FileForm]], dtype: pl.DataType) -> pl.Expr:
    """Return the first of several texts, in the plain form of its type."""
    if len(texts) == 1:
        text, form = texts[0]
        return _plain(text, dtype, form)
    return pl.coalesce(_plain(_written(text), dtype, form) for text, form in texts)


def _key(text: pl.Expr) -> pl.Expr:
    return plain_id(text.str.strip_chars())


def _written(text: pl.Expr) -> pl.Expr:
    """Take blanks for nothing: some platforms write a tab into empty fields."""
    return pl.when(text.str.strip_chars() != "").then(text)


@dataclass(frozen=True)
class _Scope:
    """What a rule of one table can see."""

    role: Role
    table: Table
    roles: Mapping[str, Role]
    number: int | None = None
    """Which of the lines side by side."""

    def columns(self, name: TableName) -> dict[str, pl.Expr]:
        """Return the expressions of all canonical columns."""
        types = dtypes(TABLES[name])
        return {
            column: self._fill(name, column, types[column]).alias(column)
            for column in canonical_columns(name)
        }

    def moved(self, policy: MoneyPolicy) -> pl.Expr:
        """Return the amounts that the policy moves, as a struct of text, one field for each in its order."""
        texts = [self._moved(each).alias(str(number)) for number, each in enumerate(policy.moved)]
        return pl.struct(texts or [pl.lit(None, pl.String).alias("0")]).alias("moved")

    def _moved(self, moved: Moved) -> pl.Expr:
        amount = self._sum(moved.amounts)
        return pl.when(self.applies(moved.where)).then(amount) if moved.where else amount

    def _fill(self, name: TableName, column: str, dtype: pl.DataType) -> pl.Expr:
        value = self._value(column, dtype)
        if column == "source_order_id" and self.role.marks_nobodys:
            is_known = ~pl.col(NOBODYS)
            if name == "line_items":
                is_known |= names_its_order(self.role, self.table)
            value = pl.when(is_known).then(value)
        # Ids are what tables are joined and customers found by: blanks around them tell nothing apart, nor does a .0.
        return _key(value) if column.endswith("_id") and "source_" in column else value

    def _value(self, column: str, dtype: pl.DataType) -> pl.Expr:
        rule = self.table.columns.get(column)
        if rule is None:
            own = self.role.find(column) if self.table.by_name else None
            return _plain(pl.col(own), dtype, self.role.form) if own else pl.lit(None, pl.String)
        if rule.or_else is None:
            return self._by_rule(rule, dtype)
        return pl.coalesce(_written(self._by_rule(each, dtype)) for each in rule.chain)

    def _by_rule(self, rule: Rule, dtype: pl.DataType) -> pl.Expr:
        value = self._source(rule, dtype)
        if rule.strip:
            value = value.str.strip_chars().str.strip_chars(rule.strip)
        if rule.map:
            for old, new in rule.map.items():
                value = pl.when(value == old).then(pl.lit(new)).otherwise(value)
        if rule.where:
            value = pl.when(self.applies(rule.where)).then(value)
        if value.meta.is_column() and not self.table.unpack:
            # What is empty is null where files are read; only what is taken out of a cell may be empty.
            return value
        return pl.when(value != "").then(value)

    def applies(self, where: str | Mapping[str, Sequence[str]]) -> pl.Expr:
        """Say where a condition is met, as `where` words it."""
        if isinstance(where, str):
            return _written(self.header(where)).is_not_null()
        return pl.all_horizontal(self._is_one_of(header, words) for header, words in where.items())

    def wants(self, chosen: Table | Join) -> pl.Expr:
        """Say which rows are wanted by `where` and `except`."""
        wanted = self.applies(chosen.where) if chosen.where else pl.lit(value=True)
        if chosen.except_:
            wanted &= ~self.applies(chosen.except_).fill_null(value=False)
        return wanted

    def _is_one_of(self, header: str, words: Sequence[str]) -> pl.Expr:
        text = _written(self.header(header)).str.strip_chars().str.to_lowercase()
        if not words:
            return text.is_null()
        return text.is_in([word.lower() for word in words])

    def _source(self, rule: Rule, dtype: pl.DataType) -> pl.Expr:
        if rule.sum:
            return self._sum(rule.sum)
        if rule.divide:
            return self._fraction(*rule.divide)
        if rule.first_word or rule.other_words:
            return self._words(rule)
        if rule.first_line or rule.other_lines:
            return self._lines(rule)
        if rule.constant is not None:
            return pl.lit(rule.constant)
        return _plain_of(
            [(self._template(rule.template), self.role.form)]
            if rule.template is not None
            else [
                *((self.header(header, of_order=True), self.role.form) for header in rule.order),
                *((self.header(header), self._form_of(header)) for header in rule.from_),
            ],
            dtype,
        )

    def _words(self, rule: Rule) -> pl.Expr:
        headers = rule.first_word or rule.other_words
        name = pl.coalesce(self.header(header) for header in headers).str.strip_chars()
        return name.str.extract(r"^(\S+)") if rule.first_word else name.str.extract(r"^\S+\s+(.+)$")

    def _lines(self, rule: Rule) -> pl.Expr:
        headers = rule.first_line or rule.other_lines
        text = pl.coalesce(self.header(header) for header in headers).str.strip_chars()
        if rule.first_line:
            return text.str.extract(r"^([^\r\n]+)").str.strip_chars()
        return text.str.extract(r"(?s)^[^\r\n]+[\r\n]+(.+)$").str.replace_all(r"\s*[\r\n]+\s*", ", ")

    def _joined(self, header: str) -> tuple[Join, str] | None:
        prefix, _, rest = header.partition(".")
        join = next((each for each in self.table.join if each.prefix == prefix), None)
        return (join, rest) if join and rest else None

    def _form_of(self, header: str) -> FileForm:
        joined = self._joined(header)
        if joined and joined[0].file in self.roles:
            # Totals are written plainly already.
            return FileForm() if joined[1] in joined[0].totals else self.roles[joined[0].file].form
        return self.role.form

    def header(self, header: str, *, of_order: bool = False) -> pl.Expr:
        """Return a header's text; null where the files have it not."""
        if header == "row_in_order":
            return self._row_in_order()
        if header.startswith(PART) and self.table.unpack:
            return pl.col(header)
        if joined := self._joined(header):
            return self._joined_header(*joined)
        if self.number is not None:
            header = header.replace("{n}", str(self.number))
        found = self.role.find(header)
        if found is None:
            return pl.lit(None, pl.String)
        return pl.col(_order_column(found) if of_order else found)

    def _row_in_order(self) -> pl.Expr:
        if self.number is not None:
            return pl.lit(str(self.number))
        return pl.col(ITEM if self.table.unpack else ROW).cast(pl.String)

    def _joined_header(self, join: Join, header: str) -> pl.Expr:
        role = self.roles.get(join.file)
        own = header if header in join.totals else role and role.find(header)
        return pl.col(f"{join.prefix}.{own}") if role and own else pl.lit(None, pl.String)

    def _template(self, template: str) -> pl.Expr:
        if self.number is not None:
            template = template.replace("{n}", str(self.number))
        texts = literal_parts(template)
        parts = [pl.lit(texts[0])]
        for name, text in zip(placeholders(template), texts[1:], strict=True):
            # TikTok writes a tab behind each id, so that spreadsheets leave it alone.
            value = _written(self.header(name)).str.strip_chars()
            parts += [plain_id(value) if self._is_of_order_id(name) else value, pl.lit(text)]
        return pl.concat_str(parts)

    def _is_of_order_id(self, header: str) -> bool:
        rule = self.table.columns.get("source_order_id")
        return rule is not None and normal(header) in map(normal, rule.headers)

    def _amount_text(self, header: str) -> pl.Expr:
        return _plain(self.header(header), MONEY, self._form_of(header))

    def _sum(self, headers: Sequence[str]) -> pl.Expr:
        amount, unreadable, is_there = _added_up(headers, self._amount_text)
        return pl.coalesce(unreadable, pl.when(is_there).then(written(amount)))

    def _fraction(self, amount: str, by: str) -> pl.Expr:
        total, number = (_written(self._amount_text(header)).str.strip_chars() for header in (amount, by))
        above, below = read_amount(total), read_amount(number)
        fraction = pl.when(below != 0).then(written((above / below).round(4)))
        return pl.coalesce(_unreadable(total, above), _unreadable(number, below), fraction)


def _empty(name: TableName, headers: Sequence[str]) -> pl.LazyFrame:
    schema: dict[str, pl.DataType] = dict.fromkeys(canonical_columns(name), pl.String())
    schema |= {"file": pl.String(), "line": pl.Int64(), "fault": pl.String()}
    schema |= {ORIGINAL + header: pl.String() for header in headers}
    return pl.LazyFrame(schema=schema)
