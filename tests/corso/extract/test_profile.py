"""Profiles: a mistake in one is found when it is read, and named with its file, its line and the right word."""

from pathlib import Path

import pytest

from corso.errors import SettingsError
from corso.extract.profile import Profile, built_in_profiles, load_profile

GOOD = """\
name: mine
title: My own export
files:
  orders: {order_starts_with: Total}
tables:
  orders:
    file: orders
    columns:
      source_order_id: Name
      total_money: {from: Total}
  line_items:
    file: orders
    columns:
      source_order_id: {order: Name}
"""


def complaint(folder: Path, old: str, new: str) -> str:
    """Return the sentence about a good profile with one mistake in it."""
    assert old in GOOD
    (folder / "mine.yaml").write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_profile("mine.yaml", folder)
    return str(error.value).removeprefix(str(folder))


def test_a_merchants_own_profile_is_read_by_its_path(tmp_path: Path) -> None:
    """Relative to loader.yaml's folder."""
    (tmp_path / "mine.yaml").write_text(GOOD, encoding="utf-8")
    assert load_profile("mine.yaml", tmp_path).title == "My own export"


def test_the_built_in_profiles_are_whole() -> None:
    """Each is read without complaint and found under its own name."""
    profiles = built_in_profiles()
    assert {"canonical", "shopify"} <= profiles.keys()
    for name, profile in profiles.items():
        assert load_profile(name, Path()) == profile


MISTAKES = {
    "unknown key at the top": ("title:", "titel:", "/mine.yaml:2: titel: unknown key; did you mean 'title'?"),
    "unknown key of a file": ("order_starts_with", "order_start_with", "/mine.yaml:4: files.orders.order_start_with: unknown key; did you mean 'order_starts_with'?"),
    "unknown key of a table": ("    file: orders\n", "    fil: orders\n", "/mine.yaml:7: tables.orders.fil: unknown key; did you mean 'file'?"),
    "unknown key of a rule": ("{from: Total}", "{form: Total}", "/mine.yaml:10: tables.orders.columns.total_money.form: unknown key; did you mean 'from'?"),
    "unknown table": ("  line_items:", "  lineitems:", "/mine.yaml:11: tables.lineitems: unknown table; did you mean 'line_items'?"),
    "unknown column": ("total_money:", "total_mony:", "/mine.yaml:10: tables.orders.columns.total_mony: unknown column 'total_mony'; did you mean 'total_money'?"),
    "unknown file role": ("    file: orders\n", "    file: order\n", "/mine.yaml:7: tables.orders.file: no file role 'order' under files; did you mean 'orders'?"),
    "two sources": ("{from: Total}", "{from: Total, constant: '1'}", "/mine.yaml:10: tables.orders.columns.total_money: needs exactly one of from, order, constant"),
    "no source": ("{from: Total}", "{strip: x}", "/mine.yaml:10: tables.orders.columns.total_money: needs exactly one of from, order, constant"),
    "unknown encoding": ("{order_starts_with: Total}", "{order_starts_with: Total, encoding: utf-88}", "/mine.yaml:4: files.orders.encoding: unknown encoding 'utf-88'"),
    "a delimiter of two characters": ("{order_starts_with: Total}", "{order_starts_with: Total, delimiter: '::'}", "/mine.yaml:4: files.orders.delimiter: "),
    "no first row of an order": ("{order_starts_with: Total}", "{}", "/mine.yaml:14: tables.line_items.columns.source_order_id: needs files.orders.order_key or .order_starts_with"),
    "no line items": ("  line_items:\n    file: orders\n    columns:\n      source_order_id: {order: Name}\n", "", "/mine.yaml:5: tables: line_items is needed"),
    "not YAML": ("name: mine", "name: [mine", "/mine.yaml:"),
    "not a mapping": (GOOD, "- a\n- b\n", "/mine.yaml:1: "),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "sentence"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_file_line_and_the_nearest_word(
    tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    """Who writes a profile finds the place without a traceback."""
    assert sentence in complaint(tmp_path, old, new)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """Two mistakes are two lines, not two runs."""
    text = GOOD.replace("title:", "titel:").replace("{from: Total}", "{form: Total}")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        load_profile("mine.yaml", tmp_path)
    for mistake in ("titel: unknown key", "total_money.form: unknown key"):
        assert mistake in str(error.value)


def test_an_unknown_profile_is_refused_with_the_nearest(tmp_path: Path) -> None:
    """A slip in loader.yaml is told from a missing file."""
    with pytest.raises(SettingsError, match=r"no profile 'shopfy'; did you mean 'shopify'\?"):
        load_profile("shopfy", tmp_path)
    with pytest.raises(SettingsError, match=r"mine\.yaml: no such file"):
        load_profile("mine.yaml", tmp_path)


def test_a_single_header_needs_no_list() -> None:
    """`Name`, `[Name]` and `{from: Name}` mean the same."""

    def rule(value: object) -> object:
        tables = {"orders": {"file": "o", "columns": {"notes": value}}, "line_items": {"file": "o"}}
        profile = Profile.model_validate({"name": "x", "title": "x", "files": {"o": {}}, "tables": tables})
        return profile.tables["orders"].columns["notes"]

    assert rule("Name") == rule(["Name"]) == rule({"from": "Name"})
