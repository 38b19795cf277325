"""A batch that is kept in a bucket (`workdir: s3://…`), as a folder of this process.

Whoever works on a batch has its lock (`corso.delivery.batch_lock`) and a copy of the batch and of the store's own files, takes
up the bucket's state as it begins, and publishes what it has finished: tables by a manifest, so that a reader has all of one
state or all of the next; then reports under their own names, summary.json last. What it did not come to publish is lost
with it, and done again by the next one, on whatever machine; what was sent is in the ledger.

Whoever only looks has what it asks for as it was when it began to look.
"""

import logging
import shutil
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from corso.delivery.batch_lock import Held
from corso.errors import CorsoError, SettingsError
from corso.report.amendments import AMENDMENTS
from corso.settings import Settings
from corso.storage.address import BucketAddress
from corso.storage.bucket import bucket_at
from corso.storage.working_copy import PlainCopy, VersionedCopy, used_at

TABLES = "tables"
_WORKBOOK, _RETURNED = "reconciliation.xlsx", "review"
"""What people edit, and where edits of it are taken up (`reviewing`)."""
_FIRST = (AMENDMENTS,)
"""What an erasure or a purge means to change is known before it is changed: one that is killed in between is gone on with."""
_LAST = ("certificate.json", "summary.json")
"""Whoever finds a new summary finds the files that it speaks of."""
CHECKPOINT = "reading_back"
"""Among the tables: a database that is written to all the time, and published when it says so."""

_ALONE = ("review.csv",)
"""Of the store's own files the one that no run may overwrite unseen: what people signed."""
_FORGOTTEN_AFTER_S = 86_400

_LOG = logging.getLogger("corso.keeping")


class SeenBatch:
    """A batch in a bucket as it is looked at."""

    def __init__(self, settings: Settings, batch: str) -> None:
        bucket, prefix = bucket_at(_address_of(settings)), f"{_store_prefix(settings)}{batch}/"
        self.folder = settings.batch_dir(batch)
        self._tables = VersionedCopy(bucket, f"{prefix}{TABLES}/", self.folder / TABLES)
        self._reports = PlainCopy(bucket, prefix, self.folder, without=[TABLES])
        self._taken_up: set[str] = set()

    def file(self, name: str) -> Path:
        """Return where a file or a folder of the batch is on this machine; perhaps there is none."""
        first, _, rest = name.partition("/")
        copy: VersionedCopy | PlainCopy = self._tables if first == TABLES else self._reports
        self._take_up(copy)
        return copy.fetch(rest if first == TABLES else name)

    def fetch_all(self) -> None:
        """Fetch every file of the batch."""
        for copy in (self._tables, self._reports):
            self._take_up(copy)
            copy.fetch_all()

    def has_superseded(self) -> bool:
        """Say whether the bucket has objects of tables that are not of their state."""
        self._take_up(self._tables)
        return self._tables.has_superseded()

    def table_written_at(self, name: str) -> float | None:
        """Return when a table was written (POSIX seconds); None where there is none."""
        self._take_up(self._tables)
        written_ns = self._tables.modified_ns(name)
        return None if written_ns is None else written_ns / 1e9

    def _take_up(self, copy: VersionedCopy | PlainCopy) -> None:
        if copy.folder.name not in self._taken_up:
            copy.take_up()
            self._taken_up.add(copy.folder.name)


class BatchAtWork(SeenBatch):
    """A batch in a bucket as it is worked on."""

    def __init__(self, settings: Settings, batch: str, held: Held) -> None:
        super().__init__(settings, batch)
        bucket = bucket_at(_address_of(settings))
        self._store = PlainCopy(bucket, _store_prefix(settings), settings.store_dir, is_flat=True)
        self._held = held
        self._turn = threading.RLock()

    def begin(self) -> None:
        """Take up the state of the batch, and fetch the store's own files."""
        for copy in (self._tables, self._reports):
            self._take_up(copy)
        self._store.take_up()
        self._store.fetch_all()

    def publish(self, *, without: Collection[str] = (CHECKPOINT,)) -> None:
        """Put what is finished. Raises Stopped, and LeaseLost where another one has taken over."""
        with self._turn:
            self._held.check()
            # First: where another batch's run has changed the review, too, nothing of this one's counts.
            self._store.publish(alone=_ALONE)
            self._reports.publish(only=_FIRST)
            self._tables.publish(without=without)
            self._reports.publish(last=_LAST, edited={_WORKBOOK: _RETURNED})

    def publish_checkpoint(self) -> None:
        """Put what was read back so far; nobody may write to it meanwhile."""
        with self._turn:
            self._held.check()
            self._tables.publish(only=[CHECKPOINT])

    def supersede(self) -> None:
        """Put all that is here, and take away every object of the tables that is not of it, whoever left it.

        Raises Stopped, and LeaseLost where another one has taken over.
        """
        with self._turn:
            self.publish(without=())
            self._tables.publish(claims=True)
            self._tables.purge()

    def end(self) -> None:
        """Publish what is left, as far as that is possible, and take away what it supersedes."""
        try:
            self.publish(without=())
            self._tables.purge()
        except CorsoError as error:
            # What a stage finished was published by it, or has failed it.
            _LOG.warning("not all is published: %s", error)


_AT_WORK: dict[Path, tuple[BatchAtWork, bool]] = {}
"""Folder of a batch -> its copy, and whether it is held at the moment: this process goes on to look at what it worked on."""


def copy_at_work(settings: Settings, batch: str, *, held: bool = False) -> BatchAtWork | None:
    """Return this process's working copy of a batch, if it has one; `held`: only while it may write."""
    found, is_held = _AT_WORK.get(settings.batch_dir(batch), (None, False))
    return found if is_held or not held else None


@contextmanager
def at_work(settings: Settings, batch: str, held: Held) -> Iterator[None]:
    """Work on a batch in a bucket, whose lock is `held`; at the end all is published. Raises SettingsError and Stopped."""
    copy, folder = BatchAtWork(settings, batch, held), settings.batch_dir(batch)
    _forget_others(settings.workdir, folder)
    copy.begin()
    _AT_WORK[folder] = (copy, True)
    try:
        yield
    finally:
        copy.end()
        _AT_WORK[folder] = (copy, False)


def forget_idle_copies(settings: Settings) -> None:
    """Take away what this machine has of the store in working copies that no process uses, should it be kept in a bucket."""
    if settings.kept_in is not None:
        for folder in settings.kept_in.idle_folders():
            shutil.rmtree(folder / str(settings.loader.store.id), ignore_errors=True)


def batches_in_bucket(settings: Settings) -> list[str]:
    """Return the names of a store's batches."""
    return bucket_at(_address_of(settings)).children(_store_prefix(settings))[0]


def _forget_others(workdir: Path, folder: Path) -> None:
    """Take away this process's copies of other batches that nobody has used for a day: they are in the bucket."""
    for other in workdir.glob("*/*"):
        if other.is_dir() and other != folder and time.time() - used_at(other) > _FORGOTTEN_AFTER_S:
            shutil.rmtree(other, ignore_errors=True)


def _address_of(settings: Settings) -> BucketAddress:
    address = settings.kept_in
    if address is None:
        message = f"{settings.path}: workdir is no bucket"
        raise SettingsError(message)
    return address


def _store_prefix(settings: Settings) -> str:
    return f"{settings.loader.store.id}/"
