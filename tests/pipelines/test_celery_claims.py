"""Which worker has a run: claimed once, told as long as it lives, and known to be lost where nobody has it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from dagster_celery.config import DEFAULT_CONFIG
from dagster_celery.make_app import make_app
from redis import Redis

from pipelines import celery_claims
from pipelines.broker import SETTINGS
from pipelines.celery_claims import claimed, is_in_redis, why_nobody_has
from tests import redis_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not redis_server.is_installed(), reason=redis_server.HOW_TO_INSTALL),
]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Of a Redis server."""
    with redis_server.redis_server(tmp_path) as url:
        yield url


def app_of(url: str, settings: dict[str, object] = SETTINGS) -> Celery:
    """Return an app as workers have it, or as the run launcher has it."""
    app: Celery = make_app({"broker": url, "backend": url, "config_source": settings})  # type: ignore[no-untyped-call]
    return app


def test_a_run_that_is_delivered_twice_is_begun_once(url: str) -> None:
    """Also by the worker that had it, and after its end."""
    app = app_of(url)
    with claimed(app, "run", "first") as first, claimed(app, "run", "second") as second:
        assert (first, second) == (True, False)
    with claimed(app, "run", "first") as again, claimed(app, "other", "second") as other:
        assert (again, other) == (False, True)


def test_a_run_that_waits_in_redis_is_not_lost_and_one_whose_message_is_gone_is(url: str) -> None:
    """In a queue, of whichever priority; fetched and not acknowledged, when Redis gives it back; nowhere."""
    app, launcher, server = app_of(url), app_of(url, DEFAULT_CONFIG), Redis.from_url(url)
    gone = "No worker has the run, and Redis has no message of it any more."
    for priority in (0, 9):
        sent = launcher.send_task("execute_job", queue="dagster", priority=priority)
        assert why_nobody_has(launcher, "run", sent.id, "dagster") is None
        with app.connection_for_read() as connection, connection.channel() as channel:
            channel.basic_consume("dagster", no_ack=False, callback=lambda _: None, consumer_tag="worker")
            connection.drain_events(timeout=10)
            assert server.hlen("unacked") == 1
            assert why_nobody_has(launcher, "run", sent.id, "dagster") is None
            assert is_in_redis(launcher, sent.id, "dagster")
            channel.qos.ack(next(iter(channel.qos._delivered)))
        assert why_nobody_has(launcher, "run", sent.id, "dagster") == gone
        assert not is_in_redis(launcher, sent.id, "dagster")
    # Killed between Dagster's note that it starts and the sending.
    assert why_nobody_has(launcher, "run", None, "dagster") == gone


def test_a_worker_that_falls_silent_has_its_run_no_more(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it lives it renews its claim, however long it takes to begin; the clock is that of Redis."""
    monkeypatch.setattr(celery_claims, "RENEW_EVERY_S", 0.2)
    monkeypatch.setattr(celery_claims, "SILENT_S", 1)
    app = app_of(url)
    with claimed(app, "run", "worker-1@host"):
        for _ in range(7):
            assert why_nobody_has(app, "run", "task", "dagster") is None
            time.sleep(0.4)
    time.sleep(2.1)
    assert why_nobody_has(app, "run", "task", "dagster") == (
        "worker-1@host took the run and was killed before it began."
    )


def test_while_redis_is_away_nobody_says_that_a_run_is_lost() -> None:
    """The sensor that asks goes on with what else there is to do."""
    app = app_of("redis://127.0.0.1:9/0")
    assert why_nobody_has(app, "run", "task", "dagster") is None
    assert is_in_redis(app, "task", "dagster")
