"""Files that nobody would write on purpose, and what must hold when they are read; for the tests and `scripts/bench fuzz`.

What a CSV file says is told here a second time, slowly and by Python's csv module alone (`rows_said_by`), so that the
reader has a witness for every file: well-formed, ragged, with quotes that nobody closed, or bytes of no kind at all.
"""

import csv
import gzip
import io
import itertools
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from corso.errors import ExportError
from corso.extract.columns import read_csv_header
from corso.extract.files import ExportFile
from corso.extract.irregular import irregular_rows
from corso.extract.text import FAULT, LINE, CsvForm, read_rows, sniff_form

Rows = list[tuple[Any, ...]]
"""(line, *values, whether there is a fault) of each row."""
Then = Callable[[ExportFile, CsvForm], object]
"""What else is done with a file that can be read, e.g. mapping and validation; it may raise ExportError."""

_LETTERS = [*'ab1,;\t|"', "\n", "\r", "\r\n", "\0", "\ufeff", "é", "🧨", " ", "\x1a", "\x1f", "\u2028", "\x85", "=", "\\", "^"]  # fmt: skip
_TEXTS = st.text(st.sampled_from([letter for letter in _LETTERS if len(letter) == 1]), max_size=6)
_FORMS = st.sampled_from([",", ";", "\t", "|", "^", " ", "\x1f", "§"])


@dataclass(frozen=True, repr=False)
class Hostile:
    """One file and how it is to be read."""

    content: bytes
    form: CsvForm = field(default_factory=CsvForm)
    name: str = "o.csv"
    text: str | None = None
    """What it says once unpacked and decoded; None where nobody knows."""

    def __repr__(self) -> str:
        """Show a large content by its length: who wants it whole writes it to a file."""
        content = repr(self.content) if len(self.content) < 500 else f"<{len(self.content)} bytes>"
        return f"Hostile({content}, {self.form!r}, {self.name!r}, {self.text!r})"


# What a file says.


def rows_said_by(text: str, form: CsvForm) -> tuple[list[str], Rows] | None:
    """Return a text's header and the rows below it; None where it has no header that could be read.

    A row is the fewest lines that the strict csv module takes for exactly one row; where there are none, the first line
    by itself, with a fault. Every line is in exactly one row, or in the header, or skipped before it.
    """
    csv.field_size_limit(sys.maxsize)
    lines = list(io.StringIO(text.lstrip("\ufeff"), newline=""))
    at = form.skip_lines
    while at < len(lines) and not lines[at].strip("\r\n"):
        at += 1
    if at >= len(lines):
        return None
    header, fault, count = _record(lines, at, form)
    if fault or not any(name.strip() for name in header):
        return None
    columns = len(header)
    named = max(number for number, name in enumerate(header, 1) if name.strip())
    at += count
    rows = []
    while at < len(lines):
        fields, fault, count = _record(lines, at, form)
        fits = named <= len(fields) <= columns or (len(fields) >= columns and not any(fields[columns:]))
        has_value = any(fields) if fits else any(each.strip(" \t\v\f\x1a") for each in fields)
        if fault or has_value:
            values = [each or None for each in fields[:columns]] + [None] * (columns - len(fields))
            rows.append((at + 1, *values, fault or not fits))
        at += count
    return [name.strip() for name in header], rows[form.skip_rows :]


def _record(lines: list[str], at: int, form: CsvForm) -> tuple[list[str], bool, int]:
    for end in range(at + 1, len(lines) + 1):
        try:
            (fields,) = csv.reader(lines[at:end], delimiter=form.delimiter, strict=True)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                continue
            break
        return fields, False, end - at
    (fields,) = csv.reader([lines[at].rstrip("\r\n")], delimiter=form.delimiter)
    return fields, True, 1


def rows_read(path: Path, file: Hostile, scratch: Path) -> tuple[list[str], Rows] | str:
    """Return the header and the rows that the reader makes of a file, or the sentence with which it refuses it."""
    try:
        found = read_rows(ExportFile(path, path.name), file.form, scratch).collect()
    except ExportError as error:
        return str(error)
    names = [name for name in found.columns if name not in {LINE, FAULT}]
    return names, found.select(LINE, *names, pl.col(FAULT).is_not_null()).rows()


# What must hold.


def holds(file: Hostile, folder: Path, then: Then | None = None) -> None:
    """Assert that a file is read as it says, or refused in one sentence that names it; never anything else.

    `folder`: for the file and for what the reader writes. `then`: what else is done with a file that can be read.
    """
    number = next(_numbers)
    path = folder / f"{number}-{file.name}"
    path.write_bytes(file.content)
    try:
        found = rows_read(path, file, folder / f"{number}")
        if isinstance(found, str):
            assert found.startswith(path.name), found
            assert found.isprintable(), found
        else:
            _check_rows(found, file)
            if then is not None:
                _do(then, ExportFile(path, path.name), file.form)
        _do(sniff_form, ExportFile(path, path.name))
    finally:
        path.unlink()


_numbers = itertools.count()


def _check_rows(found: tuple[list[str], Rows], file: Hostile) -> None:
    names, rows = found
    lines = [row[0] for row in rows]
    assert lines == sorted(set(lines)), lines
    if file.text is None:
        return
    said = rows_said_by(file.text, file.form)
    assert said is not None
    header, expected = said
    assert rows == expected
    if len(set(header)) == len(header):
        assert names == [name or f"column_{number}" for number, name in enumerate(header, 1)]


def _do(something: Callable[..., object], *arguments: object) -> None:
    with suppress(ExportError):
        something(*arguments)


def is_never_refused(file: Hostile, folder: Path) -> None:
    """Assert that a file with a good header is read, and as it says."""
    path = folder / f"{next(_numbers)}-{file.name}"
    path.write_bytes(file.content)
    found = rows_read(path, file, folder / "scratch")
    path.unlink()
    assert not isinstance(found, str), found
    _check_rows(found, file)


def both_ways_agree(file: Hostile, folder: Path) -> None:
    """Assert that a well-formed file gives the same rows row by row as it does the way that is chosen for it."""
    number = next(_numbers)
    path = folder / f"{number}-{file.name}"
    path.write_bytes(file.content)
    export = ExportFile(path, path.name)
    chosen = read_rows(export, file.form, folder / f"{number}").collect()
    careful = irregular_rows(
        export, file.form, read_csv_header(export, file.form), folder / f"{number}-careful"
    )
    path.unlink()
    assert chosen.equals(careful.collect())


def is_refused_as_damaged(file: Hostile, folder: Path) -> None:
    """Assert that a cut gzip file is refused, and never taken for a shorter one."""
    path = folder / f"{next(_numbers)}-{file.name}"
    path.write_bytes(file.content)
    found = rows_read(path, file, folder / "scratch")
    path.unlink()
    assert found == f"{path.name}: the gzip file is truncated or damaged; copy it again"


# The files.


@st.composite
def well_formed(draw: st.DrawFn) -> Hostile:
    """Draw what a program may write: any text in any field, quoted as need be, in any encoding and dialect."""
    columns = draw(st.integers(1, 4))
    form = CsvForm(
        draw(_FORMS), draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"]))
    )
    rows = draw(st.lists(st.lists(_TEXTS, min_size=columns, max_size=columns), max_size=6))
    text = io.StringIO(newline="")
    text.write(draw(st.sampled_from(["", "", "", "\ufeff"])))
    writer = csv.writer(
        text,
        delimiter=form.delimiter,
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])),
        lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])),
    )
    writer.writerow([f"h{number}" for number in range(columns)])
    writer.writerows(rows)
    said = text.getvalue()
    if draw(st.booleans()):
        said = said.rstrip("\r\n")
    packed = said.encode(form.encoding, "ignore")
    said = packed.decode(form.codec)
    content, name = draw(_packings(packed))
    return Hostile(content, form, name, said)


@st.composite
def near_csv(draw: st.DrawFn) -> Hostile:
    """Draw a good header, and below it anything at all that is text."""
    form = CsvForm(draw(_FORMS))
    mark = form.delimiter
    header = draw(
        st.sampled_from(
            [
                "h",
                f"h{mark}i",
                f'"h"{mark}i{mark}"j"',
                f"h{mark}i{mark}{mark}",
                f"\ufeffh{mark}i",
                f"\n\r\nh{mark}i",
                f'h{mark}"i\nj"',
            ]
        )
    )
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    pieces = st.sampled_from(
        [*_LETTERS, mark, mark, '"', '"', "\n", "\n", f'"x"{mark}', f'{mark}"', f'"{mark}', '"\n', '""']
    )
    body = "".join(draw(st.lists(pieces, max_size=40)))
    said = f"{header}{end}{body}"
    content, name = draw(_packings(said.encode()))
    return Hostile(content, form, name, said)


@st.composite
def laid_out_otherwise(draw: st.DrawFn) -> Hostile:
    """Draw a file with lines above its header and rows below it that are no data."""
    file = draw(st.one_of(well_formed().filter(lambda file: file.form.is_utf8), near_csv()))
    titles = draw(st.lists(st.text(st.sampled_from(list('ab,;" é\0')), max_size=6), max_size=3))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    said = "".join(title + end for title in titles) + (file.text or "").lstrip("\ufeff")
    form = CsvForm(
        file.form.delimiter,
        skip_lines=len(titles),
        skip_rows=draw(st.integers(0, 2)),
        duplicate_headers=draw(st.sampled_from(["refuse", "number"])),
    )
    return Hostile(said.encode(), form, text=said)


@st.composite
def any_bytes(draw: st.DrawFn) -> Hostile:
    """Draw bytes of no kind, under any name, to be read in any form."""
    pieces = st.one_of(
        st.binary(max_size=12),
        st.sampled_from([letter.encode() for letter in _LETTERS]),
        st.sampled_from(
            [
                b"PK\x03\x04",
                b"PAR1",
                b"\x1f\x8b\x08",
                b"\xff\xfe",
                b"\x00a\x00,",
                b"x^",
                b"\x28\xb5\x2f\xfd",
                b"a,b\n",
                b"sep=;\n",
                b"<html",
                b"{",
                b"+2AA-",
            ]
        ),
    )
    content = b"".join(draw(st.lists(pieces, max_size=12)))
    form = CsvForm(
        draw(_FORMS),
        draw(
            st.sampled_from(
                ["utf-8", "utf-16", "cp1252", "latin-1", "ascii", "utf-16-be", "shift_jis", "utf-7"]
            )
        ),
        draw(st.sampled_from(["refuse", "number"])),
        draw(st.integers(0, 3)),
        draw(st.integers(0, 2)),
    )
    name = draw(st.sampled_from(["o.csv", "o.csv", "o.csv.gz", "o.txt", "o.parquet", "o.xlsx"]))
    try:
        said = (
            None
            if name.endswith((".parquet", ".gz")) or content[:2] == b"\x1f\x8b"
            else content.decode(form.codec)
        )
    except UnicodeError:
        said = None
    return Hostile(content, form, name, said)


@st.composite
def cut_gzip(draw: st.DrawFn) -> Hostile:
    """Draw a gzip file of a good CSV file, cut anywhere behind its first bytes."""
    rows = draw(st.integers(0, 50))
    packed = gzip.compress(b"h,i\n" + b"".join(b"%d,%d\n" % (n * 7919, n * 104_729) for n in range(rows)))
    return Hostile(packed[: draw(st.integers(2, len(packed) - 1))], name="o.csv.gz")


@st.composite
def flipped_gzip(draw: st.DrawFn) -> Hostile:
    """Draw a gzip file with some bytes changed: what its checksum covers comes out whole or not at all."""
    said = "h,i\n" + "".join(f"{n},{n * 7919}\n" for n in range(draw(st.integers(0, 50))))
    packed = bytearray(gzip.compress(said.encode()))
    for place in draw(st.lists(st.integers(10, len(packed) - 1), min_size=1, max_size=3)):
        packed[place] ^= 1 << draw(st.integers(0, 7))
    return Hostile(bytes(packed), name="o.csv.gz", text=said)


@st.composite
def flipped_parquet(draw: st.DrawFn) -> Hostile:
    """Draw a Parquet file with some bytes changed, most of them in its index, or cut."""
    content = bytearray(draw(st.sampled_from(_parquet_files())))
    last = len(content) - 1
    places = st.one_of(st.integers(0, last), st.integers(last * 2 // 3, last), st.integers(last - 12, last))
    for place in draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 0x7F, 0x80, 0xFF])))
    if draw(st.integers(0, 9)) == 0:
        del content[draw(places) :]
    return Hostile(bytes(content), name="o.parquet")


@st.composite
def _packings(draw: st.DrawFn, packed: bytes) -> tuple[bytes, str]:
    """Draw how a content is stored: as it is, or as gzip in one piece or two."""
    how = draw(
        st.sampled_from(["plain", "plain", "plain", "gzip", "two gzips", "padded gzip", "gzip called csv"])
    )
    half = len(packed) // 2
    stored = {
        "plain": packed,
        "gzip": gzip.compress(packed, mtime=0),
        "two gzips": gzip.compress(packed[:half], mtime=0) + gzip.compress(packed[half:], mtime=0),
        "padded gzip": gzip.compress(packed, mtime=0) + bytes(64),
        "gzip called csv": gzip.compress(packed, mtime=0),
    }[how]
    return stored, "o.csv.gz" if "gzip" in how and "called" not in how else "o.csv"


@cache
def _parquet_files() -> list[bytes]:
    rows = 60
    frame = pl.DataFrame(
        {
            "id": [f"o-{number}" for number in range(rows)],
            "number": range(rows),
            "money": [Decimal(f"{number}.50") for number in range(rows)],
            "at": [datetime(2026, 1, 1, tzinfo=UTC)] * rows,
            "on": [date(2026, 1, 1), None] * (rows // 2),
            "share": [1.5, None] * (rows // 2),
            "bytes": [b"x", b"\xff"] * (rows // 2),
            "lines": [[{"sku": "x"}]] * rows,
        }
    ).with_columns(pl.col("id").str.head(3).cast(pl.Categorical()).alias("kind"))
    files = []
    for options in (
        {},
        {"compression": "uncompressed"},
        {"compression": "snappy", "row_group_size": 20},
        {"use_pyarrow": True},
    ):
        target = io.BytesIO()
        frame.write_parquet(target, **options)  # type: ignore[arg-type]  # keywords of several types
        files.append(target.getvalue())
    return files


@dataclass(frozen=True)
class Property:
    """A promise about files: the files, and what must hold for each."""

    files: st.SearchStrategy[Hostile]
    check: Callable[[Hostile, Path], None]

    def check_and(self, then: Then | None) -> Callable[[Hostile, Path], None]:
        """Return the check; where it takes files as they come, it also does `then` with each that can be read."""
        return partial(holds, then=then) if self.check is holds else self.check


PROPERTIES = {
    "a well-formed file is read as Python's csv module reads it": Property(well_formed(), is_never_refused),
    "a well-formed file gives the same rows both ways": Property(well_formed(), both_ways_agree),
    "no line below a good header is lost": Property(near_csv(), is_never_refused),
    "a file with titles and descriptions is read as it is laid out": Property(laid_out_otherwise(), holds),
    "any bytes are read as they say, or refused": Property(any_bytes(), holds),
    "a cut gzip file is refused": Property(cut_gzip(), is_refused_as_damaged),
    "a changed gzip file is read whole, or refused": Property(flipped_gzip(), holds),
    "a changed Parquet file is read, or refused": Property(flipped_parquet(), holds),
}
"""Each promise in a sentence."""
