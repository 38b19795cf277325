"""How a fallback's use is said: what counts first, and nothing that is not there."""

import pytest

from corso.report.filled import said_use
from schemas.filled_values import FallbackUse, RuleUse


def use(name: str, orders: int, *rules: tuple[str, int, int]) -> FallbackUse:
    """Return a use; a rule is its text, values in accepted orders, values in all rows."""
    return FallbackUse(name, orders, tuple(RuleUse(*rule) for rule in rules))


SAID = {
    "38 line items of 35 orders": use("line_items.sku", 35, ("{a}", 38, 38)),
    "1 line item of 1 order": use("line_items.sku", 1, ("{a}", 1, 1)),
    "1,200 orders": use("orders.notes", 1200, ("x", 1200, 1200)),
    "2 fulfillments of 1 order (3 more in rows that are not loaded)": use(
        "fulfillments.shipment_status", 1, ("x", 2, 5)
    ),
    "nothing": use("orders.notes", 0, ("x", 0, 0)),
    "nothing (2 in rows that are not loaded)": use("orders.notes", 0, ("x", 0, 2), ("y", 0, 0)),
    "3 orders: 2 by {a}, 1 by {c|lower} (1 more in rows that are not loaded)": use(
        "orders.notes", 3, ("{a}", 2, 3), ("{b}", 0, 0), ("{c|lower}", 1, 1)
    ),
}


@pytest.mark.parametrize(("sentence", "of"), SAID.items())
def test_what_is_said_of_a_use(sentence: str, of: FallbackUse) -> None:
    """Values in accepted orders are what an analyst signs; the others are told apart."""
    assert said_use(of) == sentence


def test_uses_of_two_buckets_add_up() -> None:
    """Rule by rule: their orders are different ones."""
    one, other = (
        use("orders.notes", 3, ("{a}", 2, 3), ("x", 1, 1)),
        use("orders.notes", 1, ("{a}", 1, 1), ("x", 0, 2)),
    )
    assert one + other == use("orders.notes", 4, ("{a}", 3, 4), ("x", 1, 3))
