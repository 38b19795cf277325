"""Everything that the report says, as one value: the page and the workbook are two forms of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from corso.report.certificate import Certificate
from corso.report.monthly import ORDERS_BY_MONTH
from corso.report.opened import OpenedOrder
from corso.report.summary import Stage, Summary
from corso.report.verdict import Verdict, judge
from schemas.corrections import CorrectionsUse
from schemas.fields import empty_frame
from schemas.filled_values import FallbackUse
from schemas.moved_money import MovedAmount
from schemas.reconciliation import FINDINGS, HEALED


def _no_findings() -> pl.DataFrame:
    return empty_frame(FINDINGS)


def _no_months() -> pl.DataFrame:
    return pl.DataFrame(schema=ORDERS_BY_MONTH)


def _none_healed() -> pl.DataFrame:
    return empty_frame(HEALED)


@dataclass(frozen=True)
class ReportFacts:
    """What the report says about one batch."""

    summary: Summary
    findings: pl.DataFrame
    """FINDINGS; `_no_findings` where nothing was compared."""
    problems: pl.DataFrame
    """The quarantine's broken rules by frequency: see `corso.report.results.problems_by_frequency`."""
    reasons: pl.DataFrame
    """Why accepted orders are not settled: see `corso.report.results.reasons_by_frequency`."""
    generated_at: datetime
    version: str
    """This program's version."""
    profile: str
    environment: str
    """Name and host of the API, e.g. `staging, api.stg.corso.com`."""
    time_zone: str = "UTC"
    """The store's; months are in it."""
    fallbacks_used: Sequence[FallbackUse] = ()
    """How often each declared fallback was used."""
    moved: Sequence[MovedAmount] = ()
    """What the profile's money policy moved, in accepted orders."""
    corrections: CorrectionsUse = CorrectionsUse()  # noqa: RUF009  (frozen)
    """What was made of the merchant's corrections."""
    files: Sequence[tuple[str, str, int]] = ()
    """Name, SHA-256, rows."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Library -> version."""
    ignored: Sequence[str] = ()
    """reconcile.ignore."""
    notes: Sequence[str] = ()
    """Sentences about the run, e.g. `Read back with look-ups by sourceOrderId.`"""
    stopped: str | None = None
    """Why the run stopped early; None if it did not."""
    stage: Stage = "reconcile"
    certificate: Certificate | None = None
    """What certificate.json says; None where nothing was compared."""
    healed: pl.DataFrame = field(default_factory=_none_healed)
    """HEALED: what earlier reconciliations of the batch found, and this one did not; the latest healed first."""
    orders_by_month: pl.DataFrame = field(default_factory=_no_months)
    """How many orders of each month are in which state: `corso.report.monthly.ORDERS_BY_MONTH`."""
    opened: Sequence[OpenedOrder] = ()
    """Some of the orders that findings are about, side by side."""
    personal: bool = False
    """Whether the page shows personal data (`report.personal_data: show`) instead of veiling it."""

    @property
    def verdict(self) -> Verdict:
        """What the report says first."""
        return judge(self.summary, self.findings, stage=self.stage)
