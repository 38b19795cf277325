"""The circuit: the asynchronous shell over `breaker`. It holds senders back, probes, and lets one of them try.

What decides is `breaker`; the reads that probe go out here, and who waits is woken here.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable

from corso.clock import Clock
from corso.delivery.breaker import Breaker, Passage
from corso.delivery.ports import OrderApi
from corso.errors import ApiError, NotAuthorised, NotFound, Outage, Parked, RateLimited, Rejected


class Circuit:
    """What an operation passes on its way out."""

    def __init__(
        self, api: OrderApi, clock: Clock, outage_s: float, stop: Callable[[BaseException], None]
    ) -> None:
        """Make a closed one; `stop` is told what ends the sending for good: an outage too long, or a mistake."""
        self._api = api
        self._clock = clock
        self._stop = stop
        self._stopped = False
        self._breaker = Breaker(outage_s, random.random)
        self._passable = asyncio.Event()
        self._passable.set()
        self._probing: asyncio.Task[None] | None = None

    async def passable(self) -> None:
        """Wait until one may `enter`, or the circuit has stopped the run."""
        while not (self._breaker.lets_pass or self._stopped):
            await self._passable.wait()

    def enter(self) -> Passage:
        """Let one operation pass, right after `passable`; hand the passage back with how it ended."""
        passage = self._breaker.enter()
        self._wake()
        return passage

    def holds(self, passage: Passage) -> bool:
        """Say whether an operation that was let pass may still leave."""
        return self._breaker.holds(passage)

    def answered(self, passage: Passage) -> None:
        """Note a usable answer."""
        self._breaker.answered(passage)
        self._wake()

    def throttled(self, passage: Passage) -> None:
        """Note a 429."""
        self._breaker.throttled(passage)
        self._wake()

    def withdrawn(self, passage: Passage) -> None:
        """Note that nothing is to be learnt of a passage; nothing happens if it was handed back already."""
        self._breaker.withdrawn(passage)
        self._wake()

    def troubled(self, passage: Passage, error: ApiError) -> None:
        """Note a request without a usable answer."""
        if self._breaker.troubled(passage, self._clock.monotonic()):
            self._probing = asyncio.create_task(self._probe(error))
        self._wake()

    async def end_probing(self) -> None:
        """Ask no further."""
        if self._probing:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing

    async def _probe(self, last: ApiError) -> None:
        """Ask until the API answers, then let one operation try; stop the run when that takes too long."""
        try:
            while not self._breaker.gives_up(self._clock.monotonic()):
                await self._clock.sleep(self._breaker.pause_s())
                try:
                    await self._api.ping()
                except (RateLimited, Rejected, NotFound):
                    return
                except (NotAuthorised, Parked) as error:
                    self._end(error)
                    return
                except ApiError as error:
                    last = error
                else:
                    return
            self._end(Outage(f"the circuit is open: {self._breaker.account}, the last: {last}"))
        except Exception as error:  # noqa: BLE001  (the sender raises it)
            self._end(error)
        finally:
            # Whatever ends the probing, nobody waits for it for ever.
            self._breaker.probe_answered()
            self._wake()

    def _end(self, why: BaseException) -> None:
        self._stopped = True
        self._stop(why)

    def _wake(self) -> None:
        if self._breaker.lets_pass or self._stopped:
            self._passable.set()
        else:
            self._passable.clear()
