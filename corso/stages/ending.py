"""A batch whose run did not come to its end: which guard stopped it, and its books closed on what is there."""

from datetime import datetime

from corso.errors import CorsoError
from corso.report.summary import Stage, Summary
from corso.stages.batch import Batch
from corso.stages.books import close_books
from corso.stages.counting import broken_contracts, quarantined_share, unaccounted_rows


def guard_that_stopped(batch: Batch) -> str:
    """Say which blocking check failed, from the facts that it judged by."""
    if any(unaccounted_rows(batch).values()):
        return f"rows of the exports are unaccounted for: {unaccounted_rows(batch)}; nothing was sent"
    if any(broken_contracts(batch).values()):
        return f"accepted tables break the contract: {broken_contracts(batch)}; nothing was sent"
    share, limit = quarantined_share(batch), batch.settings.loader.validation.max_quarantined
    return (
        f"{share:.1%} of the source orders are quarantined, validation.max_quarantined allows {limit:.1%}; nothing was "
        "sent. quarantine.csv says why"
    )


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
