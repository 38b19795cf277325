"""The money, step by step: each amount is the sum of its findings, and two currencies are never added up."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from comparing import Found, compared
from factories import Row, line_row, order_row, outcome_row, quarantine_row, record_of, summary_of
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corso.report.bridge import APART, STEPS, money_bridge, rows_of
from corso.report.summary import money_rows
from corso.report.verdict import judge


def bridge(found: Found) -> list[dict[str, Any]]:
    """Return the bridge's rows."""
    return money_bridge(money_rows(found.money), found.findings).to_dicts()


def test_a_record_in_another_currency_counts_in_its_own() -> None:
    """27 dollars are missing and 27 euros are there: 0 would be a lie."""
    order, line = order_row(), line_row()
    found = compared([order], [line], [record_of(order, [line], customerCurrencyCode="EUR")])
    euros, dollars = bridge(found)
    assert (dollars["source"], dollars["corso"], dollars["difference"]) == (27, 0, 27)
    assert (euros["source"], euros["corso"], euros["difference"]) == (0, 27, -27)
    assert (dollars["unexplained"], euros["unexplained"]) == (27, -27)
    assert found.findings["field"].to_list() == ["customer_currency_code"]


def test_a_currency_that_corso_fills_in_is_no_other_currency() -> None:
    """The source names none, so the store's counts on both sides."""
    order, line = order_row(customer_currency_code=None), line_row()
    record = record_of(order, [line], customerCurrencyCode="USD")
    other = record_of(order_row(2), [line_row(2)], 2)
    found = compared([order, order_row(2)], [line, line_row(2)], [record, other])
    assert found.findings.is_empty()
    assert not any(row["difference"] for row in bridge(found))


@pytest.mark.parametrize(
    ("changes", "record", "ignore"),
    [
        ({"customer_currency_code": None}, {"customerCurrencyCode": "CAD"}, ()),
        ({}, {"customerCurrencyCode": None}, ()),
        ({}, {"customerCurrencyCode": "CAD"}, ("customer_currency_code",)),
    ],
)
def test_a_currency_that_is_filled_in_missing_or_ignored_is_the_orders(
    changes: Row, record: Row, ignore: tuple[str, ...]
) -> None:
    """A total that is off then shows in the order's own currency, once."""
    order, line = order_row(**changes), line_row()
    there = record_of(order, [line], totalMoney=Decimal("27.01")) | record
    (row,) = bridge(compared([order], [line], [there], ignore=ignore))
    assert (row["corso"], row["difference"]) == (Decimal("27.01"), Decimal("-0.01"))
    assert row["unexplained"] == row["difference"]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({"totalMoney": 32}, {"totalMoney": 22}, "2 orders: it is off by 10.00 USD in all"),
        (
            {"customerCurrencyCode": "EUR"},
            {"customerCurrencyCode": "USD"},
            "2 orders: it is off by 54.00 EUR, 54.00 USD in all",
        ),
        ({"totalMoney": Decimal("27.0000001")}, {}, "1 order"),
        ({"customerCurrencyCode": None}, {}, "1 order"),
        ({"sourceCreatedOn": "2026-09-01T00:00:00Z"}, {"orderName": "#9"}, None),
    ],
)
def test_money_ties_only_where_that_of_every_order_does(first: Row, second: Row, said: str | None) -> None:
    """Five more in one order and five less in another is nothing in the sum, and two wrong orders."""
    currency = "EUR" if "customerCurrencyCode" in second else "USD"
    orders = [order_row(1), order_row(2, customer_currency_code=currency)]
    lines = [line_row(1), line_row(2)]
    records = [record_of(orders[0], [lines[0]]) | first, record_of(orders[1], [lines[1]], 2) | second]
    found = compared(orders, lines, records)
    summary = summary_of(accepted=2, money=money_rows(found.money))
    assert not any(row["difference"] for row in bridge(found))
    part = judge(summary, found.findings).promise[2]
    assert part.kept is (said is None)
    assert said is None or part.sentence == f"the money ties in sum, but not that of {said}"


def test_a_copy_does_not_make_up_for_a_missing_order() -> None:
    """What is there twice and what is not there at all come to nothing in the sum."""
    orders, lines = [order_row(1), order_row(2)], [line_row(1), line_row(2)]
    found = compared(orders, lines, [record_of(orders[0], [lines[0]], number) for number in (1, 2)])
    summary = summary_of(accepted=2, money=money_rows(found.money))
    part = judge(summary, found.findings).promise[2]
    assert (part.kept, part.sentence) == (
        False,
        "the money ties in sum, but not that of 2 orders: it is off by 54.00 USD in all",
    )


def test_copies_in_another_currency_count_in_theirs() -> None:
    """A doubled order of which one record is in euros."""
    order, line = order_row(), line_row()
    records = [record_of(order, [line], 1), record_of(order, [line], 2, customerCurrencyCode="EUR")]
    euros, dollars = bridge(compared([order], [line], records))
    assert (dollars["corso"], dollars["difference"], dollars["duplicate"]) == (27, 0, 0)
    assert (euros["corso"], euros["difference"], euros["duplicate"]) == (27, -27, -27)


def test_a_month_that_holds_nothing_but_foreign_records_is_a_row() -> None:
    """Live integrations write into months that no batch has."""
    order, line = order_row(), line_row()
    live = order_row(9, source_created_on=datetime(2025, 1, 5, tzinfo=UTC))
    found = compared([order], [line], [record_of(order, [line]), record_of(live, [line_row(9)], 9)])
    foreign, mine = bridge(found)
    assert (foreign["month"], foreign["foreign"], foreign["corso_with_foreign"]) == ("2025-01", 27, 27)
    assert (foreign["source"], foreign["difference"], mine["foreign"]) == (0, 0, 0)


def test_a_month_is_moved_in_corso_and_the_money_stays_in_the_orders_month() -> None:
    """The date differs, and that is the finding; the money is there."""
    order, line = order_row(), line_row()
    found = compared([order], [line], [record_of(order, [line], sourceCreatedOn="2026-09-01T00:00:00Z")])
    (row,) = bridge(found)
    assert (row["month"], row["difference"]) == ("2026-11", 0)


STATES = st.sampled_from(
    [
        "matched",
        "rejected",
        "unknown",
        "not_sent",
        "gone",
        "a cent off",
        "doubled",
        "foreign",
        "quarantined",
        "quarantined, and somebody else's",
        "quarantined, and brought before",
    ]
)


@pytest.mark.slow
@hypothesis_settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(STATES, st.sampled_from(["USD", "EUR"]), st.integers(1, 12)), max_size=12))
def test_the_bridge_ties_step_by_step_whatever_happened(drawn: list[tuple[str, str, int]]) -> None:
    """Source less its steps is expected, less what is apart is Corso, and each step is the sum of its rows."""
    orders: list[Row] = []
    lines, records, quarantined, outcomes, known = [], [], [], [], []
    for number, (state, currency, month) in enumerate(drawn, 1):
        at = datetime(2026, month, 15, 12, tzinfo=UTC)
        order = order_row(number, customer_currency_code=currency, source_created_on=at)
        record = record_of(order, [line_row(number)], number)
        if state.startswith("quarantined"):
            quarantined.append(quarantine_row(number, currency=currency, month=f"2026-{month:02}"))
            records += [record | {"customerCurrencyCode": "JPY"}] if "," in state else []
            known += [f"o-{number}"] if state.endswith("before") else []
            continue
        if state != "foreign":
            orders.append(order)
            lines.append(line_row(number))
        if state in {"rejected", "unknown", "not_sent"}:
            row = outcome_row(number, outcome=state, holds_planned=False)
            outcomes.append(row)
        elif state == "a cent off":
            records.append(record | {"totalMoney": Decimal("27.01")})
        elif state != "gone":
            records += [record | {"orderId": number * 100 + copy} for copy in range(1 + (state == "doubled"))]
    found = compared(orders, lines, records, quarantined=quarantined, outcomes=outcomes, known=known)
    findings = found.findings
    for row in bridge(found):
        assert row["source"] - row["quarantined"] - sum(row[step] for step in STEPS) == row["expected"]
        assert row["expected"] - sum(row[name] for name in APART) == row["corso"]
        assert row["corso"] + row["foreign"] == row["corso_with_foreign"]
        here = findings.filter(currency=row["currency"], month=row["month"])
        for step in ("quarantined", *STEPS, *APART):
            rows = here.filter(rows_of(step))
            assert _sum(rows, "source_money") - _sum(rows, "corso_money") == row[step]
        foreign = here.filter(rows_of("foreign"))
        assert (_sum(foreign, "corso_money"), _sum(foreign, "source_money")) == (row["foreign"], 0)


def _sum(rows: pl.DataFrame, column: str) -> Decimal:
    return rows[column].sum() or Decimal(0)
