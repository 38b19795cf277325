"""Waiting for one's turn: the asynchronous shell over `pacer`, shared by all tasks of one credential.

Requests are admitted first come, first served: only the first in the queue looks at the clock, the others wait for
it. What decides is `pacer`; nothing here knows a rule.
"""

import asyncio
from datetime import timedelta

from corso.api.backoff import Jitter, random_jitter
from corso.api.pacer import Pacer, Ticket, Wait
from corso.api.quota_headers import NOTHING, QuotaNotice
from corso.clock import Clock
from corso.errors import Parked
from corso.settings import Limits

LONGEST_NAP_S = 60.0
"""A long wait is slept in pieces: a machine that was suspended looks at the clock again."""

SHORTEST_NAP_S = 0.001
"""A wait that rounding made too short to end at its time is not asked for again and again."""


class Limiter:
    """Admits requests, and counts them for the summary and the progress bar."""

    def __init__(self, limits: Limits, clock: Clock, *, jitter: Jitter = random_jitter) -> None:
        self.pacer = Pacer(
            share=limits.share,
            max_in_flight=limits.max_in_flight,
            requests_per_second=limits.requests_per_second,
            jitter=jitter,
        )
        self._patience_s = limits.patience_s
        self._clock = clock
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()

    @property
    def seeded(self) -> bool:
        """Whether an answer has told what may be sent; until then requests go one by one."""
        return self.pacer.seeded

    @property
    def sent(self) -> int:
        """Requests that left, or may have."""
        return self.pacer.tally.sent

    @property
    def throttled(self) -> int:
        """Answers with status 429."""
        return self.pacer.tally.throttled

    @property
    def retried(self) -> int:
        """Requests that repeated a failed one, as far as `note_retry` was told."""
        return self.pacer.tally.retried

    @property
    def quota_share(self) -> float | None:
        """Our requests as a part of the quota over the windows seen; None without rate-limit fields."""
        return self.pacer.quota_share

    @property
    def rate(self) -> float:
        """Requests per second that are allowed at this moment; 0 before the first answer."""
        return self.pacer.rate(self._clock.monotonic())

    @property
    def pause_s(self) -> float:
        """Seconds for which nothing may be sent; 0 when there is no pause."""
        return max(0.0, self.pacer.paused_until - self._clock.monotonic())

    def note_retry(self) -> None:
        """Count a request that repeats a failed one."""
        self.pacer.tally.retried += 1

    async def admit(self) -> Ticket:
        """Wait until one request may leave; it must leave at once.

        Hand the ticket back by exactly one of `answered`, `unanswered` and `withdrawn`. Raises Parked when the API
        asks for a longer wait than `limits.patience_s`.
        """
        async with self._turn:
            while True:
                self._ended.clear()
                decision = self.pacer.admit(self._clock.monotonic())
                if isinstance(decision, Ticket):
                    return decision
                await self._sit_out(decision)

    def may_leave(self) -> bool:
        """Whether a request that was admitted before may still leave."""
        return self.pacer.may_leave(self._clock.monotonic())

    def answered(self, ticket: Ticket, status: int, notice: QuotaNotice = NOTHING) -> float:
        """Note an answer; return the seconds that nothing may be sent from now on."""
        pause_s = self.pacer.answered(ticket, self._clock.monotonic(), status, notice)
        self._ended.set()
        return pause_s

    def unanswered(self, ticket: Ticket) -> None:
        """Note that a request left, or may have, and no answer was read."""
        self.pacer.unanswered(ticket)
        self._ended.set()

    def withdrawn(self, ticket: Ticket) -> None:
        """Note that a request surely never left."""
        self.pacer.withdrawn(ticket)
        self._ended.set()

    async def _sit_out(self, wait: Wait) -> None:
        if wait.until is None:
            await self._ended.wait()
            return
        now = self._clock.monotonic()
        if wait.held_since is not None and wait.until - wait.held_since > self._patience_s:
            resume_at = self._clock.utc() + timedelta(seconds=min(wait.until - now, 1e9))
            message = (
                f"the API asks to wait until {resume_at:%Y-%m-%d %H:%M:%S} UTC, longer than "
                f"limits.patience_s ({self._patience_s:g} s) allows"
            )
            raise Parked(message, resume_at=resume_at)
        await self._clock.sleep(max(SHORTEST_NAP_S, min(wait.until - now, LONGEST_NAP_S)))
