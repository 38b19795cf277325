"""The merchant's declared fallbacks: what fills a column where the export has nothing.

A fallback is one rule or a list of rules, of which the first that gives a value is used. They are applied before
conversion, in the order of loader.yaml, table by table (orders first: line items and fulfillments see their order as it
then is), and only where the column is empty. Every value that is filled is counted, by rule and by order.
docs/fallbacks.md describes the forms; the templates are in `corso.extract.templates`.

Two rules protect what an order says. A fallback of a customer column is for orders that have a customer: it never makes
one up. An address is taken over whole or not at all: half of one and half of another is an address where nobody lives.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args

import polars as pl

from corso.errors import SettingsError
from corso.extract.address_forms import countries_that_need_no_state, countries_without_states
from corso.extract.profile import TABLES, TableName
from corso.extract.templates import ORDER_COLUMN, Template, own_columns, read_template
from corso.settings import nearest
from schemas.fields import dtypes
from schemas.filled_values import FILLED_VALUES, FallbackUse, RuleUse
from schemas.orders import CUSTOMER

DeclaredRule = str | Mapping[str, str]
"""Text with placeholders, or one of WHERE_COUNTRY with such a text."""

WHERE_COUNTRY: Mapping[str, Callable[[], frozenset[str]]] = {
    "where_country_has_none": countries_without_states,
    "where_country_needs_none": countries_that_need_no_state,
}
"""Rules for the state of an address -> the countries for which they hold."""
ADDRESSES = ("billing_address", "shipping_address")

_KEY = "source_order_id"
_STATE = "_state_or_province_code"
_NEEDED = ("line1", "city", "postal_code")
"""The parts without any of which there is no address, and with all of which there is a whole one."""
_PARTS = [part for name in own_columns("orders") if (part := name.removeprefix("billing_address_")) != name]


@dataclass(frozen=True)
class ColumnRule:
    """Fills one column by a template."""

    declared: str
    """The rule as loader.yaml has it."""
    template: Template
    country: str | None = None
    """The column that decides by its country; None: the rule holds for all."""
    countries: frozenset[str] = frozenset()
    """Those for which it holds."""

    def value(self) -> pl.Expr:
        """Return what it gives for each row, null where that is nothing."""
        if self.country is None:
            return self.template.value()
        holds = pl.col(self.country).is_in(sorted(self.countries))
        return pl.when(holds).then(self.template.value())


@dataclass(frozen=True)
class AddressRule:
    """Takes over the other address of the order."""

    declared: str
    source: str


@dataclass(frozen=True)
class Fallback:
    """One declared fallback."""

    table: TableName
    target: str
    """A column, or one of ADDRESSES."""
    rules: Sequence[ColumnRule | AddressRule]

    @property
    def name(self) -> str:
        """How loader.yaml and the reports name it."""
        return f"{self.table}.{self.target}"


@dataclass(frozen=True)
class Use:
    """Where a fallback was used: for each of its rules the places of the rows, from 0."""

    fallback: Fallback
    rows: Sequence[pl.Series]


def read_fallbacks(declared: Mapping[str, DeclaredRule | Sequence[DeclaredRule]]) -> list[Fallback]:
    """Check the fallbacks of loader.yaml.

    Raises SettingsError: unknown table, column, filter or kind of rule, with the nearest known one.
    """
    return [_read_fallback(key, rules) for key, rules in declared.items()]


def _read_fallback(name: str, declared: DeclaredRule | Sequence[DeclaredRule]) -> Fallback:
    text, _, target = name.partition(".")
    if text not in get_args(TableName) or not target:
        known = [f"{table}.{each}" for table in TABLES for each in _targets(table)]
        message = f"fallbacks: {name!r} is not table.column; {nearest(name, known)}"
        raise SettingsError(message)
    table, key = cast(TableName, text), f"fallbacks.{name}"
    if target == _KEY:
        message = f"{key}: cannot be filled, for rows are told apart and joined by it; map it in the profile"
        raise SettingsError(message)
    if target not in _targets(table):
        message = f"{key}: {table} has no column {target!r}; {nearest(target, _targets(table))}"
        raise SettingsError(message)
    rules = [declared] if isinstance(declared, str | Mapping) else declared
    if target in ADDRESSES:
        return Fallback(table, target, [_read_address_rule(rule, target, key) for rule in rules])
    return Fallback(table, target, [_read_column_rule(rule, table, target, key) for rule in rules])


def _targets(table: TableName) -> list[str]:
    columns = [name for name in own_columns(table) if name != _KEY]
    return [*columns, *ADDRESSES] if table == "orders" else columns


def _read_address_rule(rule: DeclaredRule, target: str, key: str) -> AddressRule:
    other = next(each for each in ADDRESSES if each != target)
    if rule != f"{{{other}}}":
        message = f'{key}: a whole address comes from the other one: write "{{{other}}}"'
        raise SettingsError(message)
    return AddressRule(rule, other)


def _read_column_rule(rule: DeclaredRule, table: TableName, target: str, key: str) -> ColumnRule:
    if isinstance(rule, str):
        return ColumnRule(rule, read_template(rule, table, key))
    for unknown in rule.keys() - WHERE_COUNTRY.keys():
        message = f"{key}: there is no rule {unknown!r}; {nearest(unknown, list(WHERE_COUNTRY))}"
        raise SettingsError(message)
    if len(rule) != 1:
        message = f"{key}: several rules are a list, each after a dash of its own"
        raise SettingsError(message)
    ((kind, text),) = rule.items()
    if not target.endswith(_STATE):
        states = " and ".join(f"orders.{address}{_STATE}" for address in ADDRESSES)
        message = f"{key}: {kind} is for {states}"
        raise SettingsError(message)
    country = target.removesuffix(_STATE) + "_country_code"
    return ColumnRule(f"{kind}: {text}", read_template(text, table, key), country, WHERE_COUNTRY[kind]())


def apply_fallbacks(
    tables: Mapping[TableName, pl.DataFrame], fallbacks: Sequence[Fallback]
) -> tuple[dict[TableName, pl.DataFrame], list[Use]]:
    """Fill the empty columns of a part's raw tables; return them with the uses of each fallback.

    All rows of an order are in the same part. Rows with a fault are left alone: their values may stand in the wrong
    columns.
    """
    filled, uses = dict(tables), {}
    for name in TABLES:
        own = [fallback for fallback in fallbacks if fallback.table == name]
        frame = _with_order_columns(tables[name], own, filled["orders"])
        for fallback in own:
            rows = []
            for rule in fallback.rules:
                frame, used = _apply(frame, fallback, rule)
                rows.append(used)
            uses[fallback.name] = Use(fallback, rows)
        filled[name] = frame.select(tables[name].columns)
    return filled, [uses[fallback.name] for fallback in fallbacks]


def count_uses(
    uses: Iterable[Use], accepted: Mapping[TableName, pl.Series]
) -> tuple[list[FallbackUse], pl.DataFrame]:
    """Count a part's uses, and say what was filled in which accepted order (FILLED_VALUES).

    `accepted` has, for each row of a table, its order's id where the row is accepted, else null.
    """
    counts, found = [], [pl.DataFrame(schema={_KEY: pl.String, "fallback": pl.String})]
    for use in uses:
        ids = [accepted[use.fallback.table].gather(rows).drop_nulls() for rows in use.rows]
        rules = tuple(
            RuleUse(rule.declared, len(own), len(rows))
            for rule, own, rows in zip(use.fallback.rules, ids, use.rows, strict=True)
        )
        orders = pl.concat(ids).alias(_KEY)
        counts.append(FallbackUse(use.fallback.name, orders.n_unique(), rules))
        found.append(orders.to_frame().with_columns(fallback=pl.lit(use.fallback.name)))
    filled = (
        pl.concat(found)
        .group_by(_KEY, "fallback", maintain_order=True)
        .agg(values=pl.len().cast(pl.Int64))
        .group_by(_KEY, maintain_order=True)
        .agg(filled=pl.struct("fallback", "values"))
    )
    return counts, filled.cast(pl.Schema(dtypes(FILLED_VALUES)))


def _with_order_columns(
    frame: pl.DataFrame, fallbacks: Iterable[Fallback], orders: pl.DataFrame
) -> pl.DataFrame:
    """Put the columns of a row's order beside its own, as far as a template wants them."""
    wanted = sorted(
        {
            placeholder.column
            for fallback in fallbacks
            for rule in fallback.rules
            if isinstance(rule, ColumnRule)
            for placeholder in rule.template.placeholders
            if placeholder.of_order
        }
    )
    if not wanted:
        return frame
    # An order that stands twice and differs is not loaded, whichever of its rows is taken here.
    values = (
        orders.filter(pl.col(_KEY).is_not_null() & pl.col("fault").is_null())
        .unique(_KEY, keep="first", maintain_order=True)
        .select(
            pl.col(_KEY).alias(ORDER_COLUMN), *(pl.col(name).alias(ORDER_COLUMN + name) for name in wanted)
        )
    )
    return frame.join(values, left_on=_KEY, right_on=ORDER_COLUMN, how="left", maintain_order="left")


def _apply(
    frame: pl.DataFrame, fallback: Fallback, rule: ColumnRule | AddressRule
) -> tuple[pl.DataFrame, pl.Series]:
    """Return the table with what one rule fills, and the places of the rows in which it did."""
    whole_row = pl.col("fault").is_null()
    if isinstance(rule, AddressRule):
        taken = frame.select(taken=whole_row & _is_taken_over(fallback.target, rule.source))["taken"]
        parts = (
            pl.when(taken)
            .then(pl.col(f"{rule.source}_{part}"))
            .otherwise(pl.col(f"{fallback.target}_{part}"))
            .alias(f"{fallback.target}_{part}")
            for part in _PARTS
        )
        return frame.with_columns(parts), taken.arg_true()
    wanted = whole_row & pl.col(fallback.target).is_null()
    if fallback.table == "orders" and fallback.target in CUSTOMER:
        wanted &= pl.any_horizontal(pl.col(name).is_not_null() for name in CUSTOMER)
    values = frame.select(value=pl.when(wanted).then(rule.value().str.strip_chars()))["value"]
    column = pl.coalesce(fallback.target, values).alias(fallback.target)
    return frame.with_columns(column), values.is_not_null().arg_true()


def _is_taken_over(target: str, source: str) -> pl.Expr:
    """Say where there is no address but a whole other one, which nothing that is there contradicts."""
    missing = pl.all_horizontal(pl.col(f"{target}_{part}").is_null() for part in _NEEDED)
    whole = pl.all_horizontal(pl.col(f"{source}_{part}").is_not_null() for part in _NEEDED)
    agrees = pl.all_horizontal(
        pl.col(f"{target}_{part}").is_null()
        | pl.col(f"{target}_{part}").eq_missing(pl.col(f"{source}_{part}"))
        for part in _PARTS
    )
    return missing & whole & agrees
