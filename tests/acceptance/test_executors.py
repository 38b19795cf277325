"""The same code location with a process for each step on this machine (CORSO_EXECUTOR=multiprocess)."""

import os
import signal
from pathlib import Path

import dagster as dg
import pytest

from assets.run_tags import ENDED_TAG, EXECUTOR_TAG
from tests.daemon_process import running_daemon
from tests.loader_process import Shop, good_orders
from tests.sandbox_process import running_sandbox

BATCH = "2026-11-22"
COUNT = 30
FILES = {"orders": "{batch}/orders.csv", "line_items": "{batch}/line_items.csv"}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_step_that_is_killed_is_followed_by_a_run_that_goes_on(tmp_path: Path) -> None:
    """Its batch is held by the run's process meanwhile, let go with it, and nothing is sent twice."""
    landing = tmp_path / "landing"
    with running_sandbox("--limit", "0", "--latency", "0.3", "--duplicates", "accept") as sandbox:
        shop = Shop(landing / "north", sandbox, files=FILES)
        shop.configure("limits: {max_in_flight: 1}\nupload: {canary: 0, listing_delay_s: 0.5}")
        shop.export(good_orders(range(COUNT)))
        (shop.exports / "_COMPLETE").touch()
        shop.exports.rename(shop.folder / BATCH)
        key = f"north/{BATCH}"
        with running_daemon(
            tmp_path / "home", landing, patience_s=240, CORSO_EXECUTOR="multiprocess"
        ) as daemon:
            daemon.wait_for("some orders", lambda: sandbox.counts()["orders"] > 3)
            _kill_step(daemon.instance, daemon.runs(key)[0].run_id, "uploaded_orders")
            killed = daemon.wait_for_run(key, 1)
            assert killed.status is dg.DagsterRunStatus.FAILURE
            assert ENDED_TAG not in killed.tags
            assert killed.tags[EXECUTOR_TAG] == "multiprocess"
            assert daemon.wait_for_run(key, 2).status is dg.DagsterRunStatus.SUCCESS, daemon.said[-3000:]
        counts = sandbox.counts()
    assert (counts["orders"], counts["source_orders"]) == (COUNT, COUNT)
    assert shop.summary(BATCH)["exit_code"] == 0


def _kill_step(instance: dg.DagsterInstance, run_id: str, step: str) -> None:
    """Kill the process of a step, whose number Dagster keeps."""
    started = [
        event.dagster_event
        for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED)
        if event.dagster_event and event.dagster_event.step_key == step
    ]
    (event,) = started
    pid = event.event_specific_data.metadata["pid"].value  # type: ignore[union-attr]
    os.kill(int(str(pid)), signal.SIGKILL)
