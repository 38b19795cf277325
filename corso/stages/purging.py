"""Purging: the personal data of old batches is taken out; what counts and what ties stays, and can be checked again.

Raw tables and workbooks go. All other files stay with every text that may be a customer's taken out (`blanking`), so that
status, later batches, the report's page and `reconcile --verify` work on.
"""

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from corso.delivery.batch_lock import Run
from corso.errors import SettingsError, UsageError
from corso.report.amendments import AMENDMENTS, read_amendments
from corso.report.masking import PAGE, is_masked
from corso.settings import Settings
from corso.stages.batch import Batch, batches_of
from corso.stages.blanking import Blanking, Cause, Whose
from corso.stages.erasing import sweep
from corso.stages.keeping import forget_idle_copies
from corso.stages.reviewing import RETURNED, WORKBOOK
from corso.unexpected import CRASH

_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}
_AGE = re.compile(r"(\d{1,5})\s*([dwmy])", re.IGNORECASE)
_GONE = ("raw_orders", "raw_line_items", "raw_fulfillments", "unseen")
"""Tables that nothing is counted in again."""


@dataclass(frozen=True)
class Purged:
    """A batch that was purged, or would be."""

    batch: str
    last_used: datetime
    files: tuple[str, ...]


def parse_age(text: str) -> timedelta:
    """Read `90d`, `12w`, `6m` (months of 30 days) or `2y` (years of 365). Raises SettingsError."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        message = f"{text!r} is no age: write it as 90d, 12w, 6m or 2y"
        raise SettingsError(message)
    return timedelta(days=int(found[1]) * _DAYS[found[2].lower()])


def purge(settings: Settings, age: timedelta, now: datetime, *, dry_run: bool) -> list[Purged]:
    """Purge the batches that no run has touched for so long; return them. A `dry_run` says what it would touch.

    Raises LedgerInUse where a loader is at work on one of them; those before it are purged.
    """
    done = []
    for batch in batches_of(settings):
        used = last_used(batch)
        if now - used < age or (_is_purged(batch) and not batch.has_superseded()):
            continue
        batch.fetch_all()
        if dry_run:
            done.append(Purged(batch.name, used, tuple(sorted(_named(batch, _holders(batch))))))
            continue
        with batch.lock().held(Run(secrets.token_hex(6))) as held, batch.at_work(held):
            batch.fetch_all()
            files = tuple(sorted(_named(batch, _purge(batch, now))))
            batch.supersede()
        done.append(Purged(batch.name, used, files))
    if done and not dry_run:
        forget_idle_copies(settings)
    return done


def last_used(batch: Batch) -> datetime:
    """Return when a verb last wrote the batch's books."""
    paths = [batch.file("tables/facts.json"), batch.file("summary.json")]
    times = [path.stat().st_mtime for path in paths if path.exists()] or [batch.tables.stat().st_mtime]
    return datetime.fromtimestamp(max(times)).astimezone()


def check_not_purged(batch: Batch) -> None:
    """Raise UsageError where a batch was purged: there is nothing that Corso could be compared with."""
    if _is_purged(batch):
        message = (
            f"batch {batch.name} was purged: what was accepted is not there any more to be compared; plan it again from its "
            "export files (`corso-loader plan`), or check it with `reconcile --verify`"
        )
        raise UsageError(message)


def _is_purged(batch: Batch) -> bool:
    """Whether nothing was written since it was purged."""
    if batch.table_written_at("raw_orders") is not None or batch.file(WORKBOOK).exists():
        return False
    return any(each.what == "purge" for each in read_amendments(batch.file(AMENDMENTS).parent))


def _purge(batch: Batch, now: datetime) -> Iterator[Path]:
    blanking = Blanking(batch, Whose(), Cause("purge", secrets.token_hex(6), now))
    sweep(batch)
    yield from blanking.results(())
    yield from blanking.quarantine(())
    page = batch.folder / PAGE
    if not is_masked(page):
        yield from _removed(blanking, [page])
    yield from blanking.tables()
    returned = batch.folder / RETURNED
    if returned.exists():
        shutil.rmtree(returned)
        yield returned
    # Last: as long as they are there, in a bucket, too, the batch counts as not purged.
    batch.publish()
    yield from _removed(blanking, _goes(batch))


def _removed(blanking: Blanking, paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.exists():
            blanking.remove(path)
            yield path


def _goes(batch: Batch) -> list[Path]:
    others = [batch.tables / CRASH, batch.tables / f"{WORKBOOK}.sha256", batch.folder / WORKBOOK]
    return [*others, *(batch.table(name) for name in _GONE)]


def _holders(batch: Batch) -> Iterator[Path]:
    """Name what a purge would touch."""
    yield from (path for path in _goes(batch) if path.exists())
    for name in ("results.csv", "quarantine.csv", RETURNED):
        if (batch.folder / name).exists():
            yield batch.folder / name
    for name in ("accepted_*", "quarantined_orders", "upload_plan", "corso_*", "reconciliation", "healed"):
        yield from batch.tables.glob(f"{name}.parquet")


def _named(batch: Batch, paths: Iterator[Path]) -> Iterator[str]:
    yield from {path.relative_to(batch.folder).as_posix() for path in paths}
