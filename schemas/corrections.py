"""What the merchant corrected: which cells of the export, and what was made of the corrections files.

The values themselves do not belong here: they are personal data, and stand in the files that the merchant wrote.
"""

from dataclasses import dataclass

import pandera.polars as pa
import polars as pl

from schemas.fields import PROVENANCE

CORRECTED_CELLS = pa.DataFrameSchema(
    {
        "source_order_id": pa.Column(
            pl.String,
            nullable=True,
            description="The order that the row belongs to once it is corrected, if any.",
        ),
        **PROVENANCE,
        "column": pa.Column(pl.String, description="The column, as the export spells it."),
    },
    strict=True,
    name="corrected_cells",
)
"""One row = one cell of the export that is corrected, and one order that its row is part of."""


@dataclass(frozen=True)
class CorrectionsFile:
    """One file that the merchant dropped back."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class CorrectedColumn:
    """How many cells of a column are corrected."""

    column: str
    cells: int


@dataclass(frozen=True)
class LeftColumn:
    """Cells of a column that differ from the export's as a spreadsheet changes them, and were left as exported."""

    column: str
    looks: str
    """How they were changed, e.g. `written as a number`."""
    cells: int
    place: str
    """One of them: corrections file and line."""


@dataclass(frozen=True)
class CorrectionsUse:
    """What was made of all corrections files of a batch."""

    files: tuple[CorrectionsFile, ...] = ()
    cells: int = 0
    """Cells that are corrected."""
    rows: int = 0
    """Rows of the export in which they stand."""
    orders: int = 0
    """Orders that these rows belong to."""
    columns: tuple[CorrectedColumn, ...] = ()
    left: tuple[LeftColumn, ...] = ()
    refused_rows: int = 0
    """Rows of the corrections files that were not applied."""
    refused: tuple[str, ...] = ()
    """Why, in sentences; the first of them where there are many."""
    notes: tuple[str, ...] = ()
    """What else there is to say, in sentences."""

    def __bool__(self) -> bool:
        """Whether there is anything to say."""
        return self != CorrectionsUse()
