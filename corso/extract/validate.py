"""Validation: which orders are accepted, which are quarantined, and every reason at once.

It works on one part of a batch at a time: some orders, with all rows of the three tables that belong to them, so that
memory is set by the part and not by the batch. The unit of quarantine is the order: one bad row quarantines
all rows of its order. Exact repetitions of a row are set aside and their order is loaded once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import polars.selectors as cs

from corso.extract.cells import plain_id
from corso.extract.convert import converter_of, has_offset, time_is_ambiguous, time_is_impossible
from corso.extract.fallbacks import Fallback, apply_fallbacks, count_uses
from corso.extract.money_policy import IS_SHARED, count_moved, share_tax
from corso.extract.places import with_places
from corso.extract.profile import AS_EXPORTED, TABLES, MoneyPolicy, TableName
from corso.extract.rules import TEXT_OF, CompiledRule, compile_rules
from corso.settings import Store
from schemas.fields import INSTANT, PROVENANCE, dtypes
from schemas.filled_values import FallbackUse
from schemas.money import month_and_currency
from schemas.quarantine import OF_ANOTHER_ROW, PROBLEM

ROW = "__row"
_SHOWN_CHARACTERS = 300
_KEYS: Mapping[TableName, Sequence[str]] = {
    "orders": ("source_order_id",),
    "line_items": ("source_order_id", "source_line_item_id"),
    "fulfillments": ("source_order_id", "source_fulfillment_id"),
}
_CODES = ("country_code", "currency_code")
_MAY_END_IN_POINT_ZERO = ("_id", "postal_code", "order_name", "order_number")
_LOST_DIGITS = r"^\d(?:[.,]\d+[eE]\+?|[eE]\+)\d+$"
"""5.76461E+17, 5.76461234567890187E17: with a point or a plus, which the code 1E5 has not."""

_FOUND = pl.Schema({ROW: pl.UInt32(), **{field.name: field.dtype for field in PROBLEM.fields}})


@dataclass(frozen=True)
class Checked:
    """What validation made of one part of a batch."""

    accepted: Mapping[TableName, pl.DataFrame]
    """The rows of accepted orders, in the canonical schemas."""
    quarantine: pl.DataFrame
    """The rows that are not loaded (`schemas.quarantine`, without `original`); ROW: where it stands in its raw table."""
    fallbacks_used: Sequence[FallbackUse]
    """How often each declared fallback was used."""
    filled_values: pl.DataFrame
    """What they filled in which accepted order (`schemas.filled_values`)."""
    times_settled: Mapping[str, int]
    """How many times without an offset daylight saving made `ambiguous` or `impossible`."""
    moved: pl.DataFrame
    """What the money policy moved in accepted orders (`schemas.moved_money.MOVED_COLUMNS`)."""


@dataclass(frozen=True)
class _Table:
    """One canonical table on its way through validation."""

    name: TableName
    rows: pl.DataFrame
    """Typed columns, `__text.` columns, file, line, fault, ROW."""
    problems: pl.DataFrame
    """One row = one broken rule of one row."""
    repeated: pl.Series
    """`__row` of exact repetitions."""

    def ids(self) -> pl.Series:
        return self.rows["source_order_id"]

    def with_problem(
        self, rows: pl.DataFrame, rule: str, column: str, sentence: str, remedy: str
    ) -> "_Table":
        found = rows.select(
            ROW,
            rule=pl.lit(rule),
            column=pl.lit(column),
            value=pl.col(column) if column in rows.columns else pl.lit(None, pl.String),
            sentence=pl.lit(sentence),
            remedy=pl.lit(remedy),
        )
        return _Table(self.name, self.rows, pl.concat([self.problems, found.cast(_FOUND)]), self.repeated)

    def told(self) -> pl.DataFrame:
        """Return the problems that are told: those of repetitions are told of the row that they repeat."""
        return self.problems.filter(~pl.col(ROW).is_in(self.repeated.implode()))

    def places_at_fault(self) -> pl.DataFrame:
        """Return `file` and `line` of the rows with problems."""
        return self.rows.select("file", "line")[self.told()[ROW]]

    def bad_ids(self) -> pl.Series:
        return self.ids().gather(self.problems[ROW].unique()).drop_nulls()


def check_part(
    raw: Mapping[TableName, pl.DataFrame],
    store: Store,
    fallbacks: Sequence[Fallback],
    policy: MoneyPolicy = AS_EXPORTED,
) -> Checked:
    """Validate all rows of a part of a batch.

    `raw` are raw tables (`schemas.raw`; the rows as they stood in the export are not needed); `policy` is the profile's,
    by which `raw` was made.
    """
    times: dict[str, int] = {"ambiguous": 0, "impossible": 0}
    tables = {}
    cleaned = {name: _cleaned(raw[name], name, store) for name in TABLES}
    if policy.line_tax == "shared":
        cleaned["line_items"] = share_tax(cleaned["line_items"], cleaned["orders"], store.currency)
    filled, uses = apply_fallbacks(cleaned, fallbacks)
    if fallbacks:
        # What they filled is written as codes, too; they themselves see the codes of what was there.
        filled = {**filled, "orders": with_places(filled["orders"])}
    for name in TABLES:
        typed = _typed(filled[name], name, store)
        for kind, count in _settled_times(typed, name, store).items():
            times[kind] += count
        tables[name] = _checked_table(name, typed)
    tables = _across_tables(tables)
    bad = pl.concat([table.bad_ids() for table in tables.values()]).unique().implode()
    good = {name: _is_accepted(table, bad) for name, table in tables.items()}
    rows = {name: tables[name].rows.select(~cs.starts_with(TEXT_OF)).filter(good[name]) for name in TABLES}
    accepted = {name: rows[name].select(*TABLES[name].columns) for name in TABLES}
    at_fault = pl.concat(table.places_at_fault() for table in tables.values()).unique()
    quarantine = pl.concat(_quarantined(tables[name], ~good[name], bad, at_fault, store) for name in TABLES)
    used, values = count_uses(uses, {name: _ids_where(tables[name], good[name]) for name in TABLES})
    moved = count_moved(rows["orders"], rows["line_items"], policy, store.currency)
    return Checked(accepted, quarantine, used, values, times, moved)


def _cleaned(frame: pl.DataFrame, name: TableName, store: Store) -> pl.DataFrame:
    """Take blanks for nothing, trim what is matched exactly, name the warehouse, write places as codes."""
    types = {column: dtype for column, dtype in dtypes(TABLES[name]).items() if column not in PROVENANCE}
    may_be_blank = frame.select(_may_begin_with_blank(pl.col(column)).any() for column in types).row(
        0, named=True
    )
    columns = []
    for column, dtype in types.items():
        text = pl.col(column)
        if column.endswith(("_id", *_CODES)) or converter_of(dtype):
            text = text.str.strip_chars()
        if column.endswith(_MAY_END_IN_POINT_ZERO):
            text = plain_id(text)
        if column == "fulfillment_location_id":
            text = _location(text, store)
        if may_be_blank[column]:
            text = pl.when(text.str.strip_chars() != "").then(text)
        columns.append(text.alias(column))
    frame = frame.with_columns(columns)
    return with_places(frame) if name == "orders" else frame


def _may_begin_with_blank(text: pl.Expr) -> pl.Expr:
    """Say which texts may begin with white space, or are empty: comparing text is cheap, looking into it is not."""
    return (text < "!") | (text > "~")


def _location(text: pl.Expr, store: Store) -> pl.Expr:
    value = text
    for place, number in store.fulfillment_locations.items():
        value = pl.when(text == place).then(pl.lit(str(number))).otherwise(value)
    default = store.fulfillment_locations.get("default")
    return value if default is None else value.fill_null(str(default))


def _typed(frame: pl.DataFrame, name: TableName, store: Store) -> pl.DataFrame:
    columns = []
    for column, dtype in dtypes(TABLES[name]).items():
        converter = None if column in PROVENANCE else converter_of(dtype)
        if converter:
            columns.append(converter.read(pl.col(column), store.time_zone).cast(dtype).alias(column))
            columns.append(pl.col(column).alias(TEXT_OF + column))
    return frame.with_columns(columns).with_row_index(ROW)


def _settled_times(frame: pl.DataFrame, name: TableName, store: Store) -> dict[str, int]:
    # A time with an offset is never in doubt, and most have one.
    texts = pl.concat(
        frame[TEXT_OF + column].filter(~has_offset(frame[TEXT_OF + column])).alias("text")
        for column, dtype in dtypes(TABLES[name]).items()
        if dtype == INSTANT
    )
    counts = texts.to_frame().select(
        ambiguous=time_is_ambiguous(pl.col("text"), store.time_zone).sum(),
        impossible=time_is_impossible(pl.col("text"), store.time_zone).sum(),
    )
    return counts.row(0, named=True)


def _checked_table(name: TableName, rows: pl.DataFrame) -> _Table:
    table = _Table(name, rows, _broken_rules(name, rows), pl.Series(ROW, [], dtype=pl.UInt32))
    faulty = rows.filter(pl.col("fault").is_not_null())
    if len(faulty):
        whole = faulty.select(
            ROW,
            rule=pl.lit("row_is_whole"),
            column=pl.lit(None, pl.String),
            value=pl.lit(None, pl.String),
            sentence=pl.col("fault"),
            remedy=pl.lit("mend the row in the export"),
        )
        # Its values may stand in the wrong columns: what these lack, or hold, is no reason and has no remedy.
        others = table.problems.filter(~pl.col(ROW).is_in(faulty[ROW].implode()))
        table = _Table(name, rows, pl.concat([others, whole.cast(_FOUND)]), table.repeated)
    return _same_key_twice(_ids_that_lost_digits(table))


def _ids_that_lost_digits(table: _Table) -> _Table:
    # Corso would take them; many orders, lines or parcels would be one there.
    texts = [
        column
        for column, dtype in dtypes(TABLES[table.name]).items()
        if dtype == pl.String and column.endswith(("_id", "tracking_info_number"))
    ]
    lost = table.rows.select(pl.col(texts).str.contains(_LOST_DIGITS).fill_null(value=False))
    for column in texts:
        if lost[column].any():
            table = table.with_problem(
                table.rows.filter(lost[column]),
                "id_is_whole",
                column,
                "may have lost digits, as spreadsheets and databases write long numbers",
                "take it from the export as the platform made it",
            )
    return table


def _broken_rules(name: TableName, rows: pl.DataFrame) -> pl.DataFrame:
    rules = compile_rules(TABLES[name])
    masks = rows.select(rule.broken.alias(str(number)) for number, rule in enumerate(rules))
    found = [pl.DataFrame(schema=_FOUND)]
    for number, rule in enumerate(rules):
        where = masks[str(number)].arg_true()
        if len(where):
            found.append(
                _shown(rule, rows, where)
                .select(
                    where.alias(ROW),
                    rule=pl.lit(rule.name),
                    column=pl.lit(rule.column),
                    value=pl.col("value").str.slice(0, _SHOWN_CHARACTERS),
                    sentence=pl.lit(rule.sentence),
                    remedy=pl.lit(rule.remedy),
                )
                .cast(_FOUND)
            )
    return pl.concat(found)


def _shown(rule: CompiledRule, rows: pl.DataFrame, where: pl.Series) -> pl.DataFrame:
    """Return what is shown of the rows `where` a rule is broken."""
    if rule.value is not None:
        return rows[where].select(value=rule.value)
    own = TEXT_OF + rule.column if TEXT_OF + rule.column in rows.columns else rule.column
    return rows[own].gather(where).to_frame("value")


def _same_key_twice(table: _Table) -> _Table:
    """Set exact repetitions aside; different rows with the same key are a problem of each of them."""
    keys = list(_KEYS[table.name])
    rows = _with_keys_twice(table.rows, keys)
    if rows.is_empty():
        return table
    content = ["fault", *(column for column in TABLES[table.name].columns if column not in PROVENANCE)]
    content += [column for column in rows.columns if column.startswith(TEXT_OF)]
    first = rows.unique(content, keep="first", maintain_order=True)
    repeated = rows.join(first, on=ROW, how="anti", maintain_order="left")[ROW]
    conflicting = first.join(
        first.group_by(keys).len().filter(pl.col("len") > 1), on=keys, how="semi", maintain_order="left"
    )
    found = table.with_problem(
        conflicting,
        f"{keys[-1]}_is_unique",
        keys[-1],
        "stands in several rows that differ",
        "keep the row that is right",
    )
    return _Table(table.name, table.rows, found.problems, repeated)


def _with_keys_twice(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the rows whose keys are in several of them. Hashes tell nearly all others, for a tenth of comparing texts."""
    hashed = pl.sum_horizontal(pl.col(key).hash(number) // len(keys) for number, key in enumerate(keys))
    there = pl.all_horizontal(pl.col(key).is_not_null() for key in keys)
    may_be = (
        rows.lazy().filter(there).select(ROW, twice=hashed.is_duplicated()).filter("twice").collect()[ROW]
    )
    some = rows[may_be]
    twice = some.group_by(keys).len().filter(pl.col("len") > 1)
    return some.join(twice, on=keys, how="semi", maintain_order="left")


def _across_tables(tables: Mapping[TableName, _Table]) -> dict[TableName, _Table]:
    orders = tables["orders"]
    known = orders.ids().drop_nulls().unique().implode()
    checked = {"orders": _orders_have_lines(orders, tables["line_items"])}
    tables = {**tables, "line_items": _without_unshared_tax(tables["line_items"], orders)}
    for name in ("line_items", "fulfillments"):
        of_an_order = pl.col("source_order_id").is_in(known).fill_null(value=False)
        # Of a faulty row without an id nobody knows whose it is.
        is_unknown = pl.col("source_order_id").is_null() & pl.col("fault").is_not_null()
        orphans = tables[name].rows.filter(~of_an_order & ~is_unknown)
        checked[name] = tables[name].with_problem(
            orphans,
            "row_belongs_to_an_order",
            "source_order_id",
            "names no order of this batch",
            "add the order to the batch, or take the row out",
        )
    return checked  # type: ignore[return-value]  # the keys are those of TABLES


def _without_unshared_tax(lines: _Table, orders: _Table) -> _Table:
    """Leave out that a line has no tax where its order's was only not shared out: for an amount or a row that cannot be read.

    That amount or row has a problem of its own, which keeps the order back; with it the tax is mended, too.
    """
    if IS_SHARED not in lines.rows.columns:
        return lines
    of_lines = pl.col("column").is_in(["price", "quantity"]) | (pl.col("rule") == "row_is_whole")
    of_orders = (pl.col("column") == "tax_money") & pl.col("value").is_not_null()
    causes = ((lines, of_lines), (orders, of_orders))
    ids = pl.concat([table.ids().gather(table.problems.filter(cause)[ROW]) for table, cause in causes])
    unshared = lines.rows.filter(pl.col("source_order_id").is_in(ids.implode()))[ROW]
    # A row that is not whole has no column.
    is_missing_tax = pl.col("column").eq_missing("tax") & pl.col("value").is_null()
    kept = lines.problems.filter(~(is_missing_tax & pl.col(ROW).is_in(unshared.implode())))
    return replace(lines, problems=kept)


def _orders_have_lines(orders: _Table, lines: _Table) -> _Table:
    with_lines = lines.ids().drop_nulls().unique().implode()
    without = orders.rows.filter(
        pl.col("source_order_id").is_not_null() & ~pl.col("source_order_id").is_in(with_lines)
    )
    return orders.with_problem(
        without,
        "order_has_line_items",
        "source_order_id",
        "has no line items",
        "Corso needs at least one; add its lines to the batch",
    )


def _is_accepted(table: _Table, bad: pl.Series) -> pl.Series:
    """Say of each row whether it is loaded; `bad`: the ids of orders that are not."""
    id_is_good = pl.col("source_order_id").is_not_null() & ~pl.col("source_order_id").is_in(bad)
    return table.rows.select(
        (id_is_good & ~pl.col(ROW).is_in(table.repeated.implode())).fill_null(value=False)
    ).to_series()


def _ids_where(table: _Table, accepted: pl.Series) -> pl.Series:
    """Return each row's order where the row is accepted, else null."""
    return table.rows.select(pl.when(accepted).then("source_order_id")).to_series()


def _quarantined(
    table: _Table, apart: pl.Series, bad: pl.Series, at_fault: pl.DataFrame, store: Store
) -> pl.DataFrame:
    """Return the rows `apart`, which are not accepted, with the reasons; `at_fault`: places where any table has a problem."""
    problems = (
        table.told()
        .group_by(ROW, maintain_order=True)
        .agg(problems=pl.struct(field.name for field in PROBLEM.fields), reasons=_sentence().str.join("; "))
    )
    repeated = pl.col(ROW).is_in(table.repeated.implode())
    rows = (
        table.rows.filter(apart)
        .join(problems, on=ROW, how="left", maintain_order="left")
        .join(
            at_fault.with_columns(of_its_line=pl.lit("")),
            on=["file", "line"],
            how="left",
            maintain_order="left",
        )
    )
    amounts = (
        [pl.col("total_money"), *month_and_currency(store.time_zone, store.currency)]
        if table.name == "orders"
        else [
            pl.lit(None, kind).alias(name)
            for name, kind in (
                ("total_money", pl.Decimal(38, 4)),
                ("month", pl.String),
                ("currency", pl.String),
            )
        ]
    )
    reasons = (
        pl.when(repeated)
        .then(
            pl.when(pl.col("source_order_id").is_in(bad))
            .then(pl.lit("repeats a row of a quarantined order word for word; counted once"))
            .otherwise(pl.lit("repeats a row word for word; loaded once"))
        )
        .otherwise(pl.coalesce("reasons", "of_its_line", pl.lit(OF_ANOTHER_ROW)))
    )
    return rows.select(
        pl.lit(table.name).alias("table"),
        "source_order_id",
        "file",
        "line",
        pl.when(repeated).then(pl.lit("repeated")).otherwise(pl.lit("quarantined")).alias("kind"),
        pl.col("problems").fill_null(pl.lit([], pl.List(PROBLEM))).cast(pl.List(PROBLEM)),
        reasons.alias("reasons"),
        *amounts,
        ROW,
    ).select(
        "table",
        "source_order_id",
        "file",
        "line",
        "kind",
        "problems",
        "reasons",
        "total_money",
        "currency",
        "month",
        ROW,
    )


def _sentence() -> pl.Expr:
    value = (
        pl.when(pl.col("value").is_not_null()).then(pl.format("'{}' ", pl.col("value"))).otherwise(pl.lit(""))
    )
    named = (
        pl.when(pl.col("column").is_not_null())
        .then(pl.format("{} {}", "column", value))
        .otherwise(pl.lit(""))
    )
    return pl.concat_str(named, pl.col("sentence"), pl.lit(": "), pl.col("remedy"))
