"""How Celery is set up, for its workers and for who sends them something: CORSO_BROKER_URL names the Redis server.

A message is acknowledged as its work begins: what was begun is never delivered a second time, and a worker that dies is
noticed by the lease that its run or step no longer renews, and before there is one by its claim (`pipelines.celery_claims`).
Acknowledging at the end would have Redis deliver again
whatever takes longer than the visibility timeout, and a load may take days. For the same reason nothing is fetched ahead:
a message that waits in a busy worker's memory would be delivered to another one, too.

Settings of Celery 5.7: https://docs.celeryq.dev/en/stable/userguide/configuration.html
"""

import os
from collections.abc import Mapping
from typing import Any

from corso.errors import SettingsError

VARIABLE = "CORSO_BROKER_URL"

VISIBILITY_S = 60
"""After so long a message, which a worker fetched and died with before it began, is given to another one. Workers look for
such messages every ten seconds, which is kombu's, and not only every tenth time, which is kombu's, too."""

SETTINGS: dict[str, Any] = {
    "task_acks_late": False,
    "worker_prefetch_multiplier": 1,
    "worker_disable_prefetch": True,
    # Run monitoring and the executor ask whether something has begun.
    "task_track_started": True,
    "broker_connection_retry_on_startup": True,
    "broker_transport_options": {
        "visibility_timeout": VISIBILITY_S,
        "unacked_restore_throttle": 1,
        # Held by the worker that gives messages back, should it be killed just then.
        "unacked_mutex_expire": VISIBILITY_S,
        "socket_keepalive": True,
    },
    # Once it is gone, run monitoring takes a run that still goes on for dead; the default is a day.
    "result_expires": 30 * 24 * 3600,
    # Libraries keep what they have taken; a new process costs seconds.
    "worker_max_tasks_per_child": 100,
    "task_default_queue": "dagster",
    "task_default_priority": 5,
}


def broker_url(environment: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the Redis server, which may hold a password. Raises SettingsError, which repeats nothing of it."""
    url = environment.get(VARIABLE, "")
    if not url.startswith(("redis://", "rediss://", "unix://", "sentinel://")):
        message = f"{VARIABLE}: must be the URL of a Redis server: redis://host:6379/0"
        raise SettingsError(message)
    return url
