"""The code location: assets, checks, jobs, schedules, sensors, and the resources by environment.

`build_defs` is used by the server, the command and the tests alike. CORSO_LOADER_CONFIG names the loader.yaml, or the
folder of stores with one each (docs/nightly.md); CORSO_EXECUTOR where a run's steps are carried out (docs/deploying.md).
"""

from typing import Any

import dagster as dg

from assets import checks, delivering, freshness, preparing, reconciling
from assets.resources import LoaderFile, Progress
from assets.tables import ParquetTables
from corso.delivery.ports import unwatched
from pipelines.alerting import WATCH_EVERY_S, build_alerting
from pipelines.executors import chosen_executor
from pipelines.jobs import build_jobs
from pipelines.private_errors import keep_errors_private
from pipelines.run_start import fork_runs
from pipelines.schedules import nightly_load, weekly_reconciliation
from pipelines.sensors import LOOK_EVERY_S, build_new_batches


def build_defs(
    *, look_every_s: int = LOOK_EVERY_S, running: bool = False, **overrides: Any
) -> dg.Definitions:
    """Return the definitions, with resources of these names in place of the usual ones.

    Sensors look every `look_every_s` seconds; `running`: without anybody having turned them on.
    """
    keep_errors_private()
    fork_runs()
    loader = overrides.pop("loader", LoaderFile(path=dg.EnvVar("CORSO_LOADER_CONFIG")))
    executor = overrides.pop("executor", None) or chosen_executor(loader)
    resources = {
        "loader": loader,
        "io_manager": ParquetTables(loader=loader),
        "progress": Progress(unwatched),
        **overrides,
    }
    return dg.Definitions(
        assets=[*dg.load_assets_from_modules([preparing, delivering, reconciling]), freshness.LANDING],
        asset_checks=dg.load_asset_checks_from_modules([checks, freshness]),
        jobs=list(build_jobs(loader, executor).values()),
        schedules=[nightly_load, weekly_reconciliation],
        sensors=[
            build_new_batches(look_every_s, running=running),
            *build_alerting(min(WATCH_EVERY_S, 5 * look_every_s), running=running),
        ],
        resources=resources,
        executor=executor,
    )


defs = build_defs()
