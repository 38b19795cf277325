"""A batch while it is worked on: its folder, and the facts about it that no table holds."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Protocol, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict

from corso.delivery.batch_lock import BatchTables
from corso.report.atomic import replacing
from corso.report.summary import MoneyRow, QuotaUse, ReconciliationCounts, Requests, Stage
from corso.settings import Settings
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
        """Where its reports are."""
        return self.settings.batch_dir(self.name)

    @property
    def tables(self) -> Path:
        """Where its tables are, one Parquet file each."""
        return self.folder / "tables"

    def table(self, name: str) -> Path:
        """Return where a table is."""
        return self.tables / f"{name}.parquet"

    def read_by_whole_listing(self) -> Self:
        """Return the same batch with `reconcile.mode: listing`, whatever loader.yaml says."""
        loader = self.settings.loader
        reconcile = loader.reconcile.model_copy(update={"mode": "listing"})
        return replace(
            self, settings=replace(self.settings, loader=loader.model_copy(update={"reconcile": reconcile}))
        )

    def read_facts(self) -> Facts:
        """Return what is known so far."""
        path = self.tables / "facts.json"
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
