"""The compiled rules say the same as pandera, which runs the declared ones."""

from decimal import Decimal
from typing import Any

import pandera.errors
import pandera.polars as pa
import polars as pl
import pytest
from factories import line_row, order_row
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract.convert import converter_of
from corso.extract.rules import TEXT_OF, compile_rules
from schemas.fields import PROVENANCE, dtypes
from schemas.fulfillments import FULFILLMENTS
from schemas.line_items import LINE_ITEMS
from schemas.orders import ORDERS

Broken = set[tuple[int, str, str]]
"""(row, column, sentence) of every broken rule."""

_CODES = st.sampled_from(["US", "UK", "us", "", "USD", "ZZZ", "XXX"])
_PHONES = st.sampled_from(["+12025550123", "+1", "+0123", "9.2E+11", "", "+12025550123\n"])
_MONEY = st.sampled_from([Decimal("0.00"), Decimal("-5.00"), Decimal("27.0001"), Decimal("27.00")])


def order_changes() -> st.SearchStrategy[dict[str, Any]]:
    """Return changes that may break every rule of an order, or none."""
    values = {name: st.none() for name in dtypes(ORDERS) if name not in PROVENANCE}
    values |= {
        name: st.none() | _CODES for name in values if name.endswith(("country_code", "currency_code"))
    }
    values |= {name: st.none() | _MONEY for name in values if name.endswith("_money")}
    values["customer_phone"] = st.none() | _PHONES
    return st.fixed_dictionaries({}, optional=values)  # type: ignore[arg-type]  # values of several types


def by_pandera(table: pa.DataFrameSchema, frame: pl.DataFrame) -> Broken:
    """Return what pandera's own lazy validation names."""
    try:
        table.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        return {_named(table, case) for case in errors.failure_cases.iter_rows(named=True)}
    return set()


def _named(table: pa.DataFrameSchema, case: dict[str, Any]) -> tuple[int, str, str]:
    if case["schema_context"] == "DataFrameSchema":
        check = table.checks[case["check_number"]]
        return case["index"], check.statistics["shows"], str(check.error)
    sentence = "is missing" if case["check"] == "not_nullable" else case["check"]
    return case["index"], case["column"], sentence


def by_compiled_rules(table: pa.DataFrameSchema, frame: pl.DataFrame) -> Broken:
    """Return what the compiled rules name in a frame whose values were all readable."""
    texts = [
        pl.when(pl.col(name).is_not_null()).then(pl.lit("as written")).alias(TEXT_OF + name)
        for name, dtype in dtypes(table).items()
        if name not in PROVENANCE and converter_of(dtype)
    ]
    rows = frame.with_columns(texts)
    return {
        (row, rule.column, rule.sentence)
        for rule in compile_rules(table)
        for row in rows.select(rule.broken.alias("broken"))["broken"].arg_true()
    }


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(order_changes(), min_size=1, max_size=4))
def test_compiled_rules_name_the_orders_that_pandera_names(changes: list[dict[str, Any]]) -> None:
    """Whatever is wrong with orders, both name the same rows, columns and rules."""
    rows = [order_row(number, **change) for number, change in enumerate(changes)]
    frame = pl.DataFrame(rows, schema=dtypes(ORDERS), orient="row")
    assert by_compiled_rules(ORDERS, frame) == by_pandera(ORDERS, frame)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.sets(st.sampled_from(sorted(dtypes(LINE_ITEMS).keys() - PROVENANCE.keys()))),
        min_size=1,
        max_size=4,
    )
)
def test_compiled_rules_name_the_lines_that_pandera_names(missing: list[set[str]]) -> None:
    """The same for line items, with any of their columns empty."""
    rows = [line_row(number, **dict.fromkeys(names)) for number, names in enumerate(missing)]
    frame = pl.DataFrame(rows, schema=dtypes(LINE_ITEMS), orient="row")
    assert by_compiled_rules(LINE_ITEMS, frame) == by_pandera(LINE_ITEMS, frame)


def test_the_parity_test_sees_broken_rules() -> None:
    """Guards the tests above: one order that breaks five rules is named five times by both."""
    nothing = dict.fromkeys(
        ["customer_email", "customer_phone", "customer_last_name", "shipping_address_city"]
    )
    broken = order_row(total_money=Decimal(1), billing_address_country_code="UK", **nothing)
    frame = pl.DataFrame([order_row(), broken], schema=dtypes(ORDERS), orient="row")
    named = by_compiled_rules(ORDERS, frame)
    assert named == by_pandera(ORDERS, frame)
    assert {(row, column) for row, column, _ in named} == {
        (1, "customer_email"),
        (1, "customer_last_name"),
        (1, "total_money"),
        (1, "shipping_address_city"),
        (1, "billing_address_country_code"),
    }


@pytest.mark.parametrize("table", [ORDERS, LINE_ITEMS, FULFILLMENTS])
def test_every_rule_has_a_name_of_its_own_for_its_column_and_a_remedy(table: pa.DataFrameSchema) -> None:
    """A report that names a rule names one, and says what to do."""
    rules = compile_rules(table)
    assert len({(rule.name, rule.column) for rule in rules}) == len(rules)
    assert all(rule.sentence and rule.remedy for rule in rules)


def test_a_value_that_cannot_be_read_is_not_called_missing() -> None:
    """Two sentences about one value would send the merchant looking for an empty field."""
    row = {**order_row(), TEXT_OF + "tax_money": "two", "tax_money": None}
    names = {
        rule.name
        for rule in compile_rules(ORDERS)
        if rule.column == "tax_money"
        and pl.DataFrame([row], schema_overrides={"tax_money": pl.Decimal(38, 4)}).select(rule.broken).item()
    }
    assert names == {"tax_money_can_be_read"}
