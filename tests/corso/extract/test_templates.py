"""Templates: what a placeholder and its filters make of a value."""

import polars as pl
import pytest

from corso.errors import SettingsError
from corso.extract.templates import FILTERS, read_template

VALUES = {
    ("first_word", "Ann Maria Lee"): "Ann",
    ("first_word", "  Ann"): "Ann",
    ("first_word", " "): None,
    ("other_words", "Ann Maria Lee"): "Maria Lee",
    ("other_words", "Ann \t Lee "): "Lee",
    ("other_words", "Ann\nMaria\nLee"): "Maria\nLee",
    ("other_words", "Ann "): None,
    ("before_at", "ann.lee@example.com"): "ann.lee",
    ("before_at", '"a@b"@example.com'): '"a@b"',
    ("before_at", "ann.lee"): None,
    ("before_at", "@example.com"): None,
    ("before_at", " @example.com"): None,
    ("lower", "Ann.LEE@Example.com"): "ann.lee@example.com",
    ("lower", "ÄÖ"): "äö",
    ("lower|before_at", "Ann@x"): "ann",
    ("before_at | first_word", "Ann Lee@x"): "Ann",
}


@pytest.mark.parametrize(("filters", "value", "made"), [(*given, made) for given, made in VALUES.items()])
def test_what_a_filter_makes_of_a_value(filters: str, value: str, made: str | None) -> None:
    """Several go from left to right; what leaves nothing is nothing."""
    template = read_template(f"{{notes|{filters}}}", "orders", "key")
    frame = pl.DataFrame({"notes": [value, None]})
    assert frame.select(made=template.value())["made"].to_list() == [made, None]


def test_every_filter_has_its_table() -> None:
    """A new one needs its lines."""
    assert {filters.split("|")[0].strip() for filters, _ in VALUES} == set(FILTERS)


def test_a_template_is_filled_whole_or_not_at_all() -> None:
    """Text, own columns and the order's columns by turns; blanks at a value's ends are left out."""
    template = read_template("{ name }/{orders.order_name|lower}!", "line_items", "key")
    frame = pl.DataFrame(
        {"name": [" Mug ", "Mug", None, " "], "__order.order_name": ["#A", None, "#A", "#A"]},
        schema={"name": pl.String, "__order.order_name": pl.String},
    )
    assert frame.select(value=template.value())["value"].to_list() == ["Mug/#a!", None, None, None]


def test_a_constant_is_a_template_without_placeholders() -> None:
    """The same for every row, blanks and all."""
    template = read_template(" 0.00 ", "orders", "key")
    assert pl.DataFrame({"a": [1, 2]}).with_columns(v=template.value())["v"].to_list() == [" 0.00 "] * 2


@pytest.mark.parametrize("text", ["{", "}", "{}", "{{notes}", "a {notes", "{notes}}"])
def test_a_brace_alone_is_refused(text: str) -> None:
    """Sent to Corso as it stands, nobody would have meant it."""
    with pytest.raises(SettingsError, match=r"^key: "):
        read_template(text, "orders", "key")
