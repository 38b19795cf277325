"""The lease: one writer across machines, and nothing of a former one comes through."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from corso.delivery import lease, sqlite
from corso.delivery.entry import text_of
from corso.delivery.lease import LEASE_S
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.errors import LeaseLost, LedgerError, LedgerInUse
from tests.clocks import JumpingClock
from tests.fake_corso import STORE_ID, opened, operation

HOLDER = """
import sys
from pathlib import Path
from corso.delivery.ledger import Ledger
from corso.errors import CorsoError
try:
    ledger = Ledger.open(Path(sys.argv[1]), 9359, purpose="upload")
    print("open", flush=True)
    for _ in sys.stdin:
        ledger.trust()
        print("written", flush=True)
except CorsoError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
"""


@contextmanager
def holding_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another loader that has the ledger open, and writes to it at every line it is given."""
    command = [sys.executable, "-c", HOLDER, str(folder / "ledger.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert line_from(process) == "open\n"
            yield process
        finally:
            process.kill()


def line_from(process: subprocess.Popen[str]) -> str:
    """Read a line of what a process says."""
    assert process.stdout is not None
    return process.stdout.readline()


def ask_to_write(process: subprocess.Popen[str]) -> str:
    """Have a holder write, and return what it says."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return line_from(process)


def change_lease(folder: Path, **values: Any) -> None:
    """Write into the lease's row, as another loader would."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection, connection:
        for name, value in values.items():
            connection.execute(f"UPDATE leases SET {name} = ?", [value])


def lease_in(folder: Path) -> dict[str, Any]:
    """Read the lease's row with a connection of our own."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        connection.row_factory = sqlite3.Row
        return dict(connection.execute("SELECT * FROM leases").fetchone())


def everything_in(folder: Path) -> list[Any]:
    """Read the ledger's tables with a connection of our own."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection:
        names = ("entries", "attempts", "leases", "trusted_stores")
        return [connection.execute(f"SELECT * FROM {name}").fetchall() for name in names]


def left_by_another_host(folder: Path, clock: JumpingClock) -> None:
    """Make a ledger that another host holds, and renewed this very moment."""
    opened(folder, clock).close()
    change_lease(folder, released=False, host="b 77", holder="process 5 on b: upload")


def eventually(holds: Callable[[], bool]) -> bool:
    """Wait for something that another thread does."""
    until = time.monotonic() + 10
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def test_every_holder_raises_the_fence_and_releases_the_lease(tmp_path: Path) -> None:
    """The row says who has it, and whether it ended in order."""
    for fence in (1, 2, 3):
        with opened(tmp_path):
            row = lease_in(tmp_path)
            assert (row["fence"], row["released"]) == (fence, False)
            assert row["holder"].endswith(": loading")
        assert lease_in(tmp_path)["released"] == 1


def test_a_holder_on_another_host_is_waited_for_until_its_lease_runs_out(tmp_path: Path) -> None:
    """The message names it, since when it is there, and when its place is free; then nobody has to do anything."""
    clock = JumpingClock()
    left_by_another_host(tmp_path, clock)
    taken, free_at = text_of(clock.utc()), text_of(clock.utc() + timedelta(seconds=LEASE_S))
    clock.jump(LEASE_S - 1)
    was = everything_in(tmp_path)
    with pytest.raises(LedgerInUse) as raised:
        opened(tmp_path, clock)
    sentence = str(raised.value)
    assert "process 5 on b: upload" in sentence
    assert f"since {taken}" in sentence
    assert sentence.endswith(f"can be taken at {free_at}")
    assert everything_in(tmp_path) == was
    clock.jump(1)
    with opened(tmp_path, clock):
        assert lease_in(tmp_path)["fence"] == 2


def test_a_holder_on_another_host_that_ended_is_not_waited_for(tmp_path: Path) -> None:
    """Its lease is released."""
    clock = JumpingClock()
    left_by_another_host(tmp_path, clock)
    change_lease(tmp_path, released=True)
    with opened(tmp_path, clock):
        pass


def test_a_dead_holder_on_this_host_is_not_waited_for(tmp_path: Path) -> None:
    """Its file lock is free, so it is dead, however fresh its lease looks."""
    clock = JumpingClock()
    opened(tmp_path, clock).close()
    change_lease(tmp_path, released=False)
    with opened(tmp_path, clock):
        assert lease_in(tmp_path)["fence"] == 2


def test_hosts_are_told_apart_by_name_and_boot_and_by_name_alone_where_there_is_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two containers may have one name, two boots of a machine are two hosts."""
    boot_id = tmp_path / "boot_id"
    monkeypatch.setattr(lease, "_BOOT_ID", boot_id)
    name = lease.this_host()
    boot_id.write_text("one\n")
    assert lease.this_host() == f"{name} one"


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.plan([operation(3)], "b2"),
        lambda ledger: ledger.start([operation(2)]),
        lambda ledger: ledger.settle([Change(Key("o-1"), State.ACCEPTED)]),
        lambda ledger: ledger.doubt_unfinished(),
        lambda ledger: ledger.plan_rejected_again(),
        lambda ledger: ledger.trust(),
        lambda ledger: ledger.renew(),
    ],
    ids=["plan", "start", "settle", "doubt_unfinished", "plan_rejected_again", "trust", "renew"],
)
def test_who_lost_the_lease_writes_nothing(tmp_path: Path, write: Callable[[Ledger], None]) -> None:
    """Another took over while this one slept: whatever it tries is refused, and closing does not touch the lease."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        ledger.start([operation(1)])
        change_lease(tmp_path, fence=2, holder="process 5 on b: upload")
        was = everything_in(tmp_path)
        with pytest.raises(LeaseLost, match=r"took over the ledger \(process 5 on b: upload, since "):
            write(ledger)
        assert everything_in(tmp_path) == was
        assert ledger.counts() == {("order", State.PLANNED): 1, ("order", State.SENDING): 1}
    assert everything_in(tmp_path) == was


def test_an_idle_holder_keeps_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits out a Retry-After of ten minutes: nothing to write, and still nobody takes it for dead."""
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.01)
    clock = JumpingClock()
    with opened(tmp_path, clock):
        commits = lease_in(tmp_path)["commits"]
        for _ in range(3):
            clock.jump(200)
            assert eventually(lambda: lease_in(tmp_path)["renewed_at"] == text_of(clock.utc()))
        assert lease_in(tmp_path)["commits"] == commits


def test_a_renewal_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger is locked for a moment: neither the process nor the renewing ends by that."""
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_S", 0.01)
    clock = JumpingClock()
    with opened(tmp_path, clock) as ledger:
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            clock.jump(200)
            with pytest.raises(LedgerError, match="locked"):
                ledger.renew()
            time.sleep(0.05)
            assert lease_in(tmp_path)["renewed_at"] != text_of(clock.utc())
        assert eventually(lambda: lease_in(tmp_path)["renewed_at"] == text_of(clock.utc()))


def test_a_lease_lost_while_idle_is_told_at_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewing ends without a word, since nobody would hear it; who wants to write does."""
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.01)
    with opened(tmp_path) as ledger:
        assert ledger._tenure is not None
        change_lease(tmp_path, fence=2)
        renewing = ledger._tenure._heartbeat._thread
        assert eventually(lambda: not renewing.is_alive())
        with pytest.raises(LeaseLost):
            ledger.plan([operation()], "b1")


def test_readers_learn_who_holds_it_and_take_nothing(tmp_path: Path) -> None:
    """None where nobody has held it, nobody does, or the ledger is of the time before leases."""
    path = tmp_path / "ledger.sqlite"
    with Ledger.read(path, STORE_ID) as reader:
        assert reader.holder() is None
    clock = JumpingClock()
    with Ledger.open(path, STORE_ID, clock=clock, purpose="upload"):
        was = lease_in(tmp_path)
        with Ledger.read(path, STORE_ID) as reader:
            since = text_of(clock.utc())
            assert reader.holder() == f"{was['holder']}, since {since}, last heard of at {since}"
            assert was["holder"].endswith(": upload")
        assert lease_in(tmp_path) == was
    with Ledger.read(path, STORE_ID) as reader:
        assert reader.holder() is None


def test_a_ledger_closes_once_and_is_not_written_to_afterwards(tmp_path: Path) -> None:
    """Closing twice does no harm to whoever came in between."""
    ledger = opened(tmp_path)
    ledger.close()
    with opened(tmp_path) as other:
        ledger.close()
        with pytest.raises(LedgerError, match="is closed"):
            ledger.plan([operation()], "b1")
        other.plan([operation()], "b1")


def test_closing_lets_the_next_one_in_though_the_release_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full or the ledger locked: the file lock falls all the same."""
    monkeypatch.setattr(sqlite, "LOCK_TIMEOUT_S", 0.01)
    ledger = opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ledger.close()
    assert lease_in(tmp_path)["released"] == 0
    with opened(tmp_path):
        pass


@pytest.mark.slow
def test_a_killed_holder_is_followed_at_once(tmp_path: Path) -> None:
    """No waiting for its lease: on one machine the file lock tells."""
    with holding_process(tmp_path) as holder:
        assert ask_to_write(holder) == "written\n"
        with pytest.raises(LedgerInUse, match=rf"process {holder.pid} on .*: upload\); wait for it to end$"):
            Ledger.open(tmp_path / "ledger.sqlite", STORE_ID)
        holder.kill()
        holder.wait()
    with Ledger.open(tmp_path / "ledger.sqlite", STORE_ID) as ledger:
        assert lease_in(tmp_path)["fence"] == 2
        assert ledger.is_trusted()


@pytest.mark.slow
def test_a_stopped_holder_keeps_its_place_and_is_said_to_be_asleep(tmp_path: Path) -> None:
    """It wakes up some time, in the middle of a request: nobody else may send meanwhile."""
    with holding_process(tmp_path) as holder:
        holder.send_signal(signal.SIGSTOP)
        change_lease(tmp_path, renewed_at="2026-11-22T00:00:00.000+00:00")
        with pytest.raises(LedgerInUse, match=rf"process {holder.pid} on ") as raised:
            opened(tmp_path, JumpingClock())
        assert "asleep" not in str(raised.value)
        later = JumpingClock()
        later.jump(LEASE_S)
        with pytest.raises(LedgerInUse, match=r"since 2026-11-22T00:00:00.000\+00:00: it seems to be asleep"):
            opened(tmp_path, later)
        holder.send_signal(signal.SIGCONT)
        assert ask_to_write(holder) == "written\n"


@pytest.mark.slow
def test_two_processes_that_both_think_they_hold_it_do_not_both_write(tmp_path: Path) -> None:
    """Somebody tidied the lock file away: the second takes over, and the first finds out before it writes."""
    with holding_process(tmp_path) as first:
        assert ask_to_write(first) == "written\n"
        (tmp_path / "ledger.lock").unlink()
        with holding_process(tmp_path) as second:
            assert ask_to_write(first).startswith(
                f"LeaseLost: another loader took over the ledger (process {second.pid} "
            )
            assert ask_to_write(second) == "written\n"


@pytest.mark.slow
def test_of_many_that_come_at_once_one_is_let_in(tmp_path: Path) -> None:
    """Also where the ledger does not exist yet; the others are told who was first."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "ledger.sqlite")]
    crowd = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    try:
        said = [line_from(each) for each in crowd]
    finally:
        for each in crowd:
            each.kill()
            each.communicate()
    assert said.count("open\n") == 1
    assert sum(line.startswith("LedgerInUse: ") for line in said) == 2
    assert lease_in(tmp_path)["fence"] == 1
