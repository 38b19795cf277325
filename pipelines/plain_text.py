"""Sentences on a screen: lines of at most 100 columns, and names from files that may be anything."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size

WIDTH = 100
_LONGEST_NAME = 60


def name(text: str) -> str:
    """Return a name from a file as it may stand on a screen: one line, nothing that steers a terminal, not endless."""
    clean = "".join(each if each.isprintable() else " " for each in text)
    if cell_len(clean) <= _LONGEST_NAME:
        return clean
    return f"{set_cell_size(clean, _LONGEST_NAME - 1).rstrip()}…"


def number_of(number: int, thing: str) -> str:
    """Return `1 row`, `1,200 rows`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def some(names: Sequence[str], most: int) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(name(each) for each in names[:most]) + more


def wrapped(text: str, indent: int = 0, deeper: int | None = None, width: int = WIDTH) -> Iterator[str]:
    """Break a sentence into lines, the first of them indented, the others deeper; a Chinese letter takes two columns."""
    clean = "".join(each if each.isprintable() else " " for each in text)
    rest = " " * (indent + 2 if deeper is None else deeper)
    line, is_empty = " " * indent, True
    for word in clean.split():
        if not is_empty and cell_len(line) + 1 + cell_len(word) > width:
            yield line
            line, is_empty = rest, True
        line += word if is_empty else f" {word}"
        is_empty = False
    yield line
