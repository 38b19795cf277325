"""What Celery's workers are started with: `celery -A pipelines.celery_app worker`.

They carry out whole runs (dagster-celery's run launcher) and single steps (CORSO_EXECUTOR=celery). What is asked to end
(SIGTERM, from the web UI or because the worker stops) ends in order: what is in flight is finished, states are written. A
worker imports everything before it forks its processes, so that a run begins a moment after it was taken.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from celery import Celery, Task
from celery.exceptions import Ignore
from celery.signals import worker_init, worker_process_init
from celery.utils.log import get_task_logger
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task, create_task

from pipelines.broker import SETTINGS, broker_url
from pipelines.celery_claims import claimed
from pipelines.run_start import spill_apart

_LOG = get_task_logger(__name__)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


class EndsInOrder(Task):  # type: ignore[misc]  # Celery has no types
    """A task that Dagster may interrupt, as it does in a process of its own."""

    abstract = True

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Do the work."""
        with interruptible():
            return super().__call__(*arguments, **named)


class IsBegunOnce(EndsInOrder):
    """A task that carries out a run, unless it was delivered before."""

    abstract = True

    def __call__(self, execute_job_args_packed: dict[str, Any]) -> Any:
        """Carry out the run. Raises Ignore where it was begun before: Celery then leaves alone what it knows of it."""
        run_id = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id
        with claimed(self.app, run_id, self.request.hostname) as is_ours:
            if not is_ours:
                _LOG.warning("run %s was delivered a second time: it is not begun again", run_id)
                raise Ignore
            return super().__call__(execute_job_args_packed=execute_job_args_packed)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGTERM interrupt what runs in the block, as Dagster interrupts it; afterwards all is as before.

    SIGQUIT does, too: a worker that stops sends its processes that one (REMAP_SIGTERM), upon which they would end in the
    middle of whatever they do. Celery's processes ignore SIGINT, and Dagster leaves SIGTERM with whatever SIGINT had: a
    worker that was used once could not be ended any more.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        signal.signal(signal.SIGQUIT, _as_sigterm)
        with capture_interrupts():
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_sigterm(_number: int, _frame: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def build_app(url: str) -> Celery:
    """Return the app with its tasks, for a Redis server."""
    arguments = {"broker": url, "backend": url, "config_source": SETTINGS}
    made: Celery = make_app(arguments)  # type: ignore[no-untyped-call]
    makers: dict[Any, type[Task]] = {
        create_task: EndsInOrder,
        create_execute_job_task: IsBegunOnce,
        create_resume_job_task: EndsInOrder,
    }
    for create, base in makers.items():
        create(made, base=base)
    return made


@worker_init.connect  # type: ignore[untyped-decorator]
def _import_everything(**_: Any) -> None:
    import_module("pipelines.warmed")


@worker_process_init.connect  # type: ignore[untyped-decorator]
def _write_apart(**_: Any) -> None:
    # What polars has for that is a thread, which a fork does not have.
    spill_apart()


app = build_app(broker_url())
