"""Which worker has a run, kept in Redis beside the messages: claimed once, before all else, and renewed while the worker lives.

A message is acknowledged as its work begins (`pipelines.broker`): Redis gives it to nobody else from then on, and the run
holds its batch, whose lease would tell of its worker's death, only seconds later. A worker that is killed in between left a
run that nobody had, and nothing that told so: Dagster waited for it for `start_timeout_seconds`. By its claim such a run is
known, and by it a message that is delivered twice begins nothing a second time.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from pipelines.broker import SETTINGS

RENEW_EVERY_S = 10.0
SILENT_S = 45.0
"""A claim that was not renewed for so long is a dead worker's."""
PATIENCE_S = 5.0
"""For so long Redis may take to answer."""
_KEPT_S: int = SETTINGS["result_expires"]
_AWAY = (OperationalError, RedisError, OSError)


@contextmanager
def claimed(app: Celery, run_id: str, worker: str) -> Iterator[bool]:
    """Claim a run for this process, and renew the claim until the block ends; yield False where somebody has claimed it before.

    Whether that one lives does not matter: a run that was begun is never begun again, its batch's next run goes on.
    """
    with _redis(app) as channel:
        is_ours = bool(channel.client.set(_key(run_id), _claim(channel, worker), nx=True, ex=_KEPT_S))
    if not is_ours:
        yield False
        return
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(app, run_id, worker, ended), daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        ended.set()
        renewing.join(PATIENCE_S)


def why_nobody_has(app: Celery, run_id: str, task: str | None, queue: str) -> str | None:
    """Say why no worker has a run and none will get it; None where one has it, it waits for one, or Redis is away."""
    try:
        with _redis(app) as channel, channel.client.pipeline(transaction=True) as asked:
            asked.time()
            asked.get(_key(run_id))
            _ask_for_messages(channel, asked, queue)
            (second, _), claim, *messages = asked.execute()
    except _AWAY:
        return None
    if claim is not None:
        renewed_at, _, worker = claim.decode().partition(" ")
        is_silent = second - int(renewed_at) > SILENT_S
        return f"{worker} took the run and was killed before it began." if is_silent else None
    if task is not None and _is_among(messages, task):
        return None
    return "No worker has the run, and Redis has no message of it any more."


def is_in_redis(app: Celery, task: str, queue: str) -> bool:
    """Say whether a task's message waits for a worker, or is not acknowledged yet; True while Redis is away."""
    try:
        with _redis(app) as channel, channel.client.pipeline(transaction=True) as asked:
            _ask_for_messages(channel, asked, queue)
            return _is_among(asked.execute(), task)
    except _AWAY:
        return True


def _ask_for_messages(channel: Any, asked: Any, queue: str) -> None:
    """Ask for what is fetched and not acknowledged, and for what waits, whatever its priority."""
    asked.hvals(channel.unacked_key)
    for priority in channel.priority_steps:
        asked.lrange(channel._q_for_pri(queue, priority), 0, -1)  # noqa: SLF001  (how kombu names its lists)


def _is_among(messages: Iterable[list[bytes]], task: str) -> bool:
    return any(task.encode() in message for kept in messages for message in kept)


def _renew(app: Celery, run_id: str, worker: str, ended: threading.Event) -> None:
    while not ended.wait(RENEW_EVERY_S):
        # While Redis is away nobody can see how old the claim is.
        with suppress(*_AWAY), _redis(app) as channel:
            channel.client.set(_key(run_id), _claim(channel, worker), ex=_KEPT_S)


def _claim(channel: Any, worker: str) -> str:
    """Return what a claim says: when it was renewed, by the clock of Redis, and by whom."""
    return f"{channel.client.time()[0]} {worker}"


def _key(run_id: str) -> str:
    return f"corso-loader:run:{run_id}"


@contextmanager
def _redis(app: Celery) -> Iterator[Any]:
    """Yield a channel to where messages are; nothing is tried again."""
    bounds = {"socket_timeout": PATIENCE_S, "socket_connect_timeout": PATIENCE_S}
    with app.connection_for_write(transport_options=bounds) as connection:
        connection.connect()
        with connection.channel() as channel:
            yield channel
