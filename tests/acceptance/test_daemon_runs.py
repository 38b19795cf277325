"""Runs of a real daemon that do not simply go through: parked, cancelled, stopped; and who is told."""

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from assets.run_tags import ENDED_TAG, PROCESS_TAG, RESUME_TAG, STORE_TAG
from tests.alert_sinks import webhook
from tests.daemon_process import running_daemon
from tests.loader_process import Shop, good_orders
from tests.sandbox_process import running_sandbox

BATCH = "2026-11-22"
FILES = {"orders": "{batch}/orders.csv", "line_items": "{batch}/line_items.csv"}


def shop(folder: Path, sandbox: object, orders: int, limits: str, **changes: str) -> Shop:
    """Make a shop with one complete batch."""
    made = Shop(folder, sandbox, files=FILES)  # type: ignore[arg-type]
    made.configure(f"limits: {limits}\nupload: {{canary: 0, listing_delay_s: 0.5}}")
    made.export([{**row, **changes} for row in good_orders(range(orders))])
    (folder / "in" / "_COMPLETE").touch()
    made.exports.rename(folder / BATCH)
    return made


def states(shop: Shop) -> dict[str, int]:
    """Count the ledger's orders by state."""
    path = shop.folder / "work" / "ledger.sqlite"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        # The file is there before its tables are.
        if not ledger.execute("SELECT 1 FROM sqlite_master WHERE name = 'entries'").fetchone():
            return {}
        return dict(ledger.execute("SELECT state, count(*) FROM entries GROUP BY state").fetchall())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_batch_that_a_guard_stops_is_told_once(tmp_path: Path) -> None:
    """The webhook gets the sentence that a person needs; the books are closed, and nothing was sent."""
    landing = tmp_path / "landing"
    with running_sandbox("--limit", "0") as sandbox, webhook() as (url, told):
        west = shop(landing / "west", sandbox, 4, "{max_in_flight: 2}", total_money="much")
        with running_daemon(
            tmp_path / "home", landing, patience_s=150, CORSO_ALERT_WEBHOOK=url, CORSO_LOG="json"
        ) as daemon:
            stopped = daemon.wait_for_run(f"west/{BATCH}", 1)
            assert stopped.status is dg.DagsterRunStatus.FAILURE
            assert stopped.tags[ENDED_TAG] == "Stopped"
            daemon.wait_for("an alert", lambda: bool(told))
            daemon.wait_for("a look after it", lambda: daemon.said.count("new_batches skipped") > 2)
            assert len(daemon.runs(f"west/{BATCH}")) == 1
        assert sandbox.counts()["orders"] == 0
    (alert,) = told
    assert (alert["store"], alert["batch"]) == ("west", BATCH)
    assert "100.0% of the source orders are quarantined" in alert["happened"]
    assert alert["to_do"].startswith("Look at the batch's report")
    assert "example.com" not in str(told)
    assert west.summary(BATCH)["exit_code"] == 3


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_parked_batch_goes_on_by_itself_and_a_cancelled_one_ends_well(tmp_path: Path) -> None:
    """And a backfill loads a batch once more. Of two stores with credentials of their own; what Dagster says of a run is what became of it.

    A cancelled run finishes what is in flight, writes its states and its books, and is not started again.
    """
    landing = tmp_path / "landing"
    with (
        running_sandbox("--limit", "60", "--window", "25", "--headers", "429") as scarce,
        running_sandbox("--limit", "0", "--latency", "1") as slow,
    ):
        north = shop(
            landing / "north", scarce, 70, "{patience_s: 1, max_in_flight: 4, requests_per_second: 50}"
        )
        south = shop(landing / "south", slow, 200, "{max_in_flight: 2}")
        with running_daemon(tmp_path / "home", landing, patience_s=150) as daemon:
            daemon.wait_for("some orders of the south", lambda: states(south).get("accepted", 0) > 4)
            (run,) = daemon.runs(f"south/{BATCH}")
            _, pid, _ = run.tags[PROCESS_TAG].split()
            assert "multiprocessing.forkserver" in Path(f"/proc/{pid}/cmdline").read_text()
            assert daemon.instance.run_launcher.terminate(run.run_id)
            cancelled = daemon.wait_for_run(f"south/{BATCH}", 1)
            assert cancelled.status is dg.DagsterRunStatus.CANCELED, daemon.said[-3000:]
            left = states(south)
            assert left.keys() <= {"accepted", "planned"}
            assert left["accepted"] == slow.counts()["orders"] < 200
            assert south.summary(BATCH)["outcome"]["created"] == left["accepted"]
            assert south.summary(BATCH)["exit_code"] == 130

            parked = daemon.wait_for_run(f"north/{BATCH}", 1)
            assert parked.status is dg.DagsterRunStatus.FAILURE
            assert (parked.tags[ENDED_TAG], RESUME_TAG in parked.tags) == ("Parked", True)
            assert north.summary(BATCH)["exit_code"] == 75
            daemon.wait_for(
                "the end of the parked batch",
                lambda: daemon.runs(f"north/{BATCH}")[-1].status is dg.DagsterRunStatus.SUCCESS,
            )
            assert len(daemon.runs(f"south/{BATCH}")) == 1

            loads = len(daemon.runs(f"north/{BATCH}"))
            daemon.backfill(f"north/{BATCH}")
            again = daemon.wait_for_run(f"north/{BATCH}", loads + 1)
            assert again.status is dg.DagsterRunStatus.SUCCESS, daemon.said[-3000:]
            assert again.tags[STORE_TAG] == "north"
            assert "dagster/backfill" in again.tags
        assert scarce.counts()["orders"] == 70
    assert north.summary(BATCH)["exit_code"] == 0
