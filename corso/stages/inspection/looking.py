"""One file by itself: how it is laid out, what its columns are called, what its rows and values look like."""

import codecs
import itertools
import re
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from corso.errors import ExportError
from corso.extract.columns import read_csv_header
from corso.extract.decoding import is_gzip, lines_of, open_bytes, open_text, parse, read_head
from corso.extract.files import ExportFile, is_parquet
from corso.extract.headers import normal
from corso.extract.text import FAULT, LINE, CsvForm, read_header, read_rows, sniff_form
from corso.stages.inspection.facts import Fault, Form, HeaderFacts, Shape, Unreadable
from corso.stages.inspection.shapes import first_number, money_shape, rough_shape, second_number, shape_of

_CHUNK_BYTES = 1 << 20
_MOST_FAULTS = 5
_ROWS_LOOKED_AT = 10_000
"""Of a file that no profile knows."""
_SHAPES_KEPT = 3
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=.\"?\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class SeenFile:
    """A file whose bytes can be read."""

    file: ExportFile
    sniffed: CsvForm
    """How it seems to be laid out; headers that stand there twice get numbers."""
    _names: dict[CsvForm, Sequence[str] | ExportError] = field(default_factory=dict, compare=False)

    def headers(self, form: CsvForm) -> Sequence[str] | ExportError:
        """Return its headers if it is laid out so, or why it cannot be."""
        if form not in self._names:
            try:
                self._names[form] = read_header(self.file, form)
            except ExportError as error:
                self._names[form] = error
        return self._names[form]

    @property
    def own_headers(self) -> Sequence[str]:
        """Its headers as it seems to be laid out; none where they cannot be told."""
        headers = self.headers(self.sniffed)
        return () if isinstance(headers, ExportError) else headers

    def encoding_for(self, declared: str) -> str:
        """Return the encoding to read it with, where a profile declares one: another only where that is wrong."""
        own, other = codecs.lookup(self.sniffed.encoding).name, codecs.lookup(declared).name
        if own == other or (not self.sniffed.encoding_is_sure and other != "utf-8"):
            return declared
        if own == "utf-8" and "\n".encode(other) == b"\n" and self.is_ascii:
            return declared
        return self.sniffed.encoding

    @cached_property
    def is_ascii(self) -> bool:
        """Whether its text is the same in most encodings."""
        with open_bytes(self.file) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                if not chunk.isascii():
                    return False
        return True


def look_at(file: ExportFile) -> SeenFile | Unreadable:
    """Find out how a file is laid out."""
    try:
        return SeenFile(file, replace(sniff_form(file), duplicate_headers="number"))
    except ExportError as error:
        return Unreadable(file.path, file.name, str(error))


def form_facts(seen: SeenFile, form: CsvForm) -> Form:
    """Return how a file is laid out, where it is read as `form`."""
    if is_parquet(seen.file.path):
        return Form("parquet", ",", "utf-8", True, False, False, 0)
    head = read_head(seen.file, 200)
    return Form(
        packed="gzip" if is_gzip(seen.file.path) else "csv",
        delimiter=form.delimiter,
        encoding=form.encoding,
        encoding_is_sure=seen.sniffed.encoding_is_sure or form.encoding != seen.sniffed.encoding,
        has_bom=head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
        has_separator_line=bool(_SEPARATOR_LINE.match(_first_line(head, form))),
        skip_lines=form.skip_lines,
        skip_rows=form.skip_rows,
    )


def _first_line(head: bytes, form: CsvForm) -> str:
    return re.split(r"[\r\n]", head.decode(form.codec, "replace"), maxsplit=1)[0]


def headers_twice(seen: SeenFile, form: CsvForm, used: Container[str] | None = None) -> list[str]:
    """Return the headers that stand there more than once, but for case, spaces and underscores.

    `used`: names, as `normal` writes them, that are read; of others only those count that are wholly alike.
    """
    if is_parquet(seen.file.path):
        return []
    header = read_csv_header(seen.file, form)
    with open_text(seen.file, form) as stream:
        lines = itertools.islice(lines_of(seen.file, stream), header.line - 1, header.last_line)
        names = [name.strip() for name in next(parse(lines, form), [])]
    own, counts = Counter(names), Counter(normal(name) for name in names if name)
    alike = [name for name in dict.fromkeys(names) if counts[normal(name)] > 1]
    return [name for name in alike if own[name] > 1 or used is None or normal(name) in used]


@dataclass(frozen=True)
class Rows:
    """What the rows of one file look like."""

    rows: int
    faulty_rows: int
    faults: Sequence[Fault]
    times: pl.DataFrame
    """One row = one shape of one header: header, shape, values, first, second (the highest numbers of a date)."""
    money: pl.DataFrame
    """The same for amounts: header, shape, values."""


def look_at_rows(
    seen: SeenFile, form: CsvForm, time_headers: Sequence[str], money_headers: Sequence[str], scratch: Path
) -> Rows:
    """Read a file once through. Raises ExportError where that cannot be done."""
    rows = read_rows(seen.file, form, scratch)
    # Without a filter of their own the three share one reading of the file.
    by_fault, times, money = pl.collect_all(
        [
            rows.group_by(FAULT).agg(rows=pl.len(), line=pl.col(LINE).min()),
            _shapes(rows, time_headers, shape_of, dates=True),
            _shapes(rows, money_headers, money_shape),
        ],
        engine="streaming",
    )
    faulty = by_fault.filter(pl.col(FAULT).is_not_null()).sort("rows", "line", descending=[True, False])
    faults = [Fault(*fault) for fault in faulty.head(_MOST_FAULTS).iter_rows()]
    return Rows(int(by_fault["rows"].sum()), int(faulty["rows"].sum()), faults, times, money)


def _shapes(
    rows: pl.LazyFrame, headers: Sequence[str], shape: Callable[[pl.Expr], pl.Expr], *, dates: bool = False
) -> pl.LazyFrame:
    """Return one row for each shape of each header, by streaming: many rows have few shapes.

    Rows with a fault are left out: their values may stand in the wrong columns.
    """
    text = pl.col("text")
    values = (
        rows.select(pl.when(pl.col(FAULT).is_null()).then(pl.col(headers))).unpivot(
            variable_name="header", value_name="text"
        )
        if headers
        else pl.LazyFrame(schema={"header": pl.String, "text": pl.String})
    )
    numbers = [first_number(text).alias("first"), second_number(text).alias("second")] if dates else []
    return (
        values.filter(text.str.strip_chars() != "")
        .select("header", rough_shape(text).alias("rough"), *numbers)
        .group_by("header", "rough")
        .agg(pl.len().alias("values"), *(pl.col(each.meta.output_name()).max() for each in numbers))
        .group_by("header", shape(pl.col("rough")).alias("shape"))
        .agg(pl.col("values").sum(), *(pl.col(each.meta.output_name()).max() for each in numbers))
        .sort("values", "header", "shape", descending=[True, False, False])
    )


def look_at_columns(seen: SeenFile, form: CsvForm, scratch: Path) -> list[HeaderFacts]:
    """Return what the columns of a file look like that no profile knows, by its first rows.

    Raises ExportError where its rows cannot be read.
    """
    headers = seen.own_headers
    rows = read_rows(seen.file, form, scratch)
    few = max(100, _ROWS_LOOKED_AT * 100 // max(100, len(headers)))
    shapes = _shapes(rows.head(few), headers, shape_of).collect()
    found = dict(shapes.group_by("header", maintain_order=True).agg("shape", "values").rows_by_key("header"))
    return [_header_facts(header, found.get(header)) for header in headers]


def _header_facts(header: str, found: Any) -> HeaderFacts:
    shapes, values = found[0] if found else ([], [])
    first = itertools.islice(zip(shapes, values, strict=True), _SHAPES_KEPT)
    return HeaderFacts(header, sum(values), [Shape(shape, count) for shape, count in first])
