"""The canary's choice: few orders that show as much as possible, the same ones every time."""

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from corso.extract.canary import choose_canary
from tests.factories import Row, line_row, lines_frame, order_row, orders_frame


def choose(
    rows: list[Row], count: int, lines: list[Row] | None = None, *, reverse: bool = False
) -> list[str]:
    """Choose among all of these orders; without `lines` each has one."""
    orders = orders_frame(rows[::-1] if reverse else rows)
    own = lines or [line_row(source_order_id=row["source_order_id"]) for row in rows]
    candidates = orders.lazy().select("source_order_id")
    return choose_canary(orders.lazy(), lines_frame(own).lazy(), candidates, count)


SHAPES = st.fixed_dictionaries(
    {
        "year": st.sampled_from([2021, 2023, 2026]),
        "currency": st.sampled_from(["USD", "EUR", "JPY"]),
        "note": st.sampled_from([None, "ring", "läute"]),
        "cancelled": st.booleans(),
    }
)


def rows_of(shapes: list[dict[str, object]]) -> list[Row]:
    """Return one order a shape."""
    return [
        order_row(
            number,
            source_created_on=datetime(int(str(shape["year"])), 5, 1, tzinfo=UTC),
            customer_currency_code=shape["currency"],
            notes=shape["note"],
            source_canceled_on=datetime(2026, 6, 1, tzinfo=UTC) if shape["cancelled"] else None,
        )
        for number, shape in enumerate(shapes, 1)
    ]


@given(st.lists(SHAPES, min_size=1, max_size=30), st.integers(0, 40))
def test_as_many_as_asked_for_all_different_and_the_same_every_time(
    shapes: list[dict[str, object]], count: int
) -> None:
    """In whatever order the rows are; all of them where there are no more."""
    rows = rows_of(shapes)
    chosen = choose(rows, count)
    assert len(chosen) == len(set(chosen)) == min(count, len(rows))
    assert set(chosen) <= {row["source_order_id"] for row in rows}
    assert chosen == choose(rows, count, reverse=True)


@given(st.lists(SHAPES, min_size=1, max_size=30))
def test_every_year_and_every_currency_goes_first(shapes: list[dict[str, object]]) -> None:
    """Ten orders are enough to show three years, three currencies and what else these orders have."""
    chosen = choose(rows_of(shapes), 10)
    of_chosen = [shapes[int(source_order_id.removeprefix("o-")) - 1] for source_order_id in chosen]
    for feature in ("year", "currency", "note", "cancelled"):
        assert {shape[feature] for shape in of_chosen} == {shape[feature] for shape in shapes}


def test_one_odd_order_among_thousands_goes_first() -> None:
    """The rare ones are where a mapping fails."""
    rows = [order_row(number) for number in range(1, 3001)]
    rows[1234]["total_money"] = Decimal("-1.00")
    rows[2345]["notes"] = "x" * 300
    assert {"o-1235", "o-2346"} <= set(choose(rows, 4))


def test_lines_count_too() -> None:
    """One order with many lines, one with half a piece."""
    rows = [order_row(number) for number in range(1, 101)]
    lines = [line_row(source_order_id=row["source_order_id"]) for row in rows]
    lines += [line_row(source_order_id="o-40", source_line_item_id=str(number)) for number in range(10, 20)]
    lines[59] |= {"quantity": Decimal("0.5")}
    assert {"o-40", "o-60"} <= set(choose(rows, 4, lines))


def test_only_candidates_are_chosen() -> None:
    """What is in Corso already need not go first."""
    orders = orders_frame([order_row(number) for number in range(1, 51)])
    lines = lines_frame([line_row(source_order_id=f"o-{number}") for number in range(1, 51)])
    candidates = pl.LazyFrame({"source_order_id": ["o-7", "o-8", "o-9"]})
    chosen = choose_canary(orders.lazy(), lines.lazy(), candidates, 2)
    assert len(chosen) == 2
    assert set(chosen) < {"o-7", "o-8", "o-9"}
