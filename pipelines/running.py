"""Running a job in this process, on the same Dagster instance that the web UI shows."""

import logging
from datetime import datetime
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster import DagsterInstance
from dagster._core.errors import DagsterExecutionInterruptedError

from assets.partitions import BATCHES
from assets.resources import LoaderFile, Progress
from assets.run_history import end_killed_runs
from assets.run_tags import COMMAND_TAG, note_end
from corso.delivery.sender import interrupted
from corso.errors import CorsoError
from corso.extract.drops import changed_batches, has_batch_folders
from corso.extract.files import default_batch
from corso.machine_errors import machines_error
from corso.settings import Settings
from corso.stages.batch import Batch, ProgressWatch
from corso.unexpected import keep_unexpected
from pipelines.definitions import build_defs
from pipelines.home import prepare_home
from pipelines.hooks import error_of_ours

_TALKS_TO_THE_API = {
    "plan_batch": (),
    "upload_batch": ("uploaded_orders", "uploaded_fulfillments"),
    "reconcile_batch": ("corso_orders", "corso_fulfillments"),
    "load_batch": ("uploaded_orders", "uploaded_fulfillments", "corso_orders", "corso_fulfillments"),
}
"""Job -> its assets that ask the API for something, and can be told when to end."""


def run_job(
    name: str,
    settings: Settings,
    batch: str,
    watch: ProgressWatch,
    *,
    upload: dict[str, Any] | None = None,
    until: datetime | None = None,
) -> None:
    """Run one job for one batch; `upload` configures the sending, and from `until` on nothing is asked of the API.

    Raises the CorsoError that ended it; Stopped where a blocking check did, Interrupted where a signal did,
    LedgerInUse where another loader works on the batch.
    """
    prepare_home(settings)
    loader = LoaderFile(path=str(settings.source))
    defs = build_defs(loader=loader, progress=Progress(watch), executor=dg.in_process_executor)
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    config["ops"] = {op: {"config": given} for op, given in _configured(name, upload or {}, until).items()}
    run_id = str(uuid4())
    with DagsterInstance.get() as instance:
        end_killed_runs(instance)
        instance.add_dynamic_partitions(BATCHES.name or "", [batch])
        try:
            defs.resolve_job_def(name).execute_in_process(
                run_config=config,
                partition_key=batch,
                instance=instance,
                run_id=run_id,
                tags={COMMAND_TAG: name},
            )
        except DagsterExecutionInterruptedError:
            # A signal outside the upload, which has handlers of its own: nothing was under way.
            stopped = interrupted()
            note_end(instance, run_id, stopped, at_a_terminal=True)
            raise stopped from None
        except (CorsoError, dg.DagsterError) as error:
            cause = error_of_ours(error, Batch(settings, batch))
            note_end(instance, run_id, cause, at_a_terminal=True)
            keep_unexpected(cause, Batch(settings, batch).tables)
            raise cause from (None if cause is error else error)
        except Exception as error:
            # Nobody expected it. Dagster's failure hook does not run where a run raises.
            cause = machines_error(error)
            note_end(instance, run_id, cause, at_a_terminal=True)
            keep_unexpected(cause, Batch(settings, batch).tables)
            if cause is not error:
                raise cause from error
            raise


def offer_batches(settings: Settings) -> None:
    """Make partitions of the batches that lie there, so that the web UI offers them and nobody has to type a name.

    A store whose files are missing or cannot be looked at has none to offer.
    """
    try:
        there = list(changed_batches(settings)) if has_batch_folders(settings) else [default_batch(settings)]
    except (CorsoError, OSError):
        return
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(BATCHES.name or "", there)


def _configured(job: str, upload: dict[str, Any], until: datetime | None) -> dict[str, dict[str, Any]]:
    """Return the configuration of those assets of a job that talk to the API, where there is any."""
    ends = {"until": until.isoformat()} if until else {}
    given = dict.fromkeys(_TALKS_TO_THE_API[job], ends) if ends else {}
    return given | ({"uploaded_orders": upload | ends} if upload else {})
