"""Dagster's history as sensors and checks ask it: how the last run of a batch ended, and which runs lost their process."""

import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

import dagster as dg

from assets.run_tags import (
    DROP_TAG,
    ENDED_TAG,
    HOST_TAG,
    PARTITION_TAG,
    PROCESS_TAG,
    RESUME_TAG,
)
from corso.database import SharedLedger
from corso.delivery.batch_lock import Run
from corso.delivery.process import is_gone
from corso.errors import CorsoError
from corso.stages.batch import is_running
from corso.stages.landing import Landing
from corso.stages.nightly import MOST_KILLED, TRY_AGAIN, Ended, LastRun

LOAD_JOB = "load_batch"
LONGEST_START_S = 300.0
"""So long a run may take from its start until it holds its batch, and from letting go of it to its end."""
LONGEST_LAUNCH_S = 30.0
"""So long it may take to hand a run over to what carries it to a worker, and a worker to say that it has it."""

_UNDER_WAY = frozenset(
    {
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.MANAGED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    }
)


@runtime_checkable
class KnowsWhoHasRuns(Protocol):
    """A run launcher that knows more than Dagster asks it."""

    def why_lost(self, run: dg.DagsterRun) -> str | None:
        """Say why no worker has a run and none will get it; None where that is not so, or nobody can tell."""


def last_run_of(instance: dg.DagsterInstance, key: str) -> LastRun | None:
    """Return how the last load of a batch ended, whoever started it; None where there was none."""
    asked = dg.RunsFilter(job_name=LOAD_JOB, tags={PARTITION_TAG: key})
    runs = list(instance.get_run_records(asked, limit=MOST_KILLED))
    if not runs:
        return None
    last = runs[0]
    tags = last.dagster_run.tags
    signature, resume_at = tags.get(DROP_TAG, ""), tags.get(RESUME_TAG)
    parked_until = datetime.fromisoformat(resume_at) if resume_at else None
    ended = _ended(last.dagster_run)
    if ended is Ended.KILLED and last.start_time is None:
        # It never began: what carries runs to workers is away, and no batch is to blame for that.
        ended, parked_until = Ended.PARKED, last.update_timestamp.astimezone(UTC) + TRY_AGAIN
    return LastRun(
        signature,
        ended,
        parked_until,
        _in_a_row(runs, signature),
        last.create_timestamp,
        last.dagster_run.run_id,
    )


def _in_a_row(runs: Sequence[dg.RunRecord], signature: str) -> int:
    is_one = [run.dagster_run.tags.get(DROP_TAG, "") == signature for run in runs]
    return is_one.index(False) if False in is_one else len(is_one)


def _ended(run: dg.DagsterRun) -> Ended:
    if run.status in _UNDER_WAY:
        return Ended.NOT_YET
    if run.status is dg.DagsterRunStatus.SUCCESS:
        return Ended.WELL
    if run.status is dg.DagsterRunStatus.CANCELED:
        return Ended.STOPPED
    if RESUME_TAG in run.tags:
        return Ended.PARKED
    return Ended.STOPPED if ENDED_TAG in run.tags else Ended.KILLED


def end_killed_runs(instance: dg.DagsterInstance, landing: Landing | None = None) -> None:
    """Mark runs that were killed as failed: Dagster would show them as under way for ever, and let others wait for them.

    Of this machine it is the process that is gone. Of others, and of other containers of this one, it is the batch: where the
    ledger of `landing` is on a server, by the lease that the run has not renewed, else by the file lock that fell with it. One that was lost before it began is started again as if nothing had been.
    """
    statuses = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    for record in instance.get_run_records(dg.RunsFilter(statuses=statuses)):
        run = record.dagster_run
        is_here = run.tags.get(HOST_TAG) == socket.gethostname()
        if run.status is dg.DagsterRunStatus.STARTING:
            if why := _why_lost(instance, run, record.update_timestamp.timestamp()):
                instance.add_run_tags(
                    run.run_id, {RESUME_TAG: datetime.now(UTC).isoformat(timespec="seconds")}
                )
                instance.report_run_failed(run, why)
        elif is_here and _process_is_gone(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "The process was killed; the next run of this batch goes on.")
        elif landing is not None and _lost_its_batch(instance, landing, record):
            instance.report_run_failed(run, "Its worker was killed; the next run of this batch goes on.")


def _why_lost(instance: dg.DagsterInstance, run: dg.DagsterRun, since: float) -> str | None:
    """Say why a run that was handed over at `since` (POSIX seconds) is with no worker; None where nobody says so."""
    launcher = instance.run_launcher
    if not isinstance(launcher, KnowsWhoHasRuns) or time.time() - since < LONGEST_LAUNCH_S:
        return None
    return launcher.why_lost(run)


def _process_is_gone(told: str) -> bool:
    # Where the system tells no more of processes, and in runs of older versions, it is a number alone.
    return is_gone(told) if " " in told else not is_running(told)


def _is_silent(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Say whether a run's last event was long ago."""
    last = instance.get_records_for_run(run.run_id, limit=1, ascending=False).records
    return all(time.time() - event.timestamp > LONGEST_START_S for event in last)


def _lost_its_batch(instance: dg.DagsterInstance, landing: Landing, record: dg.RunRecord) -> bool:
    """Say whether a run that began does not hold its batch any more, although nothing says that it ended."""
    run, began = record.dagster_run, record.start_time or time.time()
    try:
        batch = landing.batch(run.tags.get(PARTITION_TAG, ""))
        if not isinstance(ledger := batch.settings.ledger, SharedLedger):
            # It lets go a moment before its last event.
            return batch.lock().was_let_go_by(Run(run.run_id)) and _is_silent(instance, run)
        # What speaks to a server is imported where there is one.
        from corso.delivery.batch_lease import Life, life_of  # noqa: PLC0415

        life = life_of(ledger, batch.settings.loader.store.id, batch.name, run.run_id)
    except (CorsoError, OSError):
        # Not a batch of ours, or a server or a disk that is away: the next look tells.
        return False
    if life is not Life.NOT_THERE:
        return life is Life.GONE
    # At its beginning it does not have it yet, and for a moment at its end no more.
    return time.time() - began > LONGEST_START_S or _why_lost(instance, run, began) is not None
