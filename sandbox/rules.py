"""What the bodies of requests must hold: the fields and rules of Corso's reference, and nothing between the lines.

Orders of the past break business rules lawfully (negative lines, a total of zero), so no rule is added here
that the reference does not state, but for these, all assumed: identifiers and an e-mail address are not
empty, numbers stay below 10^15, and null is not a value. Server-assigned fields in a request are ignored.
"""

from decimal import Context
from typing import Any

from sandbox.readers import (
    Problem,
    Problems,
    Reader,
    boolean,
    date_time,
    list_of,
    number,
    object_of,
    optional,
    required,
    text,
    text_like,
)

EXACT = Context(prec=1000)
"""Wide enough that sums of numbers which `readers.number` lets through are never rounded."""

not_empty = text_like(r"(?s:.+)", "not empty")
phone = text_like(r"\+[1-9][0-9]{1,14}", "a phone number in E.164 form such as +12125550123")
country_code = text_like(r"[A-Z]{2}", "two upper-case letters (ISO 3166-1 alpha-2)")
currency_code = text_like(r"[A-Z]{3}", "three upper-case letters (ISO 4217)")
url = text_like(r"[A-Za-z][A-Za-z0-9+.\-]*://\S+", "a URL")


def _email_or_phone(given: dict[str, Any], _kept: dict[str, Any], path: str, problems: Problems) -> None:
    if "email" not in given and "phone" not in given:
        problems.append(Problem(path, "needs at least one of email and phone"))


def _total_is_the_sum(_given: dict[str, Any], kept: dict[str, Any], path: str, problems: Problems) -> None:
    """Hold totalMoney == shippingMoney + subtotalMoney + taxMoney, exactly (documented)."""
    amounts = ("totalMoney", "shippingMoney", "subtotalMoney", "taxMoney")
    if not kept.keys() >= set(amounts):
        return
    total, shipping, subtotal, tax = (kept[name] for name in amounts)
    wanted = EXACT.add(EXACT.add(shipping, subtotal), tax)
    if wanted != total:
        message = (
            f"must equal shippingMoney + subtotalMoney + taxMoney = {wanted}, but is {total.text}; "
            f"the difference is {EXACT.subtract(total, wanted)}"
        )
        problems.append(Problem(f"{path}.totalMoney" if path else "totalMoney", message))


read_address: Reader = object_of(
    {
        "name": optional(text),
        "firstName": optional(text),
        "lastName": optional(text),
        "line1": required(text),
        "line2": optional(text),
        "city": required(text),
        "stateOrProvinceCode": required(text),
        "postalCode": required(text),
        "countryCode": required(country_code),
        "latitude": optional(number),
        "longitude": optional(number),
    }
)

read_customer: Reader = object_of(
    {
        "sourceCustomerId": required(not_empty),
        "firstName": required(text),
        "lastName": required(text),
        "email": optional(not_empty),
        "phone": optional(phone),
    },
    _email_or_phone,
)

read_line_item: Reader = object_of(
    {
        "sourceLineItemId": required(not_empty),
        "name": required(text),
        "quantity": required(number),
        "sku": required(text),
        "tax": required(number),
        "price": required(number),
        # One page of the reference requires these two, another does not: a witness must not refuse history.
        "productId": optional(text),
        "variantId": optional(text),
        "vendor": optional(text),
        "imgUrl": optional(text),
        "options": optional(list_of(object_of({"name": required(text), "value": required(text)}))),
        "sourceCanceledOn": optional(date_time),
    }
)

read_order: Reader = object_of(
    {
        "storeId": required(number),
        "sourceOrderId": required(not_empty),
        "orderNumber": optional(text),
        "orderName": optional(text),
        "currencyConversionRate": optional(number),
        "isShippingProtected": optional(boolean),
        "customer": optional(read_customer),
        "lineItems": required(list_of(read_line_item, at_least=1)),
        "sourceCreatedOn": optional(date_time),
        "sourceUpdatedOn": optional(date_time),
        "sourceCanceledOn": optional(date_time),
        "shippingMoney": required(number),
        "subtotalMoney": required(number),
        "taxMoney": required(number),
        "totalMoney": required(number),
        "billingAddress": required(read_address),
        "shippingAddress": required(read_address),
        "grams": optional(number),
        "shippingTitle": optional(text),
        "canceledReason": optional(text),
        "notes": optional(text),
        "channel": optional(text),
        "channelId": optional(text),
        "customerCurrencyCode": optional(currency_code),
    },
    _total_is_the_sum,
)

read_fulfillment: Reader = object_of(
    {
        "sourceFulfillmentId": required(not_empty),
        "fulfillmentLocationId": required(number),
        "shippingWeightGrams": optional(number),
        "trackingInfoCompany": optional(text),
        "trackingInfoNumber": optional(text),
        "trackingInfoUrl": optional(url),
        "shipmentStatus": optional(text),
        "deliveredOn": optional(date_time),
        "estimatedDeliveryOn": optional(date_time),
        "inTransitOn": optional(date_time),
        "sourceCreatedOn": optional(date_time),
    }
)

read_cancellation: Reader = object_of(
    {"canceledReason": required(text), "sourceCanceledOn": required(date_time)}
)
