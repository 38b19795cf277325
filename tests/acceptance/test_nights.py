"""Four nights of one store, with a real Dagster daemon and a real sandbox: nobody does anything but drop files."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from assets.run_tags import DROP_TAG
from tests.daemon_process import Daemon, running_daemon
from tests.loader_process import Shop
from tests.nights import FILES, Nights, not_as_the_source, write
from tests.sandbox_process import running_sandbox

STORE = "north"


def attempts(shop: Shop) -> int:
    """Return how many requests that change something were ever made, by the ledger."""
    with closing(sqlite3.connect(shop.folder / "work" / "ledger.sqlite")) as ledger:
        return int(ledger.execute("SELECT count(*) FROM attempts").fetchone()[0])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_four_nights_of_one_store_go_by_without_anybody(tmp_path: Path) -> None:
    """New, changed, cancelled, delivered again, half-written, missed, late, corrected: Corso ends as the source is.

    Delivering the same again sends nothing; nothing is loaded before it is complete, and nothing twice.
    """
    landing, db = tmp_path / "landing", tmp_path / "corso.sqlite"
    with running_sandbox("--limit", "0", db=db) as sandbox:
        shop = Shop(landing / STORE, sandbox, files=FILES)
        shop.configure("nightly: {quiet_s: 3}\nupload: {canary: 2, listing_delay_s: 0.5}")
        nights = Nights(shop.folder)
        with running_daemon(tmp_path / "home", landing) as daemon:
            _all_nights(daemon, shop, nights)
        assert sandbox.stop() == 0
    assert not_as_the_source(db, nights.merchant) == []


def _all_nights(daemon: Daemon, shop: Shop, nights: Nights) -> None:
    first = nights.texts()
    nights.drop("2026-11-21", first)
    _loaded(daemon, shop, "2026-11-21", 1)
    _again(daemon, shop, nights, "2026-11-21", first)

    # The second night is written slowly, and one of its files is cut off for a while.
    second = nights.texts()
    half = {name: text[: len(text) // 2] for name, text in second.items() if name == "orders.csv"}
    write(shop.folder / "2026-11-22", half)
    daemon.wait_for("a look at half a drop", lambda: "2026-11-22: exports.line_items" in daemon.said)
    assert daemon.runs(f"{STORE}/2026-11-22") == []
    nights.drop("2026-11-22", second)
    _loaded(daemon, shop, "2026-11-22", 1)
    _again(daemon, shop, nights, "2026-11-22", second)

    # The third one does not arrive before the fourth is loaded; it has no marker and comes to rest.
    third, fourth = nights.texts(), nights.texts()
    nights.drop("2026-11-24", fourth)
    _loaded(daemon, shop, "2026-11-24", 1)
    write(shop.folder / "2026-11-23", third)
    _loaded(daemon, shop, "2026-11-23", 1, late=True)
    _again(daemon, shop, nights, "2026-11-23", third, late=True)
    _again(daemon, shop, nights, "2026-11-24", fourth)

    # What was wrong in the fourth is delivered again, corrected.
    corrected = nights.corrected(fourth)
    before = attempts(shop)
    nights.drop("2026-11-24", corrected)
    _loaded(daemon, shop, "2026-11-24", 3)
    assert attempts(shop) - before == 1


def _loaded(daemon: Daemon, shop: Shop, batch: str, number: int, *, late: bool = False) -> None:
    """Wait for a load of a batch, which ends well: every source order is in Corso, and equal."""
    run = daemon.wait_for_run(f"{STORE}/{batch}", number)
    assert run.status is dg.DagsterRunStatus.SUCCESS, daemon.log.read_text()[-3000:]
    # Of a drop that comes late, orders are left as the later batch has them.
    summary = shop.summary(batch)
    assert (
        summary["outcome"]["rejected"] + summary["outcome"]["unknown"] + summary["outcome"]["not_sent"] == 0
    )
    assert late or summary["exit_code"] == 0, summary


def _again(
    daemon: Daemon, shop: Shop, nights: Nights, batch: str, texts: Mapping[str, str], *, late: bool = False
) -> None:
    """Deliver a batch again as it was: it is loaded once more, and nothing is sent."""
    before, loads = attempts(shop), len(daemon.runs(f"{STORE}/{batch}"))
    nights.drop(batch, texts)
    _loaded(daemon, shop, batch, loads + 1, late=late)
    assert attempts(shop) == before
    first, second = daemon.runs(f"{STORE}/{batch}")[-2:]
    assert first.tags[DROP_TAG] != second.tags[DROP_TAG]
