"""One sheet of the workbook: how its columns look, and its rows written one by one.

Text stays text, amounts, numbers and instants are real ones with formats, and nothing that comes from the data can become
a formula or a link. Rows are written strictly from the top: the library then keeps one of them in memory, whatever the
size, and no cell can be looked at again.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from xlsxwriter.utility import xl_range

from corso.report.real_cells import REAL

LONGEST_CELL = 32_767
"""Characters that a cell holds."""
OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
"""What a workbook is opened with."""

_FIRST_DAY = datetime(1899, 12, 30, tzinfo=UTC)
"""Day 0 of a spreadsheet's calendar, from 1900-03-01 on."""
_DIGITS = 15
"""Digits that a spreadsheet's number holds; an amount with more is written as text."""
_LETTERS_A_LINE, _LINE_HEIGHT, _MOST_LINES = 110, 15, 12
"""Of the wide column of names and values: letters that fit, points, lines that are shown of a long text."""
_SAMPLED = 200
"""Rows by which a column's width is chosen."""
_MONEY_FORMAT = "#,##0.00##"
_INSTANT_FORMAT = "yyyy-mm-dd hh:mm:ss"


@dataclass(frozen=True)
class SheetColumn:
    """How one column looks."""

    title: str
    width: int = 18
    is_theirs: bool = False
    """Whether the analyst writes here: it is marked, and has a hint."""
    hint: str = ""
    longest: int = 0
    """Characters that may be written here; 0: it is not for writing."""
    is_hidden: bool = False


class Formats:
    """The workbook's cell formats."""

    def __init__(self, book: Any) -> None:
        head = {"bold": True, "bottom": 1, "valign": "top", "text_wrap": True}
        self.head = book.add_format(head | {"bg_color": "#EFEDE8"})
        self.their_head = book.add_format(head | {"bg_color": "#FFD966"})
        self.theirs = book.add_format({"bg_color": "#FFF6DD"})
        self.money = book.add_format({"num_format": _MONEY_FORMAT})
        self.instant = book.add_format({"num_format": _INSTANT_FORMAT, "align": "left"})
        self.number = book.add_format({"num_format": "#,##0"})
        self.alarm = book.add_format({"bg_color": "#FBE0DD", "font_color": "#8A1F18"})
        self.section = book.add_format({"bold": True, "bg_color": "#EFEDE8"})
        self.label = book.add_format({"valign": "top"})
        wrapped = {"text_wrap": True, "valign": "top", "align": "left"}
        self.fact = book.add_format(wrapped)
        self.fact_number = book.add_format(wrapped | {"num_format": "#,##0.###"})
        self.fact_money = book.add_format(wrapped | {"num_format": _MONEY_FORMAT})
        self.fact_instant = book.add_format(wrapped | {"num_format": _INSTANT_FORMAT})


def write_table(
    sheet: Any, formats: Formats, columns: Sequence[SheetColumn], frames: Iterable[pl.DataFrame]
) -> int:
    """Write a head and the rows of frames with these columns; return how many rows there are.

    A frame may have columns of `REAL` beyond these: their values stand in the cells of the columns that they are of. The head is frozen and has filters; numbers kept as text on purpose are not marked as mistakes.
    """
    lay_out(sheet, formats, columns)
    row = 0
    for frame in frames:
        places = [frame.columns.index(name.removesuffix(REAL)) for name in frame.columns]
        writers = [_writer(sheet, formats, dtype) for dtype in frame.dtypes]
        to_write = list(zip(places, writers, strict=True))
        for values in plain(frame).iter_rows():
            row += 1
            for (column, write), value in zip(to_write, values, strict=True):
                if value is not None:
                    write(row, column, value)
    last = len(columns) - 1
    sheet.autofilter(0, 0, row, last)
    if row:
        sheet.ignore_errors({"number_stored_as_text": xl_range(1, 0, row, last)})
        for column, each in enumerate(columns):
            if each.is_theirs:
                _mark_theirs(sheet, formats, each, column, row)
    return row


def lay_out(sheet: Any, formats: Formats, columns: Sequence[SheetColumn]) -> None:
    """Write the head of a sheet, and set its widths and how it prints: the head on each page, as wide as the paper."""
    for column, each in enumerate(columns):
        sheet.set_column(column, column, each.width, None, {"hidden": each.is_hidden})
    for column, each in enumerate(columns):
        sheet.write_string(
            0, column, each.title[:LONGEST_CELL], formats.their_head if each.is_theirs else formats.head
        )
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_footer("&L&A&R&P / &N")


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame as cells take it: texts cut, amounts and instants as numbers; amounts too long for one as text."""
    return frame.with_columns(
        _plain(pl.col(name), dtype, frame[name]) for name, dtype in frame.schema.items()
    )


def fitted(frame: pl.DataFrame, least: int = 9, most: int = 44) -> list[SheetColumn]:
    """Return columns of text, each as wide as its title and the first rows need."""
    lengths = frame.head(_SAMPLED).select(pl.all().str.len_chars().max().fill_null(0)).row(0)
    return [
        SheetColumn(name, min(most, max(least, len(name) + 3, length + 1)))
        for name, length in zip(frame.columns, lengths, strict=True)
    ]


def _plain(value: pl.Expr, dtype: Any, column: pl.Series) -> pl.Expr:
    if dtype == pl.String:
        return value.str.slice(0, LONGEST_CELL)
    if isinstance(dtype, pl.Decimal):
        is_long = column.cast(pl.String).str.replace_all(r"[-.]", "").str.strip_chars("0").str.len_chars()
        if (is_long > _DIGITS).any():
            return value.cast(pl.String).str.replace(r"(\.\d\d\d*?)0+$", "${1}")
        return value.cast(pl.Float64)
    if isinstance(dtype, pl.Datetime):
        return (value - pl.lit(_FIRST_DAY)).dt.total_microseconds() / 86_400e6
    return value


def _writer(sheet: Any, formats: Formats, dtype: Any) -> Callable[[int, int, Any], Any]:
    def write_money(row: int, column: int, value: Any) -> None:
        if isinstance(value, str):
            sheet.write_string(row, column, value)
        else:
            sheet.write_number(row, column, value, formats.money)

    if dtype == pl.String:
        write_text: Callable[[int, int, Any], Any] = sheet.write_string
        return write_text
    if isinstance(dtype, pl.Decimal):
        return write_money
    cell_format = formats.instant if isinstance(dtype, pl.Datetime) else formats.number
    return lambda row, column, value: sheet.write_number(row, column, value, cell_format)


def _mark_theirs(sheet: Any, formats: Formats, each: SheetColumn, column: int, last: int) -> None:
    """Colour the analyst's cells and say what belongs there; a rule a column, as an empty cell cannot be coloured itself."""
    sheet.conditional_format(1, column, last, column, {"type": "no_errors", "format": formats.theirs})
    sheet.data_validation(
        1,
        column,
        last,
        column,
        {
            "validate": "length",
            "criteria": "<=",
            "value": each.longest,
            "input_title": each.title,
            "input_message": each.hint,
            "error_title": each.title,
            "error_message": f"At most {each.longest:,} characters.",
        },
    )


def write_facts(sheet: Any, formats: Formats, rows: Iterable[tuple[str, Any]]) -> None:
    """Write names and values below each other; a row without a value heads what follows."""
    for row, (name, value) in enumerate(rows, 1):
        if value is None:
            sheet.write_string(row, 0, name, formats.section)
            sheet.write_blank(row, 1, None, formats.section)
            continue
        if isinstance(value, str) and (lines := -(-len(value) // _LETTERS_A_LINE)) > 1:
            # A cell that wraps does not make its row higher by itself in a file that is written row by row.
            sheet.set_row(row, _LINE_HEIGHT * min(lines, _MOST_LINES))
        sheet.write_string(row, 0, name[:LONGEST_CELL], formats.label)
        if isinstance(value, Decimal):
            sheet.write_number(row, 1, float(value), formats.fact_money)
        elif isinstance(value, datetime):
            sheet.write_datetime(row, 1, value.replace(tzinfo=None), formats.fact_instant)
        elif isinstance(value, int | float):
            sheet.write_number(row, 1, value, formats.fact_number)
        else:
            sheet.write_string(row, 1, value[:LONGEST_CELL], formats.fact)
