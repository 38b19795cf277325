"""Bodies of requests, complete and right; a test changes the part that it is about."""

import itertools
from typing import Any

_numbers = itertools.count(1)

Json = dict[str, Any]


def unique(prefix: str) -> str:
    """Return an id that no other test uses."""
    return f"{prefix}-{next(_numbers)}"


def an_address(**changes: Any) -> Json:
    """Make an address."""
    address = {
        "name": "Ada Example",
        "line1": "1 Main Street",
        "city": "Springfield",
        "stateOrProvinceCode": "IL",
        "postalCode": "62701",
        "countryCode": "US",
    }
    return address | changes


def a_customer(**changes: Any) -> Json:
    """Make a customer."""
    customer = {
        "sourceCustomerId": "customer-1",
        "firstName": "Ada",
        "lastName": "Example",
        "email": "ada@example.com",
        "phone": "+12125550123",
    }
    return customer | changes


def a_line_item(**changes: Any) -> Json:
    """Make a line item."""
    line_item = {
        "sourceLineItemId": unique("line"),
        "name": "A thing",
        "quantity": 2,
        "sku": "THING-1",
        "tax": 1.25,
        "price": 19.99,
        "productId": "product-1",
        "variantId": "variant-1",
        "options": [{"name": "size", "value": "L"}],
    }
    return line_item | changes


def an_order(**changes: Any) -> Json:
    """Make an order."""
    source_order_id = unique("order")
    order = {
        "storeId": 9359,
        "sourceOrderId": source_order_id,
        "orderNumber": source_order_id.removeprefix("order-"),
        "orderName": f"#{source_order_id}",
        "isShippingProtected": True,
        "customer": a_customer(),
        "lineItems": [a_line_item()],
        "sourceCreatedOn": "2024-03-01T10:00:00-05:00",
        "sourceUpdatedOn": "2024-03-02T10:00:00Z",
        "shippingMoney": 5,
        "subtotalMoney": 39.98,
        "taxMoney": 2.5,
        "totalMoney": 47.48,
        "billingAddress": an_address(),
        "shippingAddress": an_address(),
        "grams": 1200,
        "customerCurrencyCode": "USD",
    }
    return order | changes


def a_fulfillment(**changes: Any) -> Json:
    """Make a fulfillment."""
    fulfillment = {
        "sourceFulfillmentId": unique("fulfillment"),
        "fulfillmentLocationId": 12,
        "shippingWeightGrams": 1200,
        "trackingInfoCompany": "A Carrier",
        "trackingInfoNumber": "1Z999",
        "trackingInfoUrl": "https://carrier.example.com/track/1Z999",
        "shipmentStatus": "in_transit",
        "sourceCreatedOn": "2024-03-02T10:00:00Z",
    }
    return fulfillment | changes


def a_cancellation(**changes: Any) -> Json:
    """Make the body of a cancellation."""
    return {"canceledReason": "customer", "sourceCanceledOn": "2024-03-05T10:00:00Z"} | changes


def without(body: Json, path: str) -> Json:
    """Return the body without the field at a dotted path; `0` stands for the first of a list."""
    name, _, rest = path.partition(".")
    if not rest:
        return {key: value for key, value in body.items() if key != name}
    return body | {name: _inside(body[name], rest, None, remove=True)}


def having(body: Json, path: str, value: Any) -> Json:
    """Return the body with another value at a dotted path; `0` stands for the first of a list."""
    name, _, rest = path.partition(".")
    return body | {name: _inside(body.get(name), rest, value, remove=False) if rest else value}


def _inside(part: Any, path: str, value: Any, *, remove: bool) -> Any:
    if path.startswith("0."):
        first = without(part[0], path[2:]) if remove else having(part[0], path[2:], value)
        return [first, *part[1:]]
    return without(part, path) if remove else having(part, path, value)
