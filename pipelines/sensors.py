"""The sensor that sees new batch folders, where the paths in loader.yaml hold `{batch}`."""

import time

import dagster as dg

from assets.partitions import BATCHES
from assets.resources import LoaderFile
from corso.errors import CorsoError
from corso.extract.files import batch_folders
from pipelines.jobs import JOBS

QUIET_S = 60
"""A folder whose files were untouched for so long is taken for complete."""


@dg.sensor(job=JOBS["load_batch"], minimum_interval_seconds=60)
def new_batches(context: dg.SensorEvaluationContext, loader: LoaderFile) -> dg.SensorResult | dg.SkipReason:
    """Start each new batch once, when its files have come to rest."""
    try:
        folders = batch_folders(loader.settings())
    except CorsoError as error:
        return dg.SkipReason(str(error))
    known = set(context.instance.get_dynamic_partitions(BATCHES.name or ""))
    ready = sorted(
        name for name, newest in folders.items() if name not in known and time.time() - newest >= QUIET_S
    )
    if not ready:
        return dg.SkipReason(f"{len(folders)} batch folders, none new and complete")
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=name, partition_key=name) for name in ready],
        dynamic_partitions_requests=[BATCHES.build_add_request(ready)],
    )
