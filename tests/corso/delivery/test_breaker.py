"""The circuit breaker by itself: when it opens, how far apart the probes are, when it gives up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.delivery.breaker import RECENT, SETTLED_AFTER, TROUBLES_IN_A_ROW, Breaker

OUTAGE_S = 60.0
LONGEST_PAUSE_S = 15.0


def breaker(outage_s: float = OUTAGE_S, jitter: float = 1.0) -> Breaker:
    """Return a closed circuit whose jitter is known."""
    return Breaker(outage_s, lambda: jitter)


def opened_at(now: float, circuit: Breaker) -> Breaker:
    """Have so many troubles in a row that the circuit opens."""
    assert [circuit.troubled(now) for _ in range(TROUBLES_IN_A_ROW)][-1]
    return circuit


def test_twenty_troubles_in_a_row_open_the_circuit_once() -> None:
    """It says so by the twentieth, which starts the probing; those under way that follow start no second one."""
    circuit = breaker()
    assert [circuit.troubled(0) for _ in range(50)] == [False] * 19 + [True] + [False] * 30
    assert circuit.is_open


def test_one_usable_answer_begins_the_row_anew() -> None:
    """Nineteen, an answer, nineteen: the API works, badly."""
    circuit = breaker()
    for _ in range(2):
        assert not any(circuit.troubled(0) for _ in range(TROUBLES_IN_A_ROW - 1))
        circuit.answered()
    assert not circuit.is_open


@pytest.mark.parametrize(("troubles", "opens"), [(50, False), (51, True)])
def test_more_than_half_of_the_last_hundred_in_trouble_open_the_circuit(troubles: int, opens: bool) -> None:
    """Evenly spread: never more than two come in a row."""
    circuit = breaker()
    in_trouble = [(number + 1) * troubles // RECENT > number * troubles // RECENT for number in range(RECENT)]
    assert (sum(in_trouble), in_trouble[-1]) == (troubles, True)
    for trouble in in_trouble:
        if trouble:
            circuit.troubled(0)
        else:
            circuit.answered()
    assert circuit.is_open == opens


ENDS = st.lists(st.sampled_from(["trouble", "trouble", "answer"]) | st.just("probe answered"), max_size=400)


@given(ENDS)
def test_the_circuit_opens_by_the_two_rules_and_by_no_other(ends: list[str]) -> None:
    """Judged by the requests since it was closed last."""
    circuit = breaker()
    since: list[bool] = []
    for end in ends:
        match end:
            case "trouble":
                since.append(True)
                in_a_row = len(since) >= 20 and all(since[-20:])
                most = len(since) >= 100 and sum(since[-100:]) > 50
                expected = not circuit.is_open and (in_a_row or most)
                assert circuit.troubled(0) == expected
            case "answer":
                since.append(False)
                circuit.answered()
            case _ if circuit.is_open:
                circuit.close()
                since = []


@given(st.lists(st.floats(0, 1), min_size=40, max_size=40))
def test_probes_are_further_and_further_apart(jitters: list[float]) -> None:
    """Whatever the dice say; the first comes within half a second, none later than a quarter of a minute."""
    dice = iter(jitters)
    circuit = Breaker(OUTAGE_S, lambda: next(dice))
    pauses = [circuit.pause_s() for _ in jitters]
    assert 0.25 <= pauses[0] <= 0.5
    assert all(earlier <= later for earlier, later in pairwise(pauses[:5]))
    assert all(LONGEST_PAUSE_S / 2 <= pause <= LONGEST_PAUSE_S for pause in pauses[5:])


def test_it_gives_up_when_the_outage_has_lasted_outage_s() -> None:
    """Not a moment before; and not while there is none."""
    circuit = breaker()
    assert not circuit.gives_up(1e9)
    opened_at(100, circuit)
    assert not circuit.gives_up(100 + OUTAGE_S - 0.001)
    assert circuit.gives_up(100 + OUTAGE_S)


def test_without_patience_it_gives_up_at_once() -> None:
    """limits.outage_s: 0, for whoever's scheduler tries again anyway."""
    assert opened_at(100, breaker(outage_s=0)).gives_up(100)


def test_a_circuit_that_opens_again_goes_on_with_the_same_outage() -> None:
    """Reads that work say little about writes: the time goes on, and so do the growing pauses."""
    circuit = opened_at(100, breaker())
    first = circuit.pause_s()
    circuit.close()
    for _ in range(SETTLED_AFTER - 1):
        circuit.answered()
    opened_at(150, circuit)
    assert circuit.pause_s() > first
    assert circuit.gives_up(100 + OUTAGE_S)


def test_twenty_usable_answers_end_an_outage() -> None:
    """The next one has its whole time, and its first probe soon."""
    circuit = opened_at(100, breaker())
    first = circuit.pause_s()
    circuit.pause_s()
    circuit.close()
    for number in range(SETTLED_AFTER):
        circuit.answered()
        if number % 3 == 0:
            circuit.troubled(140)  # an API that fails now and then is no outage
    assert not circuit.gives_up(1e9)
    opened_at(150, circuit)
    assert circuit.pause_s() == first
    assert not circuit.gives_up(100 + OUTAGE_S)


def test_answers_to_what_was_still_under_way_do_not_end_an_outage() -> None:
    """Only those count that were sent after the circuit was closed."""
    circuit = opened_at(100, breaker())
    for _ in range(SETTLED_AFTER):
        circuit.answered()
    circuit.close()
    circuit.answered()
    assert circuit.gives_up(100 + OUTAGE_S)
