"""A clock that jumps, for whatever takes a `corso.clock.Clock`."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta


class JumpingClock:
    """Time that stands still while any task can run and then jumps to the next sleeper.

    Deterministic: sleepers wake in the order of their times, those of one instant in the order in which they went to
    sleep, each one alone. It knows the event loop's ready tasks only: what waits for a socket, a thread or a
    subprocess counts as idle, and time runs past it. A task that spins on `asyncio.sleep(0)` stops time.
    """

    def __init__(self, utc: datetime = datetime(2026, 11, 22, tzinfo=UTC)) -> None:
        self._start = utc
        self._now = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._is_watching = False
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
        if not self._is_watching:
            self._is_watching = True
            loop.call_soon(self._watch, loop)
        await future

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
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
