"""The pacer's single rules, each with the few steps that show it."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.api.found_rate import FoundRate
from corso.api.latency import Concurrency, Latency
from corso.api.others import Others
from corso.api.pacer import Pacer, Ticket, Wait
from corso.api.poisson import least_kept, most_arrivals
from corso.api.quota_headers import QuotaNotice
from corso.api.sent_log import SentLog
from corso.api.window import Length, Span, Window


def pacer(*, share: float = 1.0, max_in_flight: int = 64, jitter: float = 0.0) -> Pacer:
    """Return a fresh pacer with a fixed jitter."""
    return Pacer(share=share, max_in_flight=max_in_flight, jitter=lambda: jitter)


def ticket(of: Pacer, now: float) -> Ticket:
    """Admit one request, which must be possible."""
    admitted = of.admit(now)
    assert isinstance(admitted, Ticket)
    return admitted


def next_ticket(of: Pacer, now: float) -> Ticket:
    """Admit one request as soon as it may leave, at `now` or later."""
    decision = of.admit(now)
    while isinstance(decision, Wait):
        assert decision.until is not None
        now = max(now + 0.001, decision.until)
        decision = of.admit(now)
    return decision


def wait(of: Pacer, now: float) -> Wait:
    """Ask for a request, which must be refused."""
    refused = of.admit(now)
    assert isinstance(refused, Wait)
    return refused


def window(remaining: int, reset_s: float, *, limit: int = 6000) -> QuotaNotice:
    """Return what an answer says about a window."""
    return QuotaNotice(limit=limit, remaining=remaining, reset_s=reset_s)


def seeded(of: Pacer, remaining: int = 6000, reset_s: float = 60, *, limit: int = 6000) -> Pacer:
    """Give a pacer its first answer: it left at time 0 and took a second."""
    of.answered(ticket(of, 0), 1, 200, window(remaining, reset_s, limit=limit))
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
    paced = seeded(pacer(), remaining=4000)
    early, late = ticket(paced, 10), ticket(paced, 20)
    paced.answered(late, 21, 201, window(20, 40))
    tight = paced.rate(22)
    paced.answered(early, 22, 201, window(3990, 50))

    assert paced.rate(22) == pytest.approx(tight, rel=0.1)
    assert tight < 2


@given(
    remaining=st.lists(st.integers(0, 500), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
)
def test_however_answers_are_ordered_what_remains_never_rises_within_a_window(
    remaining: list[int], order: random.Random
) -> None:
    """Monotone tightening: after any answers of one window, no more is left than the lowest of them said."""
    paced = seeded(pacer(max_in_flight=1000), remaining=501, limit=502)
    sent = [ticket(paced, 1 + place * 2) for place in range(len(remaining))]
    answers = list(zip(sent, sorted(remaining, reverse=True), strict=True))
    order.shuffle(answers)
    lowest = 501
    for one, left in answers:
        paced.answered(one, 45, 201, window(left, round(60 - one.sent_at), limit=502))
        lowest = min(lowest, left)
        assert paced.left(45) <= lowest


def test_a_new_window_is_taken_whole() -> None:
    """Its numbers replace the estimate, however low that had been."""
    paced = seeded(pacer(), remaining=20)

    paced.answered(ticket(paced, 61.2), 61.3, 201, window(5999, 59))

    assert paced.left(61.4) >= 5990
    assert paced.rate(61.4) == pytest.approx(6000 / 60, rel=0.05)


def test_an_answer_of_a_former_window_is_ignored() -> None:
    """A slow answer from the exhausted window does not empty the new one."""
    paced = seeded(pacer(), remaining=900)
    slow = ticket(paced, 10)
    paced.answered(ticket(paced, 20), 20.1, 201, window(500, 40))
    paced.answered(next_ticket(paced, 61.5), 63, 201, window(5999, 58))
    before = paced.left(64)
    paced.answered(slow, 64, 201, window(0, 50))

    assert before >= 4500  # others used 38 a second: as many are kept for them until the window ends
    assert paced.left(64) >= before


def test_requests_under_way_count_against_what_remains() -> None:
    """Never more under way than the window has left."""
    paced = seeded(pacer(), remaining=3, limit=100)
    for at in (10, 20, 30):
        next_ticket(paced, at)

    assert isinstance(paced.admit(59), Wait)
    assert paced.left(59) == 0


@given(
    remaining=st.integers(0, 40),
    foreign=st.integers(0, 30),
    steps=st.lists(st.tuples(st.floats(0.01, 3), st.booleans()), max_size=60),
)
def test_never_more_leave_within_a_window_than_remains_less_the_reserve(
    remaining: int, foreign: int, steps: list[tuple[float, bool]]
) -> None:
    """Whatever comes back meanwhile: all that leave are within what was told, less what others may take."""
    paced = seeded(pacer(max_in_flight=100), remaining=remaining + foreign + 1, limit=100, reset_s=300)
    first = next_ticket(paced, 30)
    now, out, sent = first.sent_at + 1, list[Ticket](), 0
    paced.answered(first, now, 201, window(remaining, math.ceil(300 - first.sent_at), limit=100))
    for pause_s, comes_back in steps:
        now = min(now + pause_s, 295.0)  # within the window
        reserve = paced.reserve(now)
        decision = paced.admit(now)
        if isinstance(decision, Ticket):
            sent += 1
            assert sent <= max(0, remaining - reserve)
            out.append(decision)
        if comes_back and out:
            one = out.pop()
            paced.answered(one, now, 201, window(remaining - sent, math.ceil(300 - one.sent_at), limit=100))


def test_others_use_is_measured_and_left_to_them() -> None:
    """What they take is seen in the numbers, reported, and kept back."""
    paced = seeded(pacer(), remaining=1000, limit=1000)
    left = 1000
    for second in range(1, 31):
        one = ticket(paced, second)
        left -= 1 + 10
        paced.answered(one, second + 0.1, 201, window(left, 60 - second, limit=1000))

    assert paced.reserve(31) > 0
    assert paced.tally.foreign / paced.tally.quota == pytest.approx(10 / (1000 / 60), rel=0.25)


def test_our_share_is_a_bound_on_our_own_requests() -> None:
    """Past it nothing leaves before the next window, however much remains."""
    paced = seeded(pacer(share=0.01), limit=300, remaining=299)
    for at in (20, 40):
        paced.answered(ticket(paced, at), at + 1, 201, window(298, 59 - at, limit=300))

    assert isinstance(paced.admit(50), Ticket)
    assert isinstance(paced.admit(55), Wait)


def test_the_places_under_way_are_limited() -> None:
    """`max_in_flight` holds whatever the quota allows."""
    paced = seeded(pacer(max_in_flight=2), remaining=10**6, limit=10**6)
    first = ticket(paced, 1)
    ticket(paced, 1)

    assert wait(paced, 1).until is None

    paced.withdrawn(first)
    ticket(paced, 1)


def test_server_errors_and_time_outs_take_places_away_and_answers_give_them_back() -> None:
    """Additive increase, multiplicative decrease."""
    latency = Latency()
    places = Concurrency(64, latency)
    for _ in range(20):
        latency.note(1.0)
    places.troubled(10.0, 40)

    assert places.allowed(1_000) == math.floor(0.7 * 41)

    places.troubled(10.5, 40)  # of the same round trip
    assert places.allowed(1_000) == math.floor(0.7 * 41)

    for _ in range(200):
        places.well(in_flight=40)
    assert 28 < places.allowed(1_000) < 64


@given(rate=st.floats(0.1, 1_000), seconds=st.floats(0.001, 5))
def test_as_many_are_under_way_as_littles_law_says(rate: float, seconds: float) -> None:
    """Enough for the pace, a third more, and no more than allowed."""
    latency = Latency()
    for _ in range(16):
        latency.note(seconds)
    places = Concurrency(64, latency)

    assert min(64, rate * seconds) <= places.allowed(rate) <= min(64, max(2, 1.3 * rate * seconds + 2))


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


def test_an_answer_without_numbers_is_no_reason_to_forget_those_that_were_told() -> None:
    """A proxy's page in between changes nothing; ten of them over a whole window, and the API tells no more."""
    paced = seeded(pacer(), reset_s=10, limit=100, remaining=99)
    paced.answered(next_ticket(paced, 2), 3, 404)

    assert paced.quota == (100, pytest.approx(10, abs=1))

    now = 13.0
    for _ in range(12):
        one = next_ticket(paced, now)
        now = one.sent_at + 1
        paced.answered(one, now, 201)

    assert paced.quota is None
    assert 0 < paced.rate(now) <= 100 / 9


def test_a_pause_long_ago_is_not_counted_as_one_with_todays() -> None:
    """Whoever asks again a day later has the API's patience from the beginning."""
    paced = seeded(pacer())
    paced.answered(ticket(paced, 2), 3, 429, QuotaNotice(retry_after_s=30))
    late = next_ticket(paced, 90_000)
    paced.answered(late, late.sent_at + 1, 429, QuotaNotice(retry_after_s=30))

    held = wait(paced, late.sent_at + 2)
    assert held.held_since == pytest.approx(late.sent_at + 1)


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
                    paced.unanswered(one, now)
                case _:
                    paced.withdrawn(one)
        assert paced.in_flight == len(out) <= 8
        assert paced.rate(now) >= 0


def test_a_refusal_tells_what_the_server_takes() -> None:
    """The rate begins again just below what was carried before the refusal and the pause after it."""
    log = SentLog()
    rate = FoundRate(10, 0, log, lambda: 0.0)
    for tenth in range(100):
        rate.sent(log_time := 0.1 * tenth)
        log.add(log_time)
    rate.refused(log.add(10), 10, 10, QuotaNotice())

    assert rate.rate(1.0) == pytest.approx(0.9 * 100 / 20, rel=0.05)
    assert rate.rate(0.5) == pytest.approx(rate.rate(1.0) / 2)


def test_a_refusal_that_names_the_limit_tells_the_window() -> None:
    """A hundred left in 4.2 seconds, the rest of the window takes up to 6: it is ten seconds long."""
    log = SentLog()
    rate = FoundRate(24, 0, log, lambda: 0.0)
    for place in range(100):
        log.add(0.042 * place)
    rate.refused(log.add(4.2), 4.2, 6, QuotaNotice(limit=100, remaining=0, reset_s=6))

    assert rate.length_s == 10
    assert rate.rate(1.0) == pytest.approx(10)
    assert rate.has_room_at(4.3, 1.0) == pytest.approx(10.042, abs=0.1)


@given(st.floats(0.001, 60), st.sampled_from([0.05, 0.02, 0.001]))
def test_the_reserve_is_what_others_send_all_but_seldom(expected: float, risk: float) -> None:
    """The smallest number that a Poisson process exceeds with at most that probability, give or take one."""

    def tail(number: int) -> float:
        below = sum(
            math.exp(-expected + k * math.log(expected) - math.lgamma(k + 1)) for k in range(number + 1)
        )
        return 1 - below

    exact = next(number for number in itertools.count() if tail(number) <= risk)
    assert abs(most_arrivals(expected, risk) - exact) <= 1


@given(
    st.integers(2, 90),
    st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=8),
    st.booleans(),
)
def test_however_windows_seem_to_last_their_length_is_a_span(
    reset_s: int, seen: list[tuple[float, float]], is_in_doubt: bool
) -> None:
    """Observations that contradict each other, as of windows that open with a request, leave one that has both ends."""
    length = Length()
    for place, (off, width) in enumerate(seen):
        length.tell(QuotaNotice(limit=100, remaining=50, reset_s=float(reset_s)))
        length.turn(Span(reset_s + off, reset_s + off + width))
        if is_in_doubt and not place:
            length.doubt()
        assert 0 <= length.span.lo <= length.span.hi
        ends = Window(100, Span(1000.0, 1000.2)).ends(length)
        assert 1000 <= ends.lo <= ends.hi < math.inf


@given(st.lists(st.floats(0, 5), max_size=300), st.floats(0, 800))
def test_the_log_counts_what_left_since_a_moment(pauses: list[float], moment: float) -> None:
    """Exactly, as long as it is not long ago."""
    log, at, times = SentLog(), 0.0, list[float]()
    for pause in pauses:
        at += pause
        times.append(at)
        log.add(at)

    assert log.since(moment) == sum(time >= moment for time in times)


def test_a_long_log_stays_small_and_errs_on_the_safe_side() -> None:
    """Fifty thousand departures: none is counted as older than it is, and few as younger."""
    log = SentLog()
    for place in range(50_000):
        log.add(place / 10)

    for since in (4_990.0, 4_000.0, 1_000.0):
        true = 50_000 - since * 10
        assert true <= log.since(since) <= true * 1.001 + 4


@given(expected=st.floats(0.01, 15), lost=st.sampled_from([0.01, 0.1, 0.5]))
def test_what_is_kept_for_others_is_exceeded_by_as_much_as_was_asked_for(
    expected: float, lost: float
) -> None:
    """Between the whole numbers on either side of it lies the mean excess that was asked for."""
    kept = least_kept(expected, lost)

    def excess(number: int) -> float:
        chances = (
            (k, math.exp(-expected + k * math.log(expected) - math.lgamma(k + 1))) for k in range(number, 120)
        )
        return sum((k - number) * chance for k, chance in chances)

    assert excess(math.ceil(kept)) <= lost + 1e-9
    assert kept == 0 or excess(math.floor(kept)) >= lost - 1e-9


def test_the_rate_of_others_follows_what_they_send() -> None:
    """Ten a second, then two; who come one by one vary as much as chance has it, who come in heaps more."""
    chance, even, heaped = random.Random(1), Others(), Others()
    for _ in range(4_000):
        even.note(0.1, sum(chance.random() < 0.01 for _ in range(100)))
        heaped.note(0.1, 4 * sum(chance.random() < 0.01 for _ in range(25)))

    assert even.per_s == pytest.approx(10, rel=0.3)
    assert even.spread == 1.0
    assert heaped.spread > 2
    assert heaped.most(1, 0.01) > even.most(1, 0.01)

    for _ in range(2_000):
        even.note(0.1, chance.random() < 0.2)

    assert even.per_s == pytest.approx(2, rel=0.4)
