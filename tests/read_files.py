"""Reads one export file with some content, for tests."""

from pathlib import Path

import pytest
from export_factories import export_file

from corso.errors import ExportError
from corso.extract.text import FAULT, LINE, CsvForm, read_rows

Rows = list[tuple[object, ...]]
"""(line, *values, fault) of each row."""


def rows_of(
    folder: Path, content: str | bytes, name: str = "orders.csv", form: CsvForm | None = None
) -> Rows:
    """Return (line, *values, fault) of every row of a file with this content."""
    frame = read_rows(export_file(folder, name, content), form or CsvForm(), folder / "scratch").collect()
    return frame.select(LINE, *(name for name in frame.columns if name not in {LINE, FAULT}), FAULT).rows()


def refusal(folder: Path, content: str | bytes, name: str = "orders.csv", form: CsvForm | None = None) -> str:
    """Return the sentence with which a file is refused."""
    with pytest.raises(ExportError) as error:
        rows_of(folder, content, name, form)
    return str(error.value)
