"""A small vocabulary for saying what a JSON value must be; the sentences are in `rules`.

A reader takes a value and its path, adds every problem that it finds to a list, and returns the value, or
None where it has a problem. All problems of a body are found in one pass, because an engineer with a million
orders to mend wants to hear them all at once.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.exact_json import ExactNumber

LARGEST_NUMBER = 10**15
"""Assumed: no field of an order holds more. It keeps exact sums within `rules.EXACT`."""
SMALLEST_EXPONENT = -400

_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:(?P<second>[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request: where, and what."""

    path: str
    message: str


Problems = list[Problem]
Reader = Callable[[Any, str, Problems], Any]
Rule = Callable[[dict[str, Any], dict[str, Any], str, Problems], None]
"""A rule between fields: gets the object as given, the fields that were read well, its path, the list."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object: how it is read, and whether it must be there."""

    read: Reader
    required: bool = False


def required(read: Reader) -> Field:
    """Make a field that must be there."""
    return Field(read, required=True)


def optional(read: Reader) -> Field:
    """Make a field that may be left out. Assumed: null is not a way of leaving it out."""
    return Field(read)


def text(value: Any, path: str, problems: Problems) -> str | None:
    """Read any string that UTF-8 can hold; an empty one is a string too."""
    if not isinstance(value, str):
        problems.append(Problem(path, "must be a string"))
        return None
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        problems.append(Problem(path, "holds half of a surrogate pair"))
        return None
    return value


def text_like(pattern: str, wanted: str) -> Reader:
    """Make a reader of strings that match a pattern as a whole; `wanted` says it in words."""
    matches = re.compile(pattern).fullmatch

    def read(value: Any, path: str, problems: Problems) -> str | None:
        kept = text(value, path, problems)
        if kept is None or matches(kept):
            return kept
        problems.append(Problem(path, f"must be {wanted}, but is {_shown(kept)}"))
        return None

    return read


def boolean(value: Any, path: str, problems: Problems) -> bool | None:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    problems.append(Problem(path, "must be true or false"))
    return None


def number(value: Any, path: str, problems: Problems) -> ExactNumber | None:
    """Read a number of a size that an order can hold."""
    if not isinstance(value, ExactNumber):
        problems.append(Problem(path, "must be a number"))
        return None
    exponent = value.as_tuple().exponent
    if abs(value) > LARGEST_NUMBER or not isinstance(exponent, int) or exponent < SMALLEST_EXPONENT:
        problems.append(Problem(path, "is a number out of range"))
        return None
    return value


def date_time(value: Any, path: str, problems: Problems) -> str | None:
    """Read an RFC 3339 date-time, which always carries an offset (documented)."""
    kept = text(value, path, problems)
    if kept is None:
        return None
    shape = _DATE_TIME.fullmatch(kept)
    if shape is None or not _is_in_the_calendar(kept):
        problems.append(Problem(path, f"must be an RFC 3339 date-time, but is {_shown(kept)}"))
        return None
    if shape["offset"] is None:
        problems.append(Problem(path, f"must carry an offset such as Z or -05:00, but is {_shown(kept)}"))
        return None
    return kept


def list_of(read_item: Reader, *, at_least: int = 0) -> Reader:
    """Make a reader of arrays; problems of an item carry its index."""

    def read(value: Any, path: str, problems: Problems) -> list[Any] | None:
        if not isinstance(value, list):
            problems.append(Problem(path, "must be an array"))
            return None
        if len(value) < at_least:
            problems.append(Problem(path, f"must hold at least {at_least}"))
        return [read_item(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]

    return read


def object_of(fields: Mapping[str, Field], *rules: Rule) -> Reader:
    """Make a reader of objects; fields that it does not know are dropped (assumed: Corso ignores them)."""

    def read(value: Any, path: str, problems: Problems) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            problems.append(Problem(path, "must be an object"))
            return None
        prefix = f"{path}." if path else ""
        kept = {}
        for name, field in fields.items():
            if name in value:
                item = field.read(value[name], prefix + name, problems)
                if item is not None:
                    kept[name] = item
            elif field.required:
                problems.append(Problem(prefix + name, "is required"))
        for rule in rules:
            rule(value, kept, path, problems)
        return kept

    return read


def _is_in_the_calendar(value: str) -> bool:
    """Say whether the date exists. A leap second, which Python cannot read, is looked at as second 59."""
    clock = value[:17] + value[17:19].replace("60", "59")
    try:
        datetime.fromisoformat(clock)
    except ValueError:
        return False
    return True


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else value[:60] + "…")
