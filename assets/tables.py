"""The IO manager: every asset is a Parquet file in its batch's folder, written by streaming and read lazily.

Own, because dagster-polars 0.27 cannot read a file with polars 2.
"""

from typing import Any

import dagster as dg
import polars as pl
from upath import UPath

from assets.resources import LoaderFile


class ParquetTables(dg.ConfigurableIOManagerFactory["TableFiles"]):
    """Keeps the tables of the store that loader.yaml names."""

    loader: dg.ResourceDependency[LoaderFile]

    def create_io_manager(self, context: dg.InitResourceContext) -> "TableFiles":  # noqa: ARG002  (Dagster's interface)
        """Return the IO manager for the store's folder."""
        return TableFiles(UPath(self.loader.settings().store_dir))


class TableFiles(dg.UPathIOManager):
    """`<store>/<batch>/tables/<asset>.parquet`; a reader sees the old table or the new one, never a part."""

    extension: str = ".parquet"

    def __init__(self, base_path: UPath) -> None:
        super().__init__(base_path=base_path)

    def get_path_for_partition(
        self,
        context: dg.InputContext | dg.OutputContext,  # noqa: ARG002
        path: UPath,
        partition: str,
    ) -> UPath:
        """Put a batch's tables side by side."""
        return self._base_path / partition / "tables" / path.name

    def dump_to_path(self, context: dg.OutputContext, obj: pl.LazyFrame, path: UPath) -> None:  # noqa: ARG002
        """Stream the frame into a draft and put it in place of the old table."""
        draft = path.with_name(f".{path.name}.draft")
        obj.sink_parquet(str(draft), compression="zstd", maintain_order=True)
        draft.rename(path)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:  # noqa: ARG002
        """Scan the table."""
        return pl.scan_parquet(str(path))
