"""Look-ups: what Corso has of entries in doubt, asked in bulk by the cheapest way that is sufficient.

| entry | asked by |
|---|---|
| with Corso's id (an update, a cancellation) | its id |
| a fulfillment | the fulfillments of its order, once an order |
| a create, few of them | `sourceOrderId`; where the API cannot, e-mail and order name |
| a create, many of them, or without e-mail or name | one newest-first pass over the listing, back to the first attempt |

What is found is proof. What is not found is none yet: a listing may show a new order late. So absence counts only
where an order that was accepted lately does show by the same way (`absence_holds_after`). Nothing is written here.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from corso.clock import Clock
from corso.delivery.ledger import Entry, Key, Ledger
from corso.delivery.ports import OrderReads, Watch
from corso.delivery.states import State
from corso.errors import NotFound, Rejected
from schemas.wire import JsonObject, Operation, id_text, instant

CLOCK_ALLOWANCE = timedelta(minutes=10)
"""What is allowed for in the measured difference of Corso's clock and ours: the pass reads so far past the first attempt."""
ORDERS_PER_PAGE = 50
"""Corso's documented default: what a page surely holds, for counting requests beforehand."""
LAG_PATIENCE_S = 120.0
"""Seconds that an accepted order may stay out of sight before look-ups by that way prove nothing."""
LONGEST_LAG_GUESSED_S = 30.0
"""How late a listing is taken to be where nothing tells: no order was created yet, or the last one longer ago.

And for how long Corso's not knowing an order by its id says only that it is new.
"""
_WITNESSES = 3
_WITNESS_PAGES = 5
_NAP_S = 1.0
_SILENCE_S = 5.0

Operations = Mapping[Key, Operation]
Payloads = Callable[[Iterable[Key]], Operations]
"""The operations of these entries in the plan at hand; an entry of another batch has none."""
Found = Callable[[Entry, Sequence[JsonObject]], Awaitable[None]]
"""Awaited with each entry that is there, and its records: one, or more where it is doubled."""
StopCheck = Callable[[], None]
"""Raises what has stopped the run, if anything has."""


@dataclass
class Missing:
    """What a look did not find."""

    absent: list[Entry] = field(default_factory=list)
    """Asked for, and not there."""
    unanswered: list[Entry] = field(default_factory=list)
    """The API offers no way to ask for them; fulfillments: their order is in doubt itself."""


class LookUps:
    """Asks the API about entries; learns by and by which ways it offers."""

    def __init__(
        self,
        api: OrderReads,
        ledger: Ledger,
        clock: Clock,
        *,
        max_in_flight: int,
        watch: Watch,
        stop_check: StopCheck,
    ) -> None:
        self._api = api
        self._ledger = ledger
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._watch = watch
        self._stop_check = stop_check
        self._filters_by_source_id = True
        self._lists = True

    async def look(self, entries: Sequence[Entry], operations: Operations, found: Found) -> Missing:
        """Ask for every entry once; raises what the API raises, and what has stopped the run."""
        missing = Missing()
        fulfillments = [entry for entry in entries if entry.key.source_fulfillment_id]
        known = [entry for entry in entries if not entry.key.source_fulfillment_id and entry.corso_id]
        unseen = [entry for entry in entries if not entry.key.source_fulfillment_id and not entry.corso_id]
        await self._look_at_orders(fulfillments, missing, found)
        await self._look_by_id(known, missing, found)
        await self._look_for_creates(unseen, operations, missing, found)
        return missing

    async def absence_holds_after(self, absent: Sequence[Entry], payloads: Payloads) -> float | None:
        """Return for how many seconds after its end an absent create may still be out of sight.

        The measure are the newest orders that were created, and how long the slowest of them took to show by the same way:
        a listing may be later with one than with another. Where there is none that can be asked for, `LONGEST_LAG_GUESSED_S`.
        Waits until all of them show; None where none does in `LAG_PATIENCE_S`, so that absence proves nothing.
        """
        creates = [entry for entry in absent if not entry.key.source_fulfillment_id and not entry.corso_id]
        if not creates:
            return 0.0
        out_of_sight = self._ledger.latest_created(_WITNESSES)
        operations = payloads([witness.key for witness in out_of_sight])
        began = self._clock.monotonic()
        pause_s = 0.0
        lags_s: list[float] = []
        while self._clock.monotonic() - began <= LAG_PATIENCE_S:
            await self.pause(pause_s)
            shown = [(witness, await self._shows(witness, operations)) for witness in out_of_sight]
            now = self._clock.utc()
            ages_s = [(now - _created_at(witness)).total_seconds() for witness, shows in shown if shows]
            # Out of sight until now: measured. In sight at once: a bound, and a loose one for an old order.
            lags_s += ages_s if pause_s else [min(age_s, LONGEST_LAG_GUESSED_S) for age_s in ages_s]
            out_of_sight = [witness for witness, shows in shown if shows is False]
            if not out_of_sight:
                return max(lags_s, default=LONGEST_LAG_GUESSED_S)
            # One that came out of sight for good, as somebody deleted it, is not waited for longer than is guessed.
            if lags_s and self._clock.monotonic() - began >= LONGEST_LAG_GUESSED_S:
                return max(lags_s)
            pause_s = min(10.0, 2 * pause_s or 0.5)
        return None

    async def pause(self, seconds: float) -> None:
        """Sleep in naps, a long time not in silence; raises what has stopped the run meanwhile."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            self._stop_check()
            if seconds > _SILENCE_S:
                self._watch("wait", int(seconds - left), int(seconds))
            await self._clock.sleep(min(left, _NAP_S))

    async def _each(self, entries: Iterable[Entry], ask: Callable[[Entry], Awaitable[None]]) -> None:
        """Ask for several entries side by side; the limiter says how fast."""
        feed = iter(entries)

        async def work() -> None:
            for entry in feed:
                self._stop_check()
                await ask(entry)

        workers = [asyncio.create_task(work()) for _ in range(self._max_in_flight)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _look_at_orders(self, entries: Sequence[Entry], missing: Missing, found: Found) -> None:
        """Ask each order once for the fulfillments that are in doubt of it."""
        orders = self._ledger.entries_of(Key(entry.key.source_order_id) for entry in entries)
        by_order: dict[Key, list[Entry]] = {}
        for entry in entries:
            by_order.setdefault(Key(entry.key.source_order_id), []).append(entry)

        async def ask(entry: Entry) -> None:
            order = Key(entry.key.source_order_id)
            await self._look_at_order(orders.get(order), by_order[order], missing, found)

        await self._each([group[0] for group in by_order.values()], ask)

    async def _look_at_order(
        self, order: Entry | None, entries: Sequence[Entry], missing: Missing, found: Found
    ) -> None:
        if order is not None and order.state in {State.SENDING, State.UNKNOWN} and not order.corso_id:
            missing.unanswered += entries
            return
        if order is None or order.corso_id is None:
            # Where the order surely is not, its fulfillments are not either.
            missing.absent += entries
            return
        records = await self._fulfillments(order.corso_id, order.held_at)
        for entry in entries:
            wanted = entry.key.source_fulfillment_id
            ours = [record for record in records if str(record.get("sourceFulfillmentId")) == wanted]
            if ours:
                await found(entry, ours)
            else:
                missing.absent.append(entry)

    async def _fulfillments(self, corso_id: str, held_at: datetime | None) -> list[JsonObject]:
        """Return an order's fulfillments; of one that is new it is waited for."""
        while True:
            try:
                return await self._api.fulfillments(corso_id)
            except NotFound:
                if not is_new(held_at, self._clock):
                    return []
            await self.pause(_NAP_S)

    async def _look_by_id(self, entries: Sequence[Entry], missing: Missing, found: Found) -> None:
        async def ask(entry: Entry) -> None:
            record = await self._api.order(entry.corso_id or "")
            if record:
                await found(entry, [record])
            else:
                missing.absent.append(entry)

        await self._each(entries, ask)

    async def _look_for_creates(
        self, entries: Sequence[Entry], operations: Operations, missing: Missing, found: Found
    ) -> None:
        left = list(entries)
        if self._lists and len(left) > self._pages_back_to(left):
            left = await self._look_in_listing(left, missing, found, most_pages=len(left))
        left = await self._look_by_filter(left, missing, found, self._by_source_id)

        async def by_email(entry: Entry) -> list[JsonObject] | None:
            return await self._by_email_and_name(operations.get(entry.key))

        left = await self._look_by_filter(left, missing, found, by_email)
        missing.unanswered += await self._look_in_listing(left, missing, found)

    async def _look_by_filter(
        self,
        entries: Sequence[Entry],
        missing: Missing,
        found: Found,
        ask_api: Callable[[Entry], Awaitable[list[JsonObject] | None]],
    ) -> list[Entry]:
        """Ask for one entry after the other; return those that cannot be asked for this way."""
        unanswered: list[Entry] = []
        asked = 0

        async def ask(entry: Entry) -> None:
            nonlocal asked
            records = await ask_api(entry)
            if records is None:
                unanswered.append(entry)
            elif records:
                await found(entry, records)
            else:
                missing.absent.append(entry)
            asked += 1
            self._watch("look up", asked, len(entries))

        await self._each(entries, ask)
        return unanswered

    async def _by_source_id(self, entry: Entry) -> list[JsonObject] | None:
        if not self._filters_by_source_id:
            return None
        records = await self._api.orders_by_source_id(entry.key.source_order_id)
        if records is None:
            self._filters_by_source_id = False
        return records

    async def _by_email_and_name(self, operation: Operation | None) -> list[JsonObject] | None:
        """Ask with the address as it was sent and in lower case: how the API compares is not documented."""
        if operation is None or operation.kind != "create_order":
            return None
        order = json.loads(operation.payload)
        email = (order.get("customer") or {}).get("email")
        name = order.get("orderName") or order.get("orderNumber")
        if not email or not name:
            return None
        for spelling in dict.fromkeys((email, email.lower())):
            records = await self._api.orders_by_email_and_name(spelling, name)
            if records is None:
                return None
            ours = [
                record for record in records if str(record.get("sourceOrderId")) == operation.source_order_id
            ]
            if ours:
                return ours
        return []

    def _pages_back_to(self, entries: Sequence[Entry]) -> int:
        """Return about how many pages a pass back to the first attempt reads."""
        began = _first_attempt(entries)
        if began is None:
            return len(entries)
        return 2 + self._ledger.count_held_since(began - CLOCK_ALLOWANCE) // ORDERS_PER_PAGE

    async def _look_in_listing(
        self, entries: Sequence[Entry], missing: Missing, found: Found, *, most_pages: int | None = None
    ) -> list[Entry]:
        """Read the listing once, newest first, back to the first attempt; return all where it is refused.

        After `most_pages` it is left, as another way is cheaper: what was not found by then is returned.
        """
        if not entries or not self._lists:
            return list(entries)
        left = {entry.key.source_order_id: entry for entry in entries}
        there: dict[str, list[JsonObject]] = {}
        order = _NewestFirst(self._ledger, _first_attempt(entries))
        has_ended = True
        try:
            async for page in self._api.newest_first():
                self._stop_check()
                for record in page:
                    source_order_id = str(record.get("sourceOrderId"))
                    if source_order_id in left:
                        there.setdefault(source_order_id, []).append(record)
                if len(there) == len(left) or order.has_passed(page):
                    break
                if order.pages == most_pages:
                    has_ended = False
                    break
        except Rejected:
            self._lists = False
            return list(entries)
        for source_order_id, records in there.items():
            await found(left.pop(source_order_id), records)
        if not has_ended:
            return list(left.values())
        missing.absent += left.values()
        return []

    async def _shows(self, witness: Entry, operations: Operations) -> bool | None:
        """Say whether an accepted order shows by the way that creates are asked for; None where it cannot be asked."""
        if self._filters_by_source_id:
            records = await self._api.orders_by_source_id(witness.key.source_order_id)
            if records is not None:
                return bool(records)
            self._filters_by_source_id = False
        if self._lists:
            shown = await self._shows_in_listing(witness)
            # It may just have been refused.
            if self._lists:
                return shown
        records = await self._by_email_and_name(operations.get(witness.key))
        return None if records is None else bool(records)

    async def _shows_in_listing(self, witness: Entry) -> bool | None:
        """Say whether an accepted order is in the listing; None where that is refused, or too many are newer."""
        order = _NewestFirst(self._ledger, _created_at(witness))
        try:
            async for page in self._api.newest_first():
                if any(id_text(record.get("orderId")) == witness.corso_id for record in page):
                    return True
                if order.has_passed(page):
                    return False
                if order.falls and order.pages == _WITNESS_PAGES:
                    return None
        except Rejected:
            self._lists = False
            return None
        return False


class _NewestFirst:
    """Says when a pass over the listing has gone far enough: as long as it really is newest first.

    By what the listing is ordered is not documented: where the times of creation do not fall all the way, it is
    read to its end. So it is where no record tells how far Corso's clock is behind ours: without that, a new order may
    look as if it were older than our first attempt at it.
    """

    def __init__(self, ledger: Ledger, first_attempt: datetime | None) -> None:
        self._ledger = ledger
        self._first_attempt = first_attempt
        self._last: datetime | None = None
        self._behind: timedelta | None = None
        """How far Corso's clock is behind ours at the most, by what was created from here; None: not known yet."""
        self.falls = True
        """Whether the times of creation have fallen all the way."""
        self.pages = 0
        """How many were taken."""

    def has_passed(self, page: Sequence[JsonObject]) -> bool:
        """Take one page; say whether all that follows is older than the first attempt."""
        self.pages += 1
        for record in page:
            created = instant(record.get("createdOn"))
            if created is None or (self._last is not None and created > self._last):
                self.falls = False
            self._last = created
        if not self.falls or self._first_attempt is None or self._last is None:
            return False
        self._measure(page)
        return (
            self._behind is not None
            and self._last < self._first_attempt - max(self._behind, timedelta(0)) - CLOCK_ALLOWANCE
        )

    def _measure(self, page: Sequence[JsonObject]) -> None:
        """Hold the times of creation against when the ledger says that these orders were sent."""
        entries = self._ledger.entries_of(map(_key_of, page))
        for record in page:
            entry = entries.get(_key_of(record))
            created = instant(record.get("createdOn"))
            if entry and created and _was_created_from_here(entry, record):
                behind = _created_at(entry) - created
                self._behind = behind if self._behind is None else max(behind, self._behind)


def _key_of(record: JsonObject) -> Key:
    """Return a record's key, without what no database takes: others may have given their orders any id."""
    text = str(record.get("sourceOrderId")).replace("\0", "")
    return Key(text.encode(errors="ignore").decode())


def _was_created_from_here(entry: Entry, record: JsonObject) -> bool:
    """Say whether a record is what this entry's last attempt created, and not what was adopted, or changed since."""
    return (
        entry.state is State.ACCEPTED
        and entry.kind == "create_order"
        and entry.first_sent_at is not None
        and entry.corso_id == id_text(record.get("orderId"))
    )


def is_new(held_at: datetime | None, clock: Clock) -> bool:
    """Say whether Corso accepted an order so lately that it may not know it by its id yet."""
    # One that lies ahead is from before the clock was set back: nobody waits for it.
    age = clock.utc() - held_at if held_at else None
    return age is not None and timedelta(0) <= age < timedelta(seconds=LONGEST_LAG_GUESSED_S)


def _first_attempt(entries: Sequence[Entry]) -> datetime | None:
    return min((entry.first_sent_at for entry in entries if entry.first_sent_at), default=None)


def _created_at(witness: Entry) -> datetime:
    """Return since when it may have been in Corso: later than all attempts but the last, which were surely in vain."""
    return witness.last_started_at or witness.updated_at
