"""Fulfillments are read back within a budget of requests, the oldest debt first, across runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corso.delivery.ports import unwatched
from corso.errors import NotAuthorised
from corso.stages.batch import Batch
from corso.stages.reading_back.fulfillments import (
    FulfillmentsBack,
    count_due,
    read_fulfillments_back,
    remember_read,
)
from schemas.listing import FULFILLMENTS_READ, LISTED_FULFILLMENTS
from tests.clocks import JumpingClock
from tests.factories import listing_frame
from tests.listed_corso import ListedCorso, a_batch, accepted_fulfillments, at, note_sent, served


def a_store(folder: Path, orders: int, **reconcile: Any) -> tuple[ListedCorso, Batch]:
    """Return a store in which every order `o-<n>` has a fulfillment `f-<n>`."""
    corso, batch = ListedCorso(), a_batch(folder, **reconcile)
    ids = {number: corso.has(number, number) for number in range(1, orders + 1)}
    for number, corso_id in ids.items():
        corso.fulfillments[corso_id] = [a_record(number)]
    note_sent(batch, ids, tuple((number, number) for number in ids))
    return corso, batch


def a_record(number: int, **changes: Any) -> dict[str, Any]:
    """Return fulfillment `f-<n>` as Corso answers it."""
    return {
        "fulfillmentId": 1000 + number,
        "sourceFulfillmentId": f"f-{number}",
        "fulfillmentLocationId": 12,
        "trackingInfoNumber": 99,
        "shipmentStatus": "in_transit",
        "createdOn": at(number),
    } | changes


def read(corso: ListedCorso, batch: Batch, rows: list[tuple[int, int]]) -> FulfillmentsBack:
    """Read back as a run does."""
    listing = listing_frame(list(corso.records.values())).lazy()
    clock = JumpingClock(datetime.now(UTC))
    with served(corso):
        back = read_fulfillments_back(batch, accepted_fulfillments(rows), listing, unwatched, clock=clock)
    LISTED_FULFILLMENTS.validate(back.fulfillments)
    FULFILLMENTS_READ.validate(back.read)
    remember_read(batch.settings, back.read)
    return back


def orders(back: FulfillmentsBack) -> list[int]:
    """Return the orders whose fulfillments were read."""
    return sorted(int(each.removeprefix("o-")) for each in back.read["source_order_id"])


EACH = [(number, number) for number in range(1, 7)]


def test_what_corso_holds_of_each_order_is_a_row(tmp_path: Path) -> None:
    """With the ids of its order; one request an order, however many fulfillments it has."""
    corso, batch = a_store(tmp_path, 2)
    corso.fulfillments[1].append(a_record(7))
    back = read(corso, batch, [(1, 1), (1, 7), (2, 2)])
    rows = back.fulfillments.select(
        "source_order_id", "corso_order_id", "source_fulfillment_id", "corso_fulfillment_id"
    )
    assert sorted(rows.iter_rows()) == [
        ("o-1", "1", "f-1", "1001"),
        ("o-1", "1", "f-7", "1007"),
        ("o-2", "2", "f-2", "1002"),
    ]
    assert set(back.fulfillments["tracking_info_number"]) == {"99"}
    assert corso.asked == {"fulfillments": 2}
    assert batch.read_facts().notes == ("Fulfillments were read back of 2 of the 2 orders that have some.",)


def test_an_order_without_any_in_corso_was_read_all_the_same(tmp_path: Path) -> None:
    """That is how a missing one shows."""
    corso, batch = a_store(tmp_path, 2)
    del corso.fulfillments[2]
    back = read(corso, batch, EACH[:2])
    assert orders(back) == [1, 2]
    assert back.fulfillments["source_order_id"].to_list() == ["o-1"]


def test_a_fulfillment_that_reads_do_not_show_yet_is_waited_for(tmp_path: Path) -> None:
    """It was accepted a moment ago."""
    corso, batch = a_store(tmp_path, 2)
    corso.unreadable[2] = 2
    back = read(corso, batch, EACH[:2])
    assert sorted(back.fulfillments["source_fulfillment_id"]) == ["f-1", "f-2"]
    assert corso.asked["fulfillments"] == 4


def test_the_budget_is_kept_and_the_rest_is_the_next_runs(tmp_path: Path) -> None:
    """First those that never were read, then those where it is longest ago."""
    corso, batch = a_store(tmp_path, 6, fulfillment_requests=2)
    first = read(corso, batch, EACH)
    assert orders(first) == [1, 2]
    assert first.note == (
        "Fulfillments were read back of 2 of the 6 orders that have some (reconcile.fulfillment_requests: 2), the oldest "
        "debt first; of 4 they never were, or were sent since."
    )
    assert [orders(read(corso, batch, EACH)) for _ in range(3)] == [[3, 4], [5, 6], [1, 2]]
    assert corso.asked == {"fulfillments": 8}


def test_what_was_sent_since_is_due_again(tmp_path: Path) -> None:
    """Before what was merely read long ago."""
    corso, batch = a_store(tmp_path, 4, fulfillment_requests=4)
    read(corso, batch, EACH[:4])
    note_sent(batch, {}, ((3, 33),))
    small = a_batch(tmp_path, fulfillment_requests=1)
    back = read(corso, small, [*EACH[:4], (3, 33)])
    assert orders(back) == [3]
    assert back.debt.never == 1


def test_another_batch_remembers_what_the_store_was_asked(tmp_path: Path) -> None:
    """The debt is the store's."""
    corso, batch = a_store(tmp_path, 4, fulfillment_requests=2)
    read(corso, batch, EACH[:4])
    assert orders(read(corso, a_batch(tmp_path, "next", fulfillment_requests=2), EACH[:4])) == [3, 4]


def test_no_budget_is_no_request(tmp_path: Path) -> None:
    """And no order counts as read."""
    corso, batch = a_store(tmp_path, 3, fulfillment_requests=0)
    back = read(corso, batch, EACH[:3])
    assert (back.read.height, back.debt.due, corso.asked.total()) == (0, 3, 0)


def test_a_doubled_order_is_asked_by_the_record_that_the_ledger_knows(tmp_path: Path) -> None:
    """It was sent them."""
    corso, batch = a_store(tmp_path, 1)
    corso.records = {7: corso.records[1] | {"orderId": 7}, **corso.records}
    assert read(corso, batch, EACH[:1]).read["corso_order_id"].to_list() == ["1"]


def test_an_order_that_went_meanwhile_was_not_read(tmp_path: Path) -> None:
    """What is missing then is the order."""
    corso, batch = a_store(tmp_path, 2)
    listing = listing_frame(list(corso.records.values())).lazy()
    del corso.records[1]
    with served(corso):
        back = read_fulfillments_back(
            batch, accepted_fulfillments(EACH[:2]), listing, unwatched, clock=JumpingClock(datetime.now(UTC))
        )
    assert orders(back) == [2]


def test_an_api_that_tells_none_is_asked_no_more(tmp_path: Path) -> None:
    """The run goes on without."""
    corso, batch = a_store(tmp_path, 40)
    corso.tells_fulfillments = False
    back = read(corso, batch, [(number, number) for number in range(1, 41)])
    assert back.read.is_empty()
    assert corso.asked["fulfillments"] <= batch.settings.loader.limits.max_in_flight
    assert back.note.endswith("the API refuses to tell them.")


def test_who_may_not_read_is_told(tmp_path: Path) -> None:
    """No permission is not an answer about fulfillments."""
    corso, batch = a_store(tmp_path, 3)
    corso.fail_after = 1
    with pytest.raises(NotAuthorised):
        read(corso, batch, EACH[:3])


def test_the_drift_of_fulfillments_stands_beside_that_of_orders(tmp_path: Path) -> None:
    """Once, however often they are read."""
    corso, batch = a_store(tmp_path, 2)
    batch.write_facts(batch.read_facts().model_copy(update={"drift": ("of orders",), "notes": ("read",)}))
    corso.fulfillments[1] = [
        a_record(1, parcelColour="red", deliveredOn="yesterday", fulfillmentLocationId=None)
    ]
    for _ in range(2):
        read(corso, batch, EACH[:2])
        facts = batch.read_facts()
        assert facts.drift == (
            "of orders",
            "Corso answered fields that its reference does not name: fulfillments.parcelColour (once).",
            "Corso left out fields that its reference calls required: fulfillments.fulfillmentLocationId (once).",
            "Corso answered values of another type than documented: fulfillments.deliveredOn (once).",
        )
        assert len(facts.notes) == 2


def test_what_it_costs_is_counted_beforehand() -> None:
    """Never more than the budget, never more than one an order."""
    rows = accepted_fulfillments([(1, 1), (1, 2), (2, 3)])
    assert [count_due(rows, budget) for budget in (0, 1, 2, 100)] == [0, 1, 2, 2]
