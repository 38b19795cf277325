"""The IO manager: every asset is a Parquet file, or a folder of them, in its batch's folder, and read lazily.

Own, because dagster-polars 0.27 cannot read a file with polars 2.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from assets.resources import LoaderFile
from assets.run_tags import PARTITION_TAG
from assets.running import is_in_steps, step_of_run, whole_run
from corso.delivery.batch_lock import Held
from corso.stages.landing import Landing
from corso.stages.parts import put_in_place
from schemas.raw import scan_raw


class ParquetTables(dg.ConfigurableIOManagerFactory["TableFiles"]):
    """Keeps the tables of the stores that are served; as long as a run has them, no other loader touches them."""

    loader: dg.ResourceDependency[LoaderFile]

    def create_io_manager(self, context: dg.InitResourceContext) -> "TableFiles":  # noqa: ARG002  (Dagster's interface)
        """Return the IO manager."""
        return TableFiles(self.loader.landing)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["TableFiles"]:
        """Hold the run's batch, or enter it as a step of a run that holds it. Raises CorsoError where that cannot be."""
        instance, run = context.instance, context.run
        if run is None or instance is None or PARTITION_TAG not in run.tags:
            yield self.create_io_manager(context)
            return
        landing = self.loader.landing
        # Dagster names the step to the log of resources where the process has one alone.
        step = context.log.metadata.get("step_key") if context.log else None
        if step is not None and is_in_steps(instance, run.run_id):
            working = step_of_run(instance, run, landing, str(step))
        else:
            working = whole_run(instance, run, landing)
        with working as held:
            yield TableFiles(landing, held)


class TableFiles(dg.UPathIOManager):
    """`<store>/<batch>/tables/<asset>.parquet`; a reader sees the old table or the new one, never a part."""

    extension: str = ".parquet"

    def __init__(self, landing: Landing, held: Held | None = None) -> None:
        super().__init__(base_path=UPath(landing.path))
        self._landing = landing
        self._held = held or Held()

    def get_path_for_partition(
        self,
        context: dg.InputContext | dg.OutputContext,
        path: UPath,
        partition: str,
    ) -> UPath:
        """Put a batch's tables side by side."""
        batch = self._landing.batch(partition)
        if isinstance(context, dg.InputContext):
            batch.table(path.name)
        # Its extension is added by who calls.
        return UPath(batch.tables / path.name)

    def dump_to_path(self, context: dg.OutputContext, obj: pl.LazyFrame | Path, path: UPath) -> None:
        """Put a table in place of the old one: a file, or a folder of files, that is written already, or a frame.

        Raises LeaseLost where another run took the batch over: its tables are left alone.
        """
        self._held.check()
        if isinstance(obj, Path):
            put_in_place(obj, Path(str(path)))
        else:
            draft = path.with_name(f".{path.name}.draft")
            obj.sink_parquet(str(draft), compression="zstd", maintain_order=True)
            draft.rename(path)
        self._landing.batch(context.partition_key).publish()
        rows = pl.scan_parquet(str(path), glob=False).select(pl.len()).collect().item()
        context.add_output_metadata({"rows": rows})

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:  # noqa: ARG002
        """Scan the table."""
        if path.name.startswith("raw_"):
            return scan_raw(Path(str(path)))
        return pl.scan_parquet(str(path), glob=False)
