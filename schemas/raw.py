"""The raw tables: what an export says, as text, and each row as it stood there.

Columns: the canonical ones (text; null where the export has nothing), `file`, `line`, `fault` (null, or why the row as a
whole cannot be trusted), in orders `moved` (`corso.extract.money_policy`), and the row as it stood in the export: one
column of text a header, under a prefix. Flat, because a struct's texts are neither written nor read with a dictionary:
as one struct they took two thirds of all time spent with the raw tables.
"""

from collections.abc import Iterable

import polars as pl

ORIGINAL = "original."
"""Prefix of the columns that hold a row as it stood in the export; what follows is the header."""


def original_headers(columns: Iterable[str]) -> list[str]:
    """Return the headers of the export among a raw table's columns, in their order."""
    return [name.removeprefix(ORIGINAL) for name in columns if name.startswith(ORIGINAL)]


def original_struct(columns: Iterable[str], headers: Iterable[str] | None = None) -> pl.Expr:
    """Return `original`, the row as it stood in the export, as a struct of text; null where the table has no such header.

    `columns` are the table's; `headers` those of the struct, by default all that the table has.
    """
    own = original_headers(columns)
    there = set(own)
    return pl.struct(
        (pl.col(ORIGINAL + header) if header in there else pl.lit(None, pl.String)).alias(header)
        for header in (own if headers is None else headers)
    ).alias("original")
