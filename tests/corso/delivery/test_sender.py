"""The sender: what leaves is written down first, ends in one state, and nothing that may be there leaves twice."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from corso.delivery import sender as sender_module
from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, Key, Ledger, key_of
from corso.delivery.sender import LOOKED_UP_WHEN_REFUSED, Sender, interrupted
from corso.delivery.states import State
from corso.delivery.tally import Tally
from corso.errors import (
    ApiError,
    CorsoError,
    Interrupted,
    LedgerError,
    NotAuthorised,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Parked,
    RateLimited,
    Rejected,
    Stopped,
)
from schemas.wire import Operation, OperationKind
from tests.clocks import JumpingClock
from tests.fake_corso import FakeCorso, Fault, entry_of, opened, operation, order_body, sender_of
from tests.ledger_places import place_of

pytestmark = pytest.mark.usefixtures("each_database")

THROTTLED = Fault(RateLimited("429", retry_after_s=1))
RESET = Fault(OutcomeUnknown("connection reset"), carried_out=True)
PATIENCE_S = 60
"""Real seconds after which a sender that hangs fails its test."""
REFUSED = Fault(Rejected("POST /orders answered 400", status=400, body="postalCode is missing"))


@contextmanager
def a_scene(folder: Path, operations: Sequence[Operation]) -> Iterator[tuple[FakeCorso, Ledger]]:
    """Give an API and a ledger in which these operations are planned."""
    clock = JumpingClock()
    with opened(folder, clock) as ledger:
        ledger.plan(operations, "b1")
        yield FakeCorso(clock), ledger


def deliver(
    api: FakeCorso,
    ledger: Ledger,
    operations: Sequence[Operation],
    during: Callable[[Sender], Coroutine[Any, Any, None]] | None = None,
    *,
    max_rejected: float = 0.0,
    max_in_flight: int = 4,
    tally: Tally | None = None,
) -> Tally:
    """Send the operations; meanwhile do `during`; return the tally, which is `tally` where one is given."""
    tally = tally or Tally.of(len(operations), max_rejected)

    async def scene() -> None:
        sender = sender_of(api, Journal(ledger), max_in_flight=max_in_flight)
        meanwhile = asyncio.create_task(during(sender)) if during else None
        try:
            await asyncio.wait_for(sender.send(operations, len(operations), tally), PATIENCE_S)
        finally:
            if meanwhile:
                await meanwhile

    asyncio.run(scene())
    return tally


def orders(count: int) -> list[Operation]:
    """Return creates of orders `o-1` to `o-<count>`."""
    return [operation(number) for number in range(1, count + 1)]


def states(ledger: Ledger) -> dict[str, int]:
    """Count the ledger's entries by state."""
    return {state.value: count for (_, state), count in ledger.counts().items()}


def test_what_is_accepted_is_written_down_with_corsos_id(tmp_path: Path) -> None:
    """Content, id and status; every operation once."""
    with a_scene(tmp_path, orders(30)) as (api, ledger):
        tally = deliver(api, ledger, orders(30))
        entry = entry_of(ledger, 7)
        assert states(ledger) == {"accepted": 30}
    assert (tally.accepted, tally.done, tally.unknown) == (30, 30, 0)
    assert sorted(each.source_order_id for each in api.sent) == sorted(
        each.source_order_id for each in orders(30)
    )
    assert (entry.held_hash, entry.status, entry.attempts) == (operation(7).payload_hash, 201, 1)
    assert entry.corso_id == str(
        next(each["orderId"] for each in api.orders if each["sourceOrderId"] == "o-7")
    )


def test_nothing_leaves_before_it_is_written_that_it_leaves(tmp_path: Path) -> None:
    """At the moment of the first byte another reader finds `sending`, this payload and an open attempt."""
    seen = []

    def on_the_wire(sent: Operation) -> None:
        with Ledger.read(place_of(tmp_path), 9359) as reader:
            entry = reader.entries_of([key_of(sent)])[key_of(sent)]
            attempt = reader.attempts(sent.source_order_id)[-1]
        seen.append((entry.state, attempt["payload_hash"] == sent.payload_hash, attempt["ended_at"]))

    with a_scene(tmp_path, orders(6)) as (api, ledger):
        api.on_the_wire = on_the_wire
        api.fail(2, THROTTLED)
        deliver(api, ledger, orders(6))
    assert seen == [(State.SENDING, True, None)] * 7


def test_a_429_is_no_attempt_and_is_sent_again(tmp_path: Path) -> None:
    """However often; the record still tells of it."""
    with a_scene(tmp_path, orders(1)) as (api, ledger):
        api.fail(1, *[THROTTLED] * 5)
        tally = deliver(api, ledger, orders(1))
        entry, attempts = entry_of(ledger), ledger.attempts("o-1")
    assert (tally.accepted, len(api.sent), len(api.orders)) == (1, 6, 1)
    assert (entry.state, entry.attempts) == (State.ACCEPTED, 1)
    assert [each["ended_as"] for each in attempts] == ["throttled"] * 5 + ["accepted"]


def test_hundreds_of_429s_burn_nothing(tmp_path: Path) -> None:
    """No attempt, no growing pause, no trouble for the circuit: what could not connect pauses as the first time."""
    no_connection = Fault(NotSent("connection refused"), before=True)
    with a_scene(tmp_path, orders(3)) as (api, ledger):
        for number in range(1, 4):
            api.fail(number, *[THROTTLED] * 150, no_connection, *[THROTTLED] * 150)
        deliver(api, ledger, orders(3))
        attempts = [entry_of(ledger, number).attempts for number in range(1, 4)]
        assert states(ledger) == {"accepted": 3}
    pauses = [each for each in api.clock.slept if each != api.latency_s]
    assert attempts == [1, 1, 1]
    assert len(pauses) == 3
    assert all(each <= 0.5 for each in pauses)
    assert (len(api.sent), len(api.orders), api.pings) == (3 * 301, 3, [])


@pytest.mark.parametrize("before", [True, False])
def test_what_surely_never_left_is_resent_after_a_growing_pause(tmp_path: Path, before: bool) -> None:
    """No connection, no harm; but not in a tight loop."""
    with a_scene(tmp_path, orders(1)) as (api, ledger):
        api.latency_s = 0
        api.fail(1, *[Fault(NotSent("refused"), before=before)] * 12)
        tally = deliver(api, ledger, orders(1))
        assert entry_of(ledger).state is State.ACCEPTED
        ended = [each["ended_as"] for each in ledger.attempts("o-1")]
    pauses = [pause for pause in api.clock.slept if pause]
    assert tally.accepted == 1
    assert ended == [*([] if before else ["not sent"] * 12), "accepted"]
    assert len(pauses) == 12
    assert all(pause <= min(30, 0.5 * 2**number) for number, pause in enumerate(pauses))
    assert max(pauses[6:]) > max(pauses[:3])


def test_what_may_be_there_is_never_sent_again(tmp_path: Path) -> None:
    """It is unknown, to be looked up; nobody refused it."""
    with a_scene(tmp_path, orders(3)) as (api, ledger):
        api.fail(2, RESET)
        tally = deliver(api, ledger, orders(3))
        entry = entry_of(ledger, 2)
    assert [each.source_order_id for each in api.sent].count("o-2") == 1
    assert (tally.accepted, tally.unknown, tally.refused) == (2, 1, set())
    assert (entry.state, entry.reason) == (State.UNKNOWN, "connection reset")


def is_held(ledger: Ledger, count: int) -> None:
    """Have orders `o-1` to `o-<count>` accepted now, under Corso's ids from 100 on."""
    creates = orders(count)
    ledger.plan(creates, "b1")
    ledger.start(creates)
    ledger.settle(
        [
            Change(key_of(each), State.ACCEPTED, corso_id=str(100 + number), held_hash=each.payload_hash)
            for number, each in enumerate(creates)
        ]
    )


@pytest.mark.parametrize("kind", ["update_order", "cancel_order", "create_fulfillment"])
def test_what_corso_does_not_know_the_order_of_yet_is_planned_again(
    tmp_path: Path, kind: OperationKind
) -> None:
    """It accepted these orders just now. None is a reject, however many they are, and nobody waits for them here."""
    with a_scene(tmp_path, []) as (api, ledger):
        is_held(ledger, 20)
        has_records(api, 20)
        planned = changes(kind, 20)
        ledger.plan(planned, "b1")
        api.known_after_s = 20
        tally = deliver(api, ledger, planned)
        entry = entry_of(ledger, 1, planned[0].source_fulfillment_id)
    assert (tally.done, tally.refused, tally.too_early) == (0, set(), {key_of(each) for each in planned})
    assert (entry.state, entry.reason) == (State.PLANNED, "404")
    assert api.clock.elapsed < 2


@pytest.mark.parametrize("age_s", [-60, 31])
def test_of_an_order_that_is_not_new_a_404_is_a_reject(tmp_path: Path, age_s: float) -> None:
    """Nor of one from before the clock was set back."""
    with a_scene(tmp_path, []) as (api, ledger):
        is_held(ledger, 1)
        api.clock.jump(age_s)
        (change,) = changes("update_order", 1)
        ledger.plan([change], "b1")
        tally = deliver(api, ledger, [change])
        assert entry_of(ledger).state is State.REJECTED
    assert (tally.rejected, tally.too_early) == (1, set())


REFUSALS = [Rejected("400", status=400, body="why"), NotFound("404", status=404, body="why")]


def changes(kind: OperationKind, count: int) -> list[Operation]:
    """Return operations of one kind on the records that `has_records` puts into the store."""
    known = kind != "create_order"
    return [
        operation(number, kind, corso_order_id=str(99 + number) if known else None)
        for number in range(1, count + 1)
    ]


def has_records(api: FakeCorso, count: int) -> None:
    """Put the records of orders `o-1` to `o-<count>` into the store."""
    for number in range(1, count + 1):
        api.has({"sourceOrderId": f"o-{number}"})


@pytest.mark.parametrize("error", REFUSALS)
@pytest.mark.parametrize("kind", sorted(LOOKED_UP_WHEN_REFUSED))
def test_a_refused_first_time_is_in_doubt_since_it_may_be_done_already(
    tmp_path: Path, kind: OperationKind, error: ApiError
) -> None:
    """Corso refuses a double: that must not read as a reject. Status and body are kept for the look-up."""
    planned = changes(kind, 2)
    with a_scene(tmp_path, planned) as (api, ledger):
        if kind != "create_order":
            has_records(api, 2)
        api.fail(1, Fault(error))
        tally = deliver(api, ledger, planned)
        entry = entry_of(ledger, 1, planned[0].source_fulfillment_id)
    assert (tally.accepted, tally.rejected, tally.unknown) == (1, 0, 1)
    assert tally.refused == {key_of(planned[0])}
    assert (entry.state, entry.status, entry.reason) == (State.UNKNOWN, error.status, f"{error.status}: why")


@pytest.mark.parametrize("error", REFUSALS)
def test_a_refused_update_is_rejected_with_its_reason_and_the_others_go_on(
    tmp_path: Path, error: ApiError
) -> None:
    """To be refused twice tells nothing else; one bad order is not everybody's problem."""
    planned = changes("update_order", 2)
    with a_scene(tmp_path, planned) as (api, ledger):
        has_records(api, 2)
        api.fail(1, Fault(error))
        tally = deliver(api, ledger, planned)
        entry = entry_of(ledger, 1)
        assert states(ledger) == {"rejected": 1, "accepted": 1}
    assert (tally.rejected, tally.accepted, tally.unknown, tally.refused) == (1, 1, 0, set())
    assert (entry.status, entry.reason) == (error.status, f"{error.status}: why")


def test_every_kind_but_an_update_is_looked_up_when_it_is_refused() -> None:
    """A kind that is new to the wire has to be thought about here."""
    assert set(get_args(OperationKind)) - LOOKED_UP_WHEN_REFUSED == {"update_order"}


def test_refused_credentials_stop_everything_and_leave_nothing_in_between(tmp_path: Path) -> None:
    """Exit code 3; what was under way when it happened is settled, the rest stays planned."""
    with a_scene(tmp_path, orders(50)) as (api, ledger):
        api.fail(3, Fault(NotAuthorised("403: this store is not yours", status=403)))
        with pytest.raises(NotAuthorised, match="not yours") as raised:
            deliver(api, ledger, orders(50))
        assert states(ledger).keys() == {"planned", "accepted"}
        assert entry_of(ledger, 3).state is State.PLANNED
    assert raised.value.exit_code == 3
    assert len(api.sent) < 10
    assert len(api.orders) == len(api.sent) - 1


def test_credentials_refused_before_the_first_byte_leave_all_planned(tmp_path: Path) -> None:
    """No token, no request, no attempt."""
    with a_scene(tmp_path, orders(5)) as (api, ledger):
        api.every_fault = Fault(NotAuthorised("401"), before=True)
        with pytest.raises(NotAuthorised):
            deliver(api, ledger, orders(5))
        assert states(ledger) == {"planned": 5}
        assert ledger.attempts("o-1") == []
    assert api.sent == []


@pytest.mark.parametrize("before", [True, False])
def test_too_long_a_wait_parks_the_run_and_what_waited_is_planned(tmp_path: Path, before: bool) -> None:
    """Exit code 75; nothing is left in `sending`."""
    later = datetime(2026, 11, 23, tzinfo=UTC)
    with a_scene(tmp_path, orders(20)) as (api, ledger):
        api.fail(2, Fault(Parked("try tomorrow", resume_at=later), before=before))
        with pytest.raises(Parked) as raised:
            deliver(api, ledger, orders(20))
        assert states(ledger).keys() <= {"planned", "accepted"}
        assert entry_of(ledger, 2).state is State.PLANNED
    assert (raised.value.exit_code, raised.value.resume_at) == (75, later)
    assert len(api.sent) < 10


def test_too_many_rejected_updates_stop_the_run(tmp_path: Path) -> None:
    """upload.max_rejected of the whole; nobody refuses a million orders one by one."""
    planned = changes("update_order", 1000)
    with a_scene(tmp_path, planned) as (api, ledger):
        api.every_fault = REFUSED
        with pytest.raises(
            Stopped, match=r"rejected 2\d of 2\d operations; upload.max_rejected allows 20"
        ) as raised:
            deliver(api, ledger, planned, max_rejected=0.02)
        assert states(ledger)["rejected"] == len(api.sent) <= 24
        assert states(ledger)["planned"] == 1000 - len(api.sent)
    assert raised.value.exit_code == 3


def test_too_many_rejected_of_the_last_ones_stop_a_run_whose_whole_allows_more(tmp_path: Path) -> None:
    """Two per cent of a million are 20,000: nobody waits for those when everything is refused from now on."""
    planned = changes("update_order", 150)
    with a_scene(tmp_path, planned) as (api, ledger):
        has_records(api, 150)
        for number in range(41, 151):
            api.fail(number, REFUSED)
        tally = Tally.of(1_000_000, 0.02)
        with pytest.raises(Stopped, match=r"rejected \d\d of the last 50 operations; 25 are allowed"):
            deliver(api, ledger, planned, tally=tally)
    assert 26 <= tally.rejected <= 29
    assert len(api.sent) == tally.done <= 40 + 29


def test_a_few_rejected_updates_never_stop_the_run(tmp_path: Path) -> None:
    """A small batch with one bad order in it is not an emergency."""
    planned = changes("update_order", 10)
    with a_scene(tmp_path, planned) as (api, ledger):
        api.every_fault = REFUSED
        assert deliver(api, ledger, planned, max_rejected=0).rejected == 10


def test_whoever_allows_all_to_be_rejected_is_never_stopped(tmp_path: Path) -> None:
    """upload.max_rejected: 1.0 says that the guards are not wanted."""
    planned = changes("update_order", 70) + [operation(number) for number in range(71, 141)]
    with a_scene(tmp_path, planned) as (api, ledger):
        api.every_fault = REFUSED
        tally = deliver(api, ledger, planned, max_rejected=1.0)
        assert states(ledger) == {"rejected": 70, "unknown": 70}
    assert (tally.rejected, len(tally.refused)) == (70, 70)


def test_too_many_refused_creates_hold_the_sending_until_they_are_looked_up(tmp_path: Path) -> None:
    """They may all be there already, or all be wrong: nobody knows before looking, so nobody sends on."""
    feed = iter(orders(400))
    tally = Tally.of(400, 0)

    async def scene() -> None:
        sender = sender_of(api, Journal(ledger))
        await sender.send(feed, 400, tally)
        assert tally.must_look_up
        assert 11 <= len(api.sent) == len(tally.refused) == tally.unknown <= 14
        # Looked up: two of them are really not there. It goes on where it was.
        tally.note_looked_up(set(sorted(tally.refused)[:2]))
        await sender.send(feed, 400, tally)
        assert (tally.must_look_up, tally.rejected) == (True, 2)
        assert 9 <= len(tally.refused) <= 12
        # Looked up: all of these are not there.
        tally.note_looked_up(tally.refused)
        await sender.send(feed, 400, tally)

    with a_scene(tmp_path, orders(400)) as (api, ledger):
        api.every_fault = REFUSED
        with pytest.raises(Stopped, match=r"rejected 1[1-4] of"):
            asyncio.run(scene())
        assert states(ledger) == {"unknown": len(api.sent), "planned": 400 - len(api.sent)}
    assert len(api.sent) == len({each.source_order_id for each in api.sent}) <= 26


def test_a_store_that_has_it_all_is_met_refusal_by_refusal_and_never_stops_the_run(tmp_path: Path) -> None:
    """Every create is refused as a double and found: as often as it takes, nothing is rejected, nothing sent twice."""
    feed = iter(orders(120))
    tally = Tally.of(1_000_000, 0.02)
    rounds = 0

    async def scene() -> None:
        nonlocal rounds
        sender = sender_of(api, Journal(ledger))
        must_look_up = True
        while must_look_up:
            await sender.send(feed, 1_000_000, tally)
            must_look_up = tally.must_look_up
            assert len(tally.refused) <= 29
            tally.note_looked_up(set())
            rounds += 1

    with a_scene(tmp_path, orders(120)) as (api, ledger):
        for number in range(1, 121):
            api.has(order_body(number))
        asyncio.run(scene())
    assert (tally.rejected, tally.done, len(api.sent), len(api.orders)) == (0, 120, 120, 120)
    assert rounds == 5


def test_a_stop_lets_what_is_under_way_finish_and_keeps_the_rest_planned(tmp_path: Path) -> None:
    """Nothing in between: that is what 130 promises."""

    async def scene() -> None:
        sender = sender_of(api, Journal(ledger))

        def stop_at_the_sixth(_operation: Operation) -> None:
            if len(api.sent) == 6:
                sender.stop(interrupted())
                sender.stop(Stopped("a second reason does not hide the first"))

        api.on_the_wire = stop_at_the_sixth
        await sender.send(orders(100), 100, Tally.of(100, 0))

    with a_scene(tmp_path, orders(100)) as (api, ledger):
        with pytest.raises(Interrupted) as raised:
            asyncio.run(scene())
        assert states(ledger) == {"accepted": len(api.sent), "planned": 100 - len(api.sent)}
    assert 6 <= len(api.sent) <= 10
    assert len(api.orders) == len(api.sent)
    assert raised.value.exit_code == 130


def test_a_stop_does_not_wait_for_those_whose_turn_has_not_come(tmp_path: Path) -> None:
    """A pause of an hour that the API asked for is no reason to answer Ctrl-C in an hour."""

    class Waiting(FakeCorso):
        async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> object:  # type: ignore[override]
            if operation.source_order_id != "o-1":
                await asyncio.Event().wait()
            return await super().send(operation, about_to_send)

    async def stop_when_one_is_through(sender: Sender) -> None:
        while not api.orders:  # noqa: ASYNC110  (it is the loop's turn that is waited for)
            await asyncio.sleep(0.001)
        sender.stop(interrupted())

    with a_scene(tmp_path, orders(20)) as (plain, ledger):
        api = Waiting(plain.clock)
        with pytest.raises(Interrupted):
            asyncio.run(asyncio.wait_for(_until_stopped(api, ledger, stop_when_one_is_through), 5))
        assert states(ledger) == {"accepted": 1, "planned": 19}


async def _until_stopped(
    api: FakeCorso, ledger: Ledger, during: Callable[[Sender], Coroutine[Any, Any, None]]
) -> None:
    sender = sender_of(api, Journal(ledger))
    meanwhile = asyncio.create_task(during(sender))
    try:
        await sender.send(orders(20), 20, Tally.of(20, 0))
    finally:
        await meanwhile


def test_what_does_not_finish_in_time_is_left_in_sending_to_be_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never answers does not keep the program alive; the next run asks what became of it."""
    monkeypatch.setattr(sender_module, "DRAIN_S", 0.01)

    class Silent(FakeCorso):
        async def send(self, operation: Operation, about_to_send: Callable[[], Awaitable[None]]) -> object:  # type: ignore[override]
            await about_to_send()
            self.under_way += 1
            return await asyncio.Event().wait()

    async def stop_soon(sender: Sender) -> None:
        while api.under_way < 4:  # noqa: ASYNC110  (it is the loop's turn that is waited for)
            await asyncio.sleep(0.001)
        sender.stop(interrupted())

    with a_scene(tmp_path, orders(20)) as (plain, ledger):
        api = Silent(plain.clock)
        with pytest.raises(Interrupted):
            asyncio.run(_until_stopped(api, ledger, stop_soon))
        assert states(ledger) == {"sending": 4, "planned": 16}
        assert ledger.doubt_unfinished() == 4


def test_a_ledger_that_fails_stops_the_sending(tmp_path: Path) -> None:
    """Without the record nothing may leave."""

    class Full(Journal):
        async def start(self, operation: Operation) -> None:
            message = "the disk is full"
            raise LedgerError(message)

    with a_scene(tmp_path, orders(20)) as (api, ledger):

        async def scene() -> None:
            await sender_of(api, Full(ledger)).send(orders(20), 20, Tally.of(20, 0))

        with pytest.raises(LedgerError, match="full"):
            asyncio.run(scene())
        assert states(ledger) == {"planned": 20}
    assert api.sent == []


def test_a_plan_that_cannot_be_read_on_stops_the_sending(tmp_path: Path) -> None:
    """The operations come from a generator that asks the ledger; its errors are not lost among the workers."""

    def feed() -> Iterator[Operation]:
        yield from orders(2)
        message = "cannot read on"
        raise LedgerError(message)

    with a_scene(tmp_path, orders(2)) as (api, ledger):

        async def scene() -> None:
            await sender_of(api, Journal(ledger)).send(feed(), 20, Tally.of(20, 0))

        with pytest.raises(LedgerError, match="read on"):
            asyncio.run(scene())
        assert states(ledger) == {"accepted": 2}


def test_a_mistake_of_ours_is_not_swallowed_and_costs_nobody_elses_answer(tmp_path: Path) -> None:
    """What is no error of the tree comes out as it is, once what was under way is written down."""
    with a_scene(tmp_path, orders(30)) as (api, ledger):
        api.fail(2, Fault(ZeroDivisionError("a slip")))  # type: ignore[arg-type]  # on purpose
        with pytest.raises(ZeroDivisionError):
            deliver(api, ledger, orders(30))
        sending = [each.key for each in ledger.entries(states=[State.SENDING])]
        assert states(ledger)["planned"] >= 20
    assert sending == [Key("o-2")]


def test_a_mistake_of_ours_outweighs_any_other_reason_to_stop(tmp_path: Path) -> None:
    """Also where it happens while what was under way finishes: an operator's Ctrl-C must not hide it."""

    async def scene() -> None:
        sender = sender_of(api, Journal(ledger))
        api.on_the_wire = lambda _operation: sender.stop(interrupted())
        await sender.send(orders(9), 9, Tally.of(9, 0))

    with a_scene(tmp_path, orders(9)) as (api, ledger):
        api.fail(1, Fault(ZeroDivisionError("a slip")))  # type: ignore[arg-type]  # on purpose
        with pytest.raises(ZeroDivisionError):
            asyncio.run(scene())


def test_progress_is_told_after_every_operation(tmp_path: Path) -> None:
    """Kind, done, total; the last says that all are done."""
    told: list[tuple[str, int, int]] = []

    async def scene() -> None:
        sender = sender_of(api, Journal(ledger), watch=lambda *facts: told.append(facts))
        await sender.send(orders(9), 9, Tally.of(9, 0))

    with a_scene(tmp_path, orders(9)) as (api, ledger):
        api.fail(4, RESET)
        asyncio.run(scene())
    assert len(told) == 9
    assert {(what, total) for what, _, total in told} == {("create_order", 9)}
    assert told[-1][1] == 9
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_no_more_is_under_way_than_was_asked_for(tmp_path: Path) -> None:
    """limits.max_in_flight."""
    most = 0

    def look(_operation: Operation) -> None:
        nonlocal most
        most = max(most, api.under_way)

    with a_scene(tmp_path, orders(40)) as (api, ledger):
        api.on_the_wire = look
        deliver(api, ledger, orders(40), max_in_flight=7)
    assert most == 7


@pytest.mark.parametrize(
    "error", [NotAuthorised("401"), Parked("later", resume_at=datetime(2027, 1, 1, tzinfo=UTC))]
)
def test_what_others_had_under_way_is_settled_when_one_stops_the_run(
    tmp_path: Path, error: CorsoError
) -> None:
    """The stop of one worker is not the loss of another's answer."""
    with a_scene(tmp_path, orders(8)) as (api, ledger):
        for number in (1, 2, 3):
            api.fail(number, THROTTLED)
        api.fail(4, Fault(error))
        with pytest.raises(type(error)):
            deliver(api, ledger, orders(8))
        assert State.SENDING not in {each.state for each in ledger.entries()}
        open_attempts = [
            each
            for number in range(1, 9)
            for each in ledger.attempts(f"o-{number}")
            if each["ended_at"] is None
        ]
    assert open_attempts == []


def test_a_change_names_its_key() -> None:
    """A fulfillment's change must not hit its order."""
    assert (
        key_of(operation(1, "create_fulfillment"))
        == Key("o-1", "f-1")
        != Change(Key("o-1"), State.ACCEPTED).key
    )
