"""The profile `walmart` over its sample and over rows of its own. There is no real report among the examples."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from export_factories import csv_text, mapped
from profile_samples import SAMPLES, Loaded, load_sample, records

from corso.extract.profile import load_profile
from corso.extract.roles import missing_headers

OLDEST = [
    "PO#", "Order#", "Order Date", "Ship By", "Customer Name", "Customer Shipping Address", "Customer Phone Number",
    "Customer Email ID", "Ship to Address 1", "Ship to Address 2", "City", "State", "Zip", "FLIDS", "Line#", "UPC",
    "Status", "Item Description", "Shipping Method", "Qty", "SKU", "Item Cost", "Shipping Cost", "Tax",
    "Update Status", "Update Qty", "Carrier", "Tracking Number", "Tracking Url",
]  # fmt: skip


def line_row(number: int = 1, **changes: str | None) -> dict[str, str | None]:
    """Return a line of an order in the columns that reports of all years have."""
    row = dict.fromkeys(OLDEST) | {
        "PO#": "1", "Order#": "2", "Order Date": "2018-09-22", "Customer Name": "Ann Lee",
        "Customer Email ID": "ann@example.com", "Ship to Address 1": "1 Main St", "City": "Boston", "State": "MA",
        "Zip": "02101", "Line#": str(number), "Status": "Shipped", "Item Description": "Mug", "Qty": "1", "SKU": "MUG",
        "Item Cost": "10.00", "Shipping Cost": "0.0", "Tax": "0.80",
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/walmart."""
    return load_sample("walmart", tmp_path_factory.mktemp("walmart"))


def test_the_sample_is_accepted_but_for_the_destroyed_phone(sample: Loaded) -> None:
    """Five of six purchase orders, and every row is in a raw table; the phone would have been the customer's id, too."""
    assert sample.accepted_orders == [f"10890000000000{number}" for number in range(1, 6)]
    assert sample.problems() == {
        ("108900000000006", "phone_is_e164", "customer_phone"),
        ("108900000000006", "id_is_whole", "customer_source_customer_id"),
    }
    assert sample.uses() == {"orders.billing_address": 5, "orders.customer_source_customer_id": 5}
    assert len(sample.lines_read("orders.csv")) == records(SAMPLES / "walmart" / "orders.csv") - 1


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("108900000000001", ("60.73", "5.99", "3.80", "70.52")),  # two shirts and a candle
        ("108900000000002", ("89.99", "0", "5.62", "95.61")),
        ("108900000000004", ("1275.64", "12.95", "0", "1288.59")),
        ("108900000000005", ("0", "0", "0", "0")),  # a replacement
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """The report has no total: it is the sum of the order's lines, each its price times how many."""
    assert sample.money(order) == tuple(map(Decimal, amounts))


def test_an_order_is_a_purchase_order(sample: Loaded) -> None:
    """What the customer ordered at once may be several; the number they know is the order's number."""
    order, other = sample.order("108900000000001"), sample.order("108900000000002")
    assert order["order_number"] == other["order_number"] == "200012000000001"
    wanted = {
        "customer_first_name": "Ann", "customer_last_name": "Lee", "customer_phone": "+12025550101",
        "shipping_address_line1": "12 Harbor St", "shipping_address_line2": "Apt 4",
        "shipping_address_postal_code": "02101", "shipping_address_country_code": "US", "customer_currency_code": "USD",
        "shipping_title": "STANDARD", "channel": "Walmart",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-09-22T04:00:00+00:00"
    assert sample.order("108900000000005")["notes"] == "Replaces order 200012000000002"


def test_lines_have_the_price_of_one(sample: Loaded) -> None:
    """And the tax of all of their pieces."""
    columns = ("source_line_item_id", "name", "sku", "quantity", "price", "tax", "product_id")
    assert sample.lines("108900000000001", *columns) == [
        ("1", "T-shirt “Größe” - M", "TEE-M", 2, Decimal("23.99"), Decimal("3.00"), "000000012345"),
        ("2", "Candle", "0070123", 1, Decimal("12.75"), Decimal("0.80"), "000000067890"),
    ]


def test_an_order_is_cancelled_where_all_of_its_lines_are(sample: Loaded) -> None:
    """The report says no date of it: the order's stands in, and the reason says so."""
    order = sample.order("108900000000003")
    assert order["source_canceled_on"] == order["source_created_on"]
    assert order["canceled_reason"] == "cancelled; the report has no date of it"
    assert "source_canceled_on" not in sample.order("108900000000004")
    lines = sample.lines("108900000000004", "source_line_item_id", "source_canceled_on")
    assert [(number, at is None) for number, at in lines] == [("1", True), ("2", False)]


def test_lines_in_one_package_are_one_fulfillment(sample: Loaded) -> None:
    """Carrier, number and page of it; an order that was not sent has none."""
    columns = (
        "source_fulfillment_id",
        "tracking_info_company",
        "tracking_info_number",
        "tracking_info_url",
        "shipment_status",
    )
    assert sample.fulfillments("108900000000001", *columns) == [
        (
            "108900000000001-1Z999AA10170000001", "UPS", "1Z999AA10170000001",
            "https://track.example.com/1Z999AA10170000001", "delivered",
        )
    ]  # fmt: skip
    assert len(sample.checked.accepted["fulfillments"]) == 3


STATUSES: dict[str, tuple[list[str | None], bool]] = {
    "all cancelled": (["Cancelled", "Canceled"], True),
    "the first cancelled": (["Cancelled", "Shipped"], False),
    "the last cancelled": (["Shipped", "Cancelled"], False),
    "none cancelled": (["Created", "Acknowledged"], False),
    "one cancelled, one sent back": (["Cancelled", "Refunded"], False),
    "the first cancelled, one of a status that nobody knows": (["Cancelled", "In Transit"], False),
    "the first cancelled, one without a status": (["Cancelled", None], False),
}


@pytest.mark.parametrize(("statuses", "is_cancelled"), STATUSES.values(), ids=STATUSES.keys())
def test_one_cancelled_line_does_not_cancel_its_order(
    tmp_path: Path, statuses: list[str | None], is_cancelled: bool
) -> None:
    """Wherever it stands in the file; a status that the profile does not know is no cancellation."""
    rows = [line_row(number, Status=status) for number, status in enumerate(statuses, 1)]
    order = mapped(tmp_path, "walmart", orders=csv_text(rows))["orders"]
    for column in ("source_canceled_on", "canceled_reason"):
        assert (order[column].item() is not None) == is_cancelled


def test_a_line_that_is_not_cancelled_counts_without_a_quantity_too(tmp_path: Path) -> None:
    """The merchant's fallback may fill it."""
    rows = [line_row(1, Status="Cancelled"), line_row(2, Qty=None)]
    order = mapped(tmp_path, "walmart", orders=csv_text(rows))["orders"]
    assert order["source_canceled_on"].to_list() == [None]


@pytest.mark.parametrize(
    ("changes", "amounts"),
    [
        ({"Qty": "3"}, ("30.0000", "0.0000", "0.8000", "30.8000")),
        ({"Item Cost": "$1,010.00", "Shipping Cost": None}, ("1010.0000", "0", "0.8000", "1010.8000")),
        ({"Tax": None}, ("10.0000", "0.0000", None, "10.0000")),
        ({"Qty": "two"}, ("unreadable amount two", "0.0000", "0.8000", "unreadable amount two")),
        ({"Item Cost": None, "Shipping Cost": None}, (None, None, "0.8000", "0.8000")),
    ],
)
def test_amounts_are_those_of_the_lines(
    tmp_path: Path, changes: dict[str, Any], amounts: tuple[str | None, ...]
) -> None:
    """What is missing stays missing; shipping that costs nothing may be left empty."""
    order = mapped(tmp_path, "walmart", orders=csv_text([line_row(**changes)]))["orders"]
    assert order.select("subtotal_money", "shipping_money", "tax_money", "total_money").row(0) == amounts


def test_reports_of_all_years_are_known_by_their_headers(tmp_path: Path) -> None:
    """The oldest known has an e-mail; the sample has what was added since."""
    form = load_profile("walmart", tmp_path).files["orders"]
    assert missing_headers(form, OLDEST) == []
    order = mapped(tmp_path, "walmart", orders=csv_text([line_row()]))["orders"].row(0, named=True)
    assert order["customer_email"] == "ann@example.com"
