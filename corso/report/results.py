"""results.csv and quarantine.csv: the merchant's own rows, in their own columns, with what became of them.

Both are read in spreadsheets, where a cell that begins like a formula is one. Such a cell gets an apostrophe in
front (`harmless`), which `as_they_were` takes away again; nothing else is changed.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs

from corso.report.atomic import replacing
from schemas.quarantine import PROBLEM

ADDED_TO_RESULTS = ("outcome", "corso_order_id", "reason")
ADDED_TO_QUARANTINE = ("file", "line", "reasons")
FILLED_BY = "filled by fallback: "
"""Stands in results.csv before what loader.yaml filled in an order."""
NO_STATE = "unaccounted"
"""The outcome of a source order that is neither accepted nor quarantined: a fault of ours, never hidden."""

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


def write_results(
    raw_orders: pl.LazyFrame,
    quarantine: pl.LazyFrame,
    outcomes: pl.LazyFrame,
    filled_values: pl.LazyFrame,
    path: Path,
) -> None:
    """Write results.csv: one row = one source order, in the order of files and lines.

    `raw_orders` has `source_order_id`, `file`, `line` and the struct `original`; where an order has several rows the
    first counts, a row without an id is an order of its own. An original column named like one of ours is written
    as `original_<name>`. What fallbacks filled in an order (FILLED_VALUES) stands behind its reason.
    """
    rows = raw_orders.select("source_order_id", "file", "line").sort("file", "line")
    first = rows.filter(pl.col("source_order_id").is_null() | pl.col("source_order_id").is_first_distinct())
    ended = (
        first.join(_states(quarantine, outcomes), on="source_order_id", how="left")
        .join(_said_of_filled(filled_values), on="source_order_id", how="left")
        .join(_states_of_nameless(quarantine), on=["file", "line"], how="left")
    )
    state = ended.select(
        "file",
        "line",
        pl.coalesce("outcome", "nameless_outcome", pl.lit(NO_STATE)).alias("outcome"),
        "corso_order_id",
        # Only an accepted order has something filled, and only a nameless row has the last one.
        pl.coalesce(
            pl.col("reason") + pl.lit("; ") + pl.col("filled"), "filled", "reason", "nameless_reason"
        ).alias("reason"),
    )
    table = _with_originals(raw_orders, ADDED_TO_RESULTS, keep=("file", "line"))
    joined = table.join(state.rename({"file": _FILE, "line": _LINE}), on=[_FILE, _LINE]).sort(_FILE, _LINE)
    _write_csv(joined.drop(_FILE, _LINE), ADDED_TO_RESULTS, path)


def write_quarantine(quarantine: pl.LazyFrame, path: Path) -> None:
    """Write quarantine.csv: one row = one export row that is not loaded, in the order of files and lines.

    A line of a file that is a row of several tables is written once, with all its reasons.
    """
    if "original" not in quarantine.collect_schema():
        quarantine = quarantine.with_columns(original=pl.lit(None, pl.Struct([])))
    rows = (
        quarantine.select("file", "line", "reasons", "original")
        .sort("file", "line", maintain_order=True)
        .group_by("file", "line", maintain_order=True)
        .agg(pl.col("original").first(), _joined("reasons"))
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
    originals = pl.col("original").struct.rename_fields(_free_names(names, added))
    return frame.select(originals, *kept).unnest("original")


def _free_names(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    free: list[str] = []
    for name in names:
        new = name
        while new in taken or new in free or (new != name and new in names):
            new = f"original_{new}"
        free.append(new)
    return free


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
