"""Fallbacks: the merchant's own choice of what fills a gap, counted, and never more than that."""

import pytest
from export_factories import STORE, checked, fulfillment_text, line_text, order_text

from corso.errors import SettingsError
from corso.extract.fallbacks import read_fallbacks


def test_a_fallback_fills_only_what_is_empty() -> None:
    """A value that is there stays; blanks count as nothing."""
    lines = [line_text(1, 1), line_text(1, 2, sku=None), line_text(1, 3, sku="  ")]
    result = checked([order_text()], lines, fallbacks={"line_items.sku": "none-{source_line_item_id}"})
    assert result.accepted["line_items"]["sku"].to_list() == ["MUG-1", "none-2", "none-3"]


def test_each_use_is_counted() -> None:
    """The report can show how much was made up; a fallback that was never needed says so."""
    lines = [line_text(1, 1, sku=None), line_text(1, 2, sku=None)]
    result = checked(
        [order_text()],
        lines,
        fallbacks={"line_items.sku": "x", "orders.notes": "{source_order_id}", "orders.order_name": "y"},
    )
    assert result.fallbacks_used == {"line_items.sku": 2, "orders.notes": 1, "orders.order_name": 0}


def test_a_template_whose_own_column_is_empty_fills_nothing() -> None:
    """Half a value is no value: the row stays as it was, and no use is counted."""
    result = checked([order_text()], [line_text(sku=None)], fallbacks={"line_items.sku": "{product_id}-x"})
    assert result.fallbacks_used == {"line_items.sku": 0}
    assert result.accepted["orders"].is_empty()


def test_fallbacks_are_applied_in_the_order_of_loader_yaml() -> None:
    """A later one may use what an earlier one filled."""
    result = checked(
        [order_text(notes=None, channel=None)],
        fallbacks={"orders.channel": "web", "orders.notes": "came by {channel}"},
    )
    assert result.accepted["orders"]["notes"].to_list() == ["came by web"]


def test_a_fallback_is_converted_and_checked_like_a_value() -> None:
    """What a merchant declares can be wrong too."""
    result = checked([order_text(tax_money=None)], fallbacks={"orders.tax_money": "two"})
    assert "tax_money 'two' is not an amount of money" in result.quarantine["reasons"][0]


def test_a_customer_is_never_made_up() -> None:
    """A guest's order stays without a customer; one whose customer has a gap gets it filled."""
    guest = order_text(
        1,
        **dict.fromkeys(
            [name for name in order_text() if name.startswith("customer_") and "currency" not in name]
        ),
    )
    named = order_text(2, customer_last_name=None)
    result = checked([guest, named], fallbacks={"orders.customer_last_name": "unknown"})
    assert result.accepted["orders"]["customer_last_name"].to_list() == [None, "unknown"]
    assert result.fallbacks_used == {"orders.customer_last_name": 1}


def test_a_row_that_cannot_be_trusted_is_not_filled() -> None:
    """A ragged row's empty columns are not gaps: its values stand in the wrong places."""
    result = checked(
        [order_text(notes=None)], fallbacks={"orders.notes": "x"}, order_faults={0: "the row has 1 fields"}
    )
    assert result.fallbacks_used == {"orders.notes": 0}


def test_the_warehouse_comes_from_the_configured_map() -> None:
    """A name becomes Corso's number, nothing the default's, and a number stays one."""
    store = STORE.model_copy(update={"fulfillment_locations": {"Boston": 12, "default": 14}})
    rows = [
        fulfillment_text(1, number, fulfillment_location_id=place)
        for number, place in enumerate(["Boston", None, "77"])
    ]
    result = checked([order_text()], fulfillments=rows, store=store)
    assert result.accepted["fulfillments"]["fulfillment_location_id"].to_list() == [12, 14, 77]


REFUSED = {
    "line_item.sku": "'line_item.sku' is not table.column; did you mean 'line_items.sku'?",
    "sku": "'sku' is not table.column",
    "line_items.skuu": "line_items has no column 'skuu'; did you mean 'sku'?",
    "orders.file": "orders has no column 'file'",
}


@pytest.mark.parametrize(("key", "sentence"), REFUSED.items())
def test_an_unknown_name_is_refused_with_the_nearest(key: str, sentence: str) -> None:
    """A fallback that would silently do nothing is a mistake in loader.yaml."""
    with pytest.raises(SettingsError) as error:
        read_fallbacks({key: "x"})
    assert sentence in str(error.value)


def test_an_unknown_placeholder_is_refused_with_the_nearest() -> None:
    """The same for the columns that a template names."""
    with pytest.raises(
        SettingsError, match=r"has no column 'source_line_id'; did you mean 'source_line_item_id'\?"
    ):
        read_fallbacks({"line_items.sku": "{source_line_id}"})
