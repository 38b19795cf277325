"""The run launcher of dagster.yaml where whole runs go to Celery's workers: dagster-celery's, in four points another one.

What a person ends is told to be ended by a person: else its failure would look like a killed worker's, and the sensor would
start the batch again. A run that Redis knows nothing of is not taken for dead: that it lives tells its lease
(`assets.run_history`). What is not with a worker yet can be asked about; and what never will be is known by its claim
(`pipelines.celery_claims`).
"""

from typing import Any

from dagster import DagsterRun
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG

from pipelines.celery_claims import why_nobody_has

_TOLD = {"SUCCESS": WorkerStatus.SUCCESS, "FAILURE": WorkerStatus.FAILED}
"""What Celery says of a task's end, and what it means."""


class CeleryWorkers(CeleryRunLauncher):
    """Starts each run as one task of Celery."""

    def terminate(self, run_id: str) -> bool:
        """Have a run end in order; say whether there is anything to end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Say whether the run's task has ended; while it has not, or nobody knows, it goes on."""
        task = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        result: Any = self.celery.AsyncResult(task) if task else None
        state = result.state if result is not None else "PENDING"
        status = _TOLD.get(state, WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            status, None if status is WorkerStatus.RUNNING else f"Celery says {state}."
        )

    def why_lost(self, run: DagsterRun) -> str | None:
        """Say why no worker has a run and none will get it; None where that is not so, or nobody can tell."""
        queue = run.tags.get(DAGSTER_CELERY_QUEUE_TAG, self.default_queue)
        return why_nobody_has(self.celery, run.run_id, run.tags.get(DAGSTER_CELERY_TASK_ID_TAG), queue)
