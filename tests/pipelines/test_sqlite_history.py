"""Dagster's history in files that stay open is the same history, for whoever else reads and writes it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from pipelines import sqlite_history
from pipelines.instance import FILES_KEPT_OPEN
from pipelines.sqlite_history import MOST_RUNS_OPEN, SqliteHistory, open_database

pytestmark = pytest.mark.slow


@pytest.fixture
def kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance by what the command writes into dagster.yaml."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{FILES_KEPT_OPEN}")
    with dg.DagsterInstance.get() as instance:
        yield instance


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a", "b"]))
def thing() -> dg.MaterializeResult[None]:
    """Something."""
    return dg.MaterializeResult(metadata={"number": 7})


def loaded(instance: dg.DagsterInstance, partition: str = "a") -> str:
    """Materialize the thing; return the run's id."""
    done = dg.materialize([thing], instance=instance, partition_key=partition)
    assert done.success
    return done.run_id


def numbers(instance: dg.DagsterInstance) -> list[object]:
    """Return what is known of the thing, newest first."""
    found = instance.fetch_materializations(thing.key, limit=100).records
    return [
        each.asset_materialization.metadata["number"].value for each in found if each.asset_materialization
    ]


def test_what_is_kept_open_is_read_by_dagsters_own_storage_and_the_other_way_round(
    kept_open: dg.DagsterInstance, tmp_path: Path
) -> None:
    """At the same time; so a home may change from one to the other."""
    assert type(kept_open.event_log_storage).__module__ == SqliteHistory.__module__
    first = loaded(kept_open)
    other = tmp_path / "other"
    other.mkdir()
    (other / "dagster.yaml").write_text(
        f"telemetry: {{enabled: false}}\nstorage: {{sqlite: {{base_dir: {tmp_path}}}}}\n"
    )
    with dg.DagsterInstance.from_config(str(other)) as plain:
        assert type(plain.event_log_storage) is SqliteEventLogStorage
        assert [run.run_id for run in plain.get_runs()] == [first]
        assert len(plain.all_logs(first)) == len(kept_open.all_logs(first)) > 5
        second = loaded(plain, "b")
        assert [run.run_id for run in kept_open.get_runs()] == [second, first]
        assert numbers(kept_open) == numbers(plain) == [7, 7]
        assert kept_open.get_materialized_partitions(thing.key) == {"a", "b"}


def test_events_do_not_open_a_database_anew(
    kept_open: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for each run, and those that are there; an engine that is made anew compiles each statement again."""
    loaded(kept_open)
    opened: list[str] = []
    original = sqlite_history.open_database

    def count(url: str) -> db.Engine:
        opened.append(url)
        return original(url)

    monkeypatch.setattr(sqlite_history, "open_database", count)
    monkeypatch.setattr(
        "dagster._core.storage.event_log.sqlite.sqlite_event_log.create_engine",
        lambda *_args, **_named: pytest.fail("an engine of Dagster's own"),
    )
    run_id = loaded(kept_open)
    assert len(opened) == 1
    assert run_id in opened[0]


def test_only_some_runs_are_kept_open_and_deleted_ones_are_gone(kept_open: dg.DagsterInstance) -> None:
    """A web server reads the events of thousands; what was wiped does not come back from an open file."""
    runs = [loaded(kept_open) for _ in range(MOST_RUNS_OPEN + 3)]
    counts = {run: len(kept_open.all_logs(run)) for run in runs}
    assert set(counts.values()) == {counts[runs[0]]}
    assert len(kept_open.event_log_storage._of_runs) == MOST_RUNS_OPEN  # type: ignore[attr-defined]
    kept_open.delete_run(runs[0])
    assert kept_open.all_logs(runs[0]) == []
    kept_open.wipe()
    assert kept_open.get_runs() == []
    assert numbers(kept_open) == []
    again = loaded(kept_open)
    assert len(kept_open.all_logs(again)) == counts[runs[0]]


def test_a_disk_that_is_full_is_told_with_the_file_and_is_no_mistake_of_the_program(tmp_path: Path) -> None:
    """SQLAlchemy's own error would be one that nobody expected."""
    engine = open_database(f"sqlite:///{tmp_path / 'runs.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE events (body TEXT)")
        connection.exec_driver_sql("PRAGMA max_page_count = 4")
        with pytest.raises(OSError, match=r"Dagster's history .*runs\.db: the disk is full or failing"):
            connection.exec_driver_sql("INSERT INTO events VALUES (hex(zeroblob(100000)))")
    engine.dispose()


_ON_A_FULL_DISK = """
import resource, sys
from pipelines.sqlite_history import SqliteHistory
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    SqliteHistory(sys.argv[1])
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 8192])
def test_a_history_for_which_there_is_no_room_is_told_with_its_folder(room: int, tmp_path: Path) -> None:
    """The ordinary case of a full disk: it was full before the night's run opened the history."""
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ON_A_FULL_DISK, str(home), str(room)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"Dagster's history {home}: the disk is full or failing: "), done.stderr


_OPENS = """
import sys
from pipelines.sqlite_history import SqliteHistory
print("ready", flush=True)
sys.stdin.readline()
print(len(list(SqliteHistory(sys.argv[1]).run_storage.get_run_ids())))
"""


def test_processes_that_open_a_new_home_at_the_same_moment_do_not_spoil_it(tmp_path: Path) -> None:
    """Web server, daemon and code server may be started in any order, and at once."""
    command = [sys.executable, "-W", "ignore", "-c", _OPENS, str(tmp_path / "home")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(command, **pipes, text=True) as one,
        subprocess.Popen(command, **pipes, text=True) as two,
    ):
        for process in (one, two):
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.write("now\n")
            process.stdin.flush()
        assert [process.communicate(timeout=60)[0] for process in (one, two)] == ["0\n", "0\n"]
