"""The profile `tiktok` over its sample, over headers and amounts of its own, and over a real export where it is."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from export_factories import csv_text, mapped
from profile_samples import EXAMPLES, Loaded, load_example, load_sample, needs_examples, records

ADDRESS = {"orders.billing_address": "{shipping_address}"}
DESCRIPTION = {"Order ID": "Platform unique order ID.", "SKU ID": "Platform SKU ID."}


def order_row(**changes: str | None) -> dict[str, str | None]:
    """Return a row of an order in the columns of all markets."""
    row: dict[str, str | None] = {
        "Order ID": "577000000000000001\t", "SKU ID": "1729\t", "Seller SKU": "MUG", "Product Name": "Blue mug",
        "Variation": "Default", "Quantity": "1", "SKU Unit Original Price": "$20.00",
        "SKU Subtotal Before Discount": "$20.00", "SKU Platform Discount": "$0.00", "SKU Seller Discount": "$0.00",
        "SKU Subtotal After Discount": "$20.00", "Shipping Fee After Discount": "$5.00",
        "Original Shipping Fee": "$5.00", "Shipping Fee Seller Discount": "$0.00",
        "Shipping Fee Platform Discount": "$0.00", "Taxes": "$2.00", "Order Amount": "$27.00",
        "Created Time": "09/22/2026 10:15:30 PM\t", "Cancelled Time": "\t", "Shipped Time": "\t",
        "Tracking ID": "\t", "Recipient": "Ann Lee", "Phone #": "(+1)2025550101", "Country": "United States",
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/tiktok."""
    return load_sample("tiktok", tmp_path_factory.mktemp("tiktok"))


def test_the_sample_is_accepted_but_for_the_wrong_total(sample: Loaded) -> None:
    """Four of five orders, all of them with the billing address that TikTok does not export."""
    assert sample.accepted_orders == [f"57700000000000000{number}" for number in range(1, 5)]
    assert sample.problems() == {("577000000000000005", "money_adds_up", "total_money")}
    assert sample.uses() == {"orders.billing_address": 4}


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("577000000000000001", ("58.54", "0", "3.66", "62.20")),  # 7.20 off two SKUs, shipping paid by TikTok
        ("577000000000000002", ("86.99", "6.00", "7.42", "100.41")),  # a payment discount, Colorado's fee
        ("577000000000000003", ("14.50", "0", "1.36", "15.86")),
        ("577000000000000004", ("1261.75", "0", "0", "1261.75")),
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """The order's own amounts stand on each of its rows, and count once."""
    assert sample.money(order) == tuple(map(Decimal, amounts))
    assert sum(tax for (tax,) in sample.lines(order, "tax")) == Decimal(amounts[2])


def test_what_was_moved_is_reported(sample: Loaded) -> None:
    """Who paid for a discount is told apart."""
    assert sample.moved() == {
        ("seller discount", "subtotal", "USD"): Decimal("-2.40"),
        ("TikTok discount", "subtotal", "USD"): Decimal("-4.80"),
        ("payment discount", "subtotal", "USD"): Decimal("-2.00"),
        ("seller shipping discount", "shipping", "USD"): Decimal("-12.95"),
        ("TikTok shipping discount", "shipping", "USD"): Decimal("-4.99"),
        ("retail delivery fee", "tax", "USD"): Decimal("0.29"),
        ("refund", "nothing", "USD"): Decimal("-15.86"),
        ("tax shared out over lines", "lines", "USD"): Decimal("12.44"),
    }


def test_lines_have_the_skus_that_tiktok_and_the_seller_have(sample: Loaded) -> None:
    """18 digits and more stay digits; the variation is part of the name where there is one."""
    columns = ("source_line_item_id", "variant_id", "sku", "name", "quantity", "price")
    assert sample.lines("577000000000000001", *columns) == [
        ("1729500000000000001", "1729500000000000001", "TEE-M", "T-shirt “Größe” - Black, M", 2, Decimal("23.99")),
        ("1729500000000000002", "1729500000000000002", "TEA-100", "Green tea 🍵 100 g", 2, Decimal("8.88")),
    ]  # fmt: skip
    assert sample.lines("577000000000000004", "sku", "price") == [
        ("RUG-L", Decimal("1249.00")),
        ("0070123", Decimal("12.75")),
    ]


def test_an_order_has_its_buyer_and_its_address(sample: Loaded) -> None:
    """The state by its code, the zip with its zero, the phone without brackets."""
    order = sample.order("577000000000000001")
    wanted = {
        "customer_source_customer_id": "maplefan22", "customer_first_name": "Ann", "customer_last_name": "Lee",
        "customer_phone": "+12025550101", "shipping_address_line1": "12 Harbor St", "shipping_address_line2": "Apt 4",
        "shipping_address_state_or_province_code": "MA", "shipping_address_postal_code": "02101",
        "shipping_address_country_code": "US", "notes": "Love this! 🔔", "channel": "TikTok Shop",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-09-22T14:15:30+00:00"


def test_a_cancelled_order_says_when_and_why(sample: Loaded) -> None:
    """Its refund changes none of its amounts."""
    order = sample.order("577000000000000003")
    assert order["source_canceled_on"].isoformat() == "2026-09-22T22:00:00+00:00"
    assert order["canceled_reason"] == "No longer needed"
    assert "source_canceled_on" not in sample.order("577000000000000001")


CANCELLED: dict[str, str | None] = {
    "Cancelled Time": "09/22/2026 06:00:00 PM\t",
    "Cancel Reason": "Out of stock",
}
SKUS: dict[str, tuple[list[bool], bool]] = {
    "all": ([True, True], True),
    "the first": ([True, False], False),
    "the last": ([False, True], False),
    "none": ([False, False], False),
}


@pytest.mark.parametrize(("cancelled", "is_whole"), SKUS.values(), ids=SKUS.keys())
def test_an_order_is_cancelled_where_all_of_its_skus_are(
    tmp_path: Path, cancelled: list[bool], is_whole: bool
) -> None:
    """Each row says it of its own SKU, whose line is cancelled, wherever it stands."""
    rows = [order_row(**{"SKU ID": f"{n}"} | (CANCELLED if each else {})) for n, each in enumerate(cancelled)]
    tables = mapped(tmp_path, "tiktok", orders=csv_text(rows))
    at, reason = "2026-09-22T18:00:00.000000", "Out of stock"
    assert tables["orders"].select("source_canceled_on", "canceled_reason").rows() == [
        (at, reason) if is_whole else (None, None)
    ]
    lines = tables["line_items"]["source_canceled_on"].str.strip_chars()
    assert lines.to_list() == [at if each else "" for each in cancelled]


def test_each_package_is_a_fulfillment(sample: Loaded) -> None:
    """Two SKUs in one, one SKU in each of two; an order that waits has none."""
    columns = ("source_fulfillment_id", "tracking_info_number", "shipment_status", "fulfillment_location_id")
    assert sample.fulfillments("577000000000000001", *columns) == [
        ("1157000000000000001", "1Z999AA10160000001", "delivered", 12)
    ]
    assert sample.fulfillments("577000000000000004", *columns) == [
        ("1157000000000000004", "770000000001", "in_transit", 12),
        ("1157000000000000005", "770000000002", "in_transit", 14),
    ]
    assert len(sample.checked.accepted["fulfillments"]) == 4


@pytest.mark.parametrize("description", [[], [DESCRIPTION]])
def test_the_row_that_describes_the_columns_is_no_order(
    tmp_path: Path, description: list[dict[str, str | None]]
) -> None:
    """And where a file has none, its first order is none either."""
    tables = mapped(
        tmp_path, "tiktok", orders=csv_text([order_row(), *description, order_row(**{"Order ID": "2\t"})])
    )
    assert tables["orders"]["source_order_id"].to_list() == ["577000000000000001", "2"]


MONEY: dict[str, tuple[dict[str, str | None], tuple[str, str, str | None]]] = {
    "as it is": ({}, ("20.0000", "5.0000", "2.0000")),
    "tax inside": ({"Order Amount": "£25.00"}, ("18.0000", "5.0000", "2.0000")),
    "no column of taxes": ({"Taxes": None, "Order Amount": "£25.00"}, ("20.0000", "5.0000", None)),
    "paid with both": ({"SKU Platform Discount": "$3", "SKU Seller Discount": "$1", "Order Amount": "$23.00"}, ("16.0000", "5.0000", "2.0000")),
    "shared shipping": ({"Co-Funded Shipping Fee Discount": "$5.00", "Order Amount": "$22.00"}, ("20.0000", "0.0000", "2.0000")),
    "fees": ({"Small Order Fee": "$1.00", "Handling Fee": "$0.50", "Shipping Insurance": "$0.25", "Order Amount": "$28.75"}, ("20.0000", "6.7500", "2.0000")),
    "thousands": ({"SKU Subtotal Before Discount": "$1,020.00", "Order Amount": "$1,027.00"}, ("1020.0000", "5.0000", "2.0000")),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "amounts"), MONEY.values(), ids=MONEY.keys())
def test_each_amount_goes_where_the_page_says(
    tmp_path: Path, changes: dict[str, Any], amounts: tuple[str, str, str | None]
) -> None:
    """A decimal comma or a foreign market's words need a profile of their own."""
    order = mapped(tmp_path, "tiktok", orders=csv_text([order_row(**changes)]))["orders"]
    assert order.select("subtotal_money", "shipping_money", "tax_money").row(0) == amounts


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("09/22/2026 10:15:30 PM\t", "2026-09-22T22:15:30.000000"),
        ("22/09/2026 22:15:30\t", "2026-09-22T22:15:30.000000"),
        ("09/08/2026 12:15:30 AM", "2026-09-08T00:15:30.000000"),
        ("09/08/2026 12:15:30", "2026-08-09T12:15:30.000000"),
    ],
)
def test_dates_of_both_markets_are_told_by_their_clock(tmp_path: Path, text: str, read: str) -> None:
    """The United States have AM and PM, and the month first."""
    order = mapped(tmp_path, "tiktok", orders=csv_text([order_row(**{"Created Time": text})]))["orders"]
    assert order["source_created_on"].to_list() == [read]


def test_newer_headers_are_read(tmp_path: Path) -> None:
    """Address lines, a buyer's nickname, one l in canceled; and a house number of its own."""
    row = order_row() | {
        "Canceled Time": "09/23/2026 08:00:00 AM", "Cancel Reason": "Out of stock", "Address Line 1": "High St",
        "House Name or Number": "12", "Address Line 2": "Flat 2", "Buyer Nickname": "ann", "Buyer Message": "\t",
        "Seller Note": "fragile",
    }  # fmt: skip
    row.pop("Cancelled Time")
    order = mapped(tmp_path, "tiktok", orders=csv_text([row]))["orders"].row(0, named=True)
    wanted = {
        "source_canceled_on": "2026-09-23T08:00:00.000000", "canceled_reason": "Out of stock",
        "shipping_address_line1": "12 High St", "shipping_address_line2": "Flat 2",
        "customer_source_customer_id": "ann", "notes": "fragile",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted


@needs_examples
@pytest.mark.parametrize(
    ("fallbacks", "accepted", "rules"),
    [({}, 0, 6), (ADDRESS, 3, 1)],
)
def test_a_real_export_is_read_whole(
    tmp_path: Path, fallbacks: dict[str, str], accepted: int, rules: int
) -> None:
    """Four orders below a row of descriptions; the one with the quantity abc is quarantined for it."""
    path = "tiktok-orders/tiktok-orders.csv"
    found = load_example("tiktok", {"orders": path}, tmp_path, fallbacks=fallbacks)
    assert {name: len(rows) for name, rows in found.raw.items()} == {
        "orders": 4, "line_items": 4, "fulfillments": 0,
    }  # fmt: skip
    assert len(found.accepted_orders) == accepted
    assert len({rule for _, rule, _ in found.problems()}) == rules
    assert ("576912345678901004", "quantity_can_be_read", "quantity") in found.problems()
    assert len(found.lines_read(path)) == records(EXAMPLES / path) - 2
    if accepted:
        assert found.money("576912345678901002") == tuple(map(Decimal, ("41.38", "0", "3.56", "44.94")))
        assert found.order("576912345678901003")["canceled_reason"] == "Changed mind"
