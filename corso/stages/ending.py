"""A batch whose run did not come to its end: its books are closed on what is there."""

from datetime import datetime

from corso.errors import CorsoError
from corso.report.summary import Stage, Summary
from corso.stages.batch import Batch
from corso.stages.books import close_books


def facts_written_at(batch: Batch) -> float:
    """Return when the batch's facts were written last (POSIX seconds); 0 where there are none."""
    path = batch.file("tables/facts.json")
    return path.stat().st_mtime if path.exists() else 0.0


def close_unfinished_books(
    batch: Batch, stage: Stage, error: CorsoError, facts_before: float, now: datetime
) -> Summary | None:
    """Close the books on what a run that `error` ended left; None where it left nothing.

    `stage` is how far it was meant to come, `facts_before` when the facts had been written as it began. Books cannot be
    closed before something was validated.
    """
    if facts_written_at(batch) == facts_before or not batch.table("quarantined_orders").exists():
        return None
    with batch.written_after():
        reached: Stage = "upload" if stage != "plan" and batch.read_facts().requests.sent else "plan"
        return close_books(batch, reached, now, stopped=str(error), exit_code=error.exit_code)
