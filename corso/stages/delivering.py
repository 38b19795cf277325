"""Upload: the plan's operations go out, what is in doubt is looked up, every outcome is in the ledger."""

import asyncio
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from copy import copy
from datetime import datetime
from typing import Literal

import polars as pl

from corso.api.client import CorsoApi
from corso.clock import Clock, SystemClock
from corso.delivery.admission import admit
from corso.delivery.journal import Journal
from corso.delivery.ledger import Key, Ledger, key_of
from corso.delivery.look_ups import LONGEST_LAG_GUESSED_S, LookUps
from corso.delivery.ports import OrderApi, Watch
from corso.delivery.reads import StoppableReads
from corso.delivery.recovery import Recovered, Recovery
from corso.delivery.sender import Sender, interrupted
from corso.delivery.states import State
from corso.delivery.tally import Tally
from corso.errors import ApiError, NotAuthorised, NotSent, Outage, OutcomeUnknown, Stopped
from corso.report.summary import QuotaUse, Requests
from corso.stages.adoption import Adoption
from corso.stages.batch import Batch, Pace, ProgressWatch, add_requests
from corso.stages.canary import Canary
from corso.stages.guards import check_may_be_sent
from corso.stages.known_entries import known_entries
from corso.stages.known_quota import open_api
from corso.stages.later_batches import note_loading, orders_of_later_batches
from corso.stages.operations import operations_of, rows_of
from corso.stages.selection import Selection
from corso.stages.signals import stopped_by_signals
from schemas.wire import Operation

_ROWS_AT_ONCE = 2_000
_TOLD_EVERY_S = 0.1
_ROUNDS = 10
"""After looking up, what is surely not there is sent again; so often at the most within one run."""
_TOO_EARLY_PAUSE_S = 5.0
"""Seconds before a round that sends again what Corso did not know the order of yet: all rounds are longer than it may take."""
_VAIN_ROUNDS = 3
"""So many rounds in which none of what was sent again got any further end it: the API fails on these, and each costs a wait."""

Subject = Literal["order", "fulfillment"]


def upload(
    batch: Batch,
    plan: pl.LazyFrame,
    subject: Subject,
    progress: ProgressWatch,
    *,
    limit: int | None = None,
    until: datetime | None = None,
) -> None:
    """Send the operations of a plan that are about orders, or about fulfillments.

    `limit` sends no more than so many; from `until` on, which knows its offset, nothing is sent. Raises what stopped
    it: Stopped, Parked, NotAuthorised, Interrupted, LedgerError, SettingsError, UsageError. Whatever it raises, the ledger says
    how every operation stands.
    """
    settings = batch.settings
    credentials = settings.credentials()
    check_may_be_sent(batch)
    clock = SystemClock()
    with Ledger.open(
        settings.ledger,
        settings.loader.store.id,
        purpose=f"upload of batch {batch.name}",
        credentials=f"{settings.loader.corso.token_url} {credentials.client_id}",
    ) as ledger:
        note_loading(batch, clock.utc())

        async def deliver() -> None:
            client = open_api(settings, credentials, clock=clock, until=until)
            async with counted_api(batch, client) as api:
                watch = seldom(lambda what, done, total: progress(what, done, total, pace(api)), clock)
                await Delivery(batch, plan, subject, ledger, api, clock, watch).run(limit)

        asyncio.run(deliver())


def seldom(watch: Watch, clock: Clock) -> Watch:
    """Return a watch that tells no more often than people can read, and of each thing's beginning and end always."""
    of, due = "", 0.0

    def told(what: str, done: int, total: int) -> None:
        nonlocal of, due
        now = clock.monotonic()
        if now >= due or what != of or done >= total:
            of, due = what, now + _TOLD_EVERY_S
            watch(what, done, total)

    return told


def pace(api: CorsoApi) -> Pace:
    """Say how the limiter is doing, for a progress bar."""
    limiter = api.limiter
    return Pace(limiter.rate, limiter.pause_s, limiter.quota_share, limiter.throttled)


def plan_rejected_again(batch: Batch, plan: pl.LazyFrame) -> int:
    """Let the next upload send again what Corso rejected of a plan; return how many operations these are."""
    settings = batch.settings
    with Ledger.open(settings.ledger, settings.loader.store.id) as ledger:
        rejected = [entry.key for entry in ledger.entries(states=[State.REJECTED])]
        of_plan = rows_of(plan, rejected).select("source_order_id", "source_fulfillment_id")
        return ledger.plan_rejected_again([Key(*row) for row in of_plan.collect().iter_rows()])


@asynccontextmanager
async def counted_api(batch: Batch, api: CorsoApi) -> AsyncIterator[CorsoApi]:
    """Open the API; when it is done with, add what was asked of it to the batch's facts."""
    # The pacer may have counted for an earlier stage: what it counts is told as a difference.
    pacer, loop = api.limiter.pacer, asyncio.get_running_loop()
    before, began = copy(pacer.tally), loop.time()
    try:
        async with api:
            yield api
    finally:
        after, (limit, length_s), found = pacer.tally, pacer.quota or (None, None), pacer.found
        asked = Requests(
            sent=after.sent - before.sent,
            throttled=after.throttled - before.throttled,
            retried=after.retried - before.retried,
            seconds=loop.time() - began,
        )
        met = QuotaUse(
            limit=limit,
            length_s=length_s,
            quota=after.quota - before.quota,
            used=after.used - before.used,
            foreign=after.foreign - before.foreign,
            found_per_s=round(found.per_second, 3) if found else None,
            found_pause_s=found.pause_s if found else 0.0,
        )
        batch.write_facts(add_requests(batch.read_facts(), asked, met))


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
        self._batch = batch
        self._ledger = ledger
        self._reads = StoppableReads(api)
        self._plan = Selection(plan)
        self._subject: Subject = subject
        self._max_rejected = loader.upload.max_rejected
        self._is_canary = False
        self._given_up: set[Key] = set()
        """Sent again and again in this run, and in the end not there."""

        def told(what: str, done: int, total: int) -> None:
            watch("canary" if self._is_canary else what, done, total)

        self._sender = Sender(
            api,
            journal,
            clock,
            max_in_flight=loader.limits.max_in_flight,
            outage_s=loader.limits.outage_s,
            watch=told,
        )
        look_ups = LookUps(
            self._reads,
            ledger,
            clock,
            max_in_flight=loader.limits.max_in_flight,
            watch=watch,
            stop_check=self._raise_if_stopped,
        )
        self._recovery = Recovery(
            look_ups,
            journal,
            clock,
            listing_delay_s=loader.upload.listing_delay_s,
            timeout_s=loader.corso.timeout_s,
            when_unverifiable=loader.upload.when_unverifiable,
        )
        self._pause = look_ups.pause

    async def run(self, limit: int | None) -> None:
        """Deliver; see `upload`."""
        with stopped_by_signals(self._stop):
            self._ledger.doubt_unfinished()
            with _as_guard():
                if self._subject == "order":
                    await self._meet_the_store()
                    await self._send_orders(limit)
                else:
                    await self._send_fulfillments(self._plan)

    async def _meet_the_store(self) -> None:
        """Before anything goes to a store that the ledger does not know all about: see what is there already."""
        adoption = Adoption(self._plan, self._ledger, self._reads, self._batch.name)
        if self._ledger.is_trusted():
            adoption.doubt_listed(self._batch.settings)
            return
        if self._ledger.lost_commits:
            # What was sent last may not show yet, and nobody knows what that was.
            await self._pause(max(self._batch.settings.loader.upload.listing_delay_s, LONGEST_LAG_GUESSED_S))
        notes = await adoption.run()
        facts = self._batch.read_facts()
        self._batch.write_facts(facts.model_copy(update={"upload_notes": (*facts.upload_notes, *notes)}))
        self._ledger.trust()

    async def _send_orders(self, limit: int | None) -> None:
        """Send what there is to be sent of orders; first, of those to cancel, their fulfillments."""
        await self._look_up("order", wait=False)
        self._leave_to_later_batches()
        orders = self._plan.where(subject="order")
        todo = orders.where(pl.col("action").is_in(["create", "update", "cancel"]))
        planned = todo.count()
        total = planned if limit is None else min(limit, planned)
        canary = Canary(self._batch, orders.rows, self._ledger, self._reads, self._pause)
        if canary.choose(todo.rows, total):
            first = todo.of(canary.keys)
            count = first.count()
            self._is_canary = True
            await self._send_rows(first, min(count, total), "order")
            self._is_canary = False
            if count > total:
                # The limit cuts an earlier run's canary short: it is the next run's to judge.
                return
            todo = todo.of(await canary.check(), but=True)
            total -= planned - todo.count()
        await self._send_rows(todo, total, "order")

    def _leave_to_later_batches(self) -> None:
        """Take out of the plan what later batches brought, where it is in Corso or may be: the plan may be older than these."""
        brought = pl.Series(orders_of_later_batches(self._batch), dtype=pl.String)
        if brought.is_empty():
            return
        orders = self._plan.where(subject="order").of_orders(brought).rows.select("source_order_id").collect()
        known = known_entries(self._ledger, orders.to_series()).filter(
            pl.col("source_fulfillment_id") == "", pl.col("corso_id").is_not_null()
        )
        doubtful = self._ledger.entries(states=[State.UNKNOWN], fulfillments=False)
        left = {*known["source_order_id"]} | ({each.key.source_order_id for each in doubtful} & {*brought})
        is_left = pl.col("source_order_id").is_in(pl.Series(sorted(left), dtype=pl.String).implode())
        self._plan = self._plan.where((pl.col("subject") != "order") | ~is_left)

    async def _send_fulfillments(self, of: Selection) -> None:
        """Send the fulfillments among rows of the plan that there are to be sent."""
        await self._look_up("fulfillment", wait=False)
        todo = of.where(subject="fulfillment", action="create")
        await self._send_rows(todo, todo.count(), "fulfillment")

    async def _send_rows(self, todo: Selection, total: int, subject: Subject) -> None:
        """Send rows of the plan, at most `total`, in as many rounds as it takes."""
        before, vain = self._given_up, 0
        for _ in range(_ROUNDS):
            to_cancel = todo.where((pl.col("action") == "cancel") | pl.col("cancellation").is_not_null())
            orders = to_cancel.rows.select("source_order_id").collect().to_series()
            if orders.len():
                # Corso takes no fulfillment of a cancelled order.
                await self._send_fulfillments(self._plan.of_orders(orders))
            # What was surely not there is planned again, what was there with other content is to be updated, what
            # was brought up to date for its cancellation is to be cancelled.
            again, is_too_early = await self._deliver(todo, total, subject)
            if is_too_early:
                await self._pause(_TOO_EARLY_PAUSE_S)
            vain = vain + 1 if before == set(again) and not is_too_early else 0
            before = set(again)
            if not again:
                return
            if vain == _VAIN_ROUNDS:
                break
            todo = self._plan.of(again)
            total = todo.count()
        self._given_up = before

    async def _deliver(self, todo: Selection, total: int, subject: Subject) -> tuple[list[Key], bool]:
        """Send operations and look up what is in doubt of them.

        Return what of it has to be sent again, and whether some of that came too early, to an order that is new.
        """
        again: list[Key] = []
        tally = Tally.of(total, self._max_rejected)
        with closing(self._admitted(todo, total, again)) as operations:
            while True:
                await self._sender.send(operations, total, tally)
                paused = tally.must_look_up
                recovered = await self._look_up(subject)
                tally.note_looked_up(recovered.rejected)
                again += recovered.to_send
                if not paused:
                    return [*again, *tally.too_early], bool(tally.too_early)

    def _admitted(self, todo: Selection, total: int, again: list[Key]) -> Generator[Operation, None, None]:
        """Yield what has to be sent, at most `total`; note in `again` what a second step has to follow.

        While some are sent, the next ones are read and admitted in a thread: the event loop waits for the first only.
        """
        rows_at_once = todo.slices(_ROWS_AT_ONCE)

        def admit_some() -> tuple[list[Operation], set[Key]] | None:
            if (rows := next(rows_at_once, None)) is None:
                return None
            operations = operations_of(rows)
            cancelled = {key_of(each) for each in operations if each.cancelled}
            return admit(self._ledger, operations, self._batch.name), cancelled

        left = total
        with ThreadPoolExecutor(1, "admission") as beside:
            coming = beside.submit(admit_some)
            while some := coming.result():
                admitted, cancelled = some[0][:left], some[1]
                left -= len(admitted)
                if left > 0:
                    coming = beside.submit(admit_some)
                # The update that goes before a cancellation does not say cancelled.
                again += [
                    key_of(step) for step in admitted if key_of(step) in cancelled and not step.cancelled
                ]
                yield from admitted
                if left <= 0:
                    return

    async def _look_up(self, subject: Subject, *, wait: bool = True) -> Recovered:
        """Find out about all orders, or all fulfillments, that are in doubt (`Recovery.resolve`)."""
        doubtful = list(self._ledger.entries(states=[State.UNKNOWN], fulfillments=subject == "fulfillment"))
        if not doubtful:
            return Recovered()
        return await self._recovery.resolve(doubtful, self._planned_operations, wait=wait)

    def _planned_operations(self, keys: Iterable[Key]) -> dict[Key, Operation]:
        rows = self._plan.of(keys).rows.collect()
        return {key_of(operation): operation for operation in operations_of(rows)}

    def _stop(self) -> None:
        """Stop for a signal: what is being sent gets its time to end, a read needs none."""
        why = interrupted()
        self._sender.stop(why)
        self._reads.stop(why)

    def _raise_if_stopped(self) -> None:
        if self._sender.stopped:
            raise self._sender.stopped


@contextmanager
def _as_guard() -> Iterator[None]:
    """Turn what ends a look-up into a stop: the same command goes on with it."""
    try:
        yield
    except NotAuthorised:
        raise
    except ApiError as error:
        message = f"Corso cannot be read now, so nothing more was sent: {error}"
        raise (Outage if isinstance(error, NotSent | OutcomeUnknown) else Stopped)(message) from error
