"""The canary's choice: few orders that show as much as possible, the same ones every time."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from factories import Row, line_row, lines_frame, order_row, orders_frame
from hypothesis import given, settings
from hypothesis import strategies as st

from corso.extract import canary
from corso.extract.canary import choose_canary


def choose(
    rows: list[Row], count: int, lines: list[Row] | None = None, *, reverse: bool = False
) -> list[str]:
    """Choose among all of these orders; without `lines` each has one."""
    orders = orders_frame(rows[::-1] if reverse else rows)
    own = lines or [line_row(source_order_id=row["source_order_id"]) for row in rows]
    candidates = orders.lazy().select("source_order_id")
    return choose_canary(orders.lazy(), lines_frame(own).lazy(), candidates, count)


def chosen_of(orders: list[Row], lines: list[Row], ids: list[str], count: int) -> list[str]:
    """Choose among these candidates."""
    candidates = pl.LazyFrame({"source_order_id": ids}, schema={"source_order_id": pl.String})
    return choose_canary(orders_frame(orders).lazy(), lines_frame(lines).lazy(), candidates, count)


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


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
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


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(st.lists(SHAPES, min_size=1, max_size=20), st.integers(0, 25), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(
    shapes: list[dict[str, object]], count: int, chance: random.Random
) -> None:
    """Orders, lines and candidates shuffled, each in its own way."""
    rows = rows_of(shapes)
    lines = [line_row(number, line) for number in range(1, len(rows) + 1) for line in range(number % 4)]
    ids = [row["source_order_id"] for row in rows]
    chosen = chosen_of(rows, lines, ids, count)
    for shuffled in (rows, lines, ids):
        chance.shuffle(shuffled)
    assert chosen == chosen_of(rows, lines, ids, count)


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
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


def test_one_odd_line_is_enough() -> None:
    """Beside lines that are plain."""
    rows = [order_row(number) for number in range(1, 21)]
    lines = [line_row(number, line) for number in range(1, 21) for line in (1, 2, 3)]
    lines[3 * 6 + 1]["price"] = Decimal("-10.00")
    assert "o-7" in choose(rows, 2, lines)


def test_only_candidates_are_chosen() -> None:
    """What is in Corso already need not go first."""
    orders = orders_frame([order_row(number) for number in range(1, 51)])
    lines = lines_frame([line_row(source_order_id=f"o-{number}") for number in range(1, 51)])
    candidates = pl.LazyFrame({"source_order_id": ["o-7", "o-8", "o-9"]})
    chosen = choose_canary(orders.lazy(), lines.lazy(), candidates, 2)
    assert len(chosen) == 2
    assert set(chosen) < {"o-7", "o-8", "o-9"}


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, *range(2015, 2023)]),
            st.sampled_from([None, "USD", "EUR", "JPY", "GBP"]),
            st.sampled_from(["US", "DE", "FR", "AT", "CH", "PL", "SE"]),
            st.sampled_from(["US", "DE", "FR", "AT", "CH", "PL", "SE"]),
            st.text(st.sampled_from('aé😀" '), max_size=4) | st.none(),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_years_and_currencies_are_not_crowded_out(orders: list[tuple[Any, ...]]) -> None:
    """As many places as there are years and currencies are enough, whatever else the orders have."""
    rows = [
        order_row(
            number,
            source_created_on=None if year is None else datetime(year, 1, 1, tzinfo=UTC),
            customer_currency_code=currency,
            shipping_address_country_code=shipped_to,
            billing_address_country_code=billed_to,
            notes=notes,
        )
        for number, (year, currency, shipped_to, billed_to, notes) in enumerate(orders)
    ]
    years, currencies = {order[0] for order in orders}, {order[1] for order in orders}
    chosen = [orders[int(each.removeprefix("o-"))] for each in choose(rows, len(years) + len(currencies))]
    assert {order[0] for order in chosen} == years
    assert {order[1] for order in chosen} == currencies


def test_the_most_usual_order_goes_first() -> None:
    """The first order shows whether anything works at all; equals are told apart by their id."""
    rows = [order_row(number, notes="odd" if number < 3 else None) for number in range(1, 8)]
    assert choose(rows, 2) == ["o-3", "o-1"]
    assert choose([order_row(2), order_row(1, notes="odd")], 1) == ["o-1"]


def test_none_are_chosen_where_none_are_asked_for_or_there_are_none() -> None:
    """upload.canary: 0 switches it off; everything may have been sent."""
    assert choose([order_row()], 0) == []
    assert chosen_of([order_row()], [line_row()], [], 20) == []
    assert chosen_of([], [], [], 20) == []


def test_years_come_before_flags() -> None:
    """Orders that are odd in many ways do not take the places of the years."""
    odd = [
        ("channel", "channel_id"),
        ("notes", "shipping_title"),
        ("billing_address_line2", "billing_address_name"),
        ("shipping_address_line2", "shipping_address_name"),
        ("billing_address_first_name", "billing_address_last_name"),
    ]
    rows = [order_row(number, **dict.fromkeys(names, "x")) for number, names in enumerate(odd, 10)]
    rows += [order_row(20), order_row(21)]
    rows += [
        order_row(number, source_created_on=datetime(2015 + number, 1, 1, tzinfo=UTC)) for number in range(5)
    ]
    # Six years and a currency.
    assert {f"o-{number}" for number in range(5)} < set(choose(rows, 6))


def test_flags_come_before_countries() -> None:
    """A shop that ships to many countries still sends its one cancelled order first."""
    countries = ["US"] * 5 + ["DE", "FR", "AT", "CH", "PL", "SE", "NO", "DK", "FI"]
    rows = [
        order_row(number, shipping_address_country_code=country, billing_address_country_code=country)
        for number, country in enumerate(countries)
    ]
    rows[4]["source_canceled_on"] = datetime(2026, 11, 21, tzinfo=UTC)
    # The others are of one more country each.
    assert choose(rows, 2) == ["o-0", "o-4"]


def test_rare_values_are_seen_although_only_the_most_frequent_shapes_are_weighed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each value has the most frequent shape that shows it, however rare it is: flags of orders and of lines too."""
    monkeypatch.setattr(canary, "_MOST_SHAPES", 2)
    years = [2020, 2021, 2022, 2023]
    rows = [
        order_row(100 * (year - 2019) + number, source_created_on=datetime(year, 1, 1, tzinfo=UTC))
        for year in years
        for number in range(10)
    ]
    rows += [
        order_row(1, customer_currency_code="KWD"),
        order_row(2, is_shipping_protected=True),
        order_row(3),
    ]
    lines = [line_row(source_order_id=row["source_order_id"]) for row in rows]
    lines[-1]["quantity"] = Decimal(0)
    assert {"o-1", "o-2", "o-3"} <= set(choose(rows, 8, lines))


def test_what_is_left_goes_to_the_most_frequent_shapes_year_by_year() -> None:
    """Once everything was seen, the years take turns; one that has no more leaves its turns to the others."""
    shapes = [("a", 2020), ("b", 2020), ("c", 2021), ("d", 2020), ("e", None), ("f", 2021)]
    most_frequent_first = [canary._Shape(source_order_id, year, ()) for source_order_id, year in shapes]
    assert canary._fill_from_shapes(most_frequent_first, ["a"], 4) == ["e", "b", "c", "d"]
    assert canary._fill_from_shapes(most_frequent_first, ["a"], 9) == ["e", "b", "c", "d", "f"]


def test_orders_that_are_all_alike_are_spread_over_time() -> None:
    """What changed in the course of a year may show in nothing that is looked at."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    rows = [order_row(number, source_created_on=start + timedelta(days=number)) for number in range(300)]
    days = sorted(int(each.removeprefix("o-")) for each in choose(rows, 11))
    gaps = [later - earlier for earlier, later in pairwise(days)]
    assert len(days) == 11
    assert max(gaps) <= 31
    assert days[0] <= 31
    assert days[-1] >= 269


ODD_ORDERS: dict[str, Row] = {
    "notes is filled": {"notes": "x"},
    "source_canceled_on is filled": {"source_canceled_on": datetime(2026, 11, 21, tzinfo=UTC)},
    "billing_address_line2 is filled": {"billing_address_line2": "Flat 2"},
    "protected": {"is_shipping_protected": True},
    "sent abroad": {"shipping_address_country_code": "CA"},
    "sent elsewhere": {"shipping_address_line1": "2 Main St"},
    "without a total": {"total_money": Decimal(0)},
    "zero": {"shipping_money": Decimal(0)},
    "negative": {"tax_money": Decimal("-0.01")},
    "finer than cents": {"tax_money": Decimal("1.005")},
    "large": {"subtotal_money": Decimal(-1_000_000)},
    "plain notes": {"notes": "ring"},
    "fractional grams": {"grams": Decimal("0.5")},
    "finer than seconds": {"source_updated_on": datetime(2026, 11, 21, 1, 1, 1, 1, tzinfo=UTC)},
    "people_and_places: not ASCII": {"shipping_address_city": "Köln"},
    "people_and_places: emoji": {"customer_first_name": "😀"},
    "people_and_places: escaped in JSON": {"billing_address_line1": 'the "Mill"'},
    "people_and_places: outer spaces": {"billing_address_city": "Springfield\u00a0"},
    "people_and_places: long": {"customer_email": "x" * 101},
    "people_and_places: very long": {"shipping_address_line1": "ü" * 256},
    "own_texts: not ASCII": {"source_order_id": "№1"},
    "own_texts: emoji": {"channel": "😀"},
    "own_texts: escaped in JSON": {"notes": "a\nb"},
    "own_texts: outer spaces": {"shipping_title": " Express"},
    "own_texts: long": {"notes": "x" * 101},
    "own_texts: very long": {"notes": "x" * 256},
}
ODD_LINES: dict[str, Row] = {
    "vendor is filled": {"vendor": "Acme"},
    "product_id is empty": {"product_id": None},
    "no options": {"options": []},
    "several options": {"options": [{"name": "Size", "value": "M"}, {"name": "Colour", "value": "red"}]},
    "quantity zero": {"quantity": Decimal(0)},
    "quantity negative": {"quantity": Decimal(-1)},
    "quantity fractional": {"quantity": Decimal("0.5")},
    "price zero": {"price": Decimal(0)},
    "price negative": {"price": Decimal("-0.01")},
    "price finer than cents": {"price": Decimal("0.0001")},
    "tax zero": {"tax": Decimal(0)},
    "tax negative": {"tax": Decimal(-1)},
    "tax finer than cents": {"tax": Decimal("0.125")},
    "line_texts: not ASCII": {"name": "Tasse, groß"},
    "line_texts: emoji": {"name": "Mug 😀"},
    "line_texts: escaped in JSON": {"sku": "a\\b"},
    "line_texts: outer spaces": {"name": "\tMug"},
    "line_texts: long": {"name": "x" * 101},
    "line_texts: very long": {"name": "x" * 256},
}


def flags_of(
    frame: pl.DataFrame, flags: dict[str, pl.Expr], texts: dict[str, list[str]]
) -> list[bool | None]:
    """Return the only row's flags."""
    row = canary._with_texts(frame.lazy(), texts).select(value.alias(name) for name, value in flags.items())
    return list(row.collect().row(0))


@pytest.mark.parametrize(("flag", "changes"), ODD_ORDERS.items(), ids=ODD_ORDERS.keys())
def test_what_an_order_may_stumble_over_is_a_flag(flag: str, changes: Row) -> None:
    """It is set where the order has it, and not on a plain one."""
    flags, texts = canary._order_flags(), canary._ORDER_TEXTS
    place = list(flags).index(flag)
    plain = order_row(source_order_id="1", order_name="1001")
    assert not flags_of(orders_frame([plain]), flags, texts)[place]
    assert flags_of(orders_frame([plain | changes]), flags, texts)[place]


@pytest.mark.parametrize(("flag", "changes"), ODD_LINES.items(), ids=ODD_LINES.keys())
def test_what_a_line_may_stumble_over_is_a_flag(flag: str, changes: Row) -> None:
    """It is set where the line has it, and not on a plain one."""
    flags, texts = canary._line_flags(), canary._LINE_TEXTS
    place = list(flags).index(flag)
    assert not flags_of(lines_frame([line_row()]), flags, texts)[place]
    assert flags_of(lines_frame([line_row(**changes)]), flags, texts)[place]


def test_every_flag_is_tried_and_has_a_bit_of_its_own() -> None:
    """A column that is added to a schema brings a flag; the sixty-fifth would need another word."""
    for flags, tried in ((canary._order_flags(), ODD_ORDERS), (canary._line_flags(), ODD_LINES)):
        assert len(flags) <= 64
        untried = [name for name in flags if name not in tried]
        assert all(name.endswith((" is filled", " is empty")) for name in untried), untried


@pytest.mark.parametrize(("lines", "bucket"), [(0, 0), (1, 1), (2, 2), (5, 2), (6, 6), (40, 6)])
def test_lines_are_counted_as_none_one_a_few_and_many(lines: int, bucket: int) -> None:
    """The number itself would make a shape of every number."""
    orders = orders_frame([order_row()]).lazy()
    own = lines_frame([line_row(1, number) for number in range(lines)]).lazy()
    counted = canary._count_shapes(orders, own, orders.select("source_order_id"))
    assert counted["line_count"].to_list() == [bucket]
