"""The profile `squarespace` over its sample."""

from decimal import Decimal

import pytest
from profile_samples import Loaded, load_sample

STATE = "state_or_province_code"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/squarespace."""
    return load_sample("squarespace", tmp_path_factory.mktemp("squarespace"))


def test_the_sample_is_accepted_but_for_the_destroyed_phone(sample: Loaded) -> None:
    """Five of six orders; one in France, which has no states, two that were not shipped, and one product without a SKU."""
    assert sample.accepted_orders == ["00101", "00102", "00103", "00104", "00105"]
    assert sample.problems() == {
        ("00106", "phone_is_e164", "customer_phone"),
        # It would have been the customer's id, too.
        ("00106", "id_is_whole", "customer_source_customer_id"),
    }
    assert sample.uses() == {
        f"orders.billing_address_{STATE}": 1,
        f"orders.shipping_address_{STATE}": 1,
        "orders.shipping_address": 2,
        "orders.customer_source_customer_id": 5,
        "line_items.sku": 1,
    }


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("00101", ("31.00", "5.00", "2.10", "38.10")),  # 3.00 off
        ("00102", ("39.00", "6.00", "9.00", "54.00")),  # prices with tax
        ("00104", ("12.00", "0.00", "0.00", "12.00")),
    ],
)
def test_the_subtotal_is_what_is_left_of_the_total(
    sample: Loaded, order: str, amounts: tuple[str, ...]
) -> None:
    """After discounts and without tax, whatever the export's own subtotal says."""
    assert sample.money(order) == tuple(map(Decimal, amounts))


def test_discounts_and_refunds_are_reported(sample: Loaded) -> None:
    """Though they change no amount; and how much tax was shared out over lines."""
    assert sample.moved() == {
        ("discount", "nothing", "USD"): Decimal("-3.00"),
        ("refund", "nothing", "USD"): Decimal("-17.75"),
        ("tax shared out over lines", "lines", "EUR"): Decimal("9.00"),
        ("tax shared out over lines", "lines", "USD"): Decimal("4.35"),
    }


def test_a_line_has_its_variant_in_its_name_and_its_part_of_the_tax(sample: Loaded) -> None:
    """Nobody knows what the parts of a variant are called."""
    assert sample.lines("00101", "source_line_item_id", "name", "quantity", "price", "tax") == [
        ("00101-1", "Blue mug (350 ml)", Decimal(2), Decimal("12.00"), Decimal("1.48")),
        ("00101-2", "Green tea, loose", Decimal(1), Decimal("10.00"), Decimal("0.62")),
    ]


def test_whoever_left_no_address_is_reached_by_phone(sample: Loaded) -> None:
    """As the phone was typed at the till, in the form that Corso wants."""
    assert sample.order("00105")["customer_phone"] == "+12025550155"
    assert "customer_phone" not in sample.order("00101")


def test_a_cancelled_order_has_its_time(sample: Loaded) -> None:
    """And no reason but that it was cancelled."""
    order = sample.order("00103")
    assert order["source_canceled_on"].isoformat() == "2026-02-21T17:32:00+00:00"
    assert order["canceled_reason"] == "cancelled"


def test_an_order_that_was_sent_has_one_fulfillment(sample: Loaded) -> None:
    """It says when."""
    sent = sample.fulfillments("00101", "source_fulfillment_id", "source_created_on")
    assert [(name, when.isoformat()) for name, when in sent] == [
        ("00101-fulfilled", "2026-02-19T13:00:00+00:00")
    ]
    assert sample.fulfillments("00102", "source_fulfillment_id") == []
