"""The findings table: its order, the ids that stay the same from run to run, and when each was first seen."""

import hashlib
from datetime import datetime

import polars as pl

from schemas.fields import INSTANT, TEXT, dtypes
from schemas.reconciliation import CAUSES, FINDINGS, KINDS

_ADDED = (
    "finding_id",
    "first_seen",
    "age_days",
    "owner",
    "note",
    "signed_off_by",
    "signed_off_at",
    "fallen_sign_off",
)
"""What comparing does not say."""
_RAW_COLUMNS = [name for name in dtypes(FINDINGS) if name not in _ADDED]


def aligned(findings: pl.DataFrame) -> pl.DataFrame:
    """Give a frame of findings every column, in one order."""
    wanted = {name: dtypes(FINDINGS)[name] for name in _RAW_COLUMNS} | {"rank": pl.Int32()}
    return findings.select(
        (pl.col(name) if name in findings.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in wanted.items()
    )


def finished(
    findings: pl.DataFrame, previous: pl.LazyFrame | None, store_id: int, now: datetime
) -> pl.DataFrame:
    """Return FINDINGS: sort, say each total once, give every finding its id and the time when it was first seen."""
    ordered = findings.sort(
        pl.col("kind").cast(pl.Enum(KINDS)),
        pl.col("cause") != "unexplained",
        pl.col("cause").cast(pl.Enum(CAUSES)),
        "source_order_id",
        "rank",
        "source_line_item_id",
        "corso_order_id",
        "file",
        "line",
        "source_value",
        "corso_value",
        nulls_last=True,
        maintain_order=True,
    )
    once = ordered.with_columns(
        _said_once("source_money", "source_order_id"), _said_once("corso_money", "corso_order_id")
    )
    named = once.with_columns(_finding_ids(once, store_id))
    seen = pl.lit(now).cast(INSTANT)
    if previous is None:
        dated = named.with_columns(first_seen=seen)
    else:
        before = previous.select("finding_id", "first_seen").collect().unique("finding_id")
        dated = named.join(before, on="finding_id", how="left", maintain_order="left").with_columns(
            pl.col("first_seen").fill_null(seen)
        )
    aged = dated.with_columns(age_days=(seen - pl.col("first_seen")).dt.total_days().cast(pl.Int32))
    return aged.select(
        (pl.col(name) if name in aged.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in dtypes(FINDINGS).items()
    )


def _said_once(money: str, owner: str) -> pl.Expr:
    """Keep an order's total on its first finding only, so that the column can be summed."""
    anonymous = pl.col(owner).is_null() | (pl.col(owner) == "")
    return pl.when(anonymous | pl.col(owner).is_first_distinct()).then(pl.col(money)).alias(money)


def _finding_ids(findings: pl.DataFrame, store_id: int) -> pl.Series:
    """Return 16 hexadecimal digits of SHA-256 over store, kind, order, record, line and field.

    A row without an order id is known by its place in the export. Where the same key occurs again (two lines of a
    record with one id), its number is added. Not polars' hash: that changes between its versions.
    """
    place = pl.when(pl.col("source_order_id").is_null()).then(
        pl.concat_str("file", "line", separator=":", ignore_nulls=True)
    )
    parts = ("kind", "source_order_id", "corso_order_id", "source_line_item_id", "field")
    key = pl.concat_str(
        pl.lit(str(store_id)),
        *(pl.col(name).fill_null("") for name in parts),
        place.fill_null(""),
        separator="\x1f",
    )
    keyed = findings.select(key.alias("key")).with_columns(again=pl.int_range(pl.len()).over("key"))
    again = pl.when(pl.col("again") > 0).then(pl.col("again").cast(TEXT)).otherwise(pl.lit(""))
    keys = keyed.select(pl.concat_str("key", again, separator="\x1f")).to_series()
    return pl.Series("finding_id", [hashlib.sha256(text.encode()).hexdigest()[:16] for text in keys], TEXT)
