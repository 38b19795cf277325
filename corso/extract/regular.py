"""Regular CSV files: each line a row of as many fields as the header, quotes only around whole fields.

polars reads them in parallel. By itself it would fill short rows up without a word, and stop at one stray quote; so a
pass over the lines, which takes as long as the parsing, says first whether it may.
"""

from collections.abc import Sequence

import polars as pl

from corso.extract.columns import Header
from corso.extract.decoding import LONGEST_LINE
from corso.extract.files import ExportFile
from corso.extract.forms import FAULT, LINE, CsvForm

_TAKEN_FOR_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""Beginnings that polars unpacks. The first two are text: `x^` may well begin a header."""


def is_regular(file: ExportFile, form: CsvForm, header: Header) -> bool:
    """Say whether every line below the header is one row of so many fields, with quotes only around whole fields.

    One streaming pass. False also where the file cannot be read, and with thousands of columns: then the careful way
    reads it, or says why it cannot.
    """
    if not form.is_utf8 or not form.delimiter.isascii() or header.returns or _is_taken_for_zlib(file):
        return False
    line = pl.col("line")
    # scan_lines takes one carriage return off a line's end, as scan_csv does; one that is left is no line's end to
    # polars and one to everybody else.
    mark = f"\\x{ord(form.delimiter):02x}"
    field = rf'(?:"(?:[^"\r]|"")*"|[^"\r{mark}]*)'
    row = rf"^(?:{field}(?:{mark}{field}){{{len(header.names) - 1}}})?$"
    is_row = line.str.contains(row) & (line.str.len_bytes() <= LONGEST_LINE)
    below = pl.scan_lines(file.path, glob=False).slice(header.last_line)
    try:
        return bool(below.select(is_row.all()).collect().item())
    except (pl.exceptions.PolarsError, OSError):
        return False


def regular_rows(file: ExportFile, form: CsvForm, header: Header) -> pl.LazyFrame:
    """Return a regular file's rows: its columns as text (empty is null), LINE and FAULT."""
    names: Sequence[str] = header.names
    # Blank lines count as rows here, so that a row's index tells its line.
    rows = pl.scan_csv(
        file.path,
        separator=form.delimiter,
        infer_schema=False,
        with_column_names=lambda _: list(names),
        skip_lines=header.line - 1,
        row_index_name=LINE,
        glob=False,
    )
    return rows.select(
        (pl.col(LINE) + header.last_line + 1).cast(pl.Int64),
        *(pl.when(pl.col(name) != "").then(pl.col(name)) for name in names),
        pl.lit(None, pl.String).alias(FAULT),
    )


def _is_taken_for_zlib(file: ExportFile) -> bool:
    with file.path.open("rb") as stream:
        return stream.read(2) in _TAKEN_FOR_ZLIB
