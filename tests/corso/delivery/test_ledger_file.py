"""A ledger in a file: for one writer, where it was asked for, and left alone by readers and by what is not its own."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.delivery.tables import VERSION
from corso.errors import LedgerError, LedgerInUse, LedgerTooNew
from tests.fake_corso import STORE_ID, opened, operation

HOLDER = """
import sys, time
from pathlib import Path
from corso.delivery.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]), 9359)
print("open", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_second_loader_is_refused_and_told_who_holds_the_ledger_until_that_one_dies(tmp_path: Path) -> None:
    """The lock falls with its holder, also by kill -9; nobody has to delete anything."""
    path = tmp_path / "ledger.sqlite"
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(LedgerInUse, match=f"process {holder.pid} on "):
            Ledger.open(path, STORE_ID)
        with Ledger.read(path, STORE_ID) as reader:
            assert reader.counts() == {}
        holder.send_signal(signal.SIGKILL)
    with Ledger.open(path, STORE_ID) as ledger:
        assert ledger.counts() == {}


def test_the_lock_is_free_after_closing_and_after_a_failed_opening(tmp_path: Path) -> None:
    """A refused file does not stay locked."""
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all, but long enough to look like one" * 40)
    for _ in range(2):
        with pytest.raises(LedgerError, match="the ledger cannot be used"):
            opened(tmp_path)
    (tmp_path / "ledger.sqlite").unlink()
    for _ in range(2):
        with opened(tmp_path):
            pass


def test_a_ledger_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    """An old program must not write into what it does not understand."""
    path = tmp_path / "ledger.sqlite"
    opened(tmp_path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    was = path.read_bytes()
    for way in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerTooNew, match=r"newer corso-loader.*update the program"):
            way(path, STORE_ID)
    assert path.read_bytes() == was


@pytest.mark.parametrize(
    "pragma", ["user_version = 0", "user_version = 1", "user_version = 9", "application_id = 5"]
)
def test_somebody_elses_database_is_refused_untouched(tmp_path: Path, pragma: str) -> None:
    """Its version number may be anything; not a byte of it changes."""
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE photos (id)")
        connection.execute(f"PRAGMA {pragma}")
    was = path.read_bytes()
    for way in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match="this is not a ledger"):
            way(path, STORE_ID)
    assert path.read_bytes() == was
    assert {each.name for each in tmp_path.iterdir()} <= {"ledger.sqlite", "ledger.lock"}


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(tmp_path: Path) -> None:
    """What was written before stays; what was not is not half there."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1)], "b1")
        with ledger._database.reader.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerError) as raised:
            ledger.plan([operation(number) for number in range(2, 2000)], "b1")
        assert ledger.counts() == {("order", State.PLANNED): 1}
    sentence = str(raised.value)
    assert "database or disk is full" in sentence
    assert "run the same command again" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("obstacle", ["the folder is a file", "the ledger is a folder"])
def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, obstacle: str) -> None:
    """It names the place."""
    path = tmp_path / "work" / "ledger.sqlite"
    if obstacle == "the folder is a file":
        path.parent.write_text("")
    else:
        path.mkdir(parents=True)
    with pytest.raises(LedgerError, match=f"{path}: the ledger cannot be") as raised:
        Ledger.open(path, STORE_ID)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_may_only_be_read_is_read_and_not_written(tmp_path: Path) -> None:
    """An analyst may look at a ledger that is not theirs."""
    opened(tmp_path).close()
    tmp_path.chmod(0o500)
    try:
        with Ledger.read(tmp_path / "ledger.sqlite", STORE_ID) as ledger:
            assert ledger.counts() == {}
        (tmp_path / "ledger.lock").chmod(0o400)
        with pytest.raises(LedgerError, match="cannot be opened"):
            opened(tmp_path)
    finally:
        tmp_path.chmod(0o700)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder with its bytes."""
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    """No file is made and none changes, be there a ledger or not."""
    path = tmp_path / "ledger.sqlite"
    with Ledger.read(path, STORE_ID) as ledger:
        assert (ledger.counts(), list(ledger.entries())) == ({}, [])
    assert snapshot(tmp_path) == {}

    with opened(tmp_path) as ledger:
        ledger.plan([operation()], "b1")
        ledger.start([operation()])
        ledger.settle([Change(Key("o-1"), State.UNKNOWN)])
    was = snapshot(tmp_path)
    with Ledger.read(path, STORE_ID) as ledger:
        assert ledger.counts() == {("order", State.UNKNOWN): 1}
        with pytest.raises(LedgerError, match="opened for reading"):
            ledger.plan([operation()], "b1")
    assert snapshot(tmp_path) == was


def test_a_reader_sees_what_a_killed_writer_had_committed(tmp_path: Path) -> None:
    """The log that was not merged yet is read, too."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation()], "b1")
        ledger.start([operation()])
        left = tmp_path / "left"
        left.mkdir()
        for name in ("ledger.sqlite", "ledger.sqlite-wal"):
            shutil.copy(tmp_path / name, left / name)
    with Ledger.read(left / "ledger.sqlite", STORE_ID) as reader:
        assert reader.counts() == {("order", State.SENDING): 1}
    with opened(left) as again:
        assert again.doubt_unfinished() == 1


@pytest.mark.parametrize("name", ["100% of it", "50%25", "what?mode=memory", "a#b", "späť 🗂"])
def test_the_ledger_is_where_it_was_asked_for_whatever_the_folder_is_called(
    tmp_path: Path, name: str
) -> None:
    """A path is not an URL."""
    folder = tmp_path / name
    with opened(folder) as ledger:
        ledger.plan([operation()], "b1")
    assert (folder / "ledger.sqlite").stat().st_size > 0
    with Ledger.read(folder / "ledger.sqlite", STORE_ID) as reader:
        assert reader.counts() == {("order", State.PLANNED): 1}
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_commit_is_on_the_disk(tmp_path: Path) -> None:
    """WAL alone would lose the last ones with the power."""
    with opened(tmp_path) as ledger, ledger._database.reader.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
