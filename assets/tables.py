"""The IO manager: every asset is a Parquet file, or a folder of them, in its batch's folder, and read lazily.

Own, because dagster-polars 0.27 cannot read a file with polars 2.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from assets.resources import LoaderFile
from assets.run_tags import PARTITION_TAG, note_end, note_start
from corso.errors import CorsoError
from corso.logs import are_wanted, json_lines
from corso.stages.batch import Batch
from corso.stages.landing import Landing
from corso.stages.metrics import write_metrics
from corso.stages.parts import put_in_place

_LOG = logging.getLogger("corso.run")


class ParquetTables(dg.ConfigurableIOManagerFactory["TableFiles"]):
    """Keeps the tables of the stores that are served; as long as a run has them, no other loader touches them."""

    loader: dg.ResourceDependency[LoaderFile]

    def create_io_manager(self, context: dg.InitResourceContext) -> "TableFiles":  # noqa: ARG002  (Dagster's interface)
        """Return the IO manager."""
        return TableFiles(self.loader.landing)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["TableFiles"]:
        """Lock the run's batch, whoever started the run. Raises LedgerInUse, SettingsError."""
        instance, run = context.instance, context.run
        if run is None or instance is None or PARTITION_TAG not in run.tags:
            yield self.create_io_manager(context)
            return
        with ExitStack() as held:
            try:
                note_start(instance, run, self.loader.landing)
                batch = self.loader.batch(run.tags[PARTITION_TAG])
                held.enter_context(batch.locked())
            except CorsoError as error:
                note_end(instance, run.run_id, error)
                raise
            if are_wanted():
                held.enter_context(json_lines(_named(batch, run.run_id)))
            _LOG.info("%s begins", run.job_name)
            try:
                yield self.create_io_manager(context)
            finally:
                _LOG.info("%s ends", run.job_name)
                _measure(batch)


def _named(batch: Batch, run_id: str) -> dict[str, str]:
    return {"store": str(batch.settings.loader.store.id), "batch": batch.name, "run": run_id}


def _measure(batch: Batch) -> None:
    """Write what an operator plots. That it cannot be written does not undo the run."""
    try:
        write_metrics(batch, datetime.now(UTC))
    except (CorsoError, OSError) as error:
        _LOG.warning("metrics: %s", error)


class TableFiles(dg.UPathIOManager):
    """`<store>/<batch>/tables/<asset>.parquet`; a reader sees the old table or the new one, never a part."""

    extension: str = ".parquet"

    def __init__(self, landing: Landing) -> None:
        super().__init__(base_path=UPath(landing.path))
        self._landing = landing

    def get_path_for_partition(
        self,
        context: dg.InputContext | dg.OutputContext,  # noqa: ARG002
        path: UPath,
        partition: str,
    ) -> UPath:
        """Put a batch's tables side by side."""
        return UPath(self._landing.batch(partition).tables) / path.name

    def dump_to_path(self, context: dg.OutputContext, obj: pl.LazyFrame | Path, path: UPath) -> None:
        """Put a table in place of the old one: a file, or a folder of files, that is written already, or a frame."""
        if isinstance(obj, Path):
            put_in_place(obj, Path(str(path)))
        else:
            draft = path.with_name(f".{path.name}.draft")
            obj.sink_parquet(str(draft), compression="zstd", maintain_order=True)
            draft.rename(path)
        rows = pl.scan_parquet(str(path)).select(pl.len()).collect().item()
        context.add_output_metadata({"rows": rows})

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:  # noqa: ARG002
        """Scan the table."""
        return pl.scan_parquet(str(path))
