"""The sensor and the schedules: which runs they ask for, of one store and of many."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import MockedRunLauncher

from assets import run_history
from assets.partitions import BATCHES, STORES
from assets.resources import LoaderFile
from assets.run_tags import (
    CREDENTIALS_TAG,
    DROP_TAG,
    ENDED_TAG,
    HOST_TAG,
    PROCESS_TAG,
    RESUME_TAG,
    STORE_TAG,
    tags_of_batch,
)
from corso.delivery.batch_lock import Run
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.landing import Landing
from corso.stages.nightly import MOST_KILLED
from pipelines.schedules import nightly_load, weekly_reconciliation
from tests.loader_process import SECRET, STORE_ID, Shop
from tests.sensor_looks import FILES, SENSOR, Night, drop


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One that can be opened a second time, as a schedule's evaluation does."""
    home = tmp_path / "dagster"
    home.mkdir()
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        yield instance


def shop(
    folder: Path, *batches: str, quiet_s: float = 0, marked: bool = True, store_id: int = STORE_ID
) -> Path:
    """Make a shop with these batches, complete by their markers; return its loader.yaml."""
    shop = Shop(folder, files=FILES, store_id=store_id)
    shop.configure(f"nightly: {{quiet_s: {quiet_s}}}")
    for batch in batches:
        drop(folder / batch, *(["_COMPLETE"] if marked else []))
    return shop.config


@pytest.mark.slow
def test_each_batch_is_started_once_and_in_order(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Whatever the number of looks; a batch that arrives later is seen, and each is a partition."""
    night = Night(instance, shop(tmp_path, "2026-11-21", "2026-11-22", ".hidden"))
    assert night.look() == ["2026-11-21"]
    assert night.look() == []
    assert "2026-11-21: it is being loaded" in night.said
    night.end("2026-11-21")
    assert night.look() == ["2026-11-22"]
    night.end("2026-11-22")
    assert night.look() == []
    assert night.said == "1 stores: no batch that is new and complete"
    drop(tmp_path / "2026-11-23", "_SUCCESS")
    assert night.look() == ["2026-11-23"]
    assert set(instance.get_dynamic_partitions(BATCHES.name or "")) == {
        "2026-11-21",
        "2026-11-22",
        "2026-11-23",
    }


@pytest.mark.slow
def test_a_batch_is_not_started_again_by_a_sensor_that_forgot(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """A cursor that was reset costs some questions, and no run."""
    night = Night(instance, shop(tmp_path, "2026-11-21"))
    night.look()
    night.end("2026-11-21")
    night.cursor = None
    assert night.look() == []


@pytest.mark.slow
def test_what_was_settled_by_a_clock_that_was_ahead_hides_no_batch(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """It would hide all that arrives until then; what it hid is looked at, and what was loaded is not started again."""
    night = Night(instance, shop(tmp_path, "2026-11-21"))
    night.look()
    night.end("2026-11-21")
    night.cursor = json.dumps({"stores": {"": (time.time_ns() + 3600 * 10**9, {})}, "first": ""})
    drop(tmp_path / "2026-11-22", "_COMPLETE")
    assert night.look() == ["2026-11-22"]


@pytest.mark.slow
def test_without_a_marker_a_batch_has_to_come_to_rest(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Two looks at the same files; half a drop is waited for, and named."""
    night = Night(instance, shop(tmp_path, "2026-11-22", quiet_s=0.2, marked=False))
    assert night.look() == []
    assert night.said == "2026-11-22: its files have not come to rest"
    drop(tmp_path / "2026-11-22", text="longer")
    time.sleep(0.25)
    assert night.look() == []
    time.sleep(0.25)
    (tmp_path / "2026-11-22" / "lines.csv").rename(tmp_path / "lines.csv")
    assert night.look() == []
    time.sleep(0.25)
    assert night.look() == []
    assert "exports.line_items: no file fits {batch}/lines.csv" in night.said
    (tmp_path / "lines.csv").rename(tmp_path / "2026-11-22" / "lines.csv")
    night.look()
    time.sleep(0.25)
    assert night.look() == ["2026-11-22"]


@pytest.mark.slow
def test_a_corrected_batch_is_started_again_and_one_that_was_only_looked_at_is_not(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """The run key names what lay there: the same delivery is never loaded by two runs."""
    night = Night(instance, shop(tmp_path, "2026-11-21"))
    night.look()
    first = night.result.run_requests[0].run_key
    night.end("2026-11-21")
    time.sleep(0.02)
    drop(tmp_path / "2026-11-21", "_COMPLETE", text="corrected")
    assert night.look() == ["2026-11-21"]
    assert night.result.run_requests[0].run_key != first
    night.end("2026-11-21")
    time.sleep(0.02)
    (tmp_path / "2026-11-21" / "orders.csv").chmod(0o600)
    assert night.look() == []
    (tmp_path / "2026-11-21").chmod(0o700)
    (tmp_path / "2026-11-21" / "_COMPLETE").unlink()
    assert night.look() == []


@pytest.mark.slow
def test_how_a_run_ended_decides_what_comes_next(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Parked: at its time. Killed: at once. Stopped: not before its files changed, and the next night goes on."""
    night = Night(instance, shop(tmp_path, "2026-11-21", "2026-11-22"))
    failure = dg.DagsterRunStatus.FAILURE
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert night.look() == ["2026-11-21"]
    night.end("2026-11-21", failure, **{ENDED_TAG: "Parked", RESUME_TAG: later})
    assert night.look() == []
    assert "2026-11-21: parked until" in night.said
    night.end("2026-11-21", failure, **{RESUME_TAG: datetime.now(UTC).isoformat()})
    assert night.look() == ["2026-11-21"]
    night.end("2026-11-21", failure)
    assert night.look() == ["2026-11-21"]
    night.end("2026-11-21", failure, **{ENDED_TAG: "Stopped"})
    assert night.look() == ["2026-11-22"]


@pytest.mark.slow
def test_a_batch_is_parked_as_often_as_it_takes_and_an_older_delivery_may_come_back(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Each start is another one to Dagster, which starts nothing twice."""
    night = Night(instance, shop(tmp_path, "2026-11-21"))
    now = datetime.now(UTC).isoformat()
    for _ in range(6):
        assert night.look() == ["2026-11-21"]
        night.end("2026-11-21", dg.DagsterRunStatus.FAILURE, **{ENDED_TAG: "Parked", RESUME_TAG: now})
    assert night.look() == ["2026-11-21"]
    night.end("2026-11-21")
    folder = tmp_path / "2026-11-21"
    kept = {path: (path.read_text(encoding="utf-8"), path.stat().st_mtime_ns) for path in folder.iterdir()}
    time.sleep(0.02)
    drop(folder, "_COMPLETE", text="other")
    assert night.look() == ["2026-11-21"]
    night.end("2026-11-21")
    time.sleep(0.02)
    for path, (text, modified_ns) in kept.items():
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(modified_ns, modified_ns))
    assert night.look() == ["2026-11-21"]


@pytest.mark.slow
def test_a_run_whose_process_is_gone_is_ended_and_its_batch_goes_on(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """After a power cut nobody else would say that it is over."""
    import socket  # noqa: PLC0415

    night = Night(instance, shop(tmp_path, "2026-11-21"))
    night.look()
    (run,) = instance.get_runs()
    instance.add_run_tags(run.run_id, {HOST_TAG: socket.gethostname(), PROCESS_TAG: "999999999"})
    assert night.look() == ["2026-11-21"]
    assert [each.status for each in instance.get_runs()][-1] is dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_a_run_of_a_container_that_was_restarted_is_ended_once_it_is_silent_and_its_batch_is_free(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another host's name its process tells nothing; the lock does. A run elsewhere, that never had it here, is left alone."""
    night = Night(instance, path := shop(tmp_path, "2026-11-21"))
    night.look()
    (run,) = instance.get_runs()
    instance.add_run_tags(run.run_id, {HOST_TAG: "before-the-restart", PROCESS_TAG: "pid:[1] 17 4711"})
    lock = Batch(read_settings(path), "2026-11-21").lock()
    later = time.time() + 2 * run_history.LONGEST_START_S
    monkeypatch.setattr(run_history, "time", SimpleNamespace(time=lambda: later))
    with lock.held(Run("of-another-disk")):
        pass
    assert night.look() == []
    with lock.held(Run(run.run_id)):
        assert night.look() == []
    with monkeypatch.context() as at_its_end:
        at_its_end.setattr(run_history, "time", time)
        assert night.look() == []
    assert night.look() == ["2026-11-21"]
    assert [each.status for each in instance.get_runs()][-1] is dg.DagsterRunStatus.FAILURE


class Launcher(MockedRunLauncher):
    """A run launcher that tells which runs were lost."""

    def why_lost(self, _run: dg.DagsterRun) -> str | None:
        """Say that this one was."""
        return "No worker has it."


@pytest.mark.slow
def test_a_run_that_was_lost_before_it_began_is_started_again_at_once_and_as_often_as_it_takes(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the launcher says that no worker has it, which it is not asked while the run is on its way."""
    monkeypatch.setattr(instance, "_run_launcher", Launcher())
    night = Night(instance, shop(tmp_path, "2026-11-21"))
    night.runs_begin = False
    assert night.look() == ["2026-11-21"]
    assert night.look() == []
    assert instance.get_runs()[0].status is dg.DagsterRunStatus.STARTING
    for number in range(MOST_KILLED + 1):
        with monkeypatch.context() as patched:
            patched.setattr("assets.run_history.LONGEST_LAUNCH_S", 0)
            assert night.look() == ["2026-11-21"]
        began, lost = instance.get_runs()[:2]
        assert (began.status, lost.status) == (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE)
        assert len(instance.get_runs()) == number + 2


@pytest.mark.slow
def test_runs_that_never_began_are_not_counted_against_a_batch(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What carries runs to workers may be away for hours: then each try waits for five minutes, and there is no last one."""
    night = Night(instance, shop(tmp_path, "2026-11-21"))
    night.runs_begin = False
    monkeypatch.setattr("assets.run_history.TRY_AGAIN", timedelta(0))
    for _ in range(MOST_KILLED + 1):
        assert night.look() == ["2026-11-21"]
        night.end("2026-11-21", dg.DagsterRunStatus.FAILURE)
        with monkeypatch.context() as patched:
            patched.setattr("assets.run_history.TRY_AGAIN", timedelta(minutes=5))
            assert night.look() == []
        assert "parked until" in night.said


@pytest.mark.slow
def test_of_many_stores_each_has_its_own_night(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch of each at a time, all at once; a broken loader.yaml stops its store alone, in a sentence."""
    monkeypatch.setenv("CORSO_CLIENT_ID", SECRET)
    monkeypatch.setenv("CORSO_CLIENT_SECRET", SECRET)
    landing = tmp_path / "landing"
    for number, store in enumerate(("north", "south"), 1):
        shop(landing / store, "2026-11-21", "2026-11-22", store_id=number)
    shop(landing / "east", "2026-11-21")
    (landing / "east" / "loader.yaml").write_text("store: {id: one}", encoding="utf-8")
    (landing / "README.txt").write_text("no store", encoding="utf-8")
    night = Night(instance, landing)
    assert night.look() == ["north/2026-11-21", "south/2026-11-21"]
    tags = night.result.run_requests[0].tags
    assert (tags[STORE_TAG], len(tags[CREDENTIALS_TAG]), len(tags[DROP_TAG])) == ("north", 12, 16)
    assert SECRET not in str(tags)
    night.end("south/2026-11-21")
    assert night.look() == ["south/2026-11-22"]
    assert set(instance.get_dynamic_partitions(STORES.name or "")) == {"east", "north", "south"}
    night.end("south/2026-11-22")
    night.end("north/2026-11-21")
    night.look()
    night.end("north/2026-11-22")
    assert night.look() == []
    assert night.said.startswith(f"east: {landing}/east/loader.yaml:1: store.id")
    shop(landing / "east")
    assert night.look() == ["east/2026-11-21"]


@pytest.mark.slow
def test_folders_whose_names_are_not_taken_are_told(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """A store and a batch that nobody would load, with the rule for names."""
    shop(tmp_path / "north", "2026-11-21 (1)")
    shop(tmp_path / "süd", "2026-11-21")
    night = Night(instance, tmp_path)
    assert night.look() == []
    rule = "use letters, digits, dot, dash and underscore (up to 100, not starting with a dot)"
    assert night.said == (
        f"süd: holds a loader.yaml, but no store is named so: {rule}; "
        f"north/2026-11-21 (1): holds export files, but no batch is named so: {rule}"
    )


@pytest.mark.slow
def test_a_broken_env_file_is_left_to_its_stores_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Which fails by a sentence that names the file; the other stores' batches are started."""
    for number, store in enumerate(("north", "south"), 1):
        shop(tmp_path / store, "2026-11-21", store_id=number)
    (tmp_path / "north" / ".env").write_text("CORSO_CLIENT_ID=mühle", encoding="latin-1")
    night = Night(instance, tmp_path)
    assert night.look() == ["north/2026-11-21", "south/2026-11-21"]
    tags = night.result.run_requests[0].tags
    assert (tags[STORE_TAG], CREDENTIALS_TAG in tags) == ("north", False)


@pytest.mark.slow
def test_two_folders_that_are_one_store_are_told_and_not_started(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """A folder that was copied, the id forgotten: they would write over each other's orders. The others go on."""
    shop(tmp_path / "north", "2026-11-22")
    shop(tmp_path / "copy", "2026-11-22")
    shop(tmp_path / "south", "2026-11-22", store_id=1)
    night = Night(instance, tmp_path)
    assert night.look() == ["south/2026-11-22"]
    night.end("south/2026-11-22")
    assert night.look() == []
    assert night.said.startswith(f"copy: the folders copy, north are one store, {STORE_ID} of ")
    assert "north: the folders copy, north" in night.said
    said = tonight(instance, tmp_path, weekly_reconciliation).skip_message or ""
    assert "the folders copy, north are one store" in said
    shop(tmp_path / "copy", store_id=2)
    assert night.look() == ["copy/2026-11-22", "north/2026-11-22"]


def test_a_batch_whose_store_cannot_be_read_has_no_tags(tmp_path: Path) -> None:
    """Its run says what is wrong with it."""
    (tmp_path / "east").mkdir()
    (tmp_path / "east" / "loader.yaml").write_text("store: {id: one}", encoding="utf-8")
    assert tags_of_batch(Landing(tmp_path), "east/2026-11-21") == {}
    assert tags_of_batch(Landing(tmp_path), "2026-11-21") == {}


def test_a_landing_that_is_not_there_is_a_sentence(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """A disk that is not mounted is no stack trace every minute."""
    night = Night(instance, tmp_path / "loader.yaml")
    assert night.look() == []
    assert "loader.yaml: no such file" in night.said


def tonight(instance: dg.DagsterInstance, path: Path, schedule: dg.ScheduleDefinition = nightly_load) -> Any:
    """Let a schedule come round."""
    context = dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime.now(UTC).replace(hour=2, minute=15),
        resources={"loader": LoaderFile(path=str(path))},
    )
    return schedule(context)


@pytest.mark.slow
def test_the_nightly_schedule_asks_for_the_newest_batch(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Once a night; the batch is a partition before the run starts."""
    path = shop(tmp_path, "2026-11-21", "2026-11-22")
    for name in ("orders", "lines"):
        os.utime(tmp_path / "2026-11-21" / f"{name}.csv", (1, 1))
    (request,) = tonight(instance, path)
    assert request.partition_key == "2026-11-22"
    assert request.run_key == f"nightly-{datetime.now(UTC):%Y-%m-%d} 2026-11-22"
    assert instance.get_dynamic_partitions(BATCHES.name or "") == ["2026-11-22"]
    assert (nightly_load.job_name, nightly_load.execution_timezone) == ("load_batch", "UTC")
    assert SENSOR.job_name == "load_batch"


@pytest.mark.slow
def test_of_many_stores_the_schedule_loads_those_that_the_sensor_cannot_see(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Those whose files lie in one place; a store that cannot be read is told and left out."""
    shop(tmp_path / "folders", "2026-11-21")
    files = {"orders": "in/orders.csv", "line_items": "in/lines.csv"}
    flat = Shop(tmp_path / "flat", files=files, store_id=1)
    flat.configure()
    drop(flat.exports)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "loader.yaml").write_text("store: {id: one}", encoding="utf-8")
    (request,) = tonight(instance, tmp_path)
    assert request.partition_key.startswith("flat/20")
    flat.config.unlink()
    assert "broken/loader.yaml:1" in (tonight(instance, tmp_path).skip_message or "")


@pytest.mark.slow
def test_the_weekly_schedule_compares_the_weeks_batches_the_newest_with_everything(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Of each store; what was planned longer ago was compared in its week."""
    for number, store in enumerate(("north", "south"), 1):
        config = shop(tmp_path / store, store_id=number)
        for batch in ("2026-11-20", "2026-11-21", "2026-11-22"):
            plan = config.parent / "work" / str(number) / batch / "tables" / "upload_plan.parquet"
            plan.parent.mkdir(parents=True)
            plan.write_text("x", encoding="utf-8")
        os.utime(tmp_path / store / f"work/{number}/2026-11-20/tables/upload_plan.parquet", (1, 1))
    requests = tonight(instance, tmp_path, weekly_reconciliation)
    asked = {request.partition_key: bool(request.run_config) for request in requests}
    assert asked == {
        "north/2026-11-21": False,
        "north/2026-11-22": True,
        "south/2026-11-21": False,
        "south/2026-11-22": True,
    }
    whole = next(request.run_config for request in requests if request.run_config)
    assert json.dumps(whole) == '{"ops": {"corso_orders": {"config": {"whole_listing": true}}}}'


@pytest.mark.slow
def test_a_look_at_a_year_of_batches_of_many_stores_is_quick(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """Of what is settled nothing is asked but its times; the cursor stays small."""
    stores, batches = 20, 100
    for store in range(stores):
        batch_names = (f"b{batch:03}" for batch in range(batches))
        shop(tmp_path / f"s{store:02}", *batch_names, store_id=store + 1)
    night = Night(instance, tmp_path)
    settled = {f"s{store:02}": (time.time_ns(), {}) for store in range(stores)}
    night.cursor = json.dumps({"stores": settled, "first": ""})
    began = time.process_time()
    assert night.look() == []
    assert time.process_time() - began < 2
    assert len(night.cursor or "") < 60 * stores
