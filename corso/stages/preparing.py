"""Extract, validate, plan: everything before the first byte leaves. Nothing here needs the API."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from corso.delivery.ledger import Ledger
from corso.delivery.ports import unwatched
from corso.errors import ExportError
from corso.extract.corrections import read_corrections
from corso.extract.fallbacks import read_fallbacks
from corso.extract.files import bring, find_corrections, find_exports, fingerprint
from corso.extract.mapping import Mapped, map_roles
from corso.extract.payloads import fulfillment_payloads, order_payloads
from corso.extract.plan import PLAN_COLUMNS, plan_fulfillments, plan_orders
from corso.extract.profile import TABLES, TableName, load_profile
from corso.extract.roles import read_roles, said_of_corrections
from corso.extract.validate import ROW, Checked, check_part
from corso.report.tolerances import ignored_columns
from corso.stages.batch import Batch, Facts, ProgressWatch
from corso.stages.corrected import corrected_cells, keep_corrected_cells
from corso.stages.erasures import erased_orders, said_of_erased
from corso.stages.known_entries import known_entries
from corso.stages.later_batches import loaded_before, orders_of_later_batches, said_of_later_batches
from corso.stages.parts import Part, Tables, orders_per_part, parts, worked_on
from schemas.filled_values import FallbackUse
from schemas.moved_money import moved_amounts
from schemas.raw import ORIGINAL, original_headers, original_struct, scan_raw, stored

_ROWS_PER_GROUP = 50_000
"""Of the raw tables' files: parts begin within a group of rows, which is then read twice."""

_PAYLOADS_PER_GROUP = 20_000
"""Of a plan's files: nearly all of them is one column, and groups are written side by side."""

_WRITTEN: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "statistics": False}
"""How tables are written: nobody looks for ranges of values in them."""


@dataclass(frozen=True)
class Validated:
    """What validation made of a batch."""

    accepted: Mapping[TableName, Path]
    """Folders of Parquet files, one for each part of the batch, named alike in all of them."""
    quarantine: pl.LazyFrame
    filled_values: pl.LazyFrame
    """What the declared fallbacks filled in which accepted order (`schemas.filled_values`)."""


def extract(batch: Batch, scratch: Path) -> dict[TableName, Path]:
    """Write the raw tables of a batch's export files, corrected, below `scratch`, and begin the batch's facts anew.

    Raises SettingsError and ExportError.
    """
    settings = batch.settings
    profile = load_profile(settings.loader.exports.profile, settings.home)
    # What would be noticed only after the upload is checked now.
    read_fallbacks(settings.loader.fallbacks)
    ignored_columns(settings)
    files = find_exports(settings, batch.name)
    corrected = find_corrections(settings, batch.name)
    bring([*corrected, *(file for group in files.values() for file in group)])
    named = {file.path: file.name for group in files.values() for file in group}
    corrections = read_corrections(corrected, scratch / "corrections")
    # Reading leaves a core idle now and then.
    with ThreadPoolExecutor(1) as beside:
        digests = beside.map(fingerprint, named)
        roles = read_roles(profile, files, scratch, settings.loader.exports.forms, corrections)
        raw = _written(map_roles(profile, roles), scratch / "raw")
    rows = {name: scan_raw(path) for name, path in raw.items()}
    cells = corrected_cells(rows, roles.values())
    use = said_of_corrections(profile, roles, files, corrections)
    use = replace(
        use,
        orders=cells["source_order_id"].drop_nulls().n_unique(),
        notes=(*use.notes, *keep_corrected_cells(batch, cells)),
    )
    # How many rows they have is counted with their orders.
    listed = tuple((name, digest, 0) for name, digest in zip(named.values(), digests, strict=True))
    loaded_at = loaded_before(batch, (digest for _, digest, _ in listed))
    batch.write_facts(Facts(profile=profile.name, files=listed, corrections=use, loaded_at=loaded_at))
    return raw


def validate(batch: Batch, raw: Tables, scratch: Path, watch: ProgressWatch = unwatched) -> Validated:
    """Split a batch's raw tables, read from files, into accepted and quarantined, part by part; `watch` is told of rows of orders.

    Raises ExportError where there is no order at all.
    """
    total = raw["orders"].select(pl.len()).collect().item()
    if not total:
        names = ", ".join(name for name, _, _ in batch.read_facts().files)
        message = f"the export files of batch {batch.name} hold no order ({names})"
        raise ExportError(message)
    fallbacks = read_fallbacks(batch.settings.loader.fallbacks)
    headers = list(
        dict.fromkeys(each for table in raw.values() for each in original_headers(table.collect_schema()))
    )
    policy = load_profile(batch.settings.loader.exports.profile, batch.settings.home).money
    used: Sequence[FallbackUse] = ()
    moved = []
    times: dict[str, int] = {}
    store = batch.settings.loader.store

    rows: Counter[str] = Counter()

    def check(part: Part) -> tuple[Checked, Counter[str], int]:
        whole = part.frames()
        frames = {name: table.select(~cs.starts_with(ORIGINAL)) for name, table in whole.items()}
        checked = check_part(frames, store, fallbacks, policy)
        for name, frame in checked.accepted.items():
            _write_part(frame, scratch / name, part.number)
        _write_part(_with_originals(checked.quarantine, whole, headers), scratch / "quarantine", part.number)
        _write_part(checked.filled_values, scratch / "filled_values", part.number)
        part.discard()
        # What is written need not be kept.
        counted = replace(checked, accepted={}, quarantine=pl.DataFrame(), filled_values=pl.DataFrame())
        return counted, _rows_by_file(frames), frames["orders"].height

    size = orders_per_part(raw, batch.settings.loader.limits.memory)
    done = 0
    watch("check", done, total)
    for checked, own_rows, orders in worked_on(parts(raw, size, scratch / "dealt_out"), check):
        done += orders
        watch("check", done, total)
        rows += own_rows
        moved.append(checked.moved)
        more = checked.fallbacks_used
        used = [one + other for one, other in zip(used, more, strict=True)] if used else more
        for kind, count in checked.times_settled.items():
            times[kind] = times.get(kind, 0) + count
    facts = batch.read_facts()
    found = {
        "files": tuple((name, digest, rows[name]) for name, digest, _ in facts.files),
        "fallbacks_used": tuple(used),
        "moved": moved_amounts(moved),
        "times_settled": times,
    }
    batch.write_facts(facts.model_copy(update=found))
    return Validated(
        {name: scratch / name for name in TABLES},
        pl.scan_parquet(scratch / "quarantine", glob=False),
        pl.scan_parquet(scratch / "filled_values", glob=False),
    )


def plan(
    batch: Batch, accepted: Mapping[TableName, Path], scratch: Path, watch: ProgressWatch = unwatched
) -> Path:
    """Write the upload plan (`corso.extract.plan.PLAN_COLUMNS`) as a folder: orders first, each in the files' order.

    `accepted` are folders as `validate` makes them; older versions made files. `watch` is told of orders.
    """
    settings = batch.settings
    later = orders_of_later_batches(batch)
    store_id, with_delete = settings.loader.store.id, settings.loader.upload.cancel_with_delete
    files = [sorted(table.glob("*.parquet")) if table.is_dir() else [table] for table in accepted.values()]

    def plan_part(part: Part) -> tuple[int, int]:
        rows = part.frames()
        known = known_entries(ledger, rows["orders"]["source_order_id"])
        payloads = order_payloads(rows["orders"], rows["line_items"], store_id)
        orders = plan_orders(payloads, known, later, cancel_with_delete=with_delete)
        fulfillments = plan_fulfillments(fulfillment_payloads(rows["fulfillments"]), known)
        for place, frame in ((part.number, orders), (len(files[0]) + part.number, fulfillments)):
            _write_part(frame.cast(PLAN_COLUMNS), scratch / "plan", place, rows_per_group=_PAYLOADS_PER_GROUP)
        left_alone = orders.filter(
            pl.col("action") != "create", pl.col("source_order_id").is_in(later)
        ).height
        return left_alone, rows["orders"].height

    made = (
        Part(
            number,
            {name: pl.scan_parquet(file, glob=False) for name, file in zip(accepted, of_part, strict=True)},
        )
        for number, of_part in enumerate(zip(*files, strict=True))
    )
    total = pl.scan_parquet(files[0], glob=False).select(pl.len()).collect().item()
    done = left_alone = 0
    watch("plan", done, total)
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        for left, orders_of_part in worked_on(made, plan_part):
            left_alone += left
            done += orders_of_part
            watch("plan", done, total)
    if left_alone:
        facts = batch.read_facts()
        notes = (*facts.upload_notes, said_of_later_batches(left_alone))
        batch.write_facts(facts.model_copy(update={"upload_notes": notes}))
    _note_erased(batch, files[0])
    return scratch / "plan"


def _note_erased(batch: Batch, orders: Sequence[Path]) -> None:
    """Keep among the facts that the export has orders of customers who were erased: it brings their data back."""
    erased = sorted(erased_orders(batch.settings))
    ids = pl.scan_parquet(list(orders), glob=False).filter(pl.col("source_order_id").is_in(erased))
    there = ids.select(pl.len()).collect().item() if erased else 0
    if there:
        facts = batch.read_facts()
        notes = (*facts.upload_notes, said_of_erased(there))
        batch.write_facts(facts.model_copy(update={"upload_notes": notes}))


def _written(tables: Mapping[TableName, Mapped], folder: Path) -> dict[TableName, Path]:
    """Write raw tables in one pass over the files that they are made of."""
    folder.mkdir(parents=True)
    files = {name: folder / f"{name}.parquet" for name in tables}
    sinks = []
    for name, table in tables.items():
        rows, metadata = stored(table.rows, table.word_for_word)
        sinks.append(
            rows.sink_parquet(
                files[name], **_WRITTEN, row_group_size=_ROWS_PER_GROUP, metadata=metadata, lazy=True
            )
        )
    pl.collect_all(sinks, engine="streaming")
    return files


def _rows_by_file(tables: Mapping[TableName, pl.DataFrame]) -> Counter[str]:
    """Return how many rows of each file came into the tables; one row may be in several tables."""
    places = pl.concat(table.lazy().select("file", "line") for table in tables.values())
    return Counter(dict(places.group_by("file").agg(pl.col("line").n_unique()).collect().iter_rows()))


def _with_originals(
    quarantine: pl.DataFrame, raw: Mapping[TableName, pl.DataFrame], headers: Sequence[str]
) -> pl.DataFrame:
    """Add `original`, each row as it stood in the export, in place of the row's number in its raw table."""
    tables = []
    for name in TABLES:
        rows = quarantine.filter(table=name)
        originals = raw[name].select(cs.starts_with(ORIGINAL))[rows[ROW]]
        struct = original_struct(originals.columns, headers)
        tables.append(pl.concat([rows.drop(ROW), originals.select(struct)], how="horizontal"))
    return pl.concat(tables)


def _write_part(frame: pl.DataFrame, folder: Path, number: int, *, rows_per_group: int | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / f"{number:05}.parquet", **_WRITTEN, row_group_size=rows_per_group)
