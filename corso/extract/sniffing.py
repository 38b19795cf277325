"""Which encoding and delimiter a file has, from its bytes. Only `inspect` and error messages go by it.

A run never reads a file by what was sniffed: a file that looks otherwise tonight has to be noticed, not followed.
"""

import codecs
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from corso.errors import ExportError
from corso.extract.decoding import DAMAGE, damaged, lines_of, open_bytes, open_text, parse, read_head
from corso.extract.files import ExportFile, is_parquet
from corso.extract.forms import DELIMITERS, CsvForm, delimiter_in_words, entry

_CANDIDATES = "".join(DELIMITERS)
_SAMPLED_LINES = 60
_SAMPLED_CHARACTERS = 1 << 20
_HEAD_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
_MOST_TITLE_ROWS = 20
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_IN_CP1252 = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
_SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?\r?\n?", re.IGNORECASE)


def sniff_form(file: ExportFile, candidates: str = _CANDIDATES) -> CsvForm:
    """Return how a file seems to be laid out: its delimiter, its encoding, and the lines before its header.

    The delimiter is the candidate that parts the first lines into equally many fields, quotes honoured, and into the
    most. Excel's first line `sep=;` says it by itself. A Parquet file has the default form.
    Raises ExportError: cannot be opened, truncated gzip, no text at all.
    """
    if is_parquet(file.path):
        return CsvForm()
    return _sniff(file, candidates)[0]


def other_layout(file: ExportFile, form: CsvForm, header: str | None = None) -> str | None:
    """Return, where a file's columns are visibly parted otherwise than `form` says, how, and what to write.

    For the error of a file whose header does not have what its profile needs. `header`: the line that has only one
    column; the delimiter is another one if it stands there, and titles do not matter.
    """
    if is_parquet(file.path):
        return None
    sniffed, is_found = _sniff(file, _CANDIDATES)
    changes: dict[str, str | int] = {}
    found = []
    if sniffed.delimiter != form.delimiter and (header is None or sniffed.delimiter in header):
        words = (delimiter_in_words(sniffed.delimiter), delimiter_in_words(form.delimiter))
        found.append(f"the columns are parted by {words[0]}, not by {words[1]}")
        changes["delimiter"] = sniffed.delimiter
    if sniffed.skip_lines > form.skip_lines and header is None:
        found.append(f"the header stands on line {sniffed.skip_lines + 1}")
        changes["skip_lines"] = sniffed.skip_lines
    return f"{', and '.join(found)}; {entry(file, **changes)}" if is_found and found else None


def _sniff(file: ExportFile, candidates: str) -> tuple[CsvForm, bool]:
    """Return how a file seems to be laid out, and whether its delimiter was found in its rows."""
    encoding, is_sure = sniff_encoding(file)
    lines, is_whole = _sample(file, encoding)
    if lines and (said := _SEPARATOR_LINE.fullmatch(lines[0])):
        return CsvForm(said.group(1), encoding, skip_lines=1, encoding_is_sure=is_sure), True
    shape = _best_shape(lines, candidates, is_whole=is_whole)
    if shape is None:
        return CsvForm(_most_frequent(lines, candidates), encoding, encoding_is_sure=is_sure), False
    return CsvForm(shape.delimiter, encoding, skip_lines=shape.lines_before, encoding_is_sure=is_sure), True


def sniff_encoding(file: ExportFile) -> tuple[str, bool]:
    """Return Python's name of a file's encoding, and whether it is sure.

    UTF-8 that is whole, and UTF-16 by its mark or its zero bytes, is sure. `cp1252` is a suspicion: the bytes allow of
    it. Unsure UTF-8 is a file of which nothing better can be said.
    """
    head = read_head(file, _HEAD_BYTES)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, True
    if utf16 := _utf16_without_mark(head):
        return utf16, True
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _chunks(file):
            decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError:
        return _suspicion(file), False
    return "utf-8", True


def _utf16_without_mark(head: bytes) -> str | None:
    """Tell UTF-16 by the zero that every other byte of Latin letters, digits and delimiters is."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    for encoding, many, few in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if many > max(1, len(head) // 8) and few * 20 < many:
            return encoding
    return None


def is_hardly_utf8(file: ExportFile) -> bool:
    """Say whether more of a file's letters beyond ASCII are no UTF-8 than are: it may be in an encoding that nobody can tell."""
    good, bad, _ = _letters_of(file)
    return good < bad


def _suspicion(file: ExportFile) -> str:
    good, bad, can_be_cp1252 = _letters_of(file)
    return "cp1252" if can_be_cp1252 and good < bad else "utf-8"


def _letters_of(file: ExportFile) -> tuple[int, int, bool]:
    """Return how many letters beyond ASCII are UTF-8, how many places are not, and whether all bytes are in cp1252."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    good = bad = 0
    can_be_cp1252 = True
    for chunk in _chunks(file):
        text = decoder.decode(chunk, final=not chunk)
        replaced = text.count("\ufffd")
        bad += replaced
        good += len(text) - len(text.encode("ascii", "ignore")) - replaced
        can_be_cp1252 = can_be_cp1252 and len(chunk.translate(None, _NOT_IN_CP1252)) == len(chunk)
    return good, bad, can_be_cp1252


def _chunks(file: ExportFile) -> Iterable[bytes]:
    """Yield a file's bytes, and nothing as the last chunk."""
    try:
        with open_bytes(file) as stream:
            chunk = b"\n"
            while chunk:
                chunk = stream.read(_CHUNK_BYTES)
                yield chunk
    except DAMAGE as error:
        if isinstance(error, UnicodeError):
            raise
        raise damaged(file, error) from None


@dataclass(frozen=True)
class _Shape:
    """How a delimiter parts the first rows."""

    delimiter: str
    lines_before: int
    fitting: float
    """The part of the rows that has as many fields as the header."""
    columns: int
    blanks: int
    """Fields that begin with a blank, as text does behind a comma."""


def _sample(file: ExportFile, encoding: str) -> tuple[list[str], bool]:
    """Return a file's first lines, and whether they are all of it."""
    lines: list[str] = []
    size = 0
    with open_text(file, CsvForm(encoding=encoding)) as stream:
        stream.reconfigure(errors="replace")
        try:
            for line in lines_of(file, stream):
                if len(lines) == _SAMPLED_LINES or size > _SAMPLED_CHARACTERS:
                    return lines, False
                lines.append(line)
                size += len(line)
        except DAMAGE as error:
            raise damaged(file, error) from None
    return lines, True


def _best_shape(lines: Sequence[str], candidates: str, *, is_whole: bool) -> _Shape | None:
    shapes = [shape for mark in candidates if (shape := _shape(lines, mark, is_whole=is_whole))]
    # 2,50 in each row of a file with semicolons looks like two columns below a title: fewer titles first.
    return max(
        shapes, key=lambda each: (each.fitting, -each.lines_before, each.columns, -each.blanks), default=None
    )


def _shape(lines: Sequence[str], delimiter: str, *, is_whole: bool) -> _Shape | None:
    """Return how a delimiter parts lines; None where it does not part half of them alike."""
    reader = parse(lines, CsvForm(delimiter), strict=False)
    rows = [(row, reader.line_num) for row in reader if row]
    if not is_whole and len(rows) > 1:
        rows.pop()  # it may go on behind the sample
    if not rows:
        return None
    counts = Counter(len(row) for row, _ in rows)
    usual = max(counts, key=lambda fields: (counts[fields], fields))
    titles = list(itertools.takewhile(lambda row: _is_title(row[0], usual), rows[:_MOST_TITLE_ROWS]))
    rest = [row for row, _ in rows[len(titles) :]]
    if not rest or len(rest[0]) < 2:
        return None
    columns = len(rest[0])
    fitting = sum(len(row) == columns or (len(row) > columns and not any(row[columns:])) for row in rest)
    if fitting * 2 < len(rest):
        return None
    return _Shape(
        delimiter,
        titles[-1][1] if titles else 0,
        fitting / len(rest),
        columns,
        sum(field.startswith(" ") for row in rest for field in row),
    )


def _is_title(row: Sequence[str], usual: int) -> bool:
    """Say whether a row is a title above the header: one value alone, where rows have more."""
    if len(row) == 1:
        return usual > 1
    # Spreadsheets write a title with a table's delimiters behind it. Of two columns one may well have no name.
    return usual > 2 and len(row) == usual and bool(row[0]) and not any(row[1:])


def _most_frequent(lines: Sequence[str], candidates: str) -> str:
    header = next((line for line in lines if line.strip()), "")
    return max(candidates, key=header.count)


def refuse_separator_line(file: ExportFile, header: str, form: CsvForm, line: int) -> None:
    """Raise ExportError where the header is Excel's line `sep=;`, which says what the delimiter is."""
    if said := _SEPARATOR_LINE.fullmatch(header):
        written = entry(file, delimiter=said.group(1), skip_lines=form.skip_lines + 1)
        message = f"{file.name}:{line}: this line tells Excel the delimiter, and the header stands below it; {written}"
        raise ExportError(message)
