"""What a spreadsheet does to cells is told from what a person wrote; in doubt the export stays."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.extract.mangling import (
    BREAKS,
    CUT,
    DATE,
    DIGITS,
    ERROR,
    FLAG,
    LETTERS,
    NUMBER,
    Edit,
    Left,
    edited,
)

BY_A_SPREADSHEET = {
    ("02101", "2101"): NUMBER,
    ("19.90", "19.9"): NUMBER,
    ("19.90", "19,9"): NUMBER,
    ("100", "100.00"): NUMBER,
    ("1234.5", "1,234.50"): NUMBER,
    ("1234.5", "1.234,50"): NUMBER,
    ("-5", "(5.00)"): NUMBER,
    ("1001.0", "1001"): NUMBER,
    ("+12025550123", "12025550123"): NUMBER,
    (" 7 ", "7"): NUMBER,
    ("'90210", "90210"): NUMBER,
    ("576460752303423488", "5.76461E+17"): DIGITS,
    ("576460752303423488", "5.76460752303423E+017"): DIGITS,
    ("576460752303423488", "576460752303423000"): DIGITS,
    ("0.1234567890123", "0.123456789"): DIGITS,
    ("1E5", "1.00E+05"): DIGITS,
    ("12E3", "1.20E+04"): DIGITS,
    (None, "1.20256E+11"): DIGITS,
    ("2026-11-20", "11/20/2026"): DATE,
    ("2026-11-20", "20.11.2026"): DATE,
    ("2026-11-20", "20-Nov-26"): DATE,
    ("2026-11-20", "46346"): DATE,
    ("2026-11-20", "21.11.2026"): DATE,
    ("2026-11-20 12:30:15", "11/20/2026 12:30"): DATE,
    ("2026-11-20 12:30:15", "11/20/26 12:30 PM"): DATE,
    ("2026-11-20T12:30:00-05:00", "2026-11-20 12:30:00"): DATE,
    ("2026-11-20", "2026-11-20 00:00:00"): DATE,
    ("Nov 20, 2026", "20. Nov. 2026"): DATE,
    ("03/04/2026", "4/3/2026"): DATE,
    ("3-4", "4-Mar"): DATE,
    ("3/4", "03.04.2026"): DATE,
    ("10.12", "10. Dez"): DATE,
    ("MAR1", "1-Mar"): DATE,
    ("SEPT2", "2-Sep"): DATE,
    ("Dec-21", "21-Dec"): DATE,
    ("16:9", "16:09"): DATE,
    ("true", "TRUE"): FLAG,
    ("false", "FALSCH"): FLAG,
    ("Zürich", "ZÃ¼rich"): LETTERS,
    ("Zürich", "Z√ºrich"): LETTERS,
    ("it\u2019s", "itâ€™s"): LETTERS,
    ("München", "ZÃ¼rich"): LETTERS,
    ("Łódź", "?ód?"): LETTERS,
    ("Łódź", "Lódz"): LETTERS,
    ("gift 🎁", "gift ??"): LETTERS,
    ("gift 🎁", "gift ?"): LETTERS,
    ("Zoe\u0308", "Zoë"): LETTERS,
    ("a\r\nb", "a\nb"): BREAKS,
    ("x" * 40_000, "x" * 32_767): CUT,
    ("x", "#NAME?"): ERROR,
    ("2026-11-20", "########"): ERROR,
    (None, "#DIV/0!"): ERROR,
    ("7", "Err:508"): ERROR,
}
"""The export's cell and what came back -> how it looks."""
BY_A_PERSON = [
    ("2101", "02101"),
    ("12025550123", "+12025550123"),
    ("5.76E+17", "576460752303423488"),
    ("576460752303423488", "576460752303423480"),
    ("19.90", "21"),
    ("12", "1,2"),
    ("1.234,50", "1234.50"),
    ("1,234.50", "1234.50"),
    ("$12.50", "12.50"),
    ("5", "-5"),
    ("20.11.2026", "2026-11-20"),
    ("11/20/2026 12:30", "2026-11-20T12:30:00-05:00"),
    ("2026-11-20", "2026-11-21"),
    ("20.11.2026", "21.11.2026"),
    ("2026-11-20T12:30:00-05:00", "2026-11-20T12:30:00+01:00"),
    ("2026-11-20", "2026-11-20T09:00:00Z"),
    ("3-4", "3-5"),
    ("10-12", "10/12 slim"),
    ("ZÃ¼rich", "Zürich"),
    ("Muller", "Müller"),
    ("Zürich", "Genf"),
    ("12 Main St", "12 Main Street"),
    ("#1001", "#1002"),
    ("yes", "true"),
    ("Den Bosch", "'s-Hertogenbosch"),
    ("s-Hertogenbosch", "'s-Hertogenbosch"),
    ("'90210", "'02101"),
    ("x", None),
    (None, "x"),
    (None, "02101"),
    (" a ", "a"),
    ("x" * 40_000, "x"),
]
MEANT = {
    ("1001.0", "'1001"): "1001",
    ("02101", "'2101"): "2101",
    ("2101", "'02101"): "02101",
    (None, "'02101"): "02101",
    ("2026-11-20", "'20.11.2026"): "20.11.2026",
    ("Zürich", "'Zurich"): "Zurich",
    ("x", "'1.2E+11"): "1.2E+11",
}
"""An apostrophe in front says that it is meant -> what is taken."""


@pytest.mark.parametrize(("cells", "looks"), BY_A_SPREADSHEET.items())
def test_what_a_spreadsheet_does_is_no_edit(cells: tuple[str | None, str], looks: str) -> None:
    """It is left as exported, and how it looks is told."""
    assert edited(*cells) == Left(looks)


@pytest.mark.parametrize("cells", BY_A_PERSON)
def test_what_no_spreadsheet_does_is_an_edit(cells: tuple[str | None, str | None]) -> None:
    """As it was written."""
    assert edited(*cells) == Edit(cells[1])


@pytest.mark.parametrize(("cells", "value"), MEANT.items())
def test_an_apostrophe_says_that_it_is_meant(cells: tuple[str | None, str], value: str) -> None:
    """It is no part of the value."""
    assert edited(*cells) == Edit(value)


@pytest.mark.parametrize("cell", ["02101", "2026-11-20", "576460752303423488", "3-4", "+1 202 555 0123"])
def test_an_apostrophe_before_what_was_exported_changes_nothing(cell: str) -> None:
    """Somebody kept it safe."""
    assert edited(cell, f"'{cell}") is None


def documented() -> list[tuple[str, str, str]]:
    """Return the rows of the table in docs/corrections.md."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "corrections.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `(.*?)` \| `(.*?)` \| (.*?) \|$", page, re.MULTILINE)


@pytest.mark.parametrize(("exported", "cell", "taken"), documented())
def test_the_page_says_what_is_taken(exported: str, cell: str, taken: str) -> None:
    """It is what the merchant goes by."""
    judged = edited(exported, cell)
    if said := re.fullmatch(r"corrected to (\S+?)(?::.*)?", taken):
        assert judged == Edit(said[1])
    elif taken.startswith("corrected"):
        assert judged == Edit(cell)
    else:
        assert taken.startswith("left as exported")
        assert isinstance(judged, Left)


def test_the_page_has_examples() -> None:
    """Else the test above would say nothing."""
    assert len(documented()) > 20


@given(st.none() | st.text(max_size=40))
def test_a_cell_that_came_back_as_it_was_is_no_edit(cell: str | None) -> None:
    """Whatever it is."""
    assert edited(cell, cell) is None


@given(
    st.text("0123456789.,-+eE'/: T#?()", max_size=25) | st.text(max_size=25),
    st.text("0123456789.,-+eE'/: T#?()", max_size=25) | st.text(max_size=25),
)
def test_every_pair_of_cells_is_judged(exported: str, cell: str) -> None:
    """And an edit is what was written, but for the mark in front."""
    judged = edited(exported, cell)
    if isinstance(judged, Edit):
        assert judged.value in {cell, cell[1:]}
    elif judged is None:
        assert cell in {exported, f"'{exported}"}


@pytest.mark.parametrize(
    "hostile", ["1" * 1_000_000 + "x", "ü" * 200_000, "?" * 200_000, "1E999", "-" * 100_000]
)
def test_long_cells_are_judged_in_no_time(hostile: str) -> None:
    """A cell may hold a megabyte."""
    assert isinstance(edited(hostile, hostile[:-1] + "y"), Edit)
    edited(hostile + "ü", hostile + "?")
