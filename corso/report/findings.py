"""The findings table: its order, and the ids that stay the same from run to run."""

import hashlib

import polars as pl

from schemas.fields import TEXT, dtypes
from schemas.reconciliation import CAUSES, FINDINGS, KINDS

_OF_ITS_LIFE = (
    "first_seen",
    "age_days",
    "owner",
    "note",
    "signed_off_by",
    "signed_off_at",
    "fallen_sign_off",
    "seal",
)
"""What comparing does not say; see `corso.report.life`."""
FOUND = {name: dtype for name, dtype in dtypes(FINDINGS).items() if name not in _OF_ITS_LIFE}
"""The columns of FINDINGS that comparing says."""


def aligned(findings: pl.DataFrame) -> pl.DataFrame:
    """Give a frame of findings every column, in one order; `rank` orders the findings of an order."""
    wanted = FOUND | {"rank": pl.Int32()}
    del wanted["finding_id"]
    return findings.select(
        (pl.col(name) if name in findings.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in wanted.items()
    )


def sorted_findings(findings: pl.DataFrame) -> pl.DataFrame:
    """Return aligned findings in the order of the report, with each total said once."""
    ordered = findings.sort(
        *gravest_first(),
        "source_order_id",
        "rank",
        "source_line_item_id",
        "source_fulfillment_id",
        "corso_order_id",
        "file",
        "line",
        "source_value",
        "corso_value",
        nulls_last=True,
        maintain_order=True,
    )
    return ordered.with_columns(
        _said_once("source_money", "source_order_id"), _said_once("corso_money", "corso_order_id")
    )


def gravest_first() -> tuple[pl.Expr, ...]:
    """Return what findings are sorted by before their orders: the kind, what is unexplained, the cause."""
    kinds, causes = pl.Enum(KINDS), pl.Enum(CAUSES)
    return (pl.col("kind").cast(kinds), pl.col("cause") != "unexplained", pl.col("cause").cast(causes))


def named(findings: pl.DataFrame, store_id: int) -> pl.DataFrame:
    """Return the columns of FOUND: every finding with its id."""
    return findings.with_columns(_finding_ids(findings, store_id)).select(list(FOUND))


def _said_once(money: str, owner: str) -> pl.Expr:
    """Keep an order's total on its first finding that says one, so that the column can be summed."""
    anonymous = pl.col(owner).is_null() | (pl.col(owner) == "")
    first = pl.struct(owner, pl.col(money).is_not_null()).is_first_distinct()
    return pl.when(anonymous | first).then(pl.col(money)).alias(money)


def _finding_ids(findings: pl.DataFrame, store_id: int) -> pl.Series:
    """Return 16 hexadecimal digits of SHA-256 over store, kind, order, record, line, field, and fulfillment if any.

    A row without an order id is known by its place in the export. Where the same key occurs again (two lines of a
    record with one id), its number is added. Not polars' hash: that changes between its versions. (A microsecond a
    finding: hashlib is the fastest SHA-256 here, also against numpy by the column.)
    """
    place = pl.when(pl.col("source_order_id").is_null()).then(
        pl.concat_str("file", "line", separator=":", ignore_nulls=True)
    )
    parts = ("kind", "source_order_id", "corso_order_id", "source_line_item_id", "field")
    fulfillment = pl.format("\x1f{}", "source_fulfillment_id").fill_null("")
    key = pl.concat_str(
        pl.lit(str(store_id)),
        *(pl.col(name).fill_null("") for name in parts),
        place.fill_null("") + fulfillment,
        separator="\x1f",
    )
    keyed = findings.select(key.alias("key")).with_columns(again=pl.int_range(pl.len()).over("key"))
    again = pl.when(pl.col("again") > 0).then(pl.col("again").cast(TEXT)).otherwise(pl.lit(""))
    keys = keyed.select(pl.concat_str("key", again, separator="\x1f")).to_series()
    return pl.Series("finding_id", [hashlib.sha256(text.encode()).hexdigest()[:16] for text in keys], TEXT)
