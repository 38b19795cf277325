"""When two headers are the same, and how they are listed in a sentence."""

import re
from collections.abc import Iterable
from itertools import islice

_LISTED = 8
_SHOWN_CHARACTERS = 40


def normal(header: str) -> str:
    """Return a header without what does not tell headers apart: case, spaces, underscores, dots, dashes."""
    return re.sub(r"[\s_.\-]", "", header).lower()


def listed(headers: Iterable[str]) -> str:
    """Return the first headers on one line, each cut where it is long: a file's first line may be anything."""
    return ", ".join(" ".join(header.split())[:_SHOWN_CHARACTERS] for header in islice(headers, _LISTED))
