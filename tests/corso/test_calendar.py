"""The calendar of shares: which span covers a moment, and when the next one begins; daylight saving included."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.calendar import HORIZON, Calendar, Span
from corso.errors import SettingsError
from corso.settings import Loader, read_settings

NEW_YORK = ZoneInfo("America/New_York")
SHOP_HOURS = (
    {"days": "mon-fri", "hours": "09:00-21:00", "share": 0.3},
    {"hours": "21:00-09:00", "share": 0.95},
)


def calendar(*spans: dict[str, Any], zone: str = "America/New_York") -> Calendar:
    """Return a calendar whose share outside of all spans is 0.8."""
    return Calendar(tuple(Span.model_validate(span) for span in spans), 0.8, ZoneInfo(zone))


def at(text: str, zone: ZoneInfo = NEW_YORK, *, fold: int = 0) -> datetime:
    """Return a moment by the clock on the wall."""
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("spans", "wall", "share"),
    [
        # 2026-11-23 is a Monday.
        (SHOP_HOURS, "2026-11-23 08:59", 0.95),
        (SHOP_HOURS, "2026-11-23 09:00", 0.3),
        (SHOP_HOURS, "2026-11-23 20:59:59", 0.3),
        (SHOP_HOURS, "2026-11-23 21:00", 0.95),
        (SHOP_HOURS, "2026-11-24 00:00", 0.95),
        (SHOP_HOURS, "2026-11-28 12:00", 0.8),
        (SHOP_HOURS, "2026-11-28 23:00", 0.95),
        # Past midnight the span belongs to the day on which it began.
        (({"days": "fri", "hours": "22:00-06:00", "share": 0.5},), "2026-11-27 21:59", 0.8),
        (({"days": "fri", "hours": "22:00-06:00", "share": 0.5},), "2026-11-28 05:59", 0.5),
        (({"days": "fri", "hours": "22:00-06:00", "share": 0.5},), "2026-11-28 06:00", 0.8),
        (({"days": "fri", "hours": "22:00-06:00", "share": 0.5},), "2026-11-27 05:59", 0.8),
        (({"days": "sun", "hours": "22:00-06:00", "share": 0.5},), "2026-11-23 05:59", 0.5),
        # Days without hours are whole; fri-mon goes round the week.
        (({"days": "fri-mon", "share": 0.5},), "2026-11-26 23:59", 0.8),
        (({"days": "fri-mon", "share": 0.5},), "2026-11-27 00:00", 0.5),
        (({"days": "fri-mon", "share": 0.5},), "2026-11-23 23:59", 0.5),
        (({"days": "fri-mon", "share": 0.5},), "2026-11-24 00:00", 0.8),
        (({"days": "sat,sun", "share": 0.5},), "2026-11-28 12:00", 0.5),
        (({"days": ["Saturday", "sun"], "share": 0.5},), "2026-11-29 12:00", 0.5),
        (({"hours": "12:00-24:00", "share": 0.5},), "2026-11-29 23:59:59", 0.5),
        # The first that covers the moment wins.
        (
            ({"days": "mon", "hours": "10:00-11:00", "share": 0.1}, {"days": "mon", "share": 0.2}),
            "2026-11-23 10:30",
            0.1,
        ),
        (
            ({"days": "mon", "share": 0.2}, {"days": "mon", "hours": "10:00-11:00", "share": 0.1}),
            "2026-11-23 10:30",
            0.2,
        ),
    ],
)
def test_the_share_is_that_of_the_first_span_that_covers_the_wall_time(
    spans: tuple[dict[str, Any], ...], wall: str, share: float
) -> None:
    """By the store's clock, not by UTC."""
    assert calendar(*spans).share_at(at(wall)) == share


@pytest.mark.parametrize(
    ("spans", "wall", "changes_at"),
    [
        (SHOP_HOURS, "2026-11-23 08:00", "2026-11-23 09:00"),
        (SHOP_HOURS, "2026-11-23 09:00", "2026-11-23 21:00"),
        (SHOP_HOURS, "2026-11-27 22:00", "2026-11-28 09:00"),
        (({"days": "fri", "hours": "22:00-06:00", "share": 0.5},), "2026-11-28 06:00", "2026-12-04 22:00"),
        (({"days": "mon-fri", "share": 0.5}, {"share": 0.4}), "2026-11-27 22:00", "2026-11-28 00:00"),
    ],
)
def test_the_next_change_is_when_another_share_begins(
    spans: tuple[dict[str, Any], ...], wall: str, changes_at: str
) -> None:
    """Edges at which nothing changes are passed over."""
    assert calendar(*spans).next_change_at(at(wall)) == at(changes_at)


def test_a_calendar_that_never_changes_is_looked_at_again_after_a_while() -> None:
    """The next change is bounded."""
    now = at("2026-11-23 12:00")
    for never in (calendar(), calendar({"share": 0.5}), calendar({"hours": "09:00-21:00", "share": 0.8})):
        assert never.next_change_at(now) == now + HORIZON


def test_a_span_that_begins_in_the_hour_that_is_skipped_begins_with_the_new_time() -> None:
    """On 2026-03-08 the clock in New York goes from 01:59:59 to 03:00."""
    early = calendar({"hours": "02:30-05:00", "share": 0.5})
    skips_at = datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    assert early.next_change_at(skips_at - timedelta(hours=3)) == skips_at
    assert early.share_at(skips_at - timedelta(seconds=1)) == 0.8
    assert early.share_at(skips_at) == 0.5
    assert early.next_change_at(skips_at) == at("2026-03-08 05:00")


def test_a_span_inside_the_hour_that_is_skipped_is_not_there_on_that_day() -> None:
    """The next day it is."""
    gone = calendar({"hours": "02:10-02:50", "share": 0.5})
    assert gone.next_change_at(at("2026-03-08 00:00")) == at("2026-03-09 02:10")


def test_an_hour_that_comes_twice_belongs_to_its_span_twice() -> None:
    """On 2026-11-01 the clock in New York goes from 01:59:59 back to 01:00."""
    twice = calendar({"hours": "00:30-01:30", "share": 0.5})
    first, back, second = (
        at("2026-11-01 01:30"),
        datetime(2026, 11, 1, 6, 0, tzinfo=UTC),
        at("2026-11-01 01:30", fold=1),
    )
    moment = at("2026-11-01 00:30")
    seen = []
    for _ in range(3):
        moment = twice.next_change_at(moment)
        seen.append((moment, twice.share_at(moment)))
    assert seen == [(first, 0.8), (back, 0.5), (second, 0.8)]


HOURS = st.tuples(st.integers(0, 95), st.integers(0, 96)).filter(lambda pair: pair[0] != pair[1])
SPANS = st.lists(
    st.builds(
        lambda days, hours, share: Span(
            days=frozenset(days), hours=(hours[0] * 15, hours[1] * 15), share=share
        ),
        st.sets(st.integers(0, 6), min_size=1),
        HOURS,
        st.sampled_from([0.1, 0.2, 0.3]),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.slow
@given(
    SPANS,
    st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
    st.sampled_from(["2026-03-05", "2026-04-02", "2026-10-22", "2026-10-30"]),
    st.integers(0, 7 * 24 * 60 * 60),
)
def test_between_a_moment_and_the_next_change_the_share_stays(
    spans: list[Span], zone: str, begin: str, seconds: int
) -> None:
    """Held against looking every five minutes, in weeks with and without daylight saving's changes."""
    of_store = Calendar(tuple(spans), 0.8, ZoneInfo(zone))
    moment = at(begin, ZoneInfo("UTC")) + timedelta(seconds=seconds)
    change = of_store.next_change_at(moment)
    share = of_store.share_at(moment)
    assert moment < change <= moment + HORIZON
    step = moment
    while step < change:
        assert of_store.share_at(step) == share
        step += timedelta(minutes=5)
    assert change == moment + HORIZON or of_store.share_at(change) != share


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{days: mon-funday, share: 0.5}", "5: limits.calendar.0.days: 'funday' is no day"),
        ("{days: 5, share: 0.5}", "5: limits.calendar.0.days: days are written as mon-fri"),
        (
            "{days: sat,sun, share: 0.5}",
            '5: limits.calendar.0: days with a comma need quotes, e.g. days: "sat,sun"',
        ),
        ("{hours: 09:00, share: 0.5}", '5: limits.calendar.0.hours: hours are written as "09:00-21:00"'),
        ("{hours: 9-17, share: 0.5}", '5: limits.calendar.0.hours: hours are written as "09:00-21:00"'),
        ("{hours: 09:60-10:00, share: 0.5}", "5: limits.calendar.0.hours: '09:60-10:00': a day has hours"),
        ("{hours: 09:00-24:30, share: 0.5}", "5: limits.calendar.0.hours: '09:00-24:30': a day has hours"),
        ("{hours: 09:00-09:00, share: 0.5}", "5: limits.calendar.0.hours: '09:00-09:00' begins and ends"),
        ("{hours: 09:00-21:00, share: 0}", "5: limits.calendar.0.share: Input should be greater than 0"),
        ("{hours: 09:00-21:00, share: 1.5}", "5: limits.calendar.0.share: Input should be less than"),
        ("{hours: 09:00-21:00}", "5: 'limits.calendar.0.share' is needed"),
        ("{hour: 09:00-21:00, share: 0.5}", "5: unknown key 'limits.calendar.0.hour'; did you mean 'hours'?"),
        ("0.5", "5: limits.calendar.0: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_span_is_named_with_its_line_and_key(tmp_path: Path, line: str, said: str) -> None:
    """As everything else that is wrong in loader.yaml."""
    path = tmp_path / "loader.yaml"
    path.write_text(f"store: {{id: 1}}\nexports: {{}}\nlimits:\n  calendar:\n    - {line}\n")
    with pytest.raises(SettingsError) as refused:
        read_settings(path)
    assert f"loader.yaml:{said}" in str(refused.value)


def test_loader_yaml_gives_the_calendar_of_its_store() -> None:
    """In the store's zone, and with limits.share at all other times."""
    loader = Loader.model_validate(
        {
            "store": {"id": 1, "time_zone": "America/New_York"},
            "exports": {},
            "limits": {"share": 0.8, "calendar": list(SHOP_HOURS)},
        }
    )
    assert loader.calendar == calendar(*SHOP_HOURS)
