"""Why a file's text could not be read, on which line, and what to do about it."""

import codecs
import io

from corso.errors import ExportError
from corso.extract.decoding import damaged, open_bytes
from corso.extract.files import ExportFile
from corso.extract.forms import CsvForm, entry
from corso.extract.sniffing import is_hardly_utf8, sniff_encoding

_CHUNK_BYTES = 1 << 16


def unreadable(file: ExportFile, form: CsvForm, error: Exception) -> ExportError:
    """Return the sentence for an error of `decoding.DAMAGE`, with the line of the first bad bytes."""
    if not isinstance(error, UnicodeError):
        return damaged(file, error)
    line = _first_bad_line(file, form) or 1
    return ExportError(f"{file.name}:{line}: not {form.encoding.upper()} text; {_remedy(file, form)}")


def not_text(file: ExportFile, form: CsvForm, line: int) -> ExportError:
    """Return the sentence for zero bytes in a header, which are what UTF-16 looks like to others."""
    if sniff_encoding(file)[0] == "utf-8":
        return ExportError(
            f"{file.name}:{line}: zero bytes stand in the header; the file is damaged, export it again"
        )
    return ExportError(f"{file.name}:{line}: not {form.encoding.upper()} text; {_remedy(file, form)}")


def halves(file: ExportFile, form: CsvForm) -> ExportError:
    """Return the sentence for halves of characters, which escape codes such as UTF-7's can write, and which are no text."""
    return ExportError(f"{file.name}: not {form.encoding.upper()} text; {_remedy(file, form)}")


def _remedy(file: ExportFile, form: CsvForm) -> str:
    encoding, is_sure = sniff_encoding(file)
    family = CsvForm(encoding=encoding).codec[:6]
    if form.codec.startswith(family) or (encoding == "utf-8" and not is_sure):
        if encoding == "utf-8" and not is_sure and is_hardly_utf8(file):
            return (
                f"it may be in another encoding, such as cp932 (Shift-JIS), gb18030 or cp1251: save it as UTF-8, or "
                f"{entry(file, encoding='NAME')}; if it is not, some bytes are damaged: export the file again"
            )
        return "some bytes are damaged: export the file again, or save it as UTF-8"
    seems = "it is" if is_sure else "it may be"
    return f"{seems} {encoding}: save it as UTF-8, or {entry(file, encoding=encoding)}"


def _first_bad_line(file: ExportFile, form: CsvForm) -> int | None:
    """Return the line of the first bytes that are not in the encoding, counted as `decoding.lines_of` does."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(form.codec)(), translate=True)
    line = 1
    with open_bytes(file) as stream:
        while True:
            chunk = stream.read(_CHUNK_BYTES)
            before = decoder.getstate()
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeError:
                decoder.setstate(before)
                return line + _lines_before_damage(decoder, chunk)
            if not chunk:
                return None


def _lines_before_damage(decoder: io.IncrementalNewlineDecoder, chunk: bytes) -> int:
    """Return how many lines end before the bytes that cannot be decoded: byte by byte, as the decoder goes on."""
    lines = 0
    try:
        for place in range(len(chunk)):
            lines += decoder.decode(chunk[place : place + 1]).count("\n")
    except UnicodeError:
        pass
    return lines
