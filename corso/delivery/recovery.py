"""Recovery: what became of operations in doubt is looked up, never assumed and never tried out by sending.

Found and equal: accepted. Found and different: accepted with its content not verified, so that an update is
planned. Absent twice, further apart than the listing's delay: rejected where the API had said no, else planned
again. Where the API offers no way to look: it stays unknown and is reported.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from corso.clock import Clock
from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, Entry, Key
from corso.delivery.ports import OrderApi, Watch
from corso.delivery.sameness import holds
from corso.delivery.states import State
from corso.errors import NotFound, Rejected
from schemas.wire import JsonObject, Operation

CLOCK_ALLOWANCE = timedelta(minutes=10)
"""How far Corso's clock may be from ours: the pass over the listing reads so far past the first attempt."""
_CONTENT_NOT_VERIFIED = ""


@dataclass
class Recovered:
    """What the look-ups found."""

    accepted: int = 0
    planned_again: int = 0
    rejected: int = 0
    still_unknown: int = 0
    differing: list[Key] = field(default_factory=list)
    """Those that are there with another content than was sent."""
    absent: list[Key] = field(default_factory=list)
    """Those that are planned again."""

    @property
    def to_send(self) -> list[Key]:
        """What has to be sent now, where it belongs to the plan at hand."""
        return [*self.differing, *self.absent]


Payloads = Callable[[Iterable[Key]], Mapping[Key, Operation]]
"""The operations of these entries in the plan at hand; an entry of another batch has none."""


class Recovery:
    """Looks up what is in doubt."""

    def __init__(
        self, api: OrderApi, journal: Journal, clock: Clock, *, listing_delay_s: float, watch: Watch
    ) -> None:
        self._api = api
        self._journal = journal
        self._clock = clock
        self._listing_delay_s = listing_delay_s
        self._watch = watch

    async def resolve(self, entries: Sequence[Entry], payloads: Payloads) -> Recovered:
        """Find out about each of these entries, which are unknown, and write it down."""
        recovered = Recovered()
        operations = payloads([entry.key for entry in entries])
        absent = await self._look(entries, operations, recovered)
        if absent:
            await self._clock.sleep(self._listing_delay_s)
            for entry in await self._look(absent, operations, recovered):
                await self._settle_absent(entry, recovered)
        return recovered

    async def _look(
        self, entries: Sequence[Entry], operations: Mapping[Key, Operation], recovered: Recovered
    ) -> list[Entry]:
        """Look every entry up once; settle those that are found and return those that are not there."""
        absent, unanswered = [], []
        for number, entry in enumerate(entries):
            records = await self._records(entry, operations.get(entry.key))
            if records is None:
                unanswered.append(entry)
            elif records:
                await self._settle_found(entry, records, operations.get(entry.key), recovered)
            else:
                absent.append(entry)
            self._watch("look up", number + 1, len(entries))
        if unanswered:
            absent += await self._look_in_listing(unanswered, operations, recovered)
        return absent

    async def _records(self, entry: Entry, operation: Operation | None) -> list[JsonObject] | None:
        """Return what Corso has of an entry; None where it cannot be asked for it by a filter."""
        if entry.key.source_fulfillment_id:
            return await self._fulfillment(entry, operation)
        if entry.corso_id is not None:
            record = await self._api.order(entry.corso_id)
            return [record] if record else []
        records = await self._api.orders_by_source_id(entry.key.source_order_id)
        if records is not None or operation is None:
            return records
        return await self._by_email_and_name(operation)

    async def _fulfillment(self, entry: Entry, operation: Operation | None) -> list[JsonObject] | None:
        if operation is None or operation.corso_order_id is None:
            return None
        try:
            records = await self._api.fulfillments(operation.corso_order_id)
        except NotFound:
            return []
        wanted = entry.key.source_fulfillment_id
        return [record for record in records if str(record.get("sourceFulfillmentId")) == wanted]

    async def _by_email_and_name(self, operation: Operation) -> list[JsonObject] | None:
        order = json.loads(operation.payload)
        email = (order.get("customer") or {}).get("email")
        name = order.get("orderName") or order.get("orderNumber")
        if not email or not name:
            return None
        records = await self._api.orders_by_email_and_name(email, name)
        if records is None:
            return None
        return [record for record in records if str(record.get("sourceOrderId")) == operation.source_order_id]

    async def _look_in_listing(
        self, entries: Sequence[Entry], operations: Mapping[Key, Operation], recovered: Recovered
    ) -> list[Entry]:
        """One newest-first pass back to the first attempt, for all that the filters could not answer."""
        orders = {
            entry.key.source_order_id: entry for entry in entries if not entry.key.source_fulfillment_id
        }
        recovered.still_unknown += len(entries) - len(orders)
        if not orders:
            return []
        began = min((entry.first_sent_at for entry in orders.values() if entry.first_sent_at), default=None)
        found: dict[str, list[JsonObject]] = {}
        try:
            async for page in self._api.newest_first():
                for record in page:
                    if str(record.get("sourceOrderId")) in orders:
                        found.setdefault(str(record.get("sourceOrderId")), []).append(record)
                if began and page and _older(page[-1], began - CLOCK_ALLOWANCE):
                    break
        except Rejected:
            recovered.still_unknown += len(orders)
            return []
        for source_order_id, records in found.items():
            entry = orders.pop(source_order_id)
            await self._settle_found(entry, records, operations.get(entry.key), recovered)
        return list(orders.values())

    async def _settle_found(
        self, entry: Entry, records: Sequence[JsonObject], operation: Operation | None, recovered: Recovered
    ) -> None:
        record = records[0]
        fulfillment = bool(entry.key.source_fulfillment_id)
        if entry.kind in {"update_order", "cancel_order"} and not _was_done(entry, record, operation):
            await self._plan_again(entry, recovered, "looked up: Corso still has the former state")
            return
        verified = operation is not None and (
            entry.kind == "cancel_order"
            or operation.kind == "cancel_order"
            or holds(record, operation.payload)
        )
        if not verified and operation is not None:
            recovered.differing.append(entry.key)
        recovered.accepted += 1
        corso_id = record.get("fulfillmentId" if fulfillment else "orderId")
        held = operation.payload_hash if verified and operation else _CONTENT_NOT_VERIFIED
        await self._journal.settle(
            Change(entry.key, State.ACCEPTED, ended_as="found", corso_id=str(corso_id), held_hash=held)
        )

    async def _settle_absent(self, entry: Entry, recovered: Recovered) -> None:
        if entry.status is not None and 400 <= entry.status < 500:
            recovered.rejected += 1
            await self._journal.settle(
                Change(entry.key, State.REJECTED, status=entry.status, reason=entry.reason)
            )
        else:
            await self._plan_again(entry, recovered, "looked up twice: not there")

    async def _plan_again(self, entry: Entry, recovered: Recovered, reason: str) -> None:
        recovered.planned_again += 1
        recovered.absent.append(entry.key)
        await self._journal.settle(Change(entry.key, State.PLANNED, ended_as="absent", reason=reason))


def _was_done(entry: Entry, record: JsonObject, operation: Operation | None) -> bool:
    if entry.kind == "cancel_order":
        return bool(record.get("sourceCanceledOn"))
    return operation is not None and holds(record, operation.payload)


def _older(record: JsonObject, than: datetime) -> bool:
    try:
        created = datetime.fromisoformat(str(record.get("createdOn")))
    except ValueError:
        return False
    return created.tzinfo is not None and created.astimezone(UTC) < than
