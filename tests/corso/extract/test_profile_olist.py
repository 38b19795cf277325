"""docs/profiles/olist.yaml, the worked example of a profile of one's own, over its sample and over the real tables."""

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from profile_samples import EXAMPLES, Loaded, load_example, load_sample, needs_examples, records

STREET = {
    "orders.billing_address_line1": "not in the tables",
    "orders.shipping_address_line1": "not in the tables",
}
ONE, TWO, THREE, FOUR, FIVE = (f"{number:02d}" * 16 for number in range(1, 6))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/olist."""
    return load_sample("olist", tmp_path_factory.mktemp("olist"))


def test_the_sample_is_accepted_but_for_what_does_not_fit_together(sample: Loaded) -> None:
    """An order without items, and one whose payment is another amount."""
    assert sample.accepted_orders == [ONE, TWO, THREE]
    assert sample.problems() == {
        (FOUR, "order_has_line_items", "source_order_id"),
        (FOUR, "subtotal_money_is_there", "subtotal_money"),
        (FOUR, "shipping_money_is_there", "shipping_money"),
        (FIVE, "money_adds_up", "total_money"),
    }


def test_an_order_is_put_together_from_five_tables(sample: Loaded) -> None:
    """Goods and freight from the items, the total from the payments, the place from the customer."""
    assert sample.money(ONE) == tuple(map(Decimal, ("117.80", "26.58", "0", "144.38")))
    order = sample.order(ONE)
    wanted = {
        "shipping_address_city": "são paulo", "shipping_address_postal_code": "01001",
        "shipping_address_state_or_province_code": "SP", "shipping_address_country_code": "BR",
        "customer_currency_code": "BRL", "notes": "status: delivered",
    }  # fmt: skip
    assert {name: order[name] for name in wanted} == wanted
    assert order["source_created_on"].isoformat() == "2026-03-02T13:56:33+00:00"


def test_each_item_is_a_line_with_the_name_of_its_kind(sample: Loaded) -> None:
    """A product without a category has its id for a name."""
    assert sample.lines(ONE, "source_line_item_id", "name", "quantity", "price") == [
        (f"{ONE}-1", "perfumaria", 1, Decimal("58.90")),
        (f"{ONE}-2", "perfumaria", 1, Decimal("58.90")),
    ]
    assert [name for (name,) in sample.lines(THREE, "name")] == ["p3" * 16, "papelaria"]


def test_an_order_that_was_sent_has_a_fulfillment(sample: Loaded) -> None:
    """With the days that the tables know."""
    (delivery,) = sample.fulfillments(ONE, "source_fulfillment_id", "in_transit_on", "delivered_on")
    assert delivery[0] == f"{ONE}-delivery"
    assert [at.isoformat() for at in delivery[1:]] == [
        "2026-03-04T22:55:00+00:00",
        "2026-03-11T00:25:13+00:00",
    ]
    assert sample.fulfillments(TWO, "delivered_on") == [(None,)]


@needs_examples
@pytest.mark.slow
@pytest.mark.parametrize(("fallbacks", "accepted"), [({}, 0), (STREET, 1481)])
def test_the_real_tables_are_read_whole(tmp_path: Path, fallbacks: dict[str, str], accepted: int) -> None:
    """Of 1,500 orders 11 have no items and 8 were paid another amount; the street is in no table."""
    names = {
        "orders": "orders", "line_items": "order_items", "customers": "customers", "payments": "order_payments",
        "products": "products",
    }  # fmt: skip
    roles = {role: f"olist-half/olist_{name}_dataset.csv" for role, name in names.items()}
    found = load_example("docs/profiles/olist.yaml", roles, tmp_path, fallbacks=fallbacks)
    assert {name: len(rows) for name, rows in found.raw.items()} == {
        "orders": 1500, "line_items": 1682, "fulfillments": 1472,
    }  # fmt: skip
    assert len(found.accepted_orders) == accepted
    for role in ("orders", "line_items"):
        assert len(found.lines_read(roles[role])) == records(EXAMPLES / roles[role]) - 1
    rules = Counter(rule for _, rule, _ in found.problems())
    assert (rules["order_has_line_items"], rules["money_adds_up"]) == (11, 8)
    zips = found.raw["orders"]["shipping_address_postal_code"]
    assert zips.str.len_chars().unique().to_list() == [5]
