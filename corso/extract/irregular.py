"""CSV files with ragged rows, line breaks within quotes, stray quotes or another encoding: read row by row.

Python's csv module reads them, strictly: it says where quotes leave open what a field is. A row with a fault is
marked, never dropped or bent into shape, and a quote that nobody closed spoils its own line only. The rows are
written to a Parquet file; whatever the file is like, memory and time are bounded.
"""

import csv
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corso.errors import ExportError
from corso.extract.columns import Header
from corso.extract.damage import halves, unreadable
from corso.extract.decoding import DAMAGE, LONGEST_LINE, lines_of, open_text, parse
from corso.extract.files import ExportFile
from corso.extract.forms import FAULT, LINE, CsvForm

Row = list[int | str | None]

_BATCH_ROWS = 20_000
_BATCH_CELLS = 2_000_000
_BATCH_CHARACTERS = 1 << 24
_LINES_READ_AGAIN = 1_000_000
_TIMES_READ_AGAIN = 20
"""A file may have so many of its lines read again, beside the first number, before its quotes count as hopeless."""
_BLANKS = " \t\v\f\x1a"
"""A ragged row of nothing else is no row; the last is what DOS programs write at a file's end."""


def irregular_rows(file: ExportFile, form: CsvForm, header: Header, scratch: Path) -> pl.LazyFrame:
    """Return a file's rows: its columns as text (empty is null), LINE and FAULT; written below `scratch`.

    Raises ExportError: bytes that are not in the encoding, truncated gzip, quotes beyond hope, endless lines.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{file.path}\n{form}".encode()).hexdigest()[:16]
    target = scratch / f"{name}.parquet"
    schema = pa.schema(
        [(LINE, pa.int64()), *((name, pa.string()) for name in header.names), (FAULT, pa.string())]
    )
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in _batches(file, form, header):
            columns = zip(zip(*batch, strict=True), schema.types, strict=True)
            try:
                table = pa.table([pa.array(values, type=kind) for values, kind in columns], schema=schema)
            except UnicodeEncodeError:
                raise halves(file, form) from None
            writer.write_table(table)
    return pl.scan_parquet(target, glob=False)


def _batches(file: ExportFile, form: CsvForm, header: Header) -> Iterator[list[Row]]:
    """Yield the rows in batches that are bounded in rows, cells and characters."""
    most = max(1, min(_BATCH_ROWS, _BATCH_CELLS // len(header.names)))
    batch: list[Row] = []
    with open_text(file, form) as stream:
        lines = Lines(file, lines_of(file, stream))
        try:
            for row in _rows(lines, form, header):
                batch.append(row)
                if len(batch) >= most or lines.characters > _BATCH_CHARACTERS:
                    yield batch
                    batch = []
                    lines.characters = 0
        except DAMAGE as error:
            raise unreadable(file, form, error) from None
    if batch:
        yield batch


def _rows(lines: "Lines", form: CsvForm, header: Header) -> Iterator[Row]:
    """Yield [line, *values, fault] for every row with a value below the header.

    A row over several lines counts where its quotes are closed where fields end. Else its first line is a row by
    itself, with a fault, and reading goes on with the next line: a quote that is never closed would take all rows up
    to the next quote with it, without a word.
    """
    for _ in range(header.last_line):
        next(lines, None)
    reader = parse(lines, form)
    columns = len(header.names)
    number = header.last_line + 1
    lines.take()
    while True:
        fault = None
        try:
            row = next(reader)
            taken = lines.take()
        except StopIteration:
            return
        except csv.Error:
            first, *others = lines.take()
            lines.put_back(others)
            taken = [first]
            text = first.rstrip("\r\n")
            row, fault = next(parse([text], form, strict=False)), _quote_fault(text, form)
        ragged = None if len(row) == columns else _ragged(row, header)
        if fault or any(row if ragged is None else (field.strip(_BLANKS) for field in row)):
            reasons = "; ".join(filter(None, [ragged, fault])) or None
            yield [number, *_fit(row, columns), reasons]
        number += len(taken)


def _quote_fault(text: str, form: CsvForm) -> str:
    """Say what is wrong with the quotes of a line that is no row."""
    try:
        next(parse([f'{text}"'], form))
    except csv.Error:
        return "a quote stands within a quoted field: write it twice"
    return "a quote may be open, or a line break may stand in the middle"


def _ragged(row: Sequence[str], header: Header) -> str | None:
    """Say what is wrong with a row that has another number of fields than the header.

    Empty fields past the header's end mean nothing: spreadsheets write them. Fields of nameless columns at the
    header's end may be missing.
    """
    count, columns = len(row), len(header.names)
    if count == columns or header.named <= count < columns or (count > columns and not any(row[columns:])):
        return None
    damaged = (
        " (zero bytes stand in it: the file may be damaged)" if any("\0" in field for field in row) else ""
    )
    return f"the row has {count} fields where the header has {columns}{damaged}"


def _fit(row: Sequence[str], columns: int) -> list[str | None]:
    values: list[str | None] = [value or None for value in row]
    return values if len(values) == columns else (values + [None] * columns)[:columns]


class Lines:
    """The lines of a file, which remembers those that a reader took for one row, and takes some back."""

    def __init__(self, file: ExportFile, lines: Iterator[str]) -> None:
        self._file = file
        self._lines = lines
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._taken_characters = 0
        self._read = self._read_again = 0
        self.characters = 0
        """How many were read since this was last set to zero."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._waiting:
            line = self._waiting.popleft()
        else:
            line = next(self._lines)
            self._read += 1
            self.characters += len(line)
        self._taken.append(line)
        self._taken_characters += len(line)
        if self._taken_characters > LONGEST_LINE:
            message = "the row is too long"
            raise csv.Error(message)
        return line

    def take(self) -> list[str]:
        """Return the lines that were read since the last call."""
        taken, self._taken, self._taken_characters = self._taken, [], 0
        return taken

    def put_back(self, lines: Sequence[str]) -> None:
        """Have these lines read again, in their order, before those that follow.

        Raises ExportError where that never ends.
        """
        self._waiting.extendleft(reversed(lines))
        self._read_again += len(lines)
        if self._read_again > _LINES_READ_AGAIN + _TIMES_READ_AGAIN * self._read:
            line = self._read - len(self._waiting)
            message = f"{self._file.name}:{line}: quotes open and close across so many lines that no row can be told; write a quote within a value twice, and close each"
            raise ExportError(message)
