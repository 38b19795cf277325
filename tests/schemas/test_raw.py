"""Raw tables as files: what the export and a canonical column both hold is written once."""

from pathlib import Path

import polars as pl

from schemas.raw import ORIGINAL, original_headers, original_struct, scan_raw, stored

_ROWS = pl.DataFrame(
    {
        "source_order_id": ["1", "2"],
        "customer_email": ["a@example.com", None],
        "line": [2, 3],
        f"{ORIGINAL}Id": [" 1", "2"],
        f"{ORIGINAL}E-mail": ["a@example.com", None],
        f"{ORIGINAL}Note": [None, "x"],
    }
)


def test_a_text_that_a_column_holds_word_for_word_is_written_once_and_read_back_in_its_place(
    tmp_path: Path,
) -> None:
    """The canonical column is read in both places."""
    rows, metadata = stored(_ROWS.lazy(), {"E-mail": "customer_email"})
    rows.sink_parquet(tmp_path / "raw_orders.parquet", metadata=metadata)

    assert f"{ORIGINAL}E-mail" not in pl.read_parquet_schema(tmp_path / "raw_orders.parquet")
    read = scan_raw(tmp_path / "raw_orders.parquet")
    assert read.collect().equals(_ROWS)
    assert original_headers(read.collect_schema()) == ["Id", "E-mail", "Note"]
    first = read.select(original_struct(read.collect_schema())).collect().row(0)
    assert first == ({"Id": " 1", "E-mail": "a@example.com", "Note": None},)


def test_a_table_without_headers_of_an_export_is_read_as_it_is(tmp_path: Path) -> None:
    """A batch without fulfillments has such a table."""
    rows, metadata = stored(_ROWS.lazy().select("source_order_id", "line"), {})
    rows.sink_parquet(tmp_path / "raw_orders.parquet", metadata=metadata)
    assert scan_raw(tmp_path / "raw_orders.parquet").collect().equals(_ROWS.select("source_order_id", "line"))


def test_a_table_of_an_older_version_is_read_with_all_its_columns(tmp_path: Path) -> None:
    """Its file says nothing of headers."""
    _ROWS.write_parquet(tmp_path / "raw_orders.parquet")
    assert scan_raw(tmp_path / "raw_orders.parquet").collect().equals(_ROWS)
