"""Waiting for one's turn: the asynchronous shell over `pacer`, shared by all tasks of one credential.

Requests are admitted first come, first served: only the first in the queue looks at the clock, the others wait for
it. What decides is `pacer`. Of the rules only those of the time of day are here: which share the calendar gives at
the moment, and when the run has to be over.
"""

import asyncio
import math
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from corso.api.backoff import Jitter, random_jitter
from corso.api.found_rate import Found
from corso.api.pacer import Pacer, Ticket, Wait
from corso.api.quota_headers import NOTHING, QuotaNotice
from corso.calendar import Calendar
from corso.clock import Clock
from corso.errors import Parked
from corso.settings import Limits

LONGEST_NAP_S = 60.0
"""A long wait is slept in pieces: a machine that was suspended looks at the clock again."""

SHORTEST_NAP_S = 0.001
"""A wait that rounding made too short to end at its time is not asked for again and again."""


KEPT_FROM_S = 2.0
"""Pauses that may outlive a process: none is begun anew sooner."""

LONGEST_KEPT = timedelta(days=1)
"""What asks for more, or was kept by a clock that was ahead, is asked again after it."""


class KeptPause(Protocol):
    """Until when nothing may be sent, kept beyond the process."""

    def read(self) -> datetime | None:
        """Return what was kept last; None where nothing is known."""
        ...

    def keep(self, until: datetime) -> None:
        """Keep it; never raises for a disk."""
        ...


class Limiter:
    """Admits requests, and counts them for the summary and the progress bar.

    The hours of `limits.calendar` are those of `time_zone`. From `until` on, which knows its offset, nothing is
    admitted any more. A `pacer` that another limiter had before knows the quota already; a new one goes on from what an
    earlier run `found` of an API that tells none. A `pause` that the API asked an earlier process for is sat out.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        *,
        jitter: Jitter = random_jitter,
        time_zone: str = "UTC",
        until: datetime | None = None,
        pacer: Pacer | None = None,
        found: Found | None = None,
        pause: KeptPause | None = None,
    ) -> None:
        self.pacer = pacer or Pacer(
            share=limits.share,
            max_in_flight=limits.max_in_flight,
            requests_per_second=limits.requests_per_second,
            jitter=jitter,
            found=found,
        )
        self._patience_s = limits.patience_s
        self._clock = clock
        self._calendar = Calendar(limits.calendar, limits.share, ZoneInfo(time_zone))
        self._share_holds: tuple[datetime, datetime] | None = None
        """From when, and until when, the pacer's share is what the calendar says."""
        self._until = until
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()
        self._pause = pause
        self._paused_until = self._go_on_pausing()
        self.told = NOTHING
        """The newest answer's numbers, of those that told of a window."""

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
        return self.pacer.even_rate(self._clock.monotonic())

    @property
    def pause_s(self) -> float:
        """Seconds for which nothing may be sent; 0 when there is no pause."""
        return max(0.0, self.pacer.paused_until - self._clock.monotonic())

    def note_retry(self) -> None:
        """Count a request that repeats a failed one."""
        self.pacer.tally.retried += 1

    async def admit(self) -> Ticket:
        """Wait until one request may leave; it must leave at once.

        Hand the ticket back by exactly one of `answered`, `answered_elsewhere`, `unanswered` and `withdrawn`. Raises
        Parked when the API asks for a longer wait than `limits.patience_s`, and when it is time to end.
        """
        async with self._turn:
            while True:
                self._ended.clear()
                self._park_if_over()
                self._apply_calendar()
                decision = self.pacer.admit(self._clock.monotonic())
                if isinstance(decision, Ticket):
                    return decision
                await self._sit_out(decision)

    def may_leave(self) -> bool:
        """Whether a request that was admitted before may still leave."""
        return self.pacer.may_leave(self._clock.monotonic())

    def answered(self, ticket: Ticket, status: int, notice: QuotaNotice = NOTHING) -> float:
        """Note an answer; return the seconds that nothing may be sent from now on."""
        if notice.describes_a_window:
            self.told = notice
        pause_s = self.pacer.answered(ticket, self._clock.monotonic(), status, notice)
        self._keep_pause(pause_s)
        self._ended.set()
        return pause_s

    def answered_elsewhere(self, ticket: Ticket, status: int, notice: QuotaNotice = NOTHING) -> float:
        """Note the answer of the token endpoint; return the seconds that nothing may be sent from now on."""
        pause_s = self.pacer.answered_elsewhere(ticket, self._clock.monotonic(), status, notice)
        self._keep_pause(pause_s)
        self._ended.set()
        return pause_s

    def unanswered(self, ticket: Ticket) -> None:
        """Note that a request left, or may have, and no answer was read."""
        self.pacer.unanswered(ticket, self._clock.monotonic())
        self._ended.set()

    def withdrawn(self, ticket: Ticket) -> None:
        """Note that a request surely never left."""
        self.pacer.withdrawn(ticket)
        self._ended.set()

    def _go_on_pausing(self) -> datetime:
        utc = self._clock.utc()
        until = self._pause.read() if self._pause else None
        if until is None or not utc < until <= utc + LONGEST_KEPT:
            return utc
        self.pacer.hold(self._clock.monotonic(), (until - utc).total_seconds())
        return until

    def _keep_pause(self, pause_s: float) -> None:
        if self._pause is None or pause_s < KEPT_FROM_S:
            return
        until = self._clock.utc() + min(timedelta(seconds=min(pause_s, 1e9)), LONGEST_KEPT)
        # Answers that come in during a pause say the same by and by.
        if until > self._paused_until + timedelta(seconds=1):
            self._paused_until = until
            self._pause.keep(until)

    def _park_if_over(self) -> None:
        if self._until is not None and self._clock.utc() >= self._until:
            message = f"parked at {self._until:%H:%M} as --until asked: run the same command again to go on"
            raise Parked(message, resume_at=self._until)

    def _apply_calendar(self) -> None:
        utc = self._clock.utc()
        # A clock that was set back or forth by much is outside of what was looked up.
        if self._share_holds is None or not self._share_holds[0] <= utc < self._share_holds[1]:
            self.pacer.share = self._calendar.share_at(utc)
            self._share_holds = (utc, self._calendar.next_change_at(utc))

    async def _sit_out(self, wait: Wait) -> None:
        if wait.until is None:
            await self._ended.wait()
            return
        now = self._clock.monotonic()
        wait_s, share_changes_in_s = (
            wait.until - now,
            self._seconds_to(self._share_holds and self._share_holds[1]),
        )
        if not self.pause_s:
            # What makes us wait is our own share, and the calendar may give more before the window is over.
            wait_s = min(wait_s, share_changes_in_s)
        if wait.held_since is not None and now + wait_s - wait.held_since > self._patience_s:
            self._park_for(wait_s)
        nap_s = min(wait_s, LONGEST_NAP_S, share_changes_in_s, self._seconds_to(self._until))
        await self._clock.sleep(max(SHORTEST_NAP_S, nap_s))

    def _park_for(self, wait_s: float) -> None:
        resume_at = self._clock.utc() + timedelta(seconds=min(wait_s, 1e9))
        message = (
            f"the API asks to wait until {resume_at:%Y-%m-%d %H:%M:%S} UTC, longer than "
            f"limits.patience_s ({self._patience_s:g} s) allows"
        )
        raise Parked(message, resume_at=resume_at)

    def _seconds_to(self, moment: datetime | None) -> float:
        return (moment - self._clock.utc()).total_seconds() if moment else math.inf
