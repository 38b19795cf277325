"""The section `exports` of loader.yaml: where each role's files are, and how they are laid out."""

from pathlib import Path

import pytest

from corso.errors import SettingsError
from corso.settings import Exports, read_settings


def exports(folder: Path, section: str) -> Exports:
    """Read a loader.yaml with this section, which begins on line 2."""
    path = folder / "loader.yaml"
    path.write_text(f"store: {{id: 1}}\nexports:\n{section}", encoding="utf-8")
    return read_settings(path).loader.exports


def test_a_role_has_a_path_several_paths_or_paths_with_their_form(tmp_path: Path) -> None:
    """The short ways stay; what is not said is not in the forms, so that the profile's word holds."""
    section = """\
  profile: amazon
  orders: in/*.txt
  refunds: [a.csv, b.csv]
  line_items: {files: "in/l*.csv", delimiter: "\\t", encoding: cp1252}
  payments: {files: [c.csv, d.csv], delimiter: tab, duplicate_headers: number, skip_lines: 2, skip_rows: 1}
"""
    found = exports(tmp_path, section)
    assert found.profile == "amazon"
    assert found.roles == {
        "orders": ["in/*.txt"],
        "refunds": ["a.csv", "b.csv"],
        "line_items": ["in/l*.csv"],
        "payments": ["c.csv", "d.csv"],
    }
    assert found.forms == {
        "orders": {},
        "refunds": {},
        "line_items": {"delimiter": "\t", "encoding": "cp1252"},
        "payments": {"delimiter": "\t", "duplicate_headers": "number", "skip_lines": 2, "skip_rows": 1},
    }


PATHS = "must be a path, a glob, a list of them, or {files: one of these, delimiter: …}"
MISTAKES = {
    "an unknown key": ("  orders: {files: x,\n    delimitr: ';'}\n", "4: unknown key 'exports.orders.delimitr'; did you mean 'delimiter'?"),
    "files misspelt": ("  orders:\n    file: x\n", "4: unknown key 'exports.orders.file'; did you mean 'files'?"),
    "no files": ("  orders: {delimiter: ';'}\n", "3: 'exports.orders.files' is needed"),
    "a number": ("  orders: 5\n", f"3: exports.orders: {PATHS}"),
    "nothing": ("  orders:\n", f"3: exports.orders: {PATHS}"),
    "no path in a list": ("  orders: []\n", f"3: exports.orders: {PATHS}"),
    "a number in a list": ("  orders: {files: [a, 1]}\n", f"3: exports.orders: {PATHS}"),
    "two characters": ("  orders: {files: x,\n    delimiter: ';;'}\n", "4: exports.orders.delimiter: ';;' cannot part columns: one character is needed"),
    "a quote": ("  orders: {files: x,\n    delimiter: '\"'}\n", "4: exports.orders.delimiter: '\"' cannot part columns"),
    "no encoding": ("  orders: {files: x,\n    encoding: utf8x}\n", "4: exports.orders.encoding: unknown encoding 'utf8x'; e.g. utf-8, utf-16, cp1252, latin-1"),
    "no encoding of text": ("  orders: {files: x,\n    encoding: base64}\n", "4: exports.orders.encoding: unknown encoding 'base64'"),
    "lines below none": ("  orders: {files: x,\n    skip_lines: -1}\n", "4: exports.orders.skip_lines: "),
    "another way with headers": ("  orders: {files: x,\n    duplicate_headers: drop}\n", "4: exports.orders.duplicate_headers: "),
}  # fmt: skip


@pytest.mark.parametrize(("section", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_line_and_the_nearest_key(
    tmp_path: Path, section: str, sentence: str
) -> None:
    """As everywhere in loader.yaml."""
    with pytest.raises(SettingsError) as error:
        exports(tmp_path, section)
    assert f"{tmp_path / 'loader.yaml'}:{sentence}" in str(error.value)


@pytest.mark.parametrize("written", ['"\\t"', "'\\t'", "\\t", "tab"])
def test_a_tab_may_be_written_as_people_write_it(tmp_path: Path, written: str) -> None:
    """Only in double quotes does YAML make a tab of it; everybody means one."""
    found = exports(tmp_path, f"  orders:\n    files: x\n    delimiter: {written}\n")
    assert found.forms == {"orders": {"delimiter": "\t"}}
