"""The profile `prestashop` over its sample."""

from decimal import Decimal
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from export_factories import Row, csv_text, mapped
from profile_samples import PROJECT, Loaded, load_sample

STATE = "state_or_province_code"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Return what became of data/samples/prestashop."""
    return load_sample("prestashop", tmp_path_factory.mktemp("prestashop"))


def test_the_sample_is_accepted_but_for_the_destroyed_phone(sample: Loaded) -> None:
    """Five of six orders; two in France, which has no states, and one product without a reference."""
    assert sample.accepted_orders == ["101", "102", "103", "104", "105"]
    assert sample.problems() == {("106", "phone_is_e164", "customer_phone")}
    assert sample.uses() == {
        f"orders.billing_address_{STATE}": 2,
        f"orders.shipping_address_{STATE}": 2,
        "line_items.sku": 1,
    }


@pytest.mark.parametrize(
    ("order", "amounts"),
    [
        ("101", ("29.00", "4.95", "1.81", "35.76")),
        ("102", ("47.50", "5.00", "10.50", "63.00")),  # 5.00 off, 2.50 for wrapping
        ("104", ("12.00", "0", "0", "12.00")),
        ("105", ("0", "0", "0", "0")),  # a voucher for all of it
    ],
)
def test_the_money_is_taken_without_tax_and_adds_up(
    sample: Loaded, order: str, amounts: tuple[str, ...]
) -> None:
    """Discounts and wrapping are in the subtotal."""
    assert sample.money(order) == tuple(map(Decimal, amounts))


def test_amounts_of_six_decimals_are_rounded_and_add_up(tmp_path: Path) -> None:
    """As PrestaShop keeps them where the shop's prices hold the tax."""
    row: Row = {
        "id_order": "1", "id_order_detail": "11", "product_name": "Mug", "product_quantity": "3", "total_wrapping_tax_excl": "",
        "total_shipping_tax_excl": "4.083333", "total_paid_tax_excl": "28.958333", "total_paid_tax_incl": "34.750000",
        "unit_price_tax_excl": "8.291667", "total_price_tax_excl": "24.875000", "total_price_tax_incl": "29.850000",
    }  # fmt: skip
    tables = mapped(tmp_path, "prestashop", orders=csv_text([row], delimiter=";"))
    assert tables["orders"].select("subtotal_money", "shipping_money", "tax_money", "total_money").rows() == [
        ("24.8750", "4.0833", "5.7917", "34.7500")
    ]
    assert tables["line_items"].select("price", "tax").rows() == [("8.2917", "4.9750")]


def test_whatever_is_rounded_the_total_is_the_sum_of_its_parts(tmp_path: Path) -> None:
    """Else Corso refuses the order."""
    names = ("total_shipping_tax_excl", "total_paid_tax_excl", "total_paid_tax_incl")
    amounts = product(("4.083333", "4.000050", "0.000049", "2.123456"), repeat=3)
    rows = [
        {"id_order": str(number), "id_order_detail": "1", **dict(zip(names, each, strict=True))}
        for number, each in enumerate(amounts)
    ]
    orders = mapped(tmp_path, "prestashop", orders=csv_text(rows, delimiter=";"))["orders"]
    parts = [orders[f"{part}_money"].cast(pl.Decimal(38, 4)) for part in ("subtotal", "shipping", "tax")]
    assert sum(parts).cast(pl.String).to_list() == orders["total_money"].to_list()
    assert len(orders) == len(rows)


def test_discounts_and_wrapping_are_reported(sample: Loaded) -> None:
    """Though they change no amount."""
    assert sample.moved() == {
        ("discount", "nothing", "EUR"): Decimal("-5.00"),
        ("discount", "nothing", "USD"): Decimal("-14.50"),
        ("gift wrapping", "nothing", "EUR"): Decimal("2.50"),
    }


def test_a_line_has_its_own_tax_and_its_variant(sample: Loaded) -> None:
    """No variant where the product has none."""
    assert sample.lines("102", "source_line_item_id", "sku", "price", "tax", "variant_id") == [
        ("9002", "TEE-M", Decimal("20.00"), Decimal("8.00"), "41"),
        ("9003", "8103", Decimal("10.00"), Decimal("2.00"), None),
    ]


def test_an_order_that_was_shipped_has_one_fulfillment(sample: Loaded) -> None:
    """Also where it has several lines."""
    assert sample.fulfillments("102", "source_fulfillment_id", "tracking_info_number") == [
        ("4102", "TRK-EX-0002")
    ]
    assert sample.fulfillments("104", "source_fulfillment_id") == []


def test_a_cancelled_order_has_its_time_and_its_reason(sample: Loaded) -> None:
    """In the shop's zone."""
    order = sample.order("103")
    assert order["source_canceled_on"].isoformat() == "2026-02-21T08:30:00+00:00"
    assert order["canceled_reason"] == "Canceled"


def test_the_query_on_the_page_gives_every_header_that_the_profile_reads() -> None:
    """By its name, or by its alias."""
    page = (PROJECT / "docs" / "profiles" / "prestashop.md").read_text(encoding="utf-8")
    query = page.partition("```sql")[2].partition("FROM ps_orders o")[0]
    header = (
        (Path(PROJECT) / "data/samples/prestashop/orders.csv").read_text(encoding="utf-8").splitlines()[0]
    )
    assert [name for name in header.split(";") if name not in query] == []
