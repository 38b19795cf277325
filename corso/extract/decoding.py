"""From the bytes of a CSV file to its lines of text, and a sentence for everything that can be wrong with the bytes.

What is no CSV at all (a workbook, an archive, a web page that was saved by mistake) is told by its first bytes, not
by its name. gzip is told by its bytes, too.
"""

import csv
import gzip
import io
import re
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.forms import CsvForm

if TYPE_CHECKING:
    from _csv import Reader

LONGEST_LINE = 1 << 26
"""So many characters may a line have, and a row over several lines; what is longer is no table."""
DAMAGE = (UnicodeError, csv.Error, OSError, EOFError, zlib.error)
"""What reading a file's text raises where its bytes are not as they should be."""

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_KINDS = (
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook; open it and save it as CSV UTF-8"),
    (rb"PK(\x03\x04|\x05\x06)", "a zip archive; unpack it"),
    (rb"PAR1[^ -~\r\n\t]", "a Parquet file; give it a name that ends in .parquet"),
    (rb"\x28\xb5\x2f\xfd", "packed with zstd; unpack it"),
    (rb"BZh[1-9]1AY&SY", "packed with bzip2; unpack it"),
    (rb"\xfd7zXZ\0", "packed with xz; unpack it"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it"),
    (rb"Rar!\x1a\x07", "a RAR archive; unpack it"),
    (rb"(?s:.){257}ustar", "a tar archive; unpack it"),
    (rb"%PDF-", "a PDF; export the orders as CSV"),
    (rb"(?i:\s*<(!doctype\s+html|html)\b)", "a web page, not an export; download it again, logged in"),
    (rb"\s*<\?xml\s", "XML; export the orders as CSV, or save the file as CSV UTF-8"),
    (rb"\s*(\{\s*\"[^\"]*\"\s*:|\[\s*\{)", "JSON; export the orders as CSV or Parquet"),
)


def is_gzip(path: Path) -> bool:
    """Say whether a file's first bytes are gzip's."""
    with path.open("rb") as stream:
        return stream.read(len(_GZIP)) == _GZIP


def open_bytes(file: ExportFile) -> BinaryIO:
    """Open a file's bytes, unpacked. Raises ExportError where it cannot be opened."""
    try:
        if is_gzip(file.path):
            return cast("BinaryIO", gzip.open(file.path, "rb"))
        return file.path.open("rb")
    except OSError as error:
        message = (
            f"{file.name}: cannot be opened ({error.strerror}); see that it is there and that it may be read"
        )
        raise ExportError(message) from None


def open_text(file: ExportFile, form: CsvForm) -> io.TextIOWrapper:
    """Open a file's text, with its line ends as they are.

    Raises ExportError where it cannot be opened, and where its first bytes say that it is no CSV.
    """
    refuse_other_kinds(file)
    return io.TextIOWrapper(open_bytes(file), encoding=form.codec, newline="")


def lines_of(file: ExportFile, stream: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a text with their ends, without byte order marks.

    A line ends where an editor ends it: with a line feed, a carriage return, or both. Raises ExportError for a line
    without end.
    """
    line = stream.readline(LONGEST_LINE).lstrip("\ufeff")
    number = 1
    while line:
        if len(line) >= LONGEST_LINE:
            message = f"{file.name}:{number}: the line has more than {LONGEST_LINE:,} characters; this is no CSV file"
            raise ExportError(message)
        yield line
        line = stream.readline(LONGEST_LINE)
        number += 1


def parse(lines: Iterable[str], form: CsvForm, *, strict: bool = True) -> "Reader":
    """Return Python's csv reader; a strict one raises csv.Error where quotes do not say where a field ends."""
    csv.field_size_limit(sys.maxsize)  # the process's, and 128 KB by default
    return csv.reader(lines, delimiter=form.delimiter, strict=strict)


def refuse_other_kinds(file: ExportFile) -> None:
    """Raise ExportError where a file's first bytes are those of something else than text."""
    head = read_head(file, 4096)
    if file.path.suffix.lower() == ".gz" and head and not is_gzip(file.path):
        message = (
            f"{file.name}: the name says gzip, the bytes do not; take .gz off its name, or copy it again"
        )
        raise ExportError(message)
    for beginning, what in _KINDS:
        if re.match(beginning, head):
            message = f"{file.name}: this is {_kind_of_zip(file) if head.startswith(_ZIP) else what}"
            raise ExportError(message)


def read_head(file: ExportFile, size: int) -> bytes:
    """Return a file's first bytes, unpacked. Raises ExportError: cannot be opened, not readable."""
    try:
        with open_bytes(file) as stream:
            return stream.read(size)
    except DAMAGE as error:
        raise damaged(file, error) from None


def _kind_of_zip(file: ExportFile) -> str:
    try:
        names = zipfile.ZipFile(file.path).namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a zip archive; unpack it (it seems to be damaged)"
    if any(name.startswith(("xl/", "Index/")) or name == "content.xml" for name in names):
        return "a workbook (Excel or the like); open it and save it as CSV UTF-8"
    return f"a zip archive; unpack it (it holds {names[0] if names else 'nothing'})"


def damaged(file: ExportFile, error: Exception) -> ExportError:
    """Return the sentence for bytes that cannot be read as they are packed or stored."""
    if isinstance(error, EOFError | gzip.BadGzipFile | zlib.error) or is_gzip(file.path):
        return ExportError(f"{file.name}: the gzip file is truncated or damaged; copy it again")
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return ExportError(f"{file.name}: cannot be read ({reason}); copy it again")
