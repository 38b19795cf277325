"""A batch read back: by the way that costs the fewest requests, and never calling missing what was not reached."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from corso.api.listing import ListingRefused
from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S
from corso.delivery.ports import unwatched
from corso.errors import NotAuthorised
from corso.stages.batch import Batch
from corso.stages.reading_back import reading, ways
from corso.stages.reading_back.known_records import read_known
from corso.stages.reading_back.reading import BY_LISTING, BY_LOOK_UPS, REFUSED, ReadBack, reading_back
from corso.stages.reading_back.ways import Counted, count_requests
from corso.stages.reconciling import OF_WHOLE_STORE
from schemas.listing import LISTED_FULFILLMENTS
from tests.clocks import JumpingClock
from tests.listed_corso import (
    ListedCorso,
    a_batch,
    accepted_orders,
    at,
    note_changed,
    note_sent,
    served,
)

Shown = dict[str, list[str]]


def read(corso: ListedCorso, batch: Batch, numbers: Any) -> tuple[ReadBack, Shown]:
    """Read a batch back; return what is told of it, and source order id -> Corso's ids."""
    shown: Shown = {}
    clock = JumpingClock(datetime.now(UTC))
    with served(corso), reading_back(batch, accepted_orders(numbers), unwatched, clock=clock) as found:
        rows = found.listing.select("source_order_id", "corso_order_id").collect()
        for source, corso_id in rows.iter_rows():
            shown.setdefault(source, []).append(corso_id)
    return found, shown


@pytest.fixture
def nightly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole listing is worth no more than its requests, and nights follow at once: small stores show what large ones do."""
    monkeypatch.setattr(ways, "WORTH_ALL", 0)
    monkeypatch.setattr(ways, "SHOWS_WITHIN", timedelta(0))


def a_store(folder: Path, orders: int = 60) -> tuple[ListedCorso, Batch]:
    """Return a store whose orders 1 to so many were loaded, an hour apart, and read back once."""
    corso, batch = ListedCorso(), a_batch(folder, "first")
    note_sent(batch, {number: corso.has(number, 60 * number) for number in range(1, orders + 1)})
    _, shown = read(corso, batch, range(1, orders + 1))
    assert len(shown) == orders
    corso.asked.clear()
    return corso, batch


def test_the_first_time_all_is_read(tmp_path: Path) -> None:
    """And what there is is remembered with the store."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in (1, 2, 3, 4)})
    corso.has(77, 5)
    found, shown = read(corso, batch, [1, 2, 3, 4, 5])
    assert shown == {"o-1": ["1"], "o-2": ["2"], "o-3": ["3"], "o-4": ["4"], "o-77": ["5"]}
    assert found.way == "listing"
    assert found.note.startswith(BY_LISTING)
    assert "Requests counted beforehand: 1 for the whole listing, 5 for look-ups." in found.note
    known = read_known(batch.settings)
    assert known is not None
    assert known.newest is not None
    assert (known.newest.isoformat(), known.records, known.page_size) == (at(5), 5, 3)
    assert not (batch.tables / "reading_back").exists()


def test_an_order_that_the_listing_hides_is_looked_up(tmp_path: Path) -> None:
    """Corso took it, so it is not missing because the listing is late."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    ids = {number: corso.has(number, number) for number in (1, 2, 3)}
    note_sent(batch, ids)
    corso.hidden = {ids[3]}
    found, shown = read(corso, batch, [1, 2, 3])
    assert shown["o-3"] == ["3"]
    assert "1 order that it did not show, though Corso took it, was looked up." in found.note


def test_an_order_that_is_gone_is_missing(tmp_path: Path) -> None:
    """Asked for by its id as well, and not there."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in (1, 2, 3)})
    del corso.records[2]
    _, shown = read(corso, batch, [1, 2, 3])
    assert shown.keys() == {"o-1", "o-3"}
    assert 1 < corso.asked["order"] < 10


def test_an_order_that_went_long_after_it_was_accepted_is_asked_for_once(tmp_path: Path) -> None:
    """It is not late any more."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in (1, 2, 3)})
    del corso.records[2]
    clock = JumpingClock(datetime.now(UTC) + timedelta(seconds=LONGEST_LAG_GUESSED_S))
    with served(corso), reading_back(batch, accepted_orders([1, 2, 3]), unwatched, clock=clock):
        pass
    assert (corso.asked["order"], clock.elapsed) == (1, 0.0)


@pytest.mark.parametrize("mode", ["listing", "lookup"])
def test_an_order_that_reads_do_not_show_yet_is_waited_for(tmp_path: Path, mode: str) -> None:
    """It was accepted a moment ago: to call it missing would be wrong, and send people looking."""
    corso, batch = (
        ListedCorso(filters_by_source_id=False, filters_by_email=False),
        a_batch(tmp_path, mode=mode),
    )
    ids = {number: corso.has(number, number) for number in (1, 2, 3)}
    note_sent(batch, ids)
    corso.hidden, corso.unreadable[ids[3]] = {ids[3]}, 3
    _, shown = read(corso, batch, [1, 2, 3])
    assert shown.keys() == {"o-1", "o-2", "o-3"}


@pytest.mark.parametrize(("mode", "answers"), [("listing", 1), ("listing", 3), ("lookup", 3)])
def test_an_order_that_is_shown_as_before_a_change_is_asked_for_again(
    tmp_path: Path, mode: str, answers: int
) -> None:
    """To call it different would send people looking, too."""
    corso, batch = ListedCorso(), a_batch(tmp_path, mode=mode)
    ids = {number: corso.has(number, number) for number in (1, 2, 3)}
    note_sent(batch, ids)
    corso.changes(ids[2], datetime.now(UTC), answers, notes="changed")
    note_changed(batch, 2, ids[2])
    clock = JumpingClock(datetime.now(UTC))
    with served(corso), reading_back(batch, accepted_orders([1, 2, 3]), unwatched, clock=clock) as found:
        notes = dict(found.listing.select("source_order_id", "notes").collect().iter_rows())
    assert notes["o-2"] == "changed"
    assert ("as they were before a change" in found.note) == (mode == "listing")
    assert corso.asked["source id"] == (answers if mode == "listing" else 3 + answers)


def test_an_order_that_stays_as_it_was_before_a_change_is_given_up(tmp_path: Path) -> None:
    """It is different then."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    corso_id = corso.has(1, 1)
    note_sent(batch, {1: corso_id})
    note_changed(batch, 1, corso_id)
    clock = JumpingClock(datetime.now(UTC))
    with served(corso), reading_back(batch, accepted_orders([1]), unwatched, clock=clock):
        pass
    assert LONGEST_LAG_GUESSED_S <= clock.elapsed < LONGEST_LAG_GUESSED_S + 10
    assert corso.asked["source id"] < 10


@pytest.mark.usefixtures("nightly")
def test_a_nightly_batch_costs_the_pages_since_the_last_pass(tmp_path: Path) -> None:
    """And the pages that lie in ten minutes before it; not the store."""
    corso, _ = a_store(tmp_path)
    batch = a_batch(tmp_path, "second")
    note_sent(batch, {number: corso.has(number, 60 * number) for number in (61, 62)})
    foreign = corso.has(900, 60 * 63)
    found, shown = read(corso, batch, [61, 62])
    assert found.way == "newest first"
    assert {"o-61", "o-62", "o-900"} <= shown.keys()
    assert len(shown) <= 6
    assert corso.asked["page"] <= 3
    assert "Older orders of other batches were not read" in found.note
    assert not found.note.startswith(OF_WHOLE_STORE)
    known = read_known(batch.settings)
    assert known is not None
    assert known.records == foreign == 63


@pytest.mark.usefixtures("nightly")
def test_older_orders_of_a_nightly_batch_are_looked_up(tmp_path: Path) -> None:
    """Unchanged, updated, cancelled or gone: each as it is now, not as it was."""
    corso, _ = a_store(tmp_path)
    batch = a_batch(tmp_path, "second")
    note_sent(batch, {61: corso.has(61, 60 * 61)})
    corso.records[7]["notes"] = "changed by hand"
    del corso.records[9]
    clock = JumpingClock(datetime.now(UTC))
    with served(corso), reading_back(batch, accepted_orders([7, 8, 9, 61]), unwatched, clock=clock) as found:
        rows = found.listing.collect()
    assert found.way == "newest first"
    assert found.looked_up == 3
    notes = dict(rows.select("source_order_id", "notes").iter_rows())
    assert notes["o-7"] == "changed by hand"
    assert {"o-8", "o-61"} <= notes.keys()
    assert "o-9" not in notes


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize("filters", [True, False])
def test_a_second_record_of_an_order_shows_wherever_it_stands(tmp_path: Path, filters: bool) -> None:
    """Both newer; one older and one newer; both older, one of them created by another program."""
    corso, batch = ListedCorso(), a_batch(tmp_path, "first")
    ids = {number: corso.has(number, 60 * number) for number in range(1, 61)}
    corso.has(5, 60 * 61)
    corso.has(62, 60 * 62)
    for number in range(63, 70):
        ids[number] = corso.has(number, 60 * number)
    note_sent(batch, ids)
    read(corso, batch, range(1, 70))
    corso.filters_by_source_id = corso.filters_by_email = filters
    batch = a_batch(tmp_path, "second")
    note_sent(batch, {62: corso.has(62, 60 * 70), 71: corso.has(71, 60 * 71)})
    corso.has(71, 60 * 72)
    found, shown = read(corso, batch, [5, 62, 71])
    assert found.way == "newest first"
    assert {len(shown[each]) for each in ("o-5", "o-62", "o-71")} == {2}


@pytest.mark.usefixtures("nightly")
def test_night_after_night_only_what_is_new_is_read(tmp_path: Path) -> None:
    """What the nights have seen is put on top of what was known."""
    corso, _ = a_store(tmp_path)
    for night in range(1, 5):
        corso.asked.clear()
        number = 60 + night
        batch = a_batch(tmp_path, f"night {night}")
        note_sent(batch, {number: corso.has(number, 60 * number)})
        found, shown = read(corso, batch, [number, number - 1])
        assert found.way == "newest first"
        assert {f"o-{number}", f"o-{number - 1}"} <= shown.keys()
        assert corso.asked["page"] <= 2
    known = read_known(batch.settings)
    assert known is not None
    assert known.records == 64


@pytest.mark.usefixtures("nightly")
def test_another_environment_is_known_nothing_of(tmp_path: Path) -> None:
    """What was read from staging proves nothing about production."""
    _, batch = a_store(tmp_path)
    sections = batch.settings.loader.model_dump()
    sections["corso"] = {"environment": "staging"}
    loader = type(batch.settings.loader).model_validate(sections)
    assert read_known(batch.settings) is not None
    assert read_known(type(batch.settings)(batch.settings.path, loader)) is None


def test_a_few_orders_of_a_large_store_are_looked_up(tmp_path: Path) -> None:
    """Where nothing is known of it yet: five requests in place of many pages."""
    corso, batch = ListedCorso(page_size=50), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in range(1, 301)})
    found, shown = read(corso, batch, [3, 4, 5])
    assert found.way == "look-ups"
    assert found.note.startswith(BY_LOOK_UPS)
    assert shown.keys() == {"o-3", "o-4", "o-5"}
    assert corso.asked == {"source id": 3}
    assert read_known(batch.settings) is None


@pytest.mark.parametrize(
    ("habits", "asked"),
    [
        ({}, {"source id": 5}),
        ({"filters_by_source_id": False}, {"source id", "e-mail"}),
        ({"filters_by_source_id": False, "filters_by_email": False}, {"source id", "e-mail", "order"}),
    ],
)
def test_look_ups_go_by_the_first_way_that_the_api_offers(
    tmp_path: Path, habits: dict[str, bool], asked: Any
) -> None:
    """What it refuses is not tried for every order anew."""
    corso, batch = ListedCorso(**habits), a_batch(tmp_path, mode="lookup")
    note_sent(batch, {number: corso.has(number, number) for number in range(1, 6)})
    _, shown = read(corso, batch, range(1, 6))
    assert len(shown) == 5
    assert corso.asked.keys() == set(asked)
    assert corso.asked["source id"] == 5 or corso.asked["source id"] <= 4
    assert sum(corso.asked.values()) <= 5 + 8


def test_an_api_that_refuses_to_list_is_asked_order_by_order(tmp_path: Path) -> None:
    """By itself, and it says so; not where the listing is demanded."""
    corso, batch = ListedCorso(lists=False), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in (1, 2)})
    found, shown = read(corso, batch, [1, 2])
    assert shown.keys() == {"o-1", "o-2"}
    assert REFUSED in found.note
    with pytest.raises(ListingRefused):
        read(corso, a_batch(tmp_path, mode="listing"), [1, 2])


@pytest.mark.parametrize("answers", [1, 3, 8, 12])
def test_what_was_read_is_not_read_again_after_an_interruption(tmp_path: Path, answers: int) -> None:
    """The next run of the same batch goes on; two pages at the most were under way."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in range(1, 61)})
    read(corso, a_batch(tmp_path, "whole"), range(1, 61))
    whole = corso.asked["page"]
    corso.asked.clear()
    corso.fail_after = answers
    with pytest.raises(NotAuthorised):
        read(corso, batch, range(1, 61))
    corso.fail_after = None
    found, shown = read(corso, batch, range(1, 61))
    assert found.is_resumed
    assert len(shown) == 60
    # A refused page had not been answered.
    assert corso.asked["page"] <= whole + 3


def test_look_ups_go_on_after_an_interruption(tmp_path: Path) -> None:
    """Those that were answered are not made again, but for the last few."""
    corso, batch = ListedCorso(), a_batch(tmp_path, mode="lookup")
    note_sent(batch, {number: corso.has(number, number) for number in range(1, 201)})
    corso.fail_after = 150
    with pytest.raises(NotAuthorised):
        read(corso, batch, range(1, 201))
    corso.fail_after = None
    _, shown = read(corso, batch, range(1, 201))
    assert len(shown) == 200
    assert corso.asked["source id"] <= 200 + 4


def test_what_was_sent_since_makes_a_reading_begin_anew(tmp_path: Path) -> None:
    """Its first part would not know of it."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in range(1, 31)})
    corso.fail_after = 6
    with pytest.raises(NotAuthorised):
        read(corso, batch, range(1, 31))
    corso.fail_after = None
    note_sent(batch, {31: corso.has(31, 31)})
    found, shown = read(corso, batch, range(1, 32))
    assert not found.is_resumed
    assert len(shown) == 31


def test_what_was_read_into_other_columns_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of the program read it, whose parts could not be put beside these."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number) for number in range(1, 31)})
    corso.fail_after = 6
    monkeypatch.setattr(reading, "LISTING", LISTED_FULFILLMENTS)
    with pytest.raises(NotAuthorised):
        read(corso, batch, range(1, 31))
    monkeypatch.undo()
    corso.fail_after = None
    found, shown = read(corso, batch, range(1, 31))
    assert not found.is_resumed
    assert len(shown) == 30


@pytest.mark.usefixtures("nightly")
def test_a_plan_counts_what_the_reading_will(tmp_path: Path) -> None:
    """Before anything is sent, and after: by the size of page that the API was seen to give."""
    corso, _ = a_store(tmp_path)
    batch, orders = a_batch(tmp_path, "second"), accepted_orders([7, 8, 61, 62])
    planned = count_requests(batch.settings, orders, count=4, to_create=2)
    note_sent(batch, {number: corso.has(number, 60 * number) for number in (61, 62)})
    sent = count_requests(batch.settings, orders, count=4)
    assert planned == sent == Counted(listing=1 + 62 // 3, look_ups=4, newest_first=1 + 2, older=2)
    assert str(sent) == "21 for the whole listing, 3 newest first, 4 for look-ups"
    assert [sent.pages_and_look_ups(way) for way in ("listing", "newest first", "look-ups")] == [
        (21, 0),
        (1, 2),
        (0, 4),
    ]


def test_only_the_whole_listing_is_taken_for_the_whole_store() -> None:
    """The comparison heals foreign findings by that word alone: those that were not read stay as they were."""
    assert BY_LISTING.startswith(OF_WHOLE_STORE)
    assert not BY_LOOK_UPS.startswith(OF_WHOLE_STORE)


def test_drift_is_among_the_facts(tmp_path: Path) -> None:
    """Counted over all pages, without a value; the run goes on."""
    corso, batch = ListedCorso(), a_batch(tmp_path)
    note_sent(batch, {number: corso.has(number, number, riskScore=3) for number in range(1, 9)})
    del corso.records[1]["totalMoney"]
    corso.records[2]["shippingAddress"]["countryCode"] = "Narnia"
    _, shown = read(corso, batch, range(1, 9))
    assert len(shown) == 8
    unknown, missing, new = batch.read_facts().drift
    # How often depends on where the cursors met: an order that was read twice counts twice.
    assert unknown.startswith("Corso answered fields that its reference does not name: riskScore (")
    assert missing.startswith("Corso left out fields that its reference calls required: totalMoney (")
    assert new.startswith(
        "Corso answered values that its reference does not name: shippingAddress.countryCode: Narnia ("
    )


@pytest.mark.parametrize(
    ("counted", "mode", "way"),
    [
        (Counted(100, 50), "auto", "look-ups"),
        (Counted(50, 50), "auto", "listing"),
        (Counted(100, 500, 90), "auto", "listing"),
        (Counted(100, 500, 89), "auto", "newest first"),
        (Counted(100, 50, 60), "auto", "look-ups"),
        (Counted(100, 5, 3), "listing", "listing"),
        (Counted(1, 500, 1), "lookup", "look-ups"),
    ],
)
def test_the_way_of_the_fewest_requests_is_taken(counted: Counted, mode: Any, way: str) -> None:
    """The whole listing where it costs little more: it proves the most."""
    assert counted.way(mode) == way
