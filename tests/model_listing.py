"""A store's listing that changes while somebody pages through it, as every reading of Corso's reference allows.

Orders come, change and go between two answers; cursors are refused, pages come again. Pages are cut by position, never by
counting. A request waits until the test lets it be answered.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from corso.api.listing import CursorRefused, ListingRefused, Page

STORE_ID = 9359
_BEGAN = datetime(2026, 11, 22, tzinfo=UTC)

OrderedBy = Literal[
    "creation", "creation, ties the same both ways", "change", "creation, always asc", "creation, always desc"
]


@dataclass
class Kept:
    """One record; its version counts its changes."""

    number: int
    created: int
    changed: int
    version: int = 0


@dataclass
class ModelListing:
    """The listing; satisfies `corso.stages.reading_back.pages.Listing`."""

    ordered_by: OrderedBy = "creation"
    page_size: int = 2
    refuses: frozenset[str] = frozenset()
    """Directions that answer 400."""
    now: int = 0
    """Seconds since it began."""
    records: list[Kept] = field(default_factory=list)
    waiting: list[tuple[str, str | None, "asyncio.Future[Page]"]] = field(default_factory=list)
    """Requests that wait for their answer: direction, cursor."""
    answers_by_itself: bool = False
    answers: int = 0
    versions_served: dict[int, int] = field(default_factory=dict)
    """Number -> the newest version that went out."""
    asked: Counter[str] = field(default_factory=Counter)
    """Direction -> requests."""
    repeats: int = 0
    """So many of the next answers are that which went out before, in the same direction."""
    _all_numbers: list[int] = field(default_factory=list)
    _before: dict[str, Page] = field(default_factory=dict)
    _expired: int = 0
    _issued: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)

    def insert(self) -> Kept:
        """Let an order come."""
        kept = Kept(len(self._all_numbers) + 1, self.now, self.now)
        self._all_numbers.append(kept.number)
        self.records.append(kept)
        return kept

    def change(self, kept: Kept) -> None:
        """Let an order change."""
        kept.version += 1
        kept.changed = self.now

    def delete(self, kept: Kept) -> None:
        """Let an order go."""
        self.records.remove(kept)

    def expire(self) -> None:
        """Let every cursor that was given out be refused from now on."""
        self._expired = len(self._issued)

    async def page(self, order_by: str, after: str | None) -> Page:
        """See `Listing.page`."""
        self.asked[order_by] += 1
        if self.answers_by_itself:
            return self._answer(order_by, after)
        future: asyncio.Future[Page] = asyncio.get_running_loop().create_future()
        self.waiting.append((order_by, after, future))
        return await future

    def let_answer(self, which: int) -> None:
        """Answer one of the waiting requests; those that nobody waits for any more are forgotten."""
        self.waiting = [each for each in self.waiting if not each[2].done()]
        if not self.waiting:
            return
        order_by, after, future = self.waiting.pop(which % len(self.waiting))
        try:
            future.set_result(self._answer(order_by, after))
        except (CursorRefused, ListingRefused) as error:
            future.set_exception(error)

    def _answer(self, order_by: str, after: str | None) -> Page:
        self.answers += 1
        message = "400"
        if order_by in self.refuses:
            raise ListingRefused(message, status=400)
        if after is not None and self._issued[after][0] < self._expired:
            raise CursorRefused(message, status=400)
        if self.repeats and order_by in self._before and after is not None:
            self.repeats -= 1
            return self._before[order_by]
        page = self._cut(order_by, after)
        self._before[order_by] = page
        return page

    def _cut(self, order_by: str, after: str | None) -> Page:
        rows = self._sorted(order_by)
        if after is not None:
            rows = self._behind(order_by, rows, self._issued[after][1])
        page, more = rows[: self.page_size], len(rows) > self.page_size
        for kept in page:
            self.versions_served[kept.number] = max(kept.version, self.versions_served.get(kept.number, 0))
        cursor = self._issue(self._place(page[-1])) if page else None
        return Page([self._json(kept) for kept in page], cursor, more)

    def _sorted(self, order_by: str) -> list[Kept]:
        rows = sorted(self.records, key=self._place)
        if self._goes_up(order_by):
            return rows
        if self.ordered_by == "creation, ties the same both ways":
            return sorted(rows, key=lambda kept: -kept.created)
        return rows[::-1]

    def _behind(self, order_by: str, rows: list[Kept], place: tuple[int, ...]) -> list[Kept]:
        if self._goes_up(order_by):
            return [kept for kept in rows if self._place(kept) > place]
        if self.ordered_by == "creation, ties the same both ways":
            at, number = place
            return [
                kept for kept in rows if kept.created < at or (kept.created == at and kept.number > number)
            ]
        return [kept for kept in rows if self._place(kept) < place]

    def _goes_up(self, order_by: str) -> bool:
        always = {"creation, always asc": True, "creation, always desc": False}
        return always.get(self.ordered_by, order_by == "asc")

    def _place(self, kept: Kept) -> tuple[int, ...]:
        at = kept.changed if self.ordered_by == "change" else kept.created
        return at, kept.number

    def _issue(self, place: tuple[int, ...]) -> str:
        cursor = f"cursor {len(self._issued)}"
        self._issued[cursor] = (len(self._issued), place)
        return cursor

    def _json(self, kept: Kept) -> dict[str, Any]:
        return {
            "orderId": kept.number,
            "storeId": STORE_ID,
            "sourceOrderId": f"o-{kept.number}",
            "createdOn": moment(kept.created).isoformat(),
            "updatedOn": (moment(kept.changed) + timedelta(microseconds=kept.version)).isoformat(),
            "notes": str(kept.version),
        }


def moment(seconds: int) -> datetime:
    """Return a moment of the model's time."""
    return _BEGAN + timedelta(seconds=seconds)
