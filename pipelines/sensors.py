"""The sensor that starts the batches of all stores: each once, when it is complete, of one store one after the other.

For stores whose paths in loader.yaml hold `{batch}`; the others have the schedule `nightly_load`. What to do about a
drop is decided in `corso.stages.nightly`; what was done is asked of Dagster's history; the cursor keeps, for each store,
up to when everything is settled, so that a look at what did not change costs no question.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.partitions import BATCHES, STORES
from assets.resources import LoaderFile
from assets.run_history import LOAD_JOB, end_killed_runs, last_run_of
from assets.run_tags import DROP_TAG, tags_of_batch
from corso.errors import CorsoError
from corso.extract.drops import Drop, changed_batches, has_batch_folders, look_at, misnamed_batches
from corso.scrubbing import scrubbed
from corso.settings import NAME_RULE
from corso.stages.landing import LOADER_FILE, Landing
from corso.stages.nightly import Look, Seen, StoreMemory, look

LOOK_EVERY_S = 60
LONGEST_LOOK_S = 20.0
"""Dagster gives a sensor a minute; the stores that are left are looked at first the next time."""
_SHOWN = 20
"""Sentences that a look tells, at the most."""


@dataclass
class _Memory:
    """The cursor: what is remembered from look to look."""

    stores: dict[str, StoreMemory] = field(default_factory=dict)
    first: str = ""
    """The store to look at first."""

    @classmethod
    def read(cls, cursor: str | None, now: datetime) -> "_Memory":
        """Read what was written; what a store has settled after `now` is forgotten, as our clock was ahead then."""
        kept: dict[str, Any] = json.loads(cursor) if cursor else {}
        stores = {
            store: StoreMemory(settled, {batch: Seen(*each) for batch, each in seen.items()})
            for store, (settled, seen) in kept.get("stores", {}).items()
            if settled <= now.timestamp() * 10**9
        }
        return cls(stores, kept.get("first", ""))

    def written(self) -> str:
        stores = {
            store: (
                kept.settled_ns,
                {batch: (each.signature, each.since) for batch, each in kept.seen.items()},
            )
            for store, kept in self.stores.items()
        }
        return json.dumps({"stores": stores, "first": self.first}, separators=(",", ":"))


def build_new_batches(look_every_s: int = LOOK_EVERY_S, *, running: bool = False) -> dg.SensorDefinition:
    """Return the sensor; `running`: it looks without anybody having turned it on."""

    @dg.sensor(
        name="new_batches",
        job_name=LOAD_JOB,
        minimum_interval_seconds=look_every_s,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="Starts each batch once, when it is complete; of one store one after the other.",
    )
    def new_batches(context: dg.SensorEvaluationContext, loader: LoaderFile) -> dg.SensorResult:
        return _look_at_all(context, loader.landing)

    return new_batches


def _look_at_all(context: dg.SensorEvaluationContext, landing: Landing) -> dg.SensorResult:
    instance, now = context.instance, datetime.now(UTC)
    end_killed_runs(instance, landing)
    before, after = _Memory.read(context.cursor, now), _Memory()
    requests: list[dg.RunRequest] = []
    said: list[str] = []
    began = time.monotonic()
    try:
        stores, twins = sorted(landing.stores()), landing.twins()
        misnamed = [
            f"{name}: holds a {LOADER_FILE}, but no store is named so: {NAME_RULE}"
            for name in landing.misnamed()
        ]
    except OSError as error:
        return dg.SensorResult(skip_reason=f"{landing.path}: {error.strerror}", cursor=before.written())
    for store in _from(stores, before.first):
        memory = before.stores.get(store, StoreMemory())
        after.stores[store] = memory
        if time.monotonic() - began > LONGEST_LOOK_S:
            after.first = after.first or store
            continue
        if store in twins:
            said.append(f"{landing.shown(store)}: {twins[store]}")
            continue
        try:
            found = _look_at_store(instance, landing, store, memory, now)
            odd = misnamed_batches(landing.settings(store))
            if found.start is not None:
                requests.append(_request(landing, store, found.start, found.after))
        except (CorsoError, OSError) as error:
            # The others go on.
            said.append(f"{landing.shown(store)}: {scrubbed(str(error))}")
            continue
        after.stores[store] = found.memory
        said += [f"{landing.key(store, batch)}: {why}" for batch, why in found.waiting.items()]
        misnamed += [
            f"{landing.key(store, name)}: holds export files, but no batch is named so: {NAME_RULE}"
            for name in odd
        ]
    said += misnamed
    for sentence in said[:_SHOWN]:
        context.log.info(sentence)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else _nothing_to_do(said, len(stores)),
        dynamic_partitions_requests=_partitions(instance, landing, requests, stores),
        cursor=after.written(),
    )


def _request(landing: Landing, store: str, drop: Drop, after: str) -> dg.RunRequest:
    """Ask for a drop's run; `after`: the id of the batch's run before."""
    key = landing.key(store, drop.batch)
    return dg.RunRequest(
        run_key=f"{key}@{drop.signature} after {after or 'nothing'}",
        partition_key=key,
        tags={**tags_of_batch(landing, key), DROP_TAG: drop.signature},
    )


def _look_at_store(
    instance: dg.DagsterInstance, landing: Landing, store: str, memory: StoreMemory, now: datetime
) -> Look:
    settings = landing.settings(store)
    if not has_batch_folders(settings):
        return Look(memory)
    return look(
        changed_batches(settings, memory.settled_ns, also=memory.seen),
        memory,
        lambda batch: look_at(settings, batch),
        lambda batch: last_run_of(instance, landing.key(store, batch)),
        now,
        settings.loader.nightly.quiet_s,
    )


def _from(stores: list[str], first: str) -> list[str]:
    """Return the stores, beginning with the one that was not come to last time."""
    later = [store for store in stores if store >= first]
    return later + stores[: len(stores) - len(later)]


def _partitions(
    instance: dg.DagsterInstance, landing: Landing, requests: list[dg.RunRequest], stores: list[str]
) -> list[dg.AddDynamicPartitionsRequest]:
    """Ask for the partitions that are not there yet; Dagster would look at each of those that are."""
    asked: list[dg.AddDynamicPartitionsRequest] = []
    wanted: Mapping[dg.DynamicPartitionsDefinition, list[str]] = {
        BATCHES: [request.partition_key or "" for request in requests],
        STORES: [landing.shown(store) for store in stores],
    }
    for partitions, keys in wanted.items():
        there = set(instance.get_dynamic_partitions(partitions.name or "")) if keys else set()
        if new := [key for key in keys if key not in there]:
            asked.append(partitions.build_add_request(new))
    return asked


def _nothing_to_do(said: list[str], stores: int) -> str:
    more = f" (and {len(said) - 3} more)" if len(said) > 3 else ""
    return "; ".join(said[:3]) + more if said else f"{stores} stores: no batch that is new and complete"
