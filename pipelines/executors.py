"""Where a run's steps are carried out: CORSO_EXECUTOR names one of Dagster's executors (docs/deploying.md says when which).

`in_process` has all steps in the run's own process, and is what the command always takes. The others have a process for
each step, on this machine (`multiprocess`), on Celery's workers (`celery`), or as Kubernetes jobs (`k8s`). For those the
run's process, which starts the steps, holds the batch from the first to the last.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import dagster as dg
from dagster import DagsterEvent, Executor
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode

from assets.resources import LoaderFile
from assets.run_tags import PARTITION_TAG
from assets.running import whole_run
from corso.delivery.batch_lock import Held
from corso.errors import SettingsError

VARIABLE = "CORSO_EXECUTOR"
IN_PROCESS = "in_process"
_EXTRAS = {"celery": "dagster_celery", "k8s": "dagster_k8s"}
"""Executor -> the module that the extra of the same name brings."""


def chosen_executor(loader: LoaderFile, environment: Mapping[str, str] = os.environ) -> dg.ExecutorDefinition:
    """Return the executor that the environment names. Raises SettingsError."""
    name = environment.get(VARIABLE) or IN_PROCESS
    if name == IN_PROCESS:
        return dg.in_process_executor
    if name not in _MAKERS:
        known = ", ".join([IN_PROCESS, *_MAKERS])
        message = f"{VARIABLE}: unknown executor {name!r}; known are {known}"
        raise SettingsError(message)
    if (module := _EXTRAS.get(name)) and find_spec(module) is None:
        message = f"{VARIABLE}={name}: what it needs is missing: pip install 'corso-loader[{name}]'"
        raise SettingsError(message)
    return _MAKERS[name](loader)


class HoldsItsBatch(Executor):
    """Another executor, whose steps are processes of their own: while it is at work, the run holds its batch."""

    def __init__(self, inner: Executor, name: str, loader: LoaderFile) -> None:
        self._inner = inner
        self._name = name
        self._loader = loader

    @property
    def retries(self) -> RetryMode:
        """See `Executor.retries`."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:
        """See `Executor.step_dependency_config`."""
        return self._inner.step_dependency_config

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        """Carry out the steps under the batch's lock. Raises LedgerInUse, LeaseHeld, LedgerError, SettingsError."""
        run, landing = plan_context.dagster_run, self._loader.resolved_landing
        if PARTITION_TAG not in run.tags:
            yield from self._inner.execute(plan_context, execution_plan)
            return
        with whole_run(plan_context.instance, run, landing, self._name) as held:
            yield from self.steps(plan_context, execution_plan, held)

    def steps(
        self,
        plan_context: PlanOrchestrationContext,
        execution_plan: ExecutionPlan,
        held: Held,  # noqa: ARG002  (for executors that do not notice themselves that a step's process is gone)
    ) -> Iterator[DagsterEvent]:
        """Carry out the steps; the batch is `held`."""
        yield from self._inner.execute(plan_context, execution_plan)


def _multiprocess(loader: LoaderFile) -> dg.ExecutorDefinition:
    # Forked from a process that has imported everything: a step costs half of what it does in a new one.
    inner = dg.multiprocess_executor.configured({"start_method": {"forkserver": {}}})
    return _holding(inner, "multiprocess", loader)


def _celery(loader: LoaderFile) -> dg.ExecutorDefinition:
    from pipelines.celery_steps import build_celery_executor  # noqa: PLC0415  (of an extra)

    return build_celery_executor(loader)


def _k8s(loader: LoaderFile) -> dg.ExecutorDefinition:
    from dagster_k8s import k8s_job_executor  # noqa: PLC0415  (of an extra)

    return _holding(k8s_job_executor, "k8s", loader)


_MAKERS: dict[str, Callable[[LoaderFile], dg.ExecutorDefinition]] = {
    "multiprocess": _multiprocess,
    "celery": _celery,
    "k8s": _k8s,
}


def _holding(inner: dg.ExecutorDefinition, name: str, loader: LoaderFile) -> dg.ExecutorDefinition:
    """Return an executor that holds the batch and leaves the steps to another one, whose configuration it takes."""

    def make(context: dg.InitExecutorContext) -> Executor:
        create: Any = inner.executor_creation_fn
        return HoldsItsBatch(create(context), name, loader)

    config: Any = inner.config_schema
    return dg.ExecutorDefinition(
        name=name,
        config_schema=config,
        requirements=inner.get_requirements,
        executor_creation_fn=make,
        description=inner.description,
    )
