"""The ledger's own troubles, met by the command in mid-upload: the same command goes on, and nothing doubles.

The sandbox takes doubles, so that one order sent blindly would show.
"""

import resource
from pathlib import Path

import pytest

from tests.export_factories import fulfillment_text
from tests.loader_process import Shop, broken_identities, ended, good_orders, kill, wait_until
from tests.sandbox_process import RunningSandbox, running_sandbox

pytestmark = pytest.mark.slow

COUNT = 150
ACCEPTS_DOUBLES = ("--limit", "0", "--duplicates", "accept", "--latency", "0.05")


def a_shop(folder: Path, sandbox: RunningSandbox) -> Shop:
    """Return a shop with so many orders and fulfillments, that sends eight at once."""
    shop = Shop(folder / "shop", sandbox)
    fulfillments = [fulfillment_text(number) for number in range(COUNT)]
    shop.export(good_orders(range(COUNT)), fulfillments=fulfillments)
    shop.configure("limits: {max_in_flight: 8}")
    return shop


def assert_all_is_there_once(shop: Shop, sandbox: RunningSandbox) -> None:
    """Everything is in the sandbox, once, and the books say so."""
    counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (COUNT, COUNT)
    assert (counts["fulfillments"], counts["source_fulfillments"]) == (COUNT, COUNT)
    assert shop.summary()["reconciliation"]["matched"] == COUNT
    assert broken_identities(shop.summary()) == []
    states = shop.states()
    assert (states["orders"], states["fulfillments"]) == ({"accepted": COUNT}, {"accepted": COUNT})


@pytest.mark.long
def test_a_log_that_was_cut_by_a_power_failure_is_told_and_doubles_nothing(tmp_path: Path) -> None:
    """SQLite comes up with an older state, in which orders that are in Corso look as if they had not been sent."""
    with running_sandbox(*ACCEPTS_DOUBLES) as sandbox:
        shop = a_shop(tmp_path, sandbox)
        process = shop.start("run")
        wait_until(sandbox, 60, process)
        kill(process)
        log = shop.folder / "work" / "ledger.sqlite-wal"
        with log.open("r+b") as file:
            file.truncate(log.stat().st_size // 2)
        answer = shop.run("run")
        assert answer.code == 0, answer.said
        assert "The ledger had lost its last " in answer.out
        assert_all_is_there_once(shop, sandbox)


def test_a_disk_that_is_full_in_mid_upload_is_one_sentence_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    """Exit code 3, no traceback; what was sent by then is known, and nothing is sent that could not be written down."""
    with running_sandbox(*ACCEPTS_DOUBLES) as sandbox:
        shop = a_shop(tmp_path, sandbox)
        process = shop.start("run")
        wait_until(sandbox, 40, process)
        # For this process no file grows any more, as on a full disk.
        size = (shop.folder / "work" / "ledger.sqlite-wal").stat().st_size
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        stopped = ended(process)
        assert stopped.code == 3, stopped.said
        assert "run the same command again" in stopped.sentence
        assert sandbox.counts()["orders"] < COUNT
        answer = shop.run("run")
        assert answer.code == 0, answer.said
        assert_all_is_there_once(shop, sandbox)
