"""Corrections files: quarantine.csv as the loader wrote it, edited in a spreadsheet and dropped back.

Here they are read; what they change is found out in `corso.extract.correcting`, row by row against the export. Columns
may stand in another order, be parted by semicolons, and some may be gone; `file` and `line` say which row is meant.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import polars as pl

from corso.errors import ExportError
from corso.extract.decoding import open_bytes
from corso.extract.files import ExportFile, fingerprint
from corso.extract.forms import DELIMITERS, CsvForm
from corso.extract.text import FAULT, LINE, read_header, read_rows, sniff_form
from schemas.corrections import CorrectionsFile
from schemas.spreadsheet import ADDED_TO_QUARANTINE, as_they_were

ON = "\0on"
"""The line on which a row stands in its corrections file."""
OF, AT = "\0of", "\0at"
"""The export file and the line there, as the row says them; null where it says none. No header can have these names."""


@dataclass(frozen=True)
class Corrections:
    """All corrections files of a batch, read."""

    tables: tuple[tuple[CorrectionsFile, pl.DataFrame], ...] = ()
    """Each file with its rows: ON, OF, AT, and every cell as text under its column's name in quarantine.csv."""


NO_CORRECTIONS = Corrections()
_TWICE: tuple[Literal["refuse", "number"], ...] = ("refuse", "number")


def read_corrections(files: Sequence[ExportFile], scratch: Path) -> Corrections:
    """Read corrections files; irregular ones are rewritten below `scratch`.

    Raises ExportError: not to be read, not UTF-8, without the columns file and line, a row with more or fewer fields.
    """
    tables = []
    for file in files:
        rows = _read(file, scratch)
        tables.append((CorrectionsFile(file.name, fingerprint(file.path), rows.height), rows))
    return Corrections(tuple(tables))


def _read(file: ExportFile, scratch: Path) -> pl.DataFrame:
    form = _form(file)
    rows = read_rows(file, form, scratch).collect()
    faulty = rows.filter(pl.col(FAULT).is_not_null())
    if not faulty.is_empty():
        line, fault = faulty.select(LINE, FAULT).row(0)
        message = (
            f"{file.name}:{line}: {fault}; save the file once more, with every cell of the row in its column"
        )
        raise ExportError(message)
    cells = rows.select(
        as_they_were(pl.col(name)).alias(_header(name)) for name in rows.columns if name not in {LINE, FAULT}
    )
    line = pl.col("line").str.replace_all(r"[,\s]", "").str.replace(r"\.0+$", "").cast(pl.Int64, strict=False)
    keys = cells.select(pl.col("file").alias(OF), line.alias(AT))
    own = cells.drop(*ADDED_TO_QUARANTINE, strict=False)
    return pl.concat([rows.select(pl.col(LINE).alias(ON)), keys, own], how="horizontal")


def _header(name: str) -> str:
    header: str = pl.select(as_they_were(pl.lit(name))).item()
    return header


def _form(file: ExportFile) -> CsvForm:
    """Return how a file is laid out: its delimiter is the one that shows the columns file and line.

    Two columns that differ in case or an underscore are two of the export; only a name that stands there twice is numbered.
    """
    sniffed = sniff_form(file)
    if not sniffed.encoding_is_sure:
        message = f'{file.name}:{_first_bad_line(file)}: not UTF-8 text; save it as "CSV UTF-8": any other form loses letters'
        raise ExportError(message)
    delimiters = dict.fromkeys((sniffed.delimiter, *DELIMITERS))
    for twice, delimiter in product(_TWICE, delimiters):
        form = replace(sniffed, delimiter=delimiter, duplicate_headers=twice)
        with suppress(ExportError):
            if {"file", "line"} <= set(read_header(file, form)):
                return form
    read_header(file, replace(sniffed, duplicate_headers="number"))
    message = f"{file.name}:{sniffed.skip_lines + 1}: no columns 'file' and 'line', which say what row of the export is meant; keep them as quarantine.csv has them"
    raise ExportError(message)


def _first_bad_line(file: ExportFile) -> int:
    with open_bytes(file) as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1
