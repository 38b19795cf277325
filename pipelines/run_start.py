"""How the code server starts a run's process: forked from one that has imported everything, not as a new Python.

Dagster's code server starts each run by multiprocessing's `spawn`: of a small batch's load, importing and putting the job
together was half of the processor's time. Here it is `forkserver`, of the same standard library: one process, started with
the first run, imports `pipelines.warmed` and is forked for each run. Everything else (how a run is watched, cancelled, found
dead) stays Dagster's. Nothing runs there but imports, so that no thread of polars' pool is there to be missed after the fork. One
is: it takes away what polars wrote to disk for want of memory, so each process keeps that in a folder that goes with it.

Dagster 1.13.27 has no setting for it: `DagsterApiServer._mp_ctx` is put in its place, and a test holds that runs begin so.
CORSO_RUN_START=spawn has Dagster's own way.
"""

import multiprocessing.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing.context import BaseContext
from typing import Any

from corso.errors import SettingsError

VARIABLE = "CORSO_RUN_START"
_FORKED, _SPAWNED = "forkserver", "spawn"
_SERVER = "dagster._grpc.server"
_SPILL_FOLDER = "POLARS_OOC_SPILL_DIR"
"""Read by polars as it first needs it."""
_WARMED = ["__main__", "pipelines.warmed"]


def fork_runs(environment: Mapping[str, str] = os.environ) -> None:
    """Have this process, if it is Dagster's code server, fork its runs. Raises SettingsError."""
    name = environment.get(VARIABLE) or _FORKED
    if name not in {_FORKED, _SPAWNED}:
        message = f"{VARIABLE}: unknown way {name!r}; known are {_FORKED}, {_SPAWNED}"
        raise SettingsError(message)
    multiprocessing.util.register_after_fork(fork_runs, lambda _: spill_apart())
    # Whoever imports it later starts no runs: the code server has it before it loads us.
    if (module := sys.modules.get(_SERVER)) is None or name == _SPAWNED:
        return
    context = multiprocessing.get_context(_FORKED)
    context.set_forkserver_preload(_WARMED)
    # A property of the class comes before what an instance, which may be there already, has under this name.
    module.DagsterApiServer._mp_ctx = property(lambda _server: context, _leave)  # noqa: SLF001


def _leave(_server: Any, _given: BaseContext) -> None:
    """Let the server set its own, which nobody reads."""


def spill_apart() -> None:
    """Have polars put what does not fit into memory into a folder that goes as this process ends, unless it is killed."""
    folder = tempfile.mkdtemp(prefix="corso-loader-spill-", dir=os.environ.get(_SPILL_FOLDER))
    os.environ[_SPILL_FOLDER] = folder
    multiprocessing.util.Finalize(None, shutil.rmtree, [folder], {"ignore_errors": True}, exitpriority=0)
