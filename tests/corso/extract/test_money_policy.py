"""Money: what a profile moves is counted, a tax is shared out to the last coin, and arithmetic is shown."""

from decimal import Decimal

import polars as pl
import pytest
from export_factories import STORE, checked, line_text, only_problem, order_text, raw_table
from hypothesis import given
from hypothesis import strategies as st

from corso.extract.money_policy import IS_SHARED, share_tax
from corso.extract.profile import MoneyPolicy
from corso.extract.validate import check_part
from schemas.moved_money import MovedAmount, moved_amounts


def shared(
    tax: str | None, lines: list[tuple[str | None, str | None]], **order: str | None
) -> list[str | None]:
    """Return what the lines (price, quantity) of an order get of its tax."""
    rows = [
        line_text(line=number, price=price, quantity=quantity, tax=None)
        for number, (price, quantity) in enumerate(lines)
    ]
    orders = raw_table("orders", [order_text(tax_money=tax, **order)])
    return share_tax(raw_table("line_items", rows), orders, "USD")["tax"].to_list()


SHARES = {
    "thirds of a cent": ("10.00", [("1", "1")] * 3, {}, ["3.3300", "3.3400", "3.3300"]),
    "by amount": ("3.00", [("1.00", "1"), ("0.50", "4")], {}, ["1.0000", "2.0000"]),
    "nothing to pay": ("1.00", [("0", "1"), ("0", "9")], {}, ["0.5000", "0.5000"]),
    "less than nothing": ("-0.05", [("5", "1"), ("7", "2")], {}, ["-0.0100", "-0.0400"]),
    "no tax": ("0", [("5", "1"), ("7", "2")], {}, ["0.0000", "0.0000"]),
    "yen have no coins": ("3", [("100", "1")] * 2, {"customer_currency_code": "JPY"}, ["2.0000", "1.0000"]),
    "dinars have three": ("0.005", [("1", "1")] * 2, {"customer_currency_code": "KWD"}, ["0.0030", "0.0020"]),
    "finer than a coin": ("0.0051", [("5", "1")] * 2, {}, ["0.0026", "0.0025"]),
    "a negative line": ("2.00", [("10", "1"), ("-10", "1")], {}, ["1.0000", "1.0000"]),
    "tax that cannot be read": ("x", [("5", "1")], {}, [None]),
    "no tax at all": (None, [("5", "1")], {}, [None]),
    "a price that cannot be read": ("1", [("5", "1"), ("x", "1")], {}, [None, None]),
    "a price with an exponent": ("1", [("1E+1", "1"), ("5", "1")], {}, [None, None]),
    "a quantity that is missing": ("1", [("5", None)], {}, [None]),
}  # fmt: skip


@pytest.mark.parametrize(("tax", "lines", "order", "expected"), SHARES.values(), ids=SHARES.keys())
def test_an_orders_tax_is_shared_out_over_its_lines(
    tax: str | None,
    lines: list[tuple[str | None, str | None]],
    order: dict[str, str],
    expected: list[str | None],
) -> None:
    """In whole coins of the currency, by amount; where something cannot be read nothing is shared."""
    assert shared(tax, lines, **order) == expected


UNSHARED = {
    "a price": ({}, {"price": "x"}, {"price"}),
    "a quantity that is missing": ({}, {"quantity": None}, {"quantity"}),
    "the tax": ({"tax_money": "x"}, {}, {"tax_money"}),
    "no tax at all": ({"tax_money": None}, {}, {"tax_money", "tax"}),
}


@pytest.mark.parametrize(("order", "line", "columns"), UNSHARED.values(), ids=UNSHARED.keys())
def test_a_tax_that_was_only_not_shared_out_is_no_reason(
    order: dict[str, str | None], line: dict[str, str | None], columns: set[str]
) -> None:
    """Where an amount cannot be read, that is what is to be mended; the line's tax comes with it."""
    lines = [line_text(line=1, tax=None), line_text(line=2, tax=None, **line)]
    raw = {
        "orders": raw_table("orders", [order_text(**order)]),
        "line_items": raw_table("line_items", lines),
        "fulfillments": raw_table("fulfillments", []),
    }
    found = check_part(raw, STORE, (), MoneyPolicy.model_validate({"line_tax": "shared"}))
    problems = found.quarantine.explode("problems")["problems"].drop_nulls().struct.field("column")
    assert set(problems) == columns
    assert found.quarantine.height == len(lines) + 1


def test_lines_that_have_a_tax_keep_it() -> None:
    """An order is shared out whole or not at all: a line without a tax beside one with it is missing something."""
    rows = [line_text(line=1, tax="0.10"), line_text(line=2, tax=None)]
    found = share_tax(raw_table("line_items", rows), raw_table("orders", [order_text()]), "USD")
    assert found["tax"].to_list() == ["0.10", None]
    assert not found[IS_SHARED].any()


def test_lines_of_no_order_get_nothing() -> None:
    """Whose tax would it be?"""
    rows = [line_text(1, tax=None), line_text(7, tax=None)]
    orders = raw_table("orders", [order_text(1, tax_money="9")])
    assert share_tax(raw_table("line_items", rows), orders, "USD")["tax"].to_list() == ["9.0000", None]


@pytest.mark.parametrize("price", ["3.00", "0"])
def test_what_stands_in_two_files_shares_once(price: str) -> None:
    """A month's file beside the year's has the same orders and lines: each line gets the same there, and of the whole tax."""
    rows = [line_text(line=number, price=price, tax=None) for number in (1, 2, 1, 2)]
    orders = raw_table("orders", [order_text(tax_money="2.01")] * 2)
    found = share_tax(raw_table("line_items", rows), orders, "USD")
    assert found["tax"].to_list() == ["1.0100", "1.0000", "1.0100", "1.0000"]
    assert found[IS_SHARED].all()


AMOUNTS = st.decimals(min_value=-10_000, max_value=10_000, places=2)


@given(
    AMOUNTS,
    st.lists(st.tuples(AMOUNTS, st.integers(min_value=0, max_value=99)), min_size=1, max_size=12),
    st.sampled_from(["USD", "JPY", "KWD", "CLF", None]),
)
def test_shares_add_up_exactly(tax: Decimal, lines: list[tuple[Decimal, int]], currency: str | None) -> None:
    """No cent is made or lost, and none has the other sign."""
    found = shared(
        str(tax), [(str(price), str(quantity)) for price, quantity in lines], customer_currency_code=currency
    )
    shares = [Decimal(share or "x") for share in found]
    assert sum(shares) == tax
    assert all(share * tax >= 0 for share in shares)


def test_what_was_moved_is_counted_over_accepted_orders() -> None:
    """By kind, place and currency; quarantined orders do not count, shares of the tax do."""
    policy = MoneyPolicy.model_validate(
        {"line_tax": "shared", "moved": [{"kind": "discount", "from": "-Off", "into": "subtotal"}]}
    )
    moved = [{"0": "-1.50", "1": None}, {"0": "-2.00", "1": "3.00"}, {"0": "-99.00", "1": None}]
    orders = raw_table(
        "orders", [order_text(1), order_text(2, customer_currency_code=None), order_text(3, total_money="x")]
    )
    lines = raw_table("line_items", [line_text(number, tax=None) for number in (1, 2, 3)])
    raw = {
        "orders": orders.with_columns(pl.Series("moved", moved)),
        "line_items": lines,
        "fulfillments": raw_table("fulfillments", []),
    }
    result = check_part(raw, STORE, [], policy)  # type: ignore[arg-type]  # the keys are the tables' names
    assert moved_amounts([result.moved, result.moved.clear()]) == (
        MovedAmount("discount", "subtotal", "USD", 2, Decimal("-3.5000")),
        MovedAmount("tax inside the prices", "tax", "USD", 1, Decimal("3.0000")),
        MovedAmount("tax shared out over lines", "lines", "USD", 2, Decimal("4.0000")),
    )


def test_a_total_that_does_not_add_up_shows_its_arithmetic() -> None:
    """Whoever has to correct it need not look the amounts up."""
    problem = only_problem(checked([order_text(total_money="27.0150")]))
    assert problem["value"] == "27.015 (shipping 5.00 + subtotal 20.00 + tax 2.00 = 27.00)"
