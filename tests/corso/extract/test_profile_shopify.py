"""The profile `shopify` over its sample, over headers of other years, and over real exports where they are."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from export_factories import csv_text, mapped
from profile_samples import EXAMPLES, Loaded, load_example, load_sample, needs_examples, records

CUSTOMER = {"orders.customer_source_customer_id": "{customer_email|lower}"}
SKU = {"line_items.sku": "{source_line_item_id}"}


def money(*amounts: str) -> tuple[Decimal, ...]:
    """Return amounts as decimals."""
    return tuple(map(Decimal, amounts))


def order_row(**changes: str | None) -> dict[str, str | None]:
    """Return one order in the few columns that exports of all years have."""
    row: dict[str, str | None] = {
        "Name": "#1", "Email": "ann@example.com", "Fulfilled at": None, "Currency": "USD", "Subtotal": "20.00",
        "Shipping": "5.00", "Taxes": "2.00", "Total": "27.00", "Created at": "2017-11-20 12:30:00 -0500",
        "Lineitem quantity": "2", "Lineitem name": "Blue mug", "Lineitem price": "10.00", "Lineitem sku": "MUG",
        "Billing Name": "Ann Lee", "Billing Street": "1 Main St", "Billing City": "Boston", "Billing Zip": "'02101",
        "Billing Province": "MA", "Billing Country": "US", "Billing Phone": "202-555-0123",
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/shopify."""
    return load_sample("shopify", tmp_path_factory.mktemp("shopify"))


def test_the_sample_is_accepted_but_for_the_destroyed_phone(sample: Loaded) -> None:
    """Five of six orders; the sixth's digits are gone, and nobody guesses them."""
    assert sample.accepted_orders == [f"590000000300{number}" for number in range(1, 6)]
    assert sample.problems() == {("5900000003006", "phone_is_e164", "customer_phone")}
    assert {name: len(rows) for name, rows in sample.checked.accepted.items()} == {
        "orders": 5, "line_items": 8, "fulfillments": 3,
    }  # fmt: skip


def test_an_order_has_the_values_of_its_first_row(sample: Loaded) -> None:
    """With the zero in front of its zip, and the phone without the apostrophe."""
    order = sample.order("5900000003001")
    wanted = {
        "order_name": "#3001", "order_number": "3001", "customer_email": "ann.lee@example.com",
        "customer_phone": "+12025550101", "customer_first_name": "Ann", "customer_last_name": "Lee",
        "customer_currency_code": "USD", "shipping_title": "Standard", "channel": "web",
        "billing_address_line1": "12 Harbor St", "billing_address_postal_code": "02101",
        "billing_address_state_or_province_code": "MA", "billing_address_country_code": "US",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-02-01T14:00:12+00:00"
    assert "source_canceled_on" not in order


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("5900000003001", ("29.00", "4.95", "1.81", "35.76")),
        ("5900000003002", ("51.25", "0", "0", "51.25")),  # after a discount of 5.69
        ("5900000003003", ("98.10", "11.90", "20.90", "130.90")),  # prices with tax
        ("5900000003005", ("41.73", "4.95", "11.55", "58.23")),  # with duties of 3.20
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """Corso's total is subtotal, shipping and tax, to the cent; and the lines' tax is the order's."""
    assert sample.money(order) == money(*amounts)
    assert sum(tax for (tax,) in sample.lines(order, "tax")) == Decimal(amounts[2])


def test_what_was_moved_is_reported(sample: Loaded) -> None:
    """Discounts and refunds change nothing, duties are tax."""
    assert sample.moved() == {
        ("discount", "nothing", "USD"): Decimal("-5.69"),
        ("duties", "tax", "USD"): Decimal("3.20"),
        ("refund", "nothing", "USD"): Decimal("-14.50"),
        ("tax inside the prices", "tax", "EUR"): Decimal("20.90"),
        ("tax shared out over lines", "lines", "USD"): Decimal("45.73"),
        ("tax shared out over lines", "lines", "EUR"): Decimal("20.90"),
    }


def test_lines_are_numbered_within_their_order(sample: Loaded) -> None:
    """Names and SKUs stay as they are, 0070123 too."""
    assert sample.lines("5900000003005", "source_line_item_id", "name", "sku", "vendor") == [
        ("#3005-1", "Red mug", "MUG-RED", "Clayworks"),
        ("#3005-2", "Candle", "0070123", "Lumen"),
        ("#3005-3", "Notebook", "#3005-3", "Leaf Ltd"),
    ]


def test_a_cancelled_order_is_loaded_as_cancelled(sample: Loaded) -> None:
    """With the time that Shopify has; the reason is not in the export."""
    order = sample.order("5900000003004")
    assert order["source_canceled_on"].isoformat() == "2026-04-15T08:30:00+00:00"
    assert order["canceled_reason"] == "cancelled"


def test_the_fallbacks_of_the_sample_are_all_needed(sample: Loaded) -> None:
    """They are those that the page recommends."""
    assert set(sample.uses()) == {use.fallback for use in sample.checked.fallbacks_used}


def test_an_export_of_long_ago_is_read(tmp_path: Path) -> None:
    """No Id, no Phone, no Address1, no tax columns: the name is the id then, and the street is the first line."""
    tables = mapped(tmp_path, "shopify", orders=csv_text([order_row()]))
    order = tables["orders"].row(0, named=True)
    assert order["source_order_id"] == "#1"
    assert order["billing_address_line1"] == "1 Main St"
    assert order["shipping_address_line1"] is None
    assert order["customer_phone"] is None


def test_the_billing_phone_reaches_a_buyer_without_an_email(tmp_path: Path) -> None:
    """It is typed as people type; where there is an e-mail it could only do harm."""
    rows = [
        order_row(Email=None, Phone=None),
        order_row(Phone=None),
        order_row(Email=None, Phone="'+12025550100"),
    ]
    tables = mapped(tmp_path, "shopify", orders=csv_text(rows))
    assert tables["orders"]["customer_phone"].to_list() == ["202-555-0123", None, "+12025550100"]


MONEY: dict[str, tuple[dict[str, str | None], tuple[str, str, str]]] = {
    "tax on top": ({}, ("20.0000", "5.00", "2.0000")),
    "tax inside": ({"Total": "25.00"}, ("18.0000", "5.00", "2.0000")),
    "neither": ({"Total": "26.00"}, ("20.0000", "5.00", "2.0000")),
    "a tip": ({"Tip": "3.00", "Total": "30.00"}, ("23.0000", "5.00", "2.0000")),
    "duties": ({"Duties": "1.50", "Total": "28.50"}, ("20.0000", "5.00", "3.5000")),
    "a discount": ({"Discount Amount": "4.00"}, ("20.0000", "5.00", "2.0000")),
    "tax free": ({"Taxes": "0.00", "Total": "25.00"}, ("20.0000", "5.00", "0.0000")),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "amounts"), MONEY.values(), ids=MONEY.keys())
def test_each_amount_goes_where_the_page_says(
    tmp_path: Path, changes: dict[str, Any], amounts: tuple[str, str, str]
) -> None:
    """What does not add up in either way is left as it is, for validation to refuse."""
    order = mapped(tmp_path, "shopify", orders=csv_text([order_row(**changes)]))["orders"]
    assert order.select("subtotal_money", "shipping_money", "tax_money").row(0) == amounts


def test_both_spellings_of_cancelled_are_known(tmp_path: Path) -> None:
    """American and British."""
    rows = [order_row(**{"Canceled at": "2017-11-21 08:00:00 -0500"})]
    order = mapped(tmp_path, "shopify", orders=csv_text(rows))["orders"].row(0, named=True)
    assert (order["source_canceled_on"], order["canceled_reason"]) == (
        "2017-11-21 08:00:00 -0500",
        "cancelled",
    )


@needs_examples
@pytest.mark.parametrize(
    ("path", "fallbacks", "counts", "accepted", "problems"),
    [
        ("shopify-admin-fake/shopify-orders-export.csv", {}, (3, 4, 0), 0, {"customer_source_customer_id_is_there"}),
        ("shopify-admin-fake/shopify-orders-export.csv", CUSTOMER, (3, 4, 0), 3, set()),
        ("shopify-admin-devstore/orders_export_1.csv", CUSTOMER, (2, 2, 2), 0, {"sku_is_there"}),
        ("shopify-admin-devstore/orders_export_1.csv", CUSTOMER | SKU, (2, 2, 2), 2, set()),
    ],
)  # fmt: skip
def test_real_exports_are_read_whole(
    tmp_path: Path,
    path: str,
    fallbacks: dict[str, str],
    counts: tuple[int, int, int],
    accepted: int,
    problems: set[str],
) -> None:
    """Every row is in a raw table; with the fallbacks of the page every order is accepted."""
    found = load_example("shopify", {"orders": path}, tmp_path, fallbacks=fallbacks)
    assert tuple(len(rows) for rows in found.raw.values()) == counts
    assert len(found.accepted_orders) == accepted
    assert {rule for _, rule, _ in found.problems()} == problems
    assert len(found.lines_read(path)) == records(EXAMPLES / path) - 1
