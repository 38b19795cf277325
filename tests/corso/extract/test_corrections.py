"""Corrections reach the row that the merchant saw, and no other; what is not sure is refused with its place."""

import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from export_factories import (
    Row,
    collected,
    csv_text,
    export_file,
    line_text,
    loader_settings,
    order_text,
    with_original,
)
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from corso.errors import ExportError, SettingsError
from corso.extract.corrections import read_corrections
from corso.extract.files import ExportFile, find_corrections
from corso.extract.mapping import map_roles
from corso.extract.profile import TableName, load_profile
from corso.extract.roles import read_roles, said_of_corrections
from corso.report.results import write_quarantine
from schemas.corrections import CorrectionsUse
from schemas.fields import dtypes
from schemas.quarantine import QUARANTINE

pytestmark = pytest.mark.slow

SHOPIFY = """\
Name,Email,Financial Status,Subtotal,Shipping,Taxes,Total,Currency,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Billing Name,Billing City,Billing Zip,Id
#1001,ann@example.com,paid,20.00,5.00,0.00,25.00,USD,2026-11-20 12:30:00 -0500,1,Mug,10.00,MUG,Ann Lee,Springfeld,'02101,6097582719028
#1001,,,,,,,,,1,Cup,10.00,CUP,,,,
#1002,bob@example.com,paid,10.00,5.00,0.00,15.00,USD,2026-11-21 12:30:00 -0500,1,Mug,10.00,MUG,Bob Ray,Salem,'01970,6097582719029
"""


@dataclass
class Loop:
    """An export, its quarantine.csv, and what comes of corrections."""

    folder: Path
    files: Mapping[str, Sequence[ExportFile]]
    profile: str = "canonical"

    def quarantine(self) -> list[dict[str, str]]:
        """Return quarantine.csv as the loader writes it where every row is bad."""
        raw = self._mapped([])[0]
        fields = list(
            dict.fromkeys(name for frame in raw.values() for name in frame["original"].struct.fields)
        )
        rows = []
        for name, frame in raw.items():
            for file, line, original in frame.select("file", "line", "original").iter_rows():
                known = dict.fromkeys(dtypes(QUARANTINE))
                rows.append({**known, "table": name, "file": file, "line": line, "kind": "quarantined", "problems": [],
                             "reasons": f"{name} is bad", "original": {field: original.get(field) for field in fields}})  # fmt: skip
        schema = {**dtypes(QUARANTINE), "original": pl.Struct(dict.fromkeys(fields, pl.String))}
        path = self.folder / "quarantine.csv"
        write_quarantine(pl.LazyFrame(rows, schema=schema), path, path.parent / "scratch")
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def apply(
        self, *contents: str | bytes | Sequence[Mapping[str, Any]]
    ) -> tuple[dict[TableName, pl.DataFrame], CorrectionsUse]:
        """Return the raw tables and what was made of corrections files, called a.csv, b.csv and so on."""
        files = [
            export_file(self.folder / "corrections", f"{chr(ord('a') + number)}.csv",
                        content if isinstance(content, str | bytes) else csv_text(content))
            for number, content in enumerate(contents)
        ]  # fmt: skip
        return self._mapped(files)

    def _mapped(self, files: Sequence[ExportFile]) -> tuple[dict[TableName, pl.DataFrame], CorrectionsUse]:
        profile = load_profile(self.profile, self.folder)
        corrections = read_corrections(files, self.folder / "scratch")
        roles = read_roles(profile, self.files, self.folder / "scratch", {}, corrections)
        raw = {name: with_original(table) for name, table in collected(map_roles(profile, roles)).items()}
        return raw, said_of_corrections(profile, roles, self.files, corrections)


def canonical(folder: Path, orders: Sequence[Row], lines: Sequence[Row] | None = None) -> Loop:
    """Write an export of the canonical tables; without `lines` each order gets one."""
    lines = (
        lines
        if lines is not None
        else [line_text(source_order_id=each["source_order_id"]) for each in orders]
    )
    files = {
        "orders": [export_file(folder, "orders.csv", csv_text(orders))],
        "line_items": [export_file(folder, "line_items.csv", csv_text(lines))],
    }
    return Loop(folder, files)


def shopify(folder: Path, content: str = SHOPIFY) -> Loop:
    """Write an export in which an order has several rows."""
    return Loop(folder, {"orders": [export_file(folder, "orders.csv", content)]}, "shopify")


def edit(rows: Sequence[dict[str, str]], file: str, line: int, **cells: str) -> list[dict[str, str]]:
    """Return rows of which one has edited cells."""
    assert any((row["file"], row["line"]) == (file, f"{line}") for row in rows)
    return [row | cells if (row["file"], row["line"]) == (file, f"{line}") else row for row in rows]


def test_columns_that_are_alike_are_corrected_each_for_itself(tmp_path: Path) -> None:
    """An underscore tells two columns apart that nobody reads; quarantine.csv has both, and so has a corrections file."""
    loop = canonical(tmp_path, [order_text(1, notes="", gift_note="for Ann", _gift_note="x1")])
    rows = edit(loop.quarantine(), "orders.csv", 2, _gift_note="x2", notes="by hand")
    tables, used = loop.apply(rows)
    (original,) = tables["orders"]["original"]
    assert (original["gift_note"], original["_gift_note"]) == ("for Ann", "x1")
    assert tables["orders"]["notes"].to_list() == ["by hand"]
    assert (used.cells, used.notes) == (2, ())


def counts(use: CorrectionsUse) -> tuple[int, int, int, int]:
    """Return cells, rows, cells left as exported, rows refused."""
    return use.cells, use.rows, sum(each.cells for each in use.left), use.refused_rows


def test_an_edited_cell_is_taken_and_the_export_stays_beside_it(tmp_path: Path) -> None:
    """Only the named cell of the named row changes; `original` is evidence."""
    loop = canonical(tmp_path, [order_text(1), order_text(2)])
    before, _ = loop.apply()
    raw, use = loop.apply(edit(loop.quarantine(), "orders.csv", 3, billing_address_city="Salem"))
    assert raw["orders"]["billing_address_city"].to_list() == ["Springfield", "Salem"]
    assert raw["orders"].drop("billing_address_city").equals(before["orders"].drop("billing_address_city"))
    assert raw["line_items"].equals(before["line_items"])
    assert counts(use) == (1, 1, 0, 0)
    assert [(each.column, each.cells) for each in use.columns] == [("billing_address_city", 1)]
    assert [(file.name, len(file.sha256), file.rows) for file in use.files] == [("a.csv", 64, 4)]


def test_a_file_that_was_not_edited_changes_nothing(tmp_path: Path) -> None:
    """However it was saved: other columns first, semicolons, a byte order mark, reasons gone, rows taken out."""
    orders = [order_text(1, notes='=cmd "x"'), order_text(2, notes="a;b\nc"), order_text(3, notes="-\t,")]
    loop = canonical(tmp_path, orders)
    rows = loop.quarantine()
    assert rows[3]["notes"] == '\'=cmd "x"'
    turned = [dict(reversed(row.items())) for row in rows]
    saved = [
        csv_text(rows).encode(),
        b"\xef\xbb\xbf" + csv_text(turned).encode(),
        csv_text(turned[1:], delimiter=";").encode(),
        csv_text([{key: value for key, value in row.items() if key != "reasons"} for row in rows], delimiter="\t").encode("utf-16"),
        b"sep=;\r\n" + csv_text(rows, delimiter=";").encode(),
        (csv_text(rows).split("\n", 1)[0] + ",,\n").encode() + b"\n".join(
            line for line in csv_text(rows[:2]).encode().split(b"\n")[1:]
        ),
    ]  # fmt: skip
    before, _ = loop.apply()
    raw, use = loop.apply(*saved)
    assert counts(use) == (0, 0, 0, 0)
    assert use.notes == ()
    assert {name: frame.equals(before[name]) for name, frame in raw.items()} == dict.fromkeys(raw, True)


def test_what_a_spreadsheet_changed_is_left_and_told(tmp_path: Path) -> None:
    """By column and how it looks, with one place; an apostrophe says that it is meant."""
    loop = canonical(tmp_path, [order_text(1), order_text(2)])
    rows = edit(
        loop.quarantine(),
        "orders.csv",
        2,
        billing_address_postal_code="2101",
        total_money="27",
        customer_first_name="Anna",
    )
    rows = edit(rows, "orders.csv", 3, billing_address_postal_code="2101", shipping_address_postal_code="'2101", total_money="27")  # fmt: skip
    raw, use = loop.apply(rows)
    assert counts(use) == (2, 2, 4, 0)
    assert raw["orders"]["billing_address_postal_code"].to_list() == ["02101", "02101"]
    assert raw["orders"]["shipping_address_postal_code"].to_list() == ["02101", "2101"]
    assert raw["orders"]["customer_first_name"].to_list() == ["Anna", "Ann"]
    assert [(each.column, each.looks, each.cells, each.place) for each in use.left] == [
        ("total_money", "written as a number", 2, "a.csv:4"),
        ("billing_address_postal_code", "written as a number", 2, "a.csv:4"),
    ]


def test_a_corrected_key_brings_rows_to_their_order(tmp_path: Path) -> None:
    """Corrections come before it is found out which rows are one order, and before a profile's rules."""
    content = SHOPIFY.replace("#1001,,,,,,,,,1,Cup", ",,,,,,,,,1,Cup")
    loop = shopify(tmp_path, content)
    raw, use = loop.apply(edit(loop.quarantine(), "orders.csv", 3, Name="#1001", **{"Billing City": "Salem"}))
    assert counts(use) == (2, 1, 0, 0)
    lines = raw["line_items"]
    assert lines["source_order_id"].to_list() == ["6097582719028", "6097582719028", "6097582719029"]
    assert lines["source_line_item_id"].to_list() == ["#1001-1", "#1001-2", "#1002-1"]
    assert lines["sku"].to_list() == ["MUG", "CUP", "MUG"]
    assert lines["original"].struct.field("Name").to_list() == ["#1001", None, "#1002"]


def test_a_corrected_row_is_whole_again(tmp_path: Path) -> None:
    """Its cells are put into their columns; one that nobody touched keeps its fault."""
    ragged = SHOPIFY.replace("Ann Lee,Springfeld", "Lee, Ann,Springfeld").replace(
        "Bob Ray,Salem", "Ray, Bob,Salem"
    )
    loop = shopify(tmp_path, ragged)
    rows = loop.quarantine()
    raw, use = loop.apply(
        edit(rows, "orders.csv", 2, **{"Billing Name": "Lee, Ann", "Billing City": "Springfield", "Billing Zip": "'02101", "Id": "6097582719028"})
    )  # fmt: skip
    assert counts(use) == (4, 1, 0, 0)
    assert raw["orders"]["source_order_id"].to_list() == ["6097582719028", "'01970"]
    assert raw["orders"]["billing_address_city"].to_list() == ["Springfield", " Bob"]
    faults = raw["orders"]["fault"].to_list()
    assert faults[0] is None
    assert "18 fields" in faults[1]


def test_columns_named_like_ours_are_known(tmp_path: Path) -> None:
    """quarantine.csv calls the export's `line` original_line, and a header that looks like a formula '=x."""
    orders = [order_text(1) | {"line": "7", "=x": "1", "reasons": "none"}]
    loop = canonical(tmp_path, orders)
    (row, *_) = [row for row in loop.quarantine() if row["file"] == "orders.csv"]
    assert (row["original_line"], row["line"], row["'=x"]) == ("7", "2", "1")
    _, use = loop.apply([row | {"original_line": "8", "'=x": "2", "original_reasons": "some"}])
    assert {each.column for each in use.columns} == {"line", "=x", "reasons"}


# Which row it is


def test_a_row_that_moved_is_refused(tmp_path: Path) -> None:
    """The export was written anew with a row more: what is on the line now was never seen."""
    rows = edit(
        canonical(tmp_path, [order_text(2), order_text(3)]).quarantine(),
        "orders.csv",
        2,
        billing_address_city="Salem",
    )
    raw, use = canonical(tmp_path, [order_text(1), order_text(2), order_text(3)]).apply(rows)
    assert use.cells == 0
    assert set(raw["orders"]["billing_address_city"]) == {"Springfield"}
    assert (
        "a.csv:4: orders.csv:2 may be another row than the one that was corrected: "
        "'source_order_id' is another one in the export, and so are other cells"
    ) in use.refused


def test_rows_that_nothing_tells_apart_are_refused_where_the_order_is_another(tmp_path: Path) -> None:
    """A shop that sells one thing: its lines are alike but for the order, so that a line that moved looks corrected."""
    lines = [line_text(number, sku=None) for number in range(1, 8)]
    seen, there = lines[:3], lines[4:]
    rows = [
        row
        for row in canonical(tmp_path, [order_text(1)], seen).quarantine()
        if row["file"] == "line_items.csv"
    ]
    _, use = canonical(tmp_path, [order_text(1)], there).apply(rows)
    assert counts(use) == (0, 0, 0, 3)
    assert "most other rows are not in their places either" in use.refused[0]
    _, use = canonical(tmp_path, [order_text(1)], lines[1:]).apply(rows)
    assert counts(use) == (0, 0, 0, 3)


def test_an_id_may_be_corrected_in_a_row_that_is_known_otherwise(tmp_path: Path) -> None:
    """Where the rest of the row is as it was and stands in no other row; other cells may not change with it."""
    loop = canonical(
        tmp_path, [order_text(1), order_text(2, source_order_id="o-1")], [line_text(1), line_text(2)]
    )
    rows = loop.quarantine()
    raw, use = loop.apply(edit(rows, "orders.csv", 3, source_order_id="o-2"))
    assert counts(use) == (1, 1, 0, 0)
    assert raw["orders"]["source_order_id"].to_list() == ["o-1", "o-2"]
    _, use = loop.apply(edit(rows, "orders.csv", 3, source_order_id="o-2", billing_address_city="Salem"))
    assert counts(use) == (0, 0, 0, 1)


def test_an_id_that_lost_its_digits_leaves_rows_known_by_the_others(tmp_path: Path) -> None:
    """Spreadsheets show 18 digits as 5.76461E+17; the edit beside it is taken where the row is surely this one."""
    ids = ["576460752303423488", "576460752303423489"]
    orders = [order_text(number, source_order_id=each) for number, each in enumerate(ids, 1)]
    alike = [line_text(source_order_id=each, sku=None) for each in ids]
    loop = canonical(tmp_path, orders, alike)
    shown = [row | {"source_order_id": "5.76461E+17"} for row in loop.quarantine()]
    raw, use = loop.apply(edit(shown, "orders.csv", 3, billing_address_city="Salem"))
    assert counts(use) == (1, 1, 4, 0)
    assert raw["orders"]["source_order_id"].to_list() == ids
    assert raw["orders"]["billing_address_city"].to_list() == ["Springfield", "Salem"]
    _, use = loop.apply(edit(shown, "line_items.csv", 2, sku="MUG"))
    assert counts(use) == (0, 0, 3, 1)


@pytest.mark.parametrize(("rows", "is_taken"), [(5, False), (12, True)])
def test_a_row_without_its_order_is_told_from_others_in_a_file_of_some_rows(
    rows: int, is_taken: bool, tmp_path: Path
) -> None:
    """In a small file it says little that what was left alone stands in one row only: none of them may be the row."""
    numbers = range(rows)
    ids = [f"{576460752303423480 + number}" for number in numbers]
    lines = [line_text(source_order_id=ids[each], name=f"Mug {each}", sku=f"MUG-{each}") for each in numbers]
    loop = canonical(tmp_path, [order_text(1, source_order_id=ids[0])], lines)
    shown = [row | {"source_order_id": "5.76461E+17"} for row in loop.quarantine()]
    _, use = loop.apply(edit(shown, "line_items.csv", 3, price="12.00"))
    assert (use.cells, use.refused_rows) == ((1, 0) if is_taken else (0, 1))
    assert is_taken or "its file has too few rows to tell" in use.refused[0]


def test_a_row_whose_cells_are_those_of_another_line_is_refused(tmp_path: Path) -> None:
    """The order's rows changed places; the one that was copied on purpose is known by the other that came back."""
    mug, cup, pot = (
        line_text(1, number, name=name, price=price, quantity=f"{number}")
        for number, name, price in ((1, "Mug", "10.00"), (2, "Cup", "8.00"), (3, "Pot", "30.00"))
    )
    seen = canonical(tmp_path, [order_text(1)], [mug, cup]).quarantine()
    rows = [row for row in edit(seen, "line_items.csv", 2, tax="1.00") if row["file"] == "line_items.csv"]
    _, use = canonical(tmp_path, [order_text(1)], [pot, mug, cup]).apply(rows[:1])
    assert counts(use) == (0, 0, 0, 1)
    assert "may be another row" in use.refused[0]

    near = line_text(1, 2, name="Mug", quantity="2", sku="MUG-1")
    seen = canonical(tmp_path, [order_text(1)], [line_text(1, 1, name="Mug"), near]).quarantine()
    _, use = canonical(tmp_path, [order_text(1)], [near, line_text(1, 1, name="Mug")]).apply(
        [row for row in edit(seen, "line_items.csv", 2, tax="1.00") if row["file"] == "line_items.csv"][:1]
    )
    assert use.refused == (
        "a.csv:2: line_items.csv:2 may be another row than the one that was corrected: its cells are rather those of line 3",
    )

    twice = [line_text(1, 1, name="Mug"), line_text(1, 1, name="Mugg", price="11.00", sku="M")]
    loop = canonical(tmp_path, [order_text(1)], twice)
    raw, use = loop.apply(
        edit(loop.quarantine(), "line_items.csv", 3, name="Mug", price="10.00", sku="MUG-1")
    )
    assert counts(use) == (3, 1, 0, 0)
    assert raw["line_items"]["name"].to_list() == ["Mug", "Mug"]


# Without shrinking, which would take minutes.
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_no_correction_reaches_a_row_that_was_not_seen(data: st.DataObject) -> None:
    """However the export was changed since, and whatever was edited: the same order, and the same line of it."""
    numbers = st.lists(st.integers(1, 12), min_size=1, max_size=9, unique=True)
    before, after = data.draw(numbers), data.draw(numbers)
    with tempfile.TemporaryDirectory() as home:
        rows = a_shop(Path(home), before).quarantine()
        cells = st.sampled_from(
            ["customer_first_name", "billing_address_city", "total_money", "sku", "price", "name", *BLANK]
        )
        edits = st.dictionaries(cells, st.sampled_from(["x", "7.5", ""]), max_size=3)
        for row in rows:
            row |= {name: cell for name, cell in data.draw(edits).items() if row[name] or name in BLANK}
        if data.draw(st.booleans()):
            rows = [row | {"source_order_id": "5.76461E+17"} for row in rows]
        seen = {
            (row["file"], row["line"]): row["order_name"] or row["name"]
            for row in a_shop(Path(home), before).quarantine()
        }
        loop = a_shop(Path(home), after)
        raw, _ = loop.apply(rows)
        plain = {(row["file"], row["line"]): row["order_name"] or row["name"] for row in loop.quarantine()}
        for table in raw.values():
            for file, line in corrected_places(table):
                assert plain[file, f"{line}"] == seen[file, f"{line}"]


BLANK = ("notes", "vendor")
"""Columns of the shop's files in which nothing stands; the other file has them not."""


def a_shop(folder: Path, numbers: Sequence[int]) -> Loop:
    """Write orders of these numbers, whose customers and goods are alike, each with two lines."""
    alike = {
        "customer_email": "ann@example.com",
        "billing_address_line1": "1 Main St",
        "shipping_address_line1": "1 Main St",
    }
    ids = {number: f"{576460752303423480 + number}" for number in numbers}
    orders = [order_text(number, **alike, notes=None, source_order_id=ids[number]) for number in numbers]
    lines = [
        line_text(number, line, source_order_id=ids[number], name=f"{number}-{line}", sku="MUG", vendor=None)
        for number in numbers
        for line in (1, 2)
    ]
    return canonical(folder, orders, lines)


def corrected_places(table: pl.DataFrame) -> list[tuple[str, int]]:
    """Return the rows whose cells are not those of the export."""
    fields = [name for name in table["original"].struct.fields if name in table.columns]
    kept = table.unnest("original", separator=":").filter(
        pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"original:{name}")) for name in fields)
    )
    return kept.select("file", "line").rows()


def test_most_of_a_row_has_to_be_as_it_was(tmp_path: Path) -> None:
    """Half of its filled cells in the columns that came back, whatever is filled in beside them."""
    loop = canonical(tmp_path, [order_text(1)], [line_text(sku=None, tax=None)])
    row = next(row for row in loop.quarantine() if row["file"] == "line_items.csv")
    assert counts(loop.apply([row | {"sku": "M", "tax": "0.00", "price": "9.00", "name": "Cup"}])[1]) == (
        4,
        1,
        0,
        0,
    )
    refused = loop.apply([row | {"price": "9.00", "name": "Cup", "quantity": "3"}])[1]
    assert "most of its cells are other ones in the export" in refused.refused[0]
    few = {name: row[name] for name in ("source_order_id", "sku", "file", "line")} | {"sku": "M"}
    assert counts(loop.apply([few])[1]) == (1, 1, 0, 0)
    del few["source_order_id"]
    assert "without the column 'source_order_id'" in loop.apply([few])[1].refused[0]


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ({"line": "99"}, "a.csv:2: orders.csv has no row on line 99"),
        ({"file": "old.csv"}, "a.csv:2: old.csv is no export file of this batch"),
        ({"line": ""}, "a.csv:2: says no file and line of the export"),
        ({"line": "two"}, "a.csv:2: says no file and line of the export"),
        ({"sku": "M"}, "a.csv:2: orders.csv has no column 'sku'"),
    ],
)
def test_a_row_that_is_not_there_is_refused(cells: dict[str, str], sentence: str, tmp_path: Path) -> None:
    """With the place in the corrections file."""
    loop = canonical(tmp_path, [order_text(1)])
    row = next(row for row in loop.quarantine() if row["file"] == "orders.csv")
    _, use = loop.apply([row | {"billing_address_city": "Salem"} | cells])
    assert (use.cells, use.refused_rows, use.refused) == (0, 1, (sentence,))


def test_the_line_may_be_shown_as_a_number(tmp_path: Path) -> None:
    """Spreadsheets group and round what they take for one."""
    loop = canonical(tmp_path, [order_text(number) for number in range(1, 1100)], [line_text(1)])
    row = next(row for row in loop.quarantine() if row["line"] == "1000")
    assert counts(loop.apply([row | {"line": "1,000.0", "billing_address_city": "Salem"}])[1]) == (1, 1, 0, 0)


def test_two_export_files_of_one_name_cannot_be_corrected(tmp_path: Path) -> None:
    """Nobody can tell which one is meant."""
    loop = canonical(tmp_path, [order_text(1)])
    rows = edit(loop.quarantine(), "orders.csv", 2, billing_address_city="Salem")
    twin = ExportFile(
        export_file(tmp_path / "other", "orders.csv", csv_text([order_text(2)])).path, "orders.csv"
    )
    loop.files = {**loop.files, "orders": [*loop.files["orders"], twin]}
    _, use = loop.apply([row for row in rows if row["file"] == "orders.csv"])
    assert use.refused == ("a.csv:2: 2 export files are called orders.csv",)


# Several corrections


def test_corrections_add_up_and_agree(tmp_path: Path) -> None:
    """A second file adds to the first; a cell that it has as exported takes nothing back."""
    loop = canonical(tmp_path, [order_text(1), order_text(2)])
    rows = loop.quarantine()
    first = edit(rows, "orders.csv", 2, billing_address_city="Salem")
    second = edit(edit(rows, "orders.csv", 2, order_name="#9"), "orders.csv", 3, order_name="")
    raw, use = loop.apply(first, second, edit(rows, "orders.csv", 2, billing_address_city="Salem"))
    assert counts(use) == (3, 2, 0, 0)
    assert raw["orders"].select("billing_address_city", "order_name").rows() == [
        ("Salem", "#9"),
        ("Springfield", None),
    ]


def test_corrections_that_disagree_are_refused_with_both_places(tmp_path: Path) -> None:
    """The merchant knows which one is right; nothing goes on until one is gone."""
    loop = canonical(tmp_path, [order_text(1)])
    rows = loop.quarantine()
    one, other = (edit(rows, "orders.csv", 2, billing_address_city=city) for city in ("Salem", "Boston"))
    sentence = "a.csv:3 and b.csv:3 correct 'billing_address_city' of orders.csv:2 in two ways; keep the one that is right"
    with pytest.raises(ExportError) as error:
        loop.apply(one, other)
    assert str(error.value) == sentence


# The files themselves


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "a.csv:1: the file is empty or has no header"),
        (b"id,line\n1,2\n", "a.csv:1: no columns 'file' and 'line'"),
        ("id,file,line\no-1,orders.csv,2\nZürich,x,3\n".encode("cp1252"), "a.csv:3: not UTF-8 text; save it as"),
        (b"id,file,line\no-1,orders.csv,2\no-1,orders.csv\n", "a.csv:3: the row has 2 fields where the header has 3"),
        (b"PK\x03\x04 and so on", "a.csv: this is a"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_stops_the_batch(content: bytes, sentence: str, tmp_path: Path) -> None:
    """With its line, before anything is sent: what it would have said nobody knows."""
    with pytest.raises(ExportError) as error:
        canonical(tmp_path, [order_text(1)]).apply(content)
    assert str(error.value).startswith(sentence)
    assert "exports" not in str(error.value)


def test_a_column_of_the_merchants_own_is_not_read_and_that_is_said(tmp_path: Path) -> None:
    """A misspelt header would lose its edits silently."""
    loop = canonical(tmp_path, [order_text(1)])
    _, use = loop.apply([row | {"my note": "ask Ann"} for row in loop.quarantine()])
    assert use.notes == ("a.csv: the export has no column 'my note'; it was not read",)
    assert counts(use) == (0, 0, 0, 0)


# Where they are


def test_corrections_are_found_as_exports_are(tmp_path: Path) -> None:
    """A path, a glob or several, with the batch's name; none by default, and none that has to be there."""
    assert find_corrections(loader_settings(tmp_path, "orders: o.csv"), "b-1") == []
    loader = loader_settings(
        tmp_path, "orders: o.csv", 'corrections: ["fixed/{batch}/*.csv", one.csv, none.csv]\n'
    )
    assert find_corrections(loader, "b-1") == []
    for name in ("fixed/b-1/b.csv", "fixed/b-1/a.csv", "fixed/b-2/c.csv", "one.csv"):
        export_file(tmp_path, name, "file,line\n")
    assert [file.name for file in find_corrections(loader, "b-1")] == [
        "fixed/b-1/a.csv",
        "fixed/b-1/b.csv",
        "one.csv",
    ]


@pytest.mark.parametrize("written", ["5", "{a: b}", '[""]', "[1]"])
def test_what_is_no_path_is_refused(written: str, tmp_path: Path) -> None:
    """In one sentence, with the line and the key."""
    with pytest.raises(SettingsError) as error:
        loader_settings(tmp_path, "orders: o.csv", f"corrections: {written}\n")
    assert (
        str(error.value) == f"{tmp_path}/loader.yaml:3: corrections: must be a path, a glob or a list of them"
    )


def test_the_loaders_own_quarantine_is_no_correction(tmp_path: Path) -> None:
    """It is written anew by each plan: what was corrected in it would be lost with the first one."""
    loader = loader_settings(tmp_path, "orders: o.csv", 'corrections: "work/*/{batch}/quarantine.csv"\n')
    export_file(tmp_path, "work/9359/b-1/quarantine.csv", "file,line\n")
    with pytest.raises(ExportError, match=r"work/9359/b-1/quarantine\.csv lies in the workdir"):
        find_corrections(loader, "b-1")
