"""Leases on a server: one loader a store, one sender per credential, by the server's clock, and a record of who held what."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from corso.delivery import lease, process, taking
from corso.delivery import postgres as postgres_module
from corso.delivery.entry import instant_of, text_of
from corso.delivery.lease import LEASE_S
from corso.delivery.ledger import Change, Key, Ledger, key_of
from corso.delivery.lock import CredentialLock
from corso.delivery.states import State
from corso.errors import LeaseHeld, LeaseLost, LedgerInUse
from tests import ledger_places
from tests.fake_corso import STORE_ID, operation
from tests.ledger_places import connected, place_of, rows_in, url_of
from tests.postgres_server import PostgresServer

# Other processes of these tests have credentials of their own.
CREDENTIALS = f"https://login.example/oauth/token merchant-7 {os.getpid()}"
OTHERS = f"https://login.example/oauth/token merchant-8 {os.getpid()}"

HOLDER = """
import sys
from pathlib import Path
from corso.database import DatabaseUrl, SharedLedger
from corso.delivery.ledger import Ledger
from corso.errors import CorsoError
url, mark, store_id, credentials = sys.argv[1:]
place = SharedLedger(DatabaseUrl.parse(url), Path(mark))
try:
    ledger = Ledger.open(place, int(store_id), purpose="upload", credentials=credentials or None)
    print("open", flush=True)
    for _ in sys.stdin:
        ledger.trust()
        print("written", flush=True)
except CorsoError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
"""


@pytest.fixture(autouse=True)
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Have all ledgers on a server."""
    with ledger_places.on(postgres):
        yield postgres


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no lock of this machine tell of the credentials: as if every loader had a machine of its own."""

    class Elsewhere(CredentialLock):
        """A lock that nobody else sees."""

        @classmethod
        def take(cls, fingerprint: str, **_: Any) -> "CredentialLock":
            """Take it on credentials of one's own."""
            return CredentialLock.take(f"{fingerprint} {tmp_path} {time.monotonic_ns()}")

    monkeypatch.setattr(taking, "CredentialLock", Elsewhere)


def opened(folder: Path, store_id: int = STORE_ID, credentials: str | None = CREDENTIALS) -> Ledger:
    """Open a store's ledger to send with some credentials."""
    return Ledger.open(place_of(folder, store_id), store_id, purpose="upload", credentials=credentials)


def change_leases(folder: Path, what: str, where: str = "true") -> None:
    """Write into leases, as another loader would."""
    with connected(folder) as connection:
        connection.exec_driver_sql(f"UPDATE leases SET {what} WHERE {where}")


def on_another_host(folder: Path, age_s: float = 0) -> None:
    """Make all leases held by a loader on another host, which was last heard of so long ago."""
    heard = text_of(datetime.now(UTC) - timedelta(seconds=age_s))
    change_leases(folder, f"released = false, host = 'b 77', renewed_at = '{heard}'")


@contextmanager
def holding_process(
    server: PostgresServer, folder: Path, store_id: int = STORE_ID, credentials: str = CREDENTIALS
) -> Iterator[subprocess.Popen[str]]:
    """Run another loader that has the ledger open, and writes to it at every line it is given."""
    mark = folder / str(store_id) / "ledger.mark"
    command = [sys.executable, "-c", HOLDER, url_of(server, folder), str(mark), str(store_id), credentials]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            yield holder
        finally:
            holder.kill()


def line_from(holder: subprocess.Popen[str]) -> str:
    """Read a line of what a process says."""
    assert holder.stdout is not None
    return holder.stdout.readline()


def test_two_loaders_of_one_store_take_turns(tmp_path: Path) -> None:
    """The second parks, and is told who is at work, where, since when, and when a dead one's place would be free."""
    with opened(tmp_path):
        (row,) = (row for row in rows_in(tmp_path, "leases")[0] if row["name"] == f"store {STORE_ID}")
        with pytest.raises(LeaseHeld) as raised:
            opened(tmp_path, credentials=OTHERS)
    sentence = str(raised.value)
    assert raised.value.exit_code == 75
    assert sentence.startswith(f"store {STORE_ID} is in use by another loader (process ")
    assert f", store {STORE_ID}: upload, since {row['taken_at']}, last heard of at " in sentence
    assert raised.value.resume_at == instant_of(row["renewed_at"]) + timedelta(seconds=LEASE_S)
    with opened(tmp_path, credentials=OTHERS):
        pass


def test_two_stores_with_the_same_credentials_take_turns(tmp_path: Path) -> None:
    """One sender per credential; what the second one wanted of its store is not taken either."""
    with opened(tmp_path, 1):
        with pytest.raises(
            LeaseHeld, match=r"^the right to send with these credentials .* store 1: upload, since "
        ):
            opened(tmp_path, 2)
        names = {row["name"] for row in rows_in(tmp_path, "leases")[0]}
        assert "store 2" not in names
        # To plan again what was rejected nothing is sent.
        with opened(tmp_path, 2, credentials=None):
            pass
    with opened(tmp_path, 2):
        pass


def test_stores_with_credentials_of_their_own_load_at_once(tmp_path: Path) -> None:
    """Nobody waits for anybody, and nobody sees the others' entries."""
    with opened(tmp_path, 1, CREDENTIALS) as first, opened(tmp_path, 2, OTHERS) as second:
        for ledger in (first, second, first):
            ledger.plan([operation(1)], "b1")
        first.start([operation(1)])
        assert first.counts() == {("order", State.SENDING): 1}
        assert second.counts() == {("order", State.PLANNED): 1}
        assert second.doubt_unfinished() == 0


def test_the_name_of_a_lease_tells_nothing_of_the_credentials(tmp_path: Path) -> None:
    """It is another one on every server: who knows some credentials cannot look for them."""
    names = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        with opened(folder), pytest.raises(LeaseHeld) as raised:
            opened(folder, 2)
        rows = [row for table in rows_in(folder, "leases", "tenures", "provenance") for row in table]
        assert not [row for row in rows if "merchant-7" in str(row) or "login.example" in str(row)]
        assert "merchant-7" not in str(raised.value)
        names += [row["name"] for row in rows if str(row.get("name", "")).startswith("credential")]
    assert len(set(names)) == 2


def test_a_loader_that_has_another_ledger_on_this_machine_is_met_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the lock on the credentials; the leases that were taken for it are given back."""
    monkeypatch.setattr(taking, "CredentialLock", CredentialLock)
    credentials = f"{CREDENTIALS} {tmp_path}"
    with CredentialLock.take(credentials, ledger=tmp_path / "ledger.sqlite"):
        for _ in range(2):
            with pytest.raises(LedgerInUse, match=r"ledger.sqlite\); one sender per credential"):
                opened(tmp_path, credentials=credentials)
    with opened(tmp_path, credentials=credentials):
        pass


@pytest.mark.parametrize("store_id", [STORE_ID, 2])
def test_a_holder_on_another_host_is_waited_for_until_its_lease_runs_out(
    tmp_path: Path, store_id: int
) -> None:
    """By the server's clock: whatever time it is here, nobody is taken for dead too early."""
    opened(tmp_path).close()
    on_another_host(tmp_path, age_s=LEASE_S - 5)
    with pytest.raises(LeaseHeld):
        opened(tmp_path, store_id)
    on_another_host(tmp_path, age_s=LEASE_S)
    with opened(tmp_path, store_id):
        (leases, tenures) = rows_in(tmp_path, "leases", "tenures")
    assert {row["fence"] for row in leases if row["name"].startswith("credential")} == {2}
    ended = {(row["lease"].split()[0], row["fence"], row["ended_as"]) for row in tenures}
    assert ("credential", 1, "released") in ended


def test_a_clock_of_the_loader_that_is_wrong_takes_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is an hour ahead would find every lease run out."""

    class Ahead:
        def utc(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=1)

    opened(tmp_path).close()
    on_another_host(tmp_path)
    with pytest.raises(LeaseHeld):
        Ledger.open(place_of(tmp_path), STORE_ID, clock=Ahead())  # type: ignore[arg-type]  # all that is asked


@pytest.mark.parametrize("lost", [f"store {STORE_ID}", "credential%%"])
@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.plan([operation(3)], "b2"),
        lambda ledger: ledger.start([operation(2)]),
        lambda ledger: ledger.settle([Change(Key("o-1"), State.ACCEPTED)]),
        lambda ledger: ledger.doubt_unfinished(),
        lambda ledger: ledger.trust(),
        lambda ledger: ledger.renew(),
    ],
    ids=["plan", "start", "settle", "doubt_unfinished", "trust", "renew"],
)
def test_who_lost_the_store_or_the_credentials_writes_nothing(
    tmp_path: Path, lost: str, write: Callable[[Ledger], None]
) -> None:
    """So nothing is sent either: before a byte leaves there is a commit, and it asks for both."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        ledger.start([operation(1)])
        change_leases(tmp_path, "fence = 2, holder = 'process 5 on b'", f"name LIKE '{lost}'")
        was = rows_in(tmp_path, "entries", "attempts", "leases", "trusted_stores")
        with pytest.raises(LeaseLost, match=r"took over .*\(process 5 on b, since "):
            write(ledger)
        assert rows_in(tmp_path, "entries", "attempts", "leases", "trusted_stores") == was


@pytest.mark.parametrize("lease_", [f"store {STORE_ID}", "credential%%"])
def test_a_holder_that_sleeps_in_the_middle_of_a_commit_is_waited_for_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease_: str
) -> None:
    """Its transaction keeps the lease's row to itself; who comes second parks all the same, and is told who it is."""
    monkeypatch.setattr(postgres_module, "LOCK_TIMEOUT_S", 0.1)
    with opened(tmp_path), connected(tmp_path) as asleep:
        asleep.exec_driver_sql("BEGIN")
        asleep.exec_driver_sql(f"SELECT * FROM leases WHERE name LIKE '{lease_}' FOR UPDATE")
        with pytest.raises(LeaseHeld, match=rf"store {STORE_ID}: upload, since "):
            opened(tmp_path)
        asleep.exec_driver_sql("ROLLBACK")


def test_an_idle_holder_keeps_both_leases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits out a Retry-After of ten minutes: nothing to write, and still nobody takes it for dead."""
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.02)
    with opened(tmp_path):
        change_leases(tmp_path, "renewed_at = '2026-01-01T00:00:00.000+00:00'")
        until = time.monotonic() + 10
        while any(row["renewed_at"].startswith("2026-01-01") for row in rows_in(tmp_path, "leases")[0]):
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_holder_of_this_machine_is_followed_at_once(server: PostgresServer, tmp_path: Path) -> None:
    """No waiting for its lease: the process is seen to be gone."""
    with holding_process(server, tmp_path) as holder:
        assert line_from(holder) == "open\n"
        with pytest.raises(
            LeaseHeld, match=rf"\(process {holder.pid} on .*, store {STORE_ID}: upload, since "
        ):
            opened(tmp_path)
        holder.kill()
        holder.wait()
    with opened(tmp_path):
        tenures = rows_in(tmp_path, "tenures")[0]
    of_killed = [row for row in tenures if row["fence"] == 1]
    assert {row["ended_as"] for row in of_killed} == {"taken over"}
    assert len(of_killed) == 2


@pytest.mark.slow
def test_of_many_that_come_at_once_one_is_let_in(server: PostgresServer, tmp_path: Path) -> None:
    """Also where there are no tables yet: they are laid out once, and all others are told who was first."""
    with (
        holding_process(server, tmp_path, 1) as first,
        holding_process(server, tmp_path, 2) as second,
        holding_process(server, tmp_path, 1) as third,
        holding_process(server, tmp_path, 3, OTHERS) as other,
    ):
        said = [line_from(each) for each in (first, second, third)]
        assert line_from(other) == "open\n"
    assert said.count("open\n") == 1
    assert sum(line.startswith("LeaseHeld: ") for line in said) == 2


@pytest.mark.slow
def test_the_record_shows_that_there_were_never_two_senders(server: PostgresServer, tmp_path: Path) -> None:
    """Four loaders of four stores fight for one credential; some of them die.

    Of every attempt it is known under which tenure it was made, and the tenures of the credential follow each other.
    """
    fights = """
import os, random, sys, time
from pathlib import Path
from corso.database import DatabaseUrl, SharedLedger
from corso.delivery import taking
from corso.delivery.ledger import Ledger
from corso.delivery.lock import CredentialLock
from corso.errors import LeaseHeld
from tests.fake_corso import operation
url, folder, store_id = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
place = SharedLedger(DatabaseUrl.parse(url), folder / str(store_id) / "ledger.mark")
taking._credentials = lambda *_: lambda: None  # as if every loader had a machine of its own
random.seed(store_id)
number, until = 0, time.monotonic() + 20
while number < 30 and time.monotonic() < until:
    try:
        ledger = Ledger.open(place, store_id, purpose="upload", credentials="one for all")
    except LeaseHeld:
        time.sleep(0.01)
        continue
    for _ in range(random.randrange(1, 8)):
        number += 1
        ledger.plan([operation(number)], "b1")
        ledger.start([operation(number)])
        if random.random() < 0.02:
            os._exit(9)
    ledger.close()
print(number, flush=True)
"""
    folder, url = tmp_path / "shared", url_of(server, tmp_path / "shared")
    Ledger.open(place_of(folder, 99), 99).close()
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", fights, url, folder, str(store_id)],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            text=True,
        )
        for store_id in (1, 2, 3, 4)
    ]
    for each in crowd:
        with suppress(subprocess.TimeoutExpired):
            each.communicate(timeout=60)
    attempts, tenures = rows_in(folder, "attempts", "tenures")
    of_credential = sorted(
        (row for row in tenures if row["lease"].startswith("credential")), key=lambda row: row["fence"]
    )
    by_id = {row["id"]: row for row in of_credential}
    assert len({row["store_id"] for row in of_credential}) > 1
    assert len(attempts) > 10
    # Each ended before the next began, and within one only its own store was sent to.
    for before, after in pairwise(of_credential):
        assert before["ended_at"] is not None
        assert before["ended_at"] <= after["taken_at"]
        assert after["fence"] == before["fence"] + 1
    in_order = sorted(attempts, key=lambda row: row["id"])
    assert all(row["store_id"] == by_id[row["tenure_id"]]["store_id"] for row in in_order)
    fences = [by_id[row["tenure_id"]]["fence"] for row in in_order]
    assert fences == sorted(fences)
    # The documentation tells how to look it up.
    page = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text()
    query = page.partition("```sql\n")[2].partition("```")[0].rstrip(";\n")
    with connected(folder) as connection:
        assert connection.exec_driver_sql(query).all() == []
        last = max(row["id"] for row in in_order)
        connection.exec_driver_sql(f"UPDATE attempts SET id = -id WHERE id = {last}")
        assert connection.exec_driver_sql(query).all() != []


def test_a_process_is_gone_only_where_that_is_sure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one of another container, not one of a later start with the same number, not where the system tells nothing."""
    mine = process.this_process_tells()
    assert mine is not None
    namespace, number, start = mine.split()
    assert not process.is_gone(mine)
    assert not process.is_gone(None)
    assert not process.is_gone(f"pid:[1] {number} {start}")
    assert process.is_gone(f"{namespace} {number} {int(start) + 1}")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        found = process._state_and_start(other.pid)
        assert found is not None
        told = f"{namespace} {other.pid} {found[1]}"
        assert not process.is_gone(told)
        other.kill()
        until = time.monotonic() + 10
        # Nobody has taken note of its end yet.
        while not process.is_gone(told):
            assert time.monotonic() < until
        other.wait()
        assert process.is_gone(told)
    monkeypatch.setattr(process, "_PROCESSES", tmp_path)
    assert process.this_process_tells() is None
    assert not process.is_gone(mine)


def test_a_batch_of_one_tenure_is_told_from_another(tmp_path: Path) -> None:
    """Every attempt names the tenure that made it."""
    for number in (1, 2):
        with opened(tmp_path) as ledger:
            ledger.plan([operation(number)], "b1")
            ledger.start([operation(number)])
            ledger.settle([Change(key_of(operation(number)), State.ACCEPTED, corso_id="7")])
    attempts, tenures = rows_in(tmp_path, "attempts", "tenures")
    fences = {row["id"]: (row["lease"].split()[0], row["fence"]) for row in tenures}
    assert sorted(fences[row["tenure_id"]] for row in attempts) == [("credential", 1), ("credential", 2)]
