"""The sender: planned operations go out, each ends in a state that is written down.

One event loop, as many operations under way as limits.max_in_flight; how fast is the limiter's business, inside
the API's port. Nothing is resent here but what surely never left. Three guards end or hold the sending: too many
rejects (of the whole, or of the last `RECENT_ENDS`), the circuit, and whoever calls `stop`.
"""

import asyncio
import logging
import random
from collections.abc import Iterable, Iterator
from typing import Any

from corso.clock import Clock
from corso.delivery.breaker import Passage
from corso.delivery.circuit import Circuit
from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, Key, key_of
from corso.delivery.look_ups import is_new
from corso.delivery.ports import OrderApi, Watch
from corso.delivery.states import State
from corso.delivery.tally import Tally
from corso.errors import (
    ApiError,
    CorsoError,
    DoneWithoutId,
    Interrupted,
    NotAuthorised,
    NotFound,
    Parked,
    Verdict,
    verdict,
)
from corso.scrubbing import without_values_of
from schemas.wire import Operation, Receipt

_LOG = logging.getLogger(__name__)

_LEVELS = {State.ACCEPTED: logging.DEBUG, State.REJECTED: logging.WARNING, State.UNKNOWN: logging.WARNING}
"""How an attempt ended -> the level at which it is logged; there may be millions of accepted ones."""

DRAIN_S = 30.0
"""Seconds that what is under way gets to finish after a stop."""
_BACKOFF_BASE_S, _BACKOFF_CAP_S = 0.5, 30.0

LOOKED_UP_WHEN_REFUSED = frozenset({"create_order", "cancel_order", "create_fulfillment"})
"""A refusal of these may mean that it was done before: they are looked up before they count as rejected."""


class _HeldBack(Exception):
    """The circuit turned, or the run was stopped, while an operation waited for its turn: nothing of it has left."""


class Sender:
    """Sends operations; stops early when told to, or when a guard says so."""

    def __init__(
        self,
        api: OrderApi,
        journal: Journal,
        clock: Clock,
        *,
        max_in_flight: int,
        outage_s: float,
        watch: Watch,
    ) -> None:
        self._api = api
        self._journal = journal
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._watch = watch
        self._stopped: BaseException | None = None
        self._stop_asked = asyncio.Event()
        self._in_flight: set[asyncio.Task[None] | None] = set()
        """Workers whose operation is written down as `sending`, or is about to be."""
        self._circuit = Circuit(api, clock, outage_s, self._stop_for)

    @property
    def stopped(self) -> BaseException | None:
        """What stopped it, if anything did."""
        return self._stopped

    def stop(self, why: CorsoError) -> None:
        """Admit no further operation; what is under way gets `DRAIN_S` to finish."""
        if self._stopped is None:
            self._stopped = why
            self._stop_asked.set()

    async def send(self, operations: Iterable[Operation], total: int, tally: Tally) -> None:
        """Send all of them, which the ledger holds as planned.

        Where the tally says `must_look_up`, it returns early: look the refused ones up, then go on with the rest of
        the same iterator and the same tally. Raises what stopped it (Stopped, Parked, NotAuthorised, Interrupted,
        LedgerError, or a mistake of ours as it is), once nothing is under way.
        """
        self._judge(tally)
        if self._stopped:
            raise self._stopped
        feed = iter(operations)
        workers = [
            asyncio.create_task(self._work(feed, tally, total))
            for _ in range(min(self._max_in_flight, total))
        ]
        try:
            await self._join(workers)
        finally:
            await self._circuit.end_probing()
        if self._stopped:
            raise self._stopped

    async def _join(self, workers: list[asyncio.Task[None]]) -> None:
        """Wait for the workers. After a stop, those that only wait for their turn end at once, the others in DRAIN_S."""
        pending: set[asyncio.Task[Any]] = set(workers)
        stop_asked: asyncio.Task[Any] = asyncio.create_task(self._stop_asked.wait())
        while pending and not self._stopped:
            done, _ = await asyncio.wait({*pending, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            self._note_failures(done - {stop_asked})
        stop_asked.cancel()
        for worker in pending - self._in_flight:
            worker.cancel()
        if pending:
            done, pending = await asyncio.wait(pending, timeout=DRAIN_S)
            self._note_failures(done)
        for worker in pending:
            worker.cancel()
        await asyncio.gather(stop_asked, *pending, return_exceptions=True)

    def _note_failures(self, done: Iterable[asyncio.Task[Any]]) -> None:
        for worker in done:
            error = None if worker.cancelled() else worker.exception()
            if error is not None:
                self._stop_for(error)

    def _stop_for(self, error: BaseException) -> None:
        """Stop with an error; with what nobody expected whatever else was a reason to: it must not be lost."""
        if isinstance(error, CorsoError):
            self.stop(error)
        else:
            self._stopped = error
            self._stop_asked.set()

    async def _work(self, feed: Iterator[Operation], tally: Tally, total: int) -> None:
        while await self._may_go_on(tally) and (operation := next(feed, None)) is not None:
            await self._deliver(operation, tally)
            self._watch(operation.kind, tally.done, total)
            self._judge(tally)

    async def _may_go_on(self, tally: Tally) -> bool:
        return await self._may_send() and not tally.must_look_up

    async def _may_send(self) -> bool:
        """Wait until the circuit lets one pass. It stops the run, too: say whether it did not."""
        await self._circuit.passable()
        return self._stopped is None

    def _judge(self, tally: Tally) -> None:
        if why := tally.verdict:
            self.stop(why)

    async def _deliver(self, operation: Operation, tally: Tally) -> None:
        """Send one operation until it leaves once; write down how that ended."""
        failures = 0
        # Also between tries: what could not connect waits for the circuit like everybody else.
        while await self._may_send():
            passage = self._circuit.enter()
            try:
                again = await self._attempt(operation, passage, tally)
            finally:
                self._in_flight.discard(asyncio.current_task())
            # Not where an error came out: it ends the run, and nobody needs to go in this one's place.
            self._circuit.withdrawn(passage)
            if again is None:
                return
            if again is Verdict.RESEND:
                failures += 1
                await self._back_off(failures)

    async def _attempt(self, operation: Operation, passage: Passage, tally: Tally) -> Verdict | None:
        """Send one operation; return why it has to be tried again, or None where it has ended."""
        started = False

        async def about_to_send() -> None:
            nonlocal started
            if self._stopped or not self._circuit.holds(passage):
                raise _HeldBack
            self._in_flight.add(asyncio.current_task())
            await self._journal.start(operation)
            started = True

        try:
            receipt = await self._api.send(operation, about_to_send)
        except _HeldBack:
            return Verdict.WAIT
        except ApiError as error:
            self._tell_circuit(passage, error)
            return await self._ended(operation, error, tally, started=started)
        except Parked:
            if started:
                await self._put_back(operation, "not sent", "the run was parked")
            raise
        self._circuit.answered(passage)
        await self._accept(operation, receipt, tally)
        return None

    def _tell_circuit(self, passage: Passage, error: ApiError) -> None:
        if isinstance(error, DoneWithoutId):
            self._circuit.answered(passage)
            return
        match verdict(error):
            case Verdict.RESEND | Verdict.LOOK_UP:
                self._circuit.troubled(passage, error)
            case Verdict.WAIT:
                self._circuit.throttled(passage)
            case _:
                self._circuit.answered(passage)

    async def _accept(self, operation: Operation, receipt: Receipt, tally: Tally) -> None:
        key = key_of(operation)
        tally.note(key, State.ACCEPTED)
        await self._journal.settle(
            Change(
                key,
                State.ACCEPTED,
                corso_id=receipt.corso_id,
                held_hash=operation.payload_hash,
                status=receipt.status,
            )
        )
        _log(operation, State.ACCEPTED, receipt.status)

    async def _ended(
        self, operation: Operation, error: ApiError, tally: Tally, *, started: bool
    ) -> Verdict | None:
        """Write down how an attempt failed; return why to try again, if that is what comes next."""
        reason = _reason(operation, error)
        next_step = verdict(error)
        match next_step:
            case Verdict.RESEND:
                if started:
                    await self._put_back(operation, "not sent", reason)
                return next_step
            case Verdict.WAIT:
                await self._put_back(operation, "throttled", reason)
                return next_step
            case Verdict.STOP:
                await self._put_back(operation, "refused", reason)
                self.stop(error if isinstance(error, NotAuthorised) else NotAuthorised(str(error)))
            case Verdict.SETTLE if await self._is_too_early(operation, error):
                await self._put_back(operation, "refused", reason)
                tally.too_early.add(key_of(operation))
            case Verdict.SETTLE if operation.kind not in LOOKED_UP_WHEN_REFUSED:
                await self._settle(operation, State.REJECTED, error, tally)
            case _:
                await self._settle(
                    operation, State.UNKNOWN, error, tally, refused=next_step is Verdict.SETTLE
                )
        return None

    async def _is_too_early(self, operation: Operation, error: ApiError) -> bool:
        """Say whether Corso refused it for not knowing an order yet that it accepted just now."""
        if not isinstance(error, NotFound) or operation.corso_order_id is None:
            return False
        return is_new(await self._journal.held_at(Key(operation.source_order_id)), self._clock)

    async def _settle(
        self, operation: Operation, state: State, error: ApiError, tally: Tally, *, refused: bool = False
    ) -> None:
        key = key_of(operation)
        tally.note(key, state, refused=refused)
        await self._journal.settle(Change(key, state, status=error.status, reason=_reason(operation, error)))
        _log(operation, state, error.status)

    async def _put_back(self, operation: Operation, ended_as: str, reason: str) -> None:
        await self._journal.settle(Change(key_of(operation), State.PLANNED, ended_as=ended_as, reason=reason))
        _log(operation, State.PLANNED, None)

    async def _back_off(self, failures: int) -> None:
        longest = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2 ** (failures - 1))
        await self._clock.sleep(random.uniform(0, longest))  # noqa: S311  (jitter, no secret)


def _log(operation: Operation, state: State, status: int | None) -> None:
    """Log how an attempt ended: by ids, never with what was sent or answered."""
    level = _LEVELS.get(state, logging.INFO)
    if _LOG.isEnabledFor(level):
        told = {
            "order": operation.source_order_id,
            "fulfillment": operation.source_fulfillment_id or None,
            "operation": operation.kind,
            "state": state.value,
            "status": status,
        }
        _LOG.log(level, "%s is %s", operation.kind, state.value, extra=told)


def _reason(operation: Operation, error: ApiError) -> str:
    """Say what the API said, for the ledger and the reports: without what it quotes of the customer's data."""
    if not error.body:
        return str(error)
    sent = (operation.payload, operation.content, operation.cancellation)
    return f"{error}: {without_values_of(error.body, *sent)}"


def interrupted() -> Interrupted:
    """Return what a signal stops the sender with."""
    return Interrupted("interrupted; what was sent is written down, run the same command again to go on")
