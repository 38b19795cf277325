"""Corso's order and fulfillment as pydantic models, for the two tools that validate with pydantic."""

from decimal import Decimal
from typing import Annotated, Any, Self

import pycountry
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

STORE_ID = 9359

_COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)
_CURRENCIES = frozenset(currency.alpha_3 for currency in pycountry.currencies)


def _country(code: str) -> str:
    if code not in _COUNTRIES:
        message = "is not an ISO 3166-1 alpha-2 country code"
        raise ValueError(message)
    return code


def _currency(code: str) -> str:
    if code not in _CURRENCIES:
        message = "is not an ISO 4217 currency code"
        raise ValueError(message)
    return code


_AS_NUMBER = PlainSerializer(float, return_type=float, when_used="json")
Money = Annotated[Decimal, Field(decimal_places=4), _AS_NUMBER]
Number = Annotated[Decimal, Field(decimal_places=10), _AS_NUMBER]
Country = Annotated[str, AfterValidator(_country)]
Currency = Annotated[str, AfterValidator(_currency)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{1,14}$")]


class Model(BaseModel):
    """What all have in common: columns in snake case, Corso's fields in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=False)


class Customer(Model):
    """Who bought."""

    source_customer_id: str
    first_name: str
    last_name: str
    email: str | None = None
    phone: Phone | None = None

    @model_validator(mode="after")
    def can_be_reached(self) -> Self:
        """Need one way to reach them."""
        if self.email is None and self.phone is None:
            message = "email and phone are both missing"
            raise ValueError(message)
        return self


class Address(Model):
    """Where to."""

    line1: str
    line2: str | None = None
    city: str
    state_or_province_code: str
    postal_code: str
    country_code: Country
    name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    latitude: Number | None = None
    longitude: Number | None = None


class Option(Model):
    """What was chosen of a product."""

    name: str
    value: str


class LineItem(Model):
    """One line of an order."""

    source_line_item_id: str
    name: str
    quantity: Number
    sku: str
    tax: Money
    price: Money
    product_id: str | None = None
    variant_id: str | None = None
    vendor: str | None = None
    img_url: str | None = None
    options: Json[list[Option]] | None = None
    source_canceled_on: AwareDatetime | None = None


class Order(Model):
    """One order as Corso takes it."""

    store_id: int = STORE_ID
    source_order_id: str
    order_number: str | None = None
    order_name: str | None = None
    currency_conversion_rate: Number | None = None
    is_shipping_protected: bool | None = None
    customer: Customer | None = None
    source_created_on: AwareDatetime | None = None
    source_updated_on: AwareDatetime | None = None
    source_canceled_on: AwareDatetime | None = None
    shipping_money: Money
    subtotal_money: Money
    tax_money: Money
    total_money: Money
    billing_address: Address
    shipping_address: Address
    grams: Number | None = None
    shipping_title: str | None = None
    canceled_reason: str | None = None
    notes: str | None = None
    channel: str | None = None
    channel_id: str | None = None
    customer_currency_code: Currency | None = None
    line_items: Annotated[list[LineItem], Field(min_length=1)]

    @model_validator(mode="after")
    def money_adds_up(self) -> Self:
        """Corso refuses an order whose total is another."""
        if self.total_money != self.shipping_money + self.subtotal_money + self.tax_money:
            message = "total_money is not shipping_money + subtotal_money + tax_money"
            raise ValueError(message)
        return self


class Fulfillment(Model):
    """One dispatch."""

    source_fulfillment_id: str
    fulfillment_location_id: Number
    shipping_weight_grams: Number | None = None
    tracking_info_company: str | None = None
    tracking_info_number: str | None = None
    tracking_info_url: str | None = None
    shipment_status: str | None = None
    delivered_on: AwareDatetime | None = None
    estimated_delivery_on: AwareDatetime | None = None
    in_transit_on: AwareDatetime | None = None
    source_created_on: AwareDatetime | None = None


_NESTED = {
    f"{outer}_{inner}": (outer, inner)
    for outer, model in (("customer", Customer), ("billing_address", Address), ("shipping_address", Address))
    for inner in model.model_fields
}
"""Column of the export -> where it goes."""


def nested(row: dict[str, str]) -> dict[str, Any]:
    """Put the columns of a customer and of the addresses into objects of their own; leave out what is empty."""
    order: dict[str, Any] = {}
    for column, value in row.items():
        if value:
            if column in _NESTED:
                outer, inner = _NESTED[column]
                order.setdefault(outer, {})[inner] = value
            else:
                order[column] = value
    return order


def filled(row: dict[str, str]) -> dict[str, str]:
    """Leave out what is empty."""
    return {column: value for column, value in row.items() if value}
