"""Every documented rule about a body is enforced, and every problem of a body is named at once."""

import httpx
import pytest

from tests.sandbox.bodies import (
    Json,
    a_cancellation,
    a_customer,
    a_fulfillment,
    a_line_item,
    an_order,
    having,
    without,
)

REQUIRED_OF_AN_ORDER = [
    "storeId",
    "sourceOrderId",
    "lineItems",
    "shippingMoney",
    "subtotalMoney",
    "taxMoney",
    "totalMoney",
    "billingAddress",
    "shippingAddress",
    "customer.sourceCustomerId",
    "customer.firstName",
    "customer.lastName",
    "lineItems.0.sourceLineItemId",
    "lineItems.0.name",
    "lineItems.0.quantity",
    "lineItems.0.sku",
    "lineItems.0.tax",
    "lineItems.0.price",
    *(
        f"{address}.{field}"
        for address in ("billingAddress", "shippingAddress")
        for field in ("line1", "city", "stateOrProvinceCode", "postalCode", "countryCode")
    ),
]


def refused_paths(answer: httpx.Response) -> list[str]:
    """Return the paths of a 400's problems."""
    assert answer.status_code == 400, answer.text
    return [problem["path"] for problem in answer.json()["error"]["problems"]]


def as_answered(path: str) -> str:
    """Spell a path of these tests as an answer does."""
    return path.replace(".0.", "[0].")


@pytest.mark.parametrize("path", REQUIRED_OF_AN_ORDER)
def test_an_order_without_a_required_field_is_refused(api: httpx.Client, path: str):
    """The 400 names exactly the field that is missing."""
    answer = api.post("/orders", json=without(an_order(), path))
    assert refused_paths(answer) == [as_answered(path)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("storeId", "9359"),
        ("sourceOrderId", 1001),
        ("sourceOrderId", ""),
        ("orderNumber", 7),
        ("isShippingProtected", "true"),
        ("isShippingProtected", 1),
        ("currencyConversionRate", "1.1"),
        ("customer", "Ada"),
        ("customer", None),
        ("customer.phone", "212-555-0123"),
        ("customer.phone", "+0123456"),
        ("customer.phone", "+1234567890123456"),
        ("customer.phone", "+12125550123\n"),
        ("lineItems", []),
        ("lineItems", {}),
        ("lineItems.0.quantity", "2"),
        ("lineItems.0.price", True),
        ("lineItems.0.options", "L"),
        ("sourceCreatedOn", "2024-03-01T10:00:00"),
        ("sourceCreatedOn", "2024-03-01"),
        ("sourceCreatedOn", "2024-03-01 10:00:00Z"),
        ("sourceCreatedOn", "2023-02-29T10:00:00Z"),
        ("sourceCreatedOn", "2024-03-01T24:00:00Z"),
        ("sourceCreatedOn", "2024-03-01T10:00:00+0500"),
        ("sourceUpdatedOn", 1709300000),
        ("lineItems.0.sourceCanceledOn", "yesterday"),
        ("billingAddress.countryCode", "us"),
        ("shippingAddress.countryCode", "USA"),
        ("shippingAddress.latitude", "40.7"),
        ("customerCurrencyCode", "usd"),
        ("customerCurrencyCode", "US"),
        ("grams", "1200"),
        ("notes", 5),
        ("notes", None),
    ],
)
def test_an_order_with_a_wrong_value_is_refused(api: httpx.Client, path: str, value: object):
    """The 400 names exactly the field whose type or form is wrong."""
    answer = api.post("/orders", json=having(an_order(), path, value))
    assert refused_paths(answer) == [as_answered(path)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sourceCreatedOn", "2024-02-29T23:59:59.123456789-11:30"),
        ("sourceCreatedOn", "2016-12-31T23:59:60Z"),
        ("sourceCreatedOn", "2024-03-01t10:00:00z"),
        ("lineItems.0.quantity", -1),
        ("lineItems.0.price", -19.99),
        ("lineItems.0.sku", ""),
        ("customer.phone", "+442071838750"),
        ("notes", "<b>=cmd()</b>\x00\u202eemoji \U0001f600"),
        ("shippingAddress.latitude", 40.7128),
    ],
)
def test_a_lawful_oddity_is_accepted_and_answered_as_it_was_sent(api: httpx.Client, path: str, value: object):
    """History breaks business rules lawfully; only what is documented is refused."""
    order = having(an_order(), path, value)
    answer = api.post("/orders", json=order)
    assert answer.status_code == 201, answer.text
    assert having(answer.json(), path, value) == answer.json()


def test_all_problems_are_named_at_once(api: httpx.Client):
    """An engineer hears of everything that is wrong with an order in one answer."""
    order = without(an_order(customerCurrencyCode="usd", totalMoney=1), "sourceOrderId")
    order = having(order, "lineItems.0.price", "free")
    order["lineItems"].append(without(a_line_item(), "sku"))
    assert sorted(refused_paths(api.post("/orders", json=order))) == [
        "customerCurrencyCode",
        "lineItems[0].price",
        "lineItems[1].sku",
        "sourceOrderId",
        "totalMoney",
    ]


@pytest.mark.parametrize("kept", ["email", "phone"])
def test_a_customer_needs_only_one_of_email_and_phone(api: httpx.Client, kept: str):
    """Either is enough."""
    dropped = {"email": "phone", "phone": "email"}[kept]
    answer = api.post("/orders", json=an_order(customer=without(a_customer(), dropped)))
    assert answer.status_code == 201


def test_a_customer_without_email_and_phone_is_refused(api: httpx.Client):
    """At least one of the two is required."""
    customer = without(without(a_customer(), "email"), "phone")
    assert refused_paths(api.post("/orders", json=an_order(customer=customer))) == ["customer"]


def test_an_order_needs_no_customer(api: httpx.Client):
    """The object is optional."""
    assert api.post("/orders", json=without(an_order(), "customer")).status_code == 201


@pytest.mark.parametrize(
    ("shipping", "subtotal", "tax", "total", "status"),
    [
        ("0.1", "0.2", "0.00", "0.3", 201),
        ("0.10", "0.20", "0", "0.300", 201),
        ("0", "0", "0", "0", 201),
        ("-5.00", "3.00", "0", "-2", 201),
        ("1e2", "0.5", "0.5", "101", 201),
        ("0.1", "0.2", "0", "0.30000000000000004", 400),
        ("0.1", "0.2", "0", "0.31", 400),
        ("1", "0", "0", "1.0000000000000000000000000000000000000000000000000001", 400),
        ("0.00000000000000000001", "100000000000000", "0", "100000000000000.00000000000000000001", 201),
    ],
)
def test_the_total_is_the_exact_sum(
    api: httpx.Client, shipping: str, subtotal: str, tax: str, total: str, status: int
):
    """The sum is exact in decimals; what binary floats make of it plays no part."""
    order = an_order(shippingMoney="@1", subtotalMoney="@2", taxMoney="@3", totalMoney="@4")
    answer = post_with_numbers(api, order, {"@1": shipping, "@2": subtotal, "@3": tax, "@4": total})
    assert answer.status_code == status, answer.text
    if status == 400:
        assert refused_paths(answer) == ["totalMoney"]


@pytest.mark.parametrize(
    "number", ["129.53", "129.50", "1E+2", "1e2", "-0", "0.1000", "12345678901234.56789", "5e-324"]
)
def test_a_number_is_answered_with_the_text_it_was_sent_in(api: httpx.Client, number: str):
    """129.53 never becomes 129.53000000000001: not in the answer to the create, nor when it is read later."""
    order = an_order(currencyConversionRate="@1")
    order["lineItems"][0]["price"] = "@2"
    created = post_with_numbers(api, order, {"@1": number, "@2": number})
    assert created.status_code == 201, created.text
    read = api.get(f"/orders/{created.json()['orderId']}")
    for answer in (created, read):
        assert f'"currencyConversionRate":{number},' in answer.text
        assert f'"price":{number},' in answer.text


@pytest.mark.parametrize(
    "number",
    ["1000000000000001", "1e400", "1e-401", "NaN", "Infinity", "-Infinity", "01", "1e99999999999999999999"],
)
def test_a_number_that_no_order_can_hold_is_refused(api: httpx.Client, number: str):
    """Out of range, or no JSON number at all: 400, never a 500."""
    answer = post_with_numbers(api, an_order(currencyConversionRate="@1"), {"@1": number})
    assert answer.status_code == 400


def post_with_numbers(api: httpx.Client, order: Json, numbers: dict[str, str]) -> httpx.Response:
    """Create an order in whose JSON every placeholder is replaced by the text of a number."""
    body = httpx.Request("POST", "http://unused", json=order).content.decode()
    for placeholder, number in numbers.items():
        body = body.replace(f'"{placeholder}"', number)
    return api.post("/orders", content=body.encode(), headers={"content-type": "application/json"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b'{"a": 1,}', "malformed_json"),
        (b'{"sourceOrderId": "\xff"}', "malformed_json"),
        (b"[" * 100_000, "malformed_json"),
        (b"[]", "validation_failed"),
        (b"null", "validation_failed"),
        (b'"order"', "validation_failed"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(api: httpx.Client, body: bytes, code: str):
    """The error's code tells broken JSON from JSON of another shape."""
    answer = api.post("/orders", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_half_of_a_surrogate_pair_is_refused(api: httpx.Client):
    """JSON can spell text that no UTF-8 holds; it is a problem of its field, not of the server."""
    order = httpx.Request("POST", "http://unused", json=an_order(notes="@")).content
    body = order.replace(b'"@"', b'"\\ud800"')
    answer = api.post("/orders", content=body, headers={"content-type": "application/json"})
    assert refused_paths(answer) == ["notes"]


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
)
def test_a_body_of_another_type_is_refused(api: httpx.Client, content_type: str | None):
    """Only application/json is read."""
    body = httpx.Request("POST", "http://unused", json=an_order()).content
    headers = {"content-type": content_type} if content_type else {}
    answer = api.post("/orders", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "wrong_content_type")


def test_a_content_type_may_have_parameters_and_any_case(api: httpx.Client):
    """As HTTP has it."""
    body = httpx.Request("POST", "http://unused", json=an_order()).content
    answer = api.post("/orders", content=body, headers={"content-type": "Application/JSON; charset=utf-8"})
    assert answer.status_code == 201


@pytest.mark.slow
def test_a_body_over_ten_megabytes_is_refused(api: httpx.Client):
    """413, and the connection can be used on."""
    answer = api.post("/orders", json=an_order(notes="x" * 10_000_001))
    assert answer.status_code == 413
    assert api.post("/orders", json=an_order(notes="x" * 1_000_000)).status_code == 201


@pytest.mark.parametrize("path", ["sourceFulfillmentId", "fulfillmentLocationId"])
def test_a_fulfillment_without_a_required_field_is_refused(api: httpx.Client, path: str):
    """The 400 names exactly the field that is missing."""
    order_id = api.post("/orders", json=an_order()).json()["orderId"]
    answer = api.post(f"/orders/{order_id}/fulfillments", json=without(a_fulfillment(), path))
    assert refused_paths(answer) == [path]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("fulfillmentLocationId", "12"),
        ("trackingInfoUrl", "carrier.example.com"),
        ("deliveredOn", "2024-03-02T10:00:00"),
        ("estimatedDeliveryOn", "soon"),
        ("inTransitOn", 5),
        ("shipmentStatus", 1),
        ("sourceFulfillmentId", ""),
    ],
)
def test_a_fulfillment_with_a_wrong_value_is_refused(api: httpx.Client, path: str, value: object):
    """The 400 names exactly the field whose type or form is wrong."""
    order_id = api.post("/orders", json=an_order()).json()["orderId"]
    answer = api.post(f"/orders/{order_id}/fulfillments", json=having(a_fulfillment(), path, value))
    assert refused_paths(answer) == [path]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (without(a_cancellation(), "canceledReason"), "canceledReason"),
        (without(a_cancellation(), "sourceCanceledOn"), "sourceCanceledOn"),
        (a_cancellation(sourceCanceledOn="2024-03-05T10:00:00"), "sourceCanceledOn"),
    ],
)
def test_a_cancellation_needs_its_reason_and_its_time(api: httpx.Client, body: Json, path: str):
    """Both are required, and the order stays open when one is wrong."""
    order_id = api.post("/orders", json=an_order()).json()["orderId"]
    assert refused_paths(api.request("DELETE", f"/orders/{order_id}", json=body)) == [path]
    assert api.request("DELETE", f"/orders/{order_id}", json=a_cancellation()).status_code == 200
