"""results.csv and quarantine.csv: the merchant's own rows, in their own columns, with what became of them.

Both are read in spreadsheets; `schemas.spreadsheet` says how cells and columns are written. The rows are as the export
has them, also where they were corrected since: which cells were is told in the last column.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import polars.selectors as cs

from corso.report.atomic import replacing
from corso.report.ranges import Ranges, cuts_between
from schemas.corrections import CORRECTED_CELLS
from schemas.fields import empty_frame
from schemas.quarantine import OF_ANOTHER_ROW, PROBLEM
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

ORDERS_PER_RANGE = 1_000_000
"""What became of so many orders is looked for at once: some 200 MB."""
ROWS_AT_ONCE = 100_000
"""So many rows of the export are written at once, with all their columns: some 200 MB."""
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
    scratch: Path,
    corrected_cells: pl.LazyFrame | None = None,
    listed: pl.LazyFrame | None = None,
    *,
    orders_per_range: int = ORDERS_PER_RANGE,
    rows_at_once: int = ROWS_AT_ONCE,
) -> None:
    """Write results.csv: one row = one source order, in the order of files and lines.

    `raw_orders` has `source_order_id`, `file`, `line` and the struct `original`; where an order has several rows the
    first counts, a row without an id is an order of its own. An original column named like one of ours is written
    as `original_<name>`. What was corrected in an order (CORRECTED_CELLS) and what fallbacks filled in it
    (FILLED_VALUES) stand behind its reason. `listed` (`source_order_id`, `corso_order_id`) are the records that were read back: where
    an order's own is not among them, it has the id of the one that is there. Below `scratch` is written what became of the rows: it is found by the orders' ids, range by
    range, and read by where the rows stand, so that neither is in memory as a whole.
    """
    rows = raw_orders.select("source_order_id", "file", "line")
    if not _is_in_order(rows, rows_at_once):
        raw_orders = raw_orders.sort("file", "line", maintain_order=True).collect().lazy()
        rows = raw_orders.select("source_order_id", "file", "line")
    ranges = Ranges(scratch / "by_order", cuts_between([rows], orders_per_range))
    refused = quarantine.filter(kind="quarantined")
    tables = {
        "rows": rows.with_row_index(_PLACE),
        "refused": refused.select("source_order_id", "table", "file", "line", "reasons"),
        "settled": outcomes.select("source_order_id", "outcome", "corso_order_id", "reason"),
        "listed": _NOTHING_LISTED
        if listed is None
        else listed.select(_NOTHING_LISTED.collect_schema().names()),
        "corrected": _said_of_corrected(corrected_cells, "source_order_id"),
        "filled": _said_of_filled(filled_values),
    }
    for name, table in tables.items():
        ranges.cut(name, table)
    for number in ranges.numbers:
        own = {name: ranges.part(name, number).lazy() for name in tables}
        settled = _as_listed(own["settled"], own["listed"])
        ended = _ended(own["rows"], own["refused"], settled, own["corrected"], own["filled"])
        key = {_SLICE: pl.col(_PLACE) // rows_at_once}
        by_place = pl.PartitionBy(scratch / "by_place" / f"{number:05}", key=key, include_key=False)
        ended.sink_parquet(by_place, mkdir=True, compression="lz4")
    with replacing(path) as draft, draft.open("wb") as file:
        # One slice at least: a file without rows has headers, too.
        for start in range(0, max(1, rows.select(pl.len()).collect().item()), rows_at_once):
            files = scratch.glob(f"by_place/*/{_SLICE}={start // rows_at_once}/*.parquet")
            states = pl.concat([_NOTHING_ENDED, *(pl.read_parquet(each, glob=False) for each in files)]).sort(
                _PLACE
            )
            slice_ = raw_orders.slice(start, rows_at_once)
            originals = _with_originals(slice_, ADDED_TO_RESULTS, keep=()).collect()
            first = originals[states[_PLACE] - start] if originals.width else originals
            whole = pl.concat([first, states.drop(_PLACE)], how="horizontal")
            _cells(whole.lazy(), ADDED_TO_RESULTS).collect().write_csv(file, include_header=not start)


def _is_in_order(rows: pl.LazyFrame, rows_at_once: int) -> bool:
    """Say whether rows stand in the order of files and lines."""
    last = pl.DataFrame(schema=rows.select("file", "line").collect_schema())
    for start in range(0, rows.select(pl.len()).collect().item(), rows_at_once):
        places = pl.concat([last, rows.slice(start, rows_at_once).select("file", "line").collect()])
        if not places.equals(places.sort("file", "line")):
            return False
        last = places.tail(1)
    return True


def _ended(
    rows: pl.LazyFrame,
    refused: pl.LazyFrame,
    settled: pl.LazyFrame,
    corrected: pl.LazyFrame,
    filled: pl.LazyFrame,
) -> pl.LazyFrame:
    """Return the places of the first rows of orders, and what became of these; in no order."""
    of_order = pl.col("source_order_id")
    first = rows.sort(_PLACE).filter(of_order.is_null() | of_order.is_first_distinct())
    ended = (
        first.join(_states(refused, settled), on="source_order_id", how="left")
        .join(corrected, on="source_order_id", how="left")
        .join(filled, on="source_order_id", how="left")
        .join(_states_of_nameless(refused), on=["file", "line"], how="left")
    )
    return ended.select(
        _PLACE,
        pl.coalesce("outcome", "nameless_outcome", pl.lit(NO_STATE)).alias("outcome"),
        "corso_order_id",
        _in_one(pl.coalesce("reason", "nameless_reason"), pl.col("corrected"), pl.col("filled")).alias(
            "reason"
        ),
    )


def write_quarantine(
    quarantine: pl.LazyFrame,
    path: Path,
    scratch: Path,
    corrected_cells: pl.LazyFrame | None = None,
    *,
    rows_at_once: int = ROWS_AT_ONCE,
) -> None:
    """Write quarantine.csv: one row = one export row that is not loaded, in the order of files and lines.

    A line of a file that is a row of several tables is written once, with all its reasons. What was corrected in it
    already (CORRECTED_CELLS) stands behind them. Where there are many rows, they are dealt out below `scratch` by where they stand
    in the export, so that they are never in memory as a whole.
    """
    if "original" not in quarantine.collect_schema():
        quarantine = quarantine.with_columns(original=pl.lit(None, pl.Struct([])))
    rows = quarantine.select("file", "line", "reasons", "original")
    corrected = _said_of_corrected(corrected_cells, "file", "line").collect()
    with replacing(path) as draft, draft.open("wb") as file:
        for number, some in enumerate(_by_place(rows, scratch / "quarantine", rows_at_once)):
            whole = (
                some.sort("file", "line", maintain_order=True)
                .group_by("file", "line", maintain_order=True)
                .agg(pl.col("original").first(), _joined("reasons"))
                .join(corrected.lazy(), on=["file", "line"], how="left", maintain_order="left")
                .with_columns(_in_one(pl.col("reasons"), pl.col("corrected")).alias("reasons"))
            )
            table = _with_originals(whole, ADDED_TO_QUARANTINE, keep=("file", "line", "reasons"))
            ours = table.rename({_OURS + name: name for name in ADDED_TO_QUARANTINE})
            _cells(ours, ADDED_TO_QUARANTINE).collect().write_csv(file, include_header=not number)


def _by_place(rows: pl.LazyFrame, scratch: Path, rows_at_once: int) -> Iterator[pl.LazyFrame]:
    """Yield rows in slices of the export, of about so many lines; at least one, and each in no order."""
    count = rows.select(pl.len()).collect().item()
    if count <= rows_at_once:
        yield rows
        return
    lines = rows.group_by("file").agg(pl.col("line").max()).sort("file").collect(engine="streaming")
    before = dict(zip(lines["file"], lines["line"].cum_sum() - lines["line"], strict=True))
    slice_ = (pl.col("file").replace_strict(before, return_dtype=pl.Int64) + pl.col("line")) // rows_at_once
    for start in range(0, count, rows_at_once):
        scheme = pl.PartitionBy(scratch / f"{start:012}", key={_SLICE: slice_}, include_key=False)
        rows.slice(start, rows_at_once).sink_parquet(scheme, mkdir=True, compression="lz4")
    for number in sorted({int(path.name.partition("=")[2]) for path in scratch.glob("*/*")}):
        files = sorted(scratch.glob(f"*/{_SLICE}={number}/*.parquet"))
        yield pl.concat(pl.scan_parquet(each, hive_partitioning=False, glob=False) for each in files)


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
_PLACE, _SLICE = "__place", "__slice"
"""Where a row stands in the export, counted from 0; which slice of the export that is in."""
_NOTHING_LISTED = pl.LazyFrame(schema={"source_order_id": pl.String(), "corso_order_id": pl.String()})
_NOTHING_ENDED = pl.DataFrame(
    schema={_PLACE: pl.get_index_type(), **dict.fromkeys(ADDED_TO_RESULTS, pl.String())}
)


def _as_listed(settled: pl.LazyFrame, listed: pl.LazyFrame) -> pl.LazyFrame:
    """Put the id of the record that is there in place of one that is not: somebody took that away and made another."""
    own = pl.col("corso_order_id").is_in(pl.col("listed")).fill_null(value=False)
    there = listed.group_by("source_order_id").agg(listed="corso_order_id")
    current = pl.when(own).then("corso_order_id").otherwise(pl.col("listed").list.min())
    return settled.join(there, on="source_order_id", how="left").select(
        "source_order_id", "outcome", pl.coalesce(current, "corso_order_id").alias("corso_order_id"), "reason"
    )


def _states(refused: pl.LazyFrame, settled: pl.LazyFrame) -> pl.LazyFrame:
    """Return outcome, corso_order_id and reason of every order that has an id."""
    quarantined = (
        refused.filter(pl.col("source_order_id").is_not_null())
        # That row's own reasons stand here, too.
        .with_columns(pl.col("reasons").replace(OF_ANOTHER_ROW, ""))
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
    return pl.concat([settled, quarantined.join(settled, on="source_order_id", how="anti")])


def _states_of_nameless(refused: pl.LazyFrame) -> pl.LazyFrame:
    return (
        refused.filter(pl.col("source_order_id").is_null(), table="orders")
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


def _cells(table: pl.LazyFrame, last: Sequence[str]) -> pl.LazyFrame:
    """Return the columns as cells of CSV, those of `last` at the end; names are matched as they are, never as patterns."""
    schema = table.collect_schema()
    names = [*(name for name in schema.names() if name not in last), *last]
    cells = [
        harmless(cs.by_name(name)) if schema[name] == pl.String else cs.by_name(name).as_expr()
        for name in names
    ]
    headers = pl.Series(names, dtype=pl.String).to_frame("name").select(harmless(pl.col("name")))["name"]
    return table.select(cells).rename(dict(zip(names, headers, strict=True)))
