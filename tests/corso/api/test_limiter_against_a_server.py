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
    server: QuotaServer,
    limits: Limits,
    *,
    seconds: float,
    workers: int = 8,
    latency_s: float = 0.05,
    before_each: Callable[[], None] = lambda: None,
) -> Limiter:
    """Send as much as the limiter allows for so many virtual seconds; a 429 is asked again."""
    clock = server.clock
    limiter = Limiter(limits, clock, jitter=lambda: 0.5)

    async def work() -> None:
        while clock.elapsed < seconds:
            ticket = await limiter.admit()
            before_each()
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
    *,
    limit: int,
    window_s: int,
    share: float,
    latency_s: float,
    workers: int,
    phase_s: float,
    form: ResetForm,
) -> None:
    """No limit, window, latency, concurrency or starting point makes a lone loader run into a 429."""
    server = QuotaServer(
        JumpingClock(), limit=limit, window_s=window_s, form=form, phase_s=phase_s % window_s
    )

    load(server, Limits(share=share), seconds=4 * window_s, workers=workers, latency_s=latency_s)

    assert server.refused_at == []


@pytest.mark.parametrize("used_by_others", [0.1, 0.5, 0.8])
def test_it_leaves_the_quota_of_others_alone(used_by_others: float) -> None:
    """With live traffic on the same quota it takes what is left and is all but never throttled."""
    server = QuotaServer(
        JumpingClock(), limit=200, window_s=60, foreign_per_s=used_by_others * 200 / 60, phase_s=20
    )

    limiter = load(server, Limits(share=0.8), seconds=600)

    assert limiter.throttled <= 2
    for window in whole_windows(server, 600):
        available = min(0.8, 1 - used_by_others) * 200
        assert 0.85 * available <= server.own[window] <= 0.8 * 200 + 2


def test_a_limit_that_is_halved_in_mid_run_is_obeyed_from_the_next_window_on() -> None:
    """A new window's numbers are taken whole, smaller or larger."""
    server = QuotaServer(JumpingClock(), limit=100, limits={3: 50, 6: 100})

    limiter = load(server, Limits(share=0.8), seconds=540)

    assert limiter.throttled == 0
    assert [server.own[window] for window in (2, 3, 4, 5)] == [
        pytest.approx(80, abs=4),
        pytest.approx(40, abs=2),
        pytest.approx(40, abs=2),
        pytest.approx(40, abs=2),
    ]
    assert server.own[7] == pytest.approx(80, abs=4)


def test_without_rate_limit_fields_it_adapts_to_what_is_refused() -> None:
    """Told nothing, it finds a rate near the server's by itself, and backs off when it is refused."""
    server = QuotaServer(JumpingClock(), limit=100, window_s=10, form="none")

    limiter = load(server, Limits(requests_per_second=30), seconds=300)

    assert limiter.quota_share is None
    assert sum(server.own.values()) >= 0.5 * 100 * 30
    assert limiter.throttled < 0.05 * limiter.sent


def test_fields_that_vanish_do_not_stop_it() -> None:
    """An API that ceases to tell its quota is used at the pace that was right so far."""
    clock = JumpingClock()
    server = QuotaServer(clock, limit=60, window_s=60)

    def fall_silent() -> None:
        server.form = "none" if clock.elapsed > 100 else "ceil"

    limiter = load(server, Limits(share=0.5), seconds=300, before_each=fall_silent)

    late = [at for at in server.arrived_at if at > 200]
    assert limiter.throttled <= 2
    assert len(late) >= 0.4 * 100


def test_a_run_that_is_suspended_wakes_up_to_a_new_window() -> None:
    """A jump of the clock past the window's end leads to one probe, not to a burst on old numbers."""
    clock = JumpingClock()
    server = QuotaServer(clock, limit=100, window_s=60)
    jumps = iter([3_600.0])

    def suspend() -> None:
        if clock.elapsed > 30:
            clock.jump(next(jumps, 0.0))

    limiter = load(server, Limits(share=0.8), seconds=3_900, before_each=suspend)

    assert limiter.throttled == 0
