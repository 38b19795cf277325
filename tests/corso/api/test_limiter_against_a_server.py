"""The limiter in virtual time against a server that counts: what it uses, and what it never does."""

import asyncio
from collections.abc import Callable

import pytest
from clocks import JumpingClock
from hypothesis import given, settings
from hypothesis import strategies as st
from quota_server import QuotaServer, ResetForm

from corso.api.limiter import Limiter
from corso.api.quota_headers import read_notice
from corso.settings import Limits

FORMS: list[ResetForm] = ["ceil", "floor", "exact", "epoch", "ietf"]


def load(
    server: QuotaServer, limits: Limits, *, seconds: float, workers: int = 8, latency_s: float = 0.05
) -> Limiter:
    """Send as much as the limiter allows for so many virtual seconds; a 429 is asked again."""
    clock = server.clock
    limiter = Limiter(limits, clock, jitter=lambda: 0.5)

    async def work() -> None:
        while clock.elapsed < seconds:
            ticket = await limiter.admit()
            await clock.sleep(latency_s / 2)
            status, fields = server.handle()
            notice = read_notice(fields, clock.utc())
            await clock.sleep(latency_s / 2)
            limiter.answered(ticket, status, notice)

    async def everybody() -> None:
        await asyncio.gather(*(work() for _ in range(workers)))

    asyncio.run(everybody())
    return limiter


def whole_windows(server: QuotaServer, seconds: float) -> list[int]:
    """Return the windows that lie wholly inside the load, the first one left out: it is for learning."""
    last = int((seconds + server.phase_s) // server.window_s)
    return list(range(2, last))


@pytest.mark.parametrize("form", FORMS)
def test_alone_it_uses_its_share_of_every_window_and_is_never_throttled(form: ResetForm) -> None:
    """Zero 429s, at most `share` of the quota and at least 95 % of that, whatever form the reset has."""
    server = QuotaServer(JumpingClock(), limit=100, window_s=60, form=form, phase_s=13.7)

    limiter = load(server, Limits(share=0.8), seconds=400)

    assert server.refused_at == []
    assert limiter.throttled == 0
    for window in whole_windows(server, 400):
        assert 0.95 * 80 <= server.own[window] <= 80 + 2


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(2, 600),
    window_s=st.integers(5, 120),
    share=st.floats(0.1, 1.0),
    latency_s=st.floats(0.001, 0.8),
    workers=st.integers(1, 40),
    phase_s=st.floats(0, 119),
    form=st.sampled_from(FORMS),
)
@pytest.mark.slow
def test_alone_it_is_never_throttled_whatever_the_quota(
    limit: int, window_s: int, share: float, latency_s: float, workers: int, phase_s: float, form: ResetForm
) -> None:
    """No limit, window, latency, concurrency or starting point makes a lone loader run into a 429."""
    server = QuotaServer(
        JumpingClock(), limit=limit, window_s=window_s, form=form, phase_s=phase_s % window_s
    )

    load(server, Limits(share=share), seconds=4 * window_s, workers=workers, latency_s=latency_s)

    assert server.refused_at == []
