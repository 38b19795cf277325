"""Extract, validate, plan: everything before the first byte leaves. Nothing here needs the API."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from corso.delivery.ledger import Ledger
from corso.errors import ExportError
from corso.extract.corrections import read_corrections
from corso.extract.fallbacks import read_fallbacks
from corso.extract.files import find_corrections, find_exports, fingerprint
from corso.extract.mapping import map_roles
from corso.extract.payloads import fulfillment_payloads, order_payloads
from corso.extract.plan import KNOWN_COLUMNS, PLAN_COLUMNS, plan_fulfillments, plan_orders
from corso.extract.profile import TABLES, TableName, load_profile
from corso.extract.roles import read_roles, said_of_corrections
from corso.extract.validate import check_bucket
from corso.report.tolerances import ignored_columns
from corso.stages.batch import Batch, Facts
from corso.stages.corrected import corrected_cells, keep_corrected_cells
from schemas.filled_values import FallbackUse
from schemas.moved_money import moved_amounts

ORDERS_PER_BUCKET = 100_000
"""So many orders, with all that belongs to them, are in memory at once."""

_BUCKET = "__bucket"

Tables = Mapping[TableName, pl.LazyFrame]


@dataclass(frozen=True)
class Validated:
    """What validation made of a batch."""

    accepted: Tables
    quarantine: pl.LazyFrame
    filled_values: pl.LazyFrame
    """What the declared fallbacks filled in which accepted order (`schemas.filled_values`)."""


def extract(batch: Batch, scratch: Path) -> Tables:
    """Return the raw tables of a batch's export files, corrected, and begin its facts anew.

    Raises SettingsError and ExportError.
    """
    settings = batch.settings
    profile = load_profile(settings.loader.exports.profile, settings.home)
    # What would be noticed only after the upload is checked now.
    read_fallbacks(settings.loader.fallbacks)
    ignored_columns(settings)
    files = find_exports(settings, batch.name)
    corrections = read_corrections(find_corrections(settings, batch.name), scratch / "corrections")
    roles = read_roles(profile, files, scratch, settings.loader.exports.forms, corrections)
    raw = map_roles(profile, roles)
    cells = corrected_cells(raw, roles.values())
    use = said_of_corrections(profile, roles, files, corrections)
    use = replace(
        use,
        orders=cells["source_order_id"].drop_nulls().n_unique(),
        notes=(*use.notes, *keep_corrected_cells(batch, cells)),
    )
    counts = _rows_by_file(raw)
    listed = [
        (file.name, fingerprint(file.path), counts.get(file.name, 0))
        for file in {file.path: file for group in files.values() for file in group}.values()
    ]
    batch.write_facts(Facts(profile=profile.name, files=tuple(listed), corrections=use))
    return raw


def validate(batch: Batch, raw: Tables, scratch: Path) -> Validated:
    """Split a batch's raw tables into accepted and quarantined, bucket by bucket.

    Raises ExportError where there is no order at all.
    """
    if not raw["orders"].select(pl.len()).collect().item():
        names = ", ".join(name for name, _, _ in batch.read_facts().files)
        message = f"the export files of batch {batch.name} hold no order ({names})"
        raise ExportError(message)
    fallbacks = read_fallbacks(batch.settings.loader.fallbacks)
    fields = original_fields(raw)
    policy = load_profile(batch.settings.loader.exports.profile, batch.settings.home).money
    used: Sequence[FallbackUse] = ()
    moved = []
    times: dict[str, int] = {}
    for number, bucket in enumerate(_buckets(raw, scratch / "buckets")):
        checked = check_bucket(bucket, batch.settings.loader.store, fallbacks, fields, policy)
        for name, frame in checked.accepted.items():
            _write_part(frame, scratch / name, number)
        _write_part(checked.quarantine, scratch / "quarantine", number)
        _write_part(checked.filled_values, scratch / "filled_values", number)
        moved.append(checked.moved)
        more = checked.fallbacks_used
        used = [one + other for one, other in zip(used, more, strict=True)] if used else more
        for kind, count in checked.times_settled.items():
            times[kind] = times.get(kind, 0) + count
    facts = batch.read_facts()
    found = {"fallbacks_used": tuple(used), "moved": moved_amounts(moved), "times_settled": times}
    batch.write_facts(facts.model_copy(update=found))
    return Validated(
        {name: _parts(scratch / name) for name in TABLES},
        _parts(scratch / "quarantine"),
        _parts(scratch / "filled_values"),
    )


def plan(batch: Batch, accepted: Tables, scratch: Path) -> pl.LazyFrame:
    """Return the upload plan (`corso.extract.plan.PLAN_COLUMNS`): orders first, each in the files' order."""
    settings = batch.settings
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        known = pl.DataFrame(ledger.known(), schema=KNOWN_COLUMNS, orient="row")
    for number, bucket in enumerate(_buckets(accepted, scratch / "buckets")):
        payloads = order_payloads(bucket["orders"], bucket["line_items"], settings.loader.store.id)
        orders = plan_orders(payloads, known, cancel_with_delete=settings.loader.upload.cancel_with_delete)
        fulfillments = plan_fulfillments(fulfillment_payloads(bucket["fulfillments"]), known)
        _write_part(orders.cast(PLAN_COLUMNS), scratch / "orders", number)
        _write_part(fulfillments.cast(PLAN_COLUMNS), scratch / "fulfillments", number)
    return pl.concat(
        [
            _parts(scratch / subject).sort("file", "line", maintain_order=True)
            for subject in ("orders", "fulfillments")
        ]
    )


def _rows_by_file(raw: Tables) -> dict[str, int]:
    """Return how many rows of each file came into the tables; one row may be in several tables."""
    places = pl.concat([table.select("file", "line") for table in raw.values()]).unique()
    return dict(places.group_by("file").len().collect().iter_rows())


def original_fields(raw: Tables) -> list[str]:
    """Return the fields that the `original` structs of the raw tables have together."""
    names: dict[str, None] = {}
    for table in raw.values():
        dtype = table.collect_schema()["original"]
        names |= dict.fromkeys(field.name for field in dtype.fields)  # type: ignore[attr-defined]  # a struct
    return list(names)


def _buckets(tables: Tables, folder: Path) -> Iterator[dict[TableName, pl.DataFrame]]:
    """Yield the tables part by part; an order and all that belongs to it are in the same part.

    Each table is read once, and its rows written below `folder` by bucket, so that the time does not grow with rows times
    buckets.
    """
    orders = tables["orders"].select(pl.len()).collect().item()
    count = 1 + orders // ORDERS_PER_BUCKET
    if count == 1:
        yield {name: table.collect() for name, table in tables.items()}
        return
    # A constant seed: both sides of every comparison fall into the same bucket within one run.
    bucket = pl.col("source_order_id").fill_null("").hash(0) % count
    for name, table in tables.items():
        parts = pl.PartitionBy(folder / name, key={_BUCKET: bucket}, include_key=False)
        table.sink_parquet(parts, mkdir=True, compression="lz4")
    for number in range(count):
        yield {name: _bucket(table, folder / name / f"{_BUCKET}={number}") for name, table in tables.items()}


def _bucket(table: pl.LazyFrame, folder: Path) -> pl.DataFrame:
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        return table.clear().collect()
    frame = (
        pl.concat(pl.scan_parquet(part) for part in parts).sort("file", "line", maintain_order=True).collect()
    )
    for part in parts:
        part.unlink()
    return frame


def _write_part(frame: pl.DataFrame, folder: Path, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / f"{number:05}.parquet", compression="zstd")


def _parts(folder: Path) -> pl.LazyFrame:
    parts: Sequence[Path] = sorted(folder.glob("*.parquet"))
    return pl.concat([pl.scan_parquet(part) for part in parts])
