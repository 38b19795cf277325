"""The pandera schemas' rules, compiled to polars expressions that are checked in one pass.

The schemas stay the only place where a rule is declared. pandera's own report is slow where much is wrong and
knows rows by number only; here each rule is a boolean column, and only broken rows are looked at closer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl

from corso.extract.convert import converter_of
from schemas.fields import PROVENANCE, Mending, dtypes

TEXT_OF = "__text."
"""Prefix of the columns that hold the text which a typed column was read from."""


@dataclass(frozen=True)
class CompiledRule:
    """One rule of a table."""

    name: str
    column: str
    """The column that a report names, and whose text it shows."""
    sentence: str
    """What is said after the column and its value."""
    remedy: str
    broken: pl.Expr
    """True where the rule is broken; never null."""
    value: pl.Expr | None = None
    """What a report shows instead of the column's own text: the arithmetic of several columns."""


def compile_rules(schema: pa.DataFrameSchema) -> list[CompiledRule]:
    """Return the rules of a canonical table: types, required columns, values, whole rows, in this order."""
    rules: list[CompiledRule] = []
    for name, column in schema.columns.items():
        if name in PROVENANCE:
            continue
        dtype, mending = dtypes(schema)[name], (column.metadata or {}).get("mending")
        rules += _type_rule(name, dtype, mending)
        if not column.nullable:
            rules.append(_needed(name, dtype, schema.name or "", mending))
        rules += [_value_rule(name, check) for check in column.checks]
    return rules + [_row_rule(check) for check in schema.checks]


def _type_rule(name: str, dtype: pl.DataType, mending: Mending | None) -> Sequence[CompiledRule]:
    converter = converter_of(dtype)
    if converter is None:
        return []
    broken = pl.col(TEXT_OF + name).is_not_null() & pl.col(name).is_null()
    sentence = mending.unread if mending else converter.sentence
    remedy = mending.remedy if mending else converter.remedy
    return [CompiledRule(f"{name}_can_be_read", name, sentence, remedy, broken)]


def _needed(name: str, dtype: pl.DataType, table: str, mending: Mending | None) -> CompiledRule:
    # A value that cannot be read is not missing: it has its own rule.
    read_from = name if converter_of(dtype) is None else TEXT_OF + name
    remedy = f"Corso needs it; fill the column, or declare the fallback {table}.{name}"
    return CompiledRule(
        f"{name}_is_there",
        name,
        "is missing",
        mending.remedy_if_missing if mending else remedy,
        pl.col(read_from).is_null(),
    )


def _value_rule(name: str, check: pa.Check) -> CompiledRule:
    facts = check.statistics or {}
    good = facts["make"](pl.col(name))
    return CompiledRule(str(check.name), name, str(check.error), facts["remedy"], ~good.fill_null(value=True))


def _row_rule(check: pa.Check) -> CompiledRule:
    facts = check.statistics or {}
    return CompiledRule(
        str(check.name),
        facts["shows"],
        str(check.error),
        facts["remedy"],
        ~facts["make"]().fill_null(value=True),
        facts["value"]() if facts["value"] else None,
    )
