"""`--until`: which moment is meant."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from corso.errors import SettingsError
from pipelines.until import parse_until

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
"""13:00 in New York."""


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("13:01", "2026-11-24T18:01+00:00"),
        ("13:00", "2026-11-25T18:00+00:00"),
        ("6:00", "2026-11-25T11:00+00:00"),
        ("06:00", "2026-11-25T11:00+00:00"),
        ("2026-11-24 13:30", "2026-11-24T18:30+00:00"),
        ("2026-12-01T06:00", "2026-12-01T11:00+00:00"),
        ("2026-11-24T19:00:00Z", "2026-11-24T19:00+00:00"),
        ("2026-11-24T19:00+01:00", "2026-11-24T18:00+00:00"),
    ],
)
def test_a_time_is_the_next_one_by_the_stores_clock(text: str, meant: str) -> None:
    """A time of day is today's or tomorrow's; a date is taken as it is."""
    now = NOW.replace(hour=17, minute=59) if text.endswith("+01:00") else NOW
    until = parse_until(text, now, NEW_YORK)
    assert until == datetime.fromisoformat(meant)
    assert until.tzinfo == NEW_YORK


@pytest.mark.parametrize(
    ("now", "meant"),
    [
        ("2026-11-01T05:00+00:00", "2026-11-01T05:30+00:00"),
        ("2026-11-01T05:45+00:00", "2026-11-01T06:30+00:00"),
        ("2026-11-01T06:45+00:00", "2026-11-02T06:30+00:00"),
    ],
)
def test_an_hour_that_comes_twice_is_the_next_of_both(now: str, meant: str) -> None:
    """The clock in New York shows 01:30 twice on 2026-11-01."""
    until = parse_until("01:30", datetime.fromisoformat(now), NEW_YORK)
    assert until.astimezone(UTC) == datetime.fromisoformat(meant)


def test_a_time_that_is_skipped_is_met_all_the_same() -> None:
    """The clock in New York shows no 02:30 on 2026-03-08; the run does not go on until the next day."""
    now = datetime(2026, 3, 8, 5, 0, tzinfo=UTC)
    assert parse_until("02:30", now, NEW_YORK) == datetime(2026, 3, 8, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "06:60", "6", "06:00:00 pm", "2026-11-25", "2026-13-01 06:00"]
)
def test_what_is_no_time_is_refused_with_the_forms_that_are(text: str) -> None:
    """A date alone is not one either: which moment of the day?"""
    with pytest.raises(
        SettingsError, match=r"say HH:MM or YYYY-MM-DD HH:MM, in the store's time \(America/New_York\)"
    ):
        parse_until(text, NOW, NEW_YORK)


@pytest.mark.parametrize("text", ["2026-11-24 12:59", "2026-11-24T18:00:00Z", "2020-01-01 06:00"])
def test_a_time_that_is_past_is_refused_with_the_time_that_it_is(text: str) -> None:
    """Nothing would be sent."""
    with pytest.raises(SettingsError, match="is past: it is 2026-11-24 13:00 in America/New_York"):
        parse_until(text, NOW, NEW_YORK)
