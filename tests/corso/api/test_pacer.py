"""The pacer's single rules, each with the few steps that show it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.api.cubic import BETA, CubicRate
from corso.api.pacer import Pacer, Ticket, Wait
from corso.api.quota_headers import QuotaNotice


def pacer(*, share: float = 1.0, max_in_flight: int = 64, jitter: float = 0.0) -> Pacer:
    """Return a fresh pacer with a fixed jitter."""
    return Pacer(share=share, max_in_flight=max_in_flight, jitter=lambda: jitter)


def ticket(of: Pacer, now: float) -> Ticket:
    """Admit one request, which must be possible."""
    admitted = of.admit(now)
    assert isinstance(admitted, Ticket)
    return admitted


def wait(of: Pacer, now: float) -> Wait:
    """Ask for a request, which must be refused."""
    refused = of.admit(now)
    assert isinstance(refused, Wait)
    return refused


def window(remaining: int, reset_s: float, *, limit: int = 6000) -> QuotaNotice:
    """Return what an answer says about a window."""
    return QuotaNotice(limit=limit, remaining=remaining, reset_s=reset_s)


def seeded(of: Pacer, remaining: int = 6000, reset_s: float = 60, *, limit: int = 6000) -> Pacer:
    """Give a pacer its first answer at time 0."""
    of.answered(ticket(of, 0), 0, 200, window(remaining, reset_s, limit=limit))
    return of


def test_before_the_first_answer_requests_go_one_by_one() -> None:
    """No burst runs into a quota that nobody knows."""
    fresh = pacer()
    first = ticket(fresh, 0)

    assert wait(fresh, 0).until is None

    fresh.answered(first, 1, 200, window(5999, 60))

    assert fresh.seeded
    ticket(fresh, 2)


def test_a_server_error_seeds_nothing() -> None:
    """A 5xx says nothing about the quota; the next request is again a lone one."""
    fresh = pacer()
    fresh.answered(ticket(fresh, 0), 1, 502)

    assert not fresh.seeded

    ticket(fresh, 1)
    assert wait(fresh, 1).until is None


def test_within_a_window_the_estimate_is_only_tightened() -> None:
    """Answers overtake each other: a higher number of the same window is old news."""
    paced = seeded(pacer())
    early, late = ticket(paced, 10), ticket(paced, 20)
    paced.answered(late, 21, 201, window(20, 40))
    paced.answered(early, 22, 201, window(4000, 50))

    assert wait(paced, 22).until == pytest.approx(61)


def test_a_new_window_is_taken_whole() -> None:
    """Its numbers replace the estimate, however low that had been."""
    paced = seeded(pacer(), remaining=20)
    assert wait(paced, 30).until == pytest.approx(61)

    paced.answered(ticket(paced, 61), 61.2, 201, window(5999, 59))

    assert paced.rate(61.2) == pytest.approx(6000 / 60, rel=0.05)


def test_an_answer_of_a_former_window_is_ignored() -> None:
    """A slow answer from the exhausted window does not empty the new one."""
    paced = seeded(pacer())
    slow = ticket(paced, 10)
    paced.answered(ticket(paced, 61.5), 61.6, 201, window(5999, 59))
    before = paced.rate(62)
    paced.answered(slow, 62, 201, window(0, 50))

    assert paced.rate(62) >= before


def test_requests_under_way_count_against_what_remains() -> None:
    """Never more under way than the window has left, less the reserve of one in fifty, 20 at the most."""
    paced = seeded(pacer(), remaining=23)
    for at in (20, 40, 50):
        ticket(paced, at)

    assert wait(paced, 55).until is None


def test_the_reserve_is_small() -> None:
    """Limits below fifty keep none, so that they can be used at all."""
    paced = seeded(pacer(), remaining=1, limit=2)

    ticket(paced, 59)


def test_our_share_is_a_bound_on_our_own_requests() -> None:
    """Past it nothing leaves before the next window, however much remains."""
    paced = seeded(pacer(share=0.01), limit=300, remaining=299)
    for at in (20, 40):
        paced.answered(ticket(paced, at), at + 1, 201, window(298, 59 - at, limit=300))

    assert wait(paced, 50).until == pytest.approx(61)


def test_the_places_under_way_are_limited() -> None:
    """`max_in_flight` holds whatever the quota allows."""
    paced = seeded(pacer(max_in_flight=2), remaining=10**6, limit=10**6)
    first = ticket(paced, 1)
    ticket(paced, 1)

    assert wait(paced, 1).until is None

    paced.withdrawn(first)
    ticket(paced, 1)


@given(
    retry_after_s=st.floats(30, 100_000),
    later=st.lists(st.tuples(st.floats(0, 5), st.sampled_from([200, 429, 500])), max_size=5),
    jitter=st.floats(0, 1),
)
def test_retry_after_is_never_undercut(
    retry_after_s: float, later: list[tuple[float, int]], jitter: float
) -> None:
    """Nothing is admitted before the time the server named, whatever other answers come in meanwhile."""
    paced = seeded(pacer(jitter=jitter))
    others = [ticket(paced, 1 + place) for place, _ in enumerate(later)]
    paced.answered(ticket(paced, 6), 6, 429, QuotaNotice(retry_after_s=retry_after_s))
    at = 6.0
    for other, (seconds, status) in zip(others, later, strict=True):
        at += seconds
        paced.answered(other, at, status, window(900, 30) if status == 200 else QuotaNotice())

    until = wait(paced, at).until
    assert until is not None
    assert until >= 6 + retry_after_s
    assert not paced.may_leave(at)


def test_jitter_is_added_after_the_pause_and_is_at_most_five_seconds() -> None:
    """It spreads the return; it never shortens the wait."""
    paced = seeded(pacer(jitter=1.0))
    pause_s = paced.answered(ticket(paced, 1), 2, 429, QuotaNotice(retry_after_s=600))

    assert pause_s == pytest.approx(605)


def test_after_a_pause_one_request_goes_ahead() -> None:
    """Only when it comes back well do the others follow."""
    paced = seeded(pacer())
    paced.answered(ticket(paced, 1), 2, 429, QuotaNotice(retry_after_s=10))
    probe = ticket(paced, 12)

    assert wait(paced, 12).until is None

    paced.answered(probe, 13, 201, window(5000, 47))
    ticket(paced, 14)


def test_a_pause_that_was_too_short_doubles() -> None:
    """A server that keeps refusing after what it asked for is asked more and more rarely."""
    paced = seeded(pacer())
    now, pauses = 1.0, []
    for _ in range(5):
        pauses.append(paced.answered(ticket(paced, now), now, 429, QuotaNotice(retry_after_s=1)))
        now += pauses[-1]

    assert pauses == pytest.approx([1, 2, 4, 8, 16])


def test_a_503_with_retry_after_pauses_everyone() -> None:
    """Retry-After is obeyed on whatever answer it comes."""
    paced = seeded(pacer())

    assert paced.answered(ticket(paced, 1), 2, 503, QuotaNotice(retry_after_s=30)) == pytest.approx(30)
    assert paced.tally.throttled == 0


def test_a_withdrawn_request_costs_nothing() -> None:
    """What surely never left is neither counted as sent nor against the quota."""
    paced = seeded(pacer())
    before = (paced.tally.sent, paced.tally.used, paced.rate(5))
    paced.withdrawn(ticket(paced, 5))

    assert before == (paced.tally.sent, paced.tally.used, paced.rate(5))


@given(
    st.lists(st.sampled_from(["admit", "ok", "none", "withdraw", "429", "500", "wait"]), max_size=80),
    st.data(),
)
def test_places_are_always_given_back(steps: list[str], data: st.DataObject) -> None:
    """Whatever the order of events, the number under way is the number of tickets that are out."""
    paced, out, now = pacer(max_in_flight=8), list[Ticket](), 0.0
    for step in steps:
        now += 0.5
        if step == "admit":
            decision = paced.admit(now)
            if isinstance(decision, Ticket):
                out.append(decision)
        elif step == "wait":
            now += 70
        elif out:
            one = out.pop(data.draw(st.integers(0, len(out) - 1)))
            match step:
                case "ok":
                    paced.answered(one, now, 201, window(50, 30))
                case "429":
                    paced.answered(one, now, 429, QuotaNotice(retry_after_s=3))
                case "500":
                    paced.answered(one, now, 500)
                case "none":
                    paced.unanswered(one)
                case _:
                    paced.withdrawn(one)
        assert paced.in_flight == len(out) <= 8
        assert paced.rate(now) >= 0


def test_cubic_cuts_to_seven_tenths_and_grows_back() -> None:
    """The curve starts at 0.7 of the rate that failed, is flat near it, and goes beyond only when it is used."""
    rate = CubicRate(10, 0)
    rate.cut(5, grows_from=5)
    cut_from = 10.0

    assert rate.rate(5) == pytest.approx(BETA * cut_from)
    assert rate.rate(7) == pytest.approx(cut_from, rel=0.01)
    assert rate.rate(1_000) == pytest.approx(cut_from)

    for tenth in range(100):
        rate.sent(10 + tenth / 10)
    assert rate.rate(20) > cut_from
