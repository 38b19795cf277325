"""A batch counted and compared again from its tables and report files alone, without the ledger, which has moved on.

What is read is what anybody may have changed since: each property raises one of UNREADABLE where its files cannot be read.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import polars as pl

from corso.errors import SettingsError
from corso.extract.parquet import DAMAGE
from corso.report.compare import CLASSES, Reconciliation, Sides, knows_nothing
from corso.report.compare import reconcile as compare
from corso.report.life import Earlier
from corso.report.summary import (
    FulfillmentCounts,
    MoneyRow,
    OutcomeCounts,
    PlanCounts,
    ReconciliationCounts,
    Summary,
    TableCounts,
    money_rows,
)
from corso.stages.batch import Batch
from corso.stages.counting import count_by, count_quarantined, count_rows
from corso.stages.erasures import source_without_erased
from schemas.fields import empty_frame
from schemas.reconciliation import OUTCOME_TABLE

UNREADABLE = (*DAMAGE, TypeError)
"""What reading a file raises that is damaged, gone, or another one than it should be."""
_QUARANTINED = "quarantined"
_NONE = "none"
"""How an outcome is named that is empty."""


@dataclass(frozen=True)
class Recount:
    """What a batch's files say now."""

    batch: Batch
    not_compared: Sequence[str]
    """The columns that are left out of comparing."""

    def accepted(self, name: str) -> int:
        """Count the rows of an accepted table."""
        return count_rows(self.batch, f"accepted_{name}")

    @cached_property
    def quarantined(self) -> TableCounts:
        """Quarantined orders, and rows of the other tables."""
        return count_quarantined(self.batch)

    @cached_property
    def plan(self) -> Mapping[str, int]:
        """Planned orders by action."""
        return count_by(self._plan.filter(subject="order"), "action")

    @cached_property
    def planned_fulfillments(self) -> int:
        """Fulfillments in the plan."""
        return int(self._plan.filter(subject="fulfillment").select(pl.len()).collect().item())

    @property
    def _plan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.batch.table("upload_plan"), glob=False)

    @cached_property
    def outcome(self) -> Mapping[str, int]:
        """Accepted orders by outcome, as results.csv has them; rows without an outcome are counted as `none`."""
        return {name: count for name, count in self._results.items() if name != _QUARANTINED}

    @property
    def quarantined_results(self) -> int:
        """Quarantined orders in results.csv."""
        return self._results.get(_QUARANTINED, 0)

    @cached_property
    def _results(self) -> Mapping[str, int]:
        rows = pl.scan_csv(self.batch.file("results.csv"), infer_schema=False, glob=False)
        return count_by(rows.select(pl.col("outcome").fill_null(_NONE)), "outcome")

    @cached_property
    def fulfillments(self) -> Mapping[str, int] | None:
        """Fulfillments by outcome; None where the batch has no table of that, as older versions kept none."""
        path = self.batch.table("fulfillment_outcomes")
        return count_by(pl.scan_parquet(path, glob=False), "outcome") if path.exists() else None

    @cached_property
    def findings(self) -> pl.DataFrame:
        """FINDINGS of reconciliation.parquet."""
        return pl.read_parquet(self.batch.file("reconciliation.parquet"), glob=False)

    @property
    def unexplained(self) -> int:
        """Findings without a cause."""
        return self.findings.filter(cause="unexplained").height

    @property
    def foreign(self) -> int:
        """Records of no batch."""
        foreign = (pl.col("kind") == "foreign") & pl.col("source_fulfillment_id").is_null()
        return self.findings.filter(foreign).height

    @cached_property
    def compared(self) -> tuple[Mapping[str, int], Sequence[MoneyRow]]:
        """Accepted orders by class, and the money: of the tables compared with the listing once more."""
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = self._compare(Path(scratch))
            except SettingsError as error:
                message = "a column that is not compared is none"
                raise ValueError(message) from error
            return dict(found.counts), money_rows(found.money)

    def _compare(self, scratch: Path) -> Reconciliation:
        """Compare without the ledger: causes are not asked for."""
        loader = self.batch.settings.loader
        rules = loader.reconcile.model_copy(update={"ignore": list(self.not_compared)})
        settings = replace(self.batch.settings, loader=loader.model_copy(update={"reconcile": rules}))
        sides = Sides(
            orders=self._source("orders"),
            line_items=self._source("line_items"),
            quarantine=pl.scan_parquet(self.batch.table("quarantined_orders"), glob=False),
            listing=pl.scan_parquet(self.batch.table("corso_orders"), glob=False),
            outcomes=empty_frame(OUTCOME_TABLE).lazy(),
            known=knows_nothing,
        )
        return compare(sides, Earlier(), settings, datetime.now(UTC), scratch)

    def _source(self, name: str) -> pl.LazyFrame:
        table = pl.scan_parquet(self.batch.table(f"accepted_{name}"), glob=False)
        return source_without_erased(table, self.batch.settings, only_done=True)

    def summary(self, stated: FulfillmentCounts) -> Summary:
        """Return the batch in numbers; with the `stated` fulfillments where no table has them."""
        accepted = TableCounts(**{name: self.accepted(name) for name in TableCounts.model_fields})
        source = {
            name: getattr(accepted, name) + getattr(self.quarantined, name)
            for name in TableCounts.model_fields
        }
        counts, money = self.compared
        classes = {name: counts[name] for name in CLASSES}
        fulfillments = self.fulfillments
        return Summary(
            store_id=self.batch.settings.loader.store.id,
            batch=self.batch.name,
            source=TableCounts(**source),
            accepted=accepted,
            quarantined=self.quarantined,
            plan=PlanCounts(**self.plan),
            outcome=OutcomeCounts(**self.outcome),
            fulfillments=stated if fulfillments is None else FulfillmentCounts(**fulfillments),
            reconciliation=ReconciliationCounts(
                **classes, foreign=self.foreign, unexplained=self.unexplained
            ),
            money=tuple(money),
        )
