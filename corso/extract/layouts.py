"""Several lines of an order in one row: side by side in columns, or packed in one cell."""

import json
import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from corso.extract.headers import normal
from corso.extract.profile import Unpack
from corso.extract.text import FAULT

ITEM = "\0item_in_row"
"""A line's number within its row, from 1."""
PART = "item."
"""What the names of a cell's parts begin with."""

_MARK = "\x1e"
_CELL = "\0cell"


def spread_numbers(pattern: str, headers: Sequence[str]) -> list[int]:
    """Return the numbers with which a header such as `Product Item {n} Name` stands in a file, in their order."""
    before, _, after = normal(pattern).partition("{n}")
    shape = re.compile(re.escape(before) + r"(\d{1,4})" + re.escape(after))
    found = {int(hit.group(1)) for header in headers if (hit := shape.fullmatch(normal(header)))}
    return sorted(found)


def begins_like(text: pl.Expr, unpack: Unpack) -> pl.Expr:
    """Say whether a cell begins as its form does; false for an empty one."""
    if unpack.form == "in_order":
        return text.is_not_null()
    if unpack.form == "json":
        return text.str.contains(r"^\s*[\[{]").fill_null(value=False)
    begins = unpack.parts[0] + unpack.after_name.rstrip()
    return text.str.strip_chars_start().str.starts_with(begins).fill_null(value=False)


def unpacked(rows: pl.LazyFrame, cell: str, unpack: Unpack, wanted: Sequence[str]) -> pl.LazyFrame:
    """Return one row for each line in a cell, with ITEM and the parts as `item.<name>`; no row for an empty cell.

    `wanted`: the parts that are read. A cell that has not the declared form gives one row, with FAULT.
    """
    text = pl.col(cell)
    if unpack.form == "json":
        lines = text.map_batches(lambda cells: _json_lines(cells, wanted), return_dtype=_json_type(wanted))
    else:
        lines = _split(text, unpack)
    numbered = rows.with_columns(lines.alias(_CELL)).with_columns(
        pl.int_ranges(1, pl.col(_CELL).list.len() + 1).alias(ITEM)
    )
    single = numbered.explode(_CELL, ITEM)
    parts = [_part(unpack, name, number).alias(PART + name) for number, name in enumerate(wanted)]
    broken = pl.lit(f"the cell {cell!r} cannot be taken apart")
    return (
        single.with_columns(parts)
        .with_columns(
            pl.when(pl.col(FAULT).is_null() & text.is_not_null() & _is_broken(unpack))
            .then(broken)
            .otherwise(FAULT)
            .alias(FAULT)
        )
        .filter(text.is_not_null() | pl.col(FAULT).is_not_null())
        .drop(_CELL)
    )


def _split(text: pl.Expr, unpack: Unpack) -> pl.Expr:
    if unpack.form == "named":
        begins = unpack.parts[0] + unpack.after_name
        mark = re.escape(unpack.between_items) + r"\s*" + re.escape(begins)
        return text.str.strip_chars().str.replace_all(mark, _MARK + begins).str.split(_MARK)
    return (
        text.str.strip_chars()
        .str.split(unpack.between_items)
        .list.eval(pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != ""))
    )


def _part(unpack: Unpack, name: str, _number: int) -> pl.Expr:
    line = pl.col(_CELL)
    if unpack.form == "json":
        return line.struct.field(name)
    if unpack.form == "in_order":
        place = unpack.parts.index(name) if name in unpack.parts else len(unpack.parts)
        value = line.str.split(unpack.between_parts).list.get(place, null_on_oob=True).str.strip_chars()
    else:
        others = "|".join(re.escape(other) for other in unpack.parts if other != name)
        between, after = re.escape(unpack.between_parts), re.escape(unpack.after_name.rstrip())
        ends = rf"{between}(?:{others}){after}" if others else "$^"
        value = line.str.extract(rf"(?s)(?:^|{between}){re.escape(name)}{after}\s*(.*?)\s*(?:{ends}|$)")
    return pl.when(value != "").then(value)


def _is_broken(unpack: Unpack) -> pl.Expr:
    line = pl.col(_CELL)
    if unpack.form == "json":
        return line.is_null()
    if unpack.form == "in_order":
        return (line.str.split(unpack.between_parts).list.len() != len(unpack.parts)).fill_null(value=True)
    begins = unpack.parts[0] + unpack.after_name.rstrip()
    return ~line.str.starts_with(begins).fill_null(value=False)


def _json_type(wanted: Sequence[str]) -> pl.List:
    return pl.List(pl.Struct(dict.fromkeys(wanted, pl.String)))


def _json_lines(cells: pl.Series, wanted: Sequence[str]) -> pl.Series:
    return pl.Series(cells.name, [_json_cell(cell, wanted) for cell in cells], dtype=_json_type(wanted))


def _json_cell(cell: str | None, wanted: Sequence[str]) -> list[dict[str, str | None]] | None:
    if cell is None:
        return None
    try:
        value: Any = json.loads(cell, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None
    lines = [value] if isinstance(value, dict) else value
    if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
        return None
    return [{name: _as_text(line.get(name)) for name in wanted} for line in lines]


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        # JSON's escapes can spell half a character, which UTF-8 cannot hold.
        return None if value is None or value == "" else value.encode(errors="replace").decode()
    return json.dumps(value, ensure_ascii=False)
