"""Reading CSV and Parquet as text: every value as it stands in the file, with the line it stands on.

Type inference destroys data (leading zeros, 18-digit ids), so nothing is inferred. A quick pass over the lines
of a CSV (a third of the time of parsing it) decides how it is read: polars reads a regular file; a file with
ragged rows, line breaks inside quotes or stray quotes is read row by row with Python's csv module, where each
ragged row is marked instead of dropped or bent, and a quote that nobody closed spoils its own line only. Polars by itself would fill short rows up without a word and
refuse the file for one stray quote.
"""

import csv
import gzip
import hashlib
import itertools
import re
import sys
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corso.errors import ExportError
from corso.extract.files import ExportFile

LINE = "__line"
"""The line on which a row begins, from 1 (the header is line 1); in Parquet the row's number, from 1."""
FAULT = "__fault"
"""Null, or why the row as a whole cannot be trusted."""

_BATCH_ROWS = 20_000
_SNIFFED_BYTES = 1 << 20
_EXACT_IN_A_FLOAT = 2**53
_DAMAGE = (UnicodeDecodeError, csv.Error, OSError, EOFError, zlib.error)
"""What reading a file's text raises where its bytes are not as they should be."""


@dataclass(frozen=True)
class CsvForm:
    """How the text of a CSV file is laid out."""

    delimiter: str = ","
    encoding: str = "utf-8"


def read_header(file: ExportFile, form: CsvForm) -> list[str]:
    """Return the file's column names; a nameless column is called `column_<number>`.

    Raises ExportError: missing, empty, not readable, duplicate names, wrong delimiter.
    """
    if _is_parquet(file.path):
        return list(_parquet_schema(file).names)
    names, _ = _csv_header(file, form)
    return names


def read_rows(file: ExportFile, form: CsvForm, scratch: Path) -> pl.LazyFrame:
    """Return the file's rows: its columns as text (empty is null), plus LINE and FAULT.

    Rows without any value are left out. An irregular CSV is rewritten below `scratch`, which must outlive the
    frame. Raises ExportError: as `read_header`, and for bytes that are not in the encoding and truncated gzip.
    """
    if _is_parquet(file.path):
        return _without_empty(_parquet_rows(file), read_header(file, form))
    names, header_lines = _csv_header(file, form)
    if form.encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"} and _is_regular(
        file, form, len(names)
    ):
        rows = _regular_rows(file, form, names, header_lines)
    else:
        rows = _irregular_rows(file, form, names, scratch)
    return _without_empty(rows, names)


def _without_empty(rows: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    return rows.filter(pl.any_horizontal(pl.col(names).is_not_null()) | pl.col(FAULT).is_not_null())


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in {".parquet", ".pq"}


def _parquet_schema(file: ExportFile) -> pa.Schema:
    try:
        return pq.read_schema(file.path)
    except (pa.ArrowException, OSError) as error:
        message = f"{file.name}: not a readable Parquet file ({str(error).splitlines()[0]})"
        raise ExportError(message) from None


def _parquet_rows(file: ExportFile) -> pl.LazyFrame:
    names = _parquet_schema(file).names
    _check_names(file, names)
    _check_pages(file)
    frame = pl.scan_parquet(file.path, row_index_name=LINE)
    schema = frame.collect_schema()
    return frame.select(
        (pl.col(LINE) + 1).cast(pl.Int64),
        *(_as_text(name, schema[name]) for name in names),
        pl.lit(None, pl.String).alias(FAULT),
    )


def _check_pages(file: ExportFile) -> None:
    """Read the file once through, so that a damaged page is found here and not in the middle of a stage."""
    try:
        for _ in pq.ParquetFile(file.path).iter_batches(_BATCH_ROWS):
            pass
    except (pa.ArrowException, OSError) as error:
        message = f"{file.name}: damaged Parquet file ({str(error).splitlines()[0]}); copy it again"
        raise ExportError(message) from None


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Write a typed Parquet value the way a careful CSV export would."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime):
        text = "%Y-%m-%dT%H:%M:%S%.6f" + ("%:z" if dtype.time_zone else "")
        return column.dt.strftime(text)
    if isinstance(dtype, pl.List | pl.Array | pl.Struct):
        return (
            pl.struct(column.alias("v"))
            .struct.json_encode()
            .str.slice(5)
            .str.head(-1)
            .replace("null", None)
            .alias(name)
        )
    if dtype.is_float():
        # A database's whole numbers become floats where some are missing; 1001.0 is the id 1001.
        whole = (column.round() == column) & (column.abs() < _EXACT_IN_A_FLOAT)
        return (
            pl.when(whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
            .alias(name)
        )
    if isinstance(dtype, pl.Binary):
        return column.cast(pl.String, strict=False)
    text_column = column.cast(pl.String)
    return pl.when(text_column != "").then(text_column).alias(name)


def _csv_header(file: ExportFile, form: CsvForm) -> tuple[list[str], int]:
    with _open_text(file, form) as stream:
        try:
            reader = csv.reader(itertools.islice(stream, 50), delimiter=form.delimiter)
            header = next(reader, None)
        except _DAMAGE as error:
            raise _unreadable(file, form, error) from None
    if not header or not any(name.strip() for name in header):
        message = f"{file.name}:1: the file is empty or has no header"
        raise ExportError(message)
    if any("\r" in name.strip("\r") for name in header):
        message = (
            f"{file.name}:1: lines end with a carriage return alone; save the file with ordinary line ends"
        )
        raise ExportError(message)
    names = [name.strip() or f"column_{number}" for number, name in enumerate(header, 1)]
    _check_header(file, form, names)
    return names, reader.line_num


def _check_header(file: ExportFile, form: CsvForm, names: list[str]) -> None:
    if any("\0" in name for name in names):
        message = f"{file.name}:1: not {form.encoding.upper()} text (UTF-16?); save the file as UTF-8, or name its encoding in the profile"
        raise ExportError(message)
    _check_names(file, names)
    others = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
    if len(names) == 1:
        for mark, word in others.items():
            if mark != form.delimiter and mark in names[0]:
                message = f"{file.name}:1: the columns seem to be parted by {word}, not {others.get(form.delimiter, form.delimiter)}"
                raise ExportError(message)


def _check_names(file: ExportFile, names: list[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"{file.name}:1: column {twice[0]!r} stands in the header more than once"
        raise ExportError(message)


def _open_text(file: ExportFile, form: CsvForm) -> TextIO:
    encoding = "utf-8-sig" if form.encoding.lower() in {"utf-8", "utf8"} else form.encoding
    try:
        if file.path.suffix.lower() == ".gz":
            return gzip.open(file.path, "rt", encoding=encoding, newline="")
        return file.path.open(encoding=encoding, newline="")
    except OSError as error:
        message = f"{file.name}: cannot be opened ({error.strerror})"
        raise ExportError(message) from None


def _is_regular(file: ExportFile, form: CsvForm, columns: int) -> bool:
    """Say whether every line is one row of so many fields, with quotes only around whole fields.

    One streaming pass. Raises ExportError for bytes that are not UTF-8 and for a truncated gzip.
    """
    line = pl.col("line").str.strip_chars_end("\r")
    mark = re.escape(form.delimiter)
    has_quote = line.str.contains('"', literal=True)
    # A run of quoted text, escaped quotes included, becomes one unit separator; what then stands beside
    # other text, or is still a quote, was a stray one.
    bare = pl.when(has_quote).then(line.str.replace_all(r'(?:"[^"]*")+', "\x1f")).otherwise(line)
    whole = rf"(?:\x1f|[^\x1f\"{mark}]*)"
    stray = has_quote & ~bare.str.contains(rf"^\ufeff?{whole}(?:{mark}{whole})*$")
    ragged = (bare.str.count_matches(form.delimiter, literal=True) != columns - 1) & (line != "")
    try:
        irregular = pl.scan_lines(file.path).select((stray | ragged).any()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(file, form, error) from None
    return not irregular


def _regular_rows(file: ExportFile, form: CsvForm, names: list[str], header_lines: int) -> pl.LazyFrame:
    # Blank lines count as rows here, so that a row's index tells its line.
    rows = pl.scan_csv(
        file.path,
        separator=form.delimiter,
        infer_schema=False,
        with_column_names=lambda _: names,
        row_index_name=LINE,
    )
    return rows.select(
        (pl.col(LINE) + header_lines + 1).cast(pl.Int64),
        *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in names),
        pl.lit(None, pl.String).alias(FAULT),
    )


def _irregular_rows(file: ExportFile, form: CsvForm, names: list[str], scratch: Path) -> pl.LazyFrame:
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"{hashlib.sha256(str(file.path).encode()).hexdigest()[:16]}.parquet"
    schema = pa.schema([(LINE, pa.int64()), *((name, pa.string()) for name in names), (FAULT, pa.string())])
    rows = _parse_rows(file, form, len(names))
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        while batch := list(itertools.islice(rows, _BATCH_ROWS)):
            columns = zip(zip(*batch, strict=True), schema.types, strict=True)
            writer.write_table(
                pa.table([pa.array(values, type=kind) for values, kind in columns], schema=schema)
            )
    return pl.scan_parquet(target)


def _parse_rows(file: ExportFile, form: CsvForm, columns: int) -> Iterator[list[object]]:
    """Yield [line, *values, fault] for every row but the header.

    A row over several lines counts only where its quotes are closed and its fields are as many as the header's.
    Else its first line is a row by itself, with a fault, and reading goes on with the next line: a quote that is
    never closed would take all rows up to the next quote with it, without a word.
    """
    csv.field_size_limit(sys.maxsize)
    with _open_text(file, form) as stream:
        lines = _Lines(stream)
        reader = csv.reader(lines, delimiter=form.delimiter)
        try:
            next(reader)
            line = 1 + len(lines.take())
            for row in reader:
                taken = lines.take()
                fault = _fault(row, columns)
                if len(taken) > 1 and (fault or not _is_closed(taken, form)):
                    lines.put_back(taken[1:])
                    del taken[1:]
                    alone = next(csv.reader(taken, delimiter=form.delimiter))
                    yield [line, *_fit(alone, columns), _unclosed(alone, columns)]
                elif row:
                    yield [line, *_fit(row, columns), fault]
                line += len(taken)
        except _DAMAGE as error:
            raise _unreadable(file, form, error) from None


def _unclosed(row: list[str], columns: int) -> str:
    fault = _fault(row, columns) or "the row's fields do not end where its quotes do"
    return f"{fault} (a quote may be open, or a line break may stand in the middle)"


class _Lines:
    """The lines of a file, which remembers those that a reader took for one row, and takes some back."""

    def __init__(self, stream: Iterator[str]) -> None:
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._stream)
        self._taken.append(line)
        return line

    def take(self) -> list[str]:
        """Return the lines that were read since the last call."""
        taken, self._taken = self._taken, []
        return taken

    def put_back(self, lines: Sequence[str]) -> None:
        """Have these lines read again, in their order, before those that follow."""
        self._waiting.extendleft(reversed(lines))


def _is_closed(lines: Sequence[str], form: CsvForm) -> bool:
    """Say whether quotes end where a field ends, as a row over several lines needs it."""
    try:
        return len(list(csv.reader(lines, delimiter=form.delimiter, strict=True))) == 1
    except csv.Error:
        return False


def _fit(row: list[str], columns: int) -> list[str | None]:
    values: list[str | None] = [value or None for value in row[:columns]]
    return values + [None] * (columns - len(values))


def _fault(row: list[str], columns: int) -> str | None:
    """Say what is wrong with a row that has another number of fields than the header.

    Empty fields past the header's end mean nothing: spreadsheets write them.
    """
    if len(row) == columns or (len(row) > columns and not any(row[columns:])):
        return None
    return f"the row has {len(row)} fields where the header has {columns}"


def _unreadable(file: ExportFile, form: CsvForm, error: Exception) -> ExportError:
    """Find out why a file could not be read, and where."""
    if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error) or _gzip_is_broken(file.path):
        return ExportError(f"{file.name}: the gzip file is truncated or damaged; copy it again")
    bad = _first_bad_line(file, form)
    if bad:
        return ExportError(
            f"{file.name}:{bad}: not {form.encoding.upper()} text; save the file as UTF-8, or name its encoding in the profile"
        )
    return ExportError(
        f"{file.name}: cannot be read ({type(error).__name__}: {str(error).splitlines()[0][:120]})"
    )


def _gzip_is_broken(path: Path) -> bool:
    if path.suffix.lower() != ".gz":
        return False
    try:
        with gzip.open(path, "rb") as stream:
            while stream.read(_SNIFFED_BYTES):
                pass
    except (OSError, EOFError, zlib.error):
        return True
    return False


def _first_bad_line(file: ExportFile, form: CsvForm) -> int | None:
    is_gzip = file.path.suffix.lower() == ".gz"
    with gzip.open(file.path, "rb") if is_gzip else file.path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode(form.encoding)
            except UnicodeDecodeError:
                return number
    return None
