"""Reading Parquet: typed values become the text that a careful CSV export would hold."""

import base64
import zlib
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
    "durations": ([timedelta(days=1, seconds=5), None], pl.Duration("us"), ["P1DT5S", None]),
    "bytes that are text": ([b"M\xc3\xbcller", b"", None], pl.Binary(), ["Müller", None, None]),
    "bytes of a UUID": ([b"\xff\x00" * 8], pl.Binary(), ["ff00" * 8]),
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


INFINITIES = {
    "instants": (pl.Datetime("us", "America/New_York"), 2**63 - 1, 0, "1969-12-31T19:00:00.000000-05:00"),
    "local times": (pl.Datetime("ms"), -(2**63) + 1, 253402300799999, "9999-12-31T23:59:59.999000"),
    "days": (pl.Date(), 2**31 - 1, -719162, "0001-01-01"),
}


@pytest.mark.parametrize(("dtype", "infinity", "good", "text"), INFINITIES.values(), ids=INFINITIES.keys())
def test_a_databases_infinity_is_the_number_that_it_is(
    tmp_path: Path, dtype: pl.DataType, infinity: int, good: int, text: str
) -> None:
    """It is no date, which validation says of its row; the other rows are none the worse for it."""
    values = pl.Series([infinity, good, None]).cast(dtype)
    assert texts(tmp_path, values) == [str(infinity), text, None]


BY_ARROW: dict[str, tuple[list[Any], pa.DataType, list[str | None]]] = {
    "maps": ([[("size", "M")], [], None], pa.map_(pa.string(), pa.string()), ['{"size":"M"}', "{}", None]),
    "maps by number": ([[(7, "M")], None], pa.map_(pa.int64(), pa.string()), ['[{"key":7,"value":"M"}]', None]),
    "long decimals": (
        [Decimal("12.5"), Decimal(f"-{'9' * 40}.05"), None], pa.decimal256(60, 2), ["12.50", f"-{'9' * 40}.05", None],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "kind", "expected"), BY_ARROW.values(), ids=BY_ARROW.keys())
def test_what_only_databases_and_spark_write_is_text_too(
    tmp_path: Path, values: list[Any], kind: pa.DataType, expected: list[str | None]
) -> None:
    """A column that nobody reads must not keep a whole file from being loaded."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"value": pa.array(values, kind), "other": ["kept"] * len(values)}), path)
    rows = read_rows(ExportFile(path, path.name), CsvForm(), tmp_path / "scratch").collect()
    assert rows["value"].to_list() == expected
    assert rows[LINE].to_list() == list(range(1, len(values) + 1))


def test_a_column_of_a_type_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The file is whole: what helps is to leave the column out, not to export it all again."""
    table = pa.table({"id": ["1"], "extra": pa.array(["{}"], pa.json_())})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(
        ExportError, match=r"^x\.parquet: column 'extra' of the type .*json.* cannot be read"
    ) as refused:
        read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path)
    assert str(refused.value).endswith("leave it out of the export, or export it as text")


@pytest.mark.parametrize("zone", ["Z", "-05:30", "Nowhere/Land"])
def test_a_time_zone_that_nobody_knows_is_named(tmp_path: Path, zone: str) -> None:
    """Of itself polars would stop the whole program."""
    pq.write_table(pa.table({"at": pa.array([0], pa.timestamp("us", zone))}), tmp_path / "x.parquet")
    with pytest.raises(
        ExportError, match=f"column 'at' has times of an unknown zone, '{zone}'; export them as UTC"
    ):
        read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path)


@pytest.mark.parametrize(
    ("zone", "offset"), [("+02:00", "02:00:00.000000+02:00"), ("utc", "00:00:00.000000+00:00")]
)
def test_a_time_zone_of_whole_hours_needs_no_name(tmp_path: Path, zone: str, offset: str) -> None:
    """Many programs write their offset in a zone's place."""
    pq.write_table(pa.table({"at": pa.array([0], pa.timestamp("us", zone))}), tmp_path / "x.parquet")
    rows = read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path).collect()
    assert rows["at"].to_list() == [f"1970-01-01T{offset}"]


def test_a_parquet_file_without_columns_is_refused(tmp_path: Path) -> None:
    """There is nothing to load in it, and an export has columns."""
    pq.write_table(pa.table({}), tmp_path / "x.parquet")
    with pytest.raises(ExportError, match=r"^x\.parquet: the file has no column; export it again$"):
        read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path)


def test_the_form_of_csv_files_does_not_matter(tmp_path: Path) -> None:
    """A role may have files of both kinds; what is said of its CSV files is not done to Parquet."""
    pl.DataFrame({"a": ["x", "y"]}).write_parquet(tmp_path / "x.parquet")
    form = CsvForm(";", "utf-16", "number", skip_lines=1, skip_rows=1)
    rows = read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), form, tmp_path).collect()
    assert rows["a"].to_list() == ["x", "y"]


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


_TEXTS = (
    "eNp1kcFOwkAQhqeFNBw4EMJu2mQPvdBARKQrpK0JJIMhSCRaSNRzsVRBpIYiiM/i0YOP6e7qwYuTzPyZ+f6Zw26IU5fkCSNs"
    "LAQAciLTY/dHOAFSJuUGMUhJpAGgi7mhaTmdFK0OGCXL1BcxAWrQJV06PacAFqM90qbCR3SrcZHfpOmW6ECKVV16qzBmglHD"
    "YhZzvjT27yH6qZEKiNZwCnRZAXHZLOJ0en13lt0/zp8j80M7kcEzFDGQxd+J/m3y26vRJWKG50oneBQKvt/L+Qjx4a9PFU/y"
    "g+IKDlGhG5TL/RH2lQ7kPRHKhxi+iyV/IJHaGq6eELtdMK/CdBVtMrv2ctg+puu6vZtvskW6tnnTbbbs2ux1sYptLwlafBaf"
    "JknMvSTxeey2uedHrSDiQSdJeOJF8zjgdYvJl7vVAELxa9+ATV07"
)
_TIMES = (
    "eNp1UctOwkAUva3NhIULTJimTbroxgYiwTJo2rpyILyi0Zb4TNgUywAJUqUI+g/GpV/iB3qnmOjGs5j7OI9JZkI+qFONFmnx"
    "nKoUEKd2p9clQEEuq5RgIZQAqMgRBXaoZh4DKZqGGq8o6EQf6kOHOQUwLZ1RpqOMqma1py3TdEVVoNq+KrXz9z2rKi9Aj2mZ"
    "lvOhWP9m6Z8KLQGOxCnowxJguLHLB4PL25PsYTp+jI0v5VCi4XNEWx7+GufX6GfOV2ecZ7yV14gfhMhvNnLf53zyV5cfnuRd"
    "2W3Jbt620YvmZp8389qWeYg8h/PwCk1+9Oua8NZE5kdbSefmOtpsLfd3EQfjIkzn8TKzy09vq2m6qNjr8TKbpQub1eo11y6P"
    "XmbzxPZE4LJR0hAiYZ4QPkvqR8zzYzeIWXAsBBNePE4CVjEtC1/0WQEI8Se/AY37YzI="
)
FOUND = {
    "bytes of no text in a value": (_TEXTS, 21, 128, "damaged Parquet file"),
    "bytes of no text in a name": (_TEXTS, 111, 128, "not a readable Parquet file"),
    "a panic in a thread": (_TEXTS, 145, 0, "damaged Parquet file"),
    "a length beyond the file": (_TEXTS, 32, 127, "damaged Parquet file"),
    "a type that there is not": (_TEXTS, 114, 127, "damaged Parquet file"),
    "a number of rows that is missing": (_TIMES, 106, 76, "damaged Parquet file"),
    "a time zone that there is not": (_TIMES, 352, 71, "column 'at' has times of an unknown zone"),
}
"""What a search found -> a whole file (zlib, base64), the place of the byte that changed, its value, and the sentence.

pyarrow reads all of them but the second without a word; polars stopped in the middle of a stage.
"""


def with_byte(whole: str, place: int, value: int) -> bytes:
    """Return a whole file with one byte changed."""
    content = bytearray(zlib.decompress(base64.b64decode(whole)))
    content[place] = value
    return bytes(content)


@pytest.mark.parametrize(("whole", "place", "value", "sentence"), FOUND.values(), ids=FOUND.keys())
def test_what_only_polars_minds_is_refused_before_a_stage_begins(
    tmp_path: Path, whole: str, place: int, value: int, sentence: str
) -> None:
    """The reader that reads the file later is asked beforehand; a panic of it is no end of the program."""
    (tmp_path / "x.parquet").write_bytes(with_byte(whole, place, value))
    with pytest.raises(ExportError, match=rf"^x\.parquet: {sentence}"):
        read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path)


def test_a_date_beyond_all_years_spoils_its_own_value_only(tmp_path: Path) -> None:
    """Asked to write such a date, polars panics; the number is refused with its row."""
    (tmp_path / "x.parquet").write_bytes(with_byte(_TIMES, 24, 127))
    rows = read_rows(ExportFile(tmp_path / "x.parquet", "x.parquet"), CsvForm(), tmp_path).collect()
    assert rows["at"].to_list() != []
    assert all(value.lstrip("-").isdigit() or value.startswith("2026") for value in rows["at"])


def test_a_parquet_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Parquet allows it; which of the two is meant, nobody can say."""
    pq.write_table(pa.table([["1"], ["2"]], names=["id", "id"]), tmp_path / "x.parquet")
    file = ExportFile(tmp_path / "x.parquet", "x.parquet")
    assert read_header(file, CsvForm()) == ["id", "id"]
    with pytest.raises(ExportError, match="column 'id' stands in the header more than once"):
        read_rows(file, CsvForm(), tmp_path)
