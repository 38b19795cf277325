"""Erasing customers: their data is taken out of all that the store's batches have of it; totals and proofs stay.

A customer is an e-mail address, or the source platform's id of a customer. Found in the raw tables, the accepted ones and
the listing of every batch; what belongs to their orders (lines, payloads, fulfillments, findings, reports, what the ledger
quotes of the API's answers) follows by the orders' ids. What is not the loader's is named and left alone: the merchant's
export files, copies of workbooks, Dagster's history, Corso itself.
"""

import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from corso.delivery.batch_lock import Run
from corso.delivery.ledger import Key, Ledger
from corso.delivery.states import State
from corso.errors import UsageError
from corso.extract.files import ExportFile, bring
from corso.report.certificate import hashed
from corso.report.masking import PAGE, is_masked
from corso.report.review import read_reviews, write_reviews
from corso.settings import Settings
from corso.stages.batch import Batch, batches_of
from corso.stages.blanking import ERASED, Blanking, Cause, Place, Whose, table_files
from corso.stages.erasures import Erasure, read_erasures, write_erasures
from corso.stages.keeping import forget_idle_copies
from corso.stages.reviewing import RETURNED, WORKBOOK, review_path
from corso.unexpected import CRASH

_BY_CUSTOMER = ("raw_orders", "raw_line_items", "raw_fulfillments", "accepted_orders", "corso_orders")
"""Tables in which customers stand, or stood in the export."""
_IN_DOUBT = (State.SENDING, State.UNKNOWN)
_SCANNED_AT_ONCE = 1 << 20
_RANGES_SAID = 20
"""Ranges of lines that a sentence names; `exports` has all."""


@dataclass
class Found:
    """What there is of some customers."""

    orders: set[str] = field(default_factory=set)
    places: dict[str, set[Place]] = field(default_factory=dict)
    """Batch -> their rows without an order."""
    exports: dict[str, set[int]] = field(default_factory=dict)
    """The merchant's files in which they and their orders' rows stand -> the lines."""
    loaded: dict[str, str] = field(default_factory=dict)
    """Export file -> its SHA-256 when it was loaded last."""
    unsearched: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Batch that was purged -> its export files that are still there: which rows are whose was in what went."""


@dataclass(frozen=True)
class Erased:
    """What was erased, or would be."""

    id: str
    orders: int
    batches: dict[str, list[str]]
    """Batch -> its files."""
    exports: dict[str, list[int]]
    """The merchant's files that have their rows -> the lines; of a Parquet file the rows, from 1."""
    left: tuple[str, ...]
    """What still holds their data and is not the loader's to change, in sentences."""


def read_customers(lines: Iterable[str]) -> list[str]:
    """Return the customers that some lines name: e-mail addresses and ids; empty lines and `#` ones are left out."""
    wanted = [line.strip() for line in lines]
    return list(dict.fromkeys(line for line in wanted if line and not line.startswith("#")))


def find_customers(settings: Settings, customers: Collection[str]) -> Found:
    """Look for customers in all batches of the store."""
    found = Found()
    batches = batches_of(settings)
    for batch in batches:
        batch.fetch_all()
        ids: set[str] = set()
        places: set[Place] = set()
        for path in table_files(batch):
            if _table_of(path) not in (*_BY_CUSTOMER, "quarantined_orders"):
                continue
            rows = _rows_of(path, customers)
            ids |= {order for order, _, _ in rows if order}
            places |= {(file, line) for order, file, line in rows if not order and file}
        found.orders |= ids
        if places:
            found.places[batch.name] = places
    for batch in batches:
        # By now all of their orders are known, also those that another batch told of.
        whose = Whose(frozenset(found.orders), frozenset(found.places.get(batch.name, ())))
        for file, line in _rows_in_exports(batch, whose):
            found.exports.setdefault(file, set()).add(line)
        files = {name: digest for name, digest, _ in batch.read_facts().files}
        found.loaded |= files
        if not batch.table("raw_orders").exists() and (there := _still_there(settings, files)):
            found.unsearched[batch.name] = there
    return found


def _still_there(settings: Settings, names: Iterable[str]) -> tuple[str, ...]:
    # What lies in a bucket may be there.
    return tuple(name for name in names if settings.kept_in is not None or (settings.home / name).exists())


def _rows_in_exports(batch: Batch, whose: Whose) -> Iterator[Place]:
    """Yield where the export has their rows."""
    for name in ("raw_orders", "raw_line_items", "raw_fulfillments"):
        if (table := batch.table(name)).exists():
            rows = (
                pl.scan_parquet(table, glob=False).filter(whose.rows(("file", "line"))).select("file", "line")
            )
            yield from rows.drop_nulls().collect().iter_rows()


def erase(
    settings: Settings, customers: Collection[str], now: datetime, *, history: Path, dry_run: bool
) -> Erased:
    """Take customers' data out of the store's batches; a `dry_run` says what it would touch.

    `history` is the folder in which Dagster keeps its own.

    One that was killed is finished first. Raises LedgerInUse and LeaseHeld where a loader is at work, and UsageError where
    an order of theirs is in doubt: its payload is needed to find out how it stands.
    """
    found = find_customers(settings, customers)
    _check_nothing_is_in_doubt(settings, found.orders)
    new = Erasure(
        id=secrets.token_hex(6),
        at=now,
        orders=tuple(sorted(found.orders)),
        places={batch: tuple(sorted(places)) for batch, places in found.places.items()},
    )
    if dry_run:
        touched = _would_touch(settings, new)
    elif new.is_about_any or _may_be_unfinished(settings):
        touched = _carry_out(settings, new)
    else:
        touched = {}
    return Erased(
        new.id if new.is_about_any and not dry_run else "",
        len(new.orders),
        touched,
        {file: sorted(found.exports[file]) for file in sorted(found.exports)},
        tuple(_left(settings, customers, found, touched, history)),
    )


def _may_be_unfinished(settings: Settings) -> bool:
    """Say whether an earlier erasure may have been killed; of a bucket that shows once a batch is worked on."""
    return settings.kept_in is not None or not all(each.is_done for each in read_erasures(settings))


def _carry_out(settings: Settings, new: Erasure) -> dict[str, list[str]]:
    """Erase in one batch after the other. Nothing is changed while a loader is at work on any of them."""
    touched: dict[str, list[str]] = {}
    batches = batches_of(settings)
    run = Run(new.id)
    for batch in batches:
        # A look: to hold them all would take a descriptor, or a connection, for each night of some years.
        with batch.lock().held(run):
            pass
    with ExitStack() as stack:
        ledger = _opened(settings, stack)
        for batch in batches:
            with batch.lock().held(run) as lock, batch.at_work(lock):
                batch.fetch_all()
                todo = _begun(settings, new)
                batch.publish()
                sweep(batch)
                files = {name for erasure in todo for name in _erase_in(batch, erasure)}
                batch.supersede()
                if files:
                    touched[batch.name] = sorted(files)
                if batch is batches[-1]:
                    _finish(batch, todo, ledger)
        forget_idle_copies(settings)
    return touched


def _begun(settings: Settings, new: Erasure) -> list[Erasure]:
    """Write down an erasure before anything is changed; return it and those that were begun earlier and did not end."""
    so_far = read_erasures(settings)
    if new.is_about_any and new.id not in {each.id for each in so_far}:
        so_far.append(new)
        write_erasures(settings, so_far)
    return [each for each in so_far if not each.is_done]


def _opened(settings: Settings, stack: ExitStack) -> Ledger | None:
    """Have the ledger, should there be one: nothing may be sent meanwhile."""
    place = settings.ledger
    if isinstance(place, Path) and not place.exists():
        return None
    store_id = settings.loader.store.id
    return stack.enter_context(Ledger.open(place, store_id, purpose="erasing a customer"))


def _finish(batch: Batch, todo: Collection[Erasure], ledger: Ledger | None) -> None:
    """Do what is the store's and not a batch's, then say that they are done; `batch` is the one at work."""
    settings = batch.settings
    orders = {order for erasure in todo for order in erasure.orders}
    if ledger is not None:
        ledger.forget_reasons(orders)
    _erase_in_review(settings, orders)
    batch.publish()
    done = {each.id for each in todo}
    write_erasures(settings, [each.done if each.id in done else each for each in read_erasures(settings)])
    batch.publish()


def _erase_in(batch: Batch, erasure: Erasure) -> list[str]:
    """Take the data out of one batch; return its files that were changed or taken away."""
    whose = erasure.whose(batch.name)
    if not is_in(batch, whose):
        return []
    cause = Cause("erasure", erasure.id, erasure.at)
    blanking = Blanking(batch, whose, cause)
    # What tells whose the rows of the reports are comes last: a second try needs it.
    numbers, places = _rows_in_results(batch, whose), _rows_in_quarantine(batch, whose)
    touched = [*blanking.results(numbers), *blanking.quarantine(places)]
    gone = [batch.folder / WORKBOOK, batch.tables / f"{WORKBOOK}.sha256", batch.tables / CRASH]
    page = batch.folder / PAGE
    for path in gone if is_masked(page) else [*gone, page]:
        if path.exists():
            blanking.remove(path)
            touched.append(path)
    touched += blanking.tables()
    return sorted(path.relative_to(batch.folder).as_posix() for path in touched)


def is_in(batch: Batch, whose: Whose) -> bool:
    """Say whether any table of a batch has rows of theirs."""
    for path in table_files(batch):
        columns = pl.scan_parquet(path, glob=False).collect_schema()
        if "source_order_id" in columns:
            hit = pl.scan_parquet(path, glob=False).select(whose.rows(columns).any()).collect().item()
            if hit:
                return True
    return False


def sweep(batch: Batch) -> None:
    """Take away what killed processes left in a batch that is locked: parts and drafts, which may hold anything."""
    for left in (
        *batch.folder.glob(".scratch-*"),
        *batch.folder.glob(".*.part"),
        *batch.tables.glob(".*.part"),
        *batch.tables.glob(".*.draft"),
        *batch.tables.glob(f".{CRASH}.*"),
        batch.tables / "reading_back",
        *batch.folder.rglob(".*.fetched"),
    ):
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _erase_in_review(settings: Settings, orders: Collection[str]) -> None:
    path = review_path(settings)
    reviews = read_reviews(path)
    theirs = pl.col("source_order_id").is_in(sorted(orders))
    if orders and reviews.select(theirs.any()).item():
        blank = [
            # The state is a hash of one value alone, which can be guessed: the sign-off falls with it.
            pl.when(theirs & pl.col(name).is_not_null())
            .then(pl.lit(ERASED))
            .otherwise(pl.col(name))
            .alias(name)
            for name in ("note", "signed_state")
        ]
        write_reviews(reviews.with_columns(blank), path)


def _table_of(path: Path) -> str:
    return (path.parent if path.parent.suffix == ".parquet" else path).stem


def _rows_of(path: Path, customers: Collection[str]) -> list[tuple[str | None, str | None, int]]:
    """Return order, file and line of the rows in which one of the customers stands."""
    schema = pl.scan_parquet(path, glob=False).collect_schema()
    addresses = sorted(each.casefold() for each in customers if "@" in each)
    ids = sorted(each for each in customers if "@" not in each)

    def is_address(value: pl.Expr) -> pl.Expr:
        return value.str.strip_chars().str.to_lowercase().is_in(addresses)

    found = []
    if "customer_source_customer_id" in schema:
        found.append(pl.col("customer_source_customer_id").str.strip_chars().is_in(ids))
    # Of the export any column may hold an address, whatever it became.
    is_raw = "fault" in schema
    texts = [name for name in schema if name == "customer_email" or is_raw]
    found += [is_address(pl.col(name)) for name in texts if schema[name] == pl.String]
    original = schema.get("original")
    if isinstance(original, pl.Struct):
        names = [each.name for each in original.fields if each.dtype == pl.String]
        found += [is_address(pl.col("original").struct.field(name)) for name in names]
        if "customer_source_customer_id" in names:
            found.append(pl.col("original").struct.field("customer_source_customer_id").is_in(ids))
    if not found:
        return []
    place = [
        pl.col(name) if name in schema else pl.lit(None, dtype).alias(name)
        for name, dtype in (("source_order_id", pl.String), ("file", pl.String), ("line", pl.Int64))
    ]
    return pl.scan_parquet(path, glob=False).filter(pl.any_horizontal(found)).select(place).collect().rows()


def _rows_in_results(batch: Batch, whose: Whose) -> set[int]:
    """Return which rows of results.csv are theirs: it has one for each source order, in the order of files and lines."""
    raw = batch.table("raw_orders")
    if not raw.exists():
        return set()
    rows = pl.scan_parquet(raw, glob=False).select("source_order_id", "file", "line").sort("file", "line")
    first = rows.filter(pl.col("source_order_id").is_null() | pl.col("source_order_id").is_first_distinct())
    numbered = first.with_row_index("number").filter(whose.rows(("file", "line")))
    return set(numbered.select("number").collect()["number"])


def _rows_in_quarantine(batch: Batch, whose: Whose) -> set[Place]:
    table = batch.table("quarantined_orders")
    if not table.exists():
        return set()
    rows = (
        pl.scan_parquet(table, glob=False)
        .filter(whose.rows(("file", "line")))
        .select("file", "line")
        .collect()
    )
    return set(rows.iter_rows())


def _check_nothing_is_in_doubt(settings: Settings, orders: Collection[str]) -> None:
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        entries = ledger.entries_of(Key(order) for order in orders).values()
        in_doubt = sorted(entry.key.source_order_id for entry in entries if entry.state in _IN_DOUBT)
    if in_doubt:
        message = (
            f"order {in_doubt[0]} is in doubt ({len(in_doubt)} of {len(orders)} are): what was sent is needed to find out "
            "whether it arrived; run `retry` first, then erase"
        )
        raise UsageError(message)


def _would_touch(settings: Settings, erasure: Erasure) -> dict[str, list[str]]:
    touched = {}
    for batch in batches_of(settings):
        whose = erasure.whose(batch.name)
        if not is_in(batch, whose):
            continue
        reports = [batch.folder / name for name in ("results.csv", "quarantine.csv", WORKBOOK)]
        files = [
            path
            for path in table_files(batch)
            if "source_order_id" in (schema := pl.scan_parquet(path, glob=False).collect_schema())
            and pl.scan_parquet(path, glob=False).select(whose.rows(schema).any()).collect().item()
        ]
        named = [*files, *(path for path in reports if path.exists())]
        touched[batch.name] = sorted(path.relative_to(batch.folder).as_posix() for path in named)
    return touched


def _left(
    settings: Settings, customers: Collection[str], found: Found, batches: Collection[str], history: Path
) -> Iterator[str]:
    """Name what may still hold their data, and is not the loader's to change."""
    for file in sorted(found.exports):
        yield f"{file}, {_lines_said(file, found.exports[file])}: {_as_export(settings, file, found.loaded.get(file))}"
    for name, files in found.unsearched.items():
        yield f"{', '.join(files)}: not searched: batch {name} keeps no rows of them any more; `corso-loader plan` reads them again"
    for name in batches:
        batch = Batch(settings, name)
        if any(batch.file(RETURNED).rglob("*.*")):
            yield f"copies of the workbook in {batch.shown(RETURNED)}"
    if settings.kept_in is not None:
        yield "working copies of other machines, below their CORSO_SCRATCH, and old versions of objects, should the bucket keep any"
    for path in _files_with(history, [each for each in customers if "@" in each]):
        yield f"{path}, Dagster's history, as an older version wrote it: delete the run in the UI"
    yield "Corso itself, and every copy and backup of the workdir"


def _as_export(settings: Settings, name: str, loaded: str | None) -> str:
    """Say of an export file whether it still is the one in which they stood."""
    path = settings.home / name
    if not path.exists():
        return "the merchant's export, not there any more; look where it was moved to"
    bring([ExportFile(path, name)])
    if hashed(path, name).sha256 != loaded:
        return "the merchant's export, changed since it was loaded: these lines may be others now"
    return "the merchant's export; a later load of it brings the data back"


def _lines_said(file: str, lines: Collection[int]) -> str:
    """Name lines of a file, those in a row as a range: `lines 3, 7-9`; a Parquet file has rows."""
    ranges: list[list[int]] = []
    for line in sorted(lines):
        if ranges and ranges[-1][1] == line - 1:
            ranges[-1][1] = line
        else:
            ranges.append([line, line])
    said = [f"{first}" if first == last else f"{first}-{last}" for first, last in ranges[:_RANGES_SAID]]
    more = ["…"] if len(ranges) > _RANGES_SAID else []
    each = "row" if file.endswith(".parquet") else "line"
    return f"{each}{'' if len(lines) == 1 else 's'} {', '.join(said + more)}"


def _files_with(folder: Path, texts: Collection[str]) -> Iterator[Path]:
    wanted = [text.casefold().encode() for text in texts]
    for path in sorted(folder.rglob("*")) if wanted else []:
        if path.is_file() and _holds_any(path, wanted):
            yield path


def _holds_any(path: Path, wanted: Collection[bytes]) -> bool:
    overlap = max(map(len, wanted))
    before = b""
    with path.open("rb") as stream:
        while piece := stream.read(_SCANNED_AT_ONCE):
            text = before + piece.lower()
            if any(each in text for each in wanted):
                return True
            before = text[-overlap:]
    return False
