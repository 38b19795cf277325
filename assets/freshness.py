"""Whether each store's last night was loaded: a check that knows stores and batches, and says in red what to do.

Dagster's freshness policies know assets, not partitions: the load of an old batch would make a store look fresh. The
check is one for all stores, as Dagster 1.13.27 keeps an evaluation that no run made only once for each partition (its
second one breaks a unique index); what is known of each store is observed in the store's partition.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from assets.partitions import BATCHES, STORES
from assets.resources import LoaderFile
from assets.run_history import last_run_of
from corso.errors import CorsoError
from corso.stages.alerts import Alert, alert_of_error
from corso.stages.freshness import Freshness, is_of_the_night, judge_freshness, last_due
from corso.stages.landing import Landing
from corso.stages.nightly import LastRun

LANDING = dg.AssetSpec(
    "landing",
    partitions_def=STORES,
    group_name="landing",
    kinds={"csv"},
    description="Where a store's exports are dropped, a folder a batch. Somebody else fills it.",
)
CHECK = "last_nights_load_ran"
_SHOWN = 50
"""Late stores that the check names."""


def freshness_of(
    instance: dg.DagsterInstance, landing: Landing, store: str, known: list[str], now: datetime
) -> Freshness | None:
    """Judge a store's last due night; None where nothing is due. `known`: the batches' partitions. Raises SettingsError."""
    settings = landing.settings(store)
    zone = ZoneInfo(settings.loader.store.time_zone)
    due = last_due(settings.loader.nightly, zone, now)
    if due is None:
        return None
    batches: dict[str, LastRun | None] = {}
    for key in known:
        of, _, batch = key.rpartition("/")
        if of != store:
            continue
        is_of_it = is_of_the_night(batch, due)
        if is_of_it is False:
            continue
        last = last_run_of(instance, key)
        # A batch whose name tells no day counts by when it was started.
        if is_of_it or (last is not None and last.is_since(due)):
            batches[batch] = last
    return judge_freshness(due, batches)


def unread(alert: Alert, now: datetime) -> Freshness:
    """Return what is known of the night of a store that cannot be read: why, as the alert says it."""
    return Freshness(now, "", is_loaded=False, sentence=alert.happened.rstrip("."), to_do=alert.to_do)


def evaluation_of(found: Mapping[str, Freshness]) -> dg.AssetCheckEvaluation:
    """Return what the check says of all stores, as Dagster keeps it without a run."""
    late = {store: each for store, each in found.items() if not each.is_loaded}
    said = [f"{store}: {each.sentence}. {each.to_do}" for store, each in late.items()][:_SHOWN]
    return dg.AssetCheckEvaluation(
        asset_key=LANDING.key,
        check_name=CHECK,
        passed=not late,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join(said) or "Every store that is due is loaded.",
        metadata={"stores due": len(found), "stores late": len(late)},
    )


def observation_of(store: str, found: Freshness) -> dg.AssetObservation:
    """Return what is known of one store's night, for its partition."""
    return dg.AssetObservation(
        asset_key=LANDING.key,
        partition=store,
        description=f"{found.sentence}. {found.to_do}".strip(),
        metadata={
            "batch": found.batch or "none",
            "due": dg.MetadataValue.timestamp(found.due_at),
            "loaded": int(found.is_loaded),
        },
    )


@dg.asset_check(asset=LANDING.key, name=CHECK)
def last_nights_load_ran(context: dg.AssetCheckExecutionContext, loader: LoaderFile) -> dg.AssetCheckResult:
    """Of each store the batch of the last night was loaded by the time that its loader.yaml says (nightly.due_by)."""
    landing, now = loader.landing, datetime.now(UTC)
    known = list(context.instance.get_dynamic_partitions(BATCHES.name or ""))
    found: dict[str, Freshness] = {}
    for store in landing.stores():
        shown = landing.shown(store)
        try:
            night = freshness_of(context.instance, landing, store, known, now)
        except (CorsoError, OSError) as error:
            night = unread(alert_of_error(shown, "", error), now)
        if night is not None:
            found[shown] = night
    evaluation = evaluation_of(found)
    return dg.AssetCheckResult(
        passed=evaluation.passed, description=evaluation.description, metadata=evaluation.metadata
    )
