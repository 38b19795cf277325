"""Fallbacks: the merchant's own choice of what fills a gap, counted, and never more than that."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from export_factories import STORE, Row, checked, fulfillment_text, line_text, order_text, raw_table
from hypothesis import given
from hypothesis import strategies as st

from corso.errors import SettingsError
from corso.extract.fallbacks import apply_fallbacks, read_fallbacks
from corso.extract.profile import TABLES, TableName
from corso.extract.validate import Checked
from schemas.filled_values import FILLED_VALUES, RuleUse
from schemas.orders import CUSTOMER

ADDRESS = ("line1", "line2", "city", "state_or_province_code", "postal_code", "country_code", "name")
GUEST: Row = dict.fromkeys(CUSTOMER)


def used(result: Checked) -> dict[str, int]:
    """Return fallback -> values that it filled in accepted orders."""
    return {use.fallback: use.values for use in result.fallbacks_used}


def filled_in(result: Checked) -> dict[str, dict[str, int]]:
    """Return order -> fallback -> values."""
    return {
        order: {each["fallback"]: each["values"] for each in filled}
        for order, filled in result.filled_values.iter_rows()
    }


def address(which: str, **parts: str | None) -> Row:
    """Return the columns of an address: empty but for `parts`."""
    return {f"{which}_address_{part}": parts.get(part) for part in ADDRESS}


def address_of(result: Checked, which: str) -> dict[str, str]:
    """Return the parts of the only accepted order's address that are there."""
    (order,) = result.accepted["orders"].to_dicts()
    return {part: order[f"{which}_address_{part}"] for part in ADDRESS if order[f"{which}_address_{part}"]}


HOME = {"line1": "1 Elm St", "city": "Boston", "state_or_province_code": "MA", "postal_code": "02101"}
HOME_IN_US = {**HOME, "country_code": "US", "name": "Ann Lee"}


def test_a_fallback_fills_only_what_is_empty() -> None:
    """A value that is there stays; blanks count as nothing."""
    lines = [line_text(1, 1), line_text(1, 2, sku=None), line_text(1, 3, sku="  ")]
    result = checked([order_text()], lines, fallbacks={"line_items.sku": "none-{source_line_item_id}"})
    assert result.accepted["line_items"]["sku"].to_list() == ["MUG-1", "none-2", "none-3"]


def test_each_use_is_counted() -> None:
    """The report can show how much was made up; a fallback that was never needed says so."""
    lines = [line_text(1, 1, sku=None), line_text(1, 2, sku=None)]
    result = checked(
        [order_text()],
        lines,
        fallbacks={"line_items.sku": "x", "orders.notes": "{source_order_id}", "orders.order_name": "y"},
    )
    assert used(result) == {"line_items.sku": 2, "orders.notes": 1, "orders.order_name": 0}
    assert filled_in(result) == {"o-1": {"line_items.sku": 2, "orders.notes": 1}}
    FILLED_VALUES.validate(result.filled_values)


def test_what_is_not_loaded_is_counted_apart() -> None:
    """Quarantined rows and repetitions are filled like all others, but nobody finds their values in Corso."""
    orders = [order_text(1), order_text(1), order_text(2, tax_money=None), order_text(3, channel="shop")]
    result = checked(orders, fallbacks={"orders.channel": "web"})
    (use,) = result.fallbacks_used
    assert (use.values, use.orders, use.values_of_all_rows) == (1, 1, 3)
    assert filled_in(result) == {"o-1": {"orders.channel": 1}}


def test_of_several_rules_the_first_that_gives_a_value_is_used() -> None:
    """And each is counted for itself."""
    orders = [
        order_text(1, customer_email=None, customer_phone="+12025550123", notes="ann@example.com"),
        order_text(2, customer_email=None, customer_phone="+12025550123"),
        order_text(3),
    ]
    rules = ["{notes}", "nobody-{source_order_id}@example.com", "{order_name}"]
    result = checked(orders, fallbacks={"orders.customer_email": rules})
    assert result.accepted["orders"]["customer_email"].to_list() == [
        "ann@example.com", "nobody-o-2@example.com", "ann.3@example.com",
    ]  # fmt: skip
    (use,) = result.fallbacks_used
    assert use.rules == (RuleUse(rules[0], 1, 1), RuleUse(rules[1], 1, 1), RuleUse(rules[2], 0, 0))
    assert use.orders == 2


def test_lines_and_fulfillments_see_their_order_as_it_then_is() -> None:
    """Whatever the place of the order's own fallback in loader.yaml, and with the values of no other order."""
    orders = [order_text(1, customer_currency_code=None), order_text(2, customer_currency_code="EUR")]
    lines = [line_text(2, 1, vendor=None), line_text(1, 1, vendor=None), line_text(1, 2, vendor="Clayworks")]
    fulfillments = [fulfillment_text(1), fulfillment_text(2)]
    result = checked(
        orders,
        lines,
        fulfillments,
        fallbacks={
            "line_items.vendor": "sold in {orders.customer_currency_code}",
            "fulfillments.shipment_status": "{orders.order_name} {fulfillments.source_fulfillment_id}",
            "orders.customer_currency_code": "USD",
        },
    )
    assert result.accepted["line_items"]["vendor"].to_list() == ["sold in EUR", "sold in USD", "Clayworks"]
    assert result.accepted["fulfillments"]["shipment_status"].to_list() == ["#1001 f-1-1", "#1002 f-2-1"]
    assert list(used(result).items()) == [
        ("line_items.vendor", 2),
        ("fulfillments.shipment_status", 2),
        ("orders.customer_currency_code", 1),
    ]
    assert filled_in(result)["o-1"] == {
        "line_items.vendor": 1, "fulfillments.shipment_status": 1, "orders.customer_currency_code": 1,
    }  # fmt: skip


def test_a_line_without_an_order_and_one_of_a_faulty_order_get_nothing_from_it() -> None:
    """The one has none, the other's values may stand in the wrong columns."""
    lines = [line_text(1, sku=None), line_text(7, sku=None), line_text(source_order_id=None, sku=None)]
    result = checked(
        [order_text(1)],
        lines,
        fallbacks={"line_items.sku": "{orders.order_name}"},
        order_faults={0: "the row has 1 fields"},
    )
    assert result.fallbacks_used[0].values_of_all_rows == 0


def test_an_order_that_stands_twice_does_not_double_its_lines() -> None:
    """Repeated or conflicting."""
    orders = [order_text(1), order_text(1), order_text(2), order_text(2, notes="x")]
    lines = [line_text(1, sku=None), line_text(2, sku=None)]
    result = checked(orders, lines, fallbacks={"line_items.sku": "{orders.order_name}"})
    assert result.accepted["line_items"]["sku"].to_list() == ["#1001"]
    assert result.fallbacks_used[0].values_of_all_rows == 2


@pytest.mark.parametrize(
    ("there", "missing"),
    [("billing", "shipping"), ("shipping", "billing")],
    ids=["from billing", "from shipping"],
)
def test_an_address_is_taken_over_whole(there: str, missing: str) -> None:
    """Both directions may be declared: there is nothing to chase, since one of the two is always there."""
    both = {
        "orders.shipping_address": "{billing_address}",
        "orders.billing_address": ["{shipping_address}"],
    }
    result = checked([order_text(**address(there, **HOME_IN_US), **address(missing))], fallbacks=both)
    assert address_of(result, missing) == HOME_IN_US
    assert used(result) == {
        f"orders.{which}_address": int(which == missing) for which in ("shipping", "billing")
    }
    assert filled_in(result) == {"o-1": {f"orders.{missing}_address": 1}}


NOT_TAKEN_OVER: dict[str, tuple[Mapping[str, str], Mapping[str, str]]] = {
    "a street is there": ({"line1": "2 Oak St"}, HOME_IN_US),
    "a city is there": ({"city": "Boston"}, HOME_IN_US),
    "a postal code is there": ({"postal_code": "02101"}, HOME_IN_US),
    "another country is there": ({"country_code": "CA"}, HOME_IN_US),
    "another person is there": ({"name": "Bob Ray"}, HOME_IN_US),
    "a second line is there": ({"line2": "rear"}, HOME_IN_US),
    "the other has no street": ({}, {**HOME_IN_US, "line1": ""}),
    "the other has no postal code": ({}, {**HOME_IN_US, "postal_code": ""}),
    "neither is there": ({}, {}),
}


@pytest.mark.parametrize(("shipping", "billing"), NOT_TAKEN_OVER.values(), ids=NOT_TAKEN_OVER)
def test_two_halves_of_addresses_are_never_mixed(
    shipping: Mapping[str, str], billing: Mapping[str, str]
) -> None:
    """The order stays as it is, and is quarantined for what it lacks."""
    result = checked(
        [order_text(**address("shipping", **shipping), **address("billing", **billing))],
        fallbacks={
            "orders.shipping_address": "{billing_address}",
            "orders.billing_address": "{shipping_address}",
        },
    )
    assert [use.values_of_all_rows for use in result.fallbacks_used] == [0, 0]
    assert "shipping_address" in result.quarantine["reasons"][0]


def test_what_agrees_is_no_other_address() -> None:
    """An export that always names the country has no shipping address by that."""
    order = order_text(**address("billing", **HOME_IN_US), **address("shipping", country_code="us", name=" "))
    result = checked([order], fallbacks={"orders.shipping_address": "{billing_address}"})
    assert address_of(result, "shipping") == HOME_IN_US


STATES = {
    "DE": ("where_country_has_none", "DE"),
    "GB": ("where_country_has_none", "GB"),
    "SG": ("where_country_has_none", "SG"),
    "IE": ("where_country_has_none", None),
    "US": ("where_country_has_none", None),
    "CA": ("where_country_has_none", None),
    "TR": ("where_country_needs_none", "TR"),
    "FR": ("where_country_needs_none", "FR"),
    "AU": ("where_country_needs_none", None),
}


@pytest.mark.parametrize(("country", "rule", "state"), [(key, *each) for key, each in STATES.items()])
def test_a_state_is_filled_only_where_the_country_has_none(
    country: str, rule: str, state: str | None
) -> None:
    """Corso wants one; a Canadian address without a province is a mistake, a German one is not."""
    order = order_text(
        billing_address_country_code=country.lower(), billing_address_state_or_province_code=None
    )
    declared = {"orders.billing_address_state_or_province_code": {rule: "{billing_address_country_code}"}}
    result = checked([order], fallbacks=declared)
    assert result.accepted["orders"]["billing_address_state_or_province_code"].to_list() == [state] * bool(
        state
    )
    assert used(result) == {"orders.billing_address_state_or_province_code": int(bool(state))}
    if state is None:
        assert "billing_address_state_or_province_code is missing" in result.quarantine["reasons"][0]


@pytest.mark.parametrize("country", [None, "", "XX"])
def test_without_a_known_country_there_is_no_saying(country: str | None) -> None:
    """Nothing is guessed."""
    order = order_text(shipping_address_country_code=country, shipping_address_state_or_province_code=None)
    rules = [{"where_country_needs_none": "none"}, {"where_country_has_none": "none"}]
    result = checked([order], fallbacks={"orders.shipping_address_state_or_province_code": rules})
    assert result.fallbacks_used[0].values_of_all_rows == 0


NAMES = {"orders.customer_first_name": ["{billing_address_first_name}", "{billing_address_name|first_word}"],
    "orders.customer_last_name": ["{billing_address_name|other_words}", "{customer_email|before_at}"],
    "orders.customer_source_customer_id": "{customer_email|lower}"}  # fmt: skip


def test_a_customer_gets_names_from_the_address_and_an_id_from_the_e_mail() -> None:
    """A customer who is there needs a name; where the address has one word only, the e-mail serves."""
    nameless = {**GUEST, "customer_email": "Ann.Lee@Example.com"}
    orders = [
        order_text(1, **nameless, billing_address_name="  Ann Maria Lee "),
        order_text(2, **nameless, billing_address_name="Ann"),
        order_text(3, **GUEST, billing_address_name="Bob Ray"),
    ]
    result = checked(orders, fallbacks=NAMES)
    columns = ["customer_first_name", "customer_last_name", "customer_source_customer_id"]
    assert result.accepted["orders"].select(columns).rows() == [
        ("Ann", "Maria Lee", "ann.lee@example.com"),
        ("Ann", "Ann.Lee", "ann.lee@example.com"),
        (None, None, None),
    ]


def test_two_columns_that_would_fill_each_other_both_stay_empty() -> None:
    """There is nothing to begin with."""
    result = checked(
        [order_text(notes=None, channel=None)],
        fallbacks={"orders.notes": "{channel}", "orders.channel": "{notes}"},
    )
    assert used(result) == {"orders.notes": 0, "orders.channel": 0}


def test_a_template_whose_own_column_is_empty_fills_nothing() -> None:
    """Half a value is no value: the row stays as it was, and no use is counted."""
    result = checked([order_text()], [line_text(sku=None)], fallbacks={"line_items.sku": "{product_id}-x"})
    assert used(result) == {"line_items.sku": 0}
    assert result.accepted["orders"].is_empty()


def test_fallbacks_are_applied_in_the_order_of_loader_yaml() -> None:
    """A later one may use what an earlier one filled."""
    result = checked(
        [order_text(notes=None, channel=None)],
        fallbacks={"orders.channel": "web", "orders.notes": "came by {channel}"},
    )
    assert result.accepted["orders"]["notes"].to_list() == ["came by web"]


def test_a_fallback_is_converted_and_checked_like_a_value() -> None:
    """What a merchant declares can be wrong too."""
    result = checked([order_text(tax_money=None)], fallbacks={"orders.tax_money": "two"})
    assert "tax_money 'two' is not an amount of money" in result.quarantine["reasons"][0]


def test_a_customer_is_never_made_up() -> None:
    """A guest's order stays without a customer; one whose customer has a gap gets it filled."""
    guest = order_text(
        1,
        **dict.fromkeys(
            [name for name in order_text() if name.startswith("customer_") and "currency" not in name]
        ),
    )
    named = order_text(2, customer_last_name=None)
    result = checked([guest, named], fallbacks={"orders.customer_last_name": "unknown"})
    assert result.accepted["orders"]["customer_last_name"].to_list() == [None, "unknown"]
    assert used(result) == {"orders.customer_last_name": 1}


def test_a_row_that_cannot_be_trusted_is_not_filled() -> None:
    """A ragged row's empty columns are not gaps: its values stand in the wrong places."""
    result = checked(
        [order_text(notes=None)], fallbacks={"orders.notes": "x"}, order_faults={0: "the row has 1 fields"}
    )
    assert result.fallbacks_used[0].values_of_all_rows == 0


def test_the_warehouse_comes_from_the_configured_map() -> None:
    """A name becomes Corso's number, nothing the default's, and a number stays one."""
    store = STORE.model_copy(update={"fulfillment_locations": {"Boston": 12, "default": 14}})
    rows = [
        fulfillment_text(1, number, fulfillment_location_id=place)
        for number, place in enumerate(["Boston", None, "77"])
    ]
    result = checked([order_text()], fulfillments=rows, store=store)
    assert result.accepted["fulfillments"]["fulfillment_location_id"].to_list() == [12, 14, 77]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("Boston", "fulfillment_location_id 'Boston' is not a number of a location in Corso: name it under store.fulfillment_locations in loader.yaml, with its number in Corso"),
        (None, "fulfillment_location_id is missing: give Corso's number of the warehouse in loader.yaml, as store.fulfillment_locations.default, or fill the column"),
    ],
)  # fmt: skip
def test_a_warehouse_without_corsos_number_is_told_where_it_goes(place: str | None, reason: str) -> None:
    """It is a name in the export, and nobody can write a number for it there."""
    result = checked([order_text()], fulfillments=[fulfillment_text(1, fulfillment_location_id=place)])
    assert result.quarantine.filter(table="fulfillments")["reasons"].to_list() == [reason]


def documented() -> list[dict[str, Any]]:
    """Return every example of docs/fallbacks.md: its blocks, and the second column of the table of forms."""
    text = (Path(__file__).parents[3] / "docs" / "fallbacks.md").read_text(encoding="utf-8")
    blocks = [
        yaml.safe_load(block)["fallbacks"] for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ]
    forms = text.split("## The forms of a rule")[1].split("###")[0]
    cells = re.findall(r"^\| [^|]+ \| `(.+?: .+?)` \|", forms, re.MULTILINE)
    return [*blocks, *(yaml.safe_load(cell.replace(r"\|", "|")) for cell in cells)]


def test_every_documented_example_is_understood() -> None:
    """As it stands there."""
    examples = documented()
    assert len(examples) == 3 + 8
    for example in examples:
        assert read_fallbacks(example)


REFUSED: dict[str, tuple[str, Any, str]] = {
    "table": ("line_item.sku", "x", "'line_item.sku' is not table.column; did you mean 'line_items.sku'?"),
    "no table": ("sku", "x", "'sku' is not table.column"),
    "column": ("line_items.skuu", "x", "line_items has no column 'skuu'; did you mean 'sku'?"),
    "our own column": ("orders.file", "x", "orders has no column 'file'"),
    "address": (
        "orders.shipping_adress",
        "x",
        "no column 'shipping_adress'; did you mean 'shipping_address'?",
    ),
    "key": ("line_items.source_order_id", "x", "fallbacks.line_items.source_order_id: cannot be filled"),
    "placeholder": (
        "line_items.sku",
        "{source_line_id}",
        "fallbacks.line_items.sku: line_items has no column 'source_line_id'; did you mean 'source_line_item_id'?",
    ),
    "the order's column": (
        "line_items.sku",
        "{orders.order_nam}",
        "line_items has no column 'orders.order_nam'; did you mean 'orders.order_name'?",
    ),
    "the order's column without its table": (
        "fulfillments.shipment_status",
        "{customer_currency_code}",
        "did you mean 'orders.customer_currency_code'?",
    ),
    "a line's column for an order": (
        "orders.notes",
        "{line_items.sku}",
        "orders has no column 'line_items.sku'",
    ),
    "filter": (
        "orders.customer_first_name",
        "{billing_address_name|firstword}",
        "fallbacks.orders.customer_first_name: there is no filter 'firstword'; did you mean 'first_word'?",
    ),
    "second filter": ("orders.notes", "{notes|lower|upper}", "no filter 'upper'; did you mean 'lower'?"),
    "brace": ("orders.notes", "by {channel", "a brace stands alone in 'by {channel'"),
    "nothing": ("orders.notes", " ", "the rule is empty"),
    "in a list": ("orders.notes", ["x", "{nots}"], "no column 'nots'; did you mean 'notes'?"),
    "half an address": (
        "orders.shipping_address",
        "{billing_address_line1}",
        'fallbacks.orders.shipping_address: a whole address comes from the other one: write "{billing_address}"',
    ),
    "an address from itself": ("orders.billing_address", "{billing_address}", 'write "{shipping_address}"'),
    "kind of rule": (
        "orders.billing_address_state_or_province_code",
        {"where_country_has_no": "x"},
        "there is no rule 'where_country_has_no'; did you mean 'where_country_has_none'?",
    ),
    "two kinds at once": (
        "orders.billing_address_state_or_province_code",
        {"where_country_has_none": "x", "where_country_needs_none": "y"},
        "several rules are a list",
    ),
    "where it means nothing": (
        "orders.billing_address_city",
        {"where_country_has_none": "x"},
        "where_country_has_none is for orders.billing_address_state_or_province_code and orders.shipping_",
    ),
}


@pytest.mark.parametrize(("key", "rule", "sentence"), REFUSED.values(), ids=REFUSED)
def test_an_unknown_name_is_refused_with_the_nearest(key: str, rule: Any, sentence: str) -> None:
    """A fallback that would silently do nothing is a mistake in loader.yaml."""
    with pytest.raises(SettingsError) as error:
        read_fallbacks({key: rule})
    assert sentence in str(error.value)


COLUMNS = ("notes", "channel", "order_name", "customer_email", "customer_first_name", "billing_address_name")
texts = st.none() | st.sampled_from(["", "  ", "a", "Ann Lee", "ann@example.com", "=1"])
order_rows = st.lists(st.fixed_dictionaries(dict.fromkeys(COLUMNS, texts)), min_size=1, max_size=6)
rules = st.one_of(
    st.sampled_from(["x", "{source_order_id}"]),
    st.builds(
        "{{{}{}}}".format,
        st.sampled_from(COLUMNS),
        st.sampled_from(["", "|lower", "|before_at", "|other_words"]),
    ),
)
declarations = st.dictionaries(
    st.sampled_from([f"orders.{column}" for column in COLUMNS]),
    st.lists(rules, min_size=1, max_size=3),
    max_size=4,
)


def raw_orders(rows: list[dict[str, str | None]]) -> dict[TableName, pl.DataFrame]:
    """Return a part with these orders, blanks taken for nothing as validation does it."""
    cleaned = [{key: ((text or "").strip() and text) or None for key, text in row.items()} for row in rows]
    orders = [GUEST | row | {"source_order_id": f"o-{number}"} for number, row in enumerate(cleaned)]
    return {name: raw_table(name, orders if name == "orders" else []) for name in TABLES}


@pytest.mark.slow
@given(order_rows, declarations)
def test_nothing_that_is_there_is_touched_and_every_filled_cell_is_counted(
    rows: list[dict[str, str | None]], declared: dict[str, list[str]]
) -> None:
    """Whatever is declared: a filled cell was empty, is filled once, and is counted under its fallback."""
    raw = raw_orders(rows)
    filled, uses = apply_fallbacks(raw, read_fallbacks(declared))
    before, after = raw["orders"], filled["orders"]
    assert after.columns == before.columns
    for column in before.columns:
        there = before[column].is_not_null()
        assert after[column].filter(there).to_list() == before[column].filter(there).to_list()
        counted = [use for use in uses if use.fallback.target == column]
        new = after[column].count() - before[column].count()
        assert new == sum(len(rows) for use in counted for rows in use.rows)
    assert all(value.strip() for column in COLUMNS for value in after[column].drop_nulls())


@pytest.mark.slow
@given(order_rows, st.lists(rules, min_size=1, max_size=4))
def test_the_order_of_declaration_decides(rows: list[dict[str, str | None]], several: list[str]) -> None:
    """A list of rules fills what each rule alone would fill, of several the first; no rule behind undoes it."""
    raw = raw_orders(rows)
    alone = [
        apply_fallbacks(raw, read_fallbacks({"orders.notes": rule}))[0]["orders"]["notes"] for rule in several
    ]
    together = apply_fallbacks(raw, read_fallbacks({"orders.notes": several}))[0]["orders"]["notes"]
    first = pl.DataFrame({str(number): column for number, column in enumerate(alone)}).select(
        pl.coalesce(pl.all())
    )
    assert together.to_list() == first.to_series().to_list()


PARTS = st.fixed_dictionaries(
    {
        part: st.sampled_from([None, "1", "2"])
        for part in ("line1", "city", "postal_code", "country_code", "name")
    }
)


@pytest.mark.slow
@given(PARTS, PARTS)
def test_an_address_afterwards_is_one_that_was_there(billing: Row, shipping: Row) -> None:
    """Never a mixture of two."""
    raw = raw_orders([address("billing", **billing) | address("shipping", **shipping)])
    both = {"orders.shipping_address": "{billing_address}", "orders.billing_address": "{shipping_address}"}
    (order,) = apply_fallbacks(raw, read_fallbacks(both))[0]["orders"].to_dicts()
    for which in ("billing", "shipping"):
        parts = {part: order[f"{which}_address_{part}"] for part in billing}
        assert parts in (billing, shipping)
