"""reconciliation.xlsx: the report for those who sort, filter and sign in a spreadsheet.

Text stays text (order ids, postal codes), money and instants are numbers and dates, and nothing that comes from the
data can become a formula or a link. Values are not masked: the file is its owner's only.
Rows are written strictly from the top, so that the library keeps one row in memory whatever the size.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from corso.report.atomic import replacing
from corso.report.bridge import money_bridge
from corso.report.corrected import said_corrections
from corso.report.facts import ReportFacts
from corso.report.filled import said_amount, said_use
from corso.report.tolerances import TOLERANCES
from schemas.fields import dtypes
from schemas.reconciliation import FINDINGS
from schemas.spreadsheet import as_they_were

MAX_ROWS = 1_048_575
"""What a sheet holds below its header."""
MAX_CELLS = 3_000_000
"""What a sheet is given: beyond it a spreadsheet takes minutes to open. The rest is in the named file."""
LONGEST_CELL = 32_767
"""Characters that a cell holds."""

_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}
_MONEY_FORMAT = "#,##0.00##;[Red]-#,##0.00##"
_INSTANT_FORMAT = "yyyy-mm-dd hh:mm:ss"


def write_workbook(report: ReportFacts, results_csv: Path, quarantine_csv: Path, path: Path) -> None:
    """Write the sheets Summary, Money, Findings, Quarantine and Results.

    The last two are results.csv and quarantine.csv, which must have been written.
    """
    with replacing(path) as draft:
        book = xlsxwriter.Workbook(str(draft), {**_OPTIONS, "tmpdir": str(draft.parent)})
        formats = _Formats(book)
        money = money_bridge(report.summary.money, report.findings)
        results, quarantine = _cells(results_csv), _cells(quarantine_csv)
        notes = [
            _note("Findings", report.findings.height, len(dtypes(FINDINGS)), "reconciliation.parquet"),
            _note("Quarantine", _height(quarantine), len(quarantine.collect_schema()), quarantine_csv.name),
            _note("Results", _height(results), len(results.collect_schema()), results_csv.name),
        ]
        _write(book, formats, "Summary", ["What", "Value"], _summary_rows(report, filter(None, notes)))
        _write(book, formats, "Money", money.columns, money.iter_rows())
        _write(book, formats, "Findings", list(dtypes(FINDINGS)), _rows(report.findings.lazy()))
        _write(book, formats, "Quarantine", quarantine.collect_schema().names(), _rows(quarantine))
        _write(book, formats, "Results", results.collect_schema().names(), _rows(results))
        book.close()


class _Formats:
    """The workbook's cell formats."""

    def __init__(self, book: Any) -> None:
        self.header = book.add_format({"bold": True, "bottom": 1, "bg_color": "#EFEDE8"})
        self.money = book.add_format({"num_format": _MONEY_FORMAT})
        self.instant = book.add_format({"num_format": _INSTANT_FORMAT})


def _write(
    book: Any, formats: _Formats, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    sheet = book.add_worksheet(name)
    sheet.freeze_panes(1, 0)
    if not columns:
        return
    sheet.set_column(0, len(columns) - 1, 18)
    if name == "Summary":
        sheet.set_column(0, 0, 34)
        sheet.set_column(1, 1, 90)
    last = 0
    for column, title in enumerate(columns):
        sheet.write_string(0, column, title[:LONGEST_CELL], formats.header)
    for number, row in enumerate(rows, 1):
        for column, value in enumerate(row):
            _write_cell(sheet, number, column, value, formats)
        last = number
    sheet.autofilter(0, 0, last, len(columns) - 1)


def _write_cell(sheet: Any, row: int, column: int, value: Any, formats: _Formats) -> None:
    if value is None:
        return
    if isinstance(value, Decimal):
        sheet.write_number(row, column, float(value), formats.money)
    elif isinstance(value, datetime):
        sheet.write_datetime(row, column, value.replace(tzinfo=None), formats.instant)
    elif isinstance(value, int | float):
        sheet.write_number(row, column, value)
    else:
        sheet.write_string(row, column, value[:LONGEST_CELL])


def _most_rows(columns: int) -> int:
    return min(MAX_ROWS, max(1, MAX_CELLS // max(1, columns)))


def _note(sheet: str, rows: int, columns: int, whole: str) -> tuple[str, str] | None:
    most = _most_rows(columns)
    if rows <= most:
        return None
    return (f"Sheet {sheet}", f"the first {most:,} of {rows:,} rows; all of them are in {whole}")


def _cells(csv: Path) -> pl.LazyFrame:
    """Read one of our CSV files as text; a workbook's cell is no formula, so the apostrophes go."""
    frame = pl.scan_csv(csv, infer_schema=False)
    return frame.with_columns(as_they_were(pl.all()))


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _rows(frame: pl.LazyFrame) -> Iterator[tuple[Any, ...]]:
    return frame.head(_most_rows(len(frame.collect_schema()))).collect().iter_rows()


def _summary_rows(report: ReportFacts, notes: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    verdict, summary = report.verdict, report.summary
    yield ("Verdict", verdict.sentence)
    for part in verdict.promise:
        kept = {True: "kept", False: "broken", None: "not known yet"}[part.kept]
        yield (f"Promise: {kept}", part.sentence)
    if report.stopped:
        yield ("Stopped early", report.stopped)
    yield from (
        ("Store", str(summary.store_id)),
        ("Batch", summary.batch),
        ("Environment", report.environment),
    )
    yield from (
        ("Profile", report.profile),
        ("Written (UTC)", report.generated_at),
        ("Version", report.version),
    )
    for name, group in summary.model_dump(exclude={"store_id", "batch", "exit_code", "money"}).items():
        for key, value in group.items():
            yield (f"{name}: {key}".replace("_", " "), value)
    yield ("exit code", summary.exit_code)
    yield from notes
    yield from (("Note", note) for note in report.notes)
    yield from ((f"Fallback {use.fallback}", said_use(use)) for use in report.fallbacks_used)
    yield from ((f"Money moved: {row.kind}", said_amount(row)) for row in report.moved)
    yield from ((f"Corrections: {title}", text) for title, text in said_corrections(report.corrections))
    yield from (
        (f"Corrections file {file.name}", f"{file.sha256[:12]}, {file.rows:,} rows")
        for file in report.corrections.files
    )
    yield from ((f"File {name}", f"{digest}, {rows:,} rows") for name, digest, rows in report.files)
    yield from ((f"Equal: {rule.name}", rule.sentence) for rule in TOLERANCES)
    if report.ignored:
        yield ("Not compared", ", ".join(report.ignored))
