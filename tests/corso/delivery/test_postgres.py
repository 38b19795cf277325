"""What a ledger on a server promises beyond one in a file: across dropped connections, restarts and backups put back."""

import asyncio
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corso.database import DatabaseUrl, SharedLedger
from corso.delivery import postgres as postgres_module
from corso.delivery import tenure
from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, Key, Ledger, key_of
from corso.delivery.migrations import road
from corso.delivery.postgres import PostgresDatabase
from corso.delivery.states import State
from corso.delivery.tables import VERSION
from corso.delivery.tally import Tally
from corso.errors import LeaseLost, LedgerError, LedgerTooNew
from tests import ledger_places
from tests.clocks import JumpingClock
from tests.cutting_proxy import Cut, CuttingProxy
from tests.fake_corso import FakeCorso, entry_of, opened, operation, sender_of
from tests.ledger_places import STORE_ID, connected, place_of, rows_in, shared, url_of
from tests.postgres_server import PostgresServer

CUTS: tuple[Cut, ...] = ("before the commit", "after the commit")


@pytest.fixture(autouse=True)
def server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """Have all ledgers on a server."""
    with ledger_places.on(postgres):
        yield postgres


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """Run a server that the test may do anything to."""
    with PostgresServer() as server, ledger_places.on(server):
        yield server


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[CuttingProxy]:
    """Run a road to the server that can be cut."""
    with CuttingProxy(server.port) as road_:
        yield road_


def by_proxy(server: PostgresServer, proxy: CuttingProxy, folder: Path) -> SharedLedger:
    """Return the place of a folder's ledger by that road."""
    url = url_of(server, folder).replace(f":{server.port}/", f":{proxy.port}/")
    return SharedLedger(DatabaseUrl.parse(url), folder / str(STORE_ID) / "ledger.mark")


def attempts_in(folder: Path) -> int:
    """Count the attempts that were written down."""
    return len(rows_in(folder, "attempts")[0])


@pytest.mark.parametrize("where", CUTS)
def test_a_commit_whose_answer_is_lost_is_done_once(
    server: PostgresServer, proxy: CuttingProxy, tmp_path: Path, where: Cut
) -> None:
    """Whether it was carried out tells the count of commits; the caller notices nothing."""
    with Ledger.open(by_proxy(server, proxy, tmp_path), STORE_ID) as ledger:
        for cuts, write in enumerate(
            [
                lambda: ledger.plan([operation(1), operation(2)], "b1"),
                lambda: ledger.start([operation(1), operation(2)]),
                lambda: ledger.settle(
                    [Change(Key("o-1"), State.REJECTED), Change(Key("o-2"), State.UNKNOWN)]
                ),
                ledger.trust,
            ],
            1,
        ):
            proxy.cut_once(where)
            write()
            assert proxy.cuts == cuts
        proxy.cut_once(where)
        assert ledger.plan_rejected_again() == 1
        assert (entry_of(ledger, 1).state, entry_of(ledger, 2).state) == (State.PLANNED, State.UNKNOWN)
        assert entry_of(ledger, 2).attempts == 1
    assert attempts_in(tmp_path) == 2
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)


@pytest.mark.parametrize("where", CUTS)
def test_what_is_not_allowed_stays_so_after_a_cut(
    server: PostgresServer, proxy: CuttingProxy, tmp_path: Path, where: Cut
) -> None:
    """A change that the guard refuses is refused on the second connection, too, and the ledger works on."""
    with Ledger.open(by_proxy(server, proxy, tmp_path), STORE_ID) as ledger:
        ledger.plan([operation(1)], "b1")
        proxy.cut_once(where)
        ledger.start([operation(1)])
        with pytest.raises(LedgerError, match="1 of 1 operations were not in the state"):
            ledger.start([operation(1)])
        ledger.settle([Change(Key("o-1"), State.UNKNOWN)])
    assert attempts_in(tmp_path) == 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_is_waited_for(own_server: PostgresServer, tmp_path: Path, mode: str) -> None:
    """Tasks send all the while: every operation ends once, nothing is written twice, and no false alarm is raised."""
    orders = [operation(number) for number in range(300)]

    async def restarts() -> None:
        for _ in range(2):
            await asyncio.sleep(0.05)
            await asyncio.to_thread(own_server.stop, mode)
            await asyncio.to_thread(own_server.start)

    async def scene(ledger: Ledger) -> None:
        journal = Journal(ledger)

        async def one(number: int) -> None:
            await asyncio.sleep(number / 100)
            await journal.start(orders[number])
            await journal.settle(Change(Key(f"o-{number}"), State.ACCEPTED, corso_id="7", held_hash="h"))

        await asyncio.gather(restarts(), *(one(number) for number in range(len(orders))))

    with opened(tmp_path) as ledger:
        ledger.trust()
        ledger.plan(orders, "b1")
        asyncio.run(scene(ledger))
        assert ledger.counts() == {("order", State.ACCEPTED): len(orders)}
    assert attempts_in(tmp_path) == len(orders)
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)


@pytest.mark.slow
def test_who_only_reads_waits_for_a_restart_too(own_server: PostgresServer, tmp_path: Path) -> None:
    """The plan and the books ask again and again."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1)], "b1")
    with Ledger.read(place_of(tmp_path), STORE_ID) as reader:
        assert reader.counts() == {("order", State.PLANNED): 1}
        own_server.stop()
        starting = threading.Timer(0.5, own_server.start)
        starting.start()
        assert reader.counts() == {("order", State.PLANNED): 1}
        starting.join()


@pytest.mark.slow
def test_a_server_that_stays_away_is_one_sentence(
    own_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing waits for it for a while, opening does not; afterwards the same command goes on."""
    monkeypatch.setattr(tenure, "PATIENCE_S", 0.5)
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1)], "b1")
        own_server.stop()
        began = time.monotonic()
        for act in (lambda: ledger.start([operation(1)]), ledger.counts):
            with pytest.raises(LedgerError) as raised:
                act()
            sentence = str(raised.value)
            assert sentence.startswith(f"127.0.0.1:{own_server.port}/postgres: the ledger cannot be used (")
            assert sentence.endswith("mend this and run the same command again")
            assert "\n" not in sentence
        assert time.monotonic() - began > 1
    monkeypatch.setattr(tenure, "PATIENCE_S", 60)
    for way in (Ledger.open, Ledger.read):
        began = time.monotonic()
        with pytest.raises(LedgerError, match="Connection refused"):
            way(SharedLedger(DatabaseUrl.parse(own_server.url()), tmp_path / "mark"), STORE_ID)
        assert time.monotonic() - began < 30
    monkeypatch.setattr(tenure, "PATIENCE_S", 0.5)
    own_server.start()
    # As if the process had ended, which could not give its lease back.
    with connected(tmp_path) as other:
        other.exec_driver_sql("UPDATE leases SET released = true")
    with opened(tmp_path) as ledger:
        ledger.start([operation(1)])
        assert (ledger.lost_commits, attempts_in(tmp_path)) == (0, 1)


KILLED = """
import sys
from pathlib import Path
from corso.database import DatabaseUrl, SharedLedger
from corso.delivery.ledger import Ledger
from tests.fake_corso import operation
place = SharedLedger(DatabaseUrl.parse(sys.argv[1]), Path(sys.argv[2]))
ledger = Ledger.open(place, 9359)
ledger.trust()
number = 0
while True:
    ledger.plan([operation(number)], "b1")
    ledger.start([operation(number)])
    print(number, flush=True)
    number += 1
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing_that_was_acknowledged(
    server: PostgresServer, tmp_path: Path
) -> None:
    """A byte left for each of these: the next one, which is let in at once, knows of all of them."""
    mark = tmp_path / str(STORE_ID) / "ledger.mark"
    for round_ in range(3):
        command = [sys.executable, "-c", KILLED, url_of(server, tmp_path), str(mark)]
        with subprocess.Popen(
            command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "0\n"
            time.sleep(0.1 * round_)
            writer.kill()
            acknowledged = {"0", *writer.stdout.read().split()}
        with opened(tmp_path) as ledger:
            assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
            sending = {entry.key.source_order_id for entry in ledger.entries(states=[State.SENDING])}
            assert {f"o-{number}" for number in acknowledged} <= sending
            assert len(sending) - len(acknowledged) <= 1
            assert ledger.doubt_unfinished() == len(sending)
            ledger.settle([Change(Key(each), State.PLANNED) for each in sending])
            assert sum(ledger.counts().values()) >= len(sending)


def test_a_server_put_back_to_an_older_state_is_noticed_by_the_mark(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    """A snapshot of its disk knows nothing of itself: the file in the workdir counts the store's commits."""
    with opened(tmp_path) as ledger:
        ledger.trust()
        ledger.plan([operation(1)], "b1")
    own_server.stop()
    snapshot = shutil.copytree(own_server.data, tmp_path / "snapshot")
    own_server.start()
    # As if the process had ended, which could not give its lease back.
    with connected(tmp_path) as other:
        other.exec_driver_sql("UPDATE leases SET released = true")
    with opened(tmp_path) as ledger:
        ledger.start([operation(1)])
        ledger.settle([Change(Key("o-1"), State.UNKNOWN)])
    own_server.stop()
    for file in snapshot.rglob("*"):
        if file.is_file():
            shutil.copyfile(file, own_server.data / file.relative_to(snapshot))
    own_server.start()
    for _ in range(2):
        with opened(tmp_path) as ledger:
            assert (ledger.lost_commits, ledger.is_trusted()) == (3, False)  # opened, sent, settled
            assert ledger.counts() == {("order", State.PLANNED): 1}
    with opened(tmp_path) as ledger:
        ledger.trust()
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)


def test_a_copy_of_the_database_is_noticed_by_every_store(server: PostgresServer, tmp_path: Path) -> None:
    """A dump that was restored may be of last night, and a new worker has no mark: it is another database."""
    server.execute("CREATE DATABASE was")
    places = [
        SharedLedger(DatabaseUrl.parse(server.url("was")), tmp_path / str(store) / "ledger.mark")
        for store in (STORE_ID, 2)
    ]
    for place, store_id in zip(places, (STORE_ID, 2), strict=True):
        with Ledger.open(place, store_id) as ledger:
            ledger.trust()
    server.execute("CREATE DATABASE restored TEMPLATE was")
    for store_id in (STORE_ID, 2):
        elsewhere = SharedLedger(DatabaseUrl.parse(server.url("restored")), tmp_path / f"new{store_id}")
        with Ledger.open(elsewhere, store_id) as ledger:
            assert (ledger.lost_commits > 0, ledger.is_trusted()) == (True, False)
            ledger.trust()
        with Ledger.open(elsewhere, store_id) as ledger:
            assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
    with Ledger.open(places[0], STORE_ID) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
    for name in ("restored", "was"):
        server.execute(f"DROP DATABASE {name}")


@pytest.mark.slow
def test_a_standby_that_took_over_may_lack_the_last_commits(
    own_server: PostgresServer, tmp_path: Path
) -> None:
    """It is noticed by whoever comes next, also by a worker that has no mark: its timeline is a new one."""
    with opened(tmp_path) as ledger:
        ledger.trust()
        ledger.plan([operation(1)], "b1")
    place = shared(own_server, tmp_path)
    with PostgresServer(own_server) as standby:
        standby.stop()
        with opened(tmp_path) as ledger:
            ledger.start([operation(1)])
        own_server.stop()
        standby.start()
        moved = DatabaseUrl.parse(
            f"postgresql:{place.url.scheme_specific}".replace(f":{own_server.port}/", f":{standby.port}/")
        )
        with pytest.raises(LedgerError, match="read-only transaction"):
            Ledger.open(SharedLedger(moved, tmp_path / "standby" / "ledger.mark"), STORE_ID)
        standby.promote()
        for mark in (tmp_path / "new" / "ledger.mark", place.mark):
            with Ledger.open(SharedLedger(moved, mark), STORE_ID) as ledger:
                assert (ledger.lost_commits > 0, ledger.is_trusted()) == (True, False)
                assert ledger.counts() == {("order", State.PLANNED): 1}


def test_commits_that_are_gone_while_a_loader_is_at_work_end_it(tmp_path: Path) -> None:
    """A standby without the last commits answers in the old one's place: nothing more may leave."""
    with opened(tmp_path) as ledger:
        ledger.trust()
        ledger.plan([operation(1), operation(2)], "b1")
        ledger.start([operation(1)])
        with connected(tmp_path) as other:
            other.exec_driver_sql("UPDATE leases SET commits = commits - 2")
        for _ in range(2):
            with pytest.raises(LeaseLost, match=r"put back to an older state .*: 2 commits are gone"):
                ledger.start([operation(2)])
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (2, False)
        assert entry_of(ledger, 2).state is State.PLANNED


def test_a_commit_is_durable_whatever_the_database_is_set_to(server: PostgresServer, tmp_path: Path) -> None:
    """An administrator who made the server faster for others does not make this ledger forget."""
    server.execute("ALTER ROLE loader SET synchronous_commit = off")
    try:
        with opened(tmp_path) as ledger, ledger._database.writer.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    finally:
        server.execute("ALTER ROLE loader RESET synchronous_commit")


def test_a_server_that_keeps_no_promise_is_refused(server: PostgresServer, tmp_path: Path) -> None:
    """Without fsync what it acknowledged is gone with the power; an encoding but UTF-8 does not hold every id."""
    server.execute("ALTER SYSTEM SET fsync = off")
    server.execute("SELECT pg_reload_conf()")
    try:
        until = time.monotonic() + 10
        while server.execute("SHOW fsync") == [("on",)]:
            assert time.monotonic() < until
        with pytest.raises(LedgerError, match="may lose what it has acknowledged"):
            opened(tmp_path)
    finally:
        server.execute("ALTER SYSTEM RESET fsync")
        server.execute("SELECT pg_reload_conf()")
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(LedgerError, match="its encoding is LATIN1"):
        Ledger.open(SharedLedger(DatabaseUrl.parse(server.url("latin")), tmp_path / "mark"), STORE_ID)
    server.execute("DROP DATABASE latin")


def test_a_ledger_of_a_newer_version_is_refused_untouched(tmp_path: Path) -> None:
    """An old program must not write into what it does not understand."""
    opened(tmp_path).close()
    with connected(tmp_path) as other:
        other.exec_driver_sql(f"UPDATE ledger_version SET version_num = '{VERSION + 1:04}'")
    was = rows_in(tmp_path, "leases", "tenures", "provenance")
    for way in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerTooNew, match=r"newer corso-loader.*update the program"):
            way(place_of(tmp_path), STORE_ID)
    assert rows_in(tmp_path, "leases", "tenures", "provenance") == was


def test_somebody_elses_tables_are_refused_untouched(tmp_path: Path) -> None:
    """`entries` is a word that others use, too."""
    place_of(tmp_path)
    with connected(tmp_path) as other:
        other.exec_driver_sql("CREATE TABLE entries (id integer)")
        for way in (Ledger.open, Ledger.read):
            with pytest.raises(LedgerError, match="this is not a ledger: it has a table 'entries'"):
                way(place_of(tmp_path), STORE_ID)
        assert sa.inspect(other).get_table_names() == ["entries"]


def test_reading_leaves_no_trace(tmp_path: Path) -> None:
    """A database without tables is an empty ledger and stays without; who reads takes no lease."""
    with Ledger.read(place_of(tmp_path), STORE_ID) as reader:
        assert (reader.counts(), list(reader.entries()), reader.holder()) == ({}, [], None)
        with pytest.raises(LedgerError, match="opened for reading"):
            reader.plan([operation()], "b1")
    with connected(tmp_path) as other:
        assert sa.inspect(other).get_table_names() == []
    with opened(tmp_path) as ledger:
        ledger.plan([operation()], "b1")
        was = rows_in(tmp_path, "leases", "tenures")
        with Ledger.read(place_of(tmp_path), STORE_ID) as reader:
            assert reader.counts() == {("order", State.PLANNED): 1}
            assert f"store {STORE_ID}: loading, since " in str(reader.holder())
        assert rows_in(tmp_path, "leases", "tenures") == was


def test_a_refusal_with_zero_bytes_is_written_down(tmp_path: Path) -> None:
    """PostgreSQL's text holds none, an API's answer may."""
    with opened(tmp_path) as ledger:
        ledger.plan([operation()], "b1")
        ledger.start([operation()])
        ledger.settle([Change(key_of(operation()), State.REJECTED, reason="bad\0input")])
        assert entry_of(ledger).reason == "bad\N{REPLACEMENT CHARACTER}input"


def test_a_transaction_that_is_left_alone_ends_where_it_holds_others_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a writer whose machine sleeps, not of a reader that has much to do between two rows."""
    monkeypatch.setattr(postgres_module, "ASLEEP_S", 0.1)
    with opened(tmp_path) as ledger:
        ledger.plan([operation(1), operation(2)], "b1")
        entries = ledger.entries()
        first = next(entries)
        with pytest.raises(LedgerError, match="idle-in-transaction timeout"):
            sleep_in_a_transaction(ledger)
        assert [first, *entries] == list(ledger.entries())
        ledger.start([operation(1)])


def sleep_in_a_transaction(ledger: Ledger) -> None:
    """Have the leases' rows, and say nothing for a while."""
    with ledger._database.told(), ledger._database.writer.begin() as asleep:
        asleep.exec_driver_sql("SELECT * FROM leases FOR UPDATE")
        time.sleep(0.5)
        asleep.exec_driver_sql("SELECT 1")


def test_millions_of_entries_are_read_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a cursor on the server: what is in memory does not grow with the store."""
    from corso.delivery import reading  # noqa: PLC0415

    monkeypatch.setattr(reading, "_ROWS_AT_ONCE", 10)
    with opened(tmp_path) as ledger:
        ledger.plan([operation(number) for number in range(95)], "b1")
        asked: list[Any] = []
        sa.event.listen(
            ledger._database.reader,
            "before_cursor_execute",
            lambda _connection, cursor, *_rest: asked.append(type(cursor).__name__),
        )
        assert len(list(ledger.entries())) == 95
    assert asked == ["ServerCursor"]


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_layout_becomes_the_newest(tmp_path: Path, version: int) -> None:
    """With all that stands in it; until somebody writes it is read as it is."""
    place_of(tmp_path)
    laid_out(tmp_path, version)
    with connected(tmp_path) as other:
        other.exec_driver_sql(
            "INSERT INTO entries VALUES (9359, 'o-2', '', NULL, NULL, '', NULL, 'unknown', 'create_order', 'p', false,"
            " 'b1', 2, '2026-11-20T09:00:00.000+00:00', 502, 'bad gateway', '2026-11-20T10:00:00.000+00:00')"
        )
    with Ledger.read(place_of(tmp_path), STORE_ID) as reader:
        assert (reader.counts(), reader.holder()) == ({("order", State.UNKNOWN): 1}, None)
        assert reader.attempts("o-2") == []
    with opened(tmp_path) as ledger:
        assert entry_of(ledger, 2).state is State.UNKNOWN
        ledger.plan([operation(3)], "b2")
        ledger.start([operation(3)])
    with connected(tmp_path) as other:
        road.check(other)


def laid_out(folder: Path, version: int) -> None:
    """Lay a folder's ledger out as it was in a version."""
    database = PostgresDatabase(shared(ledger_places._servers[-1], folder).url)
    with database.writer.begin() as connection:
        road.migrate(connection, since=0, now="2026-11-22T00:00:00.000+00:00", to=version)
    database.dispose()


@pytest.mark.slow
def test_loaders_that_come_at_once_migrate_once(server: PostgresServer, tmp_path: Path) -> None:
    """The others wait for it, and find it done."""
    place_of(tmp_path)
    laid_out(tmp_path, 1)
    opening = """
import sys
from pathlib import Path
from corso.database import DatabaseUrl, SharedLedger
from corso.delivery.ledger import Ledger
store_id = int(sys.argv[3])
Ledger.open(SharedLedger(DatabaseUrl.parse(sys.argv[1]), Path(sys.argv[2]) / str(store_id) / "mark"), store_id).close()
"""
    crowd = [
        subprocess.Popen([sys.executable, "-c", opening, url_of(server, tmp_path), tmp_path, str(store_id)])
        for store_id in range(1, 5)
    ]
    assert [each.wait(60) for each in crowd] == [0] * 4
    with connected(tmp_path) as other:
        road.check(other)


def test_a_new_ledger_is_laid_out_as_the_steps_lay_it_out(tmp_path: Path) -> None:
    """There is no difference between what is made at once and what grew."""
    opened(tmp_path).close()
    with connected(tmp_path) as other:
        road.check(other)
        names = {index["name"] for index in sa.inspect(other).get_indexes("entries")}
        partial = other.exec_driver_sql(
            "SELECT count(*) FROM pg_indexes WHERE schemaname = current_schema() AND indexdef LIKE '%%WHERE%%'"
        ).scalar()
    assert names == {"entries_by_state", "orders_by_held_at"}
    assert partial == 2


def test_no_password_is_told(own_server: PostgresServer, tmp_path: Path) -> None:
    """Neither where it is wrong, nor in what names the ledger."""
    configuration = own_server.data / "pg_hba.conf"
    own_server.execute("ALTER ROLE loader PASSWORD 'right'")
    configuration.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    own_server.stop()
    with suppress(AssertionError):
        # It does start; what asks whether it answers has no password.
        own_server.start()
    url = f"postgresql://loader:hush@127.0.0.1:{own_server.port}/postgres"
    place = SharedLedger(DatabaseUrl.parse(url), tmp_path / "mark")
    told = [repr(place), str(place)]
    for way in (Ledger.open, Ledger.read):
        with pytest.raises(LedgerError, match="password authentication failed") as raised:
            way(place, STORE_ID)
        told.append(str(raised.value))
    right = SharedLedger(DatabaseUrl.parse(url.replace("hush", "right")), tmp_path / "mark")
    with Ledger.open(right, STORE_ID) as ledger:
        ledger.trust()
    assert not [text for text in told if "hush" in text]


@pytest.mark.slow
def test_orders_are_sent_over_a_road_that_breaks(
    server: PostgresServer, proxy: CuttingProxy, tmp_path: Path
) -> None:
    """The real sender, a Corso that forgets to answer, and commits cut on both sides: every order is there once."""
    api = FakeCorso(JumpingClock())
    orders = [operation(number) for number in range(60)]
    with Ledger.open(by_proxy(server, proxy, tmp_path), STORE_ID, clock=api.clock) as ledger:
        ledger.plan(orders, "b1")
        cutting = _cutting(proxy)
        write = ledger.settle_and_start

        def cut_and_write(changes: Any, operations: Any) -> None:
            next(cutting)
            write(changes, operations)

        ledger.settle_and_start = cut_and_write  # type: ignore[method-assign]
        sender = sender_of(api, Journal(ledger))
        asyncio.run(sender.send(iter(orders), len(orders), Tally.of(len(orders), 0.02)))
        assert ledger.counts() == {("order", State.ACCEPTED): len(orders)}
    assert proxy.cuts > 2
    assert sorted(record["sourceOrderId"] for record in api.orders) == sorted(
        order.source_order_id for order in orders
    )
    assert attempts_in(tmp_path) == len(orders)


def _cutting(proxy: CuttingProxy) -> Iterator[None]:
    while True:
        for where in CUTS:
            proxy.cut_once(where)
            # Every cut costs a pause.
            for _ in range(4):
                yield
