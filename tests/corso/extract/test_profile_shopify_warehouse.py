"""The profile `shopify-warehouse` over its sample, over the older naming, and over real tables where they are."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from export_factories import csv_text, mapped
from profile_samples import EXAMPLES, Loaded, load_example, load_sample, needs_examples, records

ROLES = {
    "orders": "order.csv",
    "line_items": "order_line.csv",
    "tax_lines": "order_line_tax_line.csv",
    "shipping_lines": "order_shipping_line.csv",
    "customers": "customer.csv",
    "fulfillments": "fulfillment.csv",
    "tracking": "fulfillment_tracking_info.csv",
    "refunds": "refund.csv",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/shopify-warehouse."""
    return load_sample("shopify-warehouse", tmp_path_factory.mktemp("warehouse"))


def test_the_sample_is_accepted_but_for_the_wrong_total(sample: Loaded) -> None:
    """Five of six orders, without a fallback but that for countries without states."""
    assert sample.accepted_orders == [f"620000000510{number}" for number in range(1, 6)]
    assert sample.problems() == {("6200000005106", "money_adds_up", "total_money")}
    assert sample.uses() == {
        "orders.billing_address_state_or_province_code": 1,
        "orders.shipping_address_state_or_province_code": 1,
    }


def test_an_order_has_what_its_tables_say(sample: Loaded) -> None:
    """The customer from one, the shipping method from another; times are UTC."""
    order = sample.order("6200000005102")
    wanted = {
        "order_name": "#5102", "order_number": "5102", "customer_source_customer_id": "7100002",
        "customer_first_name": "Mary Jane", "customer_last_name": "O'Neill", "shipping_title": "Free shipping",
        "billing_address_line2": "Apt. 2, rear", "billing_address_postal_code": "04101",
        "customer_currency_code": "USD", "grams": 420, "channel": "web",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-03-14T03:31:00+00:00"


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("6200000005101", ("44.00", "4.95", "3.06", "52.01")),
        ("6200000005102", ("56.70", "0", "3.92", "60.62")),  # 6.30 off the goods, 7.00 off shipping
        (
            "6200000005103",
            ("98.10", "11.90", "20.90", "130.90"),
        ),  # paid in euros, counted in dollars, tax inside
        ("6200000005104", ("249.00", "12.95", "34.05", "296.00")),
        ("6200000005105", ("46.73", "4.95", "11.55", "63.23")),  # with a tip of 5.00 and duties of 3.20
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """In the shop's currency."""
    assert sample.money(order) == tuple(map(Decimal, amounts))


def test_what_was_moved_is_reported(sample: Loaded) -> None:
    """Discounts and refunds change nothing, tips are goods, duties are tax."""
    assert sample.moved() == {
        ("discount", "nothing", "USD"): Decimal("-13.30"),
        ("tip", "subtotal", "USD"): Decimal("5.00"),
        ("duties", "tax", "USD"): Decimal("3.20"),
        ("refund", "nothing", "USD"): Decimal("-14.50"),
        ("tax inside the prices", "tax", "USD"): Decimal("20.90"),
    }


def test_a_line_has_the_sum_of_its_taxes(sample: Loaded) -> None:
    """Two taxes are one, none is zero; ids are Shopify's own."""
    columns = ("source_line_item_id", "sku", "product_id", "variant_id", "quantity", "price", "tax")
    lines = sample.lines("6200000005101", *columns)
    assert lines == [
        ("9001", "MUG-BLUE", "8101", "9101", 2, Decimal("14.50"), Decimal("2.12")),
        ("9002", "0070123", "8107", "9109", 1, Decimal("15.00"), Decimal("0.94")),
    ]
    assert sample.lines("6200000005102", "name", "tax") == [
        ("T-shirt “Größe” - M", Decimal("3.92")),
        ("Gift card", Decimal(0)),
    ]


def test_a_cancelled_order_says_when_and_why(sample: Loaded) -> None:
    """And its fulfillment, which was cancelled too, is none."""
    order = sample.order("6200000005104")
    assert order["source_canceled_on"].isoformat() == "2026-04-15T08:30:00+00:00"
    assert order["canceled_reason"] == "INVENTORY"
    assert sample.fulfillments("6200000005104", "source_fulfillment_id") == []


def test_fulfillments_have_their_warehouse_and_tracking(sample: Loaded) -> None:
    """The warehouse by Shopify's number of it; tracking where there is some."""
    columns = ("source_fulfillment_id", "fulfillment_location_id", "tracking_info_number", "shipment_status")
    assert sample.fulfillments("6200000005105", *columns) == [
        ("5504", 12, "AB123456785GB", "delivered"),
        ("5505", 14, None, "fulfilled"),
    ]


def test_a_buyer_without_an_email_is_reached_by_phone(sample: Loaded) -> None:
    """The customer's own, else that of the billing address."""
    assert sample.order("6200000005105")["customer_phone"] == "+442079460105"
    assert "customer_phone" not in sample.order("6200000005104")


OLDER = {
    "orders": csv_text(
        [
            {
                "id": "1", "name": "#1001", "order_number": "1001", "number": "1", "created_at": "2021-03-02 14:05:09.000000",
                "currency": "USD", "total_price": "23.6", "subtotal_price": "20.0", "total_tax": "1.6",
                "total_discounts": "0.0", "customer_id": "7", "email": "ann@example.com", "total_shipping_price_set": "{}",
            },
            {
                "id": "2", "name": "#1002", "order_number": "1002", "number": "2", "created_at": "2021-03-02 14:05:09.000000",
                "currency": "USD", "total_price": "5.0", "subtotal_price": "5.0", "total_tax": "0.0",
            },
        ]
    ),
    "line_items": csv_text(
        [
            {"id": "11", "order_id": "1", "name": "Mug", "quantity": "2", "price": "10.0", "product_id": "8", "variant_id": "9"},
            {"id": "21", "order_id": "2", "name": "Pen", "quantity": "1", "price": "5.0"},
        ]
    ),
    "shipping_lines": csv_text([{"order_id": "1", "discounted_price": "2.0", "code": "Standard", "title": "Standard"}]),
    "tax_lines": csv_text([{"order_line_id": "11", "index": "0", "price": "1.6", "rate": "0.08"}]),
    "fulfillments": csv_text(
        [
            {"id": "31", "order_id": "1", "status": "success", "location_id": "6", "tracking_company": "UPS", "tracking_number": "T1", "shipment_status": "delivered"},
            {"id": "32", "order_id": "1", "status": "cancelled", "location_id": "6"},
        ]
    ),
}  # fmt: skip


def test_the_older_naming_is_read(tmp_path: Path) -> None:
    """total_price, subtotal_price, tax_line, and a fulfillment that has its tracking number itself."""
    tables = mapped(tmp_path, "shopify-warehouse", **OLDER)
    money = ("subtotal_money", "shipping_money", "tax_money", "total_money")
    assert tables["orders"].select("source_order_id", "order_number", "shipping_title", *money).rows() == [
        ("1", "1001", "Standard", "20.0000", "2.0000", "1.6000", "23.6"),
        ("2", "1002", None, "5.0000", "0", "0.0000", "5.0"),
    ]
    assert tables["line_items"].select("source_line_item_id", "price", "tax").rows() == [
        ("11", "10.0", "1.6000"),
        ("21", "5.0", "0"),
    ]
    assert tables["fulfillments"].select(
        "source_fulfillment_id", "fulfillment_location_id", "tracking_info_number", "shipment_status"
    ).rows() == [("31", "location 6", "T1", "delivered")]


@pytest.mark.parametrize(
    ("status", "is_there"),
    [
        ("success", True), ("PENDING", True), ("on_hold", True), (None, True), ("CANCELLED", False), ("canceled", False),
        ("error", False), ("failure", False),
    ],
)  # fmt: skip
def test_only_what_was_cancelled_or_failed_is_no_fulfillment(
    tmp_path: Path, status: str | None, is_there: bool
) -> None:
    """A status that Shopify has yet to think of, or a connector leaves out, loses no dispatch."""
    rows = [{"id": "31", "order_id": "1", "status": status, "location_id": "6"}]
    tables = mapped(tmp_path, "shopify-warehouse", **OLDER | {"fulfillments": csv_text(rows)})
    assert len(tables["fulfillments"]) == is_there


def test_what_was_not_exported_is_not_made_up(tmp_path: Path) -> None:
    """Without tax lines nobody knows a line's tax (the order's is shared out later), and without shipping lines shipping."""
    tables = mapped(tmp_path, "shopify-warehouse", orders=OLDER["orders"], line_items=OLDER["line_items"])
    assert tables["line_items"]["tax"].to_list() == [None, None]
    assert tables["orders"]["shipping_money"].to_list() == [None, None]
    assert tables["fulfillments"].is_empty()


def test_a_line_without_a_unit_price_has_its_total_divided(tmp_path: Path) -> None:
    """Some connectors leave the unit price out."""
    lines = "id,order_id,quantity,product_id,original_total_set_shop_amount\n11,1,3,8,10.00\n"
    tables = mapped(tmp_path, "shopify-warehouse", orders=OLDER["orders"], line_items=lines)
    assert tables["line_items"]["price"].to_list() == ["3.3333"]


@needs_examples
def test_real_tables_are_read_whole(tmp_path: Path) -> None:
    """Their rows do not fit together, so no order can be accepted; but each of them is read, and says why not."""
    roles = {role: f"shopify-warehouse-gql/{name}" for role, name in ROLES.items()}
    found = load_example("shopify-warehouse", roles, tmp_path)
    assert {name: len(rows) for name, rows in found.raw.items()} == {
        "orders": 9, "line_items": 10, "fulfillments": 6,
    }  # fmt: skip
    for role in ("orders", "line_items"):
        assert len(found.lines_read(roles[role])) == records(EXAMPLES / roles[role]) - 1
    left_out = pl.read_csv(EXAMPLES / roles["fulfillments"]).filter(
        ~pl.col("status").is_in(["SUCCESS", "OPEN", "PENDING"])
    )
    assert (
        len(found.lines_read(roles["fulfillments"])) + len(left_out)
        == records(EXAMPLES / roles["fulfillments"]) - 1
    )
    assert found.accepted_orders == []
    rules = Counter(rule for _, rule, _ in found.problems())
    assert (rules["order_has_line_items"], rules["money_adds_up"]) == (9, 9)
    assert rules["row_belongs_to_an_order"] == 16
    taxes = found.raw["line_items"].select("source_line_item_id", "price", "tax").rows()
    assert taxes[:2] == [("10001", "19.9900", "2.0000"), ("10002", "14.9950", "2.0000")]
