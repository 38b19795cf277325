"""When two headers are the same, whether a first line holds headers at all, and what a sentence says of them.

A file without a header has a customer's data in its place: what looks like that is never shown.
"""

import re
from collections.abc import Sequence
from itertools import islice

VALUES_INSTEAD = (
    "the first line holds values, not the names of columns; add a header, or export the file again with one"
)

_LISTED = 8
_SHOWN_CHARACTERS = 40
_VALUE = re.compile(
    r".*[^@\s]@[^@\s]+\.\w.*"  # an address of e-mail
    r"|'?\d{4}-\d{2}-\d{2}(?!\d).*|'?\d{1,2}[/.]\d{1,2}[/.]\d{2,4}\b.*"  # a date
    r"|['#]?[-+$€£(]*\d[\d ().,\-]{3,}",  # a number that is no year
    re.DOTALL,
)
_YEAR = re.compile(r"(?:19|20)\d\d")


def normal(header: str) -> str:
    """Return a header without what does not tell headers apart: case, spaces, underscores, dots, dashes."""
    return re.sub(r"[\s_.\-]", "", header).lower()


def looks_like_values(headers: Sequence[str]) -> bool:
    """Say whether a first line holds values, not names: an e-mail address, a date, a long number, or short ones mostly."""
    given = [header.strip() for header in headers if not re.fullmatch(r"column_\d+", header)]
    names = [header for header in given if not _YEAR.fullmatch(header)]
    if any(_VALUE.fullmatch(header) for header in names):
        return True
    return sum(header.isdecimal() for header in names) * 2 > len(given)


def said_of(headers: Sequence[str]) -> str:
    """Return the first headers on one line, each cut where it is long, or that they are none: a first line may be anything."""
    if looks_like_values(headers):
        return VALUES_INSTEAD
    shown = (" ".join(header.split())[:_SHOWN_CHARACTERS] for header in islice(headers, _LISTED))
    return f"the file has {', '.join(shown)}"
