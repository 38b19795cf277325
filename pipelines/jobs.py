"""Jobs: the command's verbs, as selections of assets.

By default steps run in one process: each is short against the three seconds that a process of its own would cost, and the
upload is one asyncio loop anyway. `pipelines.executors` has the others.
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from assets.partitions import BATCHES
from assets.resources import LoaderFile
from assets.run_tags import tags_of_batch
from pipelines.hooks import note_how_it_ended

_SELECTIONS = {
    "plan_batch": dg.AssetSelection.assets("upload_plan").upstream(),
    "upload_batch": dg.AssetSelection.assets("uploaded_fulfillments").upstream(),
    "reconcile_batch": dg.AssetSelection.assets(
        "corso_orders", "corso_fulfillments", "fulfillments_read", "reconciliation", "reconciliation_report"
    ),
    "load_batch": dg.AssetSelection.all() - dg.AssetSelection.assets("landing"),
}
_DESCRIPTIONS = {
    "plan_batch": "Everything but sending: what is accepted, what is quarantined, and the plan. Changes nothing in Corso.",
    "upload_batch": "Plan, then send to Corso what the plan says.",
    "reconcile_batch": "Read back what Corso holds, compare, write the report. Changes nothing in Corso.",
    "load_batch": "The whole road of a batch: plan, send to Corso, read back, compare, report. What was sent before is not sent again.",
}


def build_jobs(
    loader: LoaderFile, executor: dg.ExecutorDefinition
) -> dict[str, UnresolvedAssetJobDefinition]:
    """Return job name -> job, for batches of the stores that `loader` names.

    Each run carries the tags by which those of one store, and those of one set of credentials, wait for each other,
    whoever starts it: a sensor, a backfill, a person.
    """
    config = dg.PartitionedConfig(
        BATCHES,
        run_config_for_partition_key_fn=lambda _key: {},
        tags_for_partition_key_fn=lambda key: tags_of_batch(loader.resolved_landing, key),
    )
    return {
        name: dg.define_asset_job(
            name,
            selection,
            description=_DESCRIPTIONS[name],
            config=config,
            hooks={note_how_it_ended},
            executor_def=executor,
        )
        for name, selection in _SELECTIONS.items()
    }
