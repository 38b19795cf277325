"""Adoption: what is in Corso already, though the ledger does not know that anybody sent it.

Two cases: the ledger is new and the store is not (a live integration writes to it, or an earlier ledger is gone), or
the ledger lost commits (a truncated write-ahead log, an old copy put back). In both, sending the plan could double
orders. So the listing is read once, 50 to 250 orders a request, and every order of the plan that it shows becomes
accepted: equal content for good, other content to be updated. An empty store costs one request.

In a third, somebody else wrote an order since, as one that was quarantined here. Where a reconciliation saw its record, the order
is looked up before it is created; that costs a request for each of these.
"""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from corso.delivery.ledger import Change, Key, Ledger, key_of
from corso.delivery.ports import OrderReads
from corso.delivery.sameness import holds
from corso.delivery.states import State
from corso.errors import Rejected
from corso.settings import Settings
from corso.stages.operations import operations_of
from corso.stages.reading_back.known_records import known_ids, read_known
from corso.stages.selection import Selection
from schemas.wire import JsonObject, Operation, id_text

_RECORDS_AT_ONCE = 10_000
_ROWS_AT_ONCE = 2_000
_PAGES_ALWAYS_READ = 50
_MAY_BE_THERE = "it may be in Corso already: to be looked up"


class Adoption:
    """Holds the store's listing against a plan, once."""

    def __init__(self, plan: Selection, ledger: Ledger, api: OrderReads, batch: str) -> None:
        self._plan = plan
        self._ledger = ledger
        self._api = api
        self._batch = batch
        self._adopted = 0

    async def run(self) -> list[str]:
        """Read the listing and adopt what is there; return what is worth telling, as sentences.

        Raises what the API raises.

        Where the listing is longer than the plan, the plan's orders are brought into doubt, so that they are looked
        up one by one. So they are where the API refuses the listing and commits were lost; a new ledger goes on
        without a look then.
        """
        try:
            complete = await self._read_listing()
        except Rejected:
            complete = not self._ledger.lost_commits
        if not complete:
            self._doubt_all("order")
        if self._ledger.lost_commits:
            self._doubt_all("fulfillment")
        return list(self._told())

    def doubt_listed(self, settings: Settings) -> None:
        """Bring into doubt what the plan creates though a reconciliation saw a record of it: it is looked up then."""
        if (known := read_known(settings)) is None:
            return
        created = self._plan.where(subject="order", action="create").rows.select("source_order_id")
        listed = known_ids(settings, known, created.collect().to_series())["source_order_id"]
        self._doubt(self._unknown_to_the_ledger(self._planned(map(Key, listed), "order")))

    def _told(self) -> Iterator[str]:
        if lost := self._ledger.lost_commits:
            yield (
                f"The ledger had lost its last {lost:,} commits (its files were cut, deleted or put back), so Corso was "
                "looked through before anything was sent."
            )
        if self._adopted:
            yield f"{self._adopted:,} orders of the batch were in Corso already, unknown to the ledger; they were not created again."

    async def _read_listing(self) -> bool:
        """Adopt page by page; say whether the end was reached: not where looking up one by one is cheaper."""
        most = max(_PAGES_ALWAYS_READ, self._plan.where(subject="order", action="create").count())
        waiting: list[JsonObject] = []
        pages = 0
        async for page in self._api.newest_first():
            waiting += page
            pages += 1
            if len(waiting) >= _RECORDS_AT_ONCE:
                self._adopt(waiting)
                waiting = []
            if pages > most:
                break
        self._adopt(waiting)
        return pages <= most

    def _adopt(self, records: Sequence[JsonObject]) -> None:
        """Take those of the records that the plan is about, and the ledger does not know."""
        by_id: dict[str, JsonObject] = {}
        for record in records:
            # Newest first: of a doubled order the oldest record counts.
            by_id[str(record.get("sourceOrderId"))] = record
        orders = self._unknown_to_the_ledger(self._planned(map(Key, by_id), "order"))
        if not orders:
            return
        # What has no id there is no less there: it stays in doubt.
        self._doubt(orders)
        named = [each for each in orders if id_text(by_id[each.source_order_id].get("orderId"))]
        self._adopted += len(named)
        self._ledger.settle([_found(each, by_id[each.source_order_id]) for each in named])
        adopted = pl.Series([each.source_order_id for each in orders], dtype=pl.String)
        fulfillments = self._plan.where(subject="fulfillment").of_orders(adopted).rows
        self._doubt(self._unknown_to_the_ledger(operations_of(fulfillments.collect())))

    def _planned(self, keys: Iterable[Key], subject: str) -> list[Operation]:
        return operations_of(self._plan.where(subject=subject).of(keys).rows.collect())

    def _unknown_to_the_ledger(self, operations: Sequence[Operation]) -> list[Operation]:
        entries = self._ledger.entries_of(key_of(each) for each in operations)
        known = {
            key
            for key, entry in entries.items()
            if entry.corso_id is not None or entry.state in {State.SENDING, State.UNKNOWN}
        }
        creates = [each for each in operations if each.kind in {"create_order", "create_fulfillment"}]
        return [each for each in creates if key_of(each) not in known]

    def _doubt_all(self, subject: str) -> None:
        for rows in self._plan.where(subject=subject, action="create").slices(_ROWS_AT_ONCE):
            self._doubt(self._unknown_to_the_ledger(operations_of(rows)))

    def _doubt(self, operations: Sequence[Operation]) -> None:
        if operations:
            self._ledger.plan(operations, self._batch)
            self._ledger.settle(
                [Change(key_of(each), State.UNKNOWN, reason=_MAY_BE_THERE) for each in operations]
            )


def _found(operation: Operation, record: JsonObject) -> Change:
    held = operation.payload_hash if holds(record, operation.payload) else ""
    return Change(
        key_of(operation),
        State.ACCEPTED,
        ended_as="found",
        corso_id=id_text(record.get("orderId")),
        held_hash=held,
        is_uncancelled=not record.get("sourceCanceledOn"),
    )
