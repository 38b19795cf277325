"""summary.json: a batch in numbers, for programs. Its keys are fixed; other programs read them.

The identities that must hold between the numbers, and the exit code that follows from them, are here too.
"""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, PlainSerializer

from corso.report.atomic import replacing
from schemas.money import money_text

Stage = Literal["plan", "upload", "reconcile"]
"""How far the batch has come: what is later is not judged yet."""

Money = Annotated[Decimal, PlainSerializer(money_text, return_type=str)]


class _Counts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def total(self) -> int:
        """The sum of all counts."""
        return sum(int(value) for _, value in self)


class TableCounts(_Counts):
    """Rows of the three canonical tables; `orders` counts orders, exact repetitions left out."""

    orders: int = 0
    line_items: int = 0
    fulfillments: int = 0


class PlanCounts(_Counts):
    """Accepted orders by what the plan means to do."""

    create: int = 0
    update: int = 0
    cancel: int = 0
    unchanged: int = 0


class OutcomeCounts(_Counts):
    """Accepted orders by how they ended."""

    created: int = 0
    updated: int = 0
    cancelled: int = 0
    unchanged: int = 0
    rejected: int = 0
    unknown: int = 0
    not_sent: int = 0


class FulfillmentCounts(_Counts):
    """Accepted fulfillments by how they ended."""

    created: int = 0
    unchanged: int = 0
    changed_but_fixed: int = 0
    rejected: int = 0
    unknown: int = 0
    not_sent: int = 0


class ReconciliationCounts(_Counts):
    """matched, missing, different, duplicated: accepted orders. foreign: records. unexplained: findings."""

    matched: int = 0
    missing: int = 0
    different: int = 0
    duplicated: int = 0
    foreign: int = 0
    unexplained: int = 0

    @property
    def orders(self) -> int:
        """The accepted orders that were compared."""
        return self.matched + self.missing + self.different + self.duplicated


class Requests(BaseModel):
    """What the run asked of the API."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sent: int = 0
    throttled: int = 0
    retried: int = 0
    seconds: float = 0.0
    quota_share: float | None = None
    """The part of the API's quota that was used; null where the API tells no quota."""


class QuotaUse(BaseModel):
    """The API's quota as a run met it, over all its parts. No part of summary.json, whose keys are fixed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limit: int | None = None
    """Requests that one window allows, as told last; None where the API tells no quota."""
    length_s: float | None = None
    """Seconds that a window lasts, as found out last."""
    quota: float = 0.0
    """Requests that the API allowed in the time that was seen."""
    used: int = 0
    """Requests of this loader in this time."""
    foreign: float = 0.0
    """Requests of others in this time, as far as the answers show."""
    found_per_s: float | None = None
    """Requests per second that an API took that tells nothing but refusals; None where it tells its quota, or refused none."""
    found_pause_s: float = 0.0
    """The longest pause that it asked for."""

    @property
    def used_share(self) -> float | None:
        """The part of the quota that this loader used; None where the API told no quota."""
        return self.used / self.quota if self.quota > 0 else None

    @property
    def foreign_share(self) -> float | None:
        """The part of the quota that others used; None where the API told no quota."""
        return min(1.0, self.foreign / self.quota) if self.quota > 0 else None

    def __add__(self, more: "QuotaUse") -> "QuotaUse":
        """Return both together; the limit and the window are those told last, the rate that found last."""
        told = more if more.limit is not None else self
        found = more if more.found_per_s is not None else self
        return QuotaUse(
            limit=told.limit,
            length_s=told.length_s,
            quota=round(self.quota + more.quota, 3),
            used=self.used + more.used,
            foreign=round(self.foreign + more.foreign, 3),
            found_per_s=found.found_per_s,
            found_pause_s=found.found_pause_s,
        )


class MoneyRow(BaseModel):
    """The totals of one currency and month; `difference` is accepted - corso."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str
    month: str
    source: Money
    accepted: Money
    corso: Money
    difference: Money


class Summary(BaseModel):
    """A batch in numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store_id: int
    batch: str
    exit_code: int = 1
    source: TableCounts = TableCounts()
    accepted: TableCounts = TableCounts()
    quarantined: TableCounts = TableCounts()
    plan: PlanCounts = PlanCounts()
    outcome: OutcomeCounts = OutcomeCounts()
    fulfillments: FulfillmentCounts = FulfillmentCounts()
    reconciliation: ReconciliationCounts = ReconciliationCounts()
    requests: Requests = Requests()
    money: tuple[MoneyRow, ...] = ()

    def as_text(self) -> str:
        """Return what is written into summary.json."""
        return self.model_dump_json(indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write summary.json; a reader sees the old file or the new one, never a part."""
        with replacing(path) as draft:
            draft.write_text(self.as_text(), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Summary":
        """Read summary.json. Raises OSError, or pydantic's ValidationError (a ValueError)."""
        return cls.model_validate_json(path.read_bytes())


def money_rows(money: pl.DataFrame) -> tuple[MoneyRow, ...]:
    """Return a reconciliation's money frame as the summary's rows."""
    return tuple(MoneyRow(**row) for row in money.iter_rows(named=True))


def identities(summary: Summary, stage: Stage = "reconcile") -> list[str]:
    """Name every identity that the numbers break; an empty list means that every order is accounted for."""
    broken = [
        f"source {table} {source} = accepted {accepted} + quarantined {quarantined}"
        for table in TableCounts.model_fields
        if (source := getattr(summary.source, table))
        != (accepted := getattr(summary.accepted, table))
        + (quarantined := getattr(summary.quarantined, table))
    ]
    accepted_orders = summary.accepted.orders
    if accepted_orders != summary.outcome.total:
        broken.append(f"accepted orders {accepted_orders} = the sum of outcome {summary.outcome.total}")
    found = summary.reconciliation
    if stage == "reconcile" and accepted_orders != found.orders:
        broken.append(
            f"accepted orders {accepted_orders} = matched {found.matched} + missing {found.missing} "
            f"+ different {found.different} + duplicated {found.duplicated}"
        )
    return broken


def fulfillments_apart(findings: pl.DataFrame) -> int:
    """Return how many findings about fulfillments somebody has to look at: all but foreign ones."""
    about_one = pl.col("source_fulfillment_id").is_not_null()
    return findings.filter(about_one, pl.col("kind") != "foreign").height


def exit_code_of(summary: Summary, stage: Stage = "reconcile", fulfillments: int = 0) -> int:
    """Return 0 if every source order is in Corso and equal, 1 if somebody needs to look.

    `stage` says how far the batch was meant to come: after `plan`, orders that are not sent are as they should be;
    after `upload`, nothing was compared yet. Records that are `foreign` need no look: live integrations write them.
    `fulfillments` are the findings about fulfillments that need a look (`fulfillments_apart`). A sign-off changes
    nothing: what is signed off is still not equal.
    """
    outcome, ended, found = summary.outcome, summary.fulfillments, summary.reconciliation
    faults = [
        summary.quarantined.total,
        len(identities(summary, stage)),
        outcome.rejected + outcome.unknown,
        ended.rejected + ended.unknown + ended.changed_but_fixed,
    ]
    if stage != "plan":
        faults.append(outcome.not_sent + ended.not_sent)
    if stage == "reconcile":
        faults += [found.missing, found.different, found.duplicated, found.unexplained, fulfillments]
        faults.append(sum(row.difference != 0 for row in summary.money))
    return int(any(faults))
