"""The comparison: every accepted order in one class, every difference a finding with a cause."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from comparing import Found, compared
from factories import (
    NOW,
    SENT_AT,
    Row,
    line_row,
    order_row,
    outcome_row,
    quarantine_row,
    record_of,
)
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from corso.errors import SettingsError
from corso.report.compare import CLASSES
from corso.report.life import Earlier
from schemas.listing import LISTING
from schemas.orders import ORDERS


def one_order(
    changes: Row | None = None, record: Row | None = None, line: Row | None = None, **also: Any
) -> Found:
    """Compare one order with its record; `changes` and `line` are the source's, `record` is Corso's."""
    order, item = order_row(**(changes or {})), line_row(**(line or {}))
    return compared([order], [item], [record_of(order, [item]) | (record or {})], **also)


def fields(found: Found) -> list[str]:
    """Return the fields that differ, in the findings' order."""
    return found.findings["field"].to_list()


def test_an_order_and_its_own_record_are_matched() -> None:
    """What was sent and is there unchanged gives no finding."""
    found = one_order()
    assert found.findings.is_empty()
    assert found.counts == {
        "matched": 1,
        "missing": 0,
        "different": 0,
        "duplicated": 0,
        "foreign": 0,
        "unexplained": 0,
    }


def test_an_order_that_was_accepted_but_is_not_there_is_missing_and_unexplained() -> None:
    """The ledger says created, Corso has no record: nobody can name the cause."""
    found = compared([order_row()], [line_row()], [])
    row = found.findings.row(0, named=True)
    assert (row["kind"], row["cause"], row["source_money"]) == ("missing", "unexplained", Decimal("27.0000"))
    assert (row["file"], row["line"]) == ("orders.csv", 2)
    assert found.counts["missing"] == found.counts["unexplained"] == 1


@pytest.mark.parametrize("outcome", ["rejected", "unknown", "not_sent"])
def test_a_missing_order_has_the_outcome_that_kept_it_away_as_its_cause(outcome: str) -> None:
    """Rejected, unknown and not sent are causes of their own."""
    found = compared(
        [order_row()], [line_row()], [], outcomes=[outcome_row(outcome=outcome, holds_planned=False)]
    )
    assert found.findings["cause"].to_list() == [outcome]
    assert found.counts["unexplained"] == 0


@pytest.mark.parametrize(
    ("outcome", "updated_after", "cause"),
    [
        (outcome_row(), timedelta(seconds=3), "changed_in_corso"),
        (outcome_row(), timedelta(seconds=2), "unexplained"),
        (outcome_row(accepted_at=None), timedelta(hours=1), "unexplained"),
        (outcome_row(action="unchanged", outcome="unchanged"), timedelta(hours=1), "changed_in_corso"),
        (outcome_row(action="update", outcome="rejected", holds_planned=False), timedelta(0), "rejected"),
        (
            outcome_row(action="update", outcome="not_sent", holds_planned=False),
            timedelta(hours=1),
            "not_sent",
        ),
        (outcome_row(action="create", outcome="unknown", holds_planned=False), timedelta(0), "unknown"),
        (
            outcome_row(action="update", outcome="updated", holds_planned=False),
            timedelta(0),
            "changed_in_source_since",
        ),
    ],
)
def test_the_cause_of_a_difference_follows_from_the_ledger(
    outcome: Row, updated_after: timedelta, cause: str
) -> None:
    """The table of causes: what Corso accepted, whether it is the plan's, and when the record changed."""
    record = {"orderName": "#9", "updatedOn": (SENT_AT + updated_after).isoformat()}
    found = one_order(record=record, outcomes=[outcome])
    assert found.findings["cause"].to_list() == [cause]
    assert found.counts["different"] == 1


def test_an_amount_with_more_decimals_is_shown_and_counted_and_one_with_noise_is_equal() -> None:
    """Corso holds the money: to call it missing would be wrong, and to call another amount equal, too."""
    orders, lines = [order_row(1), order_row(2)], [line_row(1), line_row(2)]
    noise, another = Decimal("27.000000000000004"), Decimal("27.0000001")
    records = [
        record_of(orders[0], [lines[0] | {"price": lines[0]["price"] + Decimal("1E-14")}], totalMoney=noise),
        record_of(orders[1], [lines[1]], 2, totalMoney=another),
    ]
    found = compared(orders, lines, records)
    told = ("source_order_id", "field", "source_value", "corso_value", "corso_money")
    assert found.findings.select(told).rows() == [
        (orders[1]["source_order_id"], "total_money", "27.00", "27.0000001", 27)
    ]
    assert found.counts["matched"] == found.put_aside == 1
    assert found.money["corso"].to_list() == [54]


def test_every_record_of_a_duplicated_order_is_a_finding_and_none_is_paired_away() -> None:
    """Two records of one order, even equal ones, are two findings; the ledger's own is marked, and what is cancelled."""
    order, line = order_row(), line_row()
    cancelled = {"createdOn": NOW.isoformat(), "sourceCanceledOn": NOW.isoformat()}
    records = [record_of(order, [line], 1), record_of(order, [line], 2, **cancelled)]
    found = compared([order], [line], records)
    rows = found.findings.rows(named=True)
    assert [(row["kind"], row["cause"], row["corso_order_id"]) for row in rows] == [
        ("duplicated", "duplicate", "1"),
        ("duplicated", "duplicate", "2"),
    ]
    assert rows[0]["corso_value"] == "record 1 of 2, created 2026-11-22T02:00:00Z, the one in the ledger"
    assert rows[1]["corso_value"] == "record 2 of 2, created 2026-11-22T03:00:00Z, cancelled"
    assert [row["source_money"] for row in rows] == [Decimal("27.0000"), None]
    assert found.money.row(0) == (
        "USD",
        "2026-11",
        Decimal("27.0000"),
        Decimal("27.0000"),
        Decimal("54.0000"),
        Decimal("-27.0000"),
    )


def test_a_record_that_the_listing_returned_twice_is_one_record_in_its_latest_state() -> None:
    """The same Corso id twice is an artefact of reading, no duplicate."""
    order, line = order_row(), line_row()
    old = record_of(order, [line], 7, orderName="before", updatedOn=(SENT_AT - timedelta(days=1)).isoformat())
    found = compared([order], [line], [record_of(order, [line], 7), old])
    assert found.counts["matched"] == 1
    assert found.money["corso"].to_list() == [Decimal("27.0000")]
    was_equal = record_of(order, [line], 7, updatedOn=(SENT_AT - timedelta(days=1)).isoformat())
    found = compared([order], [line], [record_of(order, [line], 7, orderName="now"), was_equal])
    assert fields(found) == ["order_name"]


def test_a_record_of_no_batch_in_the_ledger_is_foreign() -> None:
    """Live integrations write to the store too; what an earlier batch wrote is not foreign."""
    records = [record_of(order_row(number), [line_row(number)], number) for number in (1, 2, 3)]
    found = compared([order_row(1)], [line_row(1)], records, known=["o-1", "o-2"])
    row = found.findings.row(0, named=True)
    assert (row["kind"], row["cause"], row["source_order_id"]) == ("foreign", "foreign", "o-3")
    assert (row["corso_money"], row["month"]) == (Decimal("27.0000"), "2026-11")
    assert found.counts["foreign"] == 1


@pytest.mark.parametrize("orders_per_range", [1, 1000])
def test_a_record_of_ours_that_carries_another_id_now_was_changed_in_corso(orders_per_range: int) -> None:
    """The order is missing and the record under an id of nobody: both say which record it is, and what its id was and is."""
    orders, lines = [order_row(number) for number in (1, 2)], [line_row(number) for number in (1, 2)]
    records = [record_of(order_row(number), [line_row(number)], number) for number in (1, 2)]
    earlier = record_of(order_row(3, source_order_id="Z3"), [line_row(3)], 3)
    found = compared(
        orders,
        lines,
        [records[0], records[1] | {"sourceOrderId": "Z2"}, earlier],
        outcomes=[outcome_row(number, corso_order_id=f"{number}") for number in (1, 2)],
        sent_as={"1": "o-1", "2": "o-2", "3": "o-3"},
        orders_per_range=orders_per_range,
    )
    said = ("kind", "cause", "source_order_id", "corso_order_id", "field", "source_value", "corso_value")
    changed = "changed_in_corso"
    assert found.findings.select(said).rows() == [
        ("missing", changed, "o-2", "2", "source_order_id", "o-2", "Z2"),
        ("foreign", changed, "Z2", "2", "source_order_id", "o-2", "Z2"),
        ("foreign", changed, "Z3", "3", "source_order_id", "o-3", "Z3"),
    ]
    assert found.findings.select("source_money", "corso_money").rows() == [
        (Decimal(27), None),
        (None, Decimal(27)),
        (None, Decimal(27)),
    ]
    assert found.counts == {
        "matched": 1, "missing": 1, "different": 0, "duplicated": 0, "foreign": 2, "unexplained": 0,
    }  # fmt: skip


def test_a_quarantined_order_that_is_not_in_corso_is_a_finding_but_not_counted_as_missing() -> None:
    """`missing` counts accepted orders; the quarantined one is named with its cause."""
    lines = quarantine_row(2, "line_items", total_money=None)
    repeated = quarantine_row(5, kind="repeated")
    found = compared([order_row(1)], [line_row(1)], [], quarantined=[quarantine_row(2), lines, repeated])
    rows = found.findings.filter(cause="quarantined").rows(named=True)
    assert [(row["kind"], row["source_order_id"], row["source_money"]) for row in rows] == [
        ("missing", "o-2", Decimal("28.0000"))
    ]
    assert found.counts["missing"] == 1
    assert found.money.row(0)[2:4] == (Decimal("55.0000"), Decimal("27.0000"))


def test_a_quarantined_order_that_somebody_else_wrote_is_foreign_with_the_cause_quarantined() -> None:
    """The order is ours, the record is not: each is a finding with its own amount, in its own currency."""
    record = record_of(order_row(2, customer_currency_code="JPY"), [line_row(2)], 2)
    found = compared([], [], [record], quarantined=[quarantine_row(2)])
    said = ("kind", "cause", "file", "line", "currency", "source_money", "corso_money")
    assert found.findings.select(said).rows() == [
        ("missing", "quarantined", "orders.csv", 3, "USD", Decimal("28.0000"), None),
        ("foreign", "quarantined", "orders.csv", 3, "JPY", None, Decimal("27.0000")),
    ]
    assert found.counts == dict.fromkeys(found.counts, 0) | {"foreign": 1}


def test_a_quarantined_order_that_an_earlier_batch_brought_is_a_finding_with_what_the_source_says() -> None:
    """Corso holds what that batch said; else the money's step had an amount without a row."""
    record = record_of(order_row(2), [line_row(2)], 2)
    found = compared([], [], [record], quarantined=[quarantine_row(2)], known=["o-2"])
    said = ("kind", "cause", "corso_order_id", "field", "source_money", "corso_money")
    assert found.findings.select(said).rows() == [
        ("different", "quarantined", "2", None, Decimal("28.0000"), None)
    ]
    assert found.counts == dict.fromkeys(found.counts, 0)


def test_quarantined_rows_without_an_order_id_are_findings_of_their_own() -> None:
    """Each such row is an order that nobody can name; its place in the export is its identity."""
    rows = [quarantine_row(None, line=4), quarantine_row(None, line=9)]
    found = compared([], [], [], quarantined=rows)
    assert found.findings["line"].to_list() == [4, 9]
    assert found.findings["finding_id"].n_unique() == 2


@pytest.mark.slow
def test_cutting_the_work_into_ranges_loses_no_row_without_an_id() -> None:
    """A null belongs to one range, too."""
    orders, lines = (
        [order_row(number) for number in range(1, 9)],
        [line_row(number) for number in range(1, 9)],
    )
    found = compared(orders, lines, [], quarantined=[quarantine_row(None, line=4)], orders_per_range=2)
    assert found.findings.filter(cause="quarantined").height == 1
    assert found.counts["missing"] == 8


@pytest.mark.parametrize(
    ("changes", "record"),
    [
        ({}, {"sourceCreatedOn": "2026-11-20T14:30:00.400+02:00"}),
        ({}, {"totalMoney": Decimal(27)}),
        ({}, {"orderName": "  #1001 "}),
        ({"notes": "Cafe\u0301"}, {"notes": "Caf\u00e9"}),
        ({"notes": "   "}, {}),
        ({}, {"notes": ""}),
        ({"order_number": None}, {}),
        ({"order_number": None}, {"orderNumber": "o-1"}),
        ({"order_number": None}, {"orderNumber": None}),
        ({}, {"grams": 1200, "isShippingProtected": False, "channel": "web"}),
        ({}, {"carbonGrams": 3, "somethingNew": {"a": 1}}),
    ],
)
def test_what_is_tolerated_is_no_difference(changes: Row, record: Row) -> None:
    """The named tolerances, one by one."""
    assert one_order(changes, record).findings.is_empty()


@pytest.mark.parametrize(
    ("changes", "record", "field", "source", "corso"),
    [
        ({}, {"sourceCreatedOn": "2026-11-20T12:30:01Z"}, "source_created_on", "2026-11-20T12:30:00Z", "2026-11-20T12:30:01Z"),
        ({}, {"totalMoney": Decimal("27.0001")}, "total_money", "27.00", "27.0001"),
        ({}, {"totalMoney": Decimal("27.00001")}, "total_money", "27.00", "27.00001"),
        ({}, {"taxMoney": None}, "tax_money", "2.00", None),
        ({}, {"orderName": "#1001a"}, "order_name", "#1001", "#1001a"),
        ({"order_number": None}, {"orderNumber": "77"}, "order_number", None, "77"),
        ({}, {"notes": "call first"}, "notes", None, "call first"),
        ({}, {"sourceCanceledOn": "2026-11-21T00:00:00Z"}, "source_canceled_on", None, "2026-11-21T00:00:00Z"),
        ({"is_shipping_protected": True}, {"isShippingProtected": False}, "is_shipping_protected", "true", "false"),
        ({"grams": Decimal("1.5")}, {"grams": 1}, "grams", "1.5", "1"),
        ({"grams": Decimal(100)}, {"grams": 10}, "grams", "100", "10"),
    ],
)  # fmt: skip
def test_what_is_beyond_the_tolerances_is_named_with_both_values(
    changes: Row, record: Row, field: str, source: str | None, corso: str | None
) -> None:
    """One finding for the field, and what each side says, exactly."""
    found = one_order(changes, record)
    assert found.findings.select("field", "source_value", "corso_value").rows() == [(field, source, corso)]
    assert (found.counts["different"], found.counts["matched"]) == (1, 0)


def test_email_case_and_phone_punctuation_do_not_count() -> None:
    """An address in capitals is the same address; a phone is its digits."""
    order, line = order_row(), line_row()
    record = record_of(order, [line])
    record["customer"] |= {"email": "ANN.1@Example.com", "phone": "+1 (202) 555-0123"}
    assert compared([order], [line], [record]).findings.is_empty()


def test_what_corso_spells_in_its_own_way_is_not_looked_at_order_by_order() -> None:
    """Of a hundred orders, all in other letters and with other spaces, the one that differs is read in full."""
    orders, lines = [order_row(number) for number in range(100)], [line_row(number) for number in range(100)]
    records = [record_of(order, [line], line["line"]) for order, line in zip(orders, lines, strict=True)]
    for record in records:
        record["customer"] |= {"email": record["customer"]["email"].upper(), "phone": "+1 (202) 555-0123"}
        record["sourceCreatedOn"] = "2026-11-20T14:30:00.400+02:00"
        record["lineItems"][0]["name"] += " "
    assert compared(orders, lines, records).put_aside == 0
    records[7]["customer"]["email"] = "SOMEBODY@ELSE.EXAMPLE"
    records[8]["lineItems"][0]["name"] += "s"
    found = compared(orders, lines, records)
    assert (found.put_aside, found.counts["matched"]) == (2, 98)
    assert fields(found) == ["customer_email", "line_items.name"]


RESPELLINGS: list[Row] = [
    {},
    {"sourceCreatedOn": "2026-11-20T14:30:00.400+02:00"},
    {"sourceCreatedOn": "2026-11-20T12:29:59.999Z"},
    {"sourceCreatedOn": "2026-11-20T12:30:01Z"},
    {"orderName": "  #1001 "},
    {"orderName": "#1001a"},
    {"orderName": ""},
    {"orderNumber": None},
    {"orderNumber": "o-1 "},
    {"notes": " "},
    {"notes": "Cafe\u0301 "},
    {"customer": {"email": "ANN.1@Example.com "}},
    {"customer": {"email": "other@example.com"}},
    {"customer": {"phone": "+1 (202) 555-0123"}},
    {"customer": {"phone": "12025550123"}},
]
"""What Corso may say of an order in place of what it was sent: some of it is tolerated."""


@pytest.mark.slow
@hypothesis_settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.fixed_dictionaries(
                {
                    "order_number": st.sampled_from([None, "1001", " 1001"]),
                    "notes": st.sampled_from([None, "", "Caf\u00e9"]),
                }
            ),
            st.sampled_from(RESPELLINGS),
            st.sampled_from([None, "Blue mug ", "Blue mugs", ""]),
        ),
        max_size=6,
    )
)
def test_how_rows_are_numbered_changes_nothing(cases: list[tuple[Row, Row, str | None]]) -> None:
    """Every column as it is compared, or none: the findings are the same."""
    orders, lines, records = [], [], []
    for number, (changes, respelling, name) in enumerate(cases, 1):
        order, line = order_row(number, **changes), line_row(number)
        record = record_of(order, [line], number)
        record |= respelling | {"customer": record["customer"] | respelling.get("customer", {})}
        record["lineItems"][0] |= {} if name is None else {"name": name}
        orders.append(order)
        lines.append(line)
        records.append(record)
    found = []
    for many in (2.0, -1.0):
        with mock.patch("corso.report.compare._MANY", many):
            found.append(compared(orders, lines, records))
    bare, loose = found
    assert bare.findings.equals(loose.findings)
    assert bare.money.equals(loose.money)
    assert bare.counts == loose.counts
    assert loose.put_aside <= bare.put_aside


def test_lines_are_paired_by_their_id_whatever_their_order() -> None:
    """Corso may answer the lines in another order."""
    lines = [line_row(1, 1), line_row(1, 2)]
    record = record_of(order_row(), reversed(lines))
    assert compared([order_row()], lines, [record]).findings.is_empty()


def test_a_line_on_one_side_only_and_a_changed_line_are_findings() -> None:
    """Missing in Corso, extra in Corso, and different, each with its line."""
    source = [line_row(1, 1), line_row(1, 2)]
    corso = [line_row(1, 2, price=Decimal("9.99")), line_row(1, 3)]
    found = compared([order_row()], source, [record_of(order_row(), corso)])
    rows = found.findings.select("source_line_item_id", "field", "source_value", "corso_value").rows()
    assert rows == [
        ("1", "line_items", "2 x MUG-1 at 10.00", None),
        ("3", "line_items", None, "2 x MUG-3 at 10.00"),
        ("2", "line_items.price", "10.00", "9.99"),
    ]


def test_a_line_id_that_occurs_twice_in_corso_is_an_extra_line() -> None:
    """The first is paired; the second is not hidden behind it."""
    found = compared([order_row()], [line_row()], [record_of(order_row(), [line_row(), line_row()])])
    assert found.findings.select("field", "corso_value").rows() == [("line_items", "2 x MUG-1 at 10.00")]


def test_lines_without_an_id_in_corso_are_extra_lines() -> None:
    """A null id pairs with nothing of ours."""
    record = record_of(order_row(), [line_row()])
    record["lineItems"] += [{"name": "x"}, {"name": "y"}]
    found = compared([order_row()], [line_row()], [record])
    assert found.findings["corso_value"].to_list() == ["? x x at ?", "? x y at ?"]
    assert found.findings["finding_id"].n_unique() == 2


def test_options_are_compared() -> None:
    """What the customer chose is part of the line."""
    line = line_row(options=[{"name": "Colour", "value": "Blue"}])
    same = record_of(order_row(), [line])
    other = record_of(order_row(), [line | {"options": [{"name": "Colour", "value": "Red"}]}])
    assert compared([order_row()], [line], [same]).findings.is_empty()
    assert fields(compared([order_row()], [line], [other])) == ["line_items.options"]


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (("notes",), ["line_items", "line_items.price"]),
        (("line_items.price",), ["notes", "line_items"]),
        (("line_items",), ["notes"]),
    ],
)
def test_ignored_columns_are_not_compared(ignore: tuple[str, ...], left: list[str]) -> None:
    """reconcile.ignore takes the names that the findings show."""
    record = record_of(order_row(), [line_row(price=Decimal(1)), line_row(1, 2)], notes="x")
    found = compared([order_row()], [line_row()], [record], ignore=ignore)
    assert fields(found) == left


def test_an_ignored_column_that_does_not_exist_is_a_settings_error_with_the_nearest() -> None:
    """A misspelt name must not silently compare everything."""
    with pytest.raises(SettingsError, match=r"line_items\.vendro.*did you mean 'line_items\.vendor'"):
        one_order(ignore=("line_items.vendro",))


def test_the_month_is_that_of_the_stores_time_zone_and_an_undated_order_says_so() -> None:
    """In New York it was still October; no date is no month; no currency is XXX."""
    late = order_row(1, source_created_on=datetime(2026, 11, 1, 3, 0, tzinfo=UTC))
    undated = order_row(2, source_created_on=None, customer_currency_code=None)
    found = compared([late, undated], [], [])
    assert found.money.select("currency", "month").rows() == [("USD", "2026-10"), ("XXX", "undated")]


def test_a_finding_keeps_its_id_and_its_first_sight_from_run_to_run() -> None:
    """The second run finds the same, and says since when."""
    first = one_order(record={"orderName": "#9", "notes": "x"})
    later = NOW + timedelta(days=1)
    second = one_order(
        record={"orderName": "#10", "notes": "x", "channelId": "n"},
        changes={"channel_id": "m"},
        earlier=Earlier(open=first.findings.lazy()),
        now=later,
    )
    assert second.findings.select("field", "first_seen").rows() == [
        ("order_name", NOW),
        ("notes", NOW),
        ("channel_id", later),
    ]
    assert second.findings["finding_id"].to_list()[:2] == first.findings["finding_id"].to_list()


def test_a_finding_id_is_the_same_in_every_version_of_this_program() -> None:
    """Analysts write the ids down."""
    found = one_order(record={"orderName": "#9"})
    assert found.findings["finding_id"].to_list() == ["5626e5496331da8e"]


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row], list[Row], Counter[str]]:
    """Orders, lines, records and quarantined rows, in every combination of states, and how many are in which class."""
    orders, lines, records, quarantined = [], [], [], []
    states = draw(
        st.lists(st.sampled_from([*CLASSES, "foreign", "quarantined", "put right", "changed"]), max_size=12)
    )
    for number, state in enumerate(states, 1):
        order, items = order_row(number), [line_row(number, 1), line_row(number, 2)]
        record = record_of(order, items, number * 10)
        if state == "quarantined":
            quarantined.append(quarantine_row(number))
            continue
        if state != "foreign":
            orders.append(order)
            lines += items
        before = record | {"updatedOn": (SENT_AT - timedelta(days=1)).isoformat()}
        if state == "put right":
            records.append(before | {"lineItems": []})
        if state == "changed":
            records.append(before)
        if state in {"different", "changed"}:
            record["lineItems"] = record["lineItems"][:1]
        if state != "missing":
            records.append(record)
        if state == "duplicated":
            records.append(record | {"orderId": number * 10 + 1})
    classes = Counter({"put right": "matched", "changed": "different"}.get(state, state) for state in states)
    return orders, lines, draw(st.permutations(records)), quarantined, classes


@pytest.mark.slow
@hypothesis_settings(max_examples=25, deadline=None)
@given(batches(), st.sampled_from([1, 4, 1000]), st.sampled_from([1, 3, 1000]))
def test_the_classes_part_the_accepted_orders_and_ranges_change_nothing(
    batch: tuple[list[Row], list[Row], list[Row], list[Row], Counter[str]],
    orders_per_range: int,
    orders_in_full: int,
) -> None:
    """Every accepted order is in exactly one class; the result does not depend on how the work was cut."""
    orders, lines, records, quarantined, classes = batch
    found = compared(
        orders,
        lines,
        records,
        quarantined=quarantined,
        orders_per_range=orders_per_range,
        orders_in_full=orders_in_full,
    )
    assert {name: found.counts[name] for name in CLASSES} == {name: classes[name] for name in CLASSES}
    assert found.findings["finding_id"].is_unique().all()
    whole = compared(orders, lines, records, quarantined=quarantined)
    assert whole.findings.equals(found.findings)
    assert whole.money.equals(found.money)


TEXTS = st.one_of(st.none(), st.text(st.characters(codec="utf-8"), max_size=8))


@pytest.mark.slow
@hypothesis_settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"notes": TEXTS, "order_number": TEXTS, "customer_phone": TEXTS}), max_size=5
    )
)
def test_a_batch_compared_with_itself_gives_nothing(texts: list[Row]) -> None:
    """Whatever the values, what was sent equals what is there."""
    orders = [order_row(number, **row) for number, row in enumerate(texts, 1)]
    lines = [line_row(number) for number in range(1, len(orders) + 1)]
    records = [record_of(order, [line], line["line"]) for order, line in zip(orders, lines, strict=True)]
    found = compared(orders, lines, records)
    assert found.findings.is_empty()
    assert found.counts["matched"] == len(orders)
    assert not any(found.money["difference"])


def test_the_listing_has_every_column_of_the_orders() -> None:
    """The comparison relies on it."""
    assert set(ORDERS.columns) - {"file", "line"} <= set(LISTING.columns)
