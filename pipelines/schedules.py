"""Schedules: the nightly load of stores without batch folders, and every store's weekly reconciliation.

Off until somebody turns them on; their times are UTC.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from assets.partitions import BATCHES
from assets.resources import LoaderFile
from assets.run_tags import tags_of_batch
from corso.errors import CorsoError
from corso.extract.drops import has_batch_folders
from corso.extract.files import default_batch
from corso.stages.landing import Landing

NIGHTLY_AT = "15 2 * * *"
WEEKLY_AT = "15 4 * * 0"

_WEEK = timedelta(days=7)
_WHOLE_LISTING = {"ops": {"corso_orders": {"config": {"whole_listing": True}}}}


@dg.schedule(cron_schedule=NIGHTLY_AT, job_name="load_batch", execution_timezone="UTC")
def nightly_load(
    context: dg.ScheduleEvaluationContext, loader: LoaderFile
) -> list[dg.RunRequest] | dg.SkipReason:
    """Load the newest batch; what was loaded already is not sent again.

    Where many stores are served, this is for those without batch folders: the others' batches are seen as they arrive.
    """
    landing, batches, said = loader.landing, dict[str, str](), list[str]()
    for store in _alone(landing, said):
        try:
            settings = landing.settings(store)
            if landing.is_one_store or not has_batch_folders(settings):
                batches[store] = default_batch(settings)
        except (CorsoError, OSError) as error:
            said.append(f"{landing.shown(store)}: {error}")
    for sentence in said:
        context.log.warning(sentence)
    night = _time_of(context)
    requests = [
        _request(landing, store, batch, f"nightly-{night:%Y-%m-%d}") for store, batch in batches.items()
    ]
    return _asked(context, requests, said)


@dg.schedule(cron_schedule=WEEKLY_AT, job_name="reconcile_batch", execution_timezone="UTC")
def weekly_reconciliation(
    context: dg.ScheduleEvaluationContext, loader: LoaderFile
) -> list[dg.RunRequest] | dg.SkipReason:
    """Compare each store's batches of the last week once more, the newest with the store's whole listing."""
    landing, said = loader.landing, list[str]()
    requests: list[dg.RunRequest] = []
    now = _time_of(context)
    for store in _alone(landing, said):
        try:
            batches = landing.planned_since(store, now - _WEEK)
        except (CorsoError, OSError) as error:
            said.append(f"{landing.shown(store)}: {error}")
            continue
        requests += [
            _request(
                landing,
                store,
                batch,
                f"weekly-{now:%Y-%m-%d}",
                _WHOLE_LISTING if batch == batches[-1] else None,
            )
            for batch in batches
        ]
    for sentence in said:
        context.log.warning(sentence)
    return _asked(context, requests, said)


def _alone(landing: Landing, said: list[str]) -> Iterator[str]:
    """Yield the stores that are no other folder's too; of the others, say why not."""
    twins = landing.twins()
    said += [f"{landing.shown(store)}: {why}" for store, why in twins.items()]
    yield from (store for store in landing.stores() if store not in twins)


def _time_of(context: dg.ScheduleEvaluationContext) -> datetime:
    return context.scheduled_execution_time.astimezone(UTC)


def _request(
    landing: Landing, store: str, batch: str, when: str, run_config: Mapping[str, Any] | None = None
) -> dg.RunRequest:
    key = landing.key(store, batch)
    return dg.RunRequest(
        run_key=f"{when} {key}", partition_key=key, run_config=run_config, tags=tags_of_batch(landing, key)
    )


def _asked(
    context: dg.ScheduleEvaluationContext, requests: list[dg.RunRequest], said: list[str]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Add the partitions that are asked for: a run of one that is not there cannot be started."""
    if not requests:
        return dg.SkipReason("; ".join(said[:3]) or "there is nothing to do")
    context.instance.add_dynamic_partitions(
        BATCHES.name or "", [request.partition_key or "" for request in requests]
    )
    return requests
