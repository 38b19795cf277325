"""A run as it works on its batch: what is noted as it begins, the batch's lock, its log, its metrics.

`whole_run` is for the process in which a run goes on from its start to its end: all of it, or, where its steps are
processes of their own, the one that starts them (`pipelines.executors`). `step_of_run` is for those.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import dagster as dg

from assets.run_tags import EXECUTOR_TAG, PARTITION_TAG, note_end, note_start
from corso.delivery.batch_lock import Held, Run
from corso.errors import CorsoError
from corso.logs import are_wanted, json_lines
from corso.stages.batch import Batch
from corso.stages.landing import Landing
from corso.stages.metrics import write_metrics

_LOG = logging.getLogger("corso.run")


def is_in_steps(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Say whether a run's steps are processes of their own. Asked of the history: a step's own copy of the run is older."""
    run = instance.get_run_by_id(run_id)
    return run is not None and EXECUTOR_TAG in run.tags


@contextmanager
def whole_run(
    instance: dg.DagsterInstance, run: dg.DagsterRun, landing: Landing, executor: str | None = None
) -> Iterator[Held]:
    """Hold the run's batch, whoever started the run; `executor`: whose processes its steps are, where they are.

    Raises LedgerInUse, LeaseHeld, LedgerError, SettingsError.
    """
    with ExitStack() as undo:
        try:
            note_start(instance, run, landing, executor)
            batch = landing.batch(run.tags[PARTITION_TAG])
            held = undo.enter_context(batch.lock().held(Run(run.run_id, in_steps=executor is not None)))
            if executor is None:
                undo.enter_context(batch.at_work(held))
        except (CorsoError, OSError) as error:
            # A folder that cannot be written: without this it would count as killed, and be started again.
            note_end(instance, run.run_id, error)
            raise
        _log_to(batch, run, undo)
        _LOG.info("%s begins", run.job_name)
        try:
            yield held
        finally:
            _LOG.info("%s ends", run.job_name)
            _measure(batch)


@contextmanager
def step_of_run(
    instance: dg.DagsterInstance, run: dg.DagsterRun, landing: Landing, step: str
) -> Iterator[Held]:
    """Work on the batch as a step of a run that holds it. Raises LeaseLost, LedgerError, SettingsError."""
    with ExitStack() as undo:
        try:
            batch = landing.batch(run.tags[PARTITION_TAG])
            held = undo.enter_context(batch.lock().entered(Run(run.run_id, in_steps=True), step))
            undo.enter_context(batch.at_work(held))
        except CorsoError as error:
            note_end(instance, run.run_id, error)
            raise
        _log_to(batch, run, undo)
        yield held


def _log_to(batch: Batch, run: dg.DagsterRun, undo: ExitStack) -> None:
    if are_wanted():
        named = {"store": str(batch.settings.loader.store.id), "batch": batch.name, "run": run.run_id}
        undo.enter_context(json_lines(named))


def _measure(batch: Batch) -> None:
    """Write what an operator plots. That it cannot be written does not undo the run."""
    try:
        write_metrics(batch, datetime.now(UTC))
    except (CorsoError, OSError) as error:
        _LOG.warning("metrics: %s", error)
