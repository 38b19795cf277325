"""The forecast: its arithmetic, and what it says by what is known of the quota."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.api.found_rate import Found
from corso.calendar import Calendar, Span
from corso.report.summary import PlanCounts, Summary, TableCounts
from corso.settings import Loader, Settings
from corso.stages.batch import Batch
from corso.stages.forecast import Cost, cost_of, say_forecast, seconds_for
from corso.stages.known_quota import FoundEarlier, KnownQuota, NotLearnt

NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
"""A Tuesday, 13:00 in New York."""
COST = Cost(orders=20_000, fulfillments=20_400, pages=801, look_ups=0)
OFFLINE = NotLearnt("--offline asks nothing of the API")


def loader(**limits: Any) -> Loader:
    """Return a loader.yaml of a store in New York."""
    store = {"id": 9359, "time_zone": "America/New_York"}
    return Loader.model_validate({"store": store, "exports": {}, "limits": limits})


def flat(share: float) -> Calendar:
    """Return a calendar without spans."""
    return Calendar((), share, ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("known", "limits", "said"),
    [
        (
            KnownQuota(100, 10, 10, 0.11, NOW - timedelta(days=1)),
            {},
            (
                "1 h 26 min to 1 h 39 min at 100 requests per 10 s, of which the loader may use 80 %; "
                "if it runs now, done by about Tue 14:38. An upload measured this on 2026-11-23; others used 11 %."
            ),
        ),
        (
            KnownQuota(100, 10, 10, 0.4, NOW - timedelta(days=1)),
            {},
            (
                "1 h 26 min to 2 h 12 min at 100 requests per 10 s, of which the loader may use 80 %; "
                "if it runs now, done by about Tue 15:11. An upload measured this on 2026-11-23; others used 40 %."
            ),
        ),
        (
            KnownQuota(100, 10, 20),
            {},
            (
                "1 h 26 min to 2 h 52 min at 100 requests per 10 to 20 s, of which the loader may use 80 %; "
                "if it runs now, done by about Tue 15:51."
            ),
        ),
        (
            KnownQuota(10, 60, 120),
            {},
            "3 days 14 h to 7 days 4 h",
        ),
        (
            OFFLINE,
            {"requests_per_second": 8},
            (
                "1 h 26 min to 1 h 39 min at 8 requests a second; if it runs now, done by about Tue 14:38. "
                "The quota is not known: --offline asks nothing of the API."
            ),
        ),
        (
            OFFLINE,
            {},
            (
                "how long is not known: --offline asks nothing of the API. It is known once the API has told its quota, or "
                "limits.requests_per_second is set."
            ),
        ),
        (
            # 41,201 at eight tenths of 12.5.
            NotLearnt("the API tells none", FoundEarlier(Found(12.5), NOW - timedelta(days=1))),
            {"share": 0.8},
            "1 h 9 min to 1 h 19 min at about 12.5 requests a second, of which the loader may use 80 %",
        ),
        (
            NotLearnt("the API tells none", FoundEarlier(Found(12.5), NOW - timedelta(days=1))),
            {"share": 0.8},
            "An upload found this out on 2026-11-23; the quota itself is not known: the API tells none.",
        ),
        (
            # An hour at nine tenths, 32,400 requests, the other 8,801 at two tenths.
            KnownQuota(100, 10, 10),
            {"calendar": [{"hours": "14:00-21:00", "share": 0.2}, {"hours": "21:00-14:00", "share": 0.9}]},
            "2 h 13 min to 3 h 5 min at 100 requests per 10 s, of which the loader may use 20 to 90 % (limits.calendar)",
        ),
    ],
)
def test_the_sentence(known: KnownQuota | NotLearnt, limits: dict[str, Any], said: str) -> None:
    """As it is printed."""
    sentence = say_forecast(COST, known, loader(**limits), NOW)
    assert sentence.startswith("about 41,200 requests (20,000 orders, up to 20,400 fulfillments, 801 pages)")
    assert said in sentence


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (Cost(0, 0, 1, 0), "about 1 request (0 orders, 0 fulfillments, 1 page)"),
        (Cost(1, 1, 0, 2), "about 4 requests (1 order, up to 1 fulfillment, 2 look-ups)"),
        (Cost(999, 0, 1, 0), "about 1,000 requests (999 orders, 0 fulfillments, 1 page)"),
        (
            Cost(12_345_678, 0, 246_914, 0),
            "about 12,600,000 requests (12,345,678 orders, 0 fulfillments, 246,914 pages)",
        ),
    ],
)
def test_requests_are_rounded_and_what_they_are_for_is_not(cost: Cost, said: str) -> None:
    """Three digits are as exact as a forecast is."""
    assert str(cost) == said


def test_work_for_days_names_the_date() -> None:
    """A weekday alone would be this week's."""
    sentence = say_forecast(Cost(10**7, 0, 1, 0), KnownQuota(100, 10, 10), loader(), NOW)
    assert "14 days 11 h to 16 days 15 h" in sentence
    assert "done by about Fri 11 Dec 04:18" in sentence


def test_what_takes_for_ever_names_no_date() -> None:
    """Nor does it break the calendar."""
    sentence = say_forecast(Cost(10**8, 0, 1, 0), KnownQuota(1, 86_400, 86_400), loader(), NOW)
    assert "days" in sentence
    assert "done by" not in sentence


SHARES = Calendar(
    (
        Span.model_validate({"days": "mon-fri", "hours": "09:00-21:00", "share": 0.3}),
        Span.model_validate({"hours": "21:00-09:00", "share": 0.9}),
    ),
    0.5,
    ZoneInfo("Europe/Berlin"),
)


@given(
    st.integers(0, 10**6),
    st.floats(0.5, 1000),
    st.integers(0, 366 * 24 * 3600),
)
def test_the_time_lies_between_those_of_the_smallest_and_the_largest_share(
    requests: int, per_second: float, offset_s: int
) -> None:
    """Whatever the calendar says in between."""
    seconds = seconds_for(requests, per_second, SHARES, NOW + timedelta(seconds=offset_s))
    assert requests / (0.9 * per_second) <= seconds * 1.000001
    assert seconds <= requests / (0.3 * per_second) * 1.000001


def test_the_time_goes_through_the_calendar() -> None:
    """An hour of the day's share, then the night's."""
    begins = datetime(2026, 11, 23, 20, 0, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    assert seconds_for(3 * 3600 + 9 * 1800, 10, SHARES, begins) == pytest.approx(3600 + 1800)


def test_what_others_used_leaves_less_than_the_share_only_where_they_use_much() -> None:
    """The share already leaves a fifth to them."""
    assert seconds_for(800, 10, flat(0.8), NOW, most=0.9) == pytest.approx(100)
    assert seconds_for(800, 10, flat(0.8), NOW, most=0.4) == pytest.approx(200)
    assert seconds_for(800, 10, flat(0.8), NOW, most=0.0) == pytest.approx(1600)


@pytest.mark.parametrize(
    ("mode", "accepted", "pages", "look_ups"),
    [("auto", 1000, 21, 0), ("lookup", 1000, 0, 1000), ("auto", 3, 1, 0)],
)
def test_reading_back_is_counted_by_the_way_that_it_will_go(
    tmp_path: Path, mode: str, accepted: int, pages: int, look_ups: int
) -> None:
    """Pages of the store's listing, or one look-up an order."""
    settings = Settings(
        tmp_path / "loader.yaml",
        Loader.model_validate({"store": {"id": 1}, "exports": {}, "reconcile": {"mode": mode}}),
    )
    batch = Batch(settings, "b")
    batch.tables.mkdir(parents=True)
    actions = ["create"] * 7 + ["unchanged"] * 3
    pl.DataFrame({"subject": ["fulfillment"] * 10, "action": actions}).write_parquet(
        batch.table("upload_plan")
    )
    plan = PlanCounts(create=accepted)
    summary = Summary(store_id=1, batch="b", accepted=TableCounts(orders=accepted), plan=plan)
    assert cost_of(batch, summary) == Cost(accepted, 7, pages, look_ups)
