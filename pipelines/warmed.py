"""What a run needs, imported and put together before the run is there: `pipelines.run_start` forks runs from here.

Imported for its effects, by that process alone. Nothing in here computes a frame or opens a file that a run would share:
polars would start its threads, which a fork does not have.
"""

import gc
from importlib import import_module

from corso.report.page.writing import compile_templates
from pipelines.definitions import defs

for _module in (
    # What Dagster, pandera and phonenumbers import where they need it.
    "dagster._core.executor.in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._daemon.controller",
    "dagster._grpc.impl",
    "pandera.backends.polars.register",
    "pipelines.sqlite_history",
):
    import_module(_module)

compile_templates()
defs.get_repository_def().get_all_jobs()
# Never looked at again by the collector, so that the runs go on sharing these pages.
gc.collect()
gc.freeze()
