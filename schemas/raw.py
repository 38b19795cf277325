"""The raw tables: what an export says, as text, and each row as it stood there.

Columns: the canonical ones (text; null where the export has nothing), `file`, `line`, `fault` (null, or why the row as a
whole cannot be trusted), in orders `moved` (`corso.extract.money_policy`), and the row as it stood in the export: one
column of text a header, under a prefix. Flat, because a struct's texts are neither written nor read with a dictionary:
as one struct they took two thirds of all time spent with the raw tables. In a file, a text that a canonical column
holds word for word is not written again (`stored`).
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

ORIGINAL = "original."
"""Prefix of the columns that hold a row as it stood in the export; what follows is the header."""

_HEADERS = "corso-loader:headers"
"""Key of a file's own metadata: JSON, every header in its order -> the canonical column that holds its text, or null."""


def stored(rows: pl.LazyFrame, word_for_word: Mapping[str, str]) -> tuple[pl.LazyFrame, dict[str, str]]:
    """Return what to write of a raw table, and the metadata of its file, from which `scan_raw` makes it whole.

    `word_for_word`: header -> the canonical column that holds its text as it stands in the export. It is written once:
    in exports that name columns as the canonical tables do, that is most of them.
    """
    columns = rows.collect_schema().names()
    headers = {header: word_for_word.get(header) for header in original_headers(columns)}
    twice = [ORIGINAL + header for header, column in headers.items() if column]
    return rows.drop(twice), {_HEADERS: json.dumps(headers)}


def scan_raw(path: Path) -> pl.LazyFrame:
    """Scan a file of a raw table."""
    rows = pl.scan_parquet(path, glob=False)
    headers = json.loads(pl.read_parquet_metadata(path).get(_HEADERS, "{}"))
    own = [name for name in rows.collect_schema().names() if not (headers and name.startswith(ORIGINAL))]
    originals = (
        pl.col(column or ORIGINAL + header).alias(ORIGINAL + header) for header, column in headers.items()
    )
    return rows.select(*own, *originals)


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
