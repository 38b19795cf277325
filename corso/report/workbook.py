"""reconciliation.xlsx: the report for those who sort, filter and sign in a spreadsheet.

The yellow columns of the sheet Findings are the analyst's to write: `corso.stages` reads them back by `finding_id`. Values
are not masked: the file is its owner's only. How cells are written is in `corso.report.sheet`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from corso.report.atomic import replacing
from corso.report.bridge import as_effects, money_bridge
from corso.report.corrected import said_corrections
from corso.report.facts import ReportFacts
from corso.report.filled import said_amount, said_use
from corso.report.real_cells import with_real_cells
from corso.report.sheet import OPTIONS, Formats, SheetColumn, fitted, lay_out, write_facts, write_table
from corso.report.tolerances import TOLERANCES
from schemas.spreadsheet import as_they_were

MAX_ROWS = 1_048_575
"""What a sheet holds below its header."""
MAX_CELLS = 3_000_000
"""What a sheet is given: beyond it a spreadsheet takes minutes to open. The rest is in the named file."""
_ROWS_AT_ONCE = 20_000

FINDING_COLUMNS = {
    "finding_id": SheetColumn("finding_id", 18),
    "kind": SheetColumn("kind", 11),
    "cause": SheetColumn("cause", 22),
    "source_order_id": SheetColumn("source_order_id", 18),
    "corso_order_id": SheetColumn("corso_order_id", 14),
    "source_line_item_id": SheetColumn("source_line_item_id", 18),
    "source_fulfillment_id": SheetColumn("source_fulfillment_id", 18),
    "field": SheetColumn("field", 26),
    "source_value": SheetColumn("source_value", 28),
    "corso_value": SheetColumn("corso_value", 28),
    "currency": SheetColumn("currency", 9),
    "month": SheetColumn("month", 9),
    "source_money": SheetColumn("source_money", 14),
    "corso_money": SheetColumn("corso_money", 14),
    "age_days": SheetColumn("age_days", 9),
    "owner": SheetColumn("owner", 18, is_theirs=True, longest=200, hint="Who looks after this finding."),
    "note": SheetColumn(
        "note",
        40,
        is_theirs=True,
        longest=5_000,
        hint="What was found out, what was agreed. Kept from run to run.",
    ),
    "signed_off_by": SheetColumn(
        "signed_off_by",
        18,
        is_theirs=True,
        longest=200,
        hint="Your name signs the finding off as it stands. If its values change later, the sign-off falls.",
    ),
    "signed_off_at": SheetColumn("signed_off_at", 19),
    "fallen_sign_off": SheetColumn("fallen_sign_off", 30),
    "first_seen": SheetColumn("first_seen", 19),
    "file": SheetColumn("file", 26),
    "line": SheetColumn("line", 9),
    "seal": SheetColumn("seal", 12, is_hidden=True),
}
"""How the columns of FINDINGS look, in the order of the sheet; their titles are the columns' names."""

_TO_REVIEW = (
    "The yellow columns of the sheet Findings are yours: owner, note, signed_off_by. Write there, and save the workbook "
    "where it lies, or put a copy into the folder review beside it: the next reconciliation takes up what you wrote. "
    "Leave finding_id and the hidden column seal as they are."
)
_MONEY_TITLES = {
    "currency": "Currency", "month": "Month", "source": "Source", "quarantined": "Quarantined", "rejected": "Rejected",
    "unknown": "Unknown", "not_sent": "Not sent", "expected": "= Expected in Corso", "changed": "Changed",
    "duplicate": "Duplicates", "unexplained": "Unexplained", "corso": "= In Corso", "difference": "Difference (expected less in Corso)",
    "foreign": "Foreign", "corso_with_foreign": "= All in Corso",
}  # fmt: skip


def write_workbook(report: ReportFacts, results_csv: Path, quarantine_csv: Path, path: Path) -> None:
    """Write the sheets Summary, Money, Findings, Quarantine and Results.

    The last two are results.csv and quarantine.csv, which must have been written.
    """
    findings = report.findings.select(
        *(name for name in FINDING_COLUMNS if name in report.findings.columns),
        pl.exclude(list(FINDING_COLUMNS)),
    )
    money = money_bridge(report.summary.money, report.findings)
    results, quarantine = _cells(results_csv), _cells(quarantine_csv)
    notes = [
        _note("Findings", findings.height, findings.width, "reconciliation.parquet"),
        _note("Quarantine", _height(quarantine), len(quarantine.collect_schema()), quarantine_csv.name),
        _note("Results", _height(results), len(results.collect_schema()), results_csv.name),
    ]
    # The library leaves its own files behind where it fails.
    with replacing(path) as draft, TemporaryDirectory(dir=path.parent, prefix=".") as own:
        book = xlsxwriter.Workbook(str(draft), {**OPTIONS, "tmpdir": own})
        book.set_properties(
            {"title": f"Reconciliation of store {report.summary.store_id}, batch {report.summary.batch}"}
        )
        formats = Formats(book)
        _write_summary(book, formats, _summary_rows(report, money, filter(None, notes)))
        _write_money(book, formats, as_effects(money))
        _write_findings(book, formats, findings)
        for name, cells in (("Quarantine", quarantine), ("Results", results)):
            columns = fitted(cells.head(200).collect())
            if columns:
                real = with_real_cells(cells, (column.title for column in columns))
                write_table(book.add_worksheet(name), formats, columns, _frames(real, len(columns)))
            else:
                book.add_worksheet(name)
        try:
            book.close()
        except FileCreateError as error:
            # What the disk refused, in a class of the library's own.
            raise error.args[0] from None


def _write_summary(book: Any, formats: Formats, rows: Iterable[tuple[str, Any]]) -> None:
    sheet = book.add_worksheet("Summary")
    lay_out(sheet, formats, [SheetColumn("What", 34), SheetColumn("Value", 96)])
    sheet.set_portrait()
    write_facts(sheet, formats, rows)


def _write_money(book: Any, formats: Formats, money: pl.DataFrame) -> None:
    sheet = book.add_worksheet("Money")
    columns = [
        SheetColumn(_MONEY_TITLES[name], 10 if name in {"currency", "month"} else 16)
        for name in money.columns
    ]
    rows = write_table(sheet, formats, columns, [money])
    for name in ("difference", "unexplained"):
        if rows:
            column = money.columns.index(name)
            apart = {"type": "cell", "criteria": "!=", "value": 0, "format": formats.alarm}
            sheet.conditional_format(1, column, rows, column, apart)


def _write_findings(book: Any, formats: Formats, findings: pl.DataFrame) -> None:
    sheet = book.add_worksheet("Findings")
    columns = [FINDING_COLUMNS.get(name, SheetColumn(name)) for name in findings.columns]
    rows = write_table(sheet, formats, columns, _frames(findings.lazy(), findings.width))
    if rows:
        column = findings.columns.index("cause")
        alarm = {"type": "cell", "criteria": "==", "value": '"unexplained"', "format": formats.alarm}
        sheet.conditional_format(1, column, rows, column, alarm)


def _most_rows(columns: int) -> int:
    return min(MAX_ROWS, max(1, MAX_CELLS // max(1, columns)))


def _note(sheet: str, rows: int, columns: int, whole: str) -> tuple[str, str] | None:
    most = _most_rows(columns)
    if rows <= most:
        return None
    return (f"Sheet {sheet}", f"the first {most:,} of {rows:,} rows; all of them are in {whole}")


def _cells(csv: Path) -> pl.LazyFrame:
    """Read one of our CSV files as text; a workbook's cell is no formula, so the apostrophes go."""
    frame = pl.scan_csv(csv, infer_schema=False, glob=False)
    return frame.with_columns(as_they_were(pl.all()))


def _height(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _frames(frame: pl.LazyFrame, columns: int) -> Iterator[pl.DataFrame]:
    yield from frame.head(_most_rows(columns)).collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True)


def _summary_rows(
    report: ReportFacts, money: pl.DataFrame, notes: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, Any]]:
    """Yield name and value; a name without a value heads a section."""
    verdict, summary = report.verdict, report.summary
    yield ("Verdict", verdict.sentence)
    for part in verdict.promise:
        kept = {True: "kept", False: "broken", None: "not known yet"}[part.kept]
        yield (f"Promise: {kept}", part.sentence)
    if report.stopped:
        yield ("Stopped early", report.stopped)
    yield ("To review", _TO_REVIEW)
    yield from notes
    yield ("Batch", None)
    yield from (
        ("Store", str(summary.store_id)),
        ("Batch", summary.batch),
        ("Environment", report.environment),
        ("Profile", report.profile),
        ("Written (UTC)", report.generated_at),
        ("Version", report.version),
    )
    yield from _money_totals(money)
    for name, group in summary.model_dump(exclude={"store_id", "batch", "exit_code", "money"}).items():
        yield (name.capitalize(), None)
        for key, value in group.items():
            yield (f"{name}: {key}".replace("_", " "), "not told by the API" if value is None else value)
    yield ("exit code", summary.exit_code)
    if run := list(_run_rows(report)):
        yield ("The run", None)
        yield from run
    yield ("What counts as equal", None)
    yield from ((f"Equal: {rule.name}", rule.sentence) for rule in TOLERANCES)
    if report.ignored:
        yield ("Not compared", ", ".join(report.ignored))


def _money_totals(money: pl.DataFrame) -> Iterator[tuple[str, Any]]:
    if money.height:
        yield ("Money, all months", None)
    for row in (
        money.group_by("currency")
        .agg(pl.col("source", "expected", "corso", "difference").sum())
        .sort("currency")
        .to_dicts()
    ):
        currency = row.pop("currency")
        yield from (
            (
                f"{currency}: {_MONEY_TITLES[name].lower().replace('corso', 'Corso').removeprefix('= ')}",
                amount,
            )
            for name, amount in row.items()
        )


def _run_rows(report: ReportFacts) -> Iterator[tuple[str, Any]]:
    yield from (("Note", note) for note in report.notes)
    yield from ((f"Fallback {use.fallback}", said_use(use)) for use in report.fallbacks_used)
    yield from ((f"Money moved: {row.kind}", said_amount(row)) for row in report.moved)
    yield from ((f"Corrections: {title}", text) for title, text in said_corrections(report.corrections))
    yield from (
        (f"Corrections file {file.name}", f"SHA-256 {file.sha256}, {file.rows:,} rows")
        for file in report.corrections.files
    )
    yield from ((f"File {name}", f"SHA-256 {digest}, {rows:,} rows") for name, digest, rows in report.files)
    yield from ((f"Library {name}", version) for name, version in report.versions.items())
