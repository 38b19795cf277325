"""Records: the parts of a reading put together, each record once and in its newest state, in bounded memory.

A record may have been read twice: where cursors met, where orders came meanwhile, where the API gave a page again. Only
ids, and when each was changed and read, are looked at to find them; the parts themselves are never in memory.
"""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from corso.stages.reading_back.checkpoint import NUMBER

RECORDS_AT_ONCE = 2_000_000
"""Records whose ids are held against each other at once: some 200 MB."""

_PART, _ROW = "part", "row"


def count_records(parts: list[Path]) -> int:
    """Return how many records there are, with those that were read twice."""
    return int(pl.scan_parquet(parts, glob=False).select(pl.len()).collect().item())


def each_once(parts: list[Path], *, at_once: int = RECORDS_AT_ONCE) -> pl.LazyFrame:
    """Return all records of parts (LISTING and NUMBER) as one LISTING, each of Corso's ids once.

    The one that Corso changed last stays, and of several such the one that was read last. Records without an id are
    never taken for another.
    """
    outdated = pl.concat(_outdated(parts, at_once)).partition_by(_PART, as_dict=True)
    whole = [part for number, part in enumerate(parts) if (number,) not in outdated]
    frames = [pl.scan_parquet(whole, glob=False)] if whole else []
    for number, part in enumerate(parts):
        if (number,) in outdated:
            rows = outdated[number,][_ROW].implode()
            frame = pl.scan_parquet(part, row_index_name=_ROW, glob=False)
            frames.append(frame.filter(~pl.col(_ROW).is_in(rows)).drop(_ROW))
    return pl.concat(frames).drop(NUMBER)


def _outdated(parts: list[Path], at_once: int) -> Iterator[pl.DataFrame]:
    """Yield, bucket by bucket, the part and row of every record that was read again later, or in a newer state."""
    buckets = 1 + count_records(parts) // at_once
    for bucket in range(buckets):
        narrow = [
            pl.scan_parquet(part, row_index_name=_ROW, glob=False)
            .filter(pl.col("corso_order_id") != "", pl.col("corso_order_id").hash(0) % buckets == bucket)
            .select("corso_order_id", "updated_on", NUMBER, pl.lit(number).alias(_PART), _ROW)
            for number, part in enumerate(parts)
        ]
        ids = pl.concat(narrow).collect(engine="streaming")
        again = ids.filter(pl.col("corso_order_id").is_duplicated())
        is_newest = pl.col("corso_order_id").is_last_distinct()
        yield again.sort("updated_on", NUMBER, _ROW, nulls_last=False).filter(~is_newest).select(_PART, _ROW)
