"""The profile `bigcommerce` over its sample, and over what merchants change in their exports."""

from decimal import Decimal
from pathlib import Path

import pytest
from export_factories import csv_text, mapped
from profile_samples import PROJECT, SAMPLES, Loaded, load_sample, records

Row = dict[str, str | None]


def money(*amounts: str) -> tuple[Decimal, ...]:
    """Return amounts as decimals."""
    return tuple(map(Decimal, amounts))


def packed(*lines: str) -> str:
    """Return `Product Details` of these lines, each of which costs 10.00."""
    return "|".join(
        f"Product ID: 7, Product Qty: 1, Product SKU: X, Product Name: {name}, Product Weight: 1.0000, "
        "Product Variation Details: , Product Unit Price: 10.00, Product Total Price: 10.00"
        for name in lines
    )


def order_row(**changes: str | None) -> Row:
    """Return an order in few columns; a merchant may leave out any of the others."""
    row: Row = {
        "Order ID": "1", "Order Status": "Completed", "Order Date": "03/04/2026", "Subtotal (ex tax)": "10.00",
        "Shipping Cost (ex tax)": "5.00", "Tax Total": "1.00", "Order Total (inc tax)": "16.00",
        "Product Details": packed("Mug"),
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/bigcommerce."""
    return load_sample("bigcommerce", tmp_path_factory.mktemp("bigcommerce"))


def test_the_sample_is_accepted_but_for_the_american_date(sample: Loaded) -> None:
    """Five of six orders; every row is in a raw table."""
    assert sample.accepted_orders == [f"210{number}" for number in range(1, 6)]
    assert sample.problems() == {("2106", "source_created_on_can_be_read", "source_created_on")}
    assert {name: len(rows) for name, rows in sample.checked.accepted.items()} == {
        "orders": 5, "line_items": 8, "fulfillments": 2,
    }  # fmt: skip
    assert len(sample.lines_read("orders.csv")) == records(SAMPLES / "bigcommerce" / "orders.csv") - 1


def test_an_order_has_the_values_of_its_row(sample: Loaded) -> None:
    """Day before month; countries and states are names there, and become codes."""
    order = sample.order("2101")
    wanted = {
        "order_name": "2101", "customer_source_customer_id": "31", "customer_email": "ann.lee@example.com",
        "customer_phone": "+12025550101", "customer_first_name": "Ann", "customer_last_name": "Lee",
        "customer_currency_code": "USD", "shipping_title": "Ground", "channel": "Pottery Shop", "channel_id": "1",
        "billing_address_line1": "12 Harbor St", "billing_address_postal_code": "02101",
        "billing_address_state_or_province_code": "MA", "billing_address_country_code": "US",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-01-26T14:12:00+00:00"
    assert sample.order("2104")["shipping_address_state_or_province_code"] == "VIC"
    assert sample.order("2103")["notes"] == "Für Oma, bitte „schön“ verpackt"


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("2101", ("75.99", "6.50", "4.75", "87.24")),  # with a handling cost of 1.50
        ("2102", ("59.14", "0", "0", "59.14")),  # after a coupon of 6.57; paid with credit and a certificate
        ("2103", ("75.62", "10.88", "16.44", "102.94")),
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """Corso's total is subtotal, shipping and tax, to the cent; and the lines' tax is the order's."""
    assert sample.money(order) == money(*amounts)
    assert sum(tax for (tax,) in sample.lines(order, "tax")) == Decimal(amounts[2])


def test_what_was_moved_is_reported(sample: Loaded) -> None:
    """Handling is shipping, a coupon is off the subtotal; how it was paid and what was given back changes nothing."""
    moved = {key: amount for key, amount in sample.moved().items() if key[1] != "lines"}
    assert moved == {
        ("handling", "shipping", "USD"): Decimal("1.50"),
        ("discount", "subtotal", "USD"): Decimal("-6.57"),
        ("store credit", "nothing", "USD"): Decimal("-10.00"),
        ("gift certificate", "nothing", "USD"): Decimal("-5.00"),
        ("refund", "nothing", "EUR"): Decimal("-20.00"),
    }


def test_a_name_may_hold_the_marks_between_lines_and_parts(sample: Loaded) -> None:
    """A bar and a comma with the name of a part are text, as long as no part begins there."""
    assert sample.lines("2101", "source_line_item_id", "name", "sku", "product_id", "quantity") == [
        ("2101-1", "Blue mug", "MUG-BLUE", "166", 2),
        ("2101-2", "Boning knife | 6 inch, Product Qty 1", "KNIFE-6", "168", 1),
    ]
    assert sample.lines("2102", "sku", "product_id")[2] == ("2102-3", None)


@pytest.mark.parametrize(("order", "reason"), [("2104", "Cancelled"), ("2105", "Declined")])
def test_what_was_never_sold_is_cancelled(sample: Loaded, order: str, reason: str) -> None:
    """At the order's own time: the export has no other."""
    found = sample.order(order)
    assert found["canceled_reason"] == reason
    assert found["source_canceled_on"] == found["source_created_on"]
    assert "source_canceled_on" not in sample.order("2103")


def test_a_dispatched_order_is_one_fulfillment(sample: Loaded) -> None:
    """The export says on which day."""
    assert sample.fulfillments("2101", "source_fulfillment_id", "fulfillment_location_id") == [
        ("2101-shipped", 12)
    ]


def test_the_fallbacks_of_the_sample_are_all_needed(sample: Loaded) -> None:
    """They are those that the page recommends."""
    assert set(sample.uses()) == {use.fallback for use in sample.checked.fallbacks_used}


def test_a_discount_is_taken_for_one_only_beside_a_coupon(tmp_path: Path) -> None:
    """Without one a total that is less than its parts stays a mistake, which validation shows."""
    rows = [
        order_row(**{"Coupon Details": "Coupon Code: TEN", "Order Total (inc tax)": "15.00"}),
        order_row(**{"Order ID": "2", "Order Total (inc tax)": "15.00"}),
    ]
    orders = mapped(tmp_path, "bigcommerce", orders=csv_text(rows))["orders"]
    assert orders["subtotal_money"].to_list() == ["9.0000", "10.0000"]


def test_parts_that_other_templates_have_are_no_part_of_a_name(tmp_path: Path) -> None:
    """BigCommerce's own accounting templates say more of a line, in another order."""
    details = (
        "Product ID: 0, Product Qty: 2, Product SKU: 1682, Product Name: Seasoning | 4 Pack, Product Variation Details: , "
        "Product Unit Price: $48.99, Product Unit Cost: 0.00, Product Index: 1, Product Weight: 0.0000, "
        "Product Total Price: 97.98, Product Total Cost: 0.00, Peachtree General Ledger Account: , Peachtree Tax Type: 1"
        "|" + packed("Knife")
    )
    lines = mapped(tmp_path, "bigcommerce", orders=csv_text([order_row(**{"Product Details": details})]))[
        "line_items"
    ]
    assert lines.select("source_line_item_id", "name", "quantity", "price", "product_id").rows() == [
        ("1-1", "Seasoning | 4 Pack", "2", "48.99", None),
        ("1-2", "Knife", "1", "10.00", "7"),
    ]


def test_a_cell_that_is_not_packed_like_this_quarantines_its_order(tmp_path: Path) -> None:
    """It is neither dropped nor guessed at."""
    rows = [order_row(**{"Product Details": "2 x Mug"})]
    lines = mapped(tmp_path, "bigcommerce", orders=csv_text(rows))["line_items"]
    assert lines["fault"].to_list() == ["the cell 'Product Details' cannot be taken apart"]


@pytest.mark.parametrize(("dates", "created"), [('"%d/%m/%Y"', "2026-04-03"), ('"%m/%d/%Y"', "2026-03-04")])
def test_a_merchants_copy_says_how_dates_are_written(tmp_path: Path, dates: str, created: str) -> None:
    """Nobody can tell it from 03/04/2026; without a column for the time a day is all there is."""
    text = (PROJECT / "corso/extract/profiles/bigcommerce.yaml").read_text(encoding="utf-8")
    forms = '"%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y"'
    assert forms in text
    (tmp_path / "mine.yaml").write_text(text.replace(forms, dates), encoding="utf-8")
    orders = mapped(tmp_path, "mine.yaml", orders=csv_text([order_row()]))["orders"]
    assert orders["source_created_on"].to_list() == [created]
