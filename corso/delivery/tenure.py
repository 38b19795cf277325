"""Tenure: the time in which one loader, and nobody else, may write to a ledger, and send.

How it begins stands in `taking`. Here: every commit asks whether the fences still stand, the heartbeat keeps the leases,
and the count of commits tells what became of one whose answer was lost, and that commits are gone.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self, TypeVar

import sqlalchemy as sa

from corso.clock import Clock
from corso.database import LedgerPlace
from corso.delivery import lease as leases
from corso.delivery.lease import Heartbeat
from corso.delivery.taking import Taken, take
from corso.errors import LeaseLost, LedgerError

Result = TypeVar("Result")

PATIENCE_S = leases.LEASE_S / 2
"""So long a server that broke the connection is asked again: a restart takes less, and the leases hold for longer."""


class Tenure:
    """The right to write. It ends with `close`, or when another loader takes over."""

    def __init__(self, taken: Taken, clock: Clock) -> None:
        self.database = taken.database
        self.database.patience_s = PATIENCE_S
        self._taken = taken
        self._clock = clock
        self._commits = taken.main.commits
        """How many are known to be durable."""
        self.lost_commits = taken.main.lost_commits
        """How many commits this ledger lost, ever."""
        self.sender_id = taken.leases[0].tenure_id
        """Of the tenure that sends: of the credentials where they are leased."""
        self._turn = threading.Lock()
        """The database would let threads wait, too, but by sleeping and trying again."""
        self._heartbeat = Heartbeat(self.renew, leases.RENEW_EVERY_S)

    @classmethod
    def take(
        cls, place: LedgerPlace, store_id: int, clock: Clock, purpose: str, fingerprint: str | None = None
    ) -> Self:
        """Begin to hold the ledger for `purpose`, and to send with the credentials of `fingerprint`; see `taking.take`."""
        return cls(take(place, store_id, clock, purpose, fingerprint), clock)

    def write(self, work: Callable[[sa.Connection], Result]) -> Result:
        """Do some work in one transaction; it is durable once this returns.

        It may be done again where the connection broke, but only what is surely not there. Raises LeaseLost and
        LedgerError, and then nothing of it was written that the next one to open the ledger does not know of.
        """
        with self.database.told(), self._turn:
            done: list[Result] = []
            result = self.database.patiently(lambda: self._write(work, done))
            self._taken.mark.write(self._commits)
            return result

    def renew(self) -> None:
        """Give a sign of life. Raises LeaseLost."""
        now = self.database.now(self._clock)
        with self.database.told(), self._turn, self.database.writer.begin() as connection:
            for each in self._taken.leases:
                each.renew(connection, now)

    def close(self) -> None:
        """Let the next one in."""
        self._heartbeat.stop()
        with self._taken.undo:
            # First: who is let in by the lease finds the credentials free.
            self._taken.release_credentials()
            # Without it the next one finds the lock free, or waits for the lease to run out.
            with suppress(LedgerError), self.database.told(), self.database.writer.begin() as connection:
                for each in self._taken.leases:
                    each.release(connection, self.database.now(self._clock))

    def _write(self, work: Callable[[sa.Connection], Result], done: list[Result]) -> Result:
        now = self.database.now(self._clock)
        with self.database.writer.begin() as connection:
            counted = [each.count_commit(connection, now) for each in self._taken.leases]
            commits = counted[-1]
            if commits <= self._commits:
                raise self._put_back(commits)
            # One more than there should be: the connection broke after the commit, and only the answer was lost.
            if not done or commits == self._commits + 1:
                done[:] = [work(connection)]
        self._commits = commits
        return done[0]

    def _put_back(self, commits: int) -> LeaseLost:
        message = (
            f"{self.database.name}: the ledger was put back to an older state while this loader was at work: "
            f"{self._commits + 1 - commits:,} commits are gone. Run the same command again: Corso is looked through first"
        )
        return LeaseLost(message)
