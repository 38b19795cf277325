"""The page's pictures and its embedded data as numbers: drawn where the amounts are, counted as the summary counts."""

import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from comparing import compared
from factories import (
    line_row,
    order_row,
    outcome_row,
    outcomes_frame,
    quarantine_frame,
    quarantine_row,
    record_of,
)
from hypothesis import given
from hypothesis import strategies as st
from report_factories import finding, findings_frame, many_findings, money_row, months_frame

from corso.report.bridge import money_bridge
from corso.report.monthly import ORDERS_BY_MONTH, orders_by_month
from corso.report.page.embedded import embedded_findings
from corso.report.page.months import month_pictures
from corso.report.page.waterfall import Waterfall, shown_amounts, waterfalls
from corso.report.summary import MoneyRow, money_rows
from schemas.reconciliation import FINDINGS


def fall_of(money: list[MoneyRow], findings: pl.DataFrame | None = None) -> list[Waterfall]:
    """Draw the bridge of these amounts."""
    return waterfalls(money_bridge(money, findings_frame([]) if findings is None else findings))


def rejected(amount: str, number: int = 1) -> pl.DataFrame:
    """Return the finding of a rejected order of this amount."""
    return findings_frame(
        [finding(number, kind="missing", cause="rejected", source_money=Decimal(amount), corso_money=None)]
    )


def test_a_waterfall_goes_from_the_source_down_to_corso() -> None:
    """Each step begins where the one before ended; what takes away is below zero."""
    (fall,) = fall_of([money_row("90", "70", source="100")], rejected("20"))
    assert [(step.name, step.effect) for step in fall.steps] == [
        ("source", 100),
        ("quarantined", -10),
        ("rejected", -20),
        ("expected", 70),
        ("corso", 70),
    ]
    assert not fall.is_cut
    for before, after in zip(fall.steps, fall.steps[1:], strict=False):
        assert after.before == before.after
    assert [step.after for step in fall.steps[2:]] == [fall.steps[2].after] * 3


def test_before_comparing_the_picture_ends_with_what_is_expected() -> None:
    """What Corso holds is not zero: it is not known."""
    bridge = money_bridge([money_row("90", "0", source="100")], findings_frame([]))
    (fall,) = waterfalls(bridge, is_compared=False)
    assert [step.name for step in fall.steps] == ["source", "quarantined", "expected"]
    assert shown_amounts(bridge.to_dicts(), is_compared=False) == ["source", "quarantined", "expected"]
    assert "difference" in shown_amounts(bridge.to_dicts(), is_compared=True)


def test_small_steps_are_seen_because_bars_are_cut_and_say_so() -> None:
    """Twenty of a million would be a hair's breadth."""
    (fall,) = fall_of([money_row("1000000", "999980")], rejected("20"))
    assert fall.is_cut
    step = next(step for step in fall.steps if step.name == "rejected")
    assert step.width > 300


def test_foreign_records_do_not_squeeze_the_picture() -> None:
    """A live store holds a thousand times as much as a night's batch: its bar ends at the edge."""
    foreign = findings_frame(
        [finding(1, kind="foreign", cause="foreign", source_money=None, corso_money=Decimal(100_000))]
    )
    (fall,) = fall_of([money_row("90", "70", source="100")], pl.concat([foreign, rejected("20", 2)]))
    widths = {step.name: step.width for step in fall.steps}
    assert widths["source"] > 800
    assert [step.name for step in fall.steps if step.is_cut_right] == ["foreign", "corso_with_foreign"]


def test_currencies_have_pictures_of_their_own() -> None:
    """They are never added up."""
    euros = money_row("5", "5").model_copy(update={"currency": "EUR"})
    falls = fall_of([money_row("9", "9"), money_row("1", "1", month="2026-12"), euros])
    assert [(fall.currency, fall.months, fall.steps[0].effect) for fall in falls] == [
        ("EUR", 1, 5),
        ("USD", 2, 10),
    ]


amounts = st.decimals(-(10**9), 10**9, places=2)


@given(amounts, amounts, amounts)
def test_every_bar_is_inside_the_picture(source: Decimal, accepted: Decimal, corso: Decimal) -> None:
    """Whatever the amounts, also none and negative ones."""
    (fall,) = fall_of([money_row(str(accepted), str(corso), source=str(source) if source else None)])
    for step in fall.steps:
        assert 0 <= step.start <= step.start + step.width <= 1000.01


def test_months_have_no_gaps_and_stack_up_to_their_total() -> None:
    """The highest fills the picture; months without orders are there, empty; undated ones come last."""
    frame = pl.DataFrame(
        [
            ("2026-01", "matched", 30),
            ("2026-01", "missing", 10),
            ("2026-03", "matched", 20),
            ("undated", "quarantined", 1),
        ],
        schema=ORDERS_BY_MONTH,
        orient="row",
    )
    everything, ill = month_pictures(frame)
    assert [column.name for column in everything.columns] == ["2026-01", "2026-02", "2026-03", "undated"]
    assert [column.total for column in everything.columns] == [40, 0, 20, 1]
    assert [(part.name, part.height, part.top) for part in everything.columns[0].parts] == [
        ("matched", 750, 250),
        ("missing", 250, 0),
    ]
    assert (ill.most, ill.most_in, ill.states) == (10, "2026-01", ("quarantined", "missing"))
    assert month_pictures(pl.DataFrame(schema=ORDERS_BY_MONTH)) == []


def test_decades_of_orders_are_drawn_by_year() -> None:
    """More than a hundred and twenty months are too thin to see."""
    months = [f"{year}-{month:02d}" for year in range(2010, 2026) for month in range(1, 13)]
    frame = pl.DataFrame([(month, "matched", 1) for month in months], schema=ORDERS_BY_MONTH, orient="row")
    (picture,) = month_pictures(frame)
    assert [column.name for column in picture.columns] == [str(year) for year in range(2010, 2026)]
    assert {column.total for column in picture.columns} == {12}


def test_years_stand_below_their_first_month() -> None:
    """Sixty names would not fit."""
    labels = [column.label for column in month_pictures(months_frame())[0].columns]
    assert [label for label in labels if label] == ["2024", "2025", "2026", "undated"]
    assert labels[12] == "2025"


def test_orders_are_counted_by_the_state_in_which_they_were_found() -> None:
    """An order of several findings once; findings about a fulfillment change no order's state; foreign ones are no orders."""
    accepted = pl.LazyFrame(
        {"source_order_id": [f"o-{n}" for n in range(1, 7)], "month": ["2026-11"] * 5 + ["2026-12"]}
    )
    rows = [
        finding(1),
        finding(1, field="notes"),
        finding(2, kind="missing", cause="rejected"),
        finding(3, kind="duplicated", cause="duplicate"),
        finding(4, source_fulfillment_id="f-1"),
        finding(9, kind="missing", cause="quarantined"),
        finding(10, kind="foreign", cause="foreign"),
    ]
    quarantine = quarantine_frame(
        [quarantine_row(9), quarantine_row(9, "line_items"), quarantine_row(None)]
    ).lazy()
    frame = orders_by_month(accepted, quarantine, outcomes=None, findings=findings_frame(rows))
    assert frame.rows() == [
        ("2026-11", "different", 1),
        ("2026-11", "duplicated", 1),
        ("2026-11", "matched", 2),
        ("2026-11", "missing", 1),
        ("2026-11", "quarantined", 2),
        ("2026-12", "matched", 1),
    ]


@pytest.mark.parametrize(("outcomes", "states"), [(None, ["accepted"]), ([1, 2], ["created", "rejected"])])
def test_before_reconciling_months_say_how_far_the_orders_came(
    outcomes: list[int] | None, states: list[str]
) -> None:
    """Planned: accepted; uploaded: how they ended."""
    accepted = pl.LazyFrame({"source_order_id": ["o-1", "o-2"], "month": ["2026-11"] * 2})
    ended = outcomes_frame([outcome_row(1), outcome_row(2, outcome="rejected")]).lazy() if outcomes else None
    frame = orders_by_month(accepted, quarantine_frame([]).lazy(), outcomes=ended, findings=None)
    assert frame["state"].to_list() == states
    assert frame["orders"].sum() == 2


def decoded(text: str) -> list[dict[str, object]]:
    """Read embedded findings as the page's script does."""
    data = json.loads(text)
    columns = {}
    for name, column in data["columns"].items():
        words = column.get("words")
        values = (
            [None if code < 0 else words[code] for code in column["codes"]] if words else column["values"]
        )
        columns[name] = values
    return [{name: values[row] for name, values in columns.items()} for row in range(data["rows"])]


def test_the_embedded_findings_say_what_the_findings_say() -> None:
    """Column by column, exact amounts included; what is empty everywhere is left out."""
    findings = many_findings(200)
    rows = decoded(embedded_findings(findings, personal=True))
    for name in (
        "finding_id",
        "kind",
        "cause",
        "source_order_id",
        "field",
        "source_value",
        "owner",
        "age_days",
    ):
        assert [row.get(name) for row in rows] == findings[name].to_list()
    amounts_ = [None if row["source_money"] is None else Decimal(str(row["source_money"])) for row in rows]
    assert amounts_ == findings["source_money"].to_list()
    assert "note" not in rows[0]


def test_a_finding_names_the_steps_of_the_money_that_it_is_part_of() -> None:
    """As the bridge counts them: a foreign record of a quarantined order is none of the order's."""
    rows = [
        finding(1, kind="missing", cause="rejected"),
        finding(2, cause="changed_in_source_since"),
        finding(3, kind="foreign", cause="quarantined"),
        finding(3, kind="missing", cause="quarantined"),
        finding(4, source_fulfillment_id="f-1", cause="unexplained"),
    ]
    said = decoded(embedded_findings(findings_frame(rows), personal=True))
    assert [row["steps"] for row in said] == ["rejected", "changed", "foreign", "quarantined", None]


def test_amounts_of_two_currencies_are_not_held_against_each_other() -> None:
    """A record in another currency names it; its amount is in that one, and it is apart in both."""
    row = finding(
        1, field="customer_currency_code", source_value="USD", corso_value="EUR", corso_money=Decimal(25)
    )
    (said,) = decoded(embedded_findings(findings_frame([row]), personal=True))
    told = [said[name] for name in ("currency", "apart", "corso_currency", "corso_money", "apart_in_corso")]
    assert told == ["USD", "27.00", "EUR", "25.00", "-25.00"]


@pytest.mark.parametrize(
    "changes",
    [
        {"customerCurrencyCode": "EUR"},
        {"customerCurrencyCode": "EUR", "totalMoney": Decimal(25), "orderName": "#9", "notes": "another"},
        {"customerCurrencyCode": None, "totalMoney": Decimal(25)},
        {"totalMoney": Decimal(25), "orderName": "#9"},
    ],
)
def test_a_step_of_the_money_is_the_sum_of_what_its_rows_show(changes: dict[str, Any]) -> None:
    """Also where the currency was changed: the amount is gone in one, and there in the other."""
    found = compared([order_row()], [line_row()], [record_of(order_row(), [line_row()]) | changes])
    sums: dict[str, Decimal] = {}
    for row in decoded(embedded_findings(found.findings, personal=True)):
        for name, currency in (("apart", "currency"), ("apart_in_corso", "corso_currency")):
            if row.get(name) is not None:
                sums[row[currency]] = sums.get(row[currency], Decimal(0)) + Decimal(row[name])
    bridge = money_bridge(money_rows(found.money), found.findings)
    assert sums == {row["currency"]: row["unexplained"] for row in bridge.to_dicts() if row["unexplained"]}


def test_no_findings_are_embedded_as_none() -> None:
    """An empty table has no columns."""
    assert json.loads(embedded_findings(findings_frame([]), personal=False)) == {"rows": 0, "columns": {}}


def test_embedded_text_cannot_end_its_script_element() -> None:
    """Neither a closing tag nor a comment."""
    text = embedded_findings(findings_frame([finding(source_value="</script><!--<script>")]), personal=True)
    assert "<" not in text
    assert json.loads(text)["columns"]["source_value"] in (
        {"words": ["</script><!--<script>"], "codes": [0]},
        {"values": ["</script><!--<script>"]},
    )
    assert set(FINDINGS.columns) >= {"source_value"}
