"""The sender: planned operations go out, each ends in a state that is written down.

One event loop, as many operations under way as limits.max_in_flight; how fast is the limiter's business, inside
the API's port. Nothing is resent here but what surely never left.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from corso.clock import Clock
from corso.delivery.journal import Journal
from corso.delivery.ledger import Change, key_of
from corso.delivery.ports import OrderApi, Watch
from corso.delivery.states import State
from corso.errors import ApiError, CorsoError, Interrupted, NotAuthorised, Parked, Stopped, Verdict, verdict
from schemas.wire import Operation, Receipt

TROUBLES_IN_A_ROW = 20
"""So many requests in a row without a usable answer open the circuit: the run stops instead of hammering."""
REJECTS_ALWAYS_ALLOWED = 10
"""The stop rule does not judge by fewer."""
DRAIN_S = 30.0
"""Seconds that what is under way gets to finish after a stop."""
_BACKOFF_BASE_S, _BACKOFF_CAP_S = 0.5, 30.0


@dataclass
class Tally:
    """What became of the operations of one run."""

    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    in_doubt: list[Operation] = field(default_factory=list)
    """Those that are unknown now, to be looked up."""
    refused: int = 0
    """Creates that the API refused and nobody has looked up yet; they may be there already."""
    paused: bool = False
    """Whether so many creates were refused that they have to be looked up before more are sent."""

    @property
    def done(self) -> int:
        """Operations that left and came to an end, known or not."""
        return self.accepted + self.rejected + self.unknown


class Sender:
    """Sends operations; stops early when told to, or when a guard says so."""

    def __init__(
        self,
        api: OrderApi,
        journal: Journal,
        clock: Clock,
        *,
        max_in_flight: int,
        max_rejected: float,
        watch: Watch,
    ) -> None:
        self._api = api
        self._journal = journal
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._max_rejected = max_rejected
        self._watch = watch
        self._stopped: CorsoError | None = None
        self._stop_asked = asyncio.Event()
        self._in_flight: set[asyncio.Task[None] | None] = set()
        """Workers whose operation is written down as `sending`, or is about to be."""
        self._troubles = 0

    def stop(self, why: CorsoError) -> None:
        """Admit no further operation; what is under way gets `DRAIN_S` to finish."""
        if self._stopped is None:
            self._stopped = why
            self._stop_asked.set()

    async def send(self, operations: Iterable[Operation], total: int, tally: Tally | None = None) -> Tally:
        """Send all of them, which the ledger holds as planned.

        Where the tally says `paused`, the refused creates are to be looked up; then it goes on with the rest of the
        same iterator and the same tally. Raises what stopped it (Stopped, Parked, NotAuthorised, Interrupted,
        LedgerError), once nothing is under way.
        """
        tally = tally or Tally()
        tally.refused, tally.paused = 0, False
        allowed = max(REJECTS_ALWAYS_ALLOWED, int(self._max_rejected * total))
        self._judge(tally, allowed)
        if self._stopped:
            raise self._stopped
        feed = iter(operations)
        workers = [
            asyncio.create_task(self._work(feed, tally, total, allowed))
            for _ in range(min(self._max_in_flight, total))
        ]
        await self._join(workers)
        if self._stopped:
            raise self._stopped
        return tally

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
            if isinstance(error, CorsoError):
                self.stop(error)
            elif error is not None:
                raise error

    async def _work(self, feed: Iterator[Operation], tally: Tally, total: int, allowed: int) -> None:
        while not (self._stopped or tally.paused) and (operation := next(feed, None)) is not None:
            await self._deliver(operation, tally)
            self._watch(operation.kind, tally.done, total)
            self._judge(tally, allowed)

    def _judge(self, tally: Tally, allowed: int) -> None:
        """Stop where too many operations are rejected; pause where too many creates may be."""
        tally.paused = tally.paused or tally.rejected + tally.refused > allowed
        if tally.rejected > allowed:
            self.stop(
                Stopped(
                    f"the API rejected {tally.rejected} of {tally.done} operations; upload.max_rejected allows {allowed}"
                )
            )

    async def _deliver(self, operation: Operation, tally: Tally) -> None:
        """Send one operation until it leaves once; write down how that ended."""
        failures = 0
        while self._stopped is None:
            started = False

            async def about_to_send() -> None:
                nonlocal started
                self._in_flight.add(asyncio.current_task())
                await self._journal.start(operation)
                started = True

            try:
                receipt = await self._api.send(operation, about_to_send)
            except ApiError as error:
                if not await self._ended(operation, error, tally, started=started):
                    return
                failures += verdict(error) is Verdict.RESEND
            except Parked:
                if started:
                    await self._put_back(operation, "not sent", "the run was parked")
                raise
            else:
                await self._accept(operation, receipt, tally)
                return
            finally:
                self._in_flight.discard(asyncio.current_task())
            await self._back_off(failures)

    async def _accept(self, operation: Operation, receipt: Receipt, tally: Tally) -> None:
        self._troubles = 0
        tally.accepted += 1
        await self._journal.settle(
            Change(
                key_of(operation),
                State.ACCEPTED,
                corso_id=receipt.corso_id,
                held_hash=operation.payload_hash,
                status=receipt.status,
            )
        )

    async def _ended(self, operation: Operation, error: ApiError, tally: Tally, *, started: bool) -> bool:
        """Write down how an attempt failed; say whether to try again."""
        reason = _reason(error)
        match verdict(error):
            case Verdict.RESEND:
                if started:
                    await self._put_back(operation, "not sent", reason)
                self._trouble(error)
                return True
            case Verdict.WAIT:
                await self._put_back(operation, "throttled", reason)
                return True
            case Verdict.STOP:
                await self._put_back(operation, "refused", reason)
                self.stop(error if isinstance(error, NotAuthorised) else NotAuthorised(str(error)))
            case Verdict.SETTLE if operation.kind != "create_order":
                tally.rejected += 1
                await self._journal.settle(
                    Change(key_of(operation), State.REJECTED, status=error.status, reason=reason)
                )
            case _:
                # A refused create is looked up, too: it may be refused because the order is there already.
                tally.unknown += 1
                tally.in_doubt.append(operation)
                await self._journal.settle(
                    Change(key_of(operation), State.UNKNOWN, status=error.status, reason=reason)
                )
                if verdict(error) is Verdict.LOOK_UP:
                    self._trouble(error)
                else:
                    tally.refused += 1
        return False

    async def _put_back(self, operation: Operation, ended_as: str, reason: str) -> None:
        await self._journal.settle(Change(key_of(operation), State.PLANNED, ended_as=ended_as, reason=reason))

    def _trouble(self, error: ApiError) -> None:
        self._troubles += 1
        if self._troubles >= TROUBLES_IN_A_ROW:
            self.stop(
                Stopped(
                    f"the circuit is open: {self._troubles} requests in a row without a usable answer, the last: {error}"
                )
            )

    async def _back_off(self, failures: int) -> None:
        if failures:
            longest = min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2 ** (failures - 1))
            await self._clock.sleep(random.uniform(0, longest))  # noqa: S311  (jitter, no secret)


def _reason(error: ApiError) -> str:
    return f"{error}: {error.body}" if error.body else str(error)


def interrupted() -> Interrupted:
    """Return what a signal stops the sender with."""
    return Interrupted("interrupted; what was sent is written down, run the same command again to go on")
