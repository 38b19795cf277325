"""The batch's record of what was corrected: its table of cells, and what the last plan corrected and this one does not."""

from collections.abc import Iterable, Mapping

import polars as pl

from corso.extract.profile import TableName
from corso.extract.roles import Role
from corso.report.atomic import replacing
from corso.stages.batch import Batch
from schemas.corrections import CORRECTED_CELLS
from schemas.fields import dtypes, empty_frame

_TABLE = "corrected_cells"
_CELL = ("file", "line", "column")


def corrected_cells(raw: Mapping[TableName, pl.LazyFrame], roles: Iterable[Role]) -> pl.DataFrame:
    """Return the cells that are corrected, with the orders that their rows are of (CORRECTED_CELLS)."""
    cells = dict.fromkeys(
        (file, line, column)
        for role in roles
        for (file, line), row in role.corrected.cells.items()
        for column in row
    )
    if not cells:
        return empty_frame(CORRECTED_CELLS)
    types = dtypes(CORRECTED_CELLS)
    frame = pl.LazyFrame(list(cells), schema={name: types[name] for name in _CELL}, orient="row")
    rows = pl.concat([table.select("source_order_id", "file", "line") for table in raw.values()])
    orders = rows.join(frame, on=["file", "line"], how="semi").unique(maintain_order=True)
    joined = frame.join(orders, on=["file", "line"], how="left", maintain_order="left")
    return joined.select(*types).sort("file", "line", maintain_order=True).collect()


def keep_corrected_cells(batch: Batch, cells: pl.DataFrame) -> list[str]:
    """Write the batch's table of cells, and say what the last plan corrected that is as exported again."""
    path = batch.table(_TABLE)
    before = read_corrected_cells(batch).select(_CELL).unique(maintain_order=True).collect()
    if cells.is_empty():
        path.unlink(missing_ok=True)
    else:
        with replacing(path) as draft:
            cells.write_parquet(draft, compression="zstd")
    lost = before.join(cells, on=_CELL, how="anti", maintain_order="left")
    if lost.is_empty():
        return []
    file, line, column = lost.row(0)
    said = f"{lost.height:,} cells that the last plan corrected are as exported again, e.g. {column!r} of {file}:{line}: a corrections file was changed, or taken away, or does not apply any more"
    return [said]


def read_corrected_cells(batch: Batch) -> pl.LazyFrame:
    """Return the batch's corrected cells (CORRECTED_CELLS)."""
    path = batch.table(_TABLE)
    return pl.scan_parquet(path, glob=False) if path.exists() else empty_frame(CORRECTED_CELLS).lazy()
