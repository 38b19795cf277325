"""The lock on a batch: one run at a time, its steps in whatever processes, and nothing of another run's."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from corso.database import SharedLedger
from corso.delivery.batch_lease import Life, life_of
from corso.delivery.batch_lock import BatchTables, Run
from corso.delivery.entry import text_of
from corso.delivery.lease import LEASE_S
from corso.errors import CorsoError, LeaseHeld, LeaseLost, LedgerInUse
from tests import ledger_places
from tests.ledger_places import STORE_ID, connected, place_of, rows_in
from tests.postgres_server import PostgresServer

BATCH = "2026-11-22"
ONE, OTHER = Run("11111111", in_steps=True), Run("22222222", in_steps=True)
IN_USE = (LedgerInUse, LeaseHeld)

STEP = """
import sys, pathlib
from corso.database import DatabaseUrl, SharedLedger
from corso.delivery.batch_lock import BatchTables, Run
url, folder, run, step = sys.argv[1:]
folder = pathlib.Path(folder)
ledger = SharedLedger(DatabaseUrl.parse(url), folder / "mark") if url else folder / "ledger.sqlite"
lock = BatchTables(9359, "2026-11-22", ledger, folder / "tables")
with lock.entered(Run(run, in_steps=True), step):
    print("in", flush=True)
    sys.stdin.readline()
"""


def lock_of(folder: Path) -> BatchTables:
    """Return the lock of the one batch."""
    return BatchTables(STORE_ID, BATCH, place_of(folder), folder / "tables")


@contextmanager
def step_elsewhere(folder: Path, run: Run, step: str) -> "Iterator[subprocess.Popen[str]]":
    """Enter the batch as a step in a process of its own."""
    ledger = place_of(folder)
    url = f"postgresql:{ledger.url.scheme_specific}" if isinstance(ledger, SharedLedger) else ""
    command = [sys.executable, "-c", STEP, url, str(folder), run.id, step]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
def test_a_run_keeps_others_out_and_lets_its_own_steps_in(each_database: str, tmp_path: Path) -> None:
    """Whichever process they are; once it is over its steps are refused, and the next run may begin."""
    lock = lock_of(tmp_path)
    with lock.held(ONE):
        with (
            pytest.raises(IN_USE, match=f"batch {BATCH} .*in use by another loader .*run {ONE.id}"),
            lock.held(OTHER),
        ):
            pass
        with lock.entered(ONE, "raw_tables") as held:
            held.check()
        with step_elsewhere(tmp_path, ONE, "upload_plan"), lock.entered(ONE, "validated_tables"):
            pass
        with pytest.raises(LeaseLost, match=f"run {ONE.id} has it"), lock.entered(OTHER, "raw_tables"):
            pass
    with pytest.raises(LeaseLost, match="nobody has it"), lock.entered(ONE, "uploaded_orders"):
        pass
    with lock.held(OTHER):
        pass


@pytest.mark.slow
def test_a_step_that_outlives_its_run_keeps_the_next_run_out(each_database: str, tmp_path: Path) -> None:
    """The process that started it may have been killed. Once the step is gone, too, the next run begins at once."""
    lock = lock_of(tmp_path)
    with lock.held(ONE), step_elsewhere(tmp_path, ONE, "uploaded_orders") as step:
        pass_over = lock.held(OTHER)
        with pytest.raises(IN_USE), pass_over:
            pass
    with lock.held(OTHER):
        pass
    assert step.wait(10) != 0


@pytest.mark.slow
def test_a_live_step_is_seen_when_its_run_has_ended(each_database: str, tmp_path: Path) -> None:
    """A run that failed may leave a step on another worker, which is still at work."""
    lock = lock_of(tmp_path)
    held = lock.held(ONE)
    held.__enter__()
    with step_elsewhere(tmp_path, ONE, "uploaded_orders"):
        held.__exit__(None, None, None)
        with pytest.raises(IN_USE, match="uploaded_orders"), lock.held(OTHER):
            pass
    with lock.held(OTHER):
        pass


@pytest.fixture
def on_server(postgres: PostgresServer, tmp_path: Path) -> Iterator[BatchTables]:
    """Return the lock of a batch whose ledger is on a server: file locks are of one machine, where no step comes twice."""
    with ledger_places.on(postgres):
        yield lock_of(tmp_path)


@pytest.mark.slow
def test_a_step_is_begun_once(on_server: BatchTables) -> None:
    """A broker may deliver it a second time: while the first goes on, and after it."""
    with on_server.held(ONE) as held:
        with on_server.entered(ONE, "uploaded_orders"):
            with (
                pytest.raises(LeaseLost, match="it is not done a second time"),
                on_server.entered(ONE, "uploaded_orders"),
            ):
                pass
            assert held.steps() == {"uploaded_orders": False}
        with pytest.raises(LeaseLost), on_server.entered(ONE, "uploaded_orders"):
            pass


@pytest.mark.slow
def test_a_step_whose_worker_was_killed_is_told(on_server: BatchTables, tmp_path: Path) -> None:
    """On this machine at once, by its process."""
    with on_server.held(ONE) as held, step_elsewhere(tmp_path, ONE, "uploaded_orders") as step:
        assert held.steps() == {"uploaded_orders": False}
        step.kill()
        step.wait(10)
        assert held.steps() == {"uploaded_orders": True}


def put_to_sleep(folder: Path) -> None:
    """Make all leases as old as those of a machine that is gone."""
    then = text_of(datetime.now(UTC) - timedelta(seconds=LEASE_S + 1))
    with connected(folder) as ledger:
        ledger.exec_driver_sql(f"UPDATE leases SET renewed_at = '{then}', host = 'elsewhere'")


@pytest.mark.slow
def test_a_run_of_a_dead_machine_is_followed_after_a_minute(on_server: BatchTables, tmp_path: Path) -> None:
    """And should it live after all, none of its tables goes into place any more."""
    ledger = on_server.ledger
    assert isinstance(ledger, SharedLedger)
    assert life_of(ledger, STORE_ID, BATCH, ONE.id) is Life.NOT_THERE
    with on_server.held(ONE) as held, on_server.entered(ONE, "upload_plan") as entered:
        assert life_of(ledger, STORE_ID, BATCH, ONE.id) is Life.ALIVE
        put_to_sleep(tmp_path)
        assert life_of(ledger, STORE_ID, BATCH, ONE.id) is Life.GONE
        with on_server.held(OTHER):
            assert life_of(ledger, STORE_ID, BATCH, OTHER.id) is Life.ALIVE
            for each in (held, entered):
                with pytest.raises(CorsoError, match="another loader took over"):
                    each.check()
        assert life_of(ledger, STORE_ID, BATCH, OTHER.id) is Life.NOT_THERE


@pytest.mark.slow
def test_what_was_is_kept_and_steps_leave_nothing(on_server: BatchTables, tmp_path: Path) -> None:
    """One tenure a run; the rows of steps go with it."""
    for run in (ONE, OTHER):
        with on_server.held(run), on_server.entered(run, "upload_plan"):
            pass
    leases, tenures = rows_in(tmp_path, "leases", "tenures")
    assert [row["name"] for row in leases] == [f"batch {STORE_ID}/{BATCH}"]
    assert [(row["holder"], row["ended_as"]) for row in tenures] == [
        (f"run {ONE.id}", "released"),
        (f"run {OTHER.id}", "released"),
    ]


@pytest.mark.slow
def test_a_run_of_one_process_is_followed_at_once_when_that_is_gone(
    each_database: str, tmp_path: Path
) -> None:
    """As the command's: whoever starts it again after a kill waits for nothing."""
    program = STEP.replace("lock.entered(Run(run, in_steps=True), step)", "lock.held(Run(run))")
    ledger = place_of(tmp_path)
    url = f"postgresql:{ledger.url.scheme_specific}" if isinstance(ledger, SharedLedger) else ""
    command = [sys.executable, "-c", program, url, str(tmp_path), "33333333", ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        lock = lock_of(tmp_path)
        with pytest.raises(IN_USE, match=f"process {process.pid} on .*, run 33333333"), lock.held(OTHER):
            pass
        process.kill()
        process.wait(10)
        with lock.held(OTHER):
            pass
