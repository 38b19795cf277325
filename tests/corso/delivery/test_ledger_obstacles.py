"""Obstacles: no room on the disk, a locked file. One sentence each, and what was acknowledged stays."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from corso.delivery import sqlite
from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from corso.errors import LedgerError
from tests.fake_corso import STORE_ID, opened, operation

UNTIL_THE_DISK_IS_FULL = """
import os, resource, sys
from pathlib import Path
from corso.delivery.ledger import Ledger
from corso.errors import LedgerError
from tests.fake_corso import operation

def allow(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

path = Path(sys.argv[1])
ledger = Ledger.open(path, 9359)
ledger.trust()
ledger.plan([operation(number) for number in range(1000)], "b1")
allow(max(each.stat().st_size for each in path.parent.iterdir()) + 600_000)
number = 0
try:
    while True:
        ledger.start([operation(number)])
        print(number, flush=True)
        number += 1
except LedgerError as error:
    print(error, flush=True)
if sys.argv[2] == "there is room again":
    allow(resource.RLIM_INFINITY)
    for number in range(number, number + 5):
        ledger.start([operation(number)])
        print(number, flush=True)
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("then", ["it is killed", "there is room again"])
def test_a_full_disk_is_one_sentence_and_what_was_acknowledged_is_there(tmp_path: Path, then: str) -> None:
    """A byte left for each of these: whoever opens the ledger next must know of all of them."""
    done = subprocess.run(
        [sys.executable, "-c", UNTIL_THE_DISK_IS_FULL, tmp_path / "ledger.sqlite", then],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    acknowledged = {f"o-{line}" for line in lines if line.isdecimal()}
    (sentence,) = (line for line in lines if not line.isdecimal())
    assert sentence.startswith(f"{tmp_path / 'ledger.sqlite'}: the ledger cannot be used (")
    assert sentence.endswith("mend this and run the same command again")
    assert len(acknowledged) > 10
    with Ledger.open(tmp_path / "ledger.sqlite", STORE_ID) as ledger:
        sending = {entry.key.source_order_id for entry in ledger.entries(states=[State.SENDING])}
        assert sending == acknowledged
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
        ledger.start([operation(999)])


def test_a_ledger_that_somebody_locks_for_long_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost, nothing half there, and reading goes on; once it is free the same ledger works."""
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_S", 0.02)
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1)], "b1")
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LedgerError) as raised:
                ledger.start([operation(1)])
            assert ledger.counts() == {("order", State.PLANNED): 1}
        ledger.start([operation(1)])
        assert ledger.counts() == {("order", State.SENDING): 1}
    assert "database is locked" in str(raised.value)
    assert "\n" not in str(raised.value)
    with opened(tmp_path) as ledger:
        assert ledger.lost_commits == 0


def test_a_ledger_that_is_locked_when_it_is_opened_stays_free_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal gives back the file lock, and changes nothing."""
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_S", 0.02)
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with pytest.raises(LedgerError, match="locked"):
                opened(tmp_path)
    with opened(tmp_path) as ledger:
        assert ledger.lost_commits == 0


def test_a_reader_in_the_middle_of_its_rows_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is of one moment; what is written meanwhile does not wait for it."""
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_S", 0.02)
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        entries = ledger.entries()
        first = next(entries)
        ledger.start([operation(1), operation(2)])
        (second,) = entries
    assert (first.state, second.state) == (State.PLANNED, State.PLANNED)
