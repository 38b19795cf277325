"""Sensors that tell people: of runs that failed, of batches that need a look, of nights that are late, of runs that hang.

Dagster calls them; what is said, and by which way, is `corso.stages.alerts`. A parked run is told of by nobody: it goes
on by itself, and where that is too late, the night is late. Runs of the command are left to whoever started them.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.freshness import evaluation_of, freshness_of, observation_of, unread
from assets.partitions import BATCHES
from assets.resources import LoaderFile
from assets.run_history import last_run_of
from assets.run_tags import COMMAND_TAG, ENDED_TAG, PARTITION_TAG, RESUME_TAG, SAID_TAG
from corso import errors
from corso.report.summary import Summary
from corso.report.verdict import verdict
from corso.stages.alerts import Alert, AlertWays, alert_of_error, told_together
from corso.stages.freshness import Freshness
from corso.stages.landing import Landing
from corso.stages.nightly import MOST_KILLED
from corso.stages.progress import moved_at

WATCH_EVERY_S = 300
LONGEST_WAIT = timedelta(hours=1)
LONGEST_STANDSTILL = timedelta(hours=6)
"""A load may take days. One that has neither sent nor read back nor written anything for so long hangs."""
_ON, _OFF = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED


def build_alerting(watch_every_s: int = WATCH_EVERY_S, *, running: bool = False) -> list[dg.SensorDefinition]:
    """Return the sensors; `running`: they look without anybody having turned them on."""
    status = _ON if running else _OFF
    every_s = min(watch_every_s, 30)

    @dg.run_failure_sensor(name="alert_on_failure", default_status=status, minimum_interval_seconds=every_s)
    def alert_on_failure(context: dg.RunFailureSensorContext, loader: LoaderFile) -> None:
        """Tell of a run that failed and does not go on by itself."""
        _send(context.log, alert_of_failure(context.instance, context.dagster_run, loader.landing))

    @dg.run_status_sensor(
        name="alert_on_a_look",
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=status,
        minimum_interval_seconds=every_s,
    )
    def alert_on_a_look(context: dg.RunStatusSensorContext, loader: LoaderFile) -> None:
        """Tell of a batch that came to its end and needs a look (exit code 1)."""
        _send(context.log, alert_of_a_look(context.dagster_run, loader.landing))

    @dg.sensor(name="watch_the_nights", default_status=status, minimum_interval_seconds=watch_every_s)
    def watch_the_nights(context: dg.SensorEvaluationContext, loader: LoaderFile) -> dg.SensorResult:
        """Evaluate last_nights_load_ran where something changed; tell of late nights and of runs that hang."""
        return watch(context, loader.landing, datetime.now(UTC))

    return [alert_on_failure, alert_on_a_look, watch_the_nights]


def alert_of_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, landing: Landing) -> Alert | None:
    """Return what to tell of a failed run; None where nobody has to do anything."""
    key = run.tags.get(PARTITION_TAG)
    if key is None or COMMAND_TAG in run.tags:
        return None
    ended = run.tags.get(ENDED_TAG)
    if ended == errors.Interrupted.__name__:
        # A person did it.
        return None
    if RESUME_TAG in run.tags and (ended != errors.Outage.__name__ or _is_one_of_many(instance, key)):
        # An outage is told once: it goes on by itself, but not before somebody has seen to Corso.
        return None
    store, batch = _names(landing, key)
    link = _link(run.run_id)
    if ENDED_TAG in run.tags:
        return alert_of_error(store, batch, _error_of(run), link)
    last = last_run_of(instance, key)
    if last is None or last.runs < MOST_KILLED:
        # The sensor starts it again.
        return None
    happened = f"its run was killed {last.runs} times in a row (memory, power, a restart)."
    return Alert(
        store, batch, happened, "See what ends it; then load the batch again: it goes on where it was.", link
    )


def _is_one_of_many(instance: dg.DagsterInstance, key: str) -> bool:
    last = last_run_of(instance, key)
    return last is not None and last.runs > 1


def alert_of_a_look(run: dg.DagsterRun, landing: Landing) -> Alert | None:
    """Return what to tell of a batch that was loaded; None where all is well."""
    key = run.tags.get(PARTITION_TAG)
    if key is None or COMMAND_TAG in run.tags or run.job_name not in {"load_batch", "reconcile_batch"}:
        return None
    store, batch = _names(landing, key)
    loaded = landing.batch(key)
    summary = Summary.read(loaded.file("summary.json"))
    if summary.exit_code == 0:
        return None
    return Alert(
        store,
        batch,
        f"loaded. {verdict(summary)}",
        f"See {loaded.shown('reconciliation.html')}; what was rejected is sent again by `corso-loader retry`.",
        _link(run.run_id),
    )


@dataclass(frozen=True)
class _Finding:
    """Something that the watch tells once."""

    name: str
    """Tells it from others, and stays as long as it does."""
    alert: Alert


def watch(context: dg.SensorEvaluationContext, landing: Landing, now: datetime) -> dg.SensorResult:
    """Look at all stores and runs once; the cursor keeps what was told, and what each store's check said last."""
    kept: dict[str, Any] = json.loads(context.cursor or "{}")
    told, said = set(kept.get("told", [])), dict(kept.get("said", {}))
    known = list(context.instance.get_dynamic_partitions(BATCHES.name or ""))
    findings = list(_hanging(context.instance, landing, now))
    for store, why in landing.twins().items():
        findings.append(_Finding(f"{store} {why}", alert_of_error(store, "", errors.SettingsError(why))))
    events: list[dg.AssetCheckEvaluation | dg.AssetObservation | dg.AssetMaterialization] = []
    judged: dict[str, str] = {}
    nights: dict[str, Freshness] = {}
    for store in landing.stores():
        shown = landing.shown(store)
        try:
            found = freshness_of(context.instance, landing, store, known, now)
        except (errors.CorsoError, OSError) as error:
            alert = alert_of_error(shown, "", error)
            found = unread(alert, now)
            judged[shown] = found.sentence
            findings.append(_Finding(f"{shown} {found.sentence}", alert))
        else:
            if found is None:
                continue
            judged[shown] = f"{found.due_at.isoformat()} {found.is_loaded}"
            if not found.is_loaded:
                alert = Alert(shown, found.batch, f"{found.sentence}.", found.to_do)
                findings.append(_Finding(f"{shown} late {found.due_at.isoformat()}", alert))
        nights[shown] = found
        if said.get(shown) != judged[shown]:
            events.append(observation_of(shown, found))
    if said != judged:
        events.append(evaluation_of(nights))
    taken = _tell(context.log, [finding for finding in findings if finding.name not in told])
    still_told = {finding.name for finding in findings if finding.name in told}
    cursor = {"told": sorted(still_told | taken), "said": judged}
    late = sum(not night.is_loaded for night in nights.values())
    return dg.SensorResult(
        skip_reason=f"{len(nights)} stores are due or cannot be read, {late} are late; {len(findings)} things to tell",
        asset_events=events,
        cursor=json.dumps(cursor, separators=(",", ":")),
    )


def _tell(log: Any, findings: list[_Finding]) -> set[str]:
    """Tell of findings; return the names of those that somebody was told of. The others are told at the next look."""
    alerts = told_together([finding.alert for finding in findings])
    if len(alerts) < len(findings):
        return {finding.name for finding in findings} if all(_send(log, alert) for alert in alerts) else set()
    return {finding.name for finding, alert in zip(findings, alerts, strict=True) if _send(log, alert)}


def _hanging(instance: dg.DagsterInstance, landing: Landing, now: datetime) -> Iterator[_Finding]:
    """Find runs that wait or run for too long."""
    waiting = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
    for record in instance.get_run_records(dg.RunsFilter(statuses=waiting)):
        if now - record.create_timestamp > LONGEST_WAIT:
            yield _hangs(
                record.dagster_run,
                landing,
                f"its run has been waiting for more than {_hours(LONGEST_WAIT)}",
                "See whether another run of the store hangs, and whether the daemon and the code server are well.",
            )
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
    for record in instance.get_run_records(started):
        since = now - LONGEST_STANDSTILL
        if not record.start_time or record.start_time > since.timestamp():
            continue
        if not _has_moved(landing, record.dagster_run, since):
            yield _hangs(
                record.dagster_run,
                landing,
                f"its run has been at a standstill for more than {_hours(LONGEST_STANDSTILL)}",
                "See `corso-loader status`; cancel the run, and load the batch again: it goes on where it was.",
            )


def _has_moved(landing: Landing, run: dg.DagsterRun, since: datetime) -> bool:
    """Say whether a run has done anything since then, as far as can be told."""
    try:
        moved = moved_at(landing.batch(run.tags.get(PARTITION_TAG, "")))
    except (errors.CorsoError, OSError):
        return False
    return moved is not None and moved > since


def _hangs(run: dg.DagsterRun, landing: Landing, happened: str, to_do: str) -> _Finding:
    store, batch = _names(landing, run.tags.get(PARTITION_TAG, ""))
    return _Finding(f"{run.run_id} {happened}", Alert(store, batch, f"{happened}.", to_do, _link(run.run_id)))


def _hours(span: timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    return "an hour" if hours == 1 else f"{hours} hours"


def _names(landing: Landing, key: str) -> tuple[str, str]:
    """Return store and batch of a partition as people call them."""
    try:
        store, batch = landing.split(key)
    except errors.CorsoError:
        return "", key
    return landing.shown(store), batch


def _error_of(run: dg.DagsterRun) -> BaseException:
    """Return what ended a run as an error of its class: the tags tell class and sentence."""
    kind = getattr(errors, run.tags[ENDED_TAG], None)
    said = run.tags.get(SAID_TAG, "")
    if isinstance(kind, type) and issubclass(kind, errors.CorsoError):
        return _told(kind, said)
    match run.tags[ENDED_TAG]:
        case "OSError":
            return OSError(said)
        case "MemoryError":
            return MemoryError()
        case unexpected:
            # Told by its class alone.
            made: type[Exception] = type(unexpected, (Exception,), {})
            return made()


def _told(kind: type[errors.CorsoError], said: str) -> errors.CorsoError:
    error = kind.__new__(kind)
    error.args = (said,)
    return error


def _link(run_id: str) -> str:
    """Return where the run is seen, if the environment says where Dagster's web UI is (CORSO_ALERT_UI)."""
    root = os.environ.get("CORSO_ALERT_UI", "").rstrip("/")
    return f"{root}/runs/{run_id}" if root else ""


def _send(log: Any, alert: Alert | None) -> bool:
    """Write an alert into the log and send it; say whether one of the ways took it, or there is none but the log."""
    if alert is None:
        return True
    log.warning("%s", alert.text)
    ways = AlertWays.of(os.environ)
    why = ways.send(alert)
    for sentence in why:
        log.error("%s", sentence)
    return len(why) < ways.count or not ways.count
