"""Tables cut into ranges of source_order_id, so that each range can be worked on in bounded memory.

Every table is read once and its rows are written by range (polars' PartitionBy); an order and all that belongs to it are
in the same range. Ranges instead of hash buckets: what is found range by range is then in order, and no table of findings
has to be sorted as a whole. Where one range holds everything, nothing is written.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

_RANGE = "__range"
_ROWS_AT_ONCE = 500_000
_SAMPLED = 64
"""So many ids a range are looked at for finding where ranges begin."""


class Ranges:
    """Ranges of ids and the tables that were cut by them.

    Range n begins with `cuts[n - 1]`. Rows without an id are in the last one.
    """

    def __init__(self, folder: Path, cuts: Sequence[str] = ()) -> None:
        self._folder = folder
        self.cuts = tuple(cuts)
        self._whole: dict[tuple[str, int], pl.DataFrame] = {}

    @property
    def numbers(self) -> range:
        """The ranges, in the order of their ids."""
        return range(len(self.cuts) + 1)

    def cut(self, name: str, table: pl.LazyFrame) -> None:
        """Cut a narrow table, which has the column source_order_id."""
        if not self.cuts:
            self._whole[name, 0] = table.collect(engine="streaming")
            return
        self._write(name, table, 0)
        # An empty range leaves no file to learn the columns from.
        self._whole[name, -1] = table.head(0).collect()

    def cut_wide(
        self, name: str, table: pl.LazyFrame, select: Callable[[pl.LazyFrame], pl.LazyFrame]
    ) -> None:
        """Cut what `select` makes of a wide table, row by row; it is read slice by slice."""
        if not self.cuts:
            self._whole[name, 0] = select(table).collect(engine="streaming")
            return
        for number, rows in enumerate(slices(table)):
            self._write(name, select(rows), number)
        self._whole[name, -1] = select(table.head(0)).collect()

    def _write(self, name: str, table: pl.LazyFrame, number: int) -> None:
        folder = self._folder / name / f"{number:05}"
        parts = pl.PartitionBy(folder, key={_RANGE: self._number()}, include_key=False)
        table.sink_parquet(parts, mkdir=True, compression="lz4")

    def part(self, name: str, number: int) -> pl.DataFrame:
        """Return the rows of one range."""
        if (kept := self._whole.get((name, number))) is not None:
            return kept
        files = sorted((self._folder / name).glob(f"*/{_RANGE}={number}/*.parquet"))
        if not files:
            return self._whole[name, -1]
        return pl.concat(pl.scan_parquet(file, glob=False) for file in files).collect()

    def put(self, name: str, number: int, frame: pl.DataFrame) -> None:
        """Keep what was made of a range, to be had again as its `part`."""
        if not self.cuts:
            self._whole[name, number] = frame
            return
        folder = self._folder / name / "00000" / f"{_RANGE}={number}"
        folder.mkdir(parents=True)
        frame.write_parquet(folder / "0.parquet", compression="lz4")

    def drop(self, *names: str) -> None:
        """Forget tables of which nothing is needed again, where they are in memory."""
        for name in names:
            self._whole.pop((name, 0), None)

    def finer(self, folder: Path, ids: Iterable[pl.Series], rows_per_range: int) -> "Ranges":
        """Return ranges of which each lies in one of these, and holds at most so many of `ids` (sorted, by range)."""
        cuts = []
        for number, some in enumerate(ids):
            cuts += [self.cuts[number - 1]] if number else []
            cuts += some.gather(range(rows_per_range, len(some), rows_per_range)).to_list()
        return Ranges(folder, cuts)

    def within(self, outer: "Ranges", number: int) -> Iterator[int]:
        """Yield the ranges of these that lie in one range of `outer`."""
        first = bisect_left(self.cuts, outer.cuts[number - 1]) + 1 if number else 0
        end = (
            bisect_left(self.cuts, outer.cuts[number]) + 1 if number < len(outer.cuts) else len(self.cuts) + 1
        )
        yield from range(first, end)

    def _number(self) -> pl.Expr:
        id_ = pl.col("source_order_id")
        number = pl.sum_horizontal((id_ >= cut).cast(pl.UInt32) for cut in self.cuts)
        return pl.when(id_.is_null() | (id_ == "")).then(len(self.cuts)).otherwise(number)


def slices(table: pl.LazyFrame) -> Iterator[pl.LazyFrame]:
    """Yield a wide table slice by slice, at least one.

    polars decodes a Parquet file far ahead of what it is asked for: four million wide rows took 3 GB at once.
    """
    rows = table.select(pl.len()).collect().item()
    for offset in range(0, max(1, rows), _ROWS_AT_ONCE):
        yield table.slice(offset, _ROWS_AT_ONCE)


def cuts_between(tables: Iterable[pl.LazyFrame], rows_per_range: int) -> list[str]:
    """Return where ranges of about so many rows of the longest table begin.

    Found by a sample of every table's ids, the same ids in each, so that the longest one does not decide alone.
    """
    tables = [table.select("source_order_id") for table in tables]
    rows = max(table.select(pl.len()).collect().item() for table in tables)
    ranges = 1 + rows // rows_per_range
    if ranges == 1:
        return []
    every = max(1, rows // (ranges * _SAMPLED))
    sampled = pl.concat(tables).filter(pl.col("source_order_id").hash(0) % every == 0).unique()
    ids = sampled.drop_nulls().collect()["source_order_id"].sort()
    places = [len(ids) * number // ranges for number in range(1, ranges)]
    return sorted({ids[place] for place in places} - {""}) if len(ids) else []
