"""results.csv and quarantine.csv: the merchant's own rows, in their own columns, with what became of them.

Both are read in spreadsheets; `schemas.spreadsheet` says how cells and columns are written. The rows are as the export
has them, also where they were corrected since: which cells were is told in the last column.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs

from corso.report.atomic import replacing
from schemas.corrections import CORRECTED_CELLS
from schemas.fields import empty_frame
from schemas.quarantine import PROBLEM
from schemas.spreadsheet import ADDED_TO_QUARANTINE, as_they_were, free_names, harmless

__all__ = [
    "ADDED_TO_QUARANTINE",
    "ADDED_TO_RESULTS",
    "CORRECTED",
    "FILLED_BY",
    "NO_STATE",
    "as_they_were",
    "harmless",
    "problems_by_frequency",
    "reasons_by_frequency",
    "write_quarantine",
    "write_results",
]

ADDED_TO_RESULTS = ("outcome", "corso_order_id", "reason")
CORRECTED = "corrected: "
"""Stands in results.csv and quarantine.csv before the columns that the merchant corrected."""
FILLED_BY = "filled by fallback: "
"""Stands in results.csv before what loader.yaml filled in an order."""
NO_STATE = "unaccounted"
"""The outcome of a source order that is neither accepted nor quarantined: a fault of ours, never hidden."""


def write_results(
    raw_orders: pl.LazyFrame,
    quarantine: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    filled_values: pl.LazyFrame,
    path: Path,
    corrected_cells: pl.LazyFrame | None = None,
) -> None:
    """Write results.csv: one row = one source order, in the order of files and lines.

    `raw_orders` has `source_order_id`, `file`, `line` and the struct `original`; where an order has several rows the
    first counts, a row without an id is an order of its own. An original column named like one of ours is written
    as `original_<name>`. What was corrected in an order (CORRECTED_CELLS) and what fallbacks filled in it
    (FILLED_VALUES) stand behind its reason.
    """
    rows = raw_orders.select("source_order_id", "file", "line").sort("file", "line")
    first = rows.filter(pl.col("source_order_id").is_null() | pl.col("source_order_id").is_first_distinct())
    ended = (
        first.join(_states(quarantine, outcomes), on="source_order_id", how="left")
        .join(_said_of_corrected(corrected_cells, "source_order_id"), on="source_order_id", how="left")
        .join(_said_of_filled(filled_values), on="source_order_id", how="left")
        .join(_states_of_nameless(quarantine), on=["file", "line"], how="left")
    )
    state = ended.select(
        "file",
        "line",
        pl.coalesce("outcome", "nameless_outcome", pl.lit(NO_STATE)).alias("outcome"),
        "corso_order_id",
        _in_one(pl.coalesce("reason", "nameless_reason"), pl.col("corrected"), pl.col("filled")).alias(
            "reason"
        ),
    )
    table = _with_originals(raw_orders, ADDED_TO_RESULTS, keep=("file", "line"))
    joined = table.join(state.rename({"file": _FILE, "line": _LINE}), on=[_FILE, _LINE]).sort(_FILE, _LINE)
    _write_csv(joined.drop(_FILE, _LINE), ADDED_TO_RESULTS, path)


def write_quarantine(
    quarantine: pl.LazyFrame, path: Path, corrected_cells: pl.LazyFrame | None = None
) -> None:
    """Write quarantine.csv: one row = one export row that is not loaded, in the order of files and lines.

    A line of a file that is a row of several tables is written once, with all its reasons. What was corrected in it
    already (CORRECTED_CELLS) stands behind them.
    """
    if "original" not in quarantine.collect_schema():
        quarantine = quarantine.with_columns(original=pl.lit(None, pl.Struct([])))
    rows = (
        quarantine.select("file", "line", "reasons", "original")
        .sort("file", "line", maintain_order=True)
        .group_by("file", "line", maintain_order=True)
        .agg(pl.col("original").first(), _joined("reasons"))
        .join(
            _said_of_corrected(corrected_cells, "file", "line"),
            on=["file", "line"],
            how="left",
            maintain_order="left",
        )
        .with_columns(_in_one(pl.col("reasons"), pl.col("corrected")).alias("reasons"))
    )
    table = _with_originals(rows, ADDED_TO_QUARANTINE, keep=("file", "line", "reasons"))
    ours = table.sort(_FILE, _LINE).rename({_OURS + name: name for name in ADDED_TO_QUARANTINE})
    _write_csv(ours, ADDED_TO_QUARANTINE, path)


def problems_by_frequency(quarantine: pl.LazyFrame) -> pl.DataFrame:
    """Return the broken rules, the most frequent first.

    Columns: `table`, `rule`, `column`, `sentence`, `remedy`, `rows`, `orders`, and one place, `file` and `line`.
    """
    return (
        quarantine.filter(kind="quarantined")
        .select("table", "source_order_id", "file", "line", pl.col("problems").cast(pl.List(PROBLEM)))
        .filter(pl.col("problems").list.len() > 0)
        .explode("problems")
        .unnest("problems")
        .sort("file", "line")
        .group_by("table", "rule", "column", "sentence", "remedy", maintain_order=True)
        .agg(
            rows=pl.struct("file", "line").n_unique(),
            orders=pl.col("source_order_id").n_unique(),
            file=pl.col("file").first(),
            line=pl.col("line").first(),
        )
        .sort("rows", "table", "column", "rule", descending=[True, False, False, False])
        .collect()
    )


def reasons_by_frequency(outcomes: pl.LazyFrame) -> pl.DataFrame:
    """Return why accepted orders are not settled: `outcome`, `reason`, `orders`; the most frequent first."""
    return (
        outcomes.filter(pl.col("outcome").is_in(("rejected", "unknown", "not_sent")))
        .group_by("outcome", pl.col("reason").fill_null(""))
        .agg(orders=pl.len())
        .sort("orders", "outcome", "reason", descending=[True, False, False])
        .collect()
    )


_OURS = "\x00"
_FILE, _LINE = _OURS + "file", _OURS + "line"
"""Our columns while they stand beside the originals, which may have any name."""


def _states(quarantine: pl.LazyFrame, outcomes: pl.LazyFrame) -> pl.LazyFrame:
    """Return outcome, corso_order_id and reason of every order that has an id."""
    refused = (
        quarantine.filter(pl.col("source_order_id").is_not_null(), kind="quarantined")
        .sort("file", "line", maintain_order=True)
        .group_by("source_order_id")
        .agg(_joined("reasons").alias("reason"))
        .select(
            "source_order_id",
            pl.lit("quarantined").alias("outcome"),
            pl.lit(None, pl.String).alias("corso_order_id"),
            "reason",
        )
    )
    settled = outcomes.select("source_order_id", "outcome", "corso_order_id", "reason")
    return pl.concat([settled, refused.join(settled, on="source_order_id", how="anti")])


def _states_of_nameless(quarantine: pl.LazyFrame) -> pl.LazyFrame:
    return (
        quarantine.filter(pl.col("source_order_id").is_null(), kind="quarantined", table="orders")
        .group_by("file", "line")
        .agg(_joined("reasons").alias("nameless_reason"))
        .with_columns(nameless_outcome=pl.lit("quarantined"))
    )


def _said_of_corrected(corrected_cells: pl.LazyFrame | None, *key: str) -> pl.LazyFrame:
    """Return the key and `corrected`: e.g. `corrected: Billing City, Lineitem sku (3)`; nothing where the key is null."""
    cells = empty_frame(CORRECTED_CELLS).lazy() if corrected_cells is None else corrected_cells
    times = pl.when(pl.col("cells") > 1).then(pl.format(" ({})", "cells")).otherwise(pl.lit(""))
    return (
        cells.filter(pl.col(key[0]).is_not_null())
        .group_by(*key, "column", maintain_order=True)
        .agg(cells=pl.struct("file", "line").n_unique())
        .group_by(*key, maintain_order=True)
        .agg(corrected=pl.lit(CORRECTED) + pl.concat_str("column", times).str.join(", "))
    )


def _in_one(*sentences: pl.Expr) -> pl.Expr:
    """Return those that are there, parted as reasons are."""
    said = pl.concat_str(sentences, separator="; ", ignore_nulls=True)
    return pl.when(said != "").then(said)


def _said_of_filled(filled_values: pl.LazyFrame) -> pl.LazyFrame:
    """Return source_order_id and `filled`: e.g. `filled by fallback: orders.customer_email, line_items.sku (3)`."""
    values = pl.element().struct.field("values")
    times = pl.when(values > 1).then(pl.format(" ({})", values)).otherwise(pl.lit(""))
    said = pl.concat_str(pl.element().struct.field("fallback"), times)
    return filled_values.select(
        "source_order_id", filled=pl.lit(FILLED_BY) + pl.col("filled").list.eval(said).list.join(", ")
    )


def _joined(reasons: str) -> pl.Expr:
    said = pl.col(reasons)
    return said.filter(said != "").unique(maintain_order=True).str.join("; ")


def _with_originals(frame: pl.LazyFrame, added: Sequence[str], keep: Sequence[str]) -> pl.LazyFrame:
    """Spread `original` into columns, renamed where `added` has their name; ours are kept under a prefix."""
    schema = frame.collect_schema()
    dtype = schema["original"]
    names = [field.name for field in dtype.fields] if isinstance(dtype, pl.Struct) else []
    kept = [pl.col(name).alias(_OURS + name) for name in keep]
    if not names:
        return frame.select(kept)
    originals = pl.col("original").struct.rename_fields(free_names(names, added))
    return frame.select(originals, *kept).unnest("original")


def _write_csv(table: pl.LazyFrame, last: Sequence[str], path: Path) -> None:
    """Write the columns, those of `last` at the end; names are matched as they are, never as patterns."""
    schema = table.collect_schema()
    names = [*(name for name in schema.names() if name not in last), *last]
    cells = [
        harmless(cs.by_name(name)) if schema[name] == pl.String else cs.by_name(name).as_expr()
        for name in names
    ]
    headers = pl.Series(names, dtype=pl.String).to_frame("name").select(harmless(pl.col("name")))["name"]
    with replacing(path) as draft:
        table.select(cells).rename(dict(zip(names, headers, strict=True))).sink_csv(draft)
