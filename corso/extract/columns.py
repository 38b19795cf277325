"""The names of a CSV file's columns: read from its header, made up where there are none, told apart or refused."""

import csv
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from corso.errors import ExportError
from corso.extract.damage import halves, not_text, unreadable
from corso.extract.decoding import DAMAGE, lines_of, open_text, parse
from corso.extract.files import ExportFile
from corso.extract.forms import FAULT, LINE, CsvForm, entry
from corso.extract.headers import VALUES_INSTEAD, looks_like_values, normal
from corso.extract.sniffing import other_layout, refuse_separator_line

_MOST_COLUMNS = 1 << 14
"""As many as a workbook has; more columns are no table."""
_MOST_HEADER_LINES = 200


@dataclass(frozen=True)
class Header:
    """A CSV file's header."""

    names: list[str]
    """Its column names, each of them once; a nameless column is called `column_<number>`."""
    named: int
    """So many columns go up to the last one that has a name of its own; those behind may be missing in a row."""
    line: int
    """The line on which it begins, from 1."""
    last_line: int
    """The line on which it ends."""
    returns: bool
    """Whether a carriage return alone ends one of the lines up to here."""


def read_csv_header(file: ExportFile, form: CsvForm) -> Header:
    """Return a CSV file's header.

    Raises ExportError: not to be opened, not text, empty, names that stand there twice, wrong delimiter.
    """
    with open_text(file, form) as stream:
        lines = _HeaderLines(lines_of(file, stream))
        try:
            fields = _first_row(lines, form)
        except csv.Error:
            message = f"{file.name}:{lines.line}: the header's quotes do not end where its names do; write a quote within a name twice, and close each"
            raise ExportError(message) from None
        except DAMAGE as error:
            raise unreadable(file, form, error) from None
    if not any(name.strip() for name in fields):
        raise ExportError(_no_header(file, form, lines))
    refuse_separator_line(file, lines.first, form, lines.line)
    if any("\0" in name for name in fields):
        raise not_text(file, form, lines.line)
    if any("\ud800" <= letter <= "\udfff" for name in fields for letter in name):
        raise halves(file, form)
    names = _names(file, form, fields, lines.line)
    if len(names) == 1 and (found := other_layout(file, form, lines.first)):
        message = f"{file.name}:{lines.line}: {found}"
        raise ExportError(message)
    named = max(number for number, name in enumerate(fields, 1) if name.strip())
    return Header(names, named, lines.line, lines.count, lines.returns)


class _HeaderLines:
    """The lines up to a header's end, and what is to be known of them."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.count = 0
        """Lines that were read."""
        self.line = 0
        """The line on which the header begins; 0 before it does."""
        self.first = ""
        """That line's text."""
        self.returns = False
        """Whether a carriage return alone ended one of them."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.line and self.count >= self.line + _MOST_HEADER_LINES:
            raise StopIteration
        line = next(self._lines)
        self.count += 1
        self.returns = self.returns or line.endswith("\r")
        return line


def _first_row(lines: _HeaderLines, form: CsvForm) -> list[str]:
    """Return the fields of the first line that is not blank behind those to skip; none where there is no such line."""
    for line in lines:
        if lines.count > form.skip_lines and line.strip("\r\n"):
            lines.line, lines.first = lines.count, line
            return next(parse(itertools.chain([line], lines), form))
    return []


def check_names(file: ExportFile, names: Sequence[str], line: int = 1) -> None:
    """Raise ExportError where a name stands there twice, or is one that cannot be a column's."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    # To polars the last two are patterns for the names of several columns.
    bad = [n for n in names if n in {LINE, FAULT, "*"} or (n.startswith("^") and n.endswith("$"))]
    if not twice and not bad:
        return
    if looks_like_values(names):
        reason = VALUES_INSTEAD
    elif twice:
        reason = f"column {twice[0]!r} stands in the header more than once; rename one, or {entry(file, duplicate_headers='number')}"
    else:
        reason = f"a column cannot be called {bad[0]!r} here; rename it"
    message = f"{file.name}:{line}: {reason}"
    raise ExportError(message)


def numbered(names: Sequence[str]) -> list[str]:
    """Return names of which no two are the same: the second `Discount` becomes `Discount 2`, the third `Discount 3`.

    Names are the same as `headers.normal` has it; a number that would make a name that is there is left out.
    """
    taken = {normal(name) for name in names}
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    result = []
    for name in names:
        short = normal(name)
        if short not in seen:
            seen.add(short)
            result.append(name)
            continue
        number = next(n for n in itertools.count(numbers.get(short, 2)) if normal(f"{name} {n}") not in taken)
        numbers[short] = number + 1
        taken.add(normal(f"{name} {number}"))
        result.append(f"{name} {number}")
    return result


def _names(file: ExportFile, form: CsvForm, fields: Sequence[str], line: int) -> list[str]:
    if len(fields) > _MOST_COLUMNS:
        message = f"{file.name}:{line}: the header has {len(fields):,} columns; this is no header"
        raise ExportError(message)
    own = [name.strip() for name in fields]
    if form.duplicate_headers == "number":
        given = numbered([name for name in own if name])
    else:
        given = [name for name in own if name]
        check_names(file, given, line)
    made_up = _made_up(own, given)
    queue = iter(given)
    names = [next(queue) if name else made_up[number] for number, name in enumerate(own, 1)]
    check_names(file, names, line)
    return names


def _made_up(own: Sequence[str], given: Sequence[str]) -> dict[int, str]:
    """Return number -> name of the columns without a name."""
    taken = {normal(name) for name in given}
    names = {}
    for number, name in enumerate(own, 1):
        if not name:
            names[number] = next(
                made
                for n in itertools.count()
                if normal(made := f"column_{number}{f' {n + 1}' * (n > 0)}") not in taken
            )
            taken.add(normal(names[number]))
    return names


def _no_header(file: ExportFile, form: CsvForm, lines: _HeaderLines) -> str:
    if not lines.line:
        below = f" below line {form.skip_lines}" if form.skip_lines else ""
        return (
            f"{file.name}:{1 + form.skip_lines}: the file is empty or has no header{below}; export it again"
        )
    skipped = entry(file, skip_lines=lines.line)
    return f"{file.name}:{lines.line}: the line names no column; take it out, or {skipped} if the header is below"
