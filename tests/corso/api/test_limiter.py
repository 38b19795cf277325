"""The limiter's waiting: order, patience, cancelled tasks, the calendar, the time to end."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from clocks import JumpingClock

from corso.api.limiter import Limiter
from corso.api.pacer import Pacer, Ticket, Wait
from corso.api.quota_headers import QuotaNotice
from corso.errors import Parked
from corso.settings import Limits

PLENTY = QuotaNotice(limit=10**6, remaining=10**6, reset_s=3600)


async def seeded(limits: Limits, clock: JumpingClock) -> Limiter:
    """Return a limiter that has had its first answer."""
    limiter = Limiter(limits, clock, jitter=lambda: 0.0)
    limiter.answered(await limiter.admit(), 200, PLENTY)
    return limiter


def test_ten_minutes_of_retry_after_hold_every_task() -> None:
    """One 429 stops all; the first request after it leaves when the time is over, not before."""
    clock = JumpingClock()

    async def scenario() -> list[float]:
        limiter = await seeded(Limits(), clock)
        left: list[float] = []

        async def work() -> None:
            limiter.answered(await limiter.admit(), 201, PLENTY)
            left.append(clock.elapsed)

        limiter.answered(await limiter.admit(), 429, QuotaNotice(retry_after_s=600))
        await asyncio.gather(*(work() for _ in range(30)))
        return left

    left = asyncio.run(scenario())

    assert len(left) == 30
    assert min(left) >= 600


def test_a_longer_wait_than_patience_parks_the_run_and_says_until_when() -> None:
    """The run ends with the time to come back, instead of waiting or hammering."""
    clock = JumpingClock()

    async def scenario() -> Parked:
        limiter = await seeded(Limits(patience_s=900), clock)
        limiter.answered(await limiter.admit(), 429, QuotaNotice(retry_after_s=901))
        with pytest.raises(Parked) as parked:
            await limiter.admit()
        return parked.value

    parked = asyncio.run(scenario())

    assert (parked.resume_at - clock.utc()).total_seconds() == pytest.approx(901)
    assert parked.exit_code == 75
    assert clock.elapsed < 1


def test_many_short_refusals_in_a_row_park_the_run_in_the_end() -> None:
    """A server that answers nothing but 429 for longer than patience asks for a long wait, piece by piece."""
    clock = JumpingClock()

    async def scenario() -> None:
        limiter = await seeded(Limits(patience_s=900), clock)
        while True:
            limiter.answered(await limiter.admit(), 429, QuotaNotice(retry_after_s=5))

    with pytest.raises(Parked):
        asyncio.run(scenario())

    assert 700 < clock.elapsed < 1000


def test_a_window_that_opens_too_late_parks_the_run() -> None:
    """A spent daily quota is no reason to wait for hours."""

    async def scenario() -> None:
        limiter = Limiter(Limits(patience_s=900), JumpingClock(), jitter=lambda: 0.0)
        notice = QuotaNotice(limit=1000, remaining=0, reset_s=40_000)
        limiter.answered(await limiter.admit(), 200, notice)
        await limiter.admit()

    with pytest.raises(Parked):
        asyncio.run(scenario())


def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """Whoever waits behind a cancelled task gets its turn."""
    clock = JumpingClock()

    async def scenario() -> Ticket:
        limiter = await seeded(Limits(max_in_flight=1), clock)
        held = await limiter.admit()
        waiting = asyncio.create_task(limiter.admit())
        behind = asyncio.create_task(limiter.admit())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        limiter.answered(held, 201, PLENTY)
        return await behind

    assert isinstance(asyncio.run(scenario()), Ticket)


class OneWindow:
    """A server of one window after the other, each of 100 requests in 10 seconds, which answers at once."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self.by_window: dict[int, int] = {}

    def answer(self) -> QuotaNotice:
        """Count a request; return what its answer says."""
        window = int(self._clock.elapsed // 10)
        self.by_window[window] = self.by_window.get(window, 0) + 1
        ends_in_s = (window + 1) * 10 - self._clock.elapsed
        return QuotaNotice(limit=100, remaining=100 - self.by_window[window], reset_s=ends_in_s)


NIGHT = Limits.model_validate({"share": 0.2, "calendar": [{"hours": "21:00-09:00", "share": 0.9}]})


def test_the_share_changes_in_mid_run_when_the_calendar_says_so() -> None:
    """20:58 to 21:02 in New York: a fifth of the quota before nine, nine tenths after, without a restart."""
    clock = JumpingClock(datetime(2026, 11, 23, 20, 58, tzinfo=ZoneInfo("America/New_York")).astimezone(UTC))
    server = OneWindow(clock)

    async def scenario() -> None:
        limiter = Limiter(NIGHT, clock, jitter=lambda: 0.0, time_zone="America/New_York")
        while clock.elapsed < 240:
            ticket = await limiter.admit()
            await clock.sleep(0.01)
            limiter.answered(ticket, 201, server.answer())

    asyncio.run(scenario())

    before = [server.by_window[window] for window in range(2, 11)]
    after = [server.by_window[window] for window in range(14, 23)]
    assert max(before) <= 21
    assert min(before) >= 15
    assert max(after) <= 91
    assert min(after) >= 75


def test_a_clock_that_jumps_is_held_against_the_calendar_again() -> None:
    """A machine that was suspended over night goes on with the morning's share."""
    clock = JumpingClock(datetime(2026, 11, 23, 22, 0, tzinfo=UTC))

    async def scenario() -> list[float]:
        limiter = Limiter(NIGHT, clock, jitter=lambda: 0.0)
        seen = []
        for hours in (0, 12, 12):
            clock.jump(hours * 3600)
            limiter.answered(await limiter.admit(), 200, PLENTY)
            seen.append(limiter.pacer.share)
        return seen

    assert asyncio.run(scenario()) == [0.9, 0.2, 0.9]


def test_whoever_waits_with_a_small_share_goes_on_when_the_calendar_gives_more() -> None:
    """Our part of a window of an hour is used up; at nine there is more, long before the window is over."""
    clock = JumpingClock(datetime(2026, 11, 23, 20, 50, tzinfo=UTC))

    class UsedUp(Pacer):
        """Our part of a window of an hour is used up, unless it is nine tenths."""

        def admit(self, now: float) -> Ticket | Wait:
            return super().admit(now) if self.share == 0.9 else Wait(now + 3000, now)

    async def scenario() -> float:
        limiter = Limiter(NIGHT, clock, jitter=lambda: 0.0)
        limiter.pacer = UsedUp(share=0.2, max_in_flight=64)
        await limiter.admit()
        return clock.elapsed

    assert asyncio.run(scenario()) == pytest.approx(600)


def test_when_it_is_time_to_end_nothing_more_is_admitted() -> None:
    """What is under way ends; the next in the queue is told when to come back."""
    clock = JumpingClock(datetime(2026, 11, 23, 10, 59, 50, tzinfo=UTC))
    until = datetime(2026, 11, 23, 6, 0, tzinfo=ZoneInfo("America/New_York"))

    async def scenario() -> tuple[int, Parked]:
        limiter = Limiter(Limits(), clock, jitter=lambda: 0.0, until=until)
        sent = 0
        try:
            while True:
                ticket = await limiter.admit()
                sent += 1
                await clock.sleep(0.5)
                limiter.answered(ticket, 201, PLENTY)
        except Parked as parked:
            assert limiter.pacer.in_flight == 0
            return sent, parked

    sent, parked = asyncio.run(scenario())

    assert sent == 20
    assert parked.resume_at == until
    assert str(parked) == "parked at 06:00 as --until asked: run the same command again to go on"


@pytest.mark.parametrize("retry_after_s", [45, 600])
def test_a_limiter_that_waits_wakes_when_it_is_time_to_end(retry_after_s: float) -> None:
    """Neither its own pace nor a pause that the API asked for keeps the run until after its end."""
    clock = JumpingClock()

    async def scenario() -> None:
        limiter = Limiter(Limits(), clock, jitter=lambda: 0.0, until=clock.utc() + timedelta(seconds=30))
        limiter.answered(await limiter.admit(), 200, PLENTY)
        limiter.answered(await limiter.admit(), 429, QuotaNotice(retry_after_s=retry_after_s))
        await limiter.admit()

    with pytest.raises(Parked, match="as --until asked"):
        asyncio.run(scenario())

    assert clock.elapsed == pytest.approx(30, abs=0.01)


def test_the_jumping_clock_wakes_sleepers_in_the_order_of_their_times() -> None:
    """The clock that these tests trust: each sleeper sees exactly its own time."""
    clock = JumpingClock()
    woke: list[tuple[float, str]] = []

    async def sleeper(name: str, *seconds: float) -> None:
        for one in seconds:
            await clock.sleep(one)
            woke.append((clock.elapsed, name))

    async def everybody() -> None:
        await asyncio.gather(sleeper("a", 5, 5), sleeper("b", 1, 9), sleeper("c", 7), sleeper("d", 0))

    asyncio.run(everybody())

    assert woke == [(0, "d"), (1, "b"), (5, "a"), (7, "c"), (10, "b"), (10, "a")]
