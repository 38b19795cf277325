"""A finding's life: first seen, how old it is, who looks after it, and when it healed.

A finding is known by its id. It is open as long as reconciliations find it; the first one that does not, heals it. What
was not read stays as it was: fulfillments beyond the budget stay open, and foreign records, which look-ups do not see, are
kept aside (`unseen`) until a listing shows whether they are still there. One that comes back is the
same finding, with the day on which it was first seen, in whichever batch of the store that was.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from corso.report.findings import gravest_first
from corso.report.ranges import Ranges
from corso.report.review import REVIEWS, reviewed
from schemas.fields import INSTANT, dtypes, empty_frame
from schemas.reconciliation import CAUSES, FINDINGS, HEALED, KINDS

_SEEN = {"source_order_id": pl.String(), "finding_id": pl.String(), "first_seen": INSTANT}


def _nothing_seen() -> pl.LazyFrame:
    return pl.LazyFrame(schema=_SEEN)


@dataclass(frozen=True)
class Earlier:
    """What is known of findings before a reconciliation."""

    open: pl.LazyFrame = field(default_factory=lambda: empty_frame(FINDINGS).lazy())
    """FINDINGS of the batch's last reconciliation, with those that it did not see; columns that an older version did not
    know may be missing."""
    healed: pl.LazyFrame = field(default_factory=lambda: empty_frame(HEALED).lazy())
    """HEALED of the batch."""
    elsewhere: pl.LazyFrame = field(default_factory=_nothing_seen)
    """source_order_id, finding_id, first_seen: findings of other batches of the store."""
    reviews: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REVIEWS))
    """REVIEWS of the store."""

    def by_range(self) -> dict[str, pl.LazyFrame]:
        """Return the tables to be cut, under names."""
        before, healed = _complete(self.open, dtypes(FINDINGS)), _complete(self.healed, dtypes(HEALED))
        seen = pl.concat(frame.select(list(_SEEN)) for frame in (before, healed, self.elsewhere))
        return {"open_before": before, "healed_before": healed, "seen_before": seen}


@dataclass(frozen=True)
class Lived:
    """The findings of one range, with their lives."""

    open: pl.DataFrame
    """FINDINGS, sorted."""
    healed: pl.DataFrame
    """HEALED."""
    unseen: pl.DataFrame
    """FINDINGS of earlier reconciliations about foreign records, where those of others were not read."""


def lived(
    found: pl.DataFrame, ranges: Ranges, number: int, reviews: pl.DataFrame, unread: pl.Expr, now: datetime
) -> Lived:
    """Give the findings of one range their lives.

    `found` are named findings. `unread` is true for those findings of the last reconciliation that are about what was
    not read this time: they stay open.
    """
    before = ranges.part("open_before", number)
    healed_before = ranges.part("healed_before", number)
    moment = pl.lit(now).cast(INSTANT)
    seen = ranges.part("seen_before", number).group_by("finding_id").agg(pl.col("first_seen").min())
    dated = found.join(seen, on="finding_id", how="left", maintain_order="left").with_columns(
        pl.col("first_seen").fill_null(moment)
    )
    gone = before.join(found, on="finding_id", how="anti")
    unread_rows = (
        gone.select(unread.alias("unread"))["unread"] if gone.height else pl.Series([], dtype=pl.Boolean)
    )
    not_read = gone.filter(unread_rows)
    of_others = (pl.col("kind") == "foreign") & pl.col("source_fulfillment_id").is_null()
    carried, unseen = not_read.filter(~of_others), not_read.filter(of_others)
    everything = _complete(dated.lazy(), dtypes(FINDINGS)).collect()
    if carried.height:
        everything = pl.concat([everything, carried]).sort(
            *gravest_first(), "source_order_id", nulls_last=True, maintain_order=True
        )
    aged = everything.with_columns(age_days=(moment - pl.col("first_seen")).dt.total_days().cast(pl.Int32))
    still_healed = healed_before.join(everything, on="finding_id", how="anti")
    just_healed = gone.filter(~unread_rows).with_columns(healed_at=moment)
    healed = pl.concat([just_healed, still_healed]).unique("finding_id", keep="first", maintain_order=True)
    return Lived(reviewed(aged, reviews), healed, unseen)


class FindingParts:
    """Findings on disk, range by range, to be read as one table in its order."""

    def __init__(self, folder: Path) -> None:
        self._open, self._healed, self._unseen = folder / "open", folder / "healed", folder / "unseen"
        for each in (self._open, self._healed, self._unseen):
            each.mkdir(parents=True)

    def add(self, number: int, found: Lived) -> None:
        """Keep the findings of one range; ranges come in their order."""
        for (kind, cause), part in _parts(found.open, "kind", "cause"):
            rank = f"{KINDS.index(kind)}-{cause != 'unexplained':d}-{CAUSES.index(cause):02}"
            part.write_parquet(self._open / f"{rank}-{number:05}.parquet", compression="zstd")
        for (healed_at,), part in _parts(found.healed, "healed_at"):
            # The latest first: names in falling order of the time.
            rank = f"{10**17 - round(healed_at.timestamp() * 10**6):017}"
            part.write_parquet(self._healed / f"{rank}-{number:05}.parquet", compression="zstd")

        if found.unseen.height:
            found.unseen.write_parquet(self._unseen / f"{number:05}.parquet", compression="zstd")

    def findings(self) -> pl.LazyFrame:
        """Return FINDINGS."""
        return _scanned(self._open, empty_frame(FINDINGS))

    def healed(self) -> pl.LazyFrame:
        """Return HEALED."""
        return _scanned(self._healed, empty_frame(HEALED))

    def unseen(self) -> pl.LazyFrame:
        """Return FINDINGS that are kept aside."""
        return _scanned(self._unseen, empty_frame(FINDINGS))


def _parts(frame: pl.DataFrame, *keys: str) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    yield from frame.partition_by(*keys, as_dict=True, maintain_order=True).items()


def _scanned(folder: Path, empty: pl.DataFrame) -> pl.LazyFrame:
    parts = sorted(folder.glob("*.parquet"))
    return pl.concat([pl.scan_parquet(part, glob=False) for part in parts]) if parts else empty.lazy()


def _complete(frame: pl.LazyFrame, wanted: dict[str, pl.DataType]) -> pl.LazyFrame:
    """Return a table with all its columns; those that an older version did not know are empty."""
    there = frame.collect_schema().names()
    return frame.select(
        (pl.col(name) if name in there else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in wanted.items()
    )
