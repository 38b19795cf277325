"""Known records: the ids of all that earlier passes over a store's listing have seen, kept with the store.

They make a newest-first pass sufficient. What was created before the last pass is among them, what was created since is
above the watermark, so that of an order that is in neither there is no record; and of one that is here it is known by
which ids to ask for its present state. They say nothing about what a record holds: that is read anew each time.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from corso.report.atomic import OWNER_ONLY, replacing
from corso.settings import Settings

SHOWS_WITHIN = timedelta(minutes=10)
"""How late the listing may show an order: a newest-first pass reads so far past the newest that is known (assumed)."""

_COLUMNS = ("source_order_id", "corso_order_id", "created_on")


class Known(BaseModel):
    """known_records.json: what is known of one store."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    """Of the API that was read: another environment holds other records."""
    newest: datetime | None
    """All that Corso created until then, by its clock, is known, but for what the listing shows late. None: not known."""
    passed_at: datetime
    """When the last pass was begun, by this machine's clock."""
    fully_passed_at: datetime
    """When the last pass over the whole listing was begun."""
    records: int
    """How many records there were."""
    page_size: int
    """Orders a page, as the API gave them; 0 where one page held all."""
    parts: tuple[str, ...]
    """The files of the ids, one a pass."""

    @property
    def watermark(self) -> datetime | None:
        """Down to where a newest-first pass has to read."""
        return self.newest - SHOWS_WITHIN if self.newest else None


def read_known(settings: Settings) -> Known | None:
    """Return what is known of a store's records; None before the first pass, or where it cannot be read."""
    folder = _folder(settings)
    try:
        known = Known.model_validate_json((folder / "known_records.json").read_bytes())
    except (OSError, ValidationError):
        return None
    is_whole = all((folder / part).exists() for part in known.parts)
    return known if is_whole and known.base_url == settings.loader.corso.base_url else None


def known_ids(settings: Settings, known: Known, source_order_ids: pl.Series) -> pl.DataFrame:
    """Return which records of these orders are known: `source_order_id`, `corso_order_id`, `created_on`."""
    folder = _folder(settings)
    rows = pl.scan_parquet([folder / part for part in known.parts], glob=False)
    return rows.filter(pl.col("source_order_id").is_in(source_order_ids.implode())).collect(
        engine="streaming"
    )


def keep_known(
    settings: Settings,
    listing: pl.LazyFrame,
    *,
    newest: datetime | None,
    began: datetime,
    page_size: int,
    on_top_of: Known | None,
) -> None:
    """Keep the ids of a pass that was read to its end (LISTING), and take away those that they replace.

    `on_top_of` is what was known before, where this pass read only what is newer.
    """
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    part = f"known_records-{uuid.uuid4().hex}.parquet"
    rows = listing.filter(pl.col("corso_order_id") != "").select(_COLUMNS)
    if on_top_of:
        rows = rows.filter(~pl.col("corso_order_id").is_in(_known_of(folder, on_top_of, rows).implode()))
        newest = max(filter(None, (newest, on_top_of.newest)), default=None)
    rows.sink_parquet(folder / part, compression="zstd")
    (folder / part).chmod(OWNER_ONLY)
    parts: Sequence[str] = (*on_top_of.parts, part) if on_top_of else (part,)
    known = Known(
        base_url=settings.loader.corso.base_url,
        newest=newest,
        passed_at=began,
        fully_passed_at=on_top_of.fully_passed_at if on_top_of else began,
        records=int(
            pl.scan_parquet([folder / each for each in parts], glob=False).select(pl.len()).collect().item()
        ),
        page_size=page_size or (on_top_of.page_size if on_top_of else 0),
        parts=tuple(parts),
    )
    with replacing(folder / "known_records.json") as draft:
        draft.write_text(known.model_dump_json(indent=1), encoding="utf-8")
    for left in folder.glob("known_records-*.parquet"):
        if left.name not in parts:
            left.unlink(missing_ok=True)


def _known_of(folder: Path, known: Known, rows: pl.LazyFrame) -> pl.Series:
    """Return those of Corso's ids among rows that are known."""
    ids = rows.select("corso_order_id").collect()["corso_order_id"]
    before = pl.scan_parquet([folder / part for part in known.parts], glob=False).select("corso_order_id")
    found = before.filter(pl.col("corso_order_id").is_in(ids.implode())).collect(engine="streaming")
    return found["corso_order_id"]


def _folder(settings: Settings) -> Path:
    """Return where the files are: among the store's, whose folders are its batches."""
    return settings.store_dir
