"""Groups of rows as one statement: what an id may hold, how rows are found, what is counted."""

from pathlib import Path

import pytest

from corso.delivery.ledger import Change, Key, key_of
from corso.delivery.sqlite import SqliteFile
from corso.delivery.states import State
from corso.delivery.transitions import Transition
from corso.errors import IllegalTransition
from schemas.wire import Operation
from tests.fake_corso import ODD_IDS, opened, operation


def create(source_order_id: str, fulfillment: str = "") -> Operation:
    """Return an operation about this order."""
    return Operation("create_order", source_order_id, fulfillment, None, b"{}", "hash")


@pytest.mark.parametrize("group", [ODD_IDS, [each for each in ODD_IDS if "\0" not in each]])
def test_an_id_may_hold_anything(tmp_path: Path, group: list[str]) -> None:
    """It comes back as it went in, and is found again; with zero bytes in it or in another one of its group."""
    operations = [create(one, other) for one, other in zip(group, ["", *reversed(group)], strict=False)]
    keys = [key_of(each) for each in operations]
    with opened(tmp_path) as ledger:
        ledger.plan(operations, "b1")
        ledger.start(operations)
        ledger.settle(
            [
                Change(key, State.ACCEPTED, corso_id=key.source_order_id, held_hash="hash", status=201)
                for key in keys
            ]
        )
        found = ledger.entries_of(keys)
        attempts = ledger.attempts(group[0])
    assert {key: (entry.state, entry.corso_id, entry.status) for key, entry in found.items()} == {
        key: (State.ACCEPTED, key.source_order_id, 201) for key in keys
    }
    assert [(each["ended_as"], each["status"]) for each in attempts] == [("accepted", 201)]


def test_values_keep_their_types(tmp_path: Path) -> None:
    """What is not there is NULL, a status is a number, whether it is cancelled a truth."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2, "cancel_order", corso_order_id="7")], "b1")
        ledger.start([operation(1)])
        ledger.settle([Change(Key("o-1"), State.UNKNOWN)])
        found = ledger.entries_of([Key("o-1"), Key("o-2")])
    first, second = found[Key("o-1")], found[Key("o-2")]
    assert (first.status, first.reason, first.corso_id, first.cancelled) == (None, None, None, False)
    assert second.cancelled is True


def test_the_same_one_twice_in_a_group_is_a_mistake(tmp_path: Path) -> None:
    """As it is when they come one after the other; nothing of the group is written."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        with pytest.raises(IllegalTransition):
            ledger.start([operation(1), operation(2), operation(1)])
        assert ledger.counts() == {("order", State.PLANNED): 2}


def test_what_ends_and_what_begins_is_one_commit(tmp_path: Path) -> None:
    """What was put back may begin again in the same one; a mistake of either undoes both."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(3)], "b1")
        ledger.start([operation(0)])
        back = Change(Key("o-0"), State.PLANNED, ended_as="throttled")
        with pytest.raises(IllegalTransition):
            ledger.settle_and_start([back], [operation(0), operation(9)])
        assert ledger.counts()["order", State.SENDING] == 1
        ledger.settle_and_start([back], [operation(0), operation(1)])
        assert ledger.counts() == {("order", State.SENDING): 2, ("order", State.PLANNED): 1}
        assert [each["ended_as"] for each in ledger.attempts("o-0")] == ["throttled", None]


@pytest.mark.parametrize("name", ["start", "record_attempt", "settle", "end_attempt"])
def test_rows_are_found_by_their_key(tmp_path: Path, name: str) -> None:
    """Or every commit would go through the whole ledger: SQLite is told so little that it might."""
    statements = SqliteFile.transitions
    found = statements.settle[State.ACCEPTED] if name == "settle" else getattr(statements, name)
    assert isinstance(found, Transition)
    with opened(tmp_path) as ledger, ledger._database.reading() as connection:
        sql = found.sql(connection.dialect)
        nothing = (None,) * sql.count("?")
        steps = [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", nothing)]
    assert not [step for step in steps if step.startswith(("SCAN entries", "SCAN attempts"))]
    assert any("source_order_id=? AND source_fulfillment_id=?" in step for step in steps), steps
