"""Small farms: Celery's workers on machines of their own, which are killed, and asked to stop."""

import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from redis import Redis

from assets.run_tags import ENDED_TAG
from tests import redis_server
from tests.farm import Size, Standing, run_farm, standing_farm, start_worker
from tests.postgres_server import HOW_TO_INSTALL, server_programs

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not redis_server.is_installed(), reason=redis_server.HOW_TO_INSTALL),
    pytest.mark.skipif(server_programs() is None, reason=HOW_TO_INSTALL),
]


@pytest.mark.parametrize("in_steps", [False, True], ids=["whole runs", "steps"])
def test_a_farm_loads_everything_once_whatever_is_killed(tmp_path: Path, *, in_steps: bool) -> None:
    """Nothing lost, nothing doubled, never two senders on a credential, no request before a wait was over.

    Drops and tables are in a bucket, ledger and history on PostgreSQL. Workers carry out whole runs, or single steps.
    """
    size = Size(2, 2, 15, credentials=1, kills=1, seed=1, processes=1, in_steps=in_steps, patience_s=600)
    told = run_farm(tmp_path, size, kill_every_s=20)
    assert told.wrong == []
    assert told.kills == 1
    assert told.orders == 2 * 2 * 15
    assert told.runs["SUCCESS"] == 4


def test_a_run_whose_worker_is_killed_as_it_takes_it_is_with_another_in_two_minutes(tmp_path: Path) -> None:
    """It was acknowledged and had not begun: nobody had it, and no lease told so."""
    size = Size(1, 1, 15, credentials=1, kills=0, seed=1, workers=1, processes=1)
    with standing_farm(tmp_path, size) as standing:
        (worker,), instance = standing.hosts, standing.instance
        standing.farm.drop_all(standing.made.s3)
        with Redis.from_url(standing.made.broker_url) as redis:
            wait_for("a claim", lambda: bool(redis.keys("corso-loader:run:*")), every_s=0.005)
        worker.kill()
        start_worker(standing.farm, worker, standing.made)
        wait_for("another run", lambda: len(instance.get_run_records()) == 2, patience_s=120)
        wait_for("its end", lambda: instance.get_runs()[0].is_finished)
        second, first = instance.get_run_records()
        assert first.start_time is None
        ends = [record.dagster_run.status.value for record in (first, second)]
        assert ends == ["FAILURE", "SUCCESS"]


def wait_for(what: str, happened: Callable[[], bool], patience_s: float = 240, every_s: float = 0.5) -> None:
    """Wait until something has happened; fail the test where it does not."""
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline, f"{what}: not in {patience_s} s"
        time.sleep(every_s)


def states(standing: Standing) -> dict[str, int]:
    """Count the ledger's entries by state."""
    with psycopg.connect(standing.made.ledger_url) as ledger:
        return dict(ledger.execute("SELECT state, count(*) FROM entries GROUP BY state").fetchall())


def test_a_worker_that_stops_ends_its_run_in_order_and_a_cancelled_run_stays_cancelled(
    tmp_path: Path,
) -> None:
    """What is in flight is finished, nothing is in doubt, all leases are let go; another worker goes on, or nobody does."""
    size = Size(1, 1, 60, credentials=1, kills=0, seed=1, workers=1, processes=1, limit=20)
    with standing_farm(tmp_path, size) as standing:
        (worker,), (sandbox,), instance = standing.hosts, standing.made.sandboxes, standing.instance
        standing.farm.drop_all(standing.made.s3)
        wait_for("some orders", lambda: sandbox.counts()["orders"] >= 10)
        assert worker.stop(60) == 0
        left = states(standing)
        assert left.keys() == {"accepted", "planned"}
        assert left["accepted"] == sandbox.counts()["orders"]
        wait_for("a run that goes on", lambda: len(instance.get_runs()) == 2)
        second, first = instance.get_runs()
        assert first.status is dg.DagsterRunStatus.FAILURE
        assert ENDED_TAG not in first.tags

        start_worker(standing.farm, worker, standing.made)
        wait_for("more orders", lambda: sandbox.counts()["orders"] > left["accepted"] + 5)
        assert instance.run_launcher.terminate(second.run_id)
        wait_for("its end", lambda: instance.get_runs()[0].is_finished)
        time.sleep(5)
        assert [run.status.value for run in instance.get_runs()] == ["CANCELED", "FAILURE"]
        assert states(standing).keys() == {"accepted", "planned"}
