"""The profiles `etsy` and `etsy-orders` over their samples, in American and in British words, and over a real export."""

from decimal import Decimal
from pathlib import Path

import pytest
from export_factories import csv_text, mapped
from profile_samples import EXAMPLES, SAMPLES, Loaded, load_example, load_sample, needs_examples, records

ADDRESS = {"orders.billing_address": "{shipping_address}"}
EMAIL = {"orders.customer_email": "etsy-{source_order_id}@example.com"}
Row = dict[str, str | None]


def money(*amounts: str) -> tuple[Decimal, ...]:
    """Return amounts as decimals."""
    return tuple(map(Decimal, amounts))


def item_row(**changes: str | None) -> Row:
    """Return one line of an order in the columns that matter to its money."""
    row: Row = {
        "Sale Date": "09/22/26", "Item Name": "Mug", "Buyer": "ann (x1y2)", "Quantity": "1", "Price": "10.00",
        "Discount Amount": "0", "Shipping Discount": "0", "Order Shipping": "5.00", "Order Sales Tax": "1.00",
        "Item Total": "10.00", "Currency": "USD", "Transaction ID": "71", "Listing ID": "81", "Date Shipped": "",
        "Ship Name": "Ann Lee", "Order ID": "1", "VAT Paid by Buyer": "0", "SKU": "MUG",
    }  # fmt: skip
    return row | changes


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/etsy, which is in British words."""
    return load_sample("etsy", tmp_path_factory.mktemp("etsy"))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/etsy-orders, which is in American words."""
    return load_sample("etsy-orders", tmp_path_factory.mktemp("etsy-orders"))


def test_the_samples_are_accepted_but_for_one_order_each(sample: Loaded, both: Loaded) -> None:
    """A delivery that stands on two rows, and a total that somebody changed: neither adds up."""
    assert sample.accepted_orders == [f"550000000{number}" for number in range(1, 6)]
    assert sample.problems() == {("5500000006", "money_adds_up", "total_money")}
    assert both.accepted_orders == [f"560000000{number}" for number in range(1, 6)]
    assert both.problems() == {("5600000006", "money_adds_up", "total_money")}
    for loaded in (sample, both):
        assert {name: len(rows) for name, rows in loaded.checked.accepted.items()} == {
            "orders": 5, "line_items": 8, "fulfillments": 3,
        }  # fmt: skip
    assert (
        len(sample.lines_read("Items2026.csv"))
        == records(SAMPLES / "etsy" / "EtsySoldOrderItems2026.csv") - 1
    )


def test_both_wordings_give_the_same_orders(sample: Loaded, both: Loaded) -> None:
    """Delivery is Shipping, posted is shipped; the samples are the same but for ids."""
    for number in range(1, 6):
        one, two = sample.order(f"550000000{number}"), both.order(f"560000000{number}")
        for column in one:
            if column.startswith(("billing", "shipping_address")) or column.endswith("_money"):
                assert one[column] == two[column], column


def test_an_order_has_the_values_of_its_first_row(sample: Loaded, both: Loaded) -> None:
    """Days only; a leading zero stays; the buyer is who the address names, or in two columns of the orders file."""
    order = sample.order("5500000001")
    wanted = {
        "order_name": "5500000001", "customer_source_customer_id": "annlee", "customer_first_name": "Ann",
        "customer_last_name": "Lee", "customer_email": "etsy-5500000001@example.com", "channel": "etsy",
        "customer_currency_code": "USD", "shipping_address_name": "Ann Lee", "shipping_address_line1": "12 Harbor St",
        "billing_address_postal_code": "02101", "shipping_address_state_or_province_code": "MA",
        "shipping_address_country_code": "US",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-01-26T05:00:00+00:00"
    assert sample.order("5500000003")["customer_first_name"] == "Mary"
    assert both.order("5600000003")["customer_first_name"] == "Mary Jane"
    assert both.order("5600000001")["customer_source_customer_id"] == "77001"


@pytest.mark.parametrize(
    ("number", "amounts"),
    [
        (1, ("37.45", "4.95", "0", "42.40")),  # after a coupon of 2.55, which stands on the second row
        (2, ("89.99", "12.95", "17.10", "120.04")),  # with VAT that Etsy collects
        (3, ("87.68", "0", "0", "87.68")),  # free delivery: 5.00 less 5.00
        (4, ("249.00", "12.95", "32.37", "294.32")),  # with sales tax
    ],
)
def test_the_money_of_the_samples_adds_up(
    sample: Loaded, both: Loaded, number: int, amounts: tuple[str, ...]
) -> None:
    """To the cent, by Etsy's total where there is one; and the lines' tax is the order's."""
    for loaded, order in ((sample, f"550000000{number}"), (both, f"560000000{number}")):
        assert loaded.money(order) == money(*amounts)
        assert sum(tax for (tax,) in loaded.lines(order, "tax")) == Decimal(amounts[2])


def test_what_was_moved_is_reported(sample: Loaded, both: Loaded) -> None:
    """The same of both files."""
    for loaded in (sample, both):
        assert loaded.moved() == {
            ("discount", "subtotal", "USD"): Decimal("-2.55"),
            ("shipping discount", "shipping", "USD"): Decimal("-5.00"),
            ("VAT that Etsy collects", "tax", "USD"): Decimal("17.10"),
            ("tax shared out over lines", "lines", "USD"): Decimal("49.47"),
        }


def test_lines_keep_etsys_ids(both: Loaded) -> None:
    """A listing without a SKU has its own id for one."""
    assert both.lines("5600000003", "source_line_item_id", "name", "sku", "product_id", "quantity") == [
        ("6700000004", "T-shirt “Größe”", "TEE-M", "8102", 2),
        ("6700000005", "Candle", "0070123", "8106", 1),
        ("6700000006", "Green tea 🍵 100 g", "8105", "8105", 3),
    ]


def test_a_cancelled_order_is_told_by_the_orders_file(both: Loaded) -> None:
    """On the day of the sale: there is no other."""
    order = both.order("5600000005")
    assert order["canceled_reason"] == "Canceled"
    assert order["source_canceled_on"] == order["source_created_on"]
    assert "source_canceled_on" not in both.order("5600000001")


def test_a_dispatched_order_is_one_fulfillment(sample: Loaded, both: Loaded) -> None:
    """However many lines it has; its date has two digits for the year in one file and four in the other."""
    for loaded, order in ((sample, "5500000001"), (both, "5600000001")):
        (fulfillment,) = loaded.fulfillments(order, "source_fulfillment_id", "source_created_on")
        assert fulfillment[0] == f"{order}-shipped"
        assert fulfillment[1].isoformat() == "2026-01-28T05:00:00+00:00"


def test_an_order_of_which_one_line_was_dispatched_has_a_fulfillment(tmp_path: Path) -> None:
    """Each line has its own date; which of them stands first in the file tells nothing."""
    dates = {"1": ["", "09/24/26"], "2": ["09/23/26", ""], "3": ["", ""], "4": ["09/23/26", "09/23/26"]}
    rows = [
        item_row(**{"Order ID": order, "Transaction ID": f"{order}{n}", "Date Shipped": date})
        for order, both in dates.items()
        for n, date in enumerate(both)
    ]
    fulfillments = mapped(tmp_path, "etsy", orders=csv_text(rows))["fulfillments"]
    assert fulfillments.select("source_fulfillment_id", "source_created_on").rows() == [
        ("1-shipped", "2026-09-24"),
        ("2-shipped", "2026-09-23"),
        ("4-shipped", "2026-09-23"),
    ]


def test_the_fallbacks_of_the_samples_are_all_needed(sample: Loaded, both: Loaded) -> None:
    """They are those that the page recommends."""
    for loaded in (sample, both):
        assert set(loaded.uses()) == {use.fallback for use in loaded.checked.fallbacks_used}


MONEY: dict[str, tuple[list[dict[str, str | None]], bool]] = {
    "one line": ([{}], True),
    "shipping on the first row": ([{}, {"Order Shipping": "0", "Order Sales Tax": "0"}], True),
    "shipping on the first row, others empty": ([{}, {"Order Shipping": "", "Order Sales Tax": ""}], True),
    "shipping on every row": ([{}, {"Order Sales Tax": "0"}], False),
    "tax on every row": ([{}, {"Order Shipping": "0"}], False),
    "an in-person discount": ([{"InPerson Discount": "1.00"}], False),
    "an in-person discount of nothing": ([{"InPerson Discount": "0.00"}], True),
    "with currency marks": ([{"Order Shipping": "$5.00", "Item Total": "US$10.00"}], True),
    "a discount on the second row": (
        [{}, {"Order Shipping": "0", "Order Sales Tax": "0", "Discount Amount": "2.00"}],
        True,
    ),
}


@pytest.mark.parametrize(("rows", "adds_up"), MONEY.values(), ids=MONEY.keys())
def test_amounts_that_could_mean_two_things_do_not_add_up(
    tmp_path: Path, rows: list[dict[str, str | None]], adds_up: bool
) -> None:
    """An amount that is repeated would be counted twice, or a second one left out: the order is refused instead."""
    text = csv_text(
        [item_row(**changes, **{"Transaction ID": str(number)}) for number, changes in enumerate(rows)]
    )
    order = mapped(tmp_path, "etsy", orders=text)["orders"].row(0, named=True)
    subtotal, shipping, tax, total = (
        Decimal(order[f"{part}_money"]) for part in ("subtotal", "shipping", "tax", "total")
    )
    assert (subtotal + shipping + tax == total) == adds_up


def test_a_file_without_a_tax_column_has_no_tax(tmp_path: Path) -> None:
    """And one in which a name stands twice is read; the second of them is nobody's, as long as it is 0."""
    text = "Order ID,Transaction ID,Item Name,Quantity,Price,Delivery Discount,Delivery,Delivery Discount,Item Total\n"
    tables = mapped(tmp_path, "etsy", orders=text + "1,7,Mug,1,10.00,1.00,5.00,0,10.00\n")
    assert tables["orders"].select("shipping_money", "tax_money", "total_money").rows() == [
        ("4.0000", "0.0000", "14.0000")
    ]


def test_exports_that_overlap_are_one(tmp_path: Path) -> None:
    """A month's file beside the year's: rows that stand in both are counted once, in the totals, too."""
    rows = [item_row(), item_row(**{"Transaction ID": "72", "Order Shipping": "0", "Order Sales Tax": "0"})]
    later = [*rows, item_row(**{"Transaction ID": "73", "Order ID": "2"})]
    orders = mapped(tmp_path, "etsy", orders=[csv_text(rows), csv_text(later)])["orders"]
    found = orders.select("source_order_id", "subtotal_money", "total_money").unique(maintain_order=True)
    assert found.rows() == [("1", "20.0000", "26.0000"), ("2", "10.0000", "16.0000")]


@needs_examples
@pytest.mark.parametrize(
    ("fallbacks", "accepted", "problems"),
    [
        ({}, 0, {"customer_can_be_reached", "billing_address_line1_is_there"}),
        (ADDRESS | EMAIL, 4, {"quantity_is_there", "customer_last_name_is_there"}),
    ],
)
def test_a_real_export_is_read_whole(
    tmp_path: Path, fallbacks: dict[str, str], accepted: int, problems: set[str]
) -> None:
    """Every row is in a raw table; with the fallbacks of the page all are accepted but the one without a quantity."""
    path = "etsy-items/etsy-sold-order-items.csv"
    found = load_example("etsy", {"orders": path}, tmp_path, fallbacks=fallbacks)
    assert tuple(len(rows) for rows in found.raw.values()) == (5, 6, 0)
    assert len(found.accepted_orders) == accepted
    assert problems <= {rule for _, rule, _ in found.problems()}
    assert len(found.lines_read(path)) == records(EXAMPLES / path) - 1
    if fallbacks:
        assert {order for order, _, _ in found.problems()} == {"3310000005"}
        assert found.money("3310000001") == money("69.97", "4.99", "0", "74.96")
