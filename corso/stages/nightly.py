"""What to do about a drop tonight: pure decisions from what lies there and how its last run ended.

A batch is started once for what lies in its folder. Files that were corrected or delivered again make it another drop,
which is started again: the ledger knows what of it is new. Of one store one batch is under way at a time, in the order of
their names; one that was parked is started again at its time and keeps the later ones waiting, as the quota is theirs, too.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from corso.extract.drops import Drop

MOST_KILLED = 3
"""Runs of one drop that may be killed (by the machine, not by a guard of ours) before a person has to look."""

TRY_AGAIN = timedelta(minutes=5)
"""After another loader held the ledger, the batch or the credentials."""

AFTER_AN_OUTAGE = timedelta(hours=1)
"""A run that ends in one has asked for `limits.outage_s` already."""

CLOCK_ALLOWANCE = timedelta(minutes=1)
"""How far the clock of a file server may be from ours, and how old a look at a bucket may be."""


class Ended(Enum):
    """How the last run of a batch ended."""

    NOT_YET = "under way"
    WELL = "finished"
    PARKED = "parked"
    KILLED = "killed"
    STOPPED = "stopped"
    """By a guard, a mistake in what was given, or a person: somebody has to do something."""


@dataclass(frozen=True)
class LastRun:
    """The last run of a batch."""

    signature: str
    """Of the drop that it loaded (`Drop.signature`); empty where that is not known."""
    ended: Ended
    resume_at: datetime | None = None
    """For `PARKED`: when to try again."""
    runs: int = 1
    """Runs that there were of this drop; at the most `MOST_KILLED`, as more are not asked for."""
    created_at: datetime | None = None
    run_id: str = ""

    def is_since(self, due: datetime) -> bool:
        """Say whether it was started in the day that ended with the due time, or later."""
        return self.created_at is not None and self.created_at >= due - timedelta(days=1)


class Step(Enum):
    """What comes next."""

    START = "start"
    WAIT = "wait"
    """Something is under way: nothing else of the store is started."""
    INCOMPLETE = "incomplete"
    """It is still being written: others need not wait for it."""
    SETTLED = "settled"


def next_step(drop: Drop, last: LastRun | None, at_rest: bool, now: datetime) -> Step:
    """Say what comes next for one batch; `at_rest`: its files have not changed for nightly.quiet_s."""
    if last is not None and last.ended is Ended.NOT_YET:
        return Step.WAIT
    if last is not None and last.signature == drop.signature:
        return _after(last, now)
    if drop.empty:
        return Step.SETTLED
    if drop.marked or (at_rest and not drop.missing):
        return Step.START
    return Step.INCOMPLETE


def _after(last: LastRun, now: datetime) -> Step:
    match last.ended:
        case Ended.PARKED:
            return Step.START if last.resume_at is None or now >= last.resume_at else Step.WAIT
        case Ended.KILLED if last.runs < MOST_KILLED:
            return Step.START
        case _:
            return Step.SETTLED


@dataclass(frozen=True)
class Seen:
    """A drop as it was seen first in its present state."""

    signature: str
    since: float
    """POSIX seconds."""


@dataclass(frozen=True)
class StoreMemory:
    """What is remembered of a store from look to look."""

    settled_ns: int = -1
    """Nothing has to be done for batches that did not change after this moment."""
    seen: Mapping[str, Seen] = field(default_factory=dict)
    """Batch -> how it was seen, of those that are still being written."""


@dataclass(frozen=True)
class Look:
    """What a look at a store came to."""

    memory: StoreMemory
    start: Drop | None = None
    """The drop to start now."""
    after: str = ""
    """The id of the batch's run before: with it no two starts are alike, and the same start is not made twice."""
    waiting: Mapping[str, str] = field(default_factory=dict)
    """Batch -> why it is not started, in a few words."""


def look(
    changed_ns: Mapping[str, int],
    memory: StoreMemory,
    drop_of: Callable[[str], Drop],
    last_run_of: Callable[[str], LastRun | None],
    now: datetime,
    quiet_s: float,
) -> Look:
    """Go through the batches of a store that changed, by name, until one is started or has to be waited for.

    `changed_ns`: batch -> when it changed last, of those that changed after `memory.settled_ns`. They were looked at after
    `now`: what came to be meanwhile, in a folder that had been passed, is not among them, and is newer than that.
    """
    seen: dict[str, Seen] = {}
    waiting: dict[str, str] = {}
    open_ns = list(changed_ns.values())
    start, after = None, ""
    for batch, changed in changed_ns.items():
        drop, last = drop_of(batch), last_run_of(batch)
        known = memory.seen.get(batch)
        if known is None or known.signature != drop.signature:
            known = Seen(drop.signature, now.timestamp())
        step = next_step(drop, last, now.timestamp() - known.since >= quiet_s, now)
        if step is Step.SETTLED:
            open_ns.remove(changed)
        elif step is Step.INCOMPLETE:
            seen[batch] = known
            waiting[batch] = drop.missing or "its files have not come to rest"
        else:
            if step is Step.WAIT:
                waiting[batch] = _why(last)
            else:
                seen[batch] = known
                start, after = drop, last.run_id if last else ""
            break
    surely_seen_ns = int((now - CLOCK_ALLOWANCE).timestamp()) * 10**9
    settled = _settled(changed_ns.values(), open_ns, memory.settled_ns, surely_seen_ns)
    return Look(StoreMemory(settled, seen), start, after, waiting)


def _settled(changed_ns: Iterable[int], open_ns: list[int], before: int, surely_seen_ns: int) -> int:
    """Return up to when everything is settled; what is open is looked at again, as is what may not have been seen."""
    newest = min(open_ns) - 1 if open_ns else max([before, *changed_ns])
    return max(before, min(newest, surely_seen_ns))


def _why(last: LastRun | None) -> str:
    if last is not None and last.resume_at is not None:
        return f"parked until {last.resume_at:%Y-%m-%d %H:%M} UTC"
    return "it is being loaded"
