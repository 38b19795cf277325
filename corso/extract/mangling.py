"""What a spreadsheet does to cells that nobody edited: told from what a person wrote.

A spreadsheet takes a CSV file's text for numbers and dates, and saves what it shows: 02101 becomes 2101, an 18-digit id
5.76461E+17, 2026-11-20 20.11.2026, the size 3-4 the fourth of March. Opened in the wrong encoding, ü becomes Ã¼; saved in
an old one, ł becomes ?. Pure functions over two texts, the cell as the export has it and as it came back.

The rule is one-sided on purpose: what a spreadsheet would not do was written by a person. None adds a leading zero or a
plus, none writes 1.234,50 as 1234.50 or 20.11.2026 as 2026-11-20, and all of these are what corrections are for. Where it
cannot be told (1001.0 that became 1001), the export stays, and an apostrophe in front says that it is meant (`edited`).
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

NUMBER = "written as a number"
DIGITS = "digits lost"
DATE = "written as a date or time"
FLAG = "written as TRUE or FALSE"
LETTERS = "letters lost"
CUT = "cut short"
BREAKS = "line breaks changed"
ERROR = "an error of the spreadsheet"

MARK = "'"
"""In front of a text it says: this is meant as it stands."""

_LONGEST = 80
"""A longer text is no number and no date."""
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
"""What a spreadsheet reads as a number, wherever it is at home."""
_FIGURES = re.compile(r"[+-]?[\d.,' \u00a0\u202f]*\d[\d.,' \u00a0\u202f]*(?:[eE][+-]?\d{1,3})?")
_GROUPED = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:,\d{2,3})*,\d{3})(?:\.\d*)?(?:[eE][+-]?\d{1,3})?|[+-]?\.\d+")
_SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?[eE][+-]?\d{1,3}")
_LONGER_THAN_SHOWN = re.compile(r"\+|[+-]?0\d")
"""A plus or a zero in front, which no spreadsheet shows."""
_LEAST_DIGITS, _MOST_DIGITS = 9, 15
"""A spreadsheet's general format shows nine digits or more, and keeps fifteen."""
_ERRORS = re.compile(r"#+|#(?:N/A|NV|[A-ZÄÖÜÉ/0]+[!?])|Err:\d{3}")
_FLAGS = {
    "true": {"true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar"},
    "false": {"false", "falsch", "faux", "falso", "onwaar"},
}
_BMP = 0xFFFF
_LONG_CELL = 16_000
"""Spreadsheets cut cells at 32,767 characters, of which some take two."""
_MISREAD = re.compile(
    "[\u00c2\u00c3][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]|\u00e2\u20ac"
)
"""Letters of UTF-8 that were read as Western European ones: Ã¼, Â°, â€™."""


@dataclass(frozen=True)
class Edit:
    """A cell that a person wrote."""

    value: str | None


@dataclass(frozen=True)
class Left:
    """A cell that a spreadsheet changed; the export's stays."""

    looks: str
    """How it changed, in words."""


def edited(exported: str | None, cell: str | None) -> Edit | Left | None:
    """Say what became of a cell: None where it is as it was."""
    if cell == exported:
        return None
    if cell is None:
        return Edit(None)
    if cell.startswith(MARK) and not (exported or "").startswith(MARK):
        bare = cell[1:]
        # Else it is a letter of the text, as in 's-Hertogenbosch.
        if _would_be_changed(bare) or mangled(exported, bare):
            return None if bare == exported else Edit(bare)
    looks = mangled(exported, cell)
    return Left(looks) if looks else Edit(cell)


def mangled(exported: str | None, cell: str) -> str | None:
    """Say how a spreadsheet made `cell` of the export's text; None where it is the same, or a person wrote it."""
    if cell == exported:
        return None
    if _ERRORS.fullmatch(cell):
        return ERROR
    if _MISREAD.search(cell) and not _MISREAD.search(exported or ""):
        return LETTERS
    if _SCIENTIFIC.fullmatch(cell):
        # Also where somebody typed a long number: what it was is lost.
        return DIGITS
    return None if exported is None else _looks(exported, cell)


def _looks(exported: str, cell: str) -> str | None:
    is_short = max(len(exported), len(cell)) <= _LONGEST
    looks = (_number(exported, cell) or _moment(exported, cell)) if is_short else None
    return looks or _text(exported, cell)


def _would_be_changed(text: str) -> bool:
    """Say whether a text is one that spreadsheets take for a number or a date."""
    if len(text) > _LONGEST:
        return False
    return bool(_FIGURES.fullmatch(text.strip()) or _partial_dates(text) or list(_moments(text)))


def _number(exported: str, cell: str) -> str | None:
    was, shown = exported.strip().lstrip(MARK), cell.strip()
    if not _PLAIN.fullmatch(was) or _LONGER_THAN_SHOWN.match(shown):
        return None
    number = Decimal(was)
    for value in _values(shown):
        if value == number:
            return NUMBER
        if _is_rounded(number, value):
            return DIGITS
    return None


def _values(shown: str) -> Iterator[Decimal]:
    """Yield the numbers that figures may mean, by where people write commas and points; brackets are a minus."""
    sign = 1
    if shown.startswith("(") and shown.endswith(")"):
        shown, sign = shown[1:-1], -1
    if not _FIGURES.fullmatch(shown):
        return
    figures = re.sub(r"[' \u00a0\u202f]", "", shown)
    for text in (figures, figures.translate(_COMMAS_AND_POINTS)):
        if _GROUPED.fullmatch(text):
            yield sign * Decimal(text.replace(",", ""))


_COMMAS_AND_POINTS = str.maketrans(",.", ".,")


def _is_rounded(number: Decimal, shown: Decimal) -> bool:
    """Say whether `shown` is a longer number as far as a spreadsheet shows or keeps it."""
    kept, lost = shown.normalize().as_tuple(), number.normalize().as_tuple()
    if not _LEAST_DIGITS <= len(kept.digits) <= _MOST_DIGITS or len(kept.digits) >= len(lost.digits):
        return False
    return isinstance(kept.exponent, int) and abs(number - shown) <= Decimal(1).scaleb(kept.exponent)


_MONTHS = [
    ("jan", "ene", "gen"), ("feb", "fev"), ("mar", "mrz", "mrt", "maa"), ("apr", "abr", "avr"),
    ("mai", "may", "mag", "mei"), ("jun", "giu", "juin"), ("jul", "lug", "juil"), ("aug", "ago", "aou"),
    ("sep", "set"), ("oct", "okt", "ott", "out"), ("nov",), ("dec", "dez", "dic"),
]  # fmt: skip
"""How the months' names begin in the languages that spreadsheets are used in most."""
_WORD = r"[^\W\d_]{3,10}\.?"
_TIME = r"(?P<h>\d{1,2}):(?P<m>\d{1,2})(?::(?P<s>\d{2})(?:[.,]\d+)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?)?"
_ZONE = r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
_FULL = re.compile(
    rf"(?:(?P<a>\d{{1,4}})[-/. ]+(?P<b>\d{{1,2}}|{_WORD})[-/. ]+(?P<c>\d{{1,4}})"
    rf"|(?P<word>{_WORD})\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}}))"
    rf"(?:[T ,]+{_TIME}{_ZONE})?"
)
_CLOCK = re.compile(_TIME)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?!\d)")
_TWO_NUMBERS = re.compile(r"(\d{1,2})[-/.](\d{1,4})\.?")
_NUMBER_MONTH = re.compile(rf"(?P<number>\d{{1,2}})\.?[-/. ]*(?P<word>{_WORD})")
_MONTH_NUMBER = re.compile(rf"(?P<word>{_WORD})[-/. ]*(?P<number>\d{{1,4}})")
_EPOCH = dt.date(1899, 12, 30)
"""Day 0 of spreadsheets, for all days since March 1900."""


@dataclass(frozen=True)
class _Moment:
    """One way to read a date; parts that are not there are None."""

    year: int
    """Of the century: two-digit years are compared with four-digit ones."""
    month: int
    day: int
    time: tuple[int, int, int | None] | None
    zone: str | None

    def is_shown_as(self, other: "_Moment") -> bool:
        """Say whether `other` is this moment, with no part that is not here."""
        if (self.year, self.month, self.day) != (other.year, other.month, other.day):
            return False
        return _time_is_shown(self.time, other.time) and other.zone in {None, self.zone}


def _time_is_shown(time: Sequence[int | None] | None, shown: Sequence[int | None] | None) -> bool:
    if shown is None:
        return True
    hour, minute, second = time or (0, 0, 0)
    return (hour, minute) == (shown[0], shown[1]) and (
        second or 0 if shown[2] is not None else None
    ) == shown[2]


def _moment(exported: str, cell: str) -> str | None:
    was, shown = exported.strip().lstrip(MARK), cell.strip()
    before, after = list(_moments(was)), list(_moments(shown))
    if before and after:
        return DATE if _is_same_date(was, shown, before, after) else None
    if before and re.fullmatch(r"\d{5}(?:[.,]\d+)?", shown):
        serial = int(shown[:5])
        return DATE if any(serial == _serial(each) for each in before) else None
    if _PLAIN.fullmatch(was) and not _TWO_NUMBERS.fullmatch(was):
        return None
    halves = _partial_dates(was)
    if halves & (_partial_dates(shown, words_only=True) | {half for each in after for half in _halves(each)}):
        return DATE
    clock, shown_clock = _CLOCK.fullmatch(was), _CLOCK.fullmatch(shown)
    if clock and shown_clock and _time_is_shown(_time(clock), _time(shown_clock)):
        return DATE
    return None


def _is_same_date(was: str, shown: str, before: Sequence[_Moment], after: Sequence[_Moment]) -> bool:
    is_iso = _ISO.match(shown)
    if is_iso and not _ISO.match(was):
        return False  # what corrections of dates are told to be written as
    if any(one.is_shown_as(other) for one in before for other in after):
        return True
    # Another day in another form: whether month or day comes first is anybody's guess.
    return not is_iso and re.sub(r"\d+", "9", was) != re.sub(r"\d+", "9", shown)


def _moments(text: str) -> Iterator[_Moment]:
    """Yield the ways in which a text can be read as a date, with or without a time."""
    found = _FULL.fullmatch(text)
    if not found:
        return
    time, zone = _time(found), found["zone"]
    zone = {None: None, "Z": "+0000", "UTC": "+0000", "GMT": "+0000"}.get(zone, (zone or "").replace(":", ""))
    for year, month, day in _dates(found):
        if 1 <= month <= 12 and 1 <= day <= 31:
            yield _Moment(year % 100, month, day, time, zone)


def _dates(found: re.Match[str]) -> Iterator[tuple[int, int, int]]:
    if found["word"]:
        yield int(found["year"]), _month(found["word"]), int(found["day"])
        return
    first, last = int(found["a"]), int(found["c"])
    if not found["b"].isdigit():
        month = _month(found["b"])
        yield (first, month, last) if len(found["a"]) == 4 else (last, month, first)
        return
    middle = int(found["b"])
    if len(found["a"]) < 4:
        yield last, first, middle
        yield last, middle, first
    if len(found["c"]) < 3:
        yield first, middle, last


def _time(found: re.Match[str]) -> tuple[int, int, int | None] | None:
    if found["h"] is None:
        return None
    hour = int(found["h"])
    if half := found["half"]:
        hour = hour % 12 + (12 if half[0] in "pP" else 0)
    return hour, int(found["m"]), None if found["s"] is None else int(found["s"])


def _month(word: str) -> int:
    """Return a month's number by its name; 0 where it is none."""
    plain = _bare(word.casefold())
    return next((number for number, names in enumerate(_MONTHS, 1) if plain.startswith(names)), 0)


def _serial(moment: _Moment) -> int | None:
    try:
        return (dt.date(2000 + moment.year, moment.month, moment.day) - _EPOCH).days
    except ValueError:
        return None


def _partial_dates(text: str, *, words_only: bool = False) -> set[tuple[int, int]]:
    """Return month and number of texts such as 3-4, 10.12, MAR1 and Dec-21, read either way."""
    found = set()
    if not words_only and (pair := _TWO_NUMBERS.fullmatch(text)):
        one, other = int(pair[1]), int(pair[2])
        found |= {(one, other % 100), (other, one)}
    for shape in (_NUMBER_MONTH, _MONTH_NUMBER):
        if (hit := shape.fullmatch(text)) and _month(hit["word"]):
            found.add((_month(hit["word"]), int(hit["number"]) % 100))
    return {(month, number) for month, number in found if 1 <= month <= 12}


def _halves(moment: _Moment) -> Iterator[tuple[int, int]]:
    yield moment.month, moment.day
    if moment.day == 1:
        yield moment.month, moment.year


def _text(exported: str, cell: str) -> str | None:
    if any(exported.casefold() == name and cell.casefold() in words for name, words in _FLAGS.items()):
        return FLAG
    if _one_break(exported) == _one_break(cell):
        return BREAKS
    if len(cell) >= _LONG_CELL and exported.startswith(cell):
        return CUT
    if _lost_letters(exported, cell):
        return LETTERS
    if exported.startswith(MARK) and exported.lstrip(MARK) == cell and _would_be_changed(cell):
        return NUMBER
    return None


def _one_break(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _lost_letters(exported: str, cell: str) -> bool:
    if exported.isascii():
        return False
    if unicodedata.normalize("NFC", exported) == unicodedata.normalize("NFC", cell):
        return True
    if len(cell) == len(exported.encode()) and cell in {
        _misread(exported, "cp1252"),
        _misread(exported, "mac_roman"),
    }:
        return True
    # A letter of two UTF-16 units becomes one question mark or two.
    return len(exported) <= _LONG_CELL and any(
        _is_without_letters(exported, cell, wide) for wide in ("?", "??")
    )


def _is_without_letters(exported: str, cell: str, wide: str) -> bool:
    """Say whether `cell` is the text with letters lost: each stays, or is bare, or is a question mark."""
    place = 0
    for letter in exported:
        lost = (letter,) if letter.isascii() else (letter, wide if ord(letter) > _BMP else "?", _bare(letter))
        found = next((each for each in lost if cell.startswith(each, place)), None)
        if found is None:
            return False
        place += len(found)
    return place == len(cell)


def _misread(text: str, encoding: str) -> str:
    """Return UTF-8 text as it looks where it is taken for another encoding."""
    return "".join(
        bytes([byte]).decode(encoding, "replace").replace("\ufffd", chr(byte)) for byte in text.encode()
    )


_WITHOUT_PARTS = str.maketrans("łŁøØđĐıßæÆœŒ", "lLoOdDisaAoO")


def _bare(text: str) -> str:
    """Return text without accents: what an old encoding keeps of letters that it does not have."""
    parts = unicodedata.normalize("NFKD", text).translate(_WITHOUT_PARTS)
    return "".join(part for part in parts if not unicodedata.combining(part))
