"""The sender in an outage: it costs a pause, or one sentence; never a heap of doubt.

The journal is in memory and time jumps, so that every second is exact. The breaker by itself: `test_breaker`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.delivery.breaker import RECENT, TROUBLES_IN_A_ROW
from corso.delivery.ledger import Change, Key, key_of
from corso.delivery.sender import Sender, interrupted
from corso.delivery.states import MAY_FOLLOW, State
from corso.delivery.tally import Tally
from corso.errors import (
    ApiError,
    CorsoError,
    DoneWithoutId,
    Interrupted,
    NotAuthorised,
    NotFound,
    NotSent,
    Outage,
    OutcomeUnknown,
    Parked,
    RateLimited,
    Rejected,
    Stopped,
)
from schemas.wire import Operation, Receipt
from tests.clocks import JumpingClock
from tests.fake_corso import FakeCorso, Fault, operation, sender_of

pytestmark = pytest.mark.usefixtures("each_database")

OUTAGE_S = 60.0
LONGEST_PAUSE_S = 15.0


class Notebook:
    """A journal in memory, as strict about what may follow what as the ledger."""

    def __init__(self) -> None:
        self.states: dict[Key, State] = defaultdict(lambda: State.PLANNED)

    async def start(self, operation: Operation) -> None:
        """See `Journal.start`."""
        self._move(key_of(operation), State.SENDING)

    async def settle(self, change: Change) -> None:
        """See `Journal.settle`."""
        self._move(change.key, change.state)

    def _move(self, key: Key, state: State) -> None:
        assert self.states[key] in MAY_FOLLOW[state]
        self.states[key] = state

    def count(self, state: State) -> int:
        """Count the operations that were begun and are in this state now."""
        return sum(each is state for each in self.states.values())


class Corso(FakeCorso):
    """A fake that keeps the times of all tries, whether or not they get as far as the wire."""

    def __init__(self) -> None:
        super().__init__(JumpingClock())
        self.tries: list[float] = []

    async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> Receipt:
        """See `OrderApi.send`."""
        self.tries.append(self.clock.elapsed)
        return await super().send(operation, about_to_send)

    def breaks(self, fault: Fault) -> None:
        """Fail from now on, reads like writes."""
        self.every_fault, self.ping_error = fault, fault.error

    def works_again(self) -> None:
        """Answer from now on."""
        self.every_fault, self.ping_error = None, None

    async def outage(self, fault: Fault, after_s: float, for_s: float) -> None:
        """Be away for a while."""
        await self.clock.sleep(after_s)
        self.breaks(fault)
        await self.clock.sleep(for_s)
        self.works_again()


class Sending:
    """So many creates to be sent, and what became of them."""

    def __init__(
        self, count: int, *, outage_s: float = OUTAGE_S, max_in_flight: int = 4, api: Corso | None = None
    ) -> None:
        self.api = api or Corso()
        self.notes = Notebook()
        self.total = count
        self.tally = Tally.of(count, 0.0)
        self._feed = iter([operation(number) for number in range(1, count + 1)])
        self._limits: dict[str, Any] = {"outage_s": outage_s, "max_in_flight": max_in_flight}

    def run(
        self,
        during: Coroutine[Any, Any, None] | None = None,
        with_sender: Callable[[Sender], None] = lambda _sender: None,
    ) -> None:
        """Send them; meanwhile do `during`. A hang ends with TimeoutError."""

        async def scene() -> None:
            sender = sender_of(self.api, self.notes, **self._limits)
            with_sender(sender)
            meanwhile = [asyncio.create_task(during)] if during else []
            try:
                await asyncio.wait_for(self.send(sender), 10)
            finally:
                for task in meanwhile:
                    task.cancel()

        asyncio.run(scene())

    async def send(self, sender: Sender) -> None:
        """Send what is left."""
        await sender.send(self._feed, self.total, self.tally)

    def counts(self) -> tuple[int, int, int]:
        """Count what is accepted, in doubt, and still planned."""
        accepted, unknown = self.notes.count(State.ACCEPTED), self.notes.count(State.UNKNOWN)
        assert (accepted, unknown) == (self.tally.accepted, self.tally.unknown)
        assert self.notes.count(State.SENDING) == 0
        return accepted, unknown, self.total - accepted - unknown

    def tries_while_open(self) -> list[float]:
        """Return the times of what was sent between the first probe and the last."""
        return [at for at in self.api.tries if self.api.pings[0] <= at <= self.api.pings[-1]]


BAD_GATEWAY = Fault(OutcomeUnknown("502 Bad Gateway", status=502))
NO_CONNECTION = Fault(NotSent("connection refused"), before=True)
CONNECTION_LOST_EARLY = Fault(NotSent("no connection free"))


def assert_further_and_further_apart(pings: list[float], *, trials: int = 0) -> None:
    """A probe and a trial take a tenth of a second; half a second, one, two, four, eight and fifteen lie between."""
    gaps = [later - earlier - 0.1 * (1 + trials) for earlier, later in pairwise(pings)]
    assert all(earlier <= later + 1e-6 for earlier, later in pairwise(gaps[:4]))
    assert all(gap <= LONGEST_PAUSE_S + 1e-6 for gap in gaps)
    assert gaps[-1] >= LONGEST_PAUSE_S / 2 - 1e-6


def test_an_outage_shorter_than_outage_s_costs_a_pause_and_nothing_else() -> None:
    """At most twenty and what was under way are in doubt; nothing is sent into the open circuit."""
    sending = Sending(400)
    sending.run(sending.api.outage(BAD_GATEWAY, after_s=2, for_s=40))
    accepted, unknown, planned = sending.counts()
    assert (accepted + unknown, planned) == (400, 0)
    assert TROUBLES_IN_A_ROW <= unknown <= TROUBLES_IN_A_ROW + 3
    assert sending.tries_while_open() == []
    assert len(sending.api.tries) == 400
    assert_further_and_further_apart(sending.api.pings)
    # A probe is answered by what is true at its end.
    assert 42 - sending.api.latency_s <= sending.api.pings[-1] <= 42 + LONGEST_PAUSE_S + 0.2


def test_an_api_that_names_no_id_when_it_has_done_something_is_no_outage() -> None:
    """All are done and looked up afterwards: to stop would not make them any clearer."""
    sending = Sending(200)
    sending.api.every_fault = Fault(
        DoneWithoutId("the answer (201) carries no orderId", status=201), carried_out=True
    )
    sending.run()
    assert sending.counts() == (0, 200, 0)
    assert sending.api.pings == []


@pytest.mark.parametrize("fault", [NO_CONNECTION, CONNECTION_LOST_EARLY])
def test_what_could_not_connect_waits_for_the_probe_and_is_sent_afterwards(fault: Fault) -> None:
    """Nothing of it is in doubt, nobody tries on his own, and in the end all are accepted."""
    sending = Sending(200, max_in_flight=30)
    sending.run(sending.api.outage(fault, after_s=0.25, for_s=40))
    assert sending.counts() == (200, 0, 0)
    assert sending.tries_while_open() == []
    assert len(sending.api.tries) <= 200 + TROUBLES_IN_A_ROW + 30
    assert len(sending.api.orders) == 200


def test_an_outage_longer_than_outage_s_stops_the_run_with_one_sentence() -> None:
    """It says how long and what the last answer was; exit code 3; all else stays planned."""
    sending = Sending(400)
    sending.api.breaks(BAD_GATEWAY)
    sending.api.ping_error = NotSent("GET /v1/orders was not sent")
    with pytest.raises(Outage) as raised:
        sending.run()
    assert str(raised.value) == (
        "the circuit is open: for 60 s requests have ended without a usable answer, "
        "the last: GET /v1/orders was not sent"
    )
    assert raised.value.exit_code == 3
    _, unknown, planned = sending.counts()
    assert unknown <= TROUBLES_IN_A_ROW + 3
    assert planned == 400 - unknown
    assert sending.tries_while_open() == []
    assert_further_and_further_apart(sending.api.pings)
    assert OUTAGE_S <= sending.api.clock.elapsed <= OUTAGE_S + LONGEST_PAUSE_S + 1


def test_without_patience_the_run_stops_at_once_and_asks_nothing() -> None:
    """limits.outage_s: 0."""
    sending = Sending(100, outage_s=0)
    sending.api.breaks(BAD_GATEWAY)
    with pytest.raises(Stopped, match="502 Bad Gateway"):
        sending.run()
    assert sending.api.pings == []
    assert len(sending.api.sent) <= TROUBLES_IN_A_ROW + 3


def test_what_could_not_connect_is_not_sent_once_the_run_has_given_up() -> None:
    """The end of the probing wakes those that wait for it; a stop is a stop, also where sending would work now."""
    sending = Sending(100, max_in_flight=30)
    sending.api.breaks(NO_CONNECTION)

    async def writes_work_again() -> None:
        await sending.api.clock.sleep(10)
        sending.api.every_fault = None

    with pytest.raises(Stopped, match="connection refused"):
        sending.run(writes_work_again())
    assert (sending.api.sent, sending.counts()) == ([], (0, 0, 100))


def test_writes_that_fail_while_reads_work_are_given_up_too() -> None:
    """Every probe is answered, one write tries and opens the circuit again: less and less often, and not for ever."""
    sending = Sending(2000)
    sending.api.every_fault = BAD_GATEWAY
    with pytest.raises(Stopped, match=r"for 60 s .* the last: 502 Bad Gateway"):
        sending.run()
    _, unknown, planned = sending.counts()
    assert 5 <= len(sending.api.pings) <= 12
    assert unknown <= TROUBLES_IN_A_ROW + 3 + len(sending.api.pings)
    assert planned == 2000 - unknown
    assert_further_and_further_apart(sending.api.pings, trials=1)
    assert OUTAGE_S <= sending.api.clock.elapsed <= OUTAGE_S + LONGEST_PAUSE_S + 5


@pytest.mark.parametrize("max_in_flight", [1, 4, 64])
def test_after_a_probe_one_operation_goes_alone_and_its_answer_lets_all_go(max_in_flight: int) -> None:
    """Nobody leaves beside it; afterwards as many are under way as ever."""
    sending = Sending(600, max_in_flight=max_in_flight)
    writes_work_from = 20.0
    beside: list[int] = []
    most = 0

    def on_the_wire(_operation: Operation) -> None:
        nonlocal most
        if sending.api.pings and not sending.api.orders:
            beside.append(sending.api.under_way)
        elif sending.api.orders:
            most = max(most, sending.api.under_way)

    async def reads_work_all_the_time() -> None:
        sending.api.every_fault = BAD_GATEWAY
        await sending.api.clock.sleep(writes_work_from)
        sending.api.every_fault = None

    sending.api.on_the_wire = on_the_wire
    sending.run(reads_work_all_the_time())
    accepted, unknown, planned = sending.counts()
    assert (accepted + unknown, planned, most) == (600, 0, max_in_flight)
    assert len(sending.api.pings) >= 4
    # Those that were under way when the circuit opened have ended before the first probe.
    assert beside == [1] * len(sending.api.pings)
    assert unknown <= TROUBLES_IN_A_ROW + max_in_flight - 1 + len(sending.api.pings) - 1


def test_a_throttled_trial_is_tried_again_without_another_probe() -> None:
    """A gateway may answer 429 while what is behind it is broken: that is no reason to let all go."""
    sending = Sending(100)
    first_trial = TROUBLES_IN_A_ROW + 4
    for number in range(1, first_trial):
        sending.api.fail(number, BAD_GATEWAY)
    throttled = Fault(RateLimited("429", retry_after_s=1))
    sending.api.fail(first_trial, *[throttled] * 5, BAD_GATEWAY)
    sending.run()
    assert sending.counts() == (76, 24, 0)
    assert len(sending.api.pings) == 2
    tries = [each.source_order_id for each in sending.api.sent]
    assert tries[first_trial - 1 : first_trial + 6] == [f"o-{first_trial}"] * 6 + [f"o-{first_trial + 1}"]


def test_a_trial_whose_turn_never_comes_ends_the_run() -> None:
    """The API asks for a day: nobody goes in its place, and those that wait for it do not hang."""
    sending = Sending(100)
    for number in range(1, TROUBLES_IN_A_ROW + 4):
        sending.api.fail(number, BAD_GATEWAY)
    parked = Parked("try tomorrow", resume_at=datetime(2027, 1, 1, tzinfo=UTC))
    sending.api.fail(TROUBLES_IN_A_ROW + 4, Fault(parked, before=True))
    with pytest.raises(Parked):
        sending.run()
    assert sending.counts() == (0, 23, 77)


def test_an_outage_after_a_good_time_is_sat_out_like_the_first() -> None:
    """Two of forty seconds are not one of eighty."""
    sending = Sending(1000)

    async def two_outages() -> None:
        await sending.api.outage(BAD_GATEWAY, after_s=2, for_s=40)
        await sending.api.clock.sleep(LONGEST_PAUSE_S + 2)
        await sending.api.outage(BAD_GATEWAY, after_s=0, for_s=40)

    sending.run(two_outages())
    accepted, unknown, planned = sending.counts()
    assert (accepted + unknown, planned) == (1000, 0)
    assert 2 * TROUBLES_IN_A_ROW <= unknown <= 2 * (TROUBLES_IN_A_ROW + 3)


def test_more_than_half_failing_opens_the_circuit_though_never_twenty_in_a_row() -> None:
    """Two of three requests lost leave two of three orders in doubt: time to pause at the hundredth, not never."""
    sending = Sending(150, max_in_flight=1)
    for number in range(1, 151):
        if number % 3:
            sending.api.fail(number, BAD_GATEWAY)
    sending.run()
    assert sending.counts() == (50, 100, 0)
    # The first trial is one of the two that get lost, the second is not.
    assert len(sending.api.pings) == 2
    assert sum(at < sending.api.pings[0] for at in sending.api.tries) == RECENT


def test_half_failing_is_gone_through_without_a_pause() -> None:
    """Bad, but every second answer is one; the look-ups settle the rest."""
    sending = Sending(300, max_in_flight=1)
    for number in range(2, 301, 2):
        sending.api.fail(number, BAD_GATEWAY)
    sending.run()
    assert (sending.counts(), sending.api.pings) == ((150, 150, 0), [])


REFUSALS = [
    RateLimited("429", retry_after_s=1),
    Rejected("400", status=400),
    NotFound("404", status=404),
]


@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refused_operation_is_a_usable_answer(answer: ApiError) -> None:
    """Troubles in a row are counted anew after it, like after a good one."""
    sending = Sending(80, max_in_flight=1)
    for number in range(1, 81):
        sending.api.fail(number, BAD_GATEWAY if number % 15 else Fault(answer))
    sending.run()
    assert (sum(sending.counts()), sending.counts()[2], sending.api.pings) == (80, 0, [])


@pytest.mark.parametrize("answer", REFUSALS)
def test_an_answer_that_refuses_the_probe_lets_one_operation_try(answer: ApiError) -> None:
    """It is an answer: the API works. How fast is the limiter's business, whether listing is allowed nobody's."""
    sending = Sending(100)
    for number in range(1, TROUBLES_IN_A_ROW + 4):
        sending.api.fail(number, BAD_GATEWAY)
    sending.api.ping_error = answer
    sending.run()
    assert sending.counts() == (77, 23, 0)
    assert len(sending.api.pings) == 1


@pytest.mark.parametrize(
    "end",
    [
        NotAuthorised("401 to a fresh token", status=401),
        NotAuthorised("403", status=403),
        Parked("try tomorrow", resume_at=datetime(2027, 1, 1, tzinfo=UTC)),
        ZeroDivisionError("a slip"),
    ],
)
def test_what_ends_a_probe_for_good_ends_the_run(end: Exception) -> None:
    """With the very error, its exit code and all; a mistake of ours neither hangs nor is swallowed."""
    sending = Sending(300)
    for number in range(1, 31):
        sending.api.fail(number, BAD_GATEWAY)
    sending.api.ping_error = end
    with pytest.raises(type(end)) as raised:
        sending.run()
    assert raised.value is end
    assert len(sending.api.pings) == 1
    _, unknown, planned = sending.counts()
    assert len(sending.api.tries) == unknown <= TROUBLES_IN_A_ROW + 3
    assert planned == 300 - unknown


def test_a_second_delivery_after_the_probing_was_stopped_does_not_hang() -> None:
    """It raises the same at once, and sends nothing."""
    sending = Sending(100, max_in_flight=30)
    senders: list[Sender] = []

    async def stop_while_open() -> None:
        await sending.api.clock.sleep(20)
        senders[0].stop(interrupted())

    async def again() -> None:
        with pytest.raises(Interrupted):
            await asyncio.wait_for(sending.send(senders[0]), 10)

    sending.api.breaks(NO_CONNECTION)
    with pytest.raises(Interrupted):
        sending.run(stop_while_open(), senders.append)
    stopped_after_s, tries = sending.api.clock.elapsed, len(sending.api.tries)
    asyncio.run(again())
    assert stopped_after_s == sending.api.clock.elapsed == 20
    assert len(sending.api.tries) == tries
    assert sending.counts() == (0, 0, 100)


def test_the_end_of_the_operations_waits_for_the_probe() -> None:
    """What is in doubt is looked up next: that asks an API that answers again."""
    sending = Sending(TROUBLES_IN_A_ROW)
    sending.api.breaks(BAD_GATEWAY)
    sending.run(sending.api.outage(BAD_GATEWAY, after_s=0, for_s=20))
    assert sending.counts() == (0, TROUBLES_IN_A_ROW, 0)
    assert sending.api.clock.elapsed >= 20


class Queue(Corso):
    """A fake whose limiter lets one request pass every second, however many wait for their turn."""

    def __init__(self) -> None:
        super().__init__()
        self._turn = asyncio.Lock()

    async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> Receipt:
        """See `OrderApi.send`."""
        async with self._turn:
            await self.clock.sleep(1)
        return await super().send(operation, about_to_send)


def test_whose_turn_comes_while_the_circuit_is_open_is_held_back() -> None:
    """Sixty may wait in the limiter's queue when it opens: they would all be in doubt."""
    sending = Sending(200, max_in_flight=64, api=Queue())
    sending.run(sending.api.outage(BAD_GATEWAY, after_s=5.5, for_s=60))
    accepted, unknown, planned = sending.counts()
    assert (accepted + unknown, planned) == (200, 0)
    assert unknown <= TROUBLES_IN_A_ROW + 2
    assert len({each.source_order_id for each in sending.api.sent}) == len(sending.api.sent) == 200


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 50)), max_size=4),
    st.sampled_from([BAD_GATEWAY, NO_CONNECTION, CONNECTION_LOST_EARLY]),
    st.integers(1, 20),
)
def test_outages_lose_nothing_and_send_nothing_twice(
    outages: list[tuple[float, float]], fault: Fault, max_in_flight: int
) -> None:
    """However they fall: each operation has one state, and nothing in between; a stop is for the breaker to say."""
    sending = Sending(120, max_in_flight=max_in_flight)

    async def one_after_the_other() -> None:
        for after_s, for_s in outages:
            await sending.api.outage(fault, after_s, for_s)

    end: CorsoError | None = None
    try:
        sending.run(one_after_the_other())
    except Stopped as error:
        end = error
    accepted, unknown, planned = sending.counts()
    assert end is not None or planned == 0
    assert accepted == len(sending.api.orders)
    assert unknown == 0 or fault is BAD_GATEWAY
    left = [each.source_order_id for each in sending.api.sent]
    assert len(set(left)) == accepted + unknown or fault is CONNECTION_LOST_EARLY
    assert len(left) == len(set(left)) or fault is CONNECTION_LOST_EARLY
