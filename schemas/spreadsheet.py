"""How the merchant's own rows stand in results.csv and quarantine.csv, which are read, and edited, in spreadsheets.

A cell that begins like a formula is one there. Such a cell gets an apostrophe in front (`harmless`), which
`as_they_were` takes away again; nothing else is changed. Columns of ours come last and keep their names: programs read
them. A column of the merchant's with the same name gets another one (`free_names`).
"""

from collections.abc import Sequence

import polars as pl

ADDED_TO_QUARANTINE = ("file", "line", "reasons")
"""Our columns in quarantine.csv, behind the merchant's."""

_DANGEROUS = "^'*[=@\t\r\n\uff1d\uff20\uff0b\uff0d]"
_SIGNED = r"^'*[+-]"
_NUMBER = r"^'*[+-][ (]*[0-9.][0-9 .,()/-]*([eE][+-]?[0-9]+)?%?$"
"""A signed number or a phone number, +1 (202) 555-0123."""


def _is_formula(cell: pl.Expr) -> pl.Expr:
    return cell.str.contains(_DANGEROUS) | (cell.str.contains(_SIGNED) & ~cell.str.contains(_NUMBER))


def harmless(cell: pl.Expr) -> pl.Expr:
    """Put an apostrophe before text that a spreadsheet would take for a formula.

    That is text which begins (after apostrophes) with = @ TAB CR LF or a full-width sign, or with + or - unless it is
    a number or a phone number.
    """
    return pl.when(~_is_formula(cell)).then(cell).otherwise(pl.lit("'") + cell)


def as_they_were(cell: pl.Expr) -> pl.Expr:
    """Undo `harmless` for a column."""
    return pl.when(_is_formula(cell) & cell.str.starts_with("'")).then(cell.str.slice(1)).otherwise(cell)


def free_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return the names under which the merchant's columns stand beside ours: `original_<name>` where ours is taken."""
    free: list[str] = []
    for name in names:
        new = name
        while new in taken or new in free or (new != name and new in names):
            new = f"original_{new}"
        free.append(new)
    return free
