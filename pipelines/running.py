"""Running a job in this process, on the same Dagster instance that the web UI shows."""

import logging
import os
import socket
from datetime import datetime
from typing import Any

import dagster as dg
from dagster import DagsterInstance
from dagster._core.errors import DagsterAssetCheckFailedError, DagsterExecutionInterruptedError

from assets.partitions import BATCHES
from assets.resources import LoaderFile, Progress
from corso.delivery.sender import interrupted
from corso.errors import CorsoError, Stopped
from corso.settings import Settings
from corso.stages.batch import Batch, ProgressWatch, is_running
from corso.stages.counting import broken_contracts, quarantined_share, unaccounted_rows
from pipelines.definitions import build_defs
from pipelines.home import prepare_home

_HOST_TAG, _PROCESS_TAG = "corso-loader/host", "corso-loader/process"
"""Where a run of the command runs."""

_TALKS_TO_THE_API = {
    "plan_batch": (),
    "upload_batch": ("uploaded_orders", "uploaded_fulfillments"),
    "reconcile_batch": ("corso_orders",),
    "load_batch": ("uploaded_orders", "uploaded_fulfillments", "corso_orders"),
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
    defs = build_defs(loader=LoaderFile(path=str(settings.path)), progress=Progress(watch))
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    config: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    config["ops"] = {op: {"config": given} for op, given in _configured(name, upload or {}, until).items()}
    with Batch(settings, batch).locked(), DagsterInstance.get() as instance:
        _end_killed_runs(instance)
        instance.add_dynamic_partitions(BATCHES.name or "", [batch])
        try:
            defs.resolve_job_def(name).execute_in_process(
                run_config=config,
                partition_key=batch,
                instance=instance,
                tags={_HOST_TAG: socket.gethostname(), _PROCESS_TAG: str(os.getpid())},
            )
        except DagsterAssetCheckFailedError as error:
            raise Stopped(_guard_that_stopped(Batch(settings, batch))) from error
        except DagsterExecutionInterruptedError:
            # A signal outside the upload, which has handlers of its own: nothing was under way.
            raise interrupted() from None
        except dg.DagsterError as error:
            raise _cause_of_ours(error) from error


def _configured(job: str, upload: dict[str, Any], until: datetime | None) -> dict[str, dict[str, Any]]:
    """Return the configuration of those assets of a job that talk to the API, where there is any."""
    ends = {"until": until.isoformat()} if until else {}
    given = dict.fromkeys(_TALKS_TO_THE_API[job], ends) if ends else {}
    return given | ({"uploaded_orders": upload | ends} if upload else {})


def _end_killed_runs(instance: DagsterInstance) -> None:
    """Mark runs whose process is gone as failed: Dagster would show them as under way for ever."""
    under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED], tags={_HOST_TAG: socket.gethostname()})
    for run in instance.get_runs(under_way):
        if not is_running(run.tags.get(_PROCESS_TAG, "")):
            instance.report_run_failed(
                run, "The process was killed; the next run of the same command goes on."
            )


def _cause_of_ours(error: BaseException) -> BaseException:
    """Return the error of ours inside one of Dagster's, or Dagster's own."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, CorsoError):
        seen = seen.__cause__ or getattr(seen, "user_exception", None) or seen.__context__
    return seen or error


def _guard_that_stopped(batch: Batch) -> str:
    """Say which blocking check failed, from the facts that it judged by."""
    if any(unaccounted_rows(batch).values()):
        return f"rows of the exports are unaccounted for: {unaccounted_rows(batch)}; nothing was sent"
    if any(broken_contracts(batch).values()):
        return f"accepted tables break the contract: {broken_contracts(batch)}; nothing was sent"
    share, limit = quarantined_share(batch), batch.settings.loader.validation.max_quarantined
    return (
        f"{share:.1%} of the source orders are quarantined, validation.max_quarantined allows {limit:.1%}; nothing was "
        "sent. quarantine.csv says why"
    )
