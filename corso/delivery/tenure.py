"""Tenure: the time in which one loader, and nobody else, may write to a ledger.

It joins what that takes: the file lock for this machine, the lease with its fence for all others, the heartbeat that
keeps it, and the mark that tells at the next opening whether commits were lost in between.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from corso.clock import Clock
from corso.delivery import lease as leases
from corso.delivery.entry import text_of
from corso.delivery.lease import Heartbeat, Lease, holding
from corso.delivery.lock import Lock, this_process
from corso.delivery.mark import Mark
from corso.delivery.tables import VERSION, open_engine, prepare, told, version_of, writing
from corso.errors import LedgerError, LedgerInUse


class Tenure:
    """The right to write. It ends with `close`, or when another loader takes over."""

    def __init__(
        self, path: Path, clock: Clock, engine: sa.Engine, lock: Lock, lease: Lease, mark: Mark
    ) -> None:
        self._path = path
        self._clock = clock
        self.engine = engine
        self._writer = writing(engine)
        self._lock = lock
        self._lease = lease
        self._mark = mark
        self.lost_commits = lease.lost_commits
        """How many commits this ledger lost, ever."""
        self._turn = threading.Lock()
        """The database would let threads wait, too, but by sleeping and trying again."""
        self._heartbeat = Heartbeat(self.renew, leases.RENEW_EVERY_S)

    @classmethod
    def take(cls, path: Path, clock: Clock, purpose: str) -> Self:
        """Begin to hold the ledger at `path`, for `purpose`; make it where there is none.

        Raises LedgerInUse, LedgerTooNew, LedgerError (disk full, not a ledger, not writable).
        """
        holder = f"{this_process()}: {purpose}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack[None]() as undo:
                lock = _locked(path, clock, holder)
                undo.callback(lock.release)
                engine = open_engine(path)
                undo.callback(engine.dispose)
                with told(path), writing(engine).begin() as connection:
                    prepare(connection, text_of(clock.utc()))
                    mark = Mark.open(path.with_suffix(".mark"))
                    undo.callback(mark.close)
                    lease = Lease.take(connection, clock.utc(), holder, mark.commits)
                mark.write(lease.commits)
                undo.pop_all()
        except OSError as error:
            message = f"{path}: the ledger cannot be opened ({error.strerror})"
            raise LedgerError(message) from None
        return cls(path, clock, engine, lock, lease, mark)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction, durable once it is left. Raises LeaseLost, and then nothing of it was written."""
        with told(self._path), self._turn:
            with self._writer.begin() as connection:
                commits = self._lease.count_commit(connection, text_of(self._clock.utc()))
                yield connection
            self._mark.write(commits)

    def renew(self) -> None:
        """Give a sign of life. Raises LeaseLost."""
        with told(self._path), self._turn, self._writer.begin() as connection:
            self._lease.renew(connection, text_of(self._clock.utc()))

    def close(self) -> None:
        """Let the next one in."""
        self._heartbeat.stop()
        with ExitStack[None]() as ending:
            # The lock comes last: until then nobody else on this machine begins.
            ending.callback(self._lock.release)
            ending.callback(self._mark.close)
            ending.callback(self.engine.dispose)
            # Without it the next one finds the lock free, or waits for the lease to run out.
            with suppress(LedgerError), told(self._path), self._writer.begin() as connection:
                self._lease.release(connection, text_of(self._clock.utc()))


def _locked(path: Path, clock: Clock, holder: str) -> Lock:
    try:
        return Lock.take(path.with_suffix(".lock"), holder)
    except LedgerInUse as error:
        last = _last_sign_of_life(path, clock)
        if last is None:
            raise
        message = f"{error}. It gave no sign of life since {last}: it seems to be asleep (suspended, or its disk hangs)"
        raise LedgerInUse(message) from None


def _last_sign_of_life(path: Path, clock: Clock) -> str | None:
    """Return when the holder last gave one; None where that is not long ago, or cannot be known."""
    engine = open_engine(path, read_only=True)
    try:
        with suppress(LedgerError), told(path), engine.connect() as connection:
            found = holding(connection) if version_of(connection) == VERSION else None
            if found and not found.released and found.is_stale(clock.utc()):
                return text_of(found.renewed_at)
    finally:
        engine.dispose()
    return None
