"""Loaders on one PostgreSQL ledger, as commands: they take turns, go on after a kill, and run through a restart."""

import signal
import time
from pathlib import Path

import pytest

from tests.ledger_places import url_of
from tests.loader_process import STORE_ID, Shop, ended, good_orders, kill, wait_until
from tests.postgres_server import PostgresServer
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow

COUNT = 60
SLOWLY = ("--limit", "0", "--latency", "0.1", "--duplicates", "accept")
"""So that two loaders meet; what is sent twice is there twice."""


def shop_of(folder: Path, sandbox: RunningSandbox, store_id: int = STORE_ID) -> Shop:
    """Return a merchant's folder with an export."""
    shop = Shop(folder, sandbox, store_id)
    shop.export(good_orders(range(COUNT)))
    shop.configure("limits: {max_in_flight: 2}\nupload: {canary: 0, listing_delay_s: 0.2}")
    return shop


@pytest.mark.long
def test_two_stores_of_one_credential_take_turns(postgres: PostgresServer, tmp_path: Path) -> None:
    """The second parks (exit code 75) and says who is at work; a killed one's place is free at once.

    Their orders have the same numbers, and each store has its own all the same.
    """
    url = url_of(postgres, tmp_path)
    with running_sandbox(*SLOWLY) as sandbox:
        first_shop, second_shop = (shop_of(tmp_path / str(number), sandbox, number) for number in (1, 2))
        first = first_shop.start("upload", CORSO_LEDGER_URL=url)
        wait_until(sandbox, 2, first)
        # It sleeps, and keeps its place for a while.
        first.send_signal(signal.SIGSTOP)
        parked = second_shop.run("upload", CORSO_LEDGER_URL=url)
        assert parked.code == 75, parked.said
        assert "the right to send with these credentials is in use by another loader" in parked.sentence
        assert f"(process {first.pid} on " in parked.sentence
        assert ", store 1: upload of batch " in parked.sentence
        assert ", since 20" in parked.sentence
        assert second_shop.summary()["exit_code"] == 75
        kill(first)
        second = second_shop.run("run", CORSO_LEDGER_URL=url)
        assert second.code == 0, second.said
        again = first_shop.run("run", CORSO_LEDGER_URL=url)
        assert again.code == 0, again.said
        counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (2 * COUNT, 2 * COUNT)


def test_a_store_is_loaded_by_one_at_a_time(postgres: PostgresServer, tmp_path: Path) -> None:
    """Two workers with a workdir of their own each: what one has sent the other knows."""
    url = url_of(postgres, tmp_path)
    with running_sandbox(*SLOWLY) as sandbox:
        one, other = (shop_of(tmp_path / name, sandbox) for name in ("one", "other"))
        first = one.start("upload", CORSO_LEDGER_URL=url)
        wait_until(sandbox, 2, first)
        first.send_signal(signal.SIGSTOP)
        parked = other.run("upload", CORSO_LEDGER_URL=url)
        first.send_signal(signal.SIGCONT)
        assert parked.code == 75, parked.said
        first.send_signal(signal.SIGTERM)
        assert ended(first).code == 130
        done = other.run("run", CORSO_LEDGER_URL=url)
        assert done.code == 0, done.said
        assert other.run("status", CORSO_LEDGER_URL=url).out.count(f"{COUNT} accepted") == 1
        counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (COUNT, COUNT)


def test_a_server_that_restarts_stops_nobody(tmp_path: Path) -> None:
    """The run goes on as if nothing had been, and says nothing of it."""
    with PostgresServer() as server, running_sandbox(*SLOWLY) as sandbox:
        shop = shop_of(tmp_path / "shop", sandbox)
        process = shop.start("run", CORSO_LEDGER_URL=server.url())
        wait_until(sandbox, 4, process)
        for mode in ("fast", "immediate"):
            server.stop(mode)
            time.sleep(0.5)
            server.start()
        answer = ended(process)
        assert answer.code == 0, answer.said
        assert "ledger" not in answer.err
        counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (COUNT, COUNT)


def test_a_server_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    """Nothing is sent, and no password is shown."""
    with running_sandbox(*SLOWLY) as sandbox:
        shop = shop_of(tmp_path / "shop", sandbox)
        url = "postgresql://loader:hush@127.0.0.1:1/corso"
        for verb in ("status", "upload"):
            answer = shop.run(verb, CORSO_LEDGER_URL=url)
            assert answer.code == 3, answer.said
            assert answer.sentence.startswith("corso-loader: 127.0.0.1:1/corso: the ledger cannot be used (")
            assert "hush" not in answer.said
        assert sandbox.counts()["orders"] == 0


def test_a_store_goes_on_where_its_ledger_was_moved_to(postgres: PostgresServer, tmp_path: Path) -> None:
    """Loaded with a file, moved, loaded again: nothing is sent, and Corso is not looked through."""
    with running_sandbox("--limit", "0", "--duplicates", "accept") as sandbox:
        shop = shop_of(tmp_path, sandbox)
        assert shop.run("upload").code == 0
        nowhere = shop.run("ledger move", batch=None)
        assert nowhere.code == 2
        assert "where to? Set CORSO_LEDGER_URL" in nowhere.sentence
        url = url_of(postgres, tmp_path)
        moved = shop.run("ledger move", batch=None, CORSO_LEDGER_URL=url)
        assert moved.code == 0, moved.said
        assert f"Store {STORE_ID}: {COUNT} entries, {COUNT} attempts moved\n" in moved.out
        assert "the file is called ledger.moved.sqlite\n" in moved.out
        sent = sandbox.counts()["orders"]
        again = shop.run("run", CORSO_LEDGER_URL=url)
        assert again.code == 0, again.said
        assert shop.summary()["plan"] == {"create": 0, "update": 0, "cancel": 0, "unchanged": COUNT}
        assert sandbox.counts()["orders"] == sent == COUNT
