"""The canonical tables say what the API's contract says: the same fields, types and required ones."""

from pathlib import Path
from typing import Any

import pandera.polars as pa
import polars as pl
import pytest
import yaml

import schemas
from schemas.fields import FLAG, INSTANT, MONEY, NUMBER, OPTIONS, TEXT, api_paths, dtypes, empty_frame, snake
from schemas.fulfillments import FULFILLMENTS
from schemas.line_items import LINE_ITEMS
from schemas.orders import ORDERS

CONTRACT = yaml.safe_load((Path(schemas.__path__[0]) / "corso_api.yaml").read_text(encoding="utf-8"))
TABLES = [(ORDERS, "OrderInput"), (LINE_ITEMS, "LineItemInput"), (FULFILLMENTS, "FulfillmentInput")]
ELSEWHERE = {"storeId", "lineItems"}
"""storeId comes from loader.yaml, the line items from their own table."""


def component(name: str) -> dict[str, Any]:
    """Return a schema of the contract by its name."""
    found: dict[str, Any] = CONTRACT["components"]["schemas"][name]
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with what it refers to."""
    if "$ref" not in schema:
        return schema
    return {**resolved(component(schema["$ref"].rpartition("/")[2])), **schema}


def leaves(name: str) -> dict[str, dict[str, Any]]:
    """Return path -> schema of every field of an object, those of objects inside it among them."""
    found = {}
    for key, schema in component(name)["properties"].items():
        whole = resolved(schema)
        if whole.get("type") == "object":
            inner = whole["properties"]
            found |= {f"{key}.{below}": resolved(each) for below, each in inner.items()}
        else:
            found[key] = whole
    return found


def required(name: str) -> set[str]:
    """Return the paths without which an object is refused; those of an optional object do not count."""
    found = set()
    for key in component(name)["required"]:
        whole = resolved(component(name)["properties"][key])
        found |= {f"{key}.{below}" for below in whole["required"]} if "properties" in whole else {key}
    return found


@pytest.mark.parametrize(("table", "name"), TABLES)
def test_a_table_has_every_field_that_can_be_sent_and_no_other(table: pa.DataFrameSchema, name: str) -> None:
    """A field that the contract gains or loses is a column to add or to take away."""
    assert set(api_paths(table).values()) == set(leaves(name)) - ELSEWHERE


@pytest.mark.parametrize(("table", "name"), TABLES)
def test_required_columns_are_the_required_fields(table: pa.DataFrameSchema, name: str) -> None:
    """What Corso refuses a record without, validation refuses too, and nothing more."""
    needed = {path for column, path in api_paths(table).items() if not table.columns[column].nullable}
    assert needed == required(name) - ELSEWHERE


@pytest.mark.parametrize(("table", "name"), TABLES)
def test_a_column_has_the_type_of_its_field(table: pa.DataFrameSchema, name: str) -> None:
    """Money is declared as money, instants as instants; nothing is text that the API wants as a number."""
    fields = leaves(name)
    for column, path in api_paths(table).items():
        assert declared(fields[path]) == dtypes(table)[column], path


def declared(field: dict[str, Any]) -> pl.DataType:
    """Return the column type that a field's schema asks for."""
    if field["type"] == "string":
        return INSTANT if field.get("format") == "date-time" else TEXT
    if field["type"] == "number":
        return MONEY if field.get("examples") == component("Currency")["examples"] else NUMBER
    if field["type"] == "array":
        option = resolved(field["items"])
        assert set(option["properties"]) == set(option["required"]) == {"name", "value"}
        return OPTIONS
    assert field["type"] == "boolean"
    return FLAG


def test_a_customer_is_needed_whole_where_there_is_one() -> None:
    """The customer is optional, so its required fields are rules about the row."""
    customer = component("Customer")
    rules = {check.name for check in ORDERS.checks}
    for key in customer["required"]:
        assert f"customer_{snake(key)}_is_there" in rules
    assert {each["required"][0] for each in customer["anyOf"]} == {"email", "phone"}
    assert "customer_can_be_reached" in rules


def test_values_follow_the_contracts_patterns() -> None:
    """Where the contract has a pattern, the column has a rule; only the tracking URL's is the API's own business."""
    fields = leaves("OrderInput")
    patterned = {path for path, field in fields.items() if "pattern" in field}
    ruled = {path for column, path in api_paths(ORDERS).items() if ORDERS.columns[column].checks}
    assert patterned == ruled


@pytest.mark.parametrize("table", [ORDERS, LINE_ITEMS, FULFILLMENTS])
def test_every_column_has_its_line_of_documentation(table: pa.DataFrameSchema) -> None:
    """A column without a sentence is a riddle for the merchant."""
    assert [name for name, column in table.columns.items() if not column.description] == []


@pytest.mark.parametrize("table", [ORDERS, LINE_ITEMS, FULFILLMENTS])
def test_an_empty_table_satisfies_its_schema(table: pa.DataFrameSchema) -> None:
    """A batch without fulfillments is a batch."""
    table.validate(empty_frame(table))


@pytest.mark.parametrize(
    ("path", "column"),
    [
        ("sourceOrderId", "source_order_id"),
        ("billingAddress.line1", "billing_address_line1"),
        ("shippingAddress.stateOrProvinceCode", "shipping_address_state_or_province_code"),
        ("trackingInfoUrl", "tracking_info_url"),
        ("grams", "grams"),
    ],
)
def test_a_columns_name_is_its_api_path_in_snake_case(path: str, column: str) -> None:
    """Who knows the API knows the columns."""
    assert snake(path) == column
