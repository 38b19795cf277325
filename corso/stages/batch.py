"""A batch while it is worked on: its folder, and the facts about it that no table holds."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Protocol, Self
from uuid import uuid4

from pydantic import BaseModel, BeforeValidator, ConfigDict

from corso.delivery.batch_lock import BatchTables, Held, Run
from corso.report.atomic import replacing
from corso.report.summary import MoneyRow, QuotaUse, ReconciliationCounts, Requests, Stage
from corso.settings import Settings
from corso.stages.keeping import BatchAtWork, SeenBatch, at_work, batches_in_bucket, copy_at_work
from corso.storage.address import BucketAddress
from schemas.corrections import CorrectionsUse
from schemas.filled_values import FallbackUse
from schemas.moved_money import MovedAmount


@dataclass(frozen=True, slots=True)
class Pace:
    """How the limiter is doing at the moment."""

    per_second: float = 0.0
    """Requests that are allowed a second."""
    pause_s: float = 0.0
    """Seconds for which nothing may be sent."""
    quota_share: float | None = None
    """The part of the API's quota that was used so far; None where it tells none."""
    throttled: int = 0
    """Answers with status 429 so far."""


class ProgressWatch(Protocol):
    """Told of progress by every stage."""

    def __call__(self, what: str, done: int, total: int, pace: Pace | None = None, /) -> None:
        """Take what is being done, how much of it is done, how much there is (0: not known), and the pace."""
        ...


def _as_counted_now(uses: Any) -> Any:
    """Leave out what an older version counted: values of all rows, not of accepted orders. A plan counts anew."""
    return () if isinstance(uses, dict) else uses


class Facts(BaseModel):
    """What a batch's stages found out beside their tables; kept as facts.json among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Stage = "plan"
    """How far the batch has come."""
    profile: str = ""
    files: tuple[tuple[str, str, int], ...] = ()
    """Name, SHA-256, rows of each export file."""
    fallbacks_used: Annotated[tuple[FallbackUse, ...], BeforeValidator(_as_counted_now)] = ()
    """How often each declared fallback was used, in the order of loader.yaml."""
    corrections: CorrectionsUse = CorrectionsUse()
    """What was made of the corrections files."""
    moved: tuple[MovedAmount, ...] = ()
    """What the profile's money policy moved, in accepted orders."""
    times_settled: dict[str, int] = {}
    """How many times without an offset daylight saving made ambiguous or impossible."""
    loaded_at: datetime | None = None
    """When these export files began to be sent; None before that, and in files of older versions."""
    requests: Requests = Requests()
    """What was asked of the API since the plan was made."""
    quota: QuotaUse = QuotaUse()
    """The API's quota as it was met meanwhile; empty in files of older versions."""
    reconciliation: ReconciliationCounts = ReconciliationCounts()
    money: tuple[MoneyRow, ...] = ()
    drift: tuple[str, ...] = ()
    """How Corso's answers differ from the contract, as sentences."""
    review_notes: tuple[str, ...] = ()
    """What was taken up of workbooks that people edited, and what was not, as sentences."""
    upload_notes: tuple[str, ...] = ()
    """Sentences about the upload for the report."""
    notes: tuple[str, ...] = ()
    """Sentences about the run for the report."""
    of_fulfillments: tuple[str, ...] = ()
    """Those sentences of `notes` and `drift` that are about fulfillments read back."""


@dataclass(frozen=True)
class Batch:
    """One batch of one store."""

    settings: Settings
    name: str

    @property
    def folder(self) -> Path:
        """Where its reports are written. Where the batch is kept in a bucket, they need not be there: `file` fetches them."""
        copy = self._copy
        return copy.folder if copy else self.settings.batch_dir(self.name)

    @property
    def tables(self) -> Path:
        """Where its tables are written, one Parquet file each; they are read by `table`."""
        return self.folder / "tables"

    def table(self, name: str) -> Path:
        """Return where a table is, fetched if the batch is kept in a bucket. Raises Stopped."""
        return self.file(f"tables/{name}.parquet")

    def file(self, name: str) -> Path:
        """Return where a file below its folder is, fetched if the batch is kept in a bucket. Raises Stopped."""
        copy = self._copy
        return copy.file(name) if copy else self.folder / name

    def fetch_all(self) -> None:
        """Have all its files in its folder, should the batch be kept in a bucket. Raises Stopped."""
        copy = self._copy
        if copy:
            copy.fetch_all()

    def shown(self, name: str) -> str:
        """Return what people call a file of its folder: a path, or an address in the bucket."""
        return str(self.place / name)

    @property
    def place(self) -> Path | BucketAddress:
        """What people call its folder."""
        kept_in = self.settings.kept_in
        return kept_in / str(self.settings.loader.store.id) / self.name if kept_in else self.folder

    def table_written_at(self, name: str) -> float | None:
        """Return when a table was written (POSIX seconds); None where there is none."""
        copy, file = self._copy, f"{name}.parquet"
        if copy:
            return copy.table_written_at(file)
        try:
            return (self.tables / file).stat().st_mtime
        except FileNotFoundError:
            return None

    def publish(self) -> None:
        """Put what is finished where other machines find it, should the batch be kept in a bucket. Raises Stopped, LeaseLost."""
        copy = copy_at_work(self.settings, self.name, held=True)
        if copy:
            copy.publish()

    def supersede(self) -> None:
        """Publish, and take away all that the bucket has of the tables beside that. Raises Stopped, LeaseLost."""
        copy = copy_at_work(self.settings, self.name, held=True)
        if copy:
            copy.supersede()

    def has_superseded(self) -> bool:
        """Say whether the bucket has objects of tables that no reader sees, of a process that was killed or is at work."""
        copy = self._copy
        return copy is not None and copy.has_superseded()

    def publish_checkpoint(self) -> None:
        """Do the same with what was read back so far; nobody may write to it meanwhile."""
        copy = copy_at_work(self.settings, self.name, held=True)
        if copy:
            copy.publish_checkpoint()

    @property
    def _copy(self) -> BatchAtWork | SeenBatch | None:
        if self.settings.kept_in is None:
            return None
        return copy_at_work(self.settings, self.name) or self._seen

    @cached_property
    def _seen(self) -> SeenBatch:
        return SeenBatch(self.settings, self.name)

    def read_by_whole_listing(self) -> Self:
        """Return the same batch with `reconcile.mode: listing`, whatever loader.yaml says."""
        loader = self.settings.loader
        reconcile = loader.reconcile.model_copy(update={"mode": "listing"})
        return replace(
            self, settings=replace(self.settings, loader=loader.model_copy(update={"reconcile": reconcile}))
        )

    def read_facts(self) -> Facts:
        """Return what is known so far."""
        path = self.file("tables/facts.json")
        return Facts.model_validate_json(path.read_bytes()) if path.exists() else Facts()

    def write_facts(self, facts: Facts) -> None:
        """Keep what is known now."""
        self.tables.mkdir(parents=True, exist_ok=True)
        with replacing(self.tables / "facts.json") as draft:
            draft.write_text(facts.model_dump_json(indent=1), encoding="utf-8")

    def lock(self) -> BatchTables:
        """Return the lock that keeps every other run from the batch's tables: they are read while they are sent."""
        # Among the tables: the folder above is the reader's, and holds the reports alone.
        return BatchTables(self.settings.loader.store.id, self.name, self.settings.ledger, self.tables)

    @contextmanager
    def at_work(self, held: Held) -> Iterator[None]:
        """Have what is written here published, where the batch is kept in a bucket; its lock is `held`.

        Raises SettingsError and Stopped for the bucket.
        """
        if self.settings.kept_in is None:
            yield
            return
        with at_work(self.settings, self.name, held):
            yield

    @contextmanager
    def written_after(self) -> Iterator[None]:
        """Let what is written when the batch's run is over be published, too. Raises LedgerInUse, LeaseHeld, Stopped."""
        if self.settings.kept_in is None or copy_at_work(self.settings, self.name, held=True):
            yield
            return
        with self.lock().held(Run(uuid4().hex)) as held, self.at_work(held):
            yield

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for what is needed until a stage's tables are written, and take it away again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(".scratch-*"):
            if not is_running(left.name.split("-")[1]):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f".scratch-{os.getpid()}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def batches_of(settings: Settings) -> list[Batch]:
    """Return the store's batches that have tables, by name."""
    if settings.kept_in:
        return [Batch(settings, name) for name in batches_in_bucket(settings)]
    return [Batch(settings, folder.parent.name) for folder in sorted(settings.store_dir.glob("*/tables"))]


def is_running(process: str) -> bool:
    """Say whether there is a process of this number on this machine."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def add_requests(facts: Facts, more: Requests, quota: QuotaUse = QuotaUse()) -> Facts:  # noqa: B008  (frozen)
    """Return the facts with the requests of one more part of the run, and the quota that this part met."""
    so_far, all_quota = facts.requests, facts.quota + quota
    share = all_quota.used_share
    total = Requests(
        sent=so_far.sent + more.sent,
        throttled=so_far.throttled + more.throttled,
        retried=so_far.retried + more.retried,
        seconds=round(so_far.seconds + more.seconds, 3),
        quota_share=so_far.quota_share if share is None else round(share, 4),
    )
    return facts.model_copy(update={"requests": total, "quota": all_quota})
