"""How a CSV file may be laid out: delimiter, encoding, titles, descriptions, and headers that stand there twice."""

from pathlib import Path

import pytest
from export_factories import export_file
from read_files import refusal, rows_of

from corso.extract.text import CsvForm, form_of, read_header


def test_loader_yaml_has_the_last_word_on_a_files_form() -> None:
    """What it does not say stays as the profile says."""
    profiles = CsvForm("\t", "cp1252", skip_rows=1)
    assert form_of(profiles, {}) == profiles
    assert form_of(profiles, {"delimiter": ";", "skip_rows": 0}) == CsvForm(";", "cp1252")


def test_another_encoding_and_delimiter_are_read_as_the_profile_says(tmp_path: Path) -> None:
    """A profile may say what a program really writes."""
    content = "id;name\n1;Müller\n\n2;x\n".encode("cp1252")
    found = rows_of(tmp_path, content, form=CsvForm(delimiter=";", encoding="cp1252"))
    assert found == [(2, "1", "Müller", None), (4, "2", "x", None)]


ENCODED = {
    "UTF-16 with a mark": ("utf-16", "utf-16"),
    "UTF-16, its order named, with a mark": ("utf-16", "utf-16-le"),
    "UTF-16 without a mark": ("utf-16-be", "utf-16-be"),
    "UTF-8 with a mark": ("utf-8-sig", "UTF8"),
    "Windows": ("cp1252", "windows-1252"),
}


@pytest.mark.parametrize(("written", "named"), ENCODED.values(), ids=ENCODED.keys())
def test_a_mark_before_the_header_is_never_part_of_a_name(tmp_path: Path, written: str, named: str) -> None:
    """Byte order marks say how to read, not what."""
    file = export_file(tmp_path, "o.csv", "id,name\n1,Müller\n".encode(written))
    assert read_header(file, CsvForm(encoding=named)) == ["id", "name"]
    rows = rows_of(tmp_path, file.path.read_bytes(), form=CsvForm(encoding=named))
    assert rows == [(2, "1", "Müller", None)]


@pytest.mark.parametrize("last", ["3,z\n", "3\n"], ids=["regular", "irregular"])
def test_titles_above_the_header_and_descriptions_below_are_left_out(tmp_path: Path, last: str) -> None:
    """Lines are counted from the file's first, whatever is left out; a title's quotes mean nothing."""
    content = f'Orders of "our\n\nid,name\nthe id,the name\n\n1,x\n{last}'
    rows = rows_of(tmp_path, content, form=CsvForm(skip_lines=1, skip_rows=1))
    assert rows[0] == (6, "1", "x", None)
    assert (rows[1][:2], len(rows)) == ((7, "3"), 2)


def test_a_description_may_go_over_several_lines(tmp_path: Path) -> None:
    """A row to be skipped is a row, not a line."""
    content = 'id,name\n"what it\nis",text\n1,x\n'
    assert rows_of(tmp_path, content, form=CsvForm(skip_rows=1)) == [(4, "1", "x", None)]


def test_more_lines_to_skip_than_there_are_is_said(tmp_path: Path) -> None:
    """Not an index error, and not an empty file that nobody misses."""
    sentence = refusal(tmp_path, "a,b\n1,2\n", form=CsvForm(skip_lines=5))
    assert sentence == "orders.csv:6: the file is empty or has no header below line 5; export it again"


NAMES = {
    "none": (",b", ["column_1", "b"]),
    "none, and the made-up one taken": ("column_2,", ["column_2", "column_2 2"]),
    "twice": ("Delivery Discount,id,Delivery Discount,Delivery Discount", ["Delivery Discount", "id", "Delivery Discount 2", "Delivery Discount 3"]),
    "twice, and the next number taken": ("a,a,a 2,A", ["a", "a 3", "a 2", "A 4"]),
    "twice but for the spelling": ("Order ID,order_id,ORDER-ID", ["Order ID", "order_id 2", "ORDER-ID 3"]),
    "blanks around": (" a ,\tb", ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize(("header", "names"), NAMES.values(), ids=NAMES.keys())
def test_each_column_has_a_name_of_its_own(tmp_path: Path, header: str, names: list[str]) -> None:
    """A spreadsheet's index column has no header, and some exports have one twice; neither is a reason to stop."""
    form = CsvForm(duplicate_headers="number")
    assert read_header(export_file(tmp_path, "o.csv", f"{header}\n1,2\n"), form) == names
