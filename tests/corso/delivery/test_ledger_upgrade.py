"""A ledger of version 1 is read as it is, and upgraded in place once somebody writes to it."""

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from corso.delivery.ledger import Ledger
from corso.delivery.sqlite import APPLICATION_ID
from corso.delivery.states import State
from corso.delivery.tables import VERSION
from corso.errors import LedgerInUse
from tests.fake_corso import STORE_ID, entry_of, opened, operation

VERSION_1 = """
CREATE TABLE entries (
    store_id INTEGER NOT NULL, source_order_id TEXT NOT NULL, source_fulfillment_id TEXT NOT NULL,
    corso_id TEXT, held_hash TEXT, held_cancelled TEXT NOT NULL, held_at TEXT, state TEXT NOT NULL,
    kind TEXT NOT NULL, payload_hash TEXT NOT NULL, cancelled BOOLEAN NOT NULL, batch TEXT NOT NULL,
    attempts INTEGER NOT NULL, first_sent_at TEXT, status INTEGER, reason TEXT, updated_at TEXT NOT NULL,
    PRIMARY KEY (store_id, source_order_id, source_fulfillment_id)
) WITHOUT ROWID;
CREATE INDEX entries_by_state ON entries (store_id, state);
CREATE TABLE attempts (
    id INTEGER NOT NULL, store_id INTEGER NOT NULL, source_order_id TEXT NOT NULL,
    source_fulfillment_id TEXT NOT NULL, kind TEXT NOT NULL, payload_hash TEXT NOT NULL, batch TEXT NOT NULL,
    started_at TEXT NOT NULL, ended_at TEXT, ended_as TEXT, status INTEGER, reason TEXT,
    PRIMARY KEY (id)
);
CREATE INDEX attempts_by_entry ON attempts (store_id, source_order_id, source_fulfillment_id);
INSERT INTO entries VALUES
    (9359, 'o-1', '', '7', 'h', '', '2026-11-20T10:00:00.000+00:00', 'accepted', 'create_order', 'p', 0, 'b1',
     1, '2026-11-20T09:00:00.000+00:00', 201, NULL, '2026-11-20T10:00:00.000+00:00'),
    (9359, 'o-2', '', NULL, NULL, '', NULL, 'unknown', 'create_order', 'p', 0, 'b1',
     2, '2026-11-20T09:00:00.000+00:00', 502, 'bad gateway', '2026-11-20T10:00:00.000+00:00');
INSERT INTO attempts VALUES
    (1, 9359, 'o-2', '', 'create_order', 'p', 'b1', '2026-11-20T09:00:00.000+00:00', NULL, NULL, NULL, NULL),
    (2, 9359, 'o-2', '', 'create_order', 'p', 'b1', '2026-11-20T09:30:00.000+00:00', NULL, NULL, NULL, NULL);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Return the path of a ledger that version 1 left in order."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.executescript(VERSION_1)
    return path


def layout(path: Path) -> set[tuple[str, ...]]:
    """Return the columns and indexes of all tables."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = {
            (table, *map(str, column[1:]))
            for table in tables
            for column in connection.execute(f"PRAGMA table_info({table})")
        }
        indexes = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        version = connection.execute("PRAGMA user_version").fetchone()
        return columns | {tuple(sql.split()) for (sql,) in indexes} | {tuple(map(str, version))}


def test_an_old_ledger_is_read_without_changing_it(old: Path) -> None:
    """A store that it has entries of is trusted, as it will be after the upgrade."""
    was = old.read_bytes()
    with Ledger.read(old, STORE_ID) as reader:
        assert [entry.last_started_at for entry in reader.entries()] == [None, None]
        assert entry_of(reader, 1).updated_at == datetime.fromisoformat("2026-11-20T10:00:00+00:00")
        assert [entry.key.source_order_id for entry in reader.latest_created(5)] == ["o-1"]
        assert reader.count_held_since(datetime.fromisoformat("2026-11-20T10:00:00+00:00")) == 1
        assert (reader.is_trusted(), reader.holder()) == (True, None)
    with Ledger.read(old, 2) as reader:
        assert not reader.is_trusted()
    assert old.read_bytes() == was
    assert [each.name for each in old.parent.iterdir()] == [old.name]


def test_opening_upgrades_an_old_ledger_in_place(old: Path) -> None:
    """Its stores stay trusted, and what is in doubt knows when it was last sent."""
    with opened(old.parent) as ledger:
        assert (ledger.is_trusted(), ledger.lost_commits) == (True, 0)
        assert ledger.counts() == {("order", State.ACCEPTED): 1, ("order", State.UNKNOWN): 1}
        assert entry_of(ledger, 1).last_started_at is None
        assert entry_of(ledger, 2).last_started_at == datetime.fromisoformat("2026-11-20T09:30:00+00:00")
        ledger.plan([operation(3)], "b2")
        ledger.start([operation(3)])
    with Ledger.open(old, 2) as ledger:
        assert not ledger.is_trusted()


def test_an_upgraded_ledger_is_laid_out_like_a_new_one(old: Path) -> None:
    """Every column, every index, and the version."""
    opened(old.parent).close()
    opened(old.parent / "new").close()
    assert layout(old) == layout(old.parent / "new" / "ledger.sqlite")
    assert (str(VERSION),) in layout(old)


def test_a_reader_goes_on_through_an_upgrade(old: Path) -> None:
    """It asked of version 1, and what it asks is still there."""
    with Ledger.read(old, STORE_ID) as reader:
        with opened(old.parent):
            assert len(list(reader.entries())) == 2
        assert (reader.is_trusted(), reader.holder()) == (True, None)


def test_an_old_loader_that_still_runs_keeps_its_ledger(old: Path) -> None:
    """Its file lock is honoured, and the file stays as it was."""
    was = old.read_bytes()
    with opened(old.parent / "elsewhere") as other:
        assert other._tenure is not None
        lock = old.with_suffix(".lock")
        lock.hardlink_to(old.parent / "elsewhere" / "ledger.lock")
        with pytest.raises(LedgerInUse, match=r"wait for it to end$"):
            opened(old.parent)
    assert old.read_bytes() == was
