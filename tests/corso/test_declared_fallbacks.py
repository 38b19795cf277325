"""`fallbacks:` in loader.yaml: one rule or several, as text; what is no rule is refused with its line."""

from pathlib import Path
from typing import Any

import pytest
from export_factories import loader_settings

from corso.errors import SettingsError

WRITTEN: dict[str, tuple[Any, ...]] = {
    'line_items.sku: "{source_line_item_id}"': ("{source_line_item_id}",),
    "line_items.tax: 0.00": ("0.0",),
    "orders.notes: [a, 2]": ("a", "2"),
    "orders.shipping_address_state_or_province_code: {where_country_has_none: 0}": (
        {"where_country_has_none": "0"},
    ),
    'orders.shipping_address_state_or_province_code: [{where_country_has_none: "-"}, x]': (
        {"where_country_has_none": "-"},
        "x",
    ),
}


@pytest.mark.parametrize(("line", "rules"), WRITTEN.items())
def test_a_fallback_is_one_rule_or_several(line: str, rules: tuple[Any, ...], tmp_path: Path) -> None:
    """A bare number is the text that it is."""
    settings = loader_settings(tmp_path, "orders: o.csv", f"fallbacks:\n  {line}\n")
    assert list(settings.loader.fallbacks.values()) == [rules]


def test_none_is_on_by_default(tmp_path: Path) -> None:
    """What is made up is the merchant's explicit choice."""
    assert loader_settings(tmp_path, "orders: o.csv").loader.fallbacks == {}


@pytest.mark.parametrize("heading", ["fallbacks:", "fallbacks:\n  # orders.notes: a", "limits:\nupload:\n"])
def test_a_heading_whose_keys_are_all_comments_says_nothing(heading: str, tmp_path: Path) -> None:
    """As in a loader.yaml that `inspect` wrote, when only the heading's mark was taken off."""
    settings = loader_settings(tmp_path, "orders: o.csv", f"{heading}\n")
    assert settings.loader == loader_settings(tmp_path, "orders: o.csv").loader


@pytest.mark.parametrize("rule", ["", "false", "2026-11-22", "[[a]]", "{where_country_has_none: [a]}"])
def test_what_is_no_rule_is_refused(rule: str, tmp_path: Path) -> None:
    """In one sentence, with the line and the key."""
    with pytest.raises(SettingsError) as error:
        loader_settings(tmp_path, "orders: o.csv", f"fallbacks:\n  orders.notes: {rule}\n")
    assert str(error.value).startswith(f"{tmp_path}/loader.yaml:4: fallbacks.orders.notes: a rule is text")
    assert "\n" not in str(error.value)


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    """It would fill nothing, silently."""
    with pytest.raises(SettingsError, match=r"loader\.yaml:4: fallbacks\.orders\.notes: an empty list"):
        loader_settings(tmp_path, "orders: o.csv", "fallbacks:\n  orders.notes: []\n")
