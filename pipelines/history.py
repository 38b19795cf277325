"""Dagster's history as the sensors ask it: how the last run of a batch ended, and which runs lost their process."""

import socket
from collections.abc import Callable
from datetime import datetime

import dagster as dg

from assets.run_tags import (
    DROP_TAG,
    ENDED_TAG,
    HOST_TAG,
    PARTITION_TAG,
    PROCESS_TAG,
    RESUME_TAG,
)
from corso.stages.batch import is_running
from corso.stages.nightly import MOST_KILLED, Ended, LastRun

LOAD_JOB = "load_batch"

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


def last_run_of(instance: dg.DagsterInstance, key: str) -> LastRun | None:
    """Return how the last load of a batch ended, whoever started it; None where there was none."""
    asked = dg.RunsFilter(job_name=LOAD_JOB, tags={PARTITION_TAG: key})
    runs = list(instance.get_runs(asked, limit=MOST_KILLED))
    if not runs:
        return None
    last = runs[0]
    signature = last.tags.get(DROP_TAG, "")
    resume_at = last.tags.get(RESUME_TAG)
    return LastRun(
        signature,
        _ended(last),
        datetime.fromisoformat(resume_at) if resume_at else None,
        _in_a_row(runs, lambda run: run.tags.get(DROP_TAG, "") == signature),
    )


def _in_a_row(runs: list[dg.DagsterRun], is_one: Callable[[dg.DagsterRun], bool]) -> int:
    return next((number for number, run in enumerate(runs) if not is_one(run)), len(runs))


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


def end_killed_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs whose process on this machine is gone as failed: Dagster would show them as under way for ever."""
    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={HOST_TAG: socket.gethostname()})
    for run in instance.get_runs(under_way):
        if not is_running(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "The process was killed; the next run of this batch goes on.")
