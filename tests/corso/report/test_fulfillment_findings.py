"""Fulfillments compared: what was read is held against the batch, what was not is not guessed at."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from comparing import knowing
from factories import (
    NOW,
    SENT_AT,
    STORE_ID,
    Row,
    line_row,
    lines_frame,
    listing_frame,
    order_row,
    orders_frame,
    outcome_row,
    outcomes_frame,
    quarantine_frame,
    record_of,
    summary_of,
)

from corso.report.compare import Sides, reconcile
from corso.report.fulfillment_findings import FulfillmentSides
from corso.report.life import Earlier
from corso.report.summary import exit_code_of, fulfillments_apart
from corso.report.verdict import judge
from corso.settings import Exports, Loader, Reconcile, Settings, Store
from schemas.fields import dtypes
from schemas.fulfillments import FULFILLMENTS
from schemas.listing import FULFILLMENTS_READ, LISTED_FULFILLMENTS
from schemas.reconciliation import FINDINGS


def fulfillment(order: int = 1, number: int = 1, **changes: Any) -> Row:
    """Return a valid row of the canonical table `fulfillments`."""
    row: Row = dict.fromkeys(dtypes(FULFILLMENTS))
    row |= {
        "source_order_id": f"o-{order}",
        "source_fulfillment_id": f"f-{number}",
        "fulfillment_location_id": 12,
        "tracking_info_number": f"TRK{number}",
        "file": "fulfillments.csv",
        "line": number + 1,
    }
    return row | changes


def held(order: int = 1, number: int = 1, copy: int = 0, **changes: Any) -> Row:
    """Return the record that Corso holds of it."""
    row: Row = {name: fulfillment(order, number).get(name) for name in dtypes(LISTED_FULFILLMENTS)}
    row |= {
        "corso_order_id": f"{order}",
        "corso_fulfillment_id": f"{1000 * copy + number}",
        "created_on": SENT_AT,
        "updated_on": SENT_AT,
    }
    return row | changes


def outcome(order: int = 1, number: int = 1, **changes: Any) -> Row:
    """Return the outcome of a fulfillment that was created in this batch."""
    return {
        "source_order_id": f"o-{order}",
        "source_fulfillment_id": f"f-{number}",
        "outcome": "created",
        "accepted_at": SENT_AT,
        "holds_planned": True,
    } | changes


def compared(
    there: list[Row],
    *,
    outcomes: list[Row] | None = None,
    read: tuple[int, ...] = (1, 2),
    known: tuple[tuple[str, str], ...] = (),
    earlier: Earlier | None = None,
    ignore: tuple[str, ...] = (),
    records: list[Row] | None = None,
    orders_per_range: int = 1000,
) -> pl.DataFrame:
    """Compare two orders, both in Corso and equal, each with one fulfillment; return the findings."""
    orders, lines = [order_row(1), order_row(2)], [line_row(1), line_row(2)]
    if records is None:
        records = [
            record_of(order, [line], order["line"] - 1) for order, line in zip(orders, lines, strict=True)
        ]
    given = outcomes or [outcome(1, 1), outcome(2, 2)]
    sides = Sides(
        orders=orders_frame(orders).lazy(),
        line_items=lines_frame(lines).lazy(),
        quarantine=quarantine_frame([]).lazy(),
        listing=listing_frame(records).lazy(),
        outcomes=outcomes_frame([outcome_row(1), outcome_row(2)]).lazy(),
        known=knowing(
            [("o-1", ""), ("o-2", "")]
            + [(row["source_order_id"], row["source_fulfillment_id"]) for row in given]
            + list(known)
        ),
        fulfillments=FulfillmentSides(
            accepted=pl.LazyFrame([fulfillment(1, 1), fulfillment(2, 2)], schema=dtypes(FULFILLMENTS)),
            outcomes=pl.LazyFrame(given, schema_overrides={"accepted_at": pl.Datetime("us", "UTC")}),
            held=pl.LazyFrame(there, schema=dtypes(LISTED_FULFILLMENTS)),
            read=pl.LazyFrame(
                [(f"o-{number}", f"{number}", NOW) for number in read],
                schema=dtypes(FULFILLMENTS_READ),
                orient="row",
            ),
        ),
    )
    store = Store(id=STORE_ID, time_zone="America/New_York")
    loader = Loader(store=store, exports=Exports(), reconcile=Reconcile(ignore=ignore))
    settings = Settings(Path("loader.yaml"), loader)
    with tempfile.TemporaryDirectory() as scratch:
        found = reconcile(
            sides, earlier or Earlier(), settings, NOW, Path(scratch), orders_per_range=orders_per_range
        )
        assert found.counts["matched"] + found.counts["missing"] + found.counts["duplicated"] == 2
        return FINDINGS.validate(found.findings.collect())


def told(findings: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Return what the findings are about, and why."""
    return findings.select("kind", "cause", "source_order_id", "source_fulfillment_id", "field").rows()


@pytest.mark.parametrize("orders_per_range", [1, 1000])
def test_fulfillments_that_are_there_as_sent_give_no_finding(orders_per_range: int) -> None:
    """Also where the work is cut into ranges, and where the API returns a record twice."""
    there = [held(1, 1), held(2, 2), held(2, 2)]
    assert compared(there, orders_per_range=orders_per_range).is_empty()


def test_a_fulfillment_that_went_is_missing_and_unexplained_and_its_order_stays_matched() -> None:
    """Corso took it, and does not have it: nobody can name the cause. `compared` checks the orders' classes."""
    found = compared([held(2, 2)])
    assert told(found) == [("missing", "unexplained", "o-1", "f-1", None)]
    row = found.row(0, named=True)
    assert (row["file"], row["line"], row["corso_order_id"]) == ("fulfillments.csv", 2, "1")
    assert (row["currency"], row["month"]) == ("USD", "2026-11")
    assert row["source_money"] is row["corso_money"] is None


@pytest.mark.parametrize("why", ["rejected", "unknown", "not_sent"])
def test_what_the_ledger_knows_is_a_finding_also_where_nothing_was_read(why: str) -> None:
    """The budget may not reach so far; that it was not accepted is known all the same."""
    outcomes = [outcome(1, 1, outcome=why, holds_planned=False), outcome(2, 2)]
    assert told(compared([], outcomes=outcomes, read=())) == [("missing", why, "o-1", "f-1", None)]


def test_what_was_not_read_is_not_said_to_be_missing() -> None:
    """Accepted and not looked at: nothing is found, nothing is claimed."""
    assert compared([], read=()).is_empty()


@pytest.mark.parametrize(
    ("changed_after", "cause"),
    [(timedelta(hours=1), "changed_in_corso"), (timedelta(0), "unexplained")],
)
def test_a_changed_field_is_named_with_both_values_and_its_cause(
    changed_after: timedelta, cause: str
) -> None:
    """Corso's clock tells whether it was changed there after it was accepted."""
    other = held(1, 1, tracking_info_number="TRK9", updated_on=SENT_AT + changed_after)
    found = compared([other, held(2, 2)])
    assert told(found) == [("different", cause, "o-1", "f-1", "fulfillments.tracking_info_number")]
    assert found.select("source_value", "corso_value").row(0) == ("TRK1", "TRK9")


def test_one_that_changed_in_the_source_is_a_difference_that_nobody_can_mend() -> None:
    """Corso changes no fulfillment: it holds what was sent before."""
    outcomes = [outcome(1, 1, outcome="changed_but_fixed", holds_planned=False), outcome(2, 2)]
    there = [held(1, 1, tracking_info_number="old"), held(2, 2)]
    read = compared(there, outcomes=outcomes)
    assert told(read) == [
        ("different", "changed_in_source_since", "o-1", "f-1", "fulfillments.tracking_info_number")
    ]
    unread = compared([], outcomes=outcomes, read=())
    assert told(unread) == [("different", "changed_in_source_since", "o-1", "f-1", None)]


def test_what_a_carrier_may_have_told_corso_is_no_difference() -> None:
    """Where the source says nothing, Corso may know when it was delivered; what the source says, counts."""
    there = [held(1, 1, shipment_status="delivered", delivered_on=NOW), held(2, 2)]
    assert compared(there).is_empty()


def test_copies_are_findings_each_and_the_order_is_not() -> None:
    """Two of one fulfillment: both are named."""
    found = compared([held(1, 1), held(1, 1, copy=1), held(2, 2)])
    assert told(found) == [("duplicated", "duplicate", "o-1", "f-1", None)] * 2
    assert found["finding_id"].is_unique().all()
    assert found["corso_value"].to_list() == [
        "fulfillment 1 of 2, number 1 in Corso",
        "fulfillment 2 of 2, number 1001 in Corso",
    ]


def test_one_of_no_batch_is_foreign_and_one_of_an_earlier_batch_is_not() -> None:
    """Live integrations write fulfillments, too: they are named, and need no look."""
    there = [held(1, 1), held(2, 2), held(1, 7), held(2, 8)]
    found = compared(there, known=(("o-2", "f-8"),))
    assert told(found) == [("foreign", "foreign", "o-1", "f-7", None)]
    assert fulfillments_apart(found) == 0


def test_fulfillments_of_missing_and_duplicated_orders_are_not_mentioned() -> None:
    """The order's own finding comes first, and says all."""
    twice = [record_of(order_row(1), [line_row(1)], number) for number in (1, 5)]
    found = compared([], records=twice)
    assert found["source_fulfillment_id"].null_count() == found.height == 3


def test_what_is_read_of_a_record_that_is_gone_says_nothing_of_the_new_one() -> None:
    """The order was made anew in Corso: what was read before was another record's."""
    records = [record_of(order_row(1), [line_row(1)], 77), record_of(order_row(2), [line_row(2)], 2)]
    assert compared([held(2, 2)], records=records).is_empty()


@pytest.mark.parametrize("ignore", ["fulfillments", "fulfillments.tracking_info_number"])
def test_what_is_ignored_is_not_compared(ignore: str) -> None:
    """reconcile.ignore takes the names that the findings show."""
    assert compared([held(1, 1, tracking_info_number="x"), held(2, 2)], ignore=(ignore,)).is_empty()


def test_a_finding_stays_open_while_its_fulfillments_are_not_read() -> None:
    """The budget did not reach them this time: that is no healing, and no repetition either."""
    first = compared([held(2, 2)])
    again = compared([held(2, 2)], read=(2,), earlier=Earlier(open=first.lazy()))
    assert again["finding_id"].to_list() == first["finding_id"].to_list()
    assert compared([held(1, 1), held(2, 2)], earlier=Earlier(open=first.lazy())).is_empty()


def test_a_finding_about_a_fulfillment_needs_a_look_although_every_order_is_equal() -> None:
    """Exit code 1, and the sentence says why."""
    summary = summary_of(accepted=2)
    found = compared([held(1, 1, tracking_info_number="x", updated_on=NOW), held(2, 2)])
    assert exit_code_of(summary) == 0
    assert exit_code_of(summary, fulfillments=fulfillments_apart(found)) == 1
    verdict = judge(summary, found)
    assert (verdict.level, verdict.sentence) == ("look", "Needs a look: 1 finding about fulfillments.")
