"""A ledger moves from its file to a server: whole, once, and nobody goes on with the file."""

from pathlib import Path

import pytest

from corso.database import DatabaseUrl, SharedLedger
from corso.delivery import moving
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.errors import LeaseHeld, LedgerError, LedgerInUse
from tests import ledger_places
from tests.clocks import JumpingClock
from tests.fake_corso import STORE_ID, operation
from tests.ledger_places import rows_in, shared, url_of
from tests.postgres_server import PostgresServer


@pytest.fixture
def target(postgres: PostgresServer, tmp_path: Path) -> SharedLedger:
    """Where the ledger shall go."""
    return shared(postgres, tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a ledger in a file: a trusted store with an order in every state, and one that is not trusted."""
    path = tmp_path / "work" / "ledger.sqlite"
    with Ledger.open(path, STORE_ID, clock=JumpingClock()) as ledger:
        ledger.trust()
        orders = [operation(number) for number in range(1, 6)]
        ledger.plan([*orders, operation(1, "create_fulfillment", corso_order_id="7")], "b1")
        ledger.start(orders[1:])
        ends = (State.ACCEPTED, State.REJECTED, State.UNKNOWN)
        ledger.settle(
            [
                Change(Key(f"o-{number}"), state, corso_id="7", held_hash="h", reason='"\t\\N\n')
                for number, state in enumerate(ends, 2)
            ]
        )
    with Ledger.open(path, 2, clock=JumpingClock()) as ledger:
        ledger.plan([operation(1)], "b1")
    return path


def everything(place: Path | SharedLedger, store_id: int) -> object:
    """Return all that a ledger says of a store."""
    with Ledger.read(place, store_id) as ledger:
        attempts = [
            {name: value for name, value in row.items() if name not in {"id", "tenure_id"}}
            for order in range(1, 6)
            for row in ledger.attempts(f"o-{order}")
        ]
        return list(ledger.entries()), attempts, ledger.is_trusted()


def test_every_store_is_on_the_server_as_it_was_in_the_file(source: Path, target: SharedLedger) -> None:
    """Entries, attempts, and which stores are trusted; the file has another name."""
    was = [everything(source, store) for store in (STORE_ID, 2)]
    moved = moving.move(source, target, JumpingClock())
    assert [everything(target, store) for store in (STORE_ID, 2)] == was
    assert [(each.store_id, each.entries, each.attempts, each.was_there, each.is_trusted) for each in moved] == [
        (2, 1, 0, False, False),
        (STORE_ID, 6, 4, False, True),
    ]  # fmt: skip
    assert not source.exists()
    assert everything(source.with_name("ledger.moved.sqlite"), STORE_ID) == was[0]
    with Ledger.open(target, STORE_ID) as ledger:
        assert (ledger.lost_commits, ledger.doubt_unfinished()) == (0, 1)


def test_a_move_that_was_stopped_goes_on(
    source: Path, target: SharedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one store, or between the last one and the new name of the file."""
    was = everything(source, STORE_ID)
    monkeypatch.setattr(moving, "_retire", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        moving.move(source, target, JumpingClock())
    monkeypatch.undo()
    assert [each.was_there for each in moving.move(source, target, JumpingClock())] == [True, True]
    assert everything(target, STORE_ID) == was
    assert not source.exists()
    with pytest.raises(LedgerError, match="no such ledger"):
        moving.move(source, target, JumpingClock())


def test_a_store_that_the_server_knows_otherwise_is_not_moved(source: Path, target: SharedLedger) -> None:
    """A store has one ledger; both stay as they are."""
    with Ledger.open(target, STORE_ID) as ledger:
        ledger.plan([operation(77)], "b1")
    was = everything(source, STORE_ID), everything(target, STORE_ID)
    with pytest.raises(
        LedgerError, match=f"has entries of store {STORE_ID} that are not those of .*ledger.sqlite"
    ):
        moving.move(source, target, JumpingClock())
    assert (everything(source, STORE_ID), everything(target, STORE_ID)) == was


def test_nobody_may_be_at_work_on_either(source: Path, target: SharedLedger) -> None:
    """What is sent meanwhile would be missing."""
    with Ledger.open(source, STORE_ID), pytest.raises(LedgerInUse):
        moving.move(source, target, JumpingClock())
    with Ledger.open(target, STORE_ID), pytest.raises(LeaseHeld):
        moving.move(source, target, JumpingClock())
    assert source.exists()


def test_an_id_that_the_server_cannot_hold_stops_the_move_whole(
    postgres: PostgresServer, source: Path, target: SharedLedger, tmp_path: Path
) -> None:
    """PostgreSQL's text has no zero bytes: one sentence, and nothing of the store is there."""
    with Ledger.open(source, STORE_ID) as ledger:
        ledger.plan([type(operation())(**{**vars_of(operation()), "source_order_id": "o-\0"})], "b1")
    with pytest.raises(LedgerError, match="the ledger cannot be used") as raised:
        moving.move(source, target, JumpingClock())
    assert "\n" not in str(raised.value)
    with ledger_places.on(postgres):
        entries = rows_in(tmp_path, "entries")[0]
    assert {row["store_id"] for row in entries} == {2}
    assert DatabaseUrl.parse(url_of(postgres, tmp_path)) == target.url


def vars_of(made: object) -> dict[str, object]:
    """Return the members of a value that has slots."""
    return {name: getattr(made, name) for name in type(made).__slots__}  # type: ignore[attr-defined]
