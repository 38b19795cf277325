"""What is done in a run as it fails: it notes how it ended, and the batch's books are closed on what is there.

Dagster's failure hook is called in the run itself, with the error as it was raised. The command, whose runs raise what
ends them, does the same in `pipelines.running` and `pipelines.verbs`.
"""

from datetime import UTC, datetime

import dagster as dg
from dagster._core.errors import DagsterAssetCheckFailedError

from assets.run_tags import FACTS_TAG, PARTITION_TAG, note_end
from corso.errors import CorsoError, Stopped, UsageError
from corso.machine_errors import is_the_machines, machines_error
from corso.report.summary import Stage
from corso.stages.batch import Batch
from corso.stages.ending import close_unfinished_books
from corso.stages.guards import guard_that_stopped
from corso.unexpected import keep_unexpected, said_of

_STAGES: dict[str, Stage] = {"plan_batch": "plan", "upload_batch": "upload"}


def cause_of(error: BaseException) -> BaseException:
    """Return the error of ours inside one of Dagster's; where there is none, what Dagster had to wrap."""
    seen: BaseException | None = error
    wrapped = error
    while seen is not None and not isinstance(seen, CorsoError):
        wrapped = getattr(seen, "user_exception", None) or wrapped
        if isinstance(wrapped, dg.DagsterError) and is_the_machines(seen):
            # Dagster's own history could not be written.
            wrapped = seen
        seen = seen.__cause__ or getattr(seen, "user_exception", None) or seen.__context__
    return seen or machines_error(wrapped)


def error_of_ours(error: BaseException, batch: Batch) -> BaseException:
    """Return what a step's error is to us: where a blocking check failed, the guard that it is."""
    if isinstance(error, DagsterAssetCheckFailedError):
        return Stopped(guard_that_stopped(batch))
    return cause_of(error)


@dg.failure_hook(required_resource_keys={"loader"})
def note_how_it_ended(context: dg.HookContext) -> None:
    """Say in one sentence what ended the run, note when to try again, close the batch's books."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is None or context.op_exception is None or PARTITION_TAG not in run.tags:
        return
    batch = context.resources.loader.batch(run.tags[PARTITION_TAG])
    error = error_of_ours(context.op_exception, batch)
    note_end(context.instance, run.run_id, error)
    keep_unexpected(error, batch.tables)
    context.log.error(said_of(error))
    if isinstance(error, CorsoError) and not isinstance(error, UsageError):
        stage = _STAGES.get(run.job_name, "reconcile")
        facts_before = float(run.tags.get(FACTS_TAG, 0))
        close_unfinished_books(batch, stage, error, facts_before, datetime.now(UTC))
