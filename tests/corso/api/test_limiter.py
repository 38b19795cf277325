"""The limiter's waiting: order, patience, cancelled tasks."""

import asyncio

import pytest
from clocks import JumpingClock

from corso.api.limiter import Limiter
from corso.api.pacer import Ticket
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
