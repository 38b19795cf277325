"""A pass over the listing shows every order once and in its newest state, whatever the store does meanwhile."""

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from corso.api.listing import CursorRefused, ListingBroken, ListingRefused, Page
from corso.stages.reading_back import checkpoint as checkpoints
from corso.stages.reading_back.checkpoint import Checkpoint
from corso.stages.reading_back.pages import RESTARTS, ListingPass
from corso.stages.reading_back.records import each_once
from tests.model_listing import STORE_ID, Kept, ModelListing, OrderedBy, moment

ORDERS: list[OrderedBy] = [
    "creation",
    "creation, ties the same both ways",
    "change",
    "creation, always asc",
    "creation, always desc",
]


def now() -> datetime:
    """Return the time of day."""
    return datetime.now(UTC)


def store(orders: int, **habits: Any) -> ModelListing:
    """Return a store of so many orders, one a second, that answers at once."""
    listing = ModelListing(answers_by_itself=True, **habits)
    for _ in range(orders):
        listing.now += 1
        listing.insert()
    return listing


@contextmanager
def checkpoint_at(folder: Path) -> Iterator[Checkpoint]:
    """Open the checkpoint of one and the same reading."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.begin({"reading": 1}, now())
        yield checkpoint


def read(listing: Any, folder: Path, **asked: Any) -> tuple[ListingPass, pl.DataFrame]:
    """Make a pass to its end; return it, and what it has shown."""
    with checkpoint_at(folder) as checkpoint:
        going = ListingPass(listing, checkpoint, STORE_ID, now, **asked)
        asyncio.run(going.run())
        return going, each_once(checkpoint.parts()).collect()


def numbers(frame: pl.DataFrame) -> list[int]:
    """Return the orders of a frame, the oldest first."""
    return sorted(int(each) for each in frame["corso_order_id"])


@pytest.mark.parametrize("orders", [0, 1, 2, 3, 4, 5, 20, 41])
@pytest.mark.parametrize("ordered_by", ORDERS)
def test_every_order_is_there_once(tmp_path: Path, orders: int, ordered_by: OrderedBy) -> None:
    """However many there are, and whatever the listing is ordered by."""
    _, frame = read(store(orders, ordered_by=ordered_by), tmp_path)
    assert numbers(frame) == list(range(1, orders + 1))


def test_two_cursors_ask_for_half_each_and_little_more(tmp_path: Path) -> None:
    """Where they meet a page or two are read twice; one more is the look at what came meanwhile."""
    listing = store(200, page_size=5)
    going, _ = read(listing, tmp_path)
    assert going.pages <= 40 + 4
    assert abs(listing.asked["asc"] - listing.asked["desc"]) <= 3
    assert going.newest == moment(200)
    assert going.reached_all


def test_what_moves_up_in_the_second_of_the_newest_is_seen(tmp_path: Path) -> None:
    """A listing by change: right below the newest record, which the newest-first cursor has passed."""

    class Moving(ModelListing):
        async def page(self, order_by: str, after: str | None) -> Page:
            page = await super().page(order_by, after)
            if self.answers == 1:
                self.change(self.records[0])
                self.insert()
            return page

    listing = Moving(answers_by_itself=True, ordered_by="change")
    for _ in range(4):
        listing.now += 1
        listing.insert()
    _, frame = read(listing, tmp_path)
    assert {1, 2, 3, 4} <= set(numbers(frame))


def test_a_store_of_one_page_costs_one_request(tmp_path: Path) -> None:
    """It was read at one moment: there is nothing to look at again."""
    listing = store(3, page_size=5)
    read(listing, tmp_path)
    assert listing.asked == Counter(desc=1)


@pytest.mark.parametrize("refused", ["asc", "desc"])
def test_where_one_direction_is_refused_the_other_one_goes_alone(tmp_path: Path, refused: str) -> None:
    """To its end."""
    _, frame = read(store(9, refuses=frozenset({refused})), tmp_path)
    assert numbers(frame) == list(range(1, 10))


def test_where_both_are_refused_the_listing_is(tmp_path: Path) -> None:
    """So that the caller takes to look-ups."""
    with pytest.raises(ListingRefused):
        read(store(9, refuses=frozenset({"asc", "desc"})), tmp_path)


def test_one_cursor_is_asked_for_by_name(tmp_path: Path) -> None:
    """The oldest-first one."""
    listing = store(9)
    going, frame = read(listing, tmp_path, cursors=1)
    assert numbers(frame) == list(range(1, 10))
    assert listing.asked.keys() == {"asc"}
    assert going.newest == moment(9)


@pytest.mark.parametrize("seconds", [0, 1, 2, 11, 19, 20])
def test_newest_first_goes_down_to_the_watermark_and_no_further(tmp_path: Path, seconds: int) -> None:
    """What was created at it, or later, is surely read; of what is older no more than a page and one."""
    listing = store(20, page_size=3)
    going, frame = read(listing, tmp_path, down_to=moment(seconds))
    wanted = [each for each in range(1, 21) if each >= seconds]
    assert set(wanted) <= set(numbers(frame))
    assert len(frame) <= len(wanted) + 3
    assert "asc" not in listing.asked
    assert going.reached_all == (len(frame) == 20)


@pytest.mark.parametrize("ordered_by", ["change", "creation, always asc"])
def test_where_the_newest_do_not_come_first_all_is_read(tmp_path: Path, ordered_by: OrderedBy) -> None:
    """A watermark says nothing then."""
    listing = store(20, page_size=3, ordered_by=ordered_by)
    listing.now += 1
    listing.change(listing.records[4])
    going, frame = read(listing, tmp_path, down_to=moment(17))
    assert numbers(frame) == list(range(1, 21))
    assert going.reached_all


def test_records_without_a_time_of_creation_are_all_read(tmp_path: Path) -> None:
    """It is not documented as always there."""

    class Timeless(ModelListing):
        def _json(self, kept: Kept) -> dict[str, Any]:
            return {key: value for key, value in super()._json(kept).items() if key != "createdOn"}

    listing = Timeless(answers_by_itself=True)
    for _ in range(9):
        listing.insert()
    going, frame = read(listing, tmp_path, down_to=moment(5))
    assert numbers(frame) == list(range(1, 10))
    assert going.newest is None


def test_a_page_that_comes_again_and_again_is_an_error(tmp_path: Path) -> None:
    """No loop for ever."""
    listing = store(9)
    listing.repeats = 1_000
    with pytest.raises(ListingBroken):
        read(listing, tmp_path)
    assert listing.answers < 20


def test_cursors_that_are_always_refused_are_an_error(tmp_path: Path) -> None:
    """After some fresh starts."""

    class Forgetful(ModelListing):
        async def page(self, order_by: str, after: str | None) -> Page:
            self.expire()
            return await super().page(order_by, after)

    listing = Forgetful(answers_by_itself=True)
    for _ in range(9):
        listing.now += 1
        listing.insert()
    with pytest.raises(CursorRefused):
        read(listing, tmp_path)
    assert listing.answers <= 4 * (RESTARTS + 2)


class Killed(BaseException):
    """The process is gone."""


class Mortal(ModelListing):
    """A listing that counts what it is asked for again, and with one of whose answers the process ends."""

    last = -1
    pages: Counter[tuple[str, str | None]]

    async def page(self, order_by: str, after: str | None) -> Page:
        """See `Listing.page`."""
        self.pages[order_by, after] += 1
        page = await super().page(order_by, after)
        await asyncio.sleep(0)
        if self.answers == self.last:
            raise Killed
        return page

    @property
    def asked_again(self) -> int:
        """How many pages were asked for once more."""
        return sum(count - 1 for count in self.pages.values())


@pytest.mark.slow
@pytest.mark.parametrize("cursors", [1, 2])
def test_a_kill_costs_two_pages_at_the_most(tmp_path: Path, cursors: Any) -> None:
    """Wherever it comes: what was read is on the disk before the next page is asked for."""
    # The closing look asks for the first page anew, killed or not.
    unkilled = 1 if cursors == 2 else 0
    for last in range(1, 22):
        listing = Mortal(answers_by_itself=True, page_size=3)
        listing.pages, listing.last = Counter(), last
        for _ in range(60):
            listing.now += 1
            listing.insert()
        with contextlib.suppress(Killed):
            read(listing, tmp_path / f"{last}", cursors=cursors)
        _, frame = read(listing, tmp_path / f"{last}", cursors=cursors)
        assert numbers(frame) == list(range(1, 61))
        assert listing.asked_again <= unkilled + 2


async def at_once(work: Callable[..., None], *given: Any) -> None:
    """Do what is to be done on a thread here and now: a machine has to know when it is done."""
    work(*given)


class Passes(RuleBasedStateMachine):
    """A pass under way, and a store that does not wait for it."""

    @initialize(
        orders=st.integers(0, 14),
        page_size=st.integers(1, 4),
        ordered_by=st.sampled_from(ORDERS),
        ties=st.lists(st.booleans(), min_size=14, max_size=14),
        cursors=st.sampled_from([1, 2, 2, 2]),
        rows_per_part=st.sampled_from([1, 3, 1000]),
        watermark=st.none() | st.integers(0, 14),
    )
    def begin(
        self,
        orders: int,
        page_size: int,
        ordered_by: OrderedBy,
        ties: list[bool],
        cursors: Any,
        rows_per_part: int,
        watermark: int | None,
    ) -> None:
        """Have a store of some orders, and begin."""
        self.folder = Path(tempfile.mkdtemp())
        self.cursors = cursors
        # Where a change moves an order, a watermark may end the pass too early: the batch's orders are looked up then.
        self.down_to = None if watermark is None or ordered_by == "change" else moment(watermark)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(checkpoints, "ROWS_PER_PART", rows_per_part)
        self.patch.setattr(asyncio, "to_thread", at_once)
        self.listing = ModelListing(ordered_by, page_size)
        for number in range(orders):
            self.listing.now += not ties[number]
            self.listing.insert()
        self.at_start = {
            kept.number: kept.version
            for kept in self.listing.records
            if self.down_to is None or moment(kept.created) >= self.down_to
        }
        self.gone: set[int] = set()
        self.has_begun_again = False
        self.may_repeat_after = 0
        self.loop = asyncio.new_event_loop()
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.checkpoint = Checkpoint.open(self.folder)
        self.checkpoint.begin({"reading": 1}, now())
        going = ListingPass(
            self.listing, self.checkpoint, STORE_ID, now, cursors=self.cursors, down_to=self.down_to
        )
        self.task = self.loop.create_task(going.run())
        self.idle()

    def idle(self) -> None:
        """Let the process do all that it can without an answer."""
        for _ in range(12):
            self.loop.run_until_complete(asyncio.sleep(0))

    @rule(later=st.booleans())
    def an_order_comes(self, later: bool) -> None:
        """A new order, perhaps in the same second as the last one."""
        self.listing.now += later
        self.listing.insert()

    @precondition(lambda self: self.listing.records)
    @rule(which=st.integers(0, 30), later=st.booleans())
    def an_order_changes(self, which: int, later: bool) -> None:
        """Any of them."""
        self.listing.now += later
        self.listing.change(self.listing.records[which % len(self.listing.records)])

    @precondition(lambda self: self.listing.records)
    @rule(which=st.integers(0, 30))
    def an_order_goes(self, which: int) -> None:
        """Any of them."""
        kept = self.listing.records[which % len(self.listing.records)]
        self.gone.add(kept.number)
        self.listing.delete(kept)

    @rule(which=st.integers(0, 1))
    def a_page_is_answered(self, which: int) -> None:
        """One of those that are asked for."""
        self.listing.let_answer(which)
        self.idle()

    @rule()
    def cursors_expire(self) -> None:
        """All that were given out."""
        self.has_begun_again = True
        self.listing.expire()

    @rule()
    def a_page_comes_again(self) -> None:
        """Once: again and again is an error."""
        if self.listing.answers >= self.may_repeat_after:
            self.listing.repeats = 1
            self.may_repeat_after = self.listing.answers + 8

    @rule()
    def the_process_is_killed(self) -> None:
        """And started again."""
        if not self.task.done():
            self.end_process()
            self.start()

    def end_process(self) -> None:
        """Leave nothing but what is on the disk."""
        self.task.cancel()
        self.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))
        self.checkpoint._connection.close()

    def teardown(self) -> None:
        """Let the pass come to its end, and look at what it has shown."""
        if not hasattr(self, "loop"):
            return
        try:
            self.come_to_the_end()
        finally:
            self.task.cancel()
            self.loop.run_until_complete(asyncio.gather(self.task, return_exceptions=True))
            self.checkpoint._connection.close()
            self.loop.close()
            self.patch.undo()
            shutil.rmtree(self.folder)

    def come_to_the_end(self) -> None:
        """Answer all that is asked, and judge."""
        for _ in range(400):
            if self.task.done():
                break
            self.listing.let_answer(0)
            self.idle()
        try:
            self.task.result()
        except CursorRefused:
            return
        frame = each_once(self.checkpoint.parts()).collect()
        shown = dict(zip(numbers_of(frame), map(int, frame["notes"]), strict=True))
        assert len(shown) == frame.height, "an order is there twice"
        for number, version in self.at_start.items():
            if number not in self.gone:
                assert number in shown, f"order {number} was there all the time"
                assert shown[number] >= version
        if not self.has_begun_again:
            served = self.listing.versions_served
            assert {number: served[number] for number in shown} == shown


def numbers_of(frame: pl.DataFrame) -> list[int]:
    """Return the orders of a frame, row by row."""
    return [int(each) for each in frame["corso_order_id"]]


TestPasses = pytest.mark.slow(Passes.TestCase)
TestPasses.settings = hypothesis_settings(max_examples=100, stateful_step_count=30, deadline=None)
