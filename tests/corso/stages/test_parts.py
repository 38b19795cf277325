"""Parts: every row once, an order with all its rows in one part, and what the export said of each row."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract.profile import TableName
from corso.stages import parts as parts_module
from corso.stages.parts import Part, parts, put_in_place

Ids = list[str | None]
_IDS = st.lists(st.none() | st.integers(0, 30).map(str), max_size=40)


def tables_of(folder: Path, orders: Ids, lines: Ids, fulfillments: Ids) -> dict[TableName, pl.LazyFrame]:
    """Return raw tables of a column or two, each in a file of many groups of rows."""
    named: dict[TableName, Ids] = {"orders": orders, "line_items": lines, "fulfillments": fulfillments}
    tables: dict[TableName, pl.LazyFrame] = {}
    for name, ids in named.items():
        frame = pl.DataFrame(
            {"source_order_id": pl.Series(ids, dtype=pl.String), "file": [f"{name}.csv"] * len(ids)},
            schema={"source_order_id": pl.String, "file": pl.String},
        ).with_row_index("line", 2)
        frame = frame.with_columns(pl.format("row {}", "line").alias("original.Row"))
        frame.write_parquet(folder / f"{name}.parquet", row_group_size=3)
        tables[name] = pl.scan_parquet(folder / f"{name}.parquet")
    return tables


def holds(tables: dict[TableName, pl.LazyFrame], found: list[dict[TableName, pl.DataFrame]]) -> None:
    """Hold parts against the tables that they were made of."""
    for name, table in tables.items():
        rows = pl.concat(part[name] for part in found).sort("line")
        assert rows.equals(table.collect())
    seen: dict[str, int] = {}
    for number, part in enumerate(found):
        for frame in part.values():
            assert frame["line"].is_sorted()
            for each in frame["source_order_id"].drop_nulls():
                assert seen.setdefault(each, number) == number


def read(part: Part) -> dict[TableName, pl.DataFrame]:
    """Read a part; what stood in the export stays beside its row."""
    frames = part.frames()
    for frame in frames.values():
        assert frame["original.Row"].to_list() == [f"row {line}" for line in frame["line"]]
    return frames


@given(
    orders=_IDS, lines=_IDS, fulfillments=_IDS, per_part=st.integers(1, 50), few=st.sampled_from([0, 1000])
)
@settings(deadline=None, max_examples=60)
@pytest.mark.slow
def test_every_row_is_in_one_part_with_all_of_its_order(
    tmp_path_factory: pytest.TempPathFactory,
    orders: Ids,
    lines: Ids,
    fulfillments: Ids,
    per_part: int,
    few: int,
) -> None:
    """Whatever repeats, is missing, belongs to nothing or stands in another order; cut or dealt out."""
    folder = tmp_path_factory.mktemp("parts")
    tables = tables_of(folder, orders, lines, fulfillments)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts_module, "_FEW", few)
        holds(tables, [read(part) for part in parts(tables, per_part, folder / "scratch")])


@pytest.mark.parametrize("per_part", [1, 3, 7])
def test_tables_in_one_order_are_cut_where_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_part: int
) -> None:
    """A few strays wait for their order; nothing is written anew."""
    monkeypatch.setattr(parts_module, "_dealt_out", None)
    ids: Ids = [str(number) for number in range(20)]
    lines: Ids = [each for each in ids for _ in range(3)]
    lines[10:10], lines[40:40] = ["nobody's", None], ["1", "nobody's"]
    tables = tables_of(tmp_path, [*ids, "3"], lines, [*ids[::2], "0"])
    found = [read(part) for part in parts(tables, per_part, tmp_path / "scratch")]
    assert len(found) == -(-21 // per_part)
    holds(tables, found)


def test_tables_in_different_orders_are_dealt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that stand the other way round would all have to wait."""
    monkeypatch.setattr(parts_module, "_FEW", 5)
    ids: Ids = [str(number) for number in range(100)]
    tables = tables_of(tmp_path, ids, ids[::-1], [])
    assert parts_module._cut(tables, 5, 20) is None
    found = [read(part) for part in parts(tables, 20, tmp_path / "scratch")]
    assert len(found) == 5
    holds(tables, found)


def test_a_table_takes_the_place_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    """Also of a longer one, no file of which is left."""
    table = tmp_path / "tables" / "plan.parquet"
    for number, parts_written in enumerate((0, 3, 1, 0, 2)):
        written = tmp_path / "written"
        frame = pl.DataFrame({"n": [number]})
        if parts_written:
            written.mkdir()
            for part in range(parts_written):
                frame.write_parquet(written / f"{part}.parquet")
        else:
            frame.write_parquet(written)
        put_in_place(written, table)
        assert pl.read_parquet(table)["n"].to_list() == [number] * max(1, parts_written)
        assert [path.name for path in table.parent.iterdir()] == ["plan.parquet"]
