"""Orders side by side: each field of each part once, veiled where it is personal, and every kind of finding has some."""

from typing import Any

import polars as pl
from factories import (
    line_row,
    lines_frame,
    listing_frame,
    order_row,
    orders_frame,
    outcome_row,
    outcomes_frame,
    quarantine_frame,
    quarantine_row,
    record_of,
)
from report_factories import finding, findings_frame

from corso.report.opened import (
    FULFILLMENT,
    LINE,
    ORDER,
    BatchTables,
    OpenedOrder,
    chosen_orders,
    opened_orders,
)
from schemas.fields import dtypes
from schemas.fulfillments import FULFILLMENTS


def fulfillments_frame() -> pl.DataFrame:
    """Return the fulfillment f-1 of order 1."""
    row = {"source_order_id": "o-1", "source_fulfillment_id": "f-1", "tracking_info_number": "T-1"}
    return pl.DataFrame([row], schema=dtypes(FULFILLMENTS))


def as_text(frame: pl.DataFrame) -> pl.LazyFrame:
    """Return a canonical table as it was read: all text."""
    return frame.lazy().select(
        pl.col(name).cast(pl.String, strict=False) for name in frame.columns if name != "options"
    )


def tables_of(**changes: Any) -> BatchTables:
    """Return the tables of order 1 with two lines, which Corso holds with another total."""
    order = order_row(1, notes="ring Ann")
    lines = [line_row(1, 1), line_row(1, 2)]
    orders, line_items = orders_frame([order]), lines_frame(lines)
    values: dict[str, Any] = {
        "raw": {ORDER: as_text(orders), LINE: as_text(line_items)},
        "accepted": {ORDER: orders.lazy(), LINE: line_items.lazy()},
        "quarantine": quarantine_frame([]).lazy(),
        "outcomes": outcomes_frame([outcome_row(1)]).lazy(),
        "listing": listing_frame([record_of(order, lines, 7, totalMoney=28)]).lazy(),
    }
    return BatchTables(**values | changes)


def opened(tables: BatchTables, *numbers: int, personal: bool = False) -> list[OpenedOrder]:
    """Open the orders of findings about these numbers."""
    return opened_orders(findings_frame([finding(number) for number in numbers]), tables, personal=personal)


def fields(order: OpenedOrder) -> dict[tuple[str | None, str | None], tuple[str | None, ...]]:
    """Return part id and field -> a value for each side."""
    return {(row[1], row[2]): row[3:] for row in order.rows}


def test_an_order_stands_as_exported_as_sent_and_as_corso_holds_it() -> None:
    """The order, then its lines by their ids; values as text, decimals exact."""
    (order,) = opened(tables_of(), 1)
    assert (order.source_order_id, order.outcome, order.columns) == (
        "o-1",
        "created",
        ("export", "sent", "7"),
    )
    said = fields(order)
    assert said[None, "total_money"][1:] == ("27.00", "28.00")
    assert said["2", "line_items.sku"] == ("MUG-2", "MUG-2", "MUG-2")
    assert [row[0] for row in order.rows] == sorted((row[0] for row in order.rows), reverse=True)
    assert "source_order_id" not in {row[2] for row in order.rows}


def test_personal_data_is_veiled_unless_it_may_be_shown() -> None:
    """On every side; ids, codes and money are not personal."""
    veiled, plain = (fields(opened(tables_of(), 1, personal=personal)[0]) for personal in (False, True))
    assert veiled[None, "customer_email"] == ("a•••@•••",) * 3
    assert veiled[None, "notes"] == ("r•••",) * 3
    assert veiled[None, "order_number"] == ("1001",) * 3
    assert plain[None, "customer_email"] == ("ann.1@example.com",) * 3


def test_a_quarantined_order_says_its_broken_rules_and_its_values_only_where_they_may_be_shown() -> None:
    """The value in a broken rule may be a name."""
    problem = {
        "rule": "r",
        "column": "customer_phone",
        "value": "Ann Lee",
        "sentence": "is no phone",
        "remedy": "mend it",
    }
    quarantine = quarantine_frame(
        [quarantine_row(1, problems=[problem], reasons="customer_phone 'Ann Lee' …")]
    ).lazy()
    none = {ORDER: orders_frame([]).lazy()}
    tables = tables_of(quarantine=quarantine, accepted=none, outcomes=outcomes_frame([]).lazy(), listing=None)
    (veiled,), (plain,) = (opened(tables, 1, personal=personal) for personal in (False, True))
    assert (veiled.outcome, veiled.columns) == ("quarantined", ("export", "sent"))
    assert veiled.said == ("customer_phone is no phone: mend it",)
    assert plain.said == ("customer_phone 'Ann Lee' is no phone: mend it",)


def test_a_refusal_is_said_without_the_personal_data_in_it() -> None:
    """Corso's reasons quote what they refuse."""
    outcomes = outcomes_frame(
        [outcome_row(1, outcome="rejected", reason="400: ann@example.com is taken")]
    ).lazy()
    (order,) = opened(tables_of(outcomes=outcomes), 1)
    assert (order.outcome, order.said) == ("rejected", ("400: a•••@••• is taken",))


def test_records_of_a_duplicated_order_stand_beside_each_other() -> None:
    """Up to three of them."""
    order, lines = order_row(1), [line_row(1, 1)]
    records = [record_of(order, lines, number) for number in range(7, 12)]
    (opened_order,) = opened(tables_of(listing=listing_frame(records).lazy()), 1)
    assert len(opened_order.columns) == 5
    assert set(opened_order.columns[2:]) <= {"7", "8", "9", "10", "11"}


def test_a_megabyte_is_cut() -> None:
    """The page stays small."""
    accepted = {ORDER: orders_frame([order_row(1, shipping_title="x" * 1_000_000)]).lazy()}
    (order,) = opened(tables_of(accepted=accepted), 1)
    cell = fields(order)[None, "shipping_title"][1]
    assert cell is not None
    assert cell.endswith("… (1000000 characters)")
    assert len(cell) < 500


def test_fulfillments_that_were_not_read_back_say_so() -> None:
    """An empty cell would look like one that is missing in Corso."""
    sent = {**tables_of().accepted, FULFILLMENT: fulfillments_frame().lazy()}
    (unread,) = opened(tables_of(accepted=sent), 1)
    assert fields(unread)["f-1", "fulfillments.tracking_info_number"] == (None, "T•••", "not read back")
    read = pl.LazyFrame({"source_order_id": ["o-1"]})
    (missing,) = opened(tables_of(accepted=sent, fulfillments_read=read), 1)
    assert fields(missing)["f-1", "fulfillments.tracking_info_number"] == (None, "T•••", None)
    held = fulfillments_frame().lazy().with_columns(corso_order_id=pl.lit("7"))
    (both,) = opened(tables_of(accepted=sent, fulfillments_read=read, corso_fulfillments=held), 1)
    assert fields(both)["f-1", "fulfillments.tracking_info_number"] == (None, "T•••", "T•••")


def test_of_very_many_lines_those_with_findings_are_there() -> None:
    """And how many fields are left out is told."""
    lines = lines_frame([line_row(1, number) for number in range(1, 200)]).lazy()
    rows = [finding(1, source_line_item_id="199", field="line_items.price")]
    (order,) = opened_orders(findings_frame(rows), tables_of(accepted={LINE: lines}), personal=False)
    assert ("199", "line_items.price") in fields(order)
    assert len(order.rows) == 400
    assert order.left_out > 400


def test_orders_that_are_opened_are_chosen_from_every_kind_of_finding() -> None:
    """A thousand of one kind do not crowd out the only one of another; findings without an order are passed over."""
    rows = [finding(number, kind="missing", cause="quarantined", field=None) for number in range(1000)]
    rows += [finding(5000), finding(6000, field="notes"), finding(7000, source_order_id=None)]
    chosen = chosen_orders(findings_frame(rows), 5)
    assert {"o-5000", "o-6000"} <= set(chosen)
    assert len(chosen) == 5
