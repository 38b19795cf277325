"""The profiles `woocommerce` and `woocommerce-wide` over their samples, the headers of other plugins, and a real export."""

from decimal import Decimal
from pathlib import Path

import pytest
from export_factories import csv_text, mapped
from profile_samples import EXAMPLES, Loaded, load_example, load_sample, needs_examples, records

GUEST = {"orders.customer_source_customer_id": "{customer_email|lower}"}
Row = dict[str, str | None]


def money(*amounts: str) -> tuple[Decimal, ...]:
    """Return amounts as decimals."""
    return tuple(map(Decimal, amounts))


def webtoffee_row(**changes: str | None) -> Row:
    """Return one line of an order as WebToffee's plugin writes "separate rows": the order's columns on each of them."""
    row: Row = {
        "order_id": "9", "order_number": "W-9", "order_date": "2026-03-01 10:00:00", "status": "completed",
        "shipping_total": "5.00", "fee_total": "0.00", "tax_total": "2.00", "cart_discount": "3.00",
        "order_discount": "3.00", "discount_total": "3.00", "order_total": "24.00", "order_subtotal": "20.00",
        "customer_id": "0", "customer_user": "0", "customer_email": "", "billing_email": "ann@example.com",
        "billing_phone": "'+12025550123", "item_product_id": "7", "item_name": "Blue mug", "item_sku": "MUG",
        "item_quantity": "2", "item_subtotal": "20", "item_total": "17.00840336", "item_total_tax": "2.0",
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/woocommerce."""
    return load_sample("woocommerce", tmp_path_factory.mktemp("woocommerce"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/woocommerce-wide."""
    return load_sample("woocommerce-wide", tmp_path_factory.mktemp("woocommerce-wide"))


def test_the_samples_are_accepted_but_for_one_order_each(sample: Loaded, wide: Loaded) -> None:
    """A quantity in words, and a total that somebody changed."""
    assert sample.accepted_orders == [f"610{number}" for number in range(1, 7)]
    assert sample.problems() == {
        ("6107", "quantity_can_be_read", "quantity"),
        ("6107", "price_can_be_read", "price"),
    }
    assert {name: len(rows) for name, rows in sample.checked.accepted.items()} == {
        "orders": 6, "line_items": 9, "fulfillments": 3,
    }  # fmt: skip
    assert wide.accepted_orders == [f"720{number}" for number in range(1, 6)]
    assert wide.problems() == {("7206", "money_adds_up", "total_money")}
    assert {name: len(rows) for name, rows in wide.checked.accepted.items()} == {
        "orders": 5, "line_items": 8, "fulfillments": 0,
    }  # fmt: skip


def test_an_order_has_the_values_of_its_first_row(sample: Loaded) -> None:
    """With the zero in front of its zip; times are the shop's."""
    order = sample.order("6101")
    wanted = {
        "order_name": "W-6101", "customer_source_customer_id": "31", "customer_email": "ann.lee@example.com",
        "customer_phone": "+12025550101", "customer_first_name": "Ann", "customer_last_name": "Lee",
        "customer_currency_code": "USD", "shipping_title": "Flat rate", "billing_address_line1": "12 Harbor St",
        "billing_address_postal_code": "02101", "billing_address_state_or_province_code": "MA",
        "shipping_address_city": "Boston", "shipping_address_country_code": "US",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-02-01T14:00:00+00:00"
    assert "source_canceled_on" not in order
    assert sample.order("6102")["customer_first_name"] == "Jürgen"


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("6101", ("37.57", "4.95", "2.35", "44.87")),  # after a discount of 4.18
        ("6102", ("75.62", "10.88", "16.44", "102.94")),  # a shop whose prices hold the tax
        ("6103", ("90.18", "0", "0", "90.18")),  # with a fee of 2.50
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """The subtotal is the lines after discounts, and the fee."""
    assert sample.money(order) == money(*amounts)
    lines = sum(price * quantity for price, quantity in sample.lines(order, "price", "quantity"))
    fee = Decimal("2.50") if order == "6103" else Decimal(0)
    assert lines + fee == Decimal(amounts[0])


def test_what_was_moved_is_reported(sample: Loaded, wide: Loaded) -> None:
    """Discounts and fees are in the subtotal, refunds change nothing; WebToffee's columns have no tax of a line."""
    assert sample.moved() == {
        ("discount", "subtotal", "USD"): Decimal("-4.18"),
        ("fee", "subtotal", "USD"): Decimal("2.50"),
        ("refund", "nothing", "USD"): Decimal("-12.75"),
    }
    assert wide.moved() == {
        ("discount", "subtotal", "USD"): Decimal("-6.97"),
        ("fee", "subtotal", "EUR"): Decimal("2.10"),
        ("tax shared out over lines", "lines", "USD"): Decimal("34.18"),
        ("tax shared out over lines", "lines", "EUR"): Decimal("16.84"),
    }


def test_lines_keep_their_ids_and_names(sample: Loaded, wide: Loaded) -> None:
    """AlgolPlus's Item ID is one; WebToffee's lines are numbered within their order."""
    columns = ("source_line_item_id", "name", "sku", "product_id", "variant_id")
    assert sample.lines("6103", *columns) == [
        ("40104", "T-shirt - M, grün", "TEE-M", "8102", "9104"),
        ("40105", "Candle", "0070123", "8106", None),
        ("40106", "Green tea 🍵 100 g", "TEA-100", "8105", None),
    ]
    assert wide.lines("7202", "source_line_item_id", "name", "sku", "quantity", "price") == [
        ("7202-1", "T-shirt - M, grün", "TEE-M", 2, Decimal("21.58")),
        ("7202-2", "Green tea 🍵 100 g", "TEA-100", 1, Decimal("8.08")),
        ("7202-3", "Candle", "0070123", 1, Decimal("11.48")),
    ]


@pytest.mark.parametrize(
    ("order", "at", "reason"),
    [("6104", "2026-04-15T08:30:00+00:00", "Cancelled"), ("6105", "2026-05-31T04:04:00+00:00", "Failed")],
)
def test_what_was_never_sold_is_cancelled(sample: Loaded, order: str, at: str, reason: str) -> None:
    """At the time of the last change, which is the nearest that the export has."""
    found = sample.order(order)
    assert (found["source_canceled_on"].isoformat(), found["canceled_reason"]) == (at, reason)


def test_without_a_time_of_change_a_cancellation_has_the_orders_own(wide: Loaded) -> None:
    """A refunded order is none."""
    order = wide.order("7204")
    assert order["source_canceled_on"] == order["source_created_on"]
    assert "source_canceled_on" not in wide.order("7205")


def test_a_completed_order_is_one_fulfillment(sample: Loaded) -> None:
    """The export says when, not by whom; the warehouse is the configured default."""
    assert sample.fulfillments("6101", "source_fulfillment_id", "fulfillment_location_id") == [
        ("6101-completed", 12)
    ]
    assert sample.fulfillments("6104", "source_fulfillment_id") == []


def test_the_fallbacks_of_the_samples_are_all_needed(sample: Loaded, wide: Loaded) -> None:
    """They are those that the page recommends."""
    for loaded in (sample, wide):
        assert set(loaded.uses()) == {use.fallback for use in loaded.checked.fallbacks_used}


def test_rows_of_webtoffee_are_read(tmp_path: Path) -> None:
    """Three columns say the discount, of which one counts; a line's total has more decimals than an amount."""
    second = webtoffee_row(
        item_name="Pot", item_sku="", item_quantity="1", item_total="0", item_total_tax="0"
    )
    tables = mapped(tmp_path, "woocommerce", orders=csv_text([webtoffee_row(), second]))
    order = tables["orders"].row(0, named=True)
    assert (order["order_name"], order["customer_source_customer_id"], order["customer_phone"]) == ("W-9", None, "+12025550123")  # fmt: skip
    assert tables["orders"].select("subtotal_money", "shipping_money", "tax_money", "total_money").rows() == [
        ("17.0000", "5.0000", "2.0000", "24.00")
    ]
    lines = tables["line_items"].select("source_line_item_id", "name", "sku", "price", "tax", "product_id")
    assert lines.rows() == [
        ("9-1", "Blue mug", "MUG", "8.5042", "2.0000", "7"),
        ("9-2", "Pot", None, "0.0000", "0.0000", "7"),
    ]


@pytest.mark.parametrize("guest", ["0", "0.0"])
def test_a_guest_has_no_id(tmp_path: Path, guest: str) -> None:
    """Whether the plugin wrote the export, or pandas what it had read of it."""
    row = webtoffee_row(order_id="9.0", customer_id=guest)
    tables = mapped(tmp_path, "woocommerce", orders=csv_text([row]))
    assert tables["orders"].select("source_order_id", "customer_source_customer_id").rows() == [("9", None)]
    assert tables["line_items"]["source_line_item_id"].to_list() == ["9-1"]


def test_taxes_that_are_rounded_at_the_subtotal_are_rounded_here(tmp_path: Path) -> None:
    """Such a shop keeps six decimals of every amount but the total."""
    order = {"order_subtotal": "20.661157", "tax_total": "4.338843", "order_total": "25"}
    order |= dict.fromkeys(("shipping_total", "discount_total"), "0")
    lines = [{"item_total": "12.396694", "item_total_tax": "2.603306"}, {"item_total": "8.264463", "item_total_tax": "1.735537"}]  # fmt: skip
    rows = [webtoffee_row(item_quantity="1", **order, **line) for line in lines]
    tables = mapped(tmp_path, "woocommerce", orders=csv_text(rows))
    assert tables["orders"].select("subtotal_money", "shipping_money", "tax_money", "total_money").rows() == [
        ("20.6612", "0.0000", "4.3388", "25")
    ]
    assert tables["line_items"].select("price", "tax").rows() == [("12.3967", "2.6033"), ("8.2645", "1.7355")]


def test_without_a_subtotal_it_is_what_the_lines_cost(tmp_path: Path) -> None:
    """The order's amounts on its first row only; the discount is off the lines' totals already."""
    first: Row = {
        "order_number": "1", "order_date": "2026-03-01 10:00:00", "status": "pending", "shipping_total": "5.00",
        "tax_total": "2.00", "discount_total": "3.00", "order_total": "27.00", "product_name": "Mug", "sku": "M",
        "quantity": "2", "item_total": "17.00",
    }  # fmt: skip
    rest = dict.fromkeys(("shipping_total", "tax_total", "discount_total", "order_total"), "")
    tables = mapped(
        tmp_path,
        "woocommerce",
        orders=csv_text([first, first | rest | {"item_total": "3.00", "quantity": "1"}]),
    )
    assert tables["orders"].select(
        "source_order_id", "order_name", "subtotal_money", "total_money"
    ).rows() == [("1", "1", "20.0000", "27.00")]
    assert tables["line_items"]["price"].to_list() == ["8.5000", "3.0000"]


def test_what_wp_all_export_calls_things_is_known(tmp_path: Path) -> None:
    """Its Item Cost is the line's, before discounts, and no price."""
    row: Row = {
        "Order ID": "5", "Order Date": "2026-03-01", "Order Status": "wc-cancelled", "Order Currency": "USD",
        "Order Total": "27.00", "Total Tax Amount": "2.00", "Shipping Cost": "5.00", "Total Discount Amount": "0",
        "Total Fee Amount": "1.00", "Customer User ID": "3", "Billing Email Address": "a@example.com",
        "Billing Address 1": "1 Main St", "Product Name": "Mug", "Quantity": "2", "Item Cost": "20.00",
    }  # fmt: skip
    tables = mapped(
        tmp_path, "woocommerce", orders=csv_text([row | {"Item Total": "19.00"}, row | {"Order ID": "6"}])
    )
    order = tables["orders"].row(0, named=True)
    assert (order["subtotal_money"], order["tax_money"], order["canceled_reason"]) == ("20.0000", "2.0000", "wc-cancelled")  # fmt: skip
    assert (order["customer_source_customer_id"], order["billing_address_line1"]) == ("3", "1 Main St")
    assert tables["line_items"]["price"].to_list() == ["9.5000", None]


def test_algolplus_item_cost_is_a_price(tmp_path: Path) -> None:
    """Where the line's total was not chosen; it is what one costs after discounts, without tax."""
    row: Row = {
        "Order Number": "5", "Order Date": "2026-03-01 10:00", "Order Status": "Processing", "Quantity": "2",
        "Order Total Amount": "27.00", "Order Total Tax Amount": "2.00", "Order Subtotal Amount": "20.00",
        "Order Shipping Amount": "5.00", "Cart Discount Amount": "0", "Item Name": "Mug", "Item Cost": "10.00", "Item #": "1",
        "Address 1&2 (Billing)": "1 Main St, rear",
    }  # fmt: skip
    tables = mapped(tmp_path, "woocommerce", orders=csv_text([row]))
    assert tables["line_items"].select("price", "quantity").rows() == [("10.00", "2")]
    assert tables["orders"]["billing_address_line1"].to_list() == ["1 Main St, rear"]


@needs_examples
@pytest.mark.parametrize(
    ("fallbacks", "accepted", "problems"),
    [({}, 0, {"customer_source_customer_id_is_there"}), (GUEST, 25, set())],
)
def test_a_real_export_is_read_whole(
    tmp_path: Path, fallbacks: dict[str, str], accepted: int, problems: set[str]
) -> None:
    """Every row is in a raw table; its guests need an id."""
    path = "woo-fake/woocommerce_orders.csv"
    found = load_example("woocommerce", {"orders": path}, tmp_path, fallbacks=fallbacks)
    assert tuple(len(rows) for rows in found.raw.values()) == (25, 51, 15)
    assert len(found.accepted_orders) == accepted
    assert {rule for _, rule, _ in found.problems()} == problems
    assert len(found.lines_read(path)) == records(EXAMPLES / path) - 1
