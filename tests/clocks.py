"""A clock that jumps, for whatever takes a `corso.clock.Clock`."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from typing import Any


class JumpingClock:
    """Time that stands still while any task can run and then jumps to the next sleeper.

    Deterministic: sleepers wake in the order of their times, those of one instant in the order in which they went to
    sleep, each one alone. It knows the event loop's ready tasks and its threads: a commit to a ledger takes no time,
    however slow its database is. What waits for a socket or a subprocess counts as idle, and time runs past it. A task
    that spins on `asyncio.sleep(0)` stops time.
    """

    def __init__(self, utc: datetime = datetime(2026, 11, 22, tzinfo=UTC)) -> None:
        self._start = utc
        self._now = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._is_watching = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_threads = 0
        self.slept: list[float] = []
        """Every sleep that was asked for, in seconds."""

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return self._now - 1_000.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._now

    def utc(self) -> datetime:
        """See `Clock.utc`."""
        return self._start + timedelta(seconds=self.elapsed)

    def jump(self, seconds: float) -> None:
        """Let time pass at once, as a suspended machine does."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.slept.append(seconds)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), self._count, future))
        if self._loop is not loop:
            self._loop = loop
            self._count_threads(loop)
        self._watch_soon(loop)
        await future

    def _count_threads(self, loop: asyncio.AbstractEventLoop) -> None:
        """Notice what this loop has threads do."""
        run_in_executor = loop.run_in_executor
        self._in_threads = 0

        def ended(_future: object) -> None:
            self._in_threads -= 1
            self._watch_soon(loop)

        def counted(*arguments: Any) -> asyncio.Future[Any]:
            self._in_threads += 1
            future = run_in_executor(*arguments)
            future.add_done_callback(ended)
            return future

        # The loop has no public way to say whether a thread is at work.
        setattr(loop, "run_in_executor", counted)  # noqa: B010

    def _watch_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sleepers and not self._is_watching and not loop.is_closed():
            self._is_watching = True
            loop.call_soon(self._watch, loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._in_threads:
            # The last one to end goes on: to spin here would be in its way.
            self._is_watching = False
            return
        # The loop has no public way to ask whether anything else is ready to run.
        if not getattr(loop, "_ready"):  # noqa: B009
            self._wake_next()
        self._is_watching = bool(self._sleepers)
        if self._is_watching:
            loop.call_soon(self._watch, loop)

    def _wake_next(self) -> None:
        while self._sleepers:
            when, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, when)
                future.set_result(None)
                return
