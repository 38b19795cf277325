"""How long something still takes: by the last minute, through pauses, and before anything is known."""

import pytest

from corso.stages.batch import Pace
from pipelines.time_left import TimeLeft, said_seconds


def noted(left: TimeLeft, begins: float, seconds: float, per_second: float, done: int = 0) -> int:
    """Let something be done at an even pace, noted ten times a second; return how much is done then."""
    for tenth in range(1, int(seconds * 10) + 1):
        left.note(begins + tenth / 10, done + int(per_second * tenth / 10), Pace(per_second=per_second))
    return done + int(per_second * seconds)


def test_the_pace_is_that_of_the_last_minute() -> None:
    """An hour at ten a second does not count any more after a minute at two."""
    left = TimeLeft()
    done = noted(left, 0, 600, 10)
    assert left.per_second == pytest.approx(10, rel=0.02)
    done = noted(left, 600, 61, 2, done)
    assert left.per_second == pytest.approx(2, rel=0.05)
    assert left.done_at(done + 200) == pytest.approx(661 + 100, abs=6)


def test_before_anything_got_done_the_pace_is_what_the_api_allows() -> None:
    """A number from the first answer on."""
    left = TimeLeft()
    assert left.done_at(100) is None
    left.note(0, 0, Pace())
    assert left.done_at(100) is None
    left.note(1, 0, Pace(per_second=8))
    assert left.done_at(80) == pytest.approx(11)


def test_a_pause_is_part_of_the_time_that_is_left_and_no_part_of_the_pace() -> None:
    """Ten minutes' pause add ten minutes; afterwards it goes on as before."""
    left = TimeLeft()
    done = noted(left, 0, 60, 10)
    left.note(60.1, done, Pace(per_second=0, pause_s=600))
    left.note(60.2, done, Pace(per_second=0, pause_s=599.9))
    assert left.done_at(done + 100) == pytest.approx(60.1 + 600 + 10, abs=1)
    left.note(661, done + 1, Pace(per_second=10))
    assert left.done_at(done + 101) == pytest.approx(671, abs=1)
    noted(left, 661, 20, 5, done + 1)
    assert left.per_second == pytest.approx(5, rel=0.05)


def test_a_further_round_begins_at_zero_and_keeps_the_pace() -> None:
    """The canary's twenty are done; the rest is counted anew."""
    left = TimeLeft()
    noted(left, 0, 10, 2)
    left.note(10.5, 0, Pace(per_second=100))
    assert left.done_at(200) == pytest.approx(110.5, rel=0.05)


def test_where_the_whole_is_not_known_nobody_says_when_it_is_done() -> None:
    """As with a listing of unknown length."""
    left = TimeLeft()
    noted(left, 0, 10, 10)
    assert left.done_at(0) is None


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (-3, "0:00"), (34.4, "0:34"), (725, "12:05"), (5165, "1:26:05")]
)
def test_seconds_are_said_as_a_clock_would(seconds: float, said: str) -> None:
    """Hours only where there are any."""
    assert said_seconds(seconds) == said
