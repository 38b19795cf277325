"""What Celery's workers are started with: `celery -A pipelines.celery_app worker`.

They carry out whole runs (dagster-celery's run launcher) and single steps (CORSO_EXECUTOR=celery). What is asked to end
(SIGTERM, from the web UI or because the worker stops) ends in order: what is in flight is finished, states are written.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, Task
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task, create_task

from pipelines.broker import SETTINGS, broker_url

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


class EndsInOrder(Task):  # type: ignore[misc]  # Celery has no types
    """A task that Dagster may interrupt, as it does in a process of its own."""

    abstract = True

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Do the work."""
        with interruptible():
            return super().__call__(*arguments, **named)


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
    makers: tuple[Any, ...] = (create_task, create_execute_job_task, create_resume_job_task)
    for create in makers:
        create(made, base=EndsInOrder)
    return made


app = build_app(broker_url())
