"""Reading CSV and Parquet as text: every value as it stands in the file, with the line it stands on.

Type inference destroys data (leading zeros, 18-digit ids), so nothing is inferred. How a file is read is decided here;
the reading is in `regular` (polars), `irregular` (row by row) and `parquet`, the header in `columns`, the bytes in
`decoding`.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corso.extract.columns import read_csv_header
from corso.extract.files import ExportFile, is_parquet
from corso.extract.forms import FAULT, LINE, CsvForm, form_of
from corso.extract.irregular import irregular_rows
from corso.extract.parquet import parquet_names, parquet_rows
from corso.extract.regular import is_regular, regular_rows
from corso.extract.sniffing import other_layout, sniff_form

_HAS_VALUE = "\0has_value"

__all__ = [
    "FAULT",
    "LINE",
    "CsvForm",
    "form_of",
    "other_layout",
    "read_header",
    "read_rows",
    "sniff_form",
]


def read_header(file: ExportFile, form: CsvForm) -> list[str]:
    """Return the file's column names; a nameless column is called `column_<number>`.

    Raises ExportError: missing, empty, not readable, duplicate names, wrong delimiter.
    """
    return parquet_names(file) if is_parquet(file.path) else read_csv_header(file, form).names


def read_rows(file: ExportFile, form: CsvForm, scratch: Path) -> pl.LazyFrame:
    """Return the file's rows: its columns as text (empty is null), plus LINE and FAULT.

    Rows without any value are left out. An irregular CSV, or a Parquet file with very long decimals, is rewritten
    below `scratch`, which must outlive the frame.
    Raises ExportError: as `read_header`, and for bytes that are not in the encoding and truncated gzip.
    """
    if is_parquet(file.path):
        return _with_values(parquet_rows(file, scratch), parquet_names(file))
    header = read_csv_header(file, form)
    if is_regular(file, form, header):
        rows = _with_values(regular_rows(file, form, header), header.names)
    else:
        rows = irregular_rows(file, form, header, scratch)
    return rows.slice(form.skip_rows) if form.skip_rows else rows


def _with_values(rows: pl.LazyFrame, names: Sequence[str]) -> pl.LazyFrame:
    # A column of its own: polars would push the bare condition down into a Parquet scan and take seconds to evaluate
    # it there where there are many columns (1,000: 4 s a row group).
    has_value = pl.any_horizontal(pl.col(names).is_not_null()).alias(_HAS_VALUE)
    return rows.with_columns(has_value).filter(pl.col(_HAS_VALUE)).drop(_HAS_VALUE)
