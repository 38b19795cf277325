"""The profile `amazon` over its samples, over rows of its own, and over a real report where it is."""

from decimal import Decimal
from pathlib import Path

import pytest
from export_factories import mapped
from profile_samples import EXAMPLES, Loaded, load_example, load_sample, needs_examples, records

CUSTOMER = {"orders.customer_source_customer_id": "{customer_email|lower}"}
ADDRESS = {"orders.billing_address": "{shipping_address}"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/amazon: the order report, and what Amazon shipped."""
    return load_sample("amazon", tmp_path_factory.mktemp("amazon"))


@pytest.fixture(scope="module")
def all_orders(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/amazon/all-orders.txt."""
    return load_sample("amazon", tmp_path_factory.mktemp("amazon"), settings="all-orders.yaml")


def test_the_sample_is_accepted_but_for_the_price_with_a_comma(sample: Loaded) -> None:
    """Five of six orders; the reason shows the text that is no amount."""
    assert sample.accepted_orders == [
        "111-5000001-0000001", "111-5000002-0000002", "302-5000003-0000003", "701-5000004-0000004",
        "111-5000005-0000005",
    ]  # fmt: skip
    assert sample.problems() == {
        ("111-5000006-0000006", "subtotal_money_can_be_read", "subtotal_money"),
        ("111-5000006-0000006", "total_money_can_be_read", "total_money"),
        ("111-5000006-0000006", "price_can_be_read", "price"),
    }
    assert "'unreadable amount 14,50'" in ";".join(sample.checked.quarantine["reasons"])


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        (
            "111-5000001-0000001",
            ("138.57", "4.00", "8.99", "151.56"),
        ),  # 5.40 off the goods, 5.99 off shipping
        ("111-5000002-0000002", ("8.99", "0", "0", "8.99")),
        ("302-5000003-0000003", ("98.10", "11.90", "20.90", "130.90")),  # euros: the tax is inside
        ("701-5000004-0000004", ("38.25", "6.00", "5.75", "50.00")),  # Canadian dollars: on top
        ("111-5000005-0000005", ("14.50", "4.95", "1.82", "21.27")),
    ],
)
def test_the_money_of_the_sample_adds_up(sample: Loaded, order: str, amounts: tuple[str, ...]) -> None:
    """The report has no total: it is the sum of the order's rows."""
    assert sample.money(order) == tuple(map(Decimal, amounts))


def test_what_was_moved_is_reported(sample: Loaded) -> None:
    """Discounts are taken off what they are of."""
    assert sample.moved() == {
        ("discount", "subtotal", "USD"): Decimal("-5.40"),
        ("shipping discount", "shipping", "USD"): Decimal("-5.99"),
        ("tax inside the prices", "tax", "EUR"): Decimal("20.90"),
    }


def test_the_rows_of_an_order_are_its_lines_wherever_they_stand(sample: Loaded) -> None:
    """`item-price` is that of all pieces; an inch mark and an emoji stay as they are."""
    lines = sample.lines(
        "111-5000001-0000001", "source_line_item_id", "name", "quantity", "sku", "price", "tax"
    )
    assert lines == [
        ("62050000000101", "T-shirt “Größe” - M", 2, "TEE-M", Decimal("26.99"), Decimal("3.37")),
        ("62050000000102", 'Lamp, 12" shade', 1, "LAMP-1", Decimal("89.99"), Decimal("5.62")),
    ]
    assert sample.lines("701-5000004-0000004", "sku", "price") == [("0070123", Decimal("12.75"))]


def test_an_order_has_its_address_and_its_buyer(sample: Loaded) -> None:
    """Two further lines of an address are one; a phone is wanted only where there is no e-mail."""
    order = sample.order("302-5000003-0000003")
    wanted = {
        "shipping_address_line1": "Lärchenweg 3", "shipping_address_line2": "Hinterhaus, bei Klein",
        "shipping_address_city": "München", "customer_first_name": "Jürgen", "customer_last_name": "Groß",
        "customer_email": "x3juergen@marketplace.example.com", "channel": "Amazon.de", "billing_address_city": "München",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert sample.order("111-5000001-0000001")["shipping_address_postal_code"] == "02101"
    assert sample.order("111-5000005-0000005")["customer_phone"] == "+12025550105"


def test_what_amazon_shipped_is_a_fulfillment_each(sample: Loaded) -> None:
    """Two items of one shipment are one fulfillment, two shipments of one item are two."""
    columns = (
        "source_fulfillment_id",
        "tracking_info_company",
        "tracking_info_number",
        "fulfillment_location_id",
    )
    assert sample.fulfillments("111-5000001-0000001", *columns) == [("DxA1", "UPS", "1Z999AA10150000001", 12)]
    assert sample.fulfillments("701-5000004-0000004", *columns) == [
        ("DxB1", "CANADA_POST", "7000000000000001", 12),
        ("DxB2", "CANADA_POST", "7000000000000002", 12),
    ]


def test_the_report_of_all_orders_is_read_too(all_orders: Loaded) -> None:
    """With the other names of its columns; a pending order has no price yet, and waits."""
    assert all_orders.accepted_orders == [
        "111-5000007-0000007", "111-5000008-0000008", "303-5000010-0000010",
    ]  # fmt: skip
    assert {(order, rule) for order, rule, _ in all_orders.problems()} == {
        ("111-5000009-0000009", f"{column}_is_there")
        for column in ("subtotal_money", "shipping_money", "total_money", "price")
    }
    assert all_orders.money("111-5000007-0000007") == tuple(map(Decimal, ("30.09", "0", "2.06", "32.15")))
    assert all_orders.moved()["gift wrap", "subtotal", "USD"] == Decimal("3.99")
    assert set(all_orders.uses()) == {use.fallback for use in all_orders.checked.fallbacks_used}


def test_cancelled_orders_and_items_are_loaded_as_cancelled(all_orders: Loaded) -> None:
    """Amazon takes the amounts out: nothing was to be paid."""
    order = all_orders.order("111-5000008-0000008")
    assert order["source_canceled_on"].isoformat() == "2026-03-02T12:30:00+00:00"
    assert order["canceled_reason"] == "cancelled"
    assert all_orders.money("111-5000008-0000008") == (0, 0, 0, 0)
    lines = all_orders.lines(
        "111-5000007-0000007", "source_line_item_id", "quantity", "price", "source_canceled_on"
    )
    assert [(*line[:3], line[3] is None) for line in lines] == [
        ("111-5000007-0000007-1", 2, Decimal("14.50"), True),
        ("111-5000007-0000007-2", 0, Decimal(0), False),
    ]
    assert "source_canceled_on" not in all_orders.order("111-5000007-0000007")


STATES = "order-id,purchase-date,last-updated-date,order-status,item-status,sku,product-name,quantity,currency,item-price,item-tax"


@pytest.mark.parametrize(
    ("states", "is_cancelled"),
    [
        (["Cancelled,Cancelled", "Cancelled,Cancelled"], True),
        (["Cancelled,Cancelled", "Shipped,Shipped"], False),
        (["Shipped,Shipped", "Cancelled,Cancelled"], False),
        (["Cancelled,Cancelled", "Shipping,Shipping"], False),
        (["Cancelled,Cancelled", ","], False),
        (["Shipped,Shipped", "Shipped,Cancelled"], False),
        (["Cancelled,", "Shipped,Shipped"], False),
    ],
)
def test_an_order_is_cancelled_where_all_of_its_rows_say_so(
    tmp_path: Path, states: list[str], is_cancelled: bool
) -> None:
    """Amazon may write each item's own state beside it; a state that nobody knows is no cancellation."""
    rows = [f"o,2026-03-02,2026-03-03,{state},{sku},X,1,USD,10.00," for sku, state in enumerate(states)]
    text = "\n".join([STATES, *rows]).replace(",", "\t") + "\n"
    tables = mapped(tmp_path, "amazon", orders=text)
    order = tables["orders"].row(0, named=True)
    for column in ("source_canceled_on", "canceled_reason"):
        assert (order[column] is not None) == is_cancelled
    # What is not cancelled waits for its tax: an empty one is not taken for none.
    assert order["tax_money"] == ("0" if is_cancelled else None)
    assert [at is not None for at in tables["line_items"]["source_canceled_on"]] == [
        "Cancelled" in state for state in states
    ]


HEADER = "order-id,purchase-date,sku,product-name,quantity,currency,sales-channel,item-price,item-tax,shipping-price"


@pytest.mark.parametrize(
    ("rows", "amounts"),
    [
        (["o,,A,A,1,USD,Amazon.com,10.00,0.80,"], ("10.0000", "0.8000", "10.8000")),
        (["o,,A,A,1,GBP,Amazon.co.uk,12.00,2.00,"], ("10.0000", "2.0000", "12.0000")),
        (
            ["o,,A,A,0,,Amazon.com,,,", "o,,B,B,1,USD,Amazon.com,10.00,0.80,"],
            ("10.0000", "0.8000", "10.8000"),
        ),
        (["o,,A,A,0,,Amazon.de,,,", "o,,B,B,1,EUR,Amazon.de,12.00,2.00,"], ("12.0000", "2.0000", None)),
        (["o,,A,A,1,USD,Amazon.com,10.00,,"], ("10.0000", None, "10.0000")),
    ],
)
def test_whether_the_tax_is_inside_is_the_currencys_to_say(
    tmp_path: Path, rows: list[str], amounts: tuple[str | None, ...]
) -> None:
    """Where neither currency nor market tells it there is no total, and the order is quarantined."""
    text = "\n".join([HEADER, *rows]).replace(",", "\t") + "\n"
    order = mapped(tmp_path, "amazon", orders=text)["orders"]
    assert order.select("subtotal_money", "tax_money", "total_money").rows() == [amounts]


@needs_examples
@pytest.mark.parametrize(
    ("fallbacks", "accepted", "problems"),
    [
        ({}, 0, 6),
        (CUSTOMER, 0, 5),
        (CUSTOMER | ADDRESS, 3, 0),
    ],
)
def test_a_real_report_is_read_whole(
    tmp_path: Path, fallbacks: dict[str, str], accepted: int, problems: int
) -> None:
    """What it lacks is a customer's id and a billing address, which has five parts."""
    path = "amazon-order-report/amazon-order-report.txt"
    found = load_example("amazon", {"orders": path}, tmp_path, fallbacks=fallbacks)
    assert {name: len(rows) for name, rows in found.raw.items()} == {
        "orders": 3, "line_items": 4, "fulfillments": 0,
    }  # fmt: skip
    assert len(found.accepted_orders) == accepted
    assert len({rule for _, rule, _ in found.problems()}) == problems
    assert len(found.lines_read(path)) == records(EXAMPLES / path, "\t") - 1
    if accepted:
        assert found.money("114-3310000-0000102") == tuple(map(Decimal, ("78.97", "5.99", "7.30", "92.26")))
