"""Whether last night's load ran, as a table of nights."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from corso.settings import Nightly
from corso.stages.freshness import is_of_the_night, judge_freshness, last_due
from corso.stages.nightly import Ended, LastRun

NEW_YORK = ZoneInfo("America/New_York")
DUE = datetime(2026, 11, 26, 7, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    ("now", "days", "due"),
    [
        ("2026-11-26T11:59:00Z", "mon-sun", "2026-11-25T07:00:00-05:00"),
        ("2026-11-26T12:00:00Z", "mon-sun", "2026-11-26T07:00:00-05:00"),
        ("2026-11-29T20:00:00Z", "mon-fri", "2026-11-27T07:00:00-05:00"),
        ("2026-11-26T12:00:00Z", "thu", "2026-11-26T07:00:00-05:00"),
        ("2026-11-26T11:59:00Z", "thu", "2026-11-19T07:00:00-05:00"),
        ("2026-03-08T11:00:00Z", "mon-sun", "2026-03-08T07:00:00-04:00"),
    ],
)
def test_a_night_is_due_by_the_clock_on_the_stores_wall(now: str, days: str, due: str) -> None:
    """On the days that the store says, also on the day that daylight saving begins."""
    nightly = Nightly.model_validate({"due_by": "07:00", "days": days})
    found = last_due(nightly, NEW_YORK, datetime.fromisoformat(now))
    assert found is not None
    assert found.isoformat() == due


def test_nobody_waits_for_a_store_without_such_a_time() -> None:
    """The usual case of a migration."""
    assert last_due(Nightly(), NEW_YORK, datetime.now(UTC)) is None


@pytest.mark.parametrize(("written", "read"), [("07:30", "07:30"), (630, "10:30"), ("7:05", "07:05")])
def test_a_time_of_day_is_read_as_it_is_written(written: object, read: str) -> None:
    """YAML makes a number of 10:30 without quotes."""
    assert f"{Nightly.model_validate({'due_by': written}).due_by:%H:%M}" == read


@pytest.mark.parametrize("written", ["24:00", "7", "noon", 1.5])
def test_what_is_no_time_of_day_is_refused(written: object) -> None:
    """With how to write one."""
    with pytest.raises(ValueError, match='is no time of day; write it as "07:30"'):
        Nightly.model_validate({"due_by": written})


@pytest.mark.parametrize(
    ("batch", "is_of_it"),
    [
        ("2026-11-26", True),
        ("2026-11-25", True),
        ("20261125T0215", True),
        ("2026-11-24", False),
        ("2026-13-45", None),
        ("thursday", None),
    ],
)
def test_a_backfill_of_an_old_day_is_not_last_night(batch: str, is_of_it: bool | None) -> None:
    """That is what Dagster's own freshness cannot tell."""
    assert is_of_the_night(batch, DUE) is is_of_it


PARKED = LastRun("x", Ended.PARKED, datetime(2026, 11, 26, 13, tzinfo=UTC))
NIGHTS = {
    "none": ({}, False, "no batch of the night was started by 2026-11-26 07:00 EST"),
    "loaded": ({"2026-11-26": LastRun("x", Ended.WELL)}, True, "batch 2026-11-26 is loaded"),
    "one of two": (
        {"2026-11-25": LastRun("x", Ended.WELL), "2026-11-26": LastRun("x", Ended.STOPPED)},
        True,
        "batch 2026-11-25 is loaded",
    ),
    "parked": ({"2026-11-26": PARKED}, False, "it is parked until 2026-11-26 13:00 UTC"),
    "under way": ({"2026-11-26": LastRun("x", Ended.NOT_YET)}, False, "its run is still under way"),
    "stopped": ({"2026-11-26": LastRun("x", Ended.STOPPED)}, False, "its run was stopped"),
    "killed": ({"2026-11-26": LastRun("x", Ended.KILLED, runs=3)}, False, "its run was killed (3 times)"),
    "not started": ({"2026-11-26": None}, False, "no run was started"),
}


@pytest.mark.parametrize(("batches", "is_loaded", "said"), NIGHTS.values(), ids=NIGHTS.keys())
def test_what_became_of_a_night(batches: dict[str, LastRun | None], is_loaded: bool, said: str) -> None:
    """Red says why, and what to do."""
    found = judge_freshness(DUE, batches)
    assert found.is_loaded is is_loaded
    assert found.sentence.endswith(said)
    assert bool(found.to_do) is not is_loaded
