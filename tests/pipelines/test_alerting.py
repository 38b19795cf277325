"""Which runs and nights people are told of, and that they are told once."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from assets.freshness import CHECK, LANDING, last_nights_load_ran
from assets.partitions import BATCHES
from assets.resources import LoaderFile
from assets.run_history import last_run_of
from assets.run_tags import COMMAND_TAG, DROP_TAG, ENDED_TAG, PARTITION_TAG, RESUME_TAG, SAID_TAG, note_end
from assets.running import whole_run
from corso.delivery.ledger import Ledger
from corso.errors import (
    ExportError,
    Interrupted,
    LeaseLost,
    LedgerInUse,
    NotSent,
    Outage,
    OutcomeUnknown,
    Parked,
    Stopped,
)
from corso.report.summary import OutcomeCounts, ReconciliationCounts, Summary, TableCounts
from corso.stages.alerts import AlertWays
from corso.stages.batch import Batch
from corso.stages.landing import Landing
from corso.stages.nightly import MOST_KILLED, Ended
from pipelines.alerting import alert_of_a_look, alert_of_failure, watch
from pipelines.hooks import cause_of
from tests.clocks import JumpingClock
from tests.fake_corso import operation
from tests.loader_process import Shop
from tests.locked_folders import lock

FILES = {"orders": "{batch}/orders.csv", "line_items": "{batch}/lines.csv"}
KEY = "north/2026-11-26"
NOW = datetime(2026, 11, 26, 15, tzinfo=UTC)
FAILURE, SUCCESS = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that is gone afterwards."""
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def landing(tmp_path: Path) -> Landing:
    """A folder with one store, whose nights are due at seven."""
    Shop(tmp_path / "landing" / "north", files=FILES).configure('nightly: {due_by: "07:00"}')
    return Landing(tmp_path / "landing")


def run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus = FAILURE, key: str = KEY, **tags: str
) -> dg.DagsterRun:
    """Make a load of a batch that ended so."""
    known = {PARTITION_TAG: key, DROP_TAG: "d"}
    begun = status in {FAILURE, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED}
    made = create_run_for_test(
        instance,
        job_name="load_batch",
        status=dg.DagsterRunStatus.STARTING if begun else status,
        tags=known | tags,
    )
    for kind in ["PIPELINE_START", f"PIPELINE_{status.value}"] if begun else []:
        event = dg.DagsterEvent(event_type_value=kind, job_name="load_batch")
        instance.report_dagster_event(event, run_id=made.run_id)
    found = instance.get_run_by_id(made.run_id)
    assert found is not None
    return found


def told(instance: dg.DagsterInstance, landing: Landing, run_id: str) -> str | None:
    """Return what is told of a run."""
    found = instance.get_run_by_id(run_id)
    assert found is not None
    alert = alert_of_failure(instance, found, landing)
    return alert.text if alert else None


def test_a_run_that_a_guard_stopped_is_told_with_its_sentence(
    instance: dg.DagsterInstance, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Store, batch, what happened, what to do, where to look."""
    monkeypatch.setenv("CORSO_ALERT_UI", "https://dagster.example/")
    stopped = run(instance)
    note_end(instance, stopped.run_id, Stopped("12.0% are quarantined; nothing was sent"))
    said = told(instance, landing, stopped.run_id)
    assert said is not None
    assert said.startswith(
        "corso-loader: store north, batch 2026-11-26: 12.0% are quarantined; nothing was sent.\nLook at"
    )
    assert said.endswith(f"https://dagster.example/runs/{stopped.run_id}")


def test_nothing_personal_and_no_secret_is_told(instance: dg.DagsterInstance, landing: Landing) -> None:
    """Neither in the tags nor in the alert; of an error that nobody expected, only its class."""
    refused, strange = run(instance), run(instance)
    note_end(instance, refused.run_id, ExportError("orders.csv:3: 'ann@example.com' is no date"))
    note_end(instance, strange.run_id, ValueError("Ann Lee"))
    tags = str([each.tags for each in instance.get_runs()])
    said = f"{told(instance, landing, refused.run_id)}{told(instance, landing, strange.run_id)}"
    assert "orders.csv:3: '•••' is no date" in said or "orders.csv:3: ••• is no date" in said
    assert "(ValueError)" in said
    assert "ann@" not in tags + said
    assert "Ann Lee" not in tags + said


@pytest.mark.parametrize(
    ("error", "happened"),
    [
        (
            OSError(28, "No space left on device", "work/x.db"),
            "work/x.db: the disk is full or failing (No space",
        ),
        (MemoryError(), "memory ran out: give the program more, or lower limits.memory"),
    ],
    ids=["disk", "memory"],
)
def test_what_the_machine_refuses_is_told_with_the_place(
    instance: dg.DagsterInstance, landing: Landing, error: Exception, happened: str
) -> None:
    """No defect of the program, and nothing to report."""
    ended = run(instance)
    note_end(instance, ended.run_id, error)
    said = told(instance, landing, ended.run_id)
    assert said is not None
    assert happened in said
    assert "load the batch again" in said
    # A run that never came to be in a history that is full: what ended it is told, not this.
    note_end(instance, str(uuid4()), error)


def test_a_history_that_cannot_be_written_is_what_ended_the_run() -> None:
    """Dagster says then that there is no such run."""
    full = OSError("Dagster's history runs.db: the disk is full or failing")
    missing = dg.DagsterError("run not found")
    missing.__context__ = full
    assert cause_of(missing) is full


@pytest.mark.parametrize("error", [Parked("later", resume_at=NOW), LedgerInUse("another"), Interrupted("^C")])
def test_of_what_goes_on_by_itself_nobody_is_told(
    instance: dg.DagsterInstance, landing: Landing, error: Exception
) -> None:
    """Where it takes too long, the night is late."""
    ended = run(instance)
    note_end(instance, ended.run_id, error)
    assert told(instance, landing, ended.run_id) is None


@pytest.mark.parametrize(
    "error", [Outage("the circuit is open"), NotSent("cannot be reached"), OutcomeUnknown("502")]
)
def test_an_outage_is_told_once_and_goes_on_by_itself(
    instance: dg.DagsterInstance, landing: Landing, error: Exception
) -> None:
    """An hour later, as often as it takes; whoever is called in the night sees to Corso, not to the files."""
    first = run(instance)
    note_end(instance, first.run_id, error)
    last = last_run_of(instance, KEY)
    assert last is not None
    assert (last.ended, last.resume_at is not None) == (Ended.PARKED, True)
    said = told(instance, landing, first.run_id)
    assert said is not None
    assert "It is tried again every hour" in said
    second = run(instance)
    note_end(instance, second.run_id, error)
    assert told(instance, landing, second.run_id) is None


def test_a_folder_that_cannot_be_written_ends_a_run_and_does_not_kill_it(
    instance: dg.DagsterInstance, landing: Landing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be started again twice, and be told as killed."""

    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "/mnt/work")

    monkeypatch.setattr(Batch, "lock", refused)
    begun = run(instance)
    with pytest.raises(OSError, match="Read-only"), whole_run(instance, begun, landing):
        pass
    last = last_run_of(instance, KEY)
    assert last is not None
    assert last.ended is Ended.STOPPED
    said = told(instance, landing, begun.run_id)
    assert said is not None
    assert "Read-only file system" in said
    assert "/mnt/work" in said


def test_a_run_of_the_command_is_left_to_its_user(instance: dg.DagsterInstance, landing: Landing) -> None:
    """Who sits before it has read the sentence."""
    ended = run(instance, **{COMMAND_TAG: "load_batch", ENDED_TAG: "Stopped"})
    assert told(instance, landing, ended.run_id) is None


def test_what_somebody_interrupted_at_a_terminal_is_not_started_again(instance: dg.DagsterInstance) -> None:
    """What the machine interrupted is, as if it had been killed."""
    for at_a_terminal, ended in ((True, Ended.STOPPED), (False, Ended.KILLED)):
        note_end(instance, run(instance).run_id, Interrupted("^C"), at_a_terminal=at_a_terminal)
        last = last_run_of(instance, KEY)
        assert last is not None
        assert last.ended is ended


def test_a_step_that_comes_after_its_run_was_killed_does_not_say_how_it_ended(
    instance: dg.DagsterInstance,
) -> None:
    """Its message was late: the batch is not its run's any more. The run was killed, and another one goes on."""
    killed = run(instance)
    note_end(instance, killed.run_id, LeaseLost("the run is over"))
    last = last_run_of(instance, KEY)
    assert last is not None
    assert last.ended is Ended.KILLED


def test_a_forced_termination_is_a_persons_whatever_the_run_ends_as(
    instance: dg.DagsterInstance, landing: Landing
) -> None:
    """Dagster marks it as cancelled at once; the process that is interrupted then ends it as failed."""
    ended = run(instance)
    instance.report_run_canceled(ended)
    note_end(instance, ended.run_id, Interrupted("asked to end"))
    failed = dg.DagsterEvent(event_type_value="PIPELINE_FAILURE", job_name="load_batch")
    instance.report_dagster_event(failed, run_id=ended.run_id)
    last = last_run_of(instance, KEY)
    assert last is not None
    assert last.ended is Ended.STOPPED
    assert told(instance, landing, ended.run_id) is None


def test_a_run_that_is_killed_again_and_again_is_told(instance: dg.DagsterInstance, landing: Landing) -> None:
    """Not the first time: the sensor starts it again."""
    said = [told(instance, landing, run(instance).run_id) for _ in range(MOST_KILLED)]
    assert said[:-1] == [None] * (MOST_KILLED - 1)
    assert said[-1] is not None
    assert f"its run was killed {MOST_KILLED} times in a row" in said[-1]


@pytest.mark.parametrize(("rejected", "is_told"), [(0, False), (1, True)])
def test_a_batch_that_needs_a_look_is_told(
    instance: dg.DagsterInstance, landing: Landing, rejected: int, is_told: bool
) -> None:
    """With the verdict that heads its report."""
    folder = landing.batch(KEY).folder
    folder.mkdir(parents=True)
    Summary(
        store_id=9359,
        batch="2026-11-26",
        exit_code=rejected,
        source=TableCounts(orders=3),
        accepted=TableCounts(orders=3),
        outcome=OutcomeCounts(created=3 - rejected, rejected=rejected),
        reconciliation=ReconciliationCounts(matched=3 - rejected, missing=rejected),
    ).write(folder / "summary.json")
    alert = alert_of_a_look(run(instance, SUCCESS), landing)
    assert (alert is not None) is is_told
    if alert:
        assert "loaded. Needs a look: 1 of 3 source orders is not in Corso and equal: 1 missing" in alert.text


class Watched:
    """The watch, looked through again and again, and what it told."""

    def __init__(
        self, instance: dg.DagsterInstance, landing: Landing, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.instance, self.landing, self.cursor = instance, landing, None
        self.told: list[str] = []
        monkeypatch.setattr(AlertWays, "send", lambda _ways, alert: self.told.append(alert.text) or [])

    def look(self, now: datetime = NOW) -> list[tuple[str | None, bool]]:
        """Look once; return what the check says of which store where it changed."""
        self.told.clear()
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result: Any = watch(context, self.landing, now)
        self.cursor = result.cursor
        for event in result.asset_events:
            assert event.asset_key == LANDING.key
            self.instance.report_runless_asset_event(event)
        seen = [event for event in result.asset_events if isinstance(event, dg.AssetObservation)]
        checks = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        loaded = [(event.partition, bool(event.metadata["loaded"].value)) for event in seen]
        assert [check.check_name for check in checks] == [CHECK] * bool(seen)
        assert all(check.passed == all(each for _, each in loaded) for check in checks)
        return loaded


@pytest.fixture
def watched(instance: dg.DagsterInstance, landing: Landing, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """The watch of the store."""
    return Watched(instance, landing, monkeypatch)


def test_a_late_night_is_told_once_and_the_check_turns_green_when_it_is_loaded(watched: Watched) -> None:
    """A backfill of an old day does not count."""
    instance = watched.instance
    instance.add_dynamic_partitions(BATCHES.name or "", ["north/2026-11-01", KEY, "south/2026-11-26"])
    run(instance, SUCCESS, "north/2026-11-01")
    run(instance, SUCCESS, "south/2026-11-26")
    assert watched.look() == [("north", False)]
    (text,) = watched.told
    assert "batch 2026-11-26: it was not loaded by 2026-11-26 07:00 EST: no run was started." in text
    assert watched.look(NOW + timedelta(minutes=5)) == []
    assert watched.told == []
    run(instance, SUCCESS)
    assert watched.look(NOW + timedelta(minutes=10)) == [("north", True)]
    assert watched.look(NOW + timedelta(days=1)) == [("north", True)]
    assert watched.look(NOW + timedelta(days=2)) == [("north", False)]
    assert len(watched.told) == 1


def test_a_store_that_cannot_be_read_is_told_once_and_again_when_it_breaks_anew(watched: Watched) -> None:
    """The others are watched all the same."""
    config = watched.landing.path / "north" / "loader.yaml"
    good = config.read_text(encoding="utf-8")
    for text, count in (
        (good, 1),
        ("store: {id: one}", 1),
        ("store: {id: one}", 0),
        (good, 1),
        ("store: 1", 1),
    ):
        config.write_text(text, encoding="utf-8")
        watched.look()
        assert len(watched.told) == count, text


def test_a_folder_that_cannot_be_looked_into_silences_no_store(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as a store that cannot be read, and the one that is late is told, too."""
    (watched.landing.path / "east").mkdir()
    lock(watched.landing.path / "east", monkeypatch)
    assert watched.look() == [("east", False), ("north", False)]
    assert ["cannot be read (Permission denied)" in each for each in watched.told] == [True, False]
    assert watched.landing.path.joinpath("east").as_posix() in watched.told[0]
    result = last_nights_load_ran(
        dg.build_asset_check_context(
            instance=watched.instance, resources={"loader": LoaderFile(path=str(watched.landing.path))}
        )
    )
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed
    assert "cannot be read (Permission denied)" in (result.description or "")


@pytest.mark.parametrize("stores", [1, 5], ids=["one alert", "many told as one"])
def test_what_no_way_took_is_told_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, stores: int
) -> None:
    """Until one takes it, and then not again; that the other way fails all the time does not matter."""
    for store in range(1, stores):
        Shop(watched.landing.path / f"s{store}", files=FILES).configure('nightly: {due_by: "07:00"}')
    monkeypatch.setenv("CORSO_ALERT_WEBHOOK", "https://hooks.example/T0KEN")
    monkeypatch.setenv("CORSO_ALERT_MAIL", "smtp://mail.example")
    sent: list[str] = []
    failures = iter([["no webhook", "no mail"], ["no webhook", "no mail"], ["no webhook"], []])
    monkeypatch.setattr(AlertWays, "send", lambda _ways, alert: sent.append(alert.text) or next(failures))
    for minutes, count in ((0, 1), (5, 2), (10, 3), (15, 3)):
        watched.look(NOW + timedelta(minutes=minutes))
        assert len(sent) == count
    assert len(set(sent)) == 1


def begin(instance: dg.DagsterInstance, key: str) -> None:
    """Have a load of a batch begin, and not end."""
    started = run(instance, dg.DagsterRunStatus.STARTING, key)
    event = dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="load_batch")
    instance.report_dagster_event(event, run_id=started.run_id)


def test_runs_that_wait_or_stand_still_for_too_long_are_told_once(watched: Watched) -> None:
    """Stuck is not failed: nobody else would say so."""
    (watched.landing.path / "north" / "loader.yaml").unlink()
    run(watched.instance, dg.DagsterRunStatus.NOT_STARTED)
    begin(watched.instance, "north/2026-11-25")
    now = datetime.now(UTC)
    watched.look(now)
    assert watched.told == []
    watched.look(now + timedelta(hours=2))
    assert [
        "batch 2026-11-26: its run has been waiting for more than an hour" in each for each in watched.told
    ] == [True]
    watched.look(now + timedelta(hours=7))
    assert [
        "batch 2026-11-25: its run has been at a standstill for more than 6 hours" in each
        for each in watched.told
    ] == [True]


@pytest.mark.parametrize("sign", ["a file", "the ledger"])
def test_a_load_that_takes_days_is_not_said_to_hang(watched: Watched, sign: str) -> None:
    """As long as it moves: it writes what it has read, or what it sends."""
    begin(watched.instance, "north/2026-11-25")
    batch = watched.landing.batch("north/2026-11-25")
    now = datetime.now(UTC)
    for hours in (5, 10, 15):
        at = now + timedelta(hours=hours)
        if sign == "a file":
            page = batch.folder / "read_back" / "checkpoint.sqlite-wal"
            page.parent.mkdir(parents=True, exist_ok=True)
            page.touch()
            os.utime(page, (at.timestamp(), at.timestamp()))
        else:
            settings = batch.settings
            with Ledger.open(settings.ledger, settings.loader.store.id, clock=JumpingClock(at)) as ledger:
                ledger.plan([operation(hours)], batch.name)
        watched.look(at + timedelta(hours=1))
        assert not any("standstill" in each for each in watched.told)
    watched.look(now + timedelta(hours=22))
    assert any("batch 2026-11-25: its run has been at a standstill" in each for each in watched.told)


def test_the_tags_of_an_end_are_those_that_the_sensors_read(instance: dg.DagsterInstance) -> None:
    """Parked has its time, a guard its sentence."""
    parked, stopped = run(instance), run(instance)
    note_end(instance, parked.run_id, Parked("too long a wait", resume_at=NOW))
    note_end(instance, stopped.run_id, Stopped("too many"))
    kept = {each.run_id: each.tags for each in instance.get_runs()}
    assert kept[parked.run_id][RESUME_TAG] == "2026-11-26T15:00:00+00:00"
    assert (kept[stopped.run_id][ENDED_TAG], kept[stopped.run_id][SAID_TAG]) == ("Stopped", "too many")
    assert RESUME_TAG not in kept[stopped.run_id]
