"""A batch in parts: an order and all that belongs to it are in the same one, and one fits into memory.

Exports mostly hold orders, lines and fulfillments in the same order. Then a part is a slice of each table, read where it
stands, and a few rows that stand apart from their order wait for it in memory: every row is read once, and none is written
anew. Where the tables are sorted in different ways, they are dealt out to files by a hash of the order's id first.
"""

import itertools
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl
import polars.selectors as cs

from corso.extract.profile import TableName
from schemas.raw import ORIGINAL

Tables = Mapping[TableName, pl.LazyFrame]

Result = TypeVar("Result")

PARTS_AT_ONCE = 2
_BASE_BYTES = 450 << 20
"""What the program takes before it has a part in memory: libraries, and files that are being read and written."""
_BYTES_PER_RAW_BYTE = 10
"""Memory at the peak of a part's way through validation and planning, for each byte of its raw tables (measured), but for
what rows were in the export where no column holds it word for word: that is only kept."""
_MEASURED_ROWS = 5_000
_LEAST_ORDERS = 1_000

_KEY = "__key"
_PART = "__part"
_ROW = "__row_of_table"
_SEED = 0
"""Of the hash of ids: a constant, so that all tables of a run are dealt out alike."""
_MOST_WAITING = 0.02
"""Which part of a table's rows may stand apart from their orders before all of them are dealt out by hash; and _FEW more."""
_FEW = 1000


@dataclass(frozen=True)
class Part:
    """Some orders with all that belongs to them."""

    number: int
    """From 0."""
    rows: Tables
    """The tables' rows (raw, or accepted), each table in the order of its files but for rows that stood apart."""
    files: Sequence[Path] = ()
    """What was written for this part alone."""

    def frames(self) -> dict[TableName, pl.DataFrame]:
        """Read the rows, of raw tables together with what they were in the export."""
        return dict(zip(self.rows, pl.collect_all(self.rows.values()), strict=True))

    def discard(self) -> None:
        """Take away what was written for this part; it cannot be read any more."""
        for file in self.files:
            file.unlink()


def parts(tables: Tables, orders_per_part: int, scratch: Path) -> Iterator[Part]:
    """Yield the parts of a batch."""
    orders = tables["orders"].select(pl.len()).collect().item()
    count = max(1, -(-orders // orders_per_part))
    if count == 1:
        yield Part(0, tables)
    elif cut := _cut(tables, count, orders_per_part):
        yield from _slices(tables, cut)
    else:
        yield from _dealt_out(tables, count, scratch)


@dataclass(frozen=True)
class _Cut:
    """Where tables are cut into parts."""

    starts: Mapping[TableName, list[int]]
    """The row of each part's beginning, and at last the table's height."""
    leaving: Mapping[TableName, pl.DataFrame]
    """_ROW of each row that waits for the last part in which its order has any, and that part's number: _PART."""


def _key() -> pl.Expr:
    """Return a hash of the order's id: two ids that share one only stay together. Null where there is no id."""
    return (
        pl.when(pl.col("source_order_id").is_not_null())
        .then(pl.col("source_order_id").hash(_SEED))
        .alias(_KEY)
    )


def _cut(tables: Tables, count: int, orders_per_part: int) -> _Cut | None:
    """Return where to cut; None where too many rows stand apart from their orders."""
    keys = {name: table.select(_key()).collect(engine="streaming")[_KEY] for name, table in tables.items()}
    orders = (
        keys["orders"]
        .to_frame()
        .with_columns(
            (pl.int_range(pl.len(), dtype=pl.UInt32) // orders_per_part).cast(pl.UInt16).alias(_PART)
        )
    )
    first = orders.lazy().drop_nulls(_KEY).group_by(_KEY).agg(pl.col(_PART).min())
    starts: dict[TableName, list[int]] = {}
    apart = []
    for name, own in keys.items():
        where = own.to_frame().lazy().join(first, on=_KEY, how="left", maintain_order="left").collect()[_PART]
        starts[name] = (
            [*range(0, len(own), orders_per_part), len(own)] if name == "orders" else _starts(where, count)
        )
        strays = own.filter(own.is_not_null() & where.ne_missing(_parts_of_rows(starts[name])))
        if len(strays) > _MOST_WAITING * len(own) + _FEW:
            return None
        apart.append(strays.unique())
    away = pl.concat(apart).unique().implode()
    leaving = _leaving(
        {
            name: pl.DataFrame([own, _parts_of_rows(starts[name])])
            .with_row_index(_ROW)
            .filter(pl.col(_KEY).is_in(away))
            for name, own in keys.items()
        }
    )
    return _Cut(starts, leaving)


def _leaving(apart: Mapping[TableName, pl.DataFrame]) -> dict[TableName, pl.DataFrame]:
    """Return which rows leave the part they stand in (_Cut.leaving), of those whose orders stand in several parts."""
    homes = pl.concat(apart.values()).group_by(_KEY).agg(pl.col(_PART).max().alias("home"))
    return {
        name: rows.join(homes, on=_KEY, maintain_order="left")
        .filter(pl.col(_PART) < pl.col("home"))
        .select(_ROW, pl.col("home").alias(_PART))
        for name, rows in apart.items()
    }


def _starts(where: pl.Series, count: int) -> list[int]:
    """Return where a table's parts begin, if each has as many rows as orders' parts say; `where` names each row's.

    Rows of no order count as those around them.
    """
    of_orders = where.is_not_null().arg_true()
    lengths = (
        pl.Series(range(count), dtype=pl.UInt16)
        .to_frame(_PART)
        .join(
            where.drop_nulls().to_frame(_PART).group_by(_PART).len(),
            on=_PART,
            how="left",
            maintain_order="left",
        )
    )
    ends = lengths["len"].fill_null(0).cum_sum().to_list()
    return [
        0,
        *(int(of_orders[end]) if end < len(of_orders) else len(where) for end in ends[:-1]),
        len(where),
    ]


def _parts_of_rows(starts: list[int]) -> pl.Series:
    lengths = [end - start for start, end in itertools.pairwise(starts)]
    return pl.select(
        pl.Series(_PART, range(len(lengths)), dtype=pl.UInt16)
        .repeat_by(pl.Series(lengths))
        .explode(empty_as_null=False)
    ).to_series()


def _slices(tables: Tables, cut: _Cut) -> Iterator[Part]:
    waiting: dict[tuple[TableName, int], list[pl.DataFrame]] = {}
    for number in range(len(cut.starts["orders"]) - 1):
        rows: dict[TableName, pl.LazyFrame] = {}
        for name, table in tables.items():
            start, end = cut.starts[name][number : number + 2]
            own = table.slice(start, end - start)
            leaving = cut.leaving[name].filter(pl.col(_ROW).is_between(start, end, closed="left"))
            if len(leaving):
                whole = own.collect()
                places = leaving.select(pl.col(_ROW) - start, _PART)
                for (home,), some in places.group_by(_PART, maintain_order=True):
                    waiting.setdefault((name, home), []).append(whole[some[_ROW]])
                stays = ~pl.int_range(pl.len(), dtype=pl.UInt32).is_in(places[_ROW].implode())
                own = whole.lazy().filter(stays)
            came = [frame.lazy() for frame in waiting.pop((name, number), [])]
            rows[name] = pl.concat([*came, own]) if came else own
        yield Part(number, rows)


def _dealt_out(tables: Tables, count: int, scratch: Path) -> Iterator[Part]:
    """Write each table's rows below `scratch` by part, then yield these."""
    part = (_key().fill_null(0) % count).alias(_PART)
    for name, table in tables.items():
        scheme = pl.PartitionBy(scratch / name, key={_PART: part}, include_key=False)
        table.sink_parquet(scheme, mkdir=True, compression="lz4")
    for number in range(count):
        files = {name: sorted(scratch.glob(f"{name}/{_PART}={number}/*.parquet")) for name in tables}
        rows = {name: _dealt(tables[name], own) for name, own in files.items()}
        yield Part(number, rows, [file for own in files.values() for file in own])


def _dealt(table: pl.LazyFrame, files: Sequence[Path]) -> pl.LazyFrame:
    if not files:
        return table.clear()
    # Files of one part are written side by side.
    rows = pl.concat(pl.scan_parquet(file, hive_partitioning=False, glob=False) for file in files)
    return rows.sort("file", "line", maintain_order=True)


def orders_per_part(tables: Tables, memory: int) -> int:
    """Return how many orders a part may have, so that PARTS_AT_ONCE of them can be worked on in so many bytes.

    How much an order takes is told by the first ones of each table.
    """
    heights = {name: table.select(pl.len()).collect().item() for name, table in tables.items()}
    of_all = 0.0
    for name, table in tables.items():
        first = table.head(_MEASURED_ROWS).collect()
        worked_with = first.select(~cs.starts_with(ORIGINAL)).estimated_size()
        of_all += (
            (first.estimated_size() + (_BYTES_PER_RAW_BYTE - 1) * worked_with)
            * heights[name]
            / max(1, first.height)
        )
    an_order = max(1.0, of_all / max(1, heights["orders"]))
    free = max(memory - _BASE_BYTES, memory // 4)
    return max(_LEAST_ORDERS, int(free / (PARTS_AT_ONCE * an_order)))


def worked_on(found: Iterable[Part], work: Callable[[Part], Result]) -> Iterator[Result]:
    """Yield what `work` returns for each part, in their order, PARTS_AT_ONCE at a time: what one does alone leaves cores idle."""
    with ThreadPoolExecutor(PARTS_AT_ONCE) as pool:
        running: deque[Future[Result]] = deque()
        for part in found:
            running.append(pool.submit(work, part))
            if len(running) == PARTS_AT_ONCE:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def put_in_place(written: Path, table: Path) -> None:
    """Make a Parquet file, or a folder of them, the table, in place of the one that is there.

    The rows of a folder are in the order of its files' names. A folder takes no other's place in one step: whoever is
    killed between the two leaves no table, and the next plan writes all of them.
    """
    old = table.with_name(f".{table.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if table.is_dir():
        table.rename(old)
    elif written.is_dir():
        table.unlink(missing_ok=True)
    table.parent.mkdir(parents=True, exist_ok=True)
    written.replace(table)
    shutil.rmtree(old, ignore_errors=True)
