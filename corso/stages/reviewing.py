"""Reviewing: workbooks that people edited are taken up before they are written anew.

Two places are looked at: reconciliation.xlsx in the batch's folder, and every spreadsheet in the folder `review` beside it,
for copies that went through the mail. What was taken up in full is done with: a copy goes to `review/taken`. What could
not be read, or not be taken up in full, is kept in `review` and named in the report until somebody takes it away.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import polars as pl

from corso.delivery.lock import Lock, this_process
from corso.errors import LedgerInUse, UsageError
from corso.extract.files import fingerprint
from corso.report.returned import read_returned, take_up
from corso.report.review import read_reviews, write_reviews
from corso.settings import Settings
from corso.stages.batch import Batch

WORKBOOK = "reconciliation.xlsx"
RETURNED = "review"
"""The folder for copies, in the batch's folder."""
_SPREADSHEETS = {".xlsx", ".xlsm", ".xls", ".ods"}
_PATIENCE_S = 30.0
"""So long another run may take to write the review."""


def review_path(settings: Settings) -> Path:
    """Return where the store's review is."""
    return settings.store_dir / "review.csv"


def take_up_reviews(batch: Batch, now: datetime) -> tuple[str, ...]:
    """Take up what people wrote into workbooks; return what there is to say of it.

    Raises UsageError where review.csv itself cannot be read.
    """
    returned = list(_returned(batch))
    if not returned:
        return ()
    said: list[str] = []
    with _alone(batch.settings):
        for path in returned:
            said += _take_up_one(batch, path, now)
    return tuple(said)


def remember_written(batch: Batch) -> None:
    """Remember the workbook as it is now, so that only one that was edited since is read."""
    _stamp(batch).write_text(fingerprint(batch.folder / WORKBOOK), encoding="utf-8")


def save_late_edits(batch: Batch) -> None:
    """Keep a workbook that was edited while the batch was reconciled: the next reconciliation takes it up."""
    if _is_edited(batch):
        _moved(batch.folder / WORKBOOK, batch.folder / RETURNED)


def _returned(batch: Batch) -> Iterator[Path]:
    if _is_edited(batch):
        yield batch.folder / WORKBOOK
    for path in sorted(batch.file(RETURNED).glob("*")):
        # Spreadsheets leave lock files beside what they have open.
        if path.is_file() and path.suffix.lower() in _SPREADSHEETS and not path.name.startswith(("~", ".")):
            yield path


def _take_up_one(batch: Batch, path: Path, now: datetime) -> list[str]:
    name = path.relative_to(batch.folder).as_posix()
    try:
        returned = read_returned(path)
    except UsageError as error:
        return [f"{error}; it is kept as {_kept(batch, path)}, and nothing in it was taken up."]
    kept = review_path(batch.settings)
    taken = take_up(returned, read_reviews(kept), _known(batch), now)
    if taken.rows:
        write_reviews(taken.reviews, kept)
    said = list(taken.sentences(name))
    if not taken.is_whole:
        return [*said, f"{name} is kept as {_kept(batch, path)}."]
    if path.parent == batch.folder:
        remember_written(batch)
    else:
        _moved(path, batch.folder / RETURNED / "taken")
    return said


def _is_edited(batch: Batch) -> bool:
    workbook, stamp = batch.file(WORKBOOK), _stamp(batch)
    # Without a stamp an older version wrote it: it has no seals, and nobody was asked to edit it.
    return workbook.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") != fingerprint(workbook)


def _stamp(batch: Batch) -> Path:
    return batch.file(f"tables/{WORKBOOK}.sha256")


def _kept(batch: Batch, path: Path) -> str:
    """Keep a workbook where no run writes; return where that is."""
    folder = batch.folder / RETURNED
    if path.parent != folder:
        path = _moved(path, folder)
    return path.relative_to(batch.folder).as_posix()


def _moved(path: Path, folder: Path) -> Path:
    """Move a file into a folder under its name and a part of its hash: the same content is there once."""
    folder.mkdir(parents=True, exist_ok=True)
    return path.replace(folder / f"{path.stem}-{fingerprint(path)[:8]}{path.suffix}")


def _known(batch: Batch) -> pl.Series:
    """Return the ids of the batch's findings, open and healed."""
    tables = [batch.table(name) for name in ("reconciliation", "healed") if batch.table(name).exists()]
    ids = [pl.scan_parquet(table, glob=False).select("finding_id") for table in tables]
    nothing = pl.LazyFrame(schema={"finding_id": pl.String})
    return pl.concat([nothing, *ids]).collect()["finding_id"]


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Keep other batches of the store, which may be reconciled at the same time, from writing the review."""
    lock = _lock(settings.store_dir / ".review.lock")
    try:
        yield
    finally:
        lock.release()


def _lock(path: Path) -> Lock:
    give_up_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return Lock.take(path, this_process(), what="the review")
        except LedgerInUse:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
