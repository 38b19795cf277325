"""What fallbacks filled and money policies moved, in words: the same ones in the workbook and on the terminal."""

from collections.abc import Iterator

from schemas.filled_values import FallbackUse
from schemas.money import money_text
from schemas.moved_money import MovedAmount


def said_use(use: FallbackUse) -> str:
    """Say what a fallback filled: `38 line items of 35 orders`, and what stands in rows that are not loaded."""
    return "".join(_parts(use))


def said_amount(row: MovedAmount) -> str:
    """Say what was moved where: `-12.50 USD into subtotal, in 3 orders`; `left out` where it is in no amount of Corso's."""
    where = "left out" if row.into == "nothing" else f"into {row.into}"
    return (
        f"{money_text(row.amount, grouped=True)} {row.currency} {where}, in {_counted(row.orders, 'orders')}"
    )


def _parts(use: FallbackUse) -> Iterator[str]:
    yield _said_values(use) if use.values else "nothing"
    of_rules = [f"{rule.values:,} by {rule.rule}" for rule in use.rules if rule.values]
    if len(use.rules) > 1 and of_rules:
        yield f": {', '.join(of_rules)}"
    if not_loaded := use.values_of_all_rows - use.values:
        yield f" ({not_loaded:,} {'more ' if use.values else ''}in rows that are not loaded)"


def _said_values(use: FallbackUse) -> str:
    orders = _counted(use.orders, "orders")
    if use.table == "orders":
        return orders
    return f"{_counted(use.values, use.table.replace('_', ' '))} of {orders}"


def _counted(number: int, plural: str) -> str:
    return f"{number:,} {plural.removesuffix('s') if number == 1 else plural}"
