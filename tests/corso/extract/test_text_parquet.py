"""Reading Parquet: typed values become the text that a careful CSV export would hold."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corso.errors import ExportError
from corso.extract.files import ExportFile
from corso.extract.text import FAULT, LINE, CsvForm, read_header, read_rows


def texts(folder: Path, series: pl.Series) -> list[str | None]:
    """Return a typed column's values as they are read."""
    path = folder / "x.parquet"
    series.alias("value").to_frame().with_columns(other=pl.lit("kept")).write_parquet(path)
    return read_rows(ExportFile(path, path.name), CsvForm(), folder).collect()["value"].to_list()


BERLIN = timezone(timedelta(hours=1))
TYPED: dict[str, tuple[list[Any], pl.DataType | None, list[str | None]]] = {
    "text": (["02101", "", " x ", None], None, ["02101", None, " x ", None]),
    "decimals": ([Decimal("12.50"), Decimal("-0.05"), None], pl.Decimal(12, 2), ["12.50", "-0.05", None]),
    "whole numbers": ([123456789012345678, -1], pl.Int64(), ["123456789012345678", "-1"]),
    "floats": ([1001.0, 19.99, 0.5, None], pl.Float64(), ["1001", "19.99", "0.5", None]),
    "flags": ([True, False, None], pl.Boolean(), ["true", "false", None]),
    "dates": ([date(2026, 11, 22)], pl.Date(), ["2026-11-22"]),
    "local times": ([datetime(2026, 11, 22, 9, 30)], pl.Datetime("us"), ["2026-11-22T09:30:00.000000"]),  # noqa: DTZ001
    "instants": (
        [datetime(2026, 11, 22, 9, 30, 0, 5, tzinfo=UTC)], pl.Datetime("us", "UTC"), ["2026-11-22T09:30:00.000005+00:00"],
    ),
    "zoned times": (
        [datetime(2026, 11, 22, 9, 30, tzinfo=UTC)], pl.Datetime("ms", "America/New_York"),
        ["2026-11-22T04:30:00.000000-05:00"],
    ),
    "categories": (["UPS", "DHL", None], pl.Categorical(), ["UPS", "DHL", None]),
    "lists of structs": (
        [[{"name": "Size", "value": 'M "slim"'}], [], None], None, ['[{"name":"Size","value":"M \\"slim\\""}]', "[]", None],
    ),
    "nothing at all": ([None, None], pl.Null(), [None, None]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "dtype", "expected"), TYPED.values(), ids=TYPED.keys())
def test_typed_values_become_careful_text(
    tmp_path: Path, values: list[Any], dtype: pl.DataType | None, expected: list[str | None]
) -> None:
    """What a database knew about a value is kept; an id that it had to hold as a float is an id again."""
    assert texts(tmp_path, pl.Series(values, dtype=dtype)) == expected


def test_a_number_that_a_float_cannot_hold_is_not_made_to_look_exact(tmp_path: Path) -> None:
    """Beyond 2^53 digits are lost already; the text shows it, so that validation can refuse it."""
    assert texts(tmp_path, pl.Series([12345678901234567.0, float("nan")])) == [
        "1.2345678901234568e+16",
        "NaN",
    ]


def test_rows_are_numbered_from_one(tmp_path: Path) -> None:
    """A Parquet file has no lines and no header: its first row is row 1; rows without a value are left out."""
    pl.DataFrame({"a": ["x", None, "z"]}).write_parquet(tmp_path / "x.parquet")
    rows = read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path).collect()
    assert rows.select(LINE, "a", FAULT).rows() == [(1, "x", None), (3, "z", None)]


def damaged(folder: Path) -> dict[str, bytes]:
    """Return Parquet files that are broken in different ways."""
    path = folder / "whole.parquet"
    pl.DataFrame({"a": [f"x{number}" for number in range(5000)]}).write_parquet(path, compression="snappy")
    whole = path.read_bytes()
    middle = len(whole) // 2
    return {
        "cut off": whole[:middle],
        "damaged in a page": whole[:middle] + b"\xff" * 60 + whole[middle + 60 :],
        "empty": b"",
        "CSV": b"a,b\n1,2\n",
    }


@pytest.mark.parametrize("name", ["cut off", "damaged in a page", "empty", "CSV"])
def test_a_broken_parquet_file_is_refused_before_a_stage_begins(tmp_path: Path, name: str) -> None:
    """Also where the footer is whole: the damage is named with the file, and not found in the middle of the work."""
    (tmp_path / "x.parquet").write_bytes(damaged(tmp_path)[name])
    with pytest.raises(ExportError, match=r"^x\.parquet: (not a readable|damaged) Parquet file"):
        read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path)


def test_a_parquet_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Parquet allows it; which of the two is meant, nobody can say."""
    pq.write_table(pa.table([["1"], ["2"]], names=["id", "id"]), tmp_path / "x.parquet")
    file = ExportFile(tmp_path / "x.parquet", "x.parquet")
    assert read_header(file, CsvForm()) == ["id", "id"]
    with pytest.raises(ExportError, match="column 'id' stands in the header more than once"):
        read_rows(file, CsvForm(), tmp_path)
