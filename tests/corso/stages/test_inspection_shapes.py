"""Shapes of values: they say how something is written, and never what."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corso.stages.inspection.facts import DayOrder
from corso.stages.inspection.shapes import (
    first_number,
    money_kind,
    money_shape,
    rough_shape,
    second_number,
    shape_of,
)

SHAPES = {
    "2026-11-24T10:00:00Z": "9999-99-99T99:99:99Z",
    "2026-11-24T10:00:00.123+05:30": "9999-99-99T99:99:99.999+99:99",
    "2026-04-10 11:11:26 +0530": "9999-99-99 99:99:99 +9999",
    "09/22/2026 10:15:30 AM": "99/99/9999 99:99:99 AM",
    "9/2/26 4:15 pm": "9/9/99 9:99 AM",
    "2026-11-24 10:00 UTC": "9999-99-99 99:99 UTC",
    "24 Nov 2026": "99 AAA 9999",
    "  Ann Lee ": "AAA AAA",
    "收件人": "AAA",
    "\u0663\u0664/\u0660\u0661/\u0662\u0660\u0662\u0666": "99/99/9999",
    "x" * 60: "A" * 40 + "…",
}
MONEY = {
    "12.50": ("9.99", "plain"),
    "-1250": ("-9", "plain"),
    ".5": (".9", "plain"),
    "$22.99": ("$9.99", "with a currency's mark"),
    "1,234.50": ("9,999.99", "thousands in groups"),
    "1'234.50": ("9'999.99", "thousands in groups"),
    "1.234,50": ("9.999,99", "comma before the decimals"),
    "1234,5": ("9,9", "comma before the decimals"),
    "1,234": ("9,999", "a comma that may stand for thousands or before decimals"),
    "12,50 €": ("9,99 €", "with a currency's mark, comma before the decimals"),
    "(5.00)": ("(9.99)", "brackets for less than nothing"),
    "5.00-": ("9.99-", "signed"),
    "9.2E+11": ("9.9A+99", "with an exponent: a spreadsheet has taken digits away"),
    "abc": ("AAA", "no amount"),
}


@pytest.mark.parametrize("text", SHAPES)
def test_a_shape_says_how_a_value_is_written(text: str) -> None:
    """Digits are 9, letters A; of letters only those stay that belong to a date."""
    assert _one(shape_of(pl.lit(text))) == SHAPES[text]


@pytest.mark.parametrize("text", MONEY)
def test_the_shape_of_an_amount_says_its_form_in_words(text: str) -> None:
    """The first digits count as one, so that 9.50 and 1250.00 are written alike."""
    shape, kind = MONEY[text]
    assert _one(money_shape(pl.lit(text))) == shape
    assert money_kind(shape) == kind


@given(st.text(max_size=60))
def test_no_shape_has_a_digit_or_a_letter_of_the_value(text: str) -> None:
    """What is shown of a column is never anybody's name or number, however it is written."""
    for shape in (_one(shape_of(pl.lit(text))), _one(money_shape(pl.lit(text)))):
        assert not {each for each in shape if each.isalnum()} - set("9ATZUCM"), shape


@given(st.text(max_size=60))
def test_a_rough_shape_leads_to_the_same_shape(text: str) -> None:
    """Many values are counted by their rough shapes, which are few, and the rest of the work is done on these."""
    assert _one(shape_of(rough_shape(pl.lit(text)))) == _one(shape_of(pl.lit(text)))
    assert _one(money_shape(rough_shape(pl.lit(text)))) == _one(money_shape(pl.lit(text)))


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("09/22/26", (9, 22)),
        ("31.1.2026 10:00", (31, 1)),
        ("2026-11-24", (None, None)),
        ("abc", (None, None)),
    ],
)
def test_two_numbers_of_a_date_tell_days_from_months(
    text: str, numbers: tuple[int | None, int | None]
) -> None:
    """Only dates that begin with two short numbers leave it open which of them is the day."""
    assert (_one(first_number(pl.lit(text))), _one(second_number(pl.lit(text)))) == numbers


@pytest.mark.parametrize(
    ("first", "second", "evidence"),
    [(9, 23, "month first"), (31, 12, "day first"), (12, 12, "nothing"), (13, 13, "both")],
)
def test_a_number_above_twelve_is_no_month(first: int, second: int, evidence: str) -> None:
    """Without one nothing is concluded."""
    assert DayOrder("99/99/99", 5, first, second, "not at all").evidence == evidence


def _one(expression: pl.Expr) -> object:
    return pl.select(expression).item()
