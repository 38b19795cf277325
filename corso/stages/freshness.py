"""Whether last night's load ran: which batch was due by now, and what became of it. Pure; the history is asked for.

A batch of an older day that is loaded tonight does not count: where batches are named after days, it has to be the day
that the due morning ends, or that morning's own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from corso.settings import Nightly
from corso.stages.nightly import Ended, LastRun

_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?!\d)")


@dataclass(frozen=True)
class Freshness:
    """What is known of a store's last due night."""

    due_at: datetime
    batch: str
    """Loaded, or come nearest to it; empty where none arrived."""
    is_loaded: bool
    sentence: str
    to_do: str = ""


def last_due(nightly: Nightly, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return the last moment at which a batch was due; None where the store has no such time."""
    if nightly.due_by is None:
        return None
    today = now.astimezone(zone).date()
    for back in range(9):
        day = today - timedelta(days=back)
        due = datetime.combine(day, nightly.due_by, zone)
        if day.weekday() in nightly.days and due <= now:
            return due
    return None


def is_of_the_night(batch: str, due: datetime) -> bool | None:
    """Say whether a batch is of the night that ends with the due time; None where its name tells no day."""
    found = _DAY.match(batch)
    try:
        day = date(*map(int, found.groups())) if found else None
    except ValueError:
        day = None
    return None if day is None else day >= due.date() - timedelta(days=1)


def judge_freshness(due: datetime, of_the_night: Mapping[str, LastRun | None]) -> Freshness:
    """Say whether the night's load ran. `of_the_night`: batch -> its last run, of the batches that may count."""
    loaded = [batch for batch, last in of_the_night.items() if last and last.ended is Ended.WELL]
    if loaded:
        return Freshness(due, max(loaded), is_loaded=True, sentence=f"batch {max(loaded)} is loaded")
    by = f"by {due:%Y-%m-%d %H:%M} {due.tzname()}"
    if not of_the_night:
        return Freshness(
            due,
            "",
            is_loaded=False,
            sentence=f"no batch of the night was started {by}",
            to_do="See whether the exports were delivered, and are complete; the sensor new_batches says what it waits for.",
        )
    batch = max(of_the_night)
    last = of_the_night[batch]
    return Freshness(
        due, batch, is_loaded=False, sentence=f"it was not loaded {by}: {_why(last)}", to_do=_to_do(last)
    )


def _why(last: LastRun | None) -> str:
    if last is None:
        return "no run was started"
    match last.ended:
        case Ended.NOT_YET:
            return "its run is still under way"
        case Ended.PARKED if last.resume_at is not None:
            return f"it is parked until {last.resume_at:%Y-%m-%d %H:%M} UTC"
        case Ended.KILLED:
            return f"its run was killed ({'once' if last.runs == 1 else f'{last.runs} times'})"
        case _:
            return "its run was stopped"


def _to_do(last: LastRun | None) -> str:
    if last is not None and last.ended in {Ended.NOT_YET, Ended.PARKED}:
        return "It goes on by itself; see limits.share and the API's quota if that is too late."
    return "See the run's log; then load the batch again: it goes on where it was."
