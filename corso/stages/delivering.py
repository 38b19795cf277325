"""Upload: the plan's operations go out, what is in doubt is looked up, every outcome is in the ledger."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Literal

import polars as pl

from corso.api.client import CorsoApi
from corso.clock import Clock, SystemClock
from corso.delivery.admission import admit
from corso.delivery.journal import Journal
from corso.delivery.ledger import Entry, Key, Ledger, key_of
from corso.delivery.ports import OrderApi, Watch
from corso.delivery.recovery import Recovered, Recovery
from corso.delivery.sender import Sender, Tally, interrupted
from corso.delivery.states import State
from corso.report.summary import Requests
from corso.stages.batch import Batch, ProgressWatch, add_requests
from corso.stages.signals import stopped_by_signals
from schemas.wire import Operation, OperationKind

_ROWS_AT_ONCE = 2_000
_ROUNDS = 3
"""After looking up, what is surely not there is sent again; so often at the most within one run."""

Subject = Literal["order", "fulfillment"]

_KINDS: Mapping[tuple[str, str], OperationKind] = {
    ("order", "create"): "create_order",
    ("order", "update"): "update_order",
    ("order", "cancel"): "cancel_order",
    ("fulfillment", "create"): "create_fulfillment",
}


def upload(
    batch: Batch, plan: pl.LazyFrame, subject: Subject, progress: ProgressWatch, *, limit: int | None = None
) -> None:
    """Send the operations of a plan that are about orders, or about fulfillments.

    `limit` sends no more than so many. Raises what stopped it: Stopped, Parked, NotAuthorised, Interrupted,
    LedgerError, SettingsError. Whatever it raises, the ledger says how every operation stands.
    """
    settings = batch.settings
    credentials = settings.credentials()
    clock = SystemClock()
    with Ledger.open(settings.ledger_path, settings.loader.store.id) as ledger:

        async def deliver() -> None:
            async with counted_api(batch, CorsoApi.open(settings, credentials, clock=clock)) as api:

                def watch(what: str, done: int, total: int) -> None:
                    progress(what, done, total, pace(api))

                await Delivery(batch, plan, subject, ledger, api, clock, watch).run(limit)

        asyncio.run(deliver())


def pace(api: CorsoApi) -> str:
    """Say how the limiter is doing, for a progress bar."""
    limiter = api.limiter
    share = "" if limiter.quota_share is None else f", {limiter.quota_share:.0%} of the quota"
    return f"{limiter.rate:.0f}/s allowed{share}, {limiter.throttled} throttled"


def plan_rejected_again(batch: Batch) -> int:
    """Let the next upload send again what Corso rejected; return how many operations these are."""
    settings = batch.settings
    with Ledger.open(settings.ledger_path, settings.loader.store.id) as ledger:
        return ledger.plan_rejected_again()


@asynccontextmanager
async def counted_api(batch: Batch, api: CorsoApi) -> AsyncIterator[CorsoApi]:
    """Open the API; when it is done with, add what was asked of it to the batch's facts."""
    began = asyncio.get_running_loop().time()
    try:
        async with api:
            yield api
    finally:
        limiter = api.limiter
        asked = Requests(
            sent=limiter.sent,
            throttled=limiter.throttled,
            retried=limiter.retried,
            seconds=asyncio.get_running_loop().time() - began,
            quota_share=limiter.quota_share,
        )
        batch.write_facts(add_requests(batch.read_facts(), asked))


class Delivery:
    """One upload: look up what an earlier run left in doubt, send, look up, send what is surely not there."""

    def __init__(
        self,
        batch: Batch,
        plan: pl.LazyFrame,
        subject: Subject,
        ledger: Ledger,
        api: OrderApi,
        clock: Clock,
        watch: Watch,
    ) -> None:
        loader = batch.settings.loader
        journal = Journal(ledger)
        self._batch = batch.name
        self._ledger = ledger
        self._plan = plan.filter(subject=subject)
        self._fulfillments = subject == "fulfillment"
        self._sender = Sender(
            api,
            journal,
            clock,
            max_in_flight=loader.limits.max_in_flight,
            max_rejected=loader.upload.max_rejected,
            watch=watch,
        )
        self._recovery = Recovery(
            api, journal, clock, listing_delay_s=loader.upload.listing_delay_s, watch=watch
        )

    async def run(self, limit: int | None) -> None:
        """Deliver; see `upload`."""
        with stopped_by_signals(lambda: self._sender.stop(interrupted())):
            self._ledger.doubt_unfinished()
            await self._look_up()
            todo = self._to_do()
            total = todo.select(pl.len()).collect().item()
            total = total if limit is None else min(limit, total)
            for _ in range(_ROUNDS):
                if not total:
                    break
                # What was surely not there is planned again, what was there with other content is to be updated.
                todo = self._rows_of(await self._deliver(self._admitted(todo, total), total))
                total = todo.select(pl.len()).collect().item()

    async def _deliver(self, operations: Iterator[Operation], total: int) -> list[Key]:
        """Send operations and look up what is in doubt of them; return what of it has to be sent again."""
        again: list[Key] = []
        tally = Tally()
        while True:
            await self._sender.send(operations, total, tally)
            recovered = await self._look_up()
            tally.unknown -= recovered.rejected
            tally.rejected += recovered.rejected
            again += recovered.to_send
            if not tally.paused:
                return again

    def _to_do(self) -> pl.LazyFrame:
        return self._plan.filter(pl.col("action").is_in(["create", "update", "cancel"]))

    def _admitted(self, todo: pl.LazyFrame, total: int) -> Iterator[Operation]:
        """Yield what has to be sent, at most `total`; the plan is read in slices."""
        left = total
        for rows in todo.collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True):
            admitted = admit(self._ledger, _operations(rows), self._batch)
            yield from admitted[:left]
            left -= len(admitted)
            if left <= 0:
                return

    async def _look_up(self) -> Recovered:
        """Find out about all that is in doubt."""
        doubtful = list(self._ledger.entries(states=[State.UNKNOWN], fulfillments=self._fulfillments))
        if not doubtful:
            return Recovered()
        return await self._recovery.resolve(doubtful, self._planned_operations)

    def _planned_operations(self, keys: Iterable[Key]) -> dict[Key, Operation]:
        operations = _operations(self._rows_of(keys).collect())
        orders = self._ledger.entries_of(Key(operation.source_order_id) for operation in operations)
        return {
            key_of(operation): _with_order_id(operation, orders.get(Key(operation.source_order_id)))
            for operation in operations
        }

    def _rows_of(self, keys: Iterable[Key]) -> pl.LazyFrame:
        wanted = pl.LazyFrame(
            list(keys),
            schema={"source_order_id": pl.String, "source_fulfillment_id": pl.String},
            orient="row",
        )
        return self._plan.join(
            wanted, on=["source_order_id", "source_fulfillment_id"], how="semi", maintain_order="left"
        )


def _operations(rows: pl.DataFrame) -> list[Operation]:
    return [
        Operation(
            kind=_KINDS[subject, action],
            source_order_id=order,
            source_fulfillment_id=fulfillment,
            corso_order_id=None,
            payload=payload.encode(),
            payload_hash=payload_hash,
            cancelled=cancelled,
        )
        for subject, action, order, fulfillment, payload, payload_hash, cancelled in rows.select(
            "subject",
            "action",
            "source_order_id",
            "source_fulfillment_id",
            "payload",
            "payload_hash",
            "cancelled",
        ).iter_rows()
        if (subject, action) in _KINDS
    ]


def _with_order_id(operation: Operation, order: Entry | None) -> Operation:
    return replace(operation, corso_order_id=order.corso_id if order else None)
