"""Listing orders: pages and cursors.

Pages are cut by the position after which they begin (the order's id, which grows in the order of creation),
never by counting rows, so orders that come in while somebody pages neither shift a page nor repeat one.
A cursor is a signed position; it is bound neither to a filter nor to a direction. Where cursors grow old it also says when
it was made.

Assumed: "creation in Corso" as what `orderBy` orders by; `last` without `before` as the end of the list;
`first` with `before`, `last` with `after`, both sizes and both cursors as errors; unknown parameters ignored.
"""

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sandbox import exact_json, records
from sandbox.answers import validation_failed
from sandbox.filters import FilterModes, read_filters
from sandbox.readers import Problem, Problems
from sandbox.store import Store

_SIGNATURE_BYTES = 8
_POSITION_BYTES = 8
_TIME_BYTES = 8
OrderByMode = Literal["works", "ignored"]
"""What `orderBy` does; ignored means that the newest order comes first, whatever was asked."""
_PAIRS_THAT_EXCLUDE = (("first", "last"), ("after", "before"), ("first", "before"), ("last", "after"))


@dataclass(frozen=True, slots=True)
class CursorCodec:
    """Turns positions into opaque text and back."""

    key: bytes
    lifetime_s: float = 0.0
    """How long a cursor is good; 0 means for ever."""
    clock: Callable[[], float] = time.time

    def encode(self, order_id: int) -> str:
        """Return the cursor of an order."""
        made = int(self.clock() * 1000).to_bytes(_TIME_BYTES, "big") if self.lifetime_s else b""
        return self._signed(order_id.to_bytes(_POSITION_BYTES, "big") + made)

    def decode(self, cursor: str) -> int | None:
        """Return a cursor's order id, or None for one that was not made here, or too long ago."""
        try:
            data = base64.b64decode(cursor, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        content = data[:-_SIGNATURE_BYTES]
        length = _POSITION_BYTES + (_TIME_BYTES if self.lifetime_s else 0)
        if len(content) != length or not hmac.compare_digest(self._signed(content), cursor):
            return None
        made_s = int.from_bytes(content[_POSITION_BYTES:], "big") / 1000
        if self.lifetime_s and self.clock() - made_s > self.lifetime_s:
            return None
        return int.from_bytes(content[:_POSITION_BYTES], "big")

    def _signed(self, content: bytes) -> str:
        signature = hmac.digest(self.key, content, hashlib.sha256)[:_SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(content + signature).decode()


@dataclass(frozen=True, slots=True)
class PageSizes:
    """How many orders a page holds: unasked, and at most. Who asks for more gets fewer (assumed)."""

    default: int = 50
    largest: int = 250


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a listing was asked for."""

    conditions: tuple[str, ...]
    parameters: tuple[str | int, ...]
    newest_first: bool
    backwards: bool
    """The page lies before the cursor (`last`, `before`) rather than after it."""
    cursor: int | None
    size: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records in the order asked for, and what lies around it."""

    orders: list[tuple[int, str]]
    has_next: bool
    has_previous: bool

    def render(self, cursors: CursorCodec) -> str:
        """Write the answer's body."""
        page_info = {
            "hasNextPage": self.has_next,
            "hasPreviousPage": self.has_previous,
            "startCursor": cursors.encode(self.orders[0][0]) if self.orders else None,
            "endCursor": cursors.encode(self.orders[-1][0]) if self.orders else None,
        }
        records = ",".join([record for _, record in self.orders])
        return f'{{"orders":[{records}],"pageInfo":{exact_json.dump(page_info)}}}'


def read_query(
    parameters: Mapping[str, str],
    cursors: CursorCodec,
    sizes: PageSizes,
    filters: FilterModes,
    order_by_mode: OrderByMode = "works",
) -> ListQuery:
    """Read the query parameters, or refuse the request with every problem that they have."""
    problems: Problems = []
    conditions, values = read_filters(parameters, filters, problems)
    for one, other in _PAIRS_THAT_EXCLUDE:
        if one in parameters and other in parameters:
            problems.append(Problem(one, f"cannot be given together with {other}"))
    order_by = parameters.get("orderBy", "desc")
    if order_by not in ("asc", "desc"):
        problems.append(Problem("orderBy", "must be asc or desc"))
    size = _size("first", parameters, sizes, problems)
    size = _size("last", parameters, sizes, problems, size)
    cursor = _cursor("after", parameters, cursors, problems)
    cursor = _cursor("before", parameters, cursors, problems, cursor)
    if problems:
        raise validation_failed(problems)
    backwards = "last" in parameters or "before" in parameters
    newest_first = order_by == "desc" or order_by_mode == "ignored"
    return ListQuery(conditions, values, newest_first, backwards, cursor, size)


def find_page(store: Store, query: ListQuery, lag_s: float = 0.0) -> Page:
    """Cut one page out of the listing, which shows no order that was created less than `lag_s` seconds ago."""
    if lag_s:
        query = _without_newer(query, store.newest_order_id_at(records.moment(seconds_ago=lag_s)))
    # Walking away from the cursor: up or down the ids, whichever way the page lies.
    ascending = query.newest_first == query.backwards
    found = _select(store, query, ">" if ascending else "<", ascending=ascending, at_most=query.size + 1)
    more_ahead = len(found) > query.size
    orders = found[: query.size]
    more_behind = query.cursor is not None and bool(
        _select(store, query, "<=" if ascending else ">=", ascending=ascending, at_most=1)
    )
    if query.backwards:
        orders.reverse()
        return Page(orders, has_next=more_behind, has_previous=more_ahead)
    return Page(orders, has_next=more_ahead, has_previous=more_behind)


def _without_newer(query: ListQuery, newest_id: int) -> ListQuery:
    conditions = (*query.conditions, "order_id <= ?")
    return replace(query, conditions=conditions, parameters=(*query.parameters, newest_id))


def _select(
    store: Store,
    query: ListQuery,
    comparison: Literal["<", ">", "<=", ">="],
    *,
    ascending: bool,
    at_most: int,
) -> list[tuple[int, str]]:
    conditions: tuple[str, ...] = query.conditions
    parameters: tuple[str | int, ...] = query.parameters
    if query.cursor is not None:
        conditions += (f"order_id {comparison} ?",)
        parameters += (query.cursor,)
    return store.select_orders(conditions, parameters, ascending=ascending, at_most=at_most)


def _size(
    name: Literal["first", "last"],
    parameters: Mapping[str, str],
    sizes: PageSizes,
    problems: Problems,
    otherwise: int | None = None,
) -> int:
    given = parameters.get(name)
    if given is None:
        return sizes.default if otherwise is None else otherwise
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", given, re.ASCII):
        problems.append(Problem(name, "must be a whole number of at least 1"))
        return sizes.default
    return min(int(given), sizes.largest)


def _cursor(
    name: Literal["after", "before"],
    parameters: Mapping[str, str],
    cursors: CursorCodec,
    problems: Problems,
    otherwise: int | None = None,
) -> int | None:
    given = parameters.get(name)
    if given is None:
        return otherwise
    position = cursors.decode(given)
    if position is None:
        problems.append(Problem(name, "is not a cursor of this API"))
    return position
