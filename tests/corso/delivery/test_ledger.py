"""The ledger: guarded and durable, in a file and on a server."""

import json
from collections import Counter
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import pytest
import sqlalchemy as sa

from corso.delivery import reading
from corso.delivery.ledger import Change, Key, Ledger, key_of
from corso.delivery.states import MAY_FOLLOW, State
from corso.errors import IllegalTransition
from schemas.wire import OperationKind
from tests.clocks import JumpingClock
from tests.fake_corso import entry_of, opened, operation
from tests.ledger_places import place_of, rows_in

pytestmark = pytest.mark.usefixtures("each_database")

ALLOWED = {
    # from: to
    State.PLANNED: {State.PLANNED, State.SENDING, State.UNKNOWN},
    State.SENDING: {State.PLANNED, State.ACCEPTED, State.REJECTED, State.UNKNOWN},
    State.ACCEPTED: set(),
    State.REJECTED: set(),
    State.UNKNOWN: {State.PLANNED, State.ACCEPTED, State.REJECTED, State.UNKNOWN},
}
"""What starting and settling may do. Written out once more, by hand: a slip in the code's table must not excuse
itself."""


def bring_to(ledger: Ledger, state: State) -> None:
    """Make order `o-1` stand in this state."""
    ledger.plan([operation()], "b1")
    if state is not State.PLANNED:
        ledger.start([operation()])
    if state not in {State.PLANNED, State.SENDING}:
        ledger.settle([Change(Key("o-1"), state, corso_id="7", held_hash="h", reason="why")])


def move_to(ledger: Ledger, state: State) -> None:
    """Ask for the transition to this state."""
    if state is State.SENDING:
        ledger.start([operation()])
    else:
        ledger.settle([Change(Key("o-1"), state)])


def test_whose_order_a_record_is_is_told_by_its_id(tmp_path: Path) -> None:
    """Of the store's orders, not of their fulfillments; ids that nobody has, and such as no text in JSON keeps, are nobody's."""
    with opened(tmp_path) as ledger:
        bring_to(ledger, State.ACCEPTED)
        fulfillment = operation(1, "create_fulfillment", corso_order_id="7")
        ledger.plan([fulfillment, operation(2)], "b1")
        ledger.start([fulfillment])
        ledger.settle([Change(key_of(fulfillment), State.ACCEPTED, corso_id="8", held_hash="h")])
        assert ledger.orders_of(["7", "8", "9", "", "7\0"]) == {"7": "o-1"}
        assert ledger.orders_of([]) == {}


def test_the_table_of_transitions_is_what_it_was_agreed_to_be() -> None:
    """`MAY_FOLLOW` says the same the other way round."""
    forwards = {before: {after for after in State if before in MAY_FOLLOW[after]} for before in State}
    # What has ended becomes planned, too, but not by being put back.
    assert forwards == {**ALLOWED, State.ACCEPTED: {State.PLANNED}, State.REJECTED: {State.PLANNED}}


@pytest.mark.parametrize("after", State)
@pytest.mark.parametrize("before", State)
def test_a_transition_is_made_or_refused_whole(tmp_path: Path, before: State, after: State) -> None:
    """What is not allowed raises and changes nothing, not even beside an allowed change in the same group."""
    with opened(tmp_path) as ledger:
        bring_to(ledger, before)
        was = rows_in(tmp_path, "entries", "attempts")
        if after in ALLOWED[before]:
            move_to(ledger, after)
            assert entry_of(ledger).state is after
        else:
            with pytest.raises(IllegalTransition):
                move_to(ledger, after)
            assert rows_in(tmp_path, "entries", "attempts") == was


def test_a_group_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """One change that finds another state takes back the others of its transaction."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        ledger.start([operation(1)])
        with pytest.raises(IllegalTransition, match="1 of 2 operations"):
            ledger.settle([Change(Key("o-1"), State.ACCEPTED), Change(Key("o-2"), State.ACCEPTED)])
        assert entry_of(ledger, 1).state is State.SENDING
        with pytest.raises(IllegalTransition):
            ledger.start([operation(2), operation(1)])
        assert entry_of(ledger, 2).state is State.PLANNED
        assert [each["source_order_id"] for each in ledger.attempts("o-2")] == []


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN])
def test_what_may_be_in_corso_is_never_planned_over(tmp_path: Path, state: State) -> None:
    """A new batch cannot make one forget that an order is in doubt."""
    with opened(tmp_path) as ledger:
        bring_to(ledger, state)
        with pytest.raises(IllegalTransition):
            ledger.plan([operation(1, totalMoney=99)], "b2")
        assert entry_of(ledger).batch == "b1"


def test_a_new_operation_keeps_what_corso_holds(tmp_path: Path) -> None:
    """Planning an update forgets the last operation's attempts, not Corso's id nor what it holds."""
    with opened(tmp_path) as ledger:
        bring_to(ledger, State.ACCEPTED)
        update = operation(1, "update_order", corso_order_id="7", totalMoney=99)
        ledger.plan([update], "b2")
        entry = entry_of(ledger)
    assert (entry.state, entry.kind, entry.payload_hash) == (
        State.PLANNED,
        "update_order",
        update.payload_hash,
    )
    assert (entry.corso_id, entry.held_hash, entry.batch) == ("7", "h", "b2")
    assert (entry.attempts, entry.first_sent_at, entry.last_started_at, entry.reason) == (0, None, None, None)


def test_sending_is_durable_before_the_call_returns(tmp_path: Path) -> None:
    """Another connection sees it at once: a byte may leave now."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation()], "b1")
        ledger.start([operation()])
        (entry,), (attempt,) = rows_in(tmp_path, "entries", "attempts")
        assert (entry["state"], attempt["payload_hash"]) == ("sending", operation().payload_hash)


def test_attempts_say_how_they_ended(tmp_path: Path) -> None:
    """A 429 is no attempt and stands in the record all the same; the first time of sending stays."""
    clock = JumpingClock()
    with opened(tmp_path, clock) as ledger:
        ledger.plan([operation()], "b1")
        began = clock.utc()
        for number, change in enumerate(
            [
                Change(Key("o-1"), State.PLANNED, ended_as="throttled", reason="429"),
                Change(Key("o-1"), State.PLANNED, ended_as="not sent", reason="refused"),
                Change(Key("o-1"), State.UNKNOWN, status=502, reason="bad gateway"),
            ]
        ):
            ledger.start([operation()])
            started = clock.utc()
            clock.jump(1)
            ledger.settle([change])
            assert entry_of(ledger).attempts == number
            assert (entry_of(ledger).last_started_at, entry_of(ledger).updated_at) == (started, clock.utc())
        ledger.settle([Change(Key("o-1"), State.ACCEPTED, ended_as="found", corso_id="7", held_hash="h")])
        attempts = ledger.attempts("o-1")
        entry = entry_of(ledger)
    assert [each["ended_as"] for each in attempts] == ["throttled", "not sent", "unknown"]
    assert [each["status"] for each in attempts] == [None, None, 502]
    assert {each["batch"] for each in attempts} == {"b1"}
    assert all(each["ended_at"] > each["started_at"] for each in attempts)
    assert (entry.first_sent_at, entry.held_at) == (began, clock.utc())


@pytest.mark.parametrize(
    ("kind", "cancelled", "held"),
    [
        ("create_order", False, ""),
        ("create_order", True, "sent"),
        ("update_order", True, "sent"),
        ("cancel_order", True, "deleted"),
    ],
)
def test_it_is_known_how_an_order_was_cancelled(
    tmp_path: Path, kind: OperationKind, cancelled: bool, held: str
) -> None:
    """After DELETE Corso changes nothing any more; after a cancellation that was sent it does."""
    sent = operation(1, kind, corso_order_id="7")
    sent = type(sent)(**{**{name: getattr(sent, name) for name in sent.__slots__}, "cancelled": cancelled})
    with opened(tmp_path) as ledger:
        ledger.plan([sent], "b1")
        ledger.start([sent])
        ledger.settle([Change(Key("o-1"), State.ACCEPTED, corso_id="7", held_hash="h")])
        (known,) = ledger.arrays_of(["o-1"], ["corso_id", "held_hash", "held_cancelled", "attempts"])
    assert {name: json.loads(array) for name, array in known.items()} == {
        "corso_id": ["7"],
        "held_hash": ["h"],
        "held_cancelled": [held],
        "attempts": [1],
    }


def test_what_a_killed_run_left_in_sending_is_unknown(tmp_path: Path) -> None:
    """Its attempt has ended, too; what was planned or settled stays."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2), operation(3)], "b1")
        ledger.start([operation(1), operation(2)])
        ledger.settle([Change(Key("o-2"), State.ACCEPTED, corso_id="7", held_hash="h")])
    with opened(tmp_path) as ledger:
        assert ledger.doubt_unfinished() == 1
        states = [entry_of(ledger, number).state for number in (1, 2, 3)]
        (attempt,) = ledger.attempts("o-1")
        assert ledger.doubt_unfinished() == 0
    assert states == [State.UNKNOWN, State.ACCEPTED, State.PLANNED]
    assert (attempt["ended_as"], attempt["ended_at"] is None) == ("unknown", False)


@pytest.mark.parametrize("state", [State.PLANNED, State.ACCEPTED, State.REJECTED])
def test_what_has_ended_can_be_planned_anew(tmp_path: Path, state: State) -> None:
    """The next batch brings the next operation."""
    with opened(tmp_path) as ledger:
        bring_to(ledger, state)
        ledger.plan([operation(1, totalMoney=99)], "b2")
        entry = entry_of(ledger)
    assert (entry.state, entry.batch, entry.payload_hash) == (
        State.PLANNED,
        "b2",
        operation(1, totalMoney=99).payload_hash,
    )


def test_only_what_is_rejected_is_planned_again_on_request(tmp_path: Path) -> None:
    """`retry` sends refused operations once more, and nothing that is in doubt."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in (1, 2, 3)], "b1")
        ledger.start([operation(number) for number in (1, 2, 3)])
        states = (State.REJECTED, State.UNKNOWN, State.ACCEPTED)
        ledger.settle([Change(Key(f"o-{number}"), state) for number, state in enumerate(states, 1)])
        assert ledger.plan_rejected_again() == 1
        found = [entry_of(ledger, number).state for number in (1, 2, 3)]
    assert found == [State.PLANNED, State.UNKNOWN, State.ACCEPTED]


def test_only_the_rejected_ones_among_these_keys_are_planned_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More keys than one statement may hold, some of them twice, some of nothing."""
    monkeypatch.setattr(reading, "KEYS_PER_QUERY", 3)
    operations = [operation(number) for number in range(1, 11)]
    with opened(tmp_path) as ledger:
        ledger.plan(operations, "b1")
        ledger.start(operations)
        ledger.settle([Change(Key(f"o-{number}"), State.REJECTED) for number in range(1, 10)])
        assert ledger.plan_rejected_again([]) == 0
        keys = [Key(f"o-{number}") for number in (1, 2, 3, 4, 5, 1, 10, 11)]
        assert ledger.plan_rejected_again(iter(keys)) == 5
        assert ledger.counts() == {
            ("order", State.PLANNED): 5,
            ("order", State.REJECTED): 4,
            ("order", State.SENDING): 1,
        }


def test_entries_are_counted_by_what_they_are_and_their_state(tmp_path: Path) -> None:
    """Those that Corso holds and that are to be changed, too, which are in another state than the last time; of this store alone."""
    orders = [operation(number) for number in range(1, 9)]
    fulfillments = [operation(number, "create_fulfillment", corso_order_id="7") for number in range(1, 5)]
    changes = [operation(number, "update_order", corso_order_id="7", totalMoney=99) for number in (1, 2, 3)]
    with Ledger.open(place_of(tmp_path, 1), 1) as other:
        other.plan(orders, "b1")
    with opened(tmp_path) as ledger:
        ledger.plan([*orders, *fulfillments], "b1")
        ledger.start([*orders[:7], *fulfillments[:3]])
        held = [*orders[:5], *fulfillments[:2]]
        ledger.settle([Change(key_of(each), State.ACCEPTED, corso_id="7", held_hash="h") for each in held])
        ledger.settle([Change(key_of(orders[5]), State.REJECTED)])
        ledger.plan(changes, "b2")
        ledger.start(changes[:2])
        ledger.settle([Change(key_of(changes[0]), State.UNKNOWN)])
        one_by_one = Counter(
            ("fulfillment" if entry.key.source_fulfillment_id else "order", entry.state)
            for entry in ledger.entries()
        )
        assert ledger.counts() == one_by_one
    assert one_by_one["order", State.ACCEPTED] == one_by_one["fulfillment", State.ACCEPTED] == 2


def test_the_orders_that_were_created_lately_are_found_newest_first(tmp_path: Path) -> None:
    """Not fulfillments, not orders whose id is not known, not those of other stores."""
    clock = JumpingClock()
    orders = [operation(number) for number in range(1, 6)]
    fulfillment = operation(1, "create_fulfillment", corso_order_id="7")
    with opened(tmp_path, clock) as ledger:
        ledger.plan([*orders, fulfillment], "b1")
        ledger.start([*orders, fulfillment])
        instants = []
        for number in (3, 1, 2):
            clock.jump(60)
            instants.append(clock.utc())
            ledger.settle([Change(Key(f"o-{number}"), State.ACCEPTED, corso_id=str(number))])
        ledger.settle([Change(Key("o-1", "f-1"), State.ACCEPTED, corso_id="F1")])
        ledger.settle([Change(Key("o-4"), State.ACCEPTED), Change(Key("o-5"), State.REJECTED)])
        assert [entry.corso_id for entry in ledger.latest_created(5)] == ["2", "1", "3"]
        assert [entry.corso_id for entry in ledger.latest_created(1)] == ["2"]
        assert [ledger.count_held_since(instant) for instant in instants] == [4, 3, 2]
        elsewhere = instants[1].astimezone(timezone(timedelta(hours=-5)))
        assert ledger.count_held_since(elsewhere) == 3
        assert ledger.count_held_since(clock.utc() + timedelta(seconds=1)) == 0
    with Ledger.read(place_of(tmp_path), 1) as other:
        assert (other.latest_created(5), other.count_held_since(instants[0])) == ([], 0)


def test_what_was_changed_or_adopted_is_not_among_the_lately_created(tmp_path: Path) -> None:
    """Both may be in Corso for years: they show at once, however late its listing is."""
    created, changed = operation(1), operation(2, "update_order", corso_order_id="2")
    with opened(tmp_path) as ledger:
        ledger.plan([created, changed, operation(3)], "b1")
        ledger.start([created, changed])
        ledger.settle([Change(Key("o-3"), State.UNKNOWN)])
        ledger.settle(
            [Change(Key(f"o-{number}"), State.ACCEPTED, corso_id=str(number)) for number in (1, 2, 3)]
        )
        assert [entry.corso_id for entry in ledger.latest_created(5)] == ["1"]


def test_the_latest_are_found_by_an_index(tmp_path: Path, each_database: str) -> None:
    """A store with millions of orders is not read through for the last twenty."""
    with opened(tmp_path) as ledger:
        plans: list[str] = []

        @sa.event.listens_for(ledger._database.reader, "before_cursor_execute")
        def _explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
            explain = "EXPLAIN QUERY PLAN" if each_database == "sqlite" else "EXPLAIN"
            if statement.startswith("SELECT") and "entries" in statement:
                if each_database == "postgres":
                    # A new table is so small that reading it through is cheaper.
                    cursor.execute("SET LOCAL enable_seqscan = off")
                cursor.execute(f"{explain} {statement}", parameters)
                plans.append(str(cursor.fetchall()))

        ledger.latest_created(20)
        ledger.count_held_since(JumpingClock().utc())
    assert len(plans) == 2
    assert all("orders_by_held_at" in plan and "held_at" in plan.partition("entries_by")[0] for plan in plans)


def test_nothing_to_write_writes_nothing(tmp_path: Path) -> None:
    """An empty group is no transaction: not even the lease is renewed by it."""
    with opened(tmp_path) as ledger:
        was = rows_in(tmp_path, "leases")
        ledger.plan([], "b1")
        ledger.start([])
        ledger.settle([])
        assert rows_in(tmp_path, "leases") == was


def test_stores_do_not_see_each_other(tmp_path: Path) -> None:
    """One ledger may serve all stores of a workdir."""
    with opened(tmp_path) as ledger:
        bring_to(ledger, State.REJECTED)
    with Ledger.open(place_of(tmp_path, 1), 1) as other:
        assert other.entries_of([Key("o-1")]) == {}
        assert (other.counts(), list(other.entries()), other.attempts("o-1")) == ({}, [], [])
        assert other.plan_rejected_again() == 0
        with pytest.raises(IllegalTransition):
            other.settle([Change(Key("o-1"), State.PLANNED)])


def test_counts_entries_and_keys_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three ways to ask give one answer; more keys than one statement may hold are looked up, too."""
    monkeypatch.setattr(reading, "KEYS_PER_QUERY", 10)
    orders = [operation(number) for number in range(1, 32)]
    fulfillments = [operation(number, "create_fulfillment", corso_order_id="7") for number in (1, 2)]
    with opened(tmp_path) as ledger:
        ledger.plan([*orders, *fulfillments], "b1")
        ledger.start(orders[:3])
        found = ledger.entries_of([Key(each.source_order_id) for each in [*orders, *orders]])
        assert len(found) == len(list(ledger.entries(fulfillments=False))) == 31
        assert ledger.counts() == {
            ("order", State.PLANNED): 28,
            ("order", State.SENDING): 3,
            ("fulfillment", State.PLANNED): 2,
        }
        assert {each.key for each in ledger.entries(fulfillments=True)} == {
            Key("o-1", "f-1"),
            Key("o-2", "f-2"),
        }
        assert [each.key for each in ledger.entries(states=[State.SENDING])] == [
            Key("o-1"), Key("o-2"), Key("o-3"),
        ]  # fmt: skip


def test_states_and_kinds_are_stored_as_their_own_words(tmp_path: Path) -> None:
    """Other programs read the file: what it says is what the enum says."""
    assert {state.value for state in State} == {"planned", "sending", "accepted", "rejected", "unknown"}
    with opened(tmp_path) as ledger:
        for number, state in enumerate(State, 1):
            ledger.plan([operation(number)], "b1")
            if state is not State.PLANNED:
                ledger.start([operation(number)])
            if state not in {State.PLANNED, State.SENDING}:
                ledger.settle([Change(Key(f"o-{number}"), state)])
    (stored,) = rows_in(tmp_path, "entries")
    assert sorted((row["source_order_id"], row["state"], row["kind"]) for row in stored) == [
        (f"o-{number}", state.value, get_args(OperationKind)[0]) for number, state in enumerate(State, 1)
    ]
