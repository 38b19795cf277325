"""The listing's pages: what an answer must look like, and that the cursor gets anywhere; pure.

Corso documents `orders` and `pageInfo` with all four keys required. A page that breaks this is an error and not an
end: a listing that silently stopped early would report orders as missing that are there.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from corso.errors import ApiError, Rejected
from schemas.wire import JsonObject

PAGE_SIZES: tuple[int | None, ...] = (250, 50, 10, None)
"""What is asked for, in this order, as long as the API answers 400 or too much at once.

The maximum is not published (assumed); None leaves the size to the API."""


_KEYS = frozenset({"orders", "pageInfo"})
_INFO_KEYS = frozenset({"hasNextPage", "hasPreviousPage", "startCursor", "endCursor"})


class ListingRefused(Rejected):
    """The API refuses even the plain listing: it wants filters (one reading of its reference), so look up instead."""


class CursorRefused(Rejected):
    """The API refuses the cursor to go on from: start again from the beginning."""


class ListingBroken(ApiError):
    """The listing contradicts its contract, so that its end cannot be told."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the store's orders."""

    orders: list[JsonObject]
    end_cursor: str | None
    """Where the next page begins after."""
    has_next: bool
    drift: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What of the answer around the orders is not as documented: unknown | missing -> API paths."""


def read_page(content: dict[str, Any] | None) -> Page:
    """Read one answer of `GET /orders`; ListingBroken when it is not as documented."""
    orders = (content or {}).get("orders")
    info = (content or {}).get("pageInfo")
    if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
        message = "GET /orders: the answer has no list of orders"
        raise ListingBroken(message)
    if not isinstance(info, dict) or not isinstance(info.get("hasNextPage"), bool):
        message = "GET /orders: the answer has no pageInfo.hasNextPage, so the listing's end cannot be told"
        raise ListingBroken(message)
    cursor = info.get("endCursor")
    drift = {
        "unknown": [*sorted((content or {}).keys() - _KEYS), *_paths(info.keys() - _INFO_KEYS)],
        "missing": _paths(_INFO_KEYS - info.keys()),
    }
    return Page(orders, cursor if isinstance(cursor, str) else None, info["hasNextPage"], drift)


def _paths(keys: Iterable[str]) -> list[str]:
    return [f"pageInfo.{key}" for key in sorted(keys)]


class CursorTrail:
    """Watches that a pass gets on: no page without orders in the middle, no cursor twice.

    Memory is constant (Brent's cycle detection): a loop of any length is noticed after at most three turns.
    """

    def __init__(self, after: str | None) -> None:
        self._mark = after
        self._steps = 0
        self._until_next_mark = 1

    def advance(self, page: Page) -> str:
        """Return the cursor to go on from after `page`, which says that there is more."""
        cursor = page.end_cursor
        problem = None
        if not cursor:
            problem = "says that there is a next page but gives no endCursor"
        elif not page.orders:
            problem = "gives a page without orders and says that there is a next one"
        elif cursor == self._mark:
            problem = "gives the same endCursor again"
        if problem or cursor is None:
            message = f"GET /orders {problem}: the listing cannot be read to its end"
            raise ListingBroken(message)
        self._steps += 1
        if self._steps == self._until_next_mark:
            self._mark, self._steps, self._until_next_mark = cursor, 0, 2 * self._until_next_mark
        return cursor
