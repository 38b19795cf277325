"""Numbers keep their text through reading and writing, and everything else its value."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import exact_json

numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
).filter(str.isascii)
documents = st.recursive(
    st.none() | st.booleans() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(numbers)
def test_a_number_keeps_its_text(text: str):
    """And is the decimal that the text says."""
    number = exact_json.load(text.encode())
    assert exact_json.dump(number) == text
    assert number == Decimal(text)


@pytest.mark.slow
@given(documents)
def test_other_values_are_written_as_json(document: object):
    """Any JSON reader gets them back."""
    assert json.loads(exact_json.dump(document)) == document


@pytest.mark.parametrize("value", [5, -(2**63), Decimal("0.10"), Decimal("2.5E-324")])
def test_numbers_of_our_own_are_written_exactly(value: int | Decimal):
    """Ids are ints, sums are Decimals."""
    assert Decimal(exact_json.dump(value)) == value


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{\n  1}", "line 2, column 3"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b"[NaN]", "NaN"),
        (b"1e99999999999999999999", "exponent"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_what_is_no_json_is_refused_with_the_place(body: bytes, message: str):
    """The message says what is wrong and where."""
    with pytest.raises(exact_json.NotJson, match=message):
        exact_json.load(body)
