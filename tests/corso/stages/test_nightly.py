"""What to do about a drop, as a table; and a store's batches gone through in order."""

from datetime import UTC, datetime, timedelta

import pytest

from corso.extract.drops import Drop
from corso.stages.nightly import (
    MOST_KILLED,
    Ended,
    LastRun,
    Step,
    StoreMemory,
    look,
    next_step,
)

NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
QUIET_S = 60.0
WHOLE = Drop("2026-11-26", "new", marked=False)
MARKED = Drop("2026-11-26", "new", marked=True)
HALF = Drop("2026-11-26", "new", marked=False, missing="no lines")
EMPTY = Drop("corrections", "new", marked=False, missing="no orders", empty=True)
MARKED_HALF = Drop("2026-11-26", "new", marked=True, missing="no lines")

STEPS = {
    "moving": (WHOLE, None, False, Step.INCOMPLETE),
    "at rest": (WHOLE, None, True, Step.START),
    "marked": (MARKED, None, False, Step.START),
    "half": (HALF, None, True, Step.INCOMPLETE),
    "half, but marked": (MARKED_HALF, None, False, Step.START),
    "no batch": (EMPTY, None, True, Step.SETTLED),
    "loaded": (MARKED, LastRun("new", Ended.WELL), True, Step.SETTLED),
    "loaded, then corrected": (MARKED, LastRun("old", Ended.WELL), False, Step.START),
    "loaded, being corrected": (WHOLE, LastRun("old", Ended.WELL), False, Step.INCOMPLETE),
    "under way": (MARKED, LastRun("new", Ended.NOT_YET), True, Step.WAIT),
    "under way with other files": (MARKED, LastRun("old", Ended.NOT_YET), True, Step.WAIT),
    "parked": (MARKED, LastRun("new", Ended.PARKED, LATER), True, Step.WAIT),
    "parked, and its time has come": (MARKED, LastRun("new", Ended.PARKED, NOW), True, Step.START),
    "parked, then corrected": (MARKED, LastRun("old", Ended.PARKED, LATER), True, Step.START),
    "stopped": (MARKED, LastRun("new", Ended.STOPPED), True, Step.SETTLED),
    "stopped, then corrected": (MARKED, LastRun("old", Ended.STOPPED), True, Step.START),
    "killed": (MARKED, LastRun("new", Ended.KILLED, runs=MOST_KILLED - 1), True, Step.START),
    "killed too often": (MARKED, LastRun("new", Ended.KILLED, runs=MOST_KILLED), True, Step.SETTLED),
}


@pytest.mark.parametrize(("drop", "last", "at_rest", "step"), STEPS.values(), ids=STEPS.keys())
def test_what_comes_next(drop: Drop, last: LastRun | None, at_rest: bool, step: Step) -> None:
    """Once for what lies there; again when it changed, at its time, or after the machine killed it."""
    assert next_step(drop, last, at_rest, NOW) is step


class World:
    """A store's folder and Dagster's history, as a look asks them."""

    def __init__(self, *batches: str) -> None:
        self.drops = {batch: Drop(batch, f"{batch}-1", marked=True) for batch in batches}
        self.changed = {batch: number for number, batch in enumerate(batches, 1)}
        self.runs: dict[str, LastRun] = {}
        self.memory = StoreMemory()
        self.asked: list[str] = []

    def look(self, now: datetime = NOW) -> str | None:
        """Look once; return what is started, and have its run under way."""
        changed = {
            batch: changed
            for batch, changed in sorted(self.changed.items())
            if changed > self.memory.settled_ns
        }
        self.asked = list(changed)
        found = look(changed, self.memory, self.drops.__getitem__, self.runs.get, now, QUIET_S)
        self.memory = found.memory
        if found.start is None:
            return None
        self.runs[found.start.batch] = LastRun(found.start.signature, Ended.NOT_YET)
        return found.start.batch

    def end(self, batch: str, ended: Ended = Ended.WELL, resume_at: datetime | None = None) -> None:
        """End the run that is under way."""
        self.runs[batch] = LastRun(self.drops[batch].signature, ended, resume_at)

    def write(self, batch: str, signature: str, *, marked: bool = True) -> None:
        """Change a batch's files."""
        self.drops[batch] = Drop(batch, signature, marked)
        self.changed[batch] = max(self.changed.values(), default=0) + 1


def test_batches_are_loaded_one_after_the_other_in_order() -> None:
    """A missed night is caught up before the one after it, each once."""
    world = World("2026-11-21", "2026-11-22", "2026-11-23")
    started = []
    for _ in range(3):
        started.append(world.look())
        assert world.look() is None
        world.end(str(started[-1]))
    assert started == ["2026-11-21", "2026-11-22", "2026-11-23"]
    assert world.look() is None
    assert world.look() is None
    assert world.asked == []


def test_a_parked_batch_keeps_the_later_ones_waiting() -> None:
    """The quota is theirs, too."""
    world = World("2026-11-21", "2026-11-22")
    assert world.look() == "2026-11-21"
    world.end("2026-11-21", Ended.PARKED, LATER)
    assert world.look() is None
    assert world.look(LATER) == "2026-11-21"
    world.end("2026-11-21")
    assert world.look(LATER) == "2026-11-22"


@pytest.mark.parametrize("ended", [Ended.STOPPED, Ended.WELL])
def test_a_batch_that_needs_a_person_does_not_stop_the_nights_after_it(ended: Ended) -> None:
    """It is started again when its files are corrected."""
    world = World("2026-11-21", "2026-11-22")
    assert world.look() == "2026-11-21"
    world.end("2026-11-21", ended)
    assert world.look() == "2026-11-22"
    world.end("2026-11-22")
    assert world.look() is None
    world.write("2026-11-21", "corrected")
    assert world.look() == "2026-11-21"


def test_half_a_drop_does_not_stop_the_nights_after_it_and_is_not_forgotten() -> None:
    """It is looked at again and again until it has come to rest."""
    world = World("2026-11-21", "2026-11-22")
    world.write("2026-11-21", "half", marked=False)
    assert world.look() == "2026-11-22"
    world.end("2026-11-22")
    assert world.look(NOW + timedelta(seconds=59)) is None
    world.write("2026-11-21", "more", marked=False)
    assert world.look(NOW + timedelta(seconds=60)) is None
    assert world.look(NOW + timedelta(seconds=119)) is None
    assert world.look(NOW + timedelta(seconds=120)) == "2026-11-21"


def test_what_came_to_be_during_a_look_is_not_settled_by_it() -> None:
    """It came into a folder that had been passed, before the change that was seen in another one."""
    world = World("2026-11-21")
    seconds_ago = int(NOW.timestamp() - 5) * 10**9
    world.changed = {"2026-11-21": seconds_ago}
    assert world.look() == "2026-11-21"
    world.end("2026-11-21")
    assert world.look() is None
    world.drops["2026-11-20"] = Drop("2026-11-20", "late", marked=True)
    world.changed["2026-11-20"] = seconds_ago - 1
    assert world.look(NOW + timedelta(seconds=1)) == "2026-11-20"
    world.end("2026-11-20")
    assert world.look(LATER) is None
    assert world.look(LATER) is None
    assert world.asked == []


def test_what_is_settled_is_not_asked_for_again() -> None:
    """A year of batches costs nothing; only what changed does."""
    world = World(*(f"2026-01-{day:02}" for day in range(1, 29)))
    while batch := world.look():
        world.end(batch)
    assert world.look() is None
    assert world.asked == []
    world.write("2026-01-10", "corrected")
    assert world.look() == "2026-01-10"
    assert world.asked == ["2026-01-10"]
