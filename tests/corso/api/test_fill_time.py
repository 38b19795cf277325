"""How long a bucket takes to fill, by what it says of its end in whole seconds."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.api.fill_time import FillTime
from corso.api.quota_headers import QuotaNotice

WAYS: dict[str, Callable[[float], float]] = {
    "up": math.ceil,
    "down": math.floor,
    "to the nearest": round,
    "exactly": lambda seconds: round(seconds, 3),
}


def told(limit: int, levels: list[float], fills_in_s: float, way: str) -> FillTime:
    """Return what follows from a bucket's answers at these levels (0 to 1 of the limit)."""
    found = FillTime()
    for level in levels:
        has = level * limit
        reset_s = WAYS[way]((limit - has) / limit * fills_in_s)
        found.learn(limit, math.floor(has), QuotaNotice(limit, math.floor(has), float(reset_s)))
    return found


@given(
    st.integers(2, 1_000),
    st.lists(st.floats(0, 1), max_size=60),
    st.floats(0.2, 5_000),
    st.sampled_from(sorted(WAYS)),
)
def test_the_bounds_hold_however_seconds_are_rounded(
    limit: int, levels: list[float], fills_in_s: float, way: str
) -> None:
    """And what is said as soon as they are near is not far off."""
    found = told(limit, levels, fills_in_s, way)
    assert found.span.lo <= fills_in_s * 1.0001
    assert found.span.hi >= fills_in_s * 0.9999
    if found.seconds is not None:
        assert found.seconds == pytest.approx(fills_in_s, rel=0.15)


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize(("limit", "fills_in_s"), [(100, 4.0), (100, 10.0), (600, 60.0)])
def test_a_bucket_that_was_nearly_emptied_once_tells_it(limit: int, fills_in_s: float, way: str) -> None:
    """Within some per cent."""
    found = told(limit, [number / 100 for number in range(100, 15, -1)], fills_in_s, way)
    assert found.seconds == pytest.approx(fills_in_s, rel=0.05)


def test_a_bucket_that_is_always_nearly_full_does_not_tell() -> None:
    """Five of a hundred that come back within a second may take a second or twenty for all."""
    found = told(100, [0.99, 0.97, 0.95, 0.96], 4.0, "up")
    assert found.seconds is None
    assert found.span.hi > 20


def test_a_time_of_day_is_held_against_a_date_that_is_cut() -> None:
    """Both in whole seconds: the bucket may be full two seconds earlier than it looks."""
    found, limit, fills_in_s = FillTime(), 100, 10.0
    for number in range(300):
        utc, has = 1_790_000_000 + number * 0.37, 97 - number % 90
        reset_s = math.ceil(utc + (limit - has) / limit * fills_in_s) - math.floor(utc)
        found.learn(limit, has, QuotaNotice(limit, has, float(reset_s), reset_is_epoch=True))
    assert found.seconds == pytest.approx(fills_in_s, rel=0.05)


def test_a_bucket_that_fills_at_another_rate_is_found_out_anew() -> None:
    """Its limit may be told as before."""
    levels = [number / 100 for number in range(100, 15, -1)]
    found = told(100, levels, 4.0, "up")
    for level in levels:
        reset_s = math.ceil((1 - level) * 8.0)
        found.learn(100, math.floor(level * 100), QuotaNotice(100, math.floor(level * 100), float(reset_s)))
    assert found.seconds == pytest.approx(8.0, rel=0.05)


def test_what_is_no_bucket_tells_nothing() -> None:
    """A window's end has nothing to do with what is left."""
    found = FillTime()
    for remaining in (90, 50, 10):
        found.learn(100, remaining, QuotaNotice(100, remaining, 10.0))
    assert (found.span.lo, found.span.hi, found.seconds) == (0.0, math.inf, None)
