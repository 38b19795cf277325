"""Dagster's history as sensors and checks ask it: how the last run of a batch ended, and which runs lost their process."""

import socket
from collections.abc import Sequence
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
    runs = list(instance.get_run_records(asked, limit=MOST_KILLED))
    if not runs:
        return None
    last = runs[0]
    tags = last.dagster_run.tags
    signature, resume_at = tags.get(DROP_TAG, ""), tags.get(RESUME_TAG)
    return LastRun(
        signature,
        _ended(last.dagster_run),
        datetime.fromisoformat(resume_at) if resume_at else None,
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


def end_killed_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs whose process on this machine is gone as failed: Dagster would show them as under way for ever."""
    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={HOST_TAG: socket.gethostname()})
    for run in instance.get_runs(under_way):
        if not is_running(run.tags.get(PROCESS_TAG, "")):
            instance.report_run_failed(run, "The process was killed; the next run of this batch goes on.")
