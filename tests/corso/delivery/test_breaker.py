"""The circuit breaker by itself: when it opens, how far apart the probes are, what a trial decides, when it gives up."""

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from corso.delivery.breaker import RECENT, SETTLED_AFTER, TROUBLES_IN_A_ROW, Breaker, Passage

OUTAGE_S = 60.0
LONGEST_PAUSE_S = 15.0


def breaker(outage_s: float = OUTAGE_S, jitter: float = 1.0) -> Breaker:
    """Return a closed circuit whose jitter is known."""
    return Breaker(outage_s, lambda: jitter)


def trouble(circuit: Breaker, now: float = 0) -> bool:
    """Let one operation pass and get no usable answer; say whether the circuit opened by it."""
    return circuit.troubled(circuit.enter(), now)


def answer(circuit: Breaker, times: int = 1) -> None:
    """Let operations pass, one after the other, and get usable answers."""
    for _ in range(times):
        circuit.answered(circuit.enter())


def opened_at(now: float, circuit: Breaker) -> Breaker:
    """Have so many troubles in a row that the circuit opens."""
    assert [trouble(circuit, now) for _ in range(TROUBLES_IN_A_ROW)][-1]
    return circuit


def closed_again(circuit: Breaker) -> Breaker:
    """Have a probe and a trial answered."""
    circuit.probe_answered()
    answer(circuit)
    return circuit


def test_twenty_troubles_in_a_row_open_the_circuit_once() -> None:
    """It says so by the twentieth, which starts the probing; those under way that follow start no second one."""
    circuit = breaker()
    passages = [circuit.enter() for _ in range(50)]
    assert [circuit.troubled(each, 0) for each in passages] == [False] * 19 + [True] + [False] * 30
    assert circuit.is_open
    assert not circuit.lets_pass


def test_one_usable_answer_begins_the_row_anew() -> None:
    """Nineteen, an answer, nineteen: the API works, badly."""
    circuit = breaker()
    for _ in range(2):
        assert not any(trouble(circuit) for _ in range(TROUBLES_IN_A_ROW - 1))
        answer(circuit)
    assert circuit.lets_pass


@pytest.mark.parametrize(("troubles", "opens"), [(50, False), (51, True)])
def test_more_than_half_of_the_last_hundred_in_trouble_open_the_circuit(troubles: int, opens: bool) -> None:
    """Evenly spread: never more than two come in a row."""
    circuit = breaker()
    in_trouble = [(number + 1) * troubles // RECENT > number * troubles // RECENT for number in range(RECENT)]
    assert (sum(in_trouble), in_trouble[-1]) == (troubles, True)
    for each in in_trouble:
        if each:
            trouble(circuit)
        else:
            answer(circuit)
    assert circuit.is_open == opens


def test_a_trial_goes_alone() -> None:
    """After an answered probe one passes, and no other until it has ended."""
    circuit = opened_at(0, breaker())
    circuit.probe_answered()
    trial = circuit.enter()
    assert (circuit.lets_pass, circuit.is_open, circuit.holds(trial)) == (False, False, True)


def test_an_answered_trial_closes_the_circuit_for_all() -> None:
    """And the troubles before it are forgotten: it takes twenty to open it again."""
    circuit = closed_again(opened_at(0, breaker()))
    passages = [circuit.enter() for _ in range(TROUBLES_IN_A_ROW)]
    assert all(circuit.holds(each) for each in passages)
    assert [circuit.troubled(each, 0) for each in passages] == [False] * 19 + [True]


def test_a_trial_in_trouble_opens_the_circuit_at_once() -> None:
    """One operation in doubt, not twenty; the pauses go on growing, and the outage has the same beginning."""
    circuit = opened_at(100, breaker())
    pauses = []
    for now in (110, 120, 130):
        pauses.append(circuit.pause_s())
        circuit.probe_answered()
        assert trouble(circuit, now)
        assert circuit.is_open
    assert pauses == [0.5, 1.0, 2.0]
    assert not circuit.gives_up(100 + OUTAGE_S - 0.001)
    assert circuit.gives_up(100 + OUTAGE_S)


@pytest.mark.parametrize("end", [Breaker.throttled, Breaker.withdrawn])
def test_a_trial_that_was_throttled_or_never_left_makes_room_for_another(end: object) -> None:
    """Neither says how writes are doing; and whoever hands it back twice takes nobody else's place."""
    circuit = opened_at(0, breaker())
    circuit.probe_answered()
    first = circuit.enter()
    assert callable(end)
    could_pass = [circuit.lets_pass]
    end(circuit, first)
    could_pass.append(circuit.lets_pass)
    second = circuit.enter()
    circuit.withdrawn(first)
    circuit.throttled(first)
    could_pass.append(circuit.lets_pass)
    circuit.answered(second)
    could_pass.append(circuit.lets_pass)
    assert could_pass == [False, True, False, True]


def test_what_was_sent_before_the_circuit_turned_decides_no_trial() -> None:
    """An answer or a time-out that comes a minute late tells of the API of a minute ago."""
    circuit = breaker()
    early = [circuit.enter() for _ in range(3)]
    opened_at(0, circuit)
    circuit.probe_answered()
    circuit.enter()
    circuit.answered(early[0])
    assert not circuit.troubled(early[1], 0)
    circuit.withdrawn(early[2])
    assert not circuit.lets_pass
    assert not circuit.is_open
    assert not any(circuit.holds(each) for each in early)


class Turning(RuleBasedStateMachine):
    """Operations that pass, and end as they like, whenever they like; held against the rules in plain words."""

    passages: Bundle[Passage] = Bundle("passages")

    def __init__(self) -> None:
        super().__init__()
        self.circuit = breaker()
        self.state = "closed"
        self.given: set[Passage] = set()
        """Since the circuit turned last, and not handed back."""
        self.ends: deque[bool] = deque(maxlen=RECENT)

    def _turn(self, state: str) -> None:
        self.state = state
        self.given.clear()
        self.ends.clear()

    @precondition(lambda self: self.circuit.lets_pass)
    @rule(target=passages, many=st.integers(1, 30))
    def enter(self, many: int) -> Passage:
        """Let one pass; in a closed circuit, let others pass and be in trouble before."""
        if self.state == "closed":
            for _ in range(many):
                self._end_in_trouble(self._enter())
                if self.state != "closed":
                    break
        if not self.circuit.lets_pass:
            self.circuit.probe_answered()
            self._turn("half-open")
        return self._enter()

    def _enter(self) -> Passage:
        passage = self.circuit.enter()
        self.given.add(passage)
        return passage

    def _end_in_trouble(self, passage: Passage) -> None:
        opened = self.circuit.troubled(passage, 0)
        if passage not in self.given:
            assert not opened
            return
        self.given.discard(passage)
        self.ends.append(True)
        last = list(self.ends)[-TROUBLES_IN_A_ROW:]
        too_many = len(self.ends) == RECENT and sum(self.ends) > RECENT / 2
        in_a_row = len(last) == TROUBLES_IN_A_ROW and all(last)
        assert opened == (self.state == "half-open" or too_many or in_a_row)
        if opened:
            self._turn("open")

    @rule(passage=consumes(passages))
    def trouble(self, passage: Passage) -> None:
        """One ends without a usable answer."""
        self._end_in_trouble(passage)

    @rule(passage=consumes(passages))
    def answer(self, passage: Passage) -> None:
        """One is answered."""
        self.circuit.answered(passage)
        if passage in self.given:
            if self.state == "half-open":
                self._turn("closed")
            self.given.discard(passage)
            self.ends.append(False)

    @rule(passage=consumes(passages), throttled=st.booleans())
    def tell_nothing(self, passage: Passage, throttled: bool) -> None:
        """One is throttled, or has never left."""
        if throttled:
            self.circuit.throttled(passage)
            if passage in self.given and self.state == "closed":
                self.ends.append(False)
        else:
            self.circuit.withdrawn(passage)
        self.given.discard(passage)

    @precondition(lambda self: self.circuit.is_open)
    @rule()
    def answer_the_probe(self) -> None:
        """Reading works again."""
        self.circuit.probe_answered()
        self._turn("half-open")

    @invariant()
    def only_what_may_passes(self) -> None:
        """All in a closed circuit, one in a half-open one, none in an open one."""
        assert self.circuit.is_open == (self.state == "open")
        assert self.circuit.lets_pass == (
            self.state == "closed" or (self.state == "half-open" and not self.given)
        )
        assert all(self.circuit.holds(each) for each in self.given)


test_the_circuit_turns_by_its_rules_and_by_no_other = Turning.TestCase


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
    """A few writes that work say little: the time goes on, and so do the growing pauses."""
    circuit = opened_at(100, breaker())
    first = circuit.pause_s()
    answer(closed_again(circuit), SETTLED_AFTER - 2)
    opened_at(150, circuit)
    assert circuit.pause_s() > first
    assert circuit.gives_up(100 + OUTAGE_S)


def test_twenty_usable_answers_end_an_outage() -> None:
    """The next one has its whole time, and its first probe soon."""
    circuit = opened_at(100, breaker())
    first = circuit.pause_s()
    circuit.pause_s()
    circuit.probe_answered()
    for number in range(SETTLED_AFTER):
        answer(circuit)
        if number % 3 == 0:
            trouble(circuit, 140)  # an API that fails now and then is no outage
    assert not circuit.gives_up(1e9)
    opened_at(150, circuit)
    assert circuit.pause_s() == first
    assert not circuit.gives_up(100 + OUTAGE_S)


def test_answers_to_what_was_still_under_way_do_not_end_an_outage() -> None:
    """Only those count that were sent after the circuit was closed, whenever they come."""
    circuit = breaker()
    early = [circuit.enter() for _ in range(2 * SETTLED_AFTER)]
    opened_at(100, circuit)
    for passage in early[:SETTLED_AFTER]:
        circuit.answered(passage)
    closed_again(circuit)
    for passage in early[SETTLED_AFTER:]:
        circuit.answered(passage)
    assert circuit.gives_up(100 + OUTAGE_S)
