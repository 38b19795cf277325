"""The nightly schedule. Off until somebody turns it on; its time is UTC."""

import dagster as dg

from assets.partitions import BATCHES
from assets.resources import LoaderFile
from corso.errors import CorsoError
from corso.extract.files import default_batch
from pipelines.jobs import JOBS

NIGHTLY_AT = "15 2 * * *"


@dg.schedule(cron_schedule=NIGHTLY_AT, job=JOBS["load_batch"], execution_timezone="UTC")
def nightly_load(context: dg.ScheduleEvaluationContext, loader: LoaderFile) -> dg.RunRequest | dg.SkipReason:
    """Load the newest batch; one that was loaded already sends nothing."""
    try:
        batch = default_batch(loader.settings())
    except CorsoError as error:
        return dg.SkipReason(str(error))
    context.instance.add_dynamic_partitions(BATCHES.name or "", [batch])
    return dg.RunRequest(run_key=f"nightly-{context.scheduled_execution_time:%Y-%m-%d}", partition_key=batch)
