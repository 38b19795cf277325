"""Reading Corso's answers: tolerant, exact, and never silent about what was not as documented."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from factories import STORE_ID, line_row, lines_frame, listing_frame, order_row, orders_frame, record_of
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corso.report.drift import Drift, sentences
from corso.report.read_back import (
    _KNOWN,
    _KNOWN_IN_FULFILLMENTS,
    _KNOWN_IN_LINES,
    _KNOWN_INSIDE,
    ALWAYS_THERE,
    FULFILLMENT_ALWAYS_THERE,
    LINE_ALWAYS_THERE,
    read_fulfillments,
    read_records,
    records_to_frame,
)
from schemas.fields import MONEY, NUMBER
from schemas.line_items import LINE_ITEM_PATHS
from schemas.listing import LISTED_FULFILLMENTS, LISTING
from schemas.orders import ORDER_PATHS

CONTRACT = Path(__file__).parents[3] / "schemas" / "corso_api.yaml"


def test_a_record_reads_back_as_the_order_that_was_sent() -> None:
    """Every column of the order and of its lines comes back equal, with its type."""
    order, line = order_row(grams=Decimal("12.5"), is_shipping_protected=True), line_row(1, 1, vendor="Acme")
    frame = listing_frame([record_of(order, [line], 42)])
    LISTING.validate(frame)
    sent = orders_frame([order]).select(list(ORDER_PATHS)).cast({MONEY: NUMBER})
    assert frame.select(list(ORDER_PATHS)).equals(sent)
    lines = frame.select("line_items").explode("line_items").unnest("line_items")
    assert lines.equals(lines_frame([line]).select(list(LINE_ITEM_PATHS)).cast({MONEY: NUMBER}))
    assert frame["corso_order_id"].to_list() == ["42"]


def test_no_records_are_an_empty_frame_of_the_listing() -> None:
    """An empty store has every column."""
    LISTING.validate(records_to_frame([], STORE_ID))


def test_records_of_another_store_are_left_out_and_counted() -> None:
    """One client may own several stores; an answer without a store is taken as ours."""
    records: list[dict[str, Any]] = [
        {"storeId": 1, "orderId": 1},
        {"storeId": str(STORE_ID), "orderId": 2},
        {"orderId": 3},
    ]
    frame, drift = read_records(records, STORE_ID)
    assert frame["corso_order_id"].to_list() == ["2", "3"]
    assert (drift.records, drift.other_store) == (3, 1)


def test_ids_that_are_numbers_become_text() -> None:
    """1001 and "1001" are the same id; a number is written without exponent or trailing zeros."""
    record = {"orderId": Decimal("1E+3"), "sourceOrderId": 1001, "lineItems": [{"sku": Decimal("7.0")}]}
    frame, drift = read_records([record], STORE_ID)
    assert frame.select("corso_order_id", "source_order_id").rows() == [("1000", "1001")]
    assert frame["line_items"].to_list()[0][0]["sku"] == "7"
    assert not drift.wrong_type


def test_a_record_without_ids_is_kept_with_empty_ones() -> None:
    """It is somebody's record, and shows up as foreign."""
    assert records_to_frame([{}], STORE_ID).select("corso_order_id", "source_order_id").rows() == [("", "")]


@pytest.mark.parametrize(
    ("record", "path", "column"),
    [
        ({"totalMoney": "27,00"}, "totalMoney", "total_money"),
        ({"totalMoney": "1,027.00"}, "totalMoney", "total_money"),
        ({"totalMoney": ""}, "totalMoney", "total_money"),
        ({"totalMoney": Decimal("1" * 200 + "." + "1" * 200)}, "totalMoney", "total_money"),
        ({"totalMoney": int("9" * 50)}, "totalMoney", "total_money"),
        ({"totalMoney": Decimal("1E+999999")}, "totalMoney", "total_money"),
        ({"totalMoney": Decimal("NaN")}, "totalMoney", "total_money"),
        ({"totalMoney": True}, "totalMoney", "total_money"),
        ({"updatedOn": "2026-11-22T10:00:00"}, "updatedOn", "updated_on"),
        ({"updatedOn": 1763800000}, "updatedOn", "updated_on"),
        ({"isShippingProtected": "yes"}, "isShippingProtected", "is_shipping_protected"),
        ({"notes": {"a": 1}}, "notes", "notes"),
        ({"customer": {"firstName": 5}}, "customer.firstName", "customer_first_name"),
    ],
)
def test_a_value_of_another_type_becomes_null_and_is_counted(
    record: dict[str, Any], path: str, column: str
) -> None:
    """It will show as a difference; the drift names the field, never the value."""
    frame, drift = read_records([record], STORE_ID)
    assert frame[column].to_list() == [None]
    assert drift.wrong_type == {path: 1}


@pytest.mark.parametrize("text", ["27", "27.0", "27.00", "27.000000"])
def test_an_amount_that_comes_as_text_is_that_amount_and_is_counted(text: str) -> None:
    """Corso holds the money: to call it missing would be wrong, to say nothing of the other type as well."""
    frame, drift = read_records(
        [{"totalMoney": text, "lineItems": [{"quantity": text, "sku": text}]}], STORE_ID
    )
    assert frame["total_money"].to_list() == [Decimal(27)]
    assert (
        frame["line_items"].to_list()[0][0] | {"quantity": 27, "sku": text}
        == frame["line_items"].to_list()[0][0]
    )
    assert drift.wrong_type == {"totalMoney": 1, "lineItems.quantity": 1}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("5472.630000000001", "5472.63"),
        ("0.30000000000000004", "0.3"),
        ("-0.1000000000000000055511151231257827", "-0.1"),
        ("1.1102230246251565E-16", "0"),
        ("1234567890.1200001", "1234567890.12"),
        ("123456789012.34560001", "123456789012.3456"),
    ],
)
def test_the_noise_of_binary_fractions_is_rounded_away_and_counted(given: str, read: str) -> None:
    """Such a server means the amount that it was sent, and says it as a JSON number, as documented."""
    record = {"totalMoney": Decimal(given), "lineItems": [{"price": Decimal(given)}]}
    frame, drift = read_records([record], STORE_ID)
    assert frame["total_money"].to_list() == [Decimal(read)]
    assert frame["line_items"].to_list()[0][0]["price"] == Decimal(read)
    assert drift.rounded == {"totalMoney": 1, "lineItems.price": 1}
    assert not drift.wrong_type


@pytest.mark.parametrize(
    "amount",
    ["13970.3400001", "10.12345", "27.00001", "123456789012.34565", "12345678901234.5678", "1e20", "0.00005"],
)
def test_an_amount_with_more_decimals_than_exports_have_is_what_it_is(amount: str) -> None:
    """It is another amount than any order's, never none and never a near one."""
    frame, drift = read_records([{"totalMoney": Decimal(amount)}, {"totalMoney": Decimal(27)}], STORE_ID)
    assert frame["total_money"].to_list() == [Decimal(amount), 27]
    assert not drift.rounded
    assert not drift.wrong_type


@given(st.decimals(-(10**18), 10**18, places=4), st.decimals("-0.001", "0.001", places=12))
def test_no_amount_is_read_as_one_that_is_half_its_last_decimal_away(amount: Decimal, off: Decimal) -> None:
    """However large it is."""
    given = Context(prec=100).add(amount, off)
    (read,) = records_to_frame([{"totalMoney": given}], STORE_ID)["total_money"].to_list()
    assert abs(read - given) <= Decimal("0.000005")


@pytest.mark.parametrize("value", ["x", 5, [1, "y"]])
def test_line_items_that_are_no_objects_are_counted(value: Any) -> None:
    """What cannot be a line is left out, and said."""
    frame, drift = read_records([{"lineItems": value}], STORE_ID)
    assert frame["line_items"].to_list() == [[]]
    assert drift.wrong_type["lineItems"] == (2 if isinstance(value, list) else 1)


@pytest.mark.parametrize(
    "text",
    ["2026-11-22T10:00:00.250Z", "2026-11-22T12:00:00.25+02:00", "2026-11-22T05:00:00.250000000-05:00"],
)
def test_date_times_of_any_offset_are_the_same_instant(text: str) -> None:
    """RFC 3339 with any offset and precision."""
    frame = records_to_frame([{"createdOn": text}], STORE_ID)
    assert frame["created_on"].to_list() == [datetime(2026, 11, 22, 10, 0, 0, 250_000, tzinfo=UTC)]


def test_missing_and_unknown_fields_are_counted() -> None:
    """What is documented as always there, and what nobody documented."""
    record = record_of(order_row(), [line_row()]) | {"brandNew": 1}
    del record["totalMoney"], record["lineItems"][0]["sku"]
    record["lineItems"][0]["alsoNew"] = 1
    _, drift = read_records([record], STORE_ID)
    assert drift.missing == {"totalMoney": 1, "lineItems.sku": 1}
    assert drift.unknown == {"brandNew": 1, "lineItems.alsoNew": 1}


def test_drifts_of_two_pages_add_up() -> None:
    """The listing is read page by page."""
    page = Drift(2, 1, {"a": 1}, {"b": 2}, {}, rounded={"c": 3})
    assert page + page == Drift(4, 2, {"a": 2}, {"b": 4}, {}, rounded={"c": 6})


@pytest.mark.parametrize("value", ["US", "GB", None])
def test_a_value_that_the_reference_names_is_no_drift(value: str | None) -> None:
    """Country and currency codes are those of the standards that it names."""
    record = record_of(order_row(shipping_address_country_code=value), [line_row()])
    assert not read_records([record], STORE_ID)[1].new_values


def test_a_new_value_is_counted_and_kept() -> None:
    """It is shown cut short; the frame has it whole."""
    order = order_row(
        customer_currency_code="BITCOINS, as many as there are", shipping_address_country_code="XK"
    )
    frame, drift = read_records([record_of(order, [line_row()])] * 2, STORE_ID)
    assert drift.new_values == {
        "customerCurrencyCode: BITCOINS, as many as": 2,
        "shippingAddress.countryCode: XK": 2,
    }
    assert frame["customer_currency_code"].to_list() == ["BITCOINS, as many as there are"] * 2
    assert not drift.wrong_type
    assert not drift.missing


def test_fields_inside_a_customer_or_an_address_are_looked_at_too() -> None:
    """A new one there is as new as one outside."""
    record = record_of(order_row(), [line_row()])
    record["customer"]["loyalty"], record["billingAddress"]["floor"] = 1, 2
    _, drift = read_records([record], STORE_ID)
    assert drift.unknown == {"customer.loyalty": 1, "billingAddress.floor": 1}


def test_fulfillments_are_rows_with_the_ids_of_their_order() -> None:
    """Whatever they hold; what is not as documented is counted."""
    read = [
        ("o-1", "1", [{"fulfillmentId": 7, "sourceFulfillmentId": "f-1", "fulfillmentLocationId": 12}]),
        ("o-2", "2", []),
        ("o-3", "3", [{"fulfillmentId": 8, "deliveredOn": 5, "colour": "red"}]),
    ]
    frame, drift = read_fulfillments(read)
    LISTED_FULFILLMENTS.validate(frame)
    ids = frame.select("source_order_id", "corso_order_id", "corso_fulfillment_id", "source_fulfillment_id")
    assert ids.rows() == [("o-1", "1", "7", "f-1"), ("o-3", "3", "8", "")]
    assert drift == Drift(
        records=2,
        wrong_type={"fulfillments.deliveredOn": 1},
        missing={"fulfillments.sourceFulfillmentId": 1, "fulfillments.fulfillmentLocationId": 1},
        unknown={"fulfillments.colour": 1},
    )
    LISTED_FULFILLMENTS.validate(read_fulfillments([])[0])


def test_the_drift_of_an_answer_is_that_around_its_records() -> None:
    """The page's own fields."""
    drift = Drift.around({"unknown": ["pageInfo.total"], "missing": ["pageInfo.startCursor"]})
    assert drift == Drift(unknown={"pageInfo.total": 1}, missing={"pageInfo.startCursor": 1})


def test_a_drift_is_told_in_sentences_and_survives_being_kept() -> None:
    """Of very many paths some are named."""
    unknown_fields = {f"c{number:02}": 1 for number in range(30)}
    drift = Drift(3, 1, {"a": 1}, {"b": 2}, unknown_fields, {"d: x": 4}, {"e": 5})
    assert Drift(**json.loads(json.dumps(drift.as_dict()))) == drift
    unknown, *others = sentences(drift)
    assert unknown.endswith("c19 (once), and 10 more.")
    told = [each.split(": ", 1)[1] for each in others]
    assert told == ["b (2 times).", "a (once).", "d: x (4 times).", "e (5 times)."]
    assert sentences(Drift()) == ()


def test_what_is_known_and_required_is_what_the_contract_says() -> None:
    """Of orders, their parts, and fulfillments; and wherever it names values, they are known."""
    schemas = yaml.safe_load(CONTRACT.read_text())["components"]["schemas"]
    inputs = {name: schemas[f"{name}Input"] for name in ("Order", "LineItem", "Fulfillment")}
    assert set(inputs["Order"]["required"]) | {"orderId"} == set(ALWAYS_THERE)
    assert set(inputs["LineItem"]["required"]) == set(LINE_ALWAYS_THERE)
    assert set(inputs["Fulfillment"]["required"]) == set(FULFILLMENT_ALWAYS_THERE)
    for name, known in (
        ("Order", _KNOWN),
        ("LineItem", _KNOWN_IN_LINES),
        ("Fulfillment", _KNOWN_IN_FULFILLMENTS),
    ):
        assigned = schemas[name]["allOf"][1]["properties"]
        assert set(inputs[name]["properties"]) | set(assigned) <= known
    for name, parent in (
        ("Customer", "customer"),
        ("Address", "billingAddress"),
        ("Address", "shippingAddress"),
    ):
        assert set(schemas[name]["properties"]) == _KNOWN_INSIDE[parent]
    with_enum = [
        path for name, each in schemas.items() for path in _enums(name, each) if not name.startswith("Token")
    ]
    assert with_enum == [], "the reference names values: NAMED_VALUES has to know them"


def _enums(path: str, schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "enum" in schema:
            yield path
        for key, inner in schema.items():
            yield from _enums(f"{path}.{key}", inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _enums(path, inner)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "value", "sku"]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
KEYS = st.sampled_from(
    ["orderId", "sourceOrderId", "totalMoney", "createdOn", "lineItems", "customer", "notes"]
)


@pytest.mark.slow
@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=4))
def test_no_json_object_breaks_the_reading(records: list[dict[str, Any]]) -> None:
    """Whatever the API answers, there is one row for each record."""
    frame = records_to_frame(records, STORE_ID)
    LISTING.validate(frame)
    assert frame.height == len(records)
