"""A pass over the listing: with one cursor from each end until they meet, or newest first down to a watermark.

Corso documents `first` with `after`, and `orderBy`; by what it orders is not said. Creation is assumed, watched, and not
relied upon where `createdOn` contradicts it:

- **Both ends.** The newest-first cursor reads its first page, then both go on side by side. They have met once the
  oldest-first one gets a record that the other one had read before, and has come to a later creation than the other
  one: then all that is older was read by the one and all that is newer by the other, however ties are ordered. Both must
  have been seen to go their ways: a server may ignore which it was asked.
- **Watermark.** Newest first, and seen to be, until a page ends before it.
- **The closing look.** What came, or changed, after the newest-first cursor had begun may stand above its first page:
  the newest pages are read once more, down to what was the newest then.
- **One cursor.** Where creation does not fall (or rise) all the way, or one direction is refused, the oldest-first
  cursor goes on alone to its end: an order that comes, or moves, meanwhile is still before it then.

A record that is read twice is kept twice; `records` puts it once. Each page is on the disk, with how far its cursor came,
before the next one is asked for; that happens on a thread, so that one cursor does not wait for the other one's disk.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, Protocol

from corso.api.listing import CursorRefused, CursorTrail, ListingBroken, ListingRefused, Page
from corso.report.drift import Drift
from corso.report.read_back import read_records
from corso.stages.reading_back.checkpoint import Checkpoint
from corso.stages.reading_back.lanes import Lane, OrderBy, Top
from schemas.wire import JsonObject, id_text

RESTARTS = 5
"""How often one cursor may be refused in one pass, and begin again, before that is an error."""

_SAME_PAGE = 3
"""How often in a row a page may come again before that is an error."""
_IDS_REMEMBERED = 5_000
"""Ids of what the newest-first cursor read last: where the other one will come upon it."""


class Listing(Protocol):
    """What a pass asks of the API; `corso.api.client.CorsoApi` is the real thing."""

    async def page(self, order_by: OrderBy, after: str | None) -> Page:
        """Return the page behind a cursor, or the first; raises CursorRefused, ListingRefused and ApiError."""
        ...


Took = Callable[[int], None]
"""Told how many records the pass has read so far."""


class ListingPass:
    """One pass; goes on where its checkpoint stands."""

    def __init__(
        self,
        api: Listing,
        checkpoint: Checkpoint,
        store_id: int,
        utc: Callable[[], datetime],
        *,
        down_to: datetime | None = None,
        cursors: Literal[1, 2] = 2,
        took: Took = lambda _records: None,
    ) -> None:
        """Make a pass over all, or over what was created at `down_to` or later.

        `cursors` 1 reads all with the oldest-first one alone.
        """
        self._api = api
        self._checkpoint = checkpoint
        self._store_id = store_id
        self._utc = utc
        self._down_to = down_to
        self._took = took
        self._up = _lane_of(checkpoint, "oldest first", "asc")
        self._down = _lane_of(checkpoint, "newest first", "desc")
        self._closing = _lane_of(checkpoint, "closing look", "desc")
        self._top = Top(**checkpoint.fact("top") or {})
        self._has_crossed: bool = checkpoint.fact("has_crossed") or False
        self._down.is_given_up |= cursors == 1
        self._give_up_what_proves_nothing()
        self._writing: set[asyncio.Future[None]] = set()
        self._seen_by_down = dict.fromkeys(checkpoint.latest_ids(self._down.name, at_least=_IDS_REMEMBERED))
        self._last_ids: dict[str, list[str]] = {}
        if self._is_complete and self._is_closed:
            # It was read to its end before: what came since is above.
            self._closing.begin_again()

    async def run(self) -> None:
        """Read what is left to be read.

        Raises ListingRefused where the API wants filters, ListingBroken, CursorRefused where cursors are refused again
        and again, and what else the API raises.
        """
        if not self._down.is_given_up and not self._down.pages:
            await self._begin_from_the_top()
        while not self._is_complete:
            await self._walk_side_by_side([lane for lane in self._lanes if not lane.is_given_up])
        # Where one page is all that was read, it was read at one moment.
        if not self._down.is_given_up and self.pages > 1:
            trail = CursorTrail(self._closing.after)
            while not self._is_closed:
                trail = await self._step(self._closing, trail)

    @property
    def pages(self) -> int:
        """How many were read so far, with those that were read twice."""
        return sum(lane.all_pages for lane in (self._up, self._down, self._closing))

    @property
    def records(self) -> int:
        """How many were read so far, with those that were read twice."""
        return sum(lane.all_records for lane in (self._up, self._down, self._closing))

    @property
    def reached_all(self) -> bool:
        """Whether the whole store was read, and not only down to the watermark."""
        return self._up.has_ended or (not self._down.is_given_up and (self._down.has_ended or self._have_met))

    @property
    def newest(self) -> datetime | None:
        """The latest creation up to which the pass knows every record, but for those that show late; None: not known."""
        if not self._down.is_given_up:
            return self._top.created_at if self._down.is_in_order else None
        return self._up.edge_at if self._up.is_in_order else None

    @property
    def largest_page(self) -> int:
        """Records of the largest page of the cursors that read more than one page; 0 where none did."""
        return max((lane.largest for lane in (self._up, self._down) if lane.pages > 1), default=0)

    @property
    def _lanes(self) -> Sequence[Lane]:
        if self._down.is_given_up:
            return [self._up]
        return [self._up, self._down] if self._down_to is None else [self._down]

    @property
    def _is_complete(self) -> bool:
        if self._up.has_ended:
            return True
        if self._down.is_given_up:
            return False
        edge = self._down.edge_at
        is_deep_enough = edge is not None and self._down_to is not None and edge < self._down_to
        return self._down.has_ended or self._have_met or (self._down.goes_its_way and is_deep_enough)

    @property
    def _have_met(self) -> bool:
        up, down = self._up.edge_at, self._down.edge_at
        is_later = up is not None and down is not None and down < up
        return self._has_crossed and is_later and self._up.goes_its_way and self._down.goes_its_way

    @property
    def _is_closed(self) -> bool:
        """Whether the closing look has come down to what was the newest when the pass began."""
        created, updated = self._closing.edge_at, self._closing.updated_at
        top_created, top_updated = self._top.created_at, self._top.updated_at
        is_old = created is not None and top_created is not None and created <= top_created
        # Of the same second is not older: where the listing is ordered by change, one that moved up may stand right below.
        is_unchanged = updated is None or top_updated is None or updated < top_updated
        return self._closing.has_ended or (is_old and is_unchanged)

    async def _begin_from_the_top(self) -> None:
        try:
            await self._step(self._down, CursorTrail(None))
        except ListingRefused:
            # Perhaps it is the direction that is refused.
            self._down.is_given_up = True

    async def _walk_side_by_side(self, lanes: Sequence[Lane]) -> None:
        """Let cursors go on until all has been read, or one is given up or can no more."""
        walks = [asyncio.create_task(self._walk(lane)) for lane in lanes]
        try:
            left = set(walks)
            while left and not self._is_complete:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for walk in done:
                    walk.result()
        finally:
            for walk in walks:
                walk.cancel()
            # What is being written is read: it is not given up half way. And every walk's error is taken note of.
            await asyncio.gather(*walks, *self._writing, return_exceptions=True)

    async def _walk(self, lane: Lane) -> None:
        trail = CursorTrail(lane.after)
        while not self._is_complete and not lane.is_given_up:
            try:
                trail = await self._step(lane, trail)
            except ListingRefused:
                other = self._down if lane is self._up else self._up
                if lane.pages or not other.pages:
                    raise
                # This direction is refused and the other one is not: it has to do alone.
                lane.is_given_up, other.is_given_up = True, False

    async def _step(self, lane: Lane, trail: CursorTrail) -> CursorTrail:
        """Read a lane's next page and keep it; return the trail to go on with."""
        try:
            page = await self._read(lane)
        except CursorRefused:
            if lane.restarts >= RESTARTS:
                raise
            self._begin_again(lane)
            return CursorTrail(None)
        if page.has_next:
            lane.after = trail.advance(page)
        await self._keep(lane, page)
        return trail

    async def _read(self, lane: Lane) -> Page:
        """Ask for a lane's next page. One that leads back to itself is the page before once more: it is asked for again."""
        for _ in range(_SAME_PAGE):
            page = await self._api.page(lane.order_by, lane.after)
            if not page.has_next or page.end_cursor is None or page.end_cursor != lane.after:
                return page
        message = f"GET /orders gives the same page again and again ({_SAME_PAGE} times)"
        raise ListingBroken(message)

    def _begin_again(self, lane: Lane) -> None:
        lane.begin_again()
        self._last_ids.pop(lane.name, None)
        self._has_crossed = False
        if lane is self._down:
            self._seen_by_down.clear()
        self._checkpoint.drop(lane.name, {lane.name: asdict(lane), "has_crossed": False})

    async def _keep(self, lane: Lane, page: Page) -> None:
        ids = [id_text(record.get("orderId")) or "" for record in page.orders]
        if ids and ids == self._last_ids.get(lane.name):
            # The same page under another cursor: it says nothing new.
            lane.has_ended = not page.has_next
        else:
            lane.take(page)
            self._judge(lane, page.orders, ids)
        self._last_ids[lane.name] = ids
        lane.all_pages += 1
        lane.all_records += len(page.orders)
        # Of this lane alone: what the other one has come to is not on the disk yet.
        facts: dict[str, Any] = {lane.name: asdict(lane)}
        if lane is self._up:
            facts["has_crossed"] = self._has_crossed
        elif lane is self._down:
            facts["top"] = asdict(self._top)
        # Not on the thread: Python would let it, and what arrives for the other cursor, run by turns of 5 ms.
        frame, drift = read_records(page.orders, self._store_id)
        drift += Drift.around(page.drift)
        writing = asyncio.ensure_future(
            asyncio.to_thread(self._checkpoint.keep, lane.name, frame, drift, self._utc(), facts)
        )
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)
        self._took(self.records)

    def _judge(self, lane: Lane, records: Sequence[JsonObject], ids: Sequence[str]) -> None:
        """Draw from a page what it says of the other cursor, and of the listing's order."""
        if lane is self._down:
            if lane.pages == 1 and self._top.created is None:
                self._top = Top.of(records)
            self._remember(ids)
        elif lane is self._up:
            # Only this way round: a record that moved to the top meanwhile would deceive the newest-first one.
            self._has_crossed |= any(each in self._seen_by_down for each in ids if each)
        self._give_up_what_proves_nothing()

    def _give_up_what_proves_nothing(self) -> None:
        is_in_order = self._up.is_in_order and self._down.is_in_order
        if not is_in_order and not self._up.is_given_up:
            self._down.is_given_up = True

    def _remember(self, ids: Sequence[str]) -> None:
        self._seen_by_down |= dict.fromkeys(ids)
        if len(self._seen_by_down) > 2 * _IDS_REMEMBERED:
            self._seen_by_down = dict.fromkeys(list(self._seen_by_down)[-_IDS_REMEMBERED:])


def _lane_of(checkpoint: Checkpoint, name: str, order_by: OrderBy) -> Lane:
    kept = checkpoint.fact(name)
    return Lane(**kept) if kept else Lane(name, order_by)
