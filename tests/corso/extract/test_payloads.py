"""Payloads: exact, without nulls, and the same bytes on every run and machine."""

import hashlib
import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from export_factories import checked, fulfillment_text, line_text, order_text
from factories import STORE_ID, line_row, lines_frame, order_row, orders_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract.payloads import fulfillment_payloads, order_payloads
from schemas.fields import dtypes
from schemas.fulfillments import FULFILLMENT_PATHS, FULFILLMENTS
from schemas.line_items import LINE_ITEM_PATHS
from schemas.orders import ORDER_PATHS


def payload_of(order: dict[str, Any], *lines: dict[str, Any]) -> str:
    """Return the payload of one order."""
    frame = order_payloads(orders_frame([order]), lines_frame(list(lines) or [line_row()]), STORE_ID)
    text: str = frame["payload"].item()
    return text


def decoded(text: str) -> Any:
    """Decode JSON as the engine does: numbers exact, and no member twice."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({key for key, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def expected_of(row: dict[str, Any], paths: dict[str, str]) -> dict[str, Any]:
    """Return the members that a row's values must become, null ones left out."""
    members: dict[str, Any] = {}
    for column, path in paths.items():
        value = row[column]
        if value is None:
            continue
        outer, _, inner = path.rpartition(".")
        holder = members.setdefault(outer, {}) if outer else members
        if isinstance(value, datetime):
            value = value.isoformat().replace("+00:00", "Z")
        holder[inner] = value
    return members


def test_an_order_is_written_exactly_like_this() -> None:
    """The bytes are a promise: a change here makes every order of every ledger look changed."""
    order = order_row(
        notes="Grüße", grams=Decimal("1200.5"), is_shipping_protected=True,
        source_canceled_on=datetime(2026, 11, 21, 8, 0, 0, 250000, tzinfo=UTC),
    )  # fmt: skip
    line = line_row(options=[{"name": "Size", "value": "M"}])
    assert payload_of(order, line) == (
        '{"storeId":9359,"sourceOrderId":"o-1","orderNumber":"1001","orderName":"#1001",'
        '"isShippingProtected":true,'
        '"customer":{"sourceCustomerId":"c-1","firstName":"Ann","lastName":"Lee",'
        '"email":"ann.1@example.com","phone":"+12025550123"},'
        '"sourceCreatedOn":"2026-11-20T12:30:00Z","sourceCanceledOn":"2026-11-21T08:00:00.25Z",'
        '"shippingMoney":5,"subtotalMoney":20,"taxMoney":2,"totalMoney":27,'
        '"billingAddress":{"line1":"1 Main St","city":"Springfield","stateOrProvinceCode":"MA",'
        '"postalCode":"02101","countryCode":"US"},'
        '"shippingAddress":{"line1":"1 Main St","city":"Springfield","stateOrProvinceCode":"MA",'
        '"postalCode":"02101","countryCode":"US"},'
        '"grams":1200.5,"notes":"Grüße","customerCurrencyCode":"USD",'
        '"lineItems":[{"sourceLineItemId":"1","name":"Blue mug","quantity":2,"sku":"MUG-1","tax":2,"price":10,'
        '"productId":"p-1","variantId":"v-1","options":[{"name":"Size","value":"M"}]}]}'
    )


NUMBERS = {
    "129.53": "129.53", "0": "0", "-0.05": "-0.05", "1.10": "1.1", "100": "100", "0.0001": "0.0001",
    "999999999999999999.9999": "999999999999999999.9999", "-20.00": "-20", "1000.5": "1000.5",
}  # fmt: skip


@pytest.mark.parametrize(("amount", "written"), NUMBERS.items())
def test_numbers_are_exact_json_numbers_without_trailing_zeros(amount: str, written: str) -> None:
    """Never a float, never a string, and one spelling only."""
    assert f'"totalMoney":{written},' in payload_of(order_row(total_money=Decimal(amount)))


HOSTILE = [
    'say "hi"', "back\\slash", "a\x00b\x01\x1f\x7f", "line\nbreak\ttab\r", "🧨 \u202eRTL \u2028", "</script>",
    '","notes":null,"x":"', ',"channel":null', '"price":"5.0"', '\\","total":"1.0', "null", "a,", '"', "\\",
    '{"price":"1.50","grams":null}', "1.0", "5.00",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_changes_nothing_but_its_own_value(text: str) -> None:
    """Text that looks like the JSON around it does not get through to it."""
    order = order_row(
        notes=text, channel=text, customer_email=text, shipping_address_line2=text, order_name=text
    )
    line = line_row(name=text, vendor=text, options=[{"name": text, "value": text}])
    found = decoded(payload_of(order, line))
    (found_line,) = found.pop("lineItems")
    assert found == {"storeId": STORE_ID, **expected_of(order, dict(ORDER_PATHS))}
    assert found_line == expected_of(line, dict(LINE_ITEM_PATHS))


_TEXT = st.none() | st.text(max_size=20) | st.text(st.sampled_from('",:{}[]\\nul0.5 '), max_size=20)
_AMOUNT = st.decimals(min_value=-(10**12), max_value=10**12, places=4)
_NUMBER = st.none() | st.decimals(min_value=-(10**12), max_value=10**12, places=10)
_INSTANT = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # bounds are naive by contract
_ORDER = st.fixed_dictionaries(
    {"total_money": _AMOUNT, "tax_money": _AMOUNT},
    optional={
        "notes": _TEXT, "channel": _TEXT, "shipping_address_line2": _TEXT, "customer_email": _TEXT,
        "grams": _NUMBER, "billing_address_latitude": _NUMBER, "source_created_on": _INSTANT,
        "source_canceled_on": _INSTANT, "is_shipping_protected": st.none() | st.booleans(),
        "customer_source_customer_id": st.text(min_size=1, max_size=5),
    },
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(_ORDER, st.lists(st.tuples(_AMOUNT, _TEXT), min_size=1, max_size=3))
def test_a_payload_says_exactly_what_was_accepted(
    order: dict[str, Any], lines: list[tuple[Decimal, str | None]]
) -> None:
    """Decoded, it is the accepted row again: every value, exact, and no member more."""
    row = order_row(**order)
    rows = [line_row(1, number, price=price, vendor=vendor) for number, (price, vendor) in enumerate(lines)]
    found = decoded(payload_of(row, *rows))
    assert found.pop("lineItems") == [expected_of(line, dict(LINE_ITEM_PATHS)) for line in rows]
    assert _instants(found) == _instants({"storeId": STORE_ID, **expected_of(row, dict(ORDER_PATHS))})


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(_ORDER, min_size=2, max_size=6))
def test_a_payload_does_not_depend_on_other_orders(orders: list[dict[str, Any]]) -> None:
    """How columns are written is decided for all orders of a part at once: what some lack, and others escape."""
    rows = [order_row(number, **each) for number, each in enumerate(orders)]
    lines = [line_row(number, 1, vendor=row["notes"]) for number, row in enumerate(rows)]
    together = order_payloads(orders_frame(rows), lines_frame(lines), STORE_ID)["payload"].to_list()
    assert together == [payload_of(*each) for each in zip(rows, lines, strict=True)]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), min_size=1, max_size=6))
def test_instants_are_written_with_as_many_decimals_as_they_need(instants: list[datetime | None]) -> None:
    """Of all years that a time can have, several days and seconds of the day at once."""
    rows = [order_row(number, source_created_on=each) for number, each in enumerate(instants)]
    lines = [line_row(number, 1) for number in range(len(rows))]
    payloads = order_payloads(orders_frame(rows), lines_frame(lines), STORE_ID)["payload"]
    for payload, instant in zip(payloads, instants, strict=True):
        written = json.loads(payload).get("sourceCreatedOn")
        if instant is None:
            assert written is None
            continue
        whole = instant.replace(tzinfo=None).isoformat()
        assert written == (whole.rstrip("0") if instant.microsecond else whole) + "Z"


def _instants(members: dict[str, Any]) -> dict[str, Any]:
    return {
        key: datetime.fromisoformat(value) if key.endswith("On") else value for key, value in members.items()
    }


def test_an_order_without_a_customer_has_no_customer_object() -> None:
    """An empty object would be refused."""
    nobody = {name: None for name in order_row() if name.startswith("customer_")}
    assert '"customer"' not in payload_of(order_row(**nobody))


def test_the_hash_is_of_the_payloads_bytes() -> None:
    """What the ledger compares is what is sent."""
    frame = order_payloads(orders_frame([order_row()]), lines_frame([line_row()]), STORE_ID)
    payload, payload_hash = frame.select("payload", "payload_hash").row(0)
    assert payload_hash == hashlib.sha256(payload.encode()).hexdigest()


def test_lines_stand_in_the_order_of_their_ids() -> None:
    """Line 10 comes behind line 9, whatever the file's order."""
    lines = [line_row(1, number) for number in (10, 2, 9, 1)]
    found = decoded(payload_of(order_row(), *lines))
    assert [line["sourceLineItemId"] for line in found["lineItems"]] == ["1", "2", "9", "10"]


@pytest.mark.slow
@settings(deadline=None, max_examples=10)
@given(st.randoms(use_true_random=False))
def test_the_same_data_gives_the_same_bytes_whatever_the_files_order(chance: random.Random) -> None:
    """A later export with its rows in another order makes no order look changed."""
    orders = [order_text(number, notes=f"note {number}") for number in range(4)]
    lines = [line_text(number, line) for number in range(4) for line in (1, 2, 11)]
    fulfillments = [fulfillment_text(number) for number in range(4)]

    def written() -> set[tuple[str, str, str]]:
        accepted = checked(orders, lines, fulfillments).accepted
        sent = order_payloads(accepted["orders"], accepted["line_items"], STORE_ID)
        dispatched = fulfillment_payloads(accepted["fulfillments"])
        columns = ["source_order_id", "payload", "payload_hash"]
        return {*sent.select(columns).iter_rows(), *dispatched.select(columns).iter_rows()}

    before = written()
    for rows in (orders, lines, fulfillments):
        chance.shuffle(rows)
    assert written() == before


def test_different_spellings_of_the_same_value_give_the_same_bytes() -> None:
    """A spreadsheet that writes 27 for 27.00, or another program that writes UTC, changes nothing."""
    one = checked([order_text()])
    other = checked(
        [
            order_text(
                total_money="27",
                tax_money=" 2.0000",
                source_created_on="2026-11-20 17:30:00Z",
                customer_currency_code="usd",
            )
        ]
    )
    first, second = (
        order_payloads(each.accepted["orders"], each.accepted["line_items"], STORE_ID)["payload"].item()
        for each in (one, other)
    )
    assert first == second


CANCELLED = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
CANCELLATIONS = {
    "with a reason": ("fraud", '{"canceledReason":"fraud","sourceCanceledOn":"2026-11-21T08:00:00Z"}'),
    "without one": (None, '{"canceledReason":"not given","sourceCanceledOn":"2026-11-21T08:00:00Z"}'),
    "with a hostile one": (
        '"a",\n',
        '{"canceledReason":"\\"a\\",\\n","sourceCanceledOn":"2026-11-21T08:00:00Z"}',
    ),
}


@pytest.mark.parametrize(("reason", "body"), CANCELLATIONS.values(), ids=CANCELLATIONS.keys())
def test_a_cancelled_order_has_the_body_of_its_cancellation(reason: str | None, body: str) -> None:
    """Both of its fields are required, so that a missing reason is said to be missing."""
    order = order_row(source_canceled_on=CANCELLED, canceled_reason=reason)
    frame = order_payloads(orders_frame([order]), lines_frame([line_row()]), STORE_ID)
    assert frame["cancel_payload"].item() == body


def test_a_cancelled_order_has_its_content_without_the_cancellation_too() -> None:
    """It is what Corso has to hold before the DELETE: with the hash that an order has that was never cancelled."""
    cancelled = order_row(source_canceled_on=CANCELLED, canceled_reason="fraud")
    lines = lines_frame([line_row()])
    frame = order_payloads(orders_frame([cancelled]), lines, STORE_ID)
    still_open = order_payloads(orders_frame([order_row()]), lines, STORE_ID)
    assert frame.select("content", "content_hash").row(0) == still_open.select("payload", "payload_hash").row(
        0
    )
    assert still_open.select("content", "content_hash").row(0) == (None, None)


def test_an_order_that_is_not_cancelled_has_no_such_body() -> None:
    """A reason alone cancels nothing."""
    frame = order_payloads(
        orders_frame([order_row(canceled_reason="x")]), lines_frame([line_row()]), STORE_ID
    )
    assert frame["cancel_payload"].item() is None


def test_a_fulfillment_is_written_exactly_like_this() -> None:
    """The order's id is in the address of the request, not in its body."""
    row = dict.fromkeys(dtypes(FULFILLMENTS)) | {
        "source_order_id": "o-1", "source_fulfillment_id": "f-1", "fulfillment_location_id": Decimal(12),
        "tracking_info_url": "https://track.example.com/1?a=b&c", "delivered_on": CANCELLED, "file": "f.csv", "line": 2,
    }  # fmt: skip
    frame = fulfillment_payloads(pl.DataFrame([row], schema=dtypes(FULFILLMENTS), orient="row"))
    assert frame["payload"].item() == (
        '{"sourceFulfillmentId":"f-1","fulfillmentLocationId":12,'
        '"trackingInfoUrl":"https://track.example.com/1?a=b&c","deliveredOn":"2026-11-21T08:00:00Z"}'
    )
    assert decoded(frame["payload"].item()) == expected_of(row, dict(FULFILLMENT_PATHS))


def test_an_empty_batch_has_no_payloads() -> None:
    """A night without orders is a night."""
    assert order_payloads(orders_frame([]), lines_frame([]), STORE_ID).is_empty()
    assert fulfillment_payloads(pl.DataFrame(schema=dtypes(FULFILLMENTS))).is_empty()
