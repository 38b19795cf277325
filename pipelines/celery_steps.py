"""Dagster's executor for Celery, which notices that a step's worker is gone.

The run's own process sends the steps to the workers and waits. Celery tells nothing of a worker that was killed: its step
would be waited for to the end of time. So the run looks at the step's lease, too (`corso.delivery.batch_lease`), and, before
there is one, for its message: a worker that is killed as Redis hands it over takes it along.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from celery.exceptions import WorkerLostError
from dagster import DagsterEvent, Executor
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster_celery.core_execution_loop import core_celery_execution_loop
from dagster_celery.executor import CeleryExecutor, _submit_task
from dagster_celery.launcher import CeleryRunLauncher

from assets.resources import LoaderFile
from corso.delivery.batch_lock import Held
from corso.errors import LedgerError, SettingsError
from pipelines.broker import SETTINGS, broker_url
from pipelines.celery_claims import is_in_redis
from pipelines.executors import HoldsItsBatch

LOOK_EVERY_S = 10.0
LONGEST_START_S = 60.0
"""So long a step that a worker has begun may take until it enters its batch; the worker has imported everything before."""


def build_celery_executor(loader: LoaderFile) -> dg.ExecutorDefinition:
    """Return the executor; the broker is read from the environment when a run begins. Raises SettingsError then."""

    @dg.executor(name="celery", requirements=dg.multiple_process_executor_requirements())
    def celery(_context: dg.InitExecutorContext) -> Executor:
        url = broker_url()
        inner = CeleryExecutor(  # type: ignore[no-untyped-call]
            RetryMode.DISABLED, broker=url, backend=url, config_source=SETTINGS
        )
        return _CelerySteps(inner, "celery", loader)

    return celery


class _CelerySteps(HoldsItsBatch):
    def app_args(self) -> dict[str, Any]:
        """Return what Dagster's loop makes its Celery app of."""
        arguments: dict[str, Any] = self._inner.app_args()  # type: ignore[attr-defined]
        return arguments

    def steps(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan, held: Held
    ) -> Iterator[DagsterEvent]:
        """See `HoldsItsBatch.steps`. Raises SettingsError where the run itself is on a worker."""
        if isinstance(plan_context.instance.run_launcher, CeleryRunLauncher):
            message = (
                "CORSO_EXECUTOR=celery: the runs are on Celery's workers already (run_launcher in dagster.yaml), and would "
                "wait there for workers; leave it out, or take another run launcher"
            )
            raise SettingsError(message)
        watch = StepWatch(held)

        def send(app: Any, context: Any, step: Any, queue: str, *more: Any) -> WatchedResult:
            sent = _submit_task(app, context, step, queue, *more)  # type: ignore[no-untyped-call]
            return WatchedResult(sent, step.key, watch, queue)

        yield from core_celery_execution_loop(plan_context, execution_plan, send)  # type: ignore[no-untyped-call]


class StepWatch:
    """Tells which steps of a run were cut off, by their leases; asked as often as one likes, it looks now and then."""

    def __init__(self, held: Held, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._held = held
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._steps: dict[str, bool] = {}
        self._started: dict[str, float] = {}
        self._missed: dict[str, tuple[float, int]] = {}

    def is_cut_off(
        self, step: str, has_begun: Callable[[], bool], is_nowhere: Callable[[], bool] = lambda: False
    ) -> bool:
        """Say whether a step's process is gone, or was never there.

        `has_begun`: whether a worker has taken it; `is_nowhere`: whether no worker has, and no message of it is left.
        """
        now = self._monotonic()
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY_S:
            self._look(now)
        if step in self._steps:
            return self._steps[step]
        if step not in self._started and has_begun():
            self._started[step] = now
        if step in self._started:
            return now - self._started[step] > LONGEST_START_S
        return self._is_missed(step, now, is_nowhere)

    def _is_missed(self, step: str, now: float, is_nowhere: Callable[[], bool]) -> bool:
        """Say whether a step was nowhere in two looks: for a moment a message is in its worker's hands alone."""
        looked_at, times = self._missed.get(step, (now, 0))
        if now - looked_at >= LOOK_EVERY_S:
            looked_at, times = now, times + 1 if is_nowhere() else 0
        self._missed[step] = looked_at, times
        return times > 1

    def _look(self, now: float) -> None:
        self._looked_at = now
        try:
            self._steps = self._held.steps()
        except LedgerError:
            # The server is away for a moment; should it stay away, the steps themselves say so.
            return


class WatchedResult:
    """What Celery's `AsyncResult` is to Dagster's loop, which ends for a step that was cut off, too."""

    def __init__(self, result: Any, step: str, watch: StepWatch, queue: str) -> None:
        self._result = result
        self._step = step
        self._watch = watch
        self._queue = queue

    def ready(self) -> bool:
        """Say whether there is anything to get."""
        return bool(self._result.ready()) or self._watch.is_cut_off(
            self._step, self._has_begun, self._is_nowhere
        )

    def get(self) -> Any:
        """Return the step's events. Raises WorkerLostError where it was cut off."""
        if self._result.ready():
            return self._result.get()
        message = f"the worker of {self._step} was killed; the next run of this batch goes on"
        raise WorkerLostError(message)

    def revoke(self) -> None:
        """Have the step not begin, or end in order."""
        self._result.revoke(terminate=True)

    def _has_begun(self) -> bool:
        return bool(self._result.state == "STARTED")

    def _is_nowhere(self) -> bool:
        # Asked in this order: what has begun meanwhile says so.
        is_left = is_in_redis(self._result.app, self._result.id, self._queue)
        return not is_left and self._result.state == "PENDING"
