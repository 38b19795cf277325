"""Validation: every row is accepted, quarantined with its reasons, or a repetition; the unit is the order."""

from decimal import Decimal

import polars as pl
import pytest
from export_factories import (
    Row,
    broken_rules,
    checked,
    fulfillment_text,
    line_text,
    only_problem,
    order_text,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract.profile import TABLES, TableName
from corso.extract.validate import ROW
from schemas.quarantine import OF_ANOTHER_ROW, QUARANTINE


def test_a_good_order_is_accepted_with_all_that_belongs_to_it() -> None:
    """Typed, exact and with its place in the files."""
    result = checked([order_text()], [line_text(1, 1), line_text(1, 2)], [fulfillment_text()])
    assert {name: table.height for name, table in result.accepted.items()} == {
        "orders": 1,
        "line_items": 2,
        "fulfillments": 1,
    }
    assert result.quarantine.is_empty()
    order = result.accepted["orders"]
    assert order.select("total_money", "file", "line").rows() == [(Decimal("27.0000"), "orders.csv", 2)]


BAD_ORDERS: dict[str, tuple[dict[str, str | None], str, str]] = {
    "total": ({"total_money": "27.01"}, "total_money", "money_adds_up"),
    "money": ({"total_money": "27,00"}, "total_money", "total_money_can_be_read"),
    "missing money": ({"tax_money": None}, "tax_money", "tax_money_is_there"),
    "blank address": ({"shipping_address_city": "   "}, "shipping_address_city", "shipping_address_city_is_there"),
    "state": ({"billing_address_state_or_province_code": None}, "billing_address_state_or_province_code", "billing_address_state_or_province_code_is_there"),
    "country": ({"shipping_address_country_code": "XX"}, "shipping_address_country_code", "country_code_is_iso"),
    "currency": ({"customer_currency_code": "DOLLAR"}, "customer_currency_code", "currency_code_is_iso"),
    "phone": ({"customer_phone": "9.2E+11"}, "customer_phone", "phone_is_e164"),
    "date": ({"source_created_on": "2026-02-30"}, "source_created_on", "source_created_on_can_be_read"),
    "flag": ({"is_shipping_protected": "maybe"}, "is_shipping_protected", "is_shipping_protected_can_be_read"),
    "grams": ({"grams": "1 kg"}, "grams", "grams_can_be_read"),
    "last name": ({"customer_last_name": None}, "customer_last_name", "customer_last_name_is_there"),
    "nobody to reach": ({"customer_email": None}, "customer_email", "customer_can_be_reached"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "column", "rule"), BAD_ORDERS.values(), ids=BAD_ORDERS.keys())
def test_a_bad_value_is_named_with_its_place_and_a_remedy(
    changes: dict[str, str | None], column: str, rule: str
) -> None:
    """File, line, column, the value as it was written, what is wrong with it and what to do."""
    result = checked([order_text(1), order_text(2, **changes)])
    assert result.accepted["orders"]["source_order_id"].to_list() == ["o-1"]
    problem = only_problem(result)
    written = next(iter(changes.values()))
    assert (problem["column"], problem["rule"]) == (column, rule)
    shown = (problem["value"] or "").partition(" (shipping")[0]
    assert shown == (written if written and written.strip() else "")
    assert problem["sentence"]
    assert problem["remedy"]
    row = result.quarantine.row(0, named=True)
    assert (row["file"], row["line"], row["kind"]) == ("orders.csv", 3, "quarantined")
    assert row["reasons"].startswith(column)
    assert row[ROW] == 1


LAWFUL: dict[str, tuple[dict[str, str | None], dict[str, str | None]]] = {
    "a negative line": ({}, {"price": "-10.00"}),
    "a negative quantity": ({}, {"quantity": "-2"}),
    "nothing to pay": (dict.fromkeys(["subtotal_money", "shipping_money", "tax_money", "total_money"], "0"), {}),
    "a refund": ({"subtotal_money": "-27.00", "total_money": "-20.00"}, {}),
    "no customer": ({name: None for name in order_text() if name.startswith("customer_")}, {}),
    "blanks around values": ({"total_money": " 27.00\t", "source_created_on": " 2026-11-22T09:30:00Z ", "is_shipping_protected": " t "}, {"quantity": "\u00a01 "}),
    "a customer with a phone only": ({"customer_email": None, "customer_phone": "(202) 555-0123"}, {}),
    "codes in small letters": ({"customer_currency_code": "usd", "billing_address_country_code": " us "}, {}),
    "no date": ({"source_created_on": None}, {}),
    "half a thing": ({}, {"quantity": "0.5"}),
}  # fmt: skip


@pytest.mark.parametrize(("order", "line"), LAWFUL.values(), ids=LAWFUL.keys())
def test_only_what_corso_would_refuse_is_refused(
    order: dict[str, str | None], line: dict[str, str | None]
) -> None:
    """Historic orders break business rules lawfully."""
    result = checked([order_text(**order)], [line_text(**line)])
    assert result.quarantine["reasons"].to_list() == []
    assert result.accepted["orders"].height == 1


def test_every_reason_is_named_at_once() -> None:
    """Who mends a row mends it once: rules of values, of the row, of its lines and across tables together."""
    order = order_text(
        total_money="1", shipping_address_city=None, customer_phone="x", customer_last_name=None
    )
    result = checked(
        [order], [line_text(sku=None, tax="?")], [fulfillment_text(fulfillment_location_id=None)]
    )
    assert broken_rules(result) == {
        ("orders", 2, "money_adds_up"),
        ("orders", 2, "shipping_address_city_is_there"),
        ("orders", 2, "phone_is_e164"),
        ("orders", 2, "customer_last_name_is_there"),
        ("line_items", 2, "sku_is_there"),
        ("line_items", 2, "tax_can_be_read"),
        ("fulfillments", 2, "fulfillment_location_id_is_there"),
    }
    (reasons,) = result.quarantine.filter(table="orders")["reasons"]
    assert reasons.count("; ") >= 3


@pytest.mark.parametrize("table", ["orders", "line_items", "fulfillments"])
def test_one_bad_row_quarantines_all_rows_of_its_order_and_of_no_other(table: str) -> None:
    """An order is loaded whole or not at all."""
    orders = [order_text(1), order_text(2)]
    lines = [line_text(1), line_text(2, 1), line_text(2, 2)]
    fulfillments = [fulfillment_text(1), fulfillment_text(2)]
    {"orders": orders, "line_items": lines, "fulfillments": fulfillments}[table][-1]["source_created_on"] = (
        "?"
    )
    lines[-1] |= {"sku": None} if table == "line_items" else {}
    result = checked(orders, lines, fulfillments)
    for accepted in result.accepted.values():
        assert accepted["source_order_id"].to_list() == ["o-1"]
    assert result.quarantine["source_order_id"].to_list() == ["o-2"] * 4
    innocent = result.quarantine.filter(pl.col("problems").list.len() == 0)
    assert set(innocent["reasons"]) == {OF_ANOTHER_ROW}


def test_orphans_are_named() -> None:
    """A line or a fulfillment of no order, or of an order without a name, is not loaded and not lost."""
    lines = [line_text(1), line_text(7), line_text(1, 9, source_order_id=None)]
    result = checked([order_text(1)], lines, [fulfillment_text(8)])
    assert broken_rules(result) == {
        ("line_items", 3, "row_belongs_to_an_order"),
        ("line_items", 4, "row_belongs_to_an_order"),
        ("line_items", 4, "source_order_id_is_there"),
        ("fulfillments", 2, "row_belongs_to_an_order"),
    }
    assert result.accepted["orders"].height == 1


def test_an_order_without_lines_is_named() -> None:
    """Corso takes none; its fulfillments wait with it."""
    result = checked([order_text(1)], [], [fulfillment_text(1)])
    assert only_problem(result)["rule"] == "order_has_line_items"
    assert result.quarantine["table"].to_list() == ["orders", "fulfillments"]


def test_an_order_without_an_id_is_named() -> None:
    """There is nothing to load it under; its neighbours are not touched."""
    result = checked([order_text(source_order_id=" "), order_text(2)], [line_text(2)])
    assert only_problem(result)["rule"] == "source_order_id_is_there"
    assert result.accepted["orders"]["source_order_id"].to_list() == ["o-2"]


def test_a_row_that_stands_twice_and_equal_is_loaded_once() -> None:
    """Blanks, case of codes and the place in the file make no difference between rows."""
    twice = [order_text(), order_text(), order_text(customer_currency_code=" usd")]
    result = checked(twice, [line_text(), line_text()], [fulfillment_text(), fulfillment_text()])
    assert {name: table.height for name, table in result.accepted.items()} == {
        "orders": 1,
        "line_items": 1,
        "fulfillments": 1,
    }
    assert set(result.quarantine["kind"]) == {"repeated"}
    assert set(result.quarantine["reasons"]) == {"repeats a row word for word; loaded once"}


@pytest.mark.parametrize("table", ["orders", "line_items", "fulfillments"])
def test_rows_with_the_same_key_that_differ_are_quarantined_both(table: str) -> None:
    """Nobody but the merchant knows which is right."""
    rows: dict[str, list[Row]] = {
        "orders": [order_text()],
        "line_items": [line_text()],
        "fulfillments": [fulfillment_text()],
    }
    key, column = {
        "orders": ("source_order_id", "notes"),
        "line_items": ("source_line_item_id", "vendor"),
        "fulfillments": ("source_fulfillment_id", "shipment_status"),
    }[table]
    rows[table].append({**rows[table][0], column: "another"})
    result = checked(rows["orders"], rows["line_items"], rows["fulfillments"])
    assert result.accepted["orders"].is_empty()
    assert broken_rules(result) == {(table, 2, f"{key}_is_unique"), (table, 3, f"{key}_is_unique")}


def test_two_unreadable_values_that_differ_are_not_a_repetition() -> None:
    """Both are read as nothing, but they are not the same row."""
    result = checked([order_text(grams="x"), order_text(grams="y")])
    assert set(result.quarantine["kind"]) == {"quarantined"}


def test_a_repetition_of_a_bad_row_does_not_claim_to_be_loaded() -> None:
    """It is counted as a repetition all the same."""
    result = checked([order_text(total_money="1"), order_text(total_money="1")])
    kinds = result.quarantine.filter(table="orders").select("line", "kind")
    assert kinds.rows() == [(2, "quarantined"), (3, "repeated")]
    assert "loaded" not in result.quarantine.filter(kind="repeated")["reasons"].item()


def test_a_row_that_cannot_be_trusted_as_a_whole_quarantines_its_order() -> None:
    """A ragged row may look good and hold its values in the wrong columns; an equal whole one does not save it."""
    result = checked([order_text(), order_text()], order_faults={1: "the row has 3 fields"})
    assert result.accepted["orders"].is_empty()
    assert ("orders", 3, "row_is_whole") in broken_rules(result)
    assert "repeated" not in set(result.quarantine["kind"])


def test_a_row_that_cannot_be_trusted_as_a_whole_has_that_reason_alone() -> None:
    """What stands in its columns, or is missing there, is no reason: its remedy would be the wrong one."""
    result = checked(
        [order_text(total_money="", customer_phone="Boston")], order_faults={0: "the row has 3 fields"}
    )
    assert {rule for table, _, rule in broken_rules(result) if table == "orders"} == {"row_is_whole"}


def test_a_long_value_is_cut_in_the_report_only() -> None:
    """A megabyte in a bad field does not become a megabyte of report."""
    result = checked([order_text(total_money="9" * 1000)])
    assert only_problem(result)["value"] == "9" * 300


HOSTILE = [
    "=cmd()",
    "<script>alert(1)</script>",
    "a\x00b\x07",
    "\u202etxt",
    "🧨" * 50,
    '"',
    '","channel":null,"',
    "{}",
    "'; --",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_carried_through(text: str) -> None:
    """Text is the merchant's; nothing is escaped, cut or refused here."""
    result = checked([order_text(notes=text)], [line_text(name=text)])
    assert result.accepted["orders"]["notes"].item() == text
    assert result.accepted["line_items"]["name"].item() == text


def test_a_quarantined_orders_money_is_counted_where_it_can_be_read() -> None:
    """The report ties the money of the source: amount, currency and month in the store's zone."""
    bad = [
        order_text(1, shipping_address_city=None, source_created_on="2026-12-01T02:00:00Z"),
        order_text(2, total_money="?", customer_currency_code=None, source_created_on=None),
    ]
    rows = checked(bad).quarantine.filter(table="orders").select("total_money", "currency", "month")
    assert rows.rows() == [(Decimal("27.0000"), "USD", "2026-11"), (None, "USD", "undated")]


def test_times_that_daylight_saving_settles_are_counted_over_all_tables() -> None:
    """Ambiguous and impossible times are loaded, and the report says how many."""
    result = checked(
        [order_text(source_created_on="2026-11-01 01:30", source_updated_on="2026-03-08 02:30")],
        fulfillments=[fulfillment_text(source_created_on="2026-11-01 01:45")],
    )
    assert result.accepted["orders"].height == 1
    assert result.times_settled == {"ambiguous": 2, "impossible": 1}


def test_nothing_at_all_is_validated_too() -> None:
    """An empty part is a part."""
    result = checked([], [])
    assert all(table.is_empty() for table in result.accepted.values())
    assert result.quarantine.is_empty()


_IDS = st.sampled_from(["o-1", "o-2", "o-3", None])
_ORDER_CHANGES = st.fixed_dictionaries(
    {"source_order_id": _IDS},
    optional={
        "total_money": st.sampled_from(["27.00", "27.0", "1", "?", None]),
        "customer_email": st.sampled_from(["ann@example.com", None]),
        "notes": st.sampled_from(["x", ""]),
        "source_created_on": st.sampled_from(["2026-01-01", "2026-02-30"]),
    },
)
_LINE_CHANGES = st.fixed_dictionaries(
    {"source_order_id": _IDS, "source_line_item_id": st.sampled_from(["1", "2", None])},
    optional={"sku": st.sampled_from(["A", None])},
)
_FULFILLMENT_CHANGES = st.fixed_dictionaries(
    {"source_order_id": _IDS, "source_fulfillment_id": st.sampled_from(["f-1", "f-2"])},
    optional={"shipping_weight_grams": st.sampled_from(["5", "five"])},
)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    st.lists(_ORDER_CHANGES, max_size=5),
    st.lists(_LINE_CHANGES, max_size=6),
    st.lists(_FULFILLMENT_CHANGES, max_size=4),
    st.sets(st.integers(0, 4), max_size=1),
)
def test_no_row_is_lost_and_what_is_accepted_satisfies_the_schemas(
    orders: list[Row], lines: list[Row], fulfillments: list[Row], ragged: set[int]
) -> None:
    """Source rows = accepted + quarantined + repeated, and the accepted are good by pandera's own word."""
    given_rows = {
        "orders": [order_text(**change) for change in orders],
        "line_items": [line_text(**change) for change in lines],
        "fulfillments": [fulfillment_text(**change) for change in fulfillments],
    }
    faults = {place: "ragged" for place in ragged if place < len(orders)}
    result = checked(
        given_rows["orders"], given_rows["line_items"], given_rows["fulfillments"], order_faults=faults
    )
    QUARANTINE.validate(result.quarantine)
    quarantined = result.quarantine.filter(kind="quarantined")
    accepted_ids = set(result.accepted["orders"]["source_order_id"])
    for name, schema in TABLES.items():
        accepted = result.accepted[name]
        schema.validate(accepted, lazy=True)
        places = [*accepted["line"], *result.quarantine.filter(table=name)["line"]]
        assert sorted(places) == list(range(2, len(given_rows[name]) + 2))
        assert set(accepted["source_order_id"]) <= accepted_ids
    assert accepted_ids <= set(result.accepted["line_items"]["source_order_id"])
    assert len(accepted_ids) == result.accepted["orders"].height
    assert not accepted_ids & set(quarantined["source_order_id"])
    assert all(quarantined["reasons"].str.len_chars() > 0)


LOST_DIGITS: dict[str, tuple[TableName, str, str]] = {
    "an order": ("orders", "source_order_id", "5.76913E+17"),
    "without a plus": ("orders", "source_order_id", "5.76461234567890187E17"),
    "without a point": ("orders", "source_order_id", "6e+18"),
    "with a decimal comma": ("orders", "customer_source_customer_id", "5,7E+12"),
    "a line": ("line_items", "source_line_item_id", "1.00123E+13"),
    "a variant": ("line_items", "variant_id", "1.72946E+18"),
    "a shipment": ("fulfillments", "source_fulfillment_id", "1.15E+18"),
    "a parcel": ("fulfillments", "tracking_info_number", "9.40011E+21"),
}


@pytest.mark.parametrize(("table", "column", "lost"), LOST_DIGITS.values(), ids=LOST_DIGITS.keys())
def test_an_id_that_lost_its_digits_quarantines_its_order(table: TableName, column: str, lost: str) -> None:
    """A spreadsheet made 5.76913E+17 of it: many orders, lines or parcels would be one."""
    rows = {"orders": order_text(2), "line_items": line_text(2), "fulfillments": fulfillment_text(2)}
    rows[table] |= {column: lost}
    result = checked(
        [order_text(1), rows["orders"]], [line_text(1), rows["line_items"]], [rows["fulfillments"]]
    )
    problems = [problem for found in result.quarantine["problems"] for problem in found]
    assert (column, "id_is_whole", lost) in {
        (each["column"], each["rule"], each["value"]) for each in problems
    }
    assert result.accepted["orders"]["source_order_id"].to_list() == ["o-1"]


def test_a_point_and_zero_behind_a_whole_number_is_no_part_of_an_id_a_zip_or_a_phone() -> None:
    """Programs and databases write it where some rows have none; amounts and names stay as they are."""
    order = order_text(
        order_number="1001.0", billing_address_postal_code="10115.0", customer_phone="301234567.0",
        billing_address_country_code="DE", notes="2.0",
    )  # fmt: skip
    line = line_text(product_id="8101.0", variant_id="8101.00", sku="7.0")
    accepted = checked([order], [line]).accepted
    assert accepted["orders"].select(
        "order_number", "billing_address_postal_code", "customer_phone", "notes"
    ).rows() == [("1001", "10115", "+49301234567", "2.0")]
    assert accepted["line_items"].select("product_id", "variant_id", "sku").rows() == [
        ("8101", "8101.00", "7.0")
    ]


@pytest.mark.parametrize("code", ["1E5", "1e5", "2.5E-3", "12E+5", "1.5E", "E+17"])
def test_a_code_with_an_e_is_an_id_like_any_other(code: str) -> None:
    """No spreadsheet writes a long number so."""
    order, line = order_text(source_order_id=code), line_text(source_order_id=code, variant_id=code)
    assert checked([order], [line]).accepted["line_items"]["variant_id"].to_list() == [code]
