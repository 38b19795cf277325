"""The ledger: the durable record of every operation, in an SQLite file or on a PostgreSQL server.

One entry = one order or fulfillment: what Corso holds of it as far as we know, and its current operation.
One attempt = one request that was about to leave. Payloads do not stand here, only their hashes; the API's
answer to a refused one does, bounded.

Every change of state is guarded: it names the states it may start from, and one that finds another raises
IllegalTransition and changes nothing. One writer at a time (`tenure`); what is asked of it stands in `reading`.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import sqlalchemy as sa

from corso.clock import Clock, SystemClock
from corso.database import LedgerPlace, SharedLedger
from corso.delivery.database import Database
from corso.delivery.entry import Change, Entry, Key, key_of, text_of
from corso.delivery.lease import OF_FILE, of_store
from corso.delivery.reading import KEYS_PER_QUERY, Reading, chunks, is_among
from corso.delivery.sqlite import SqliteFile
from corso.delivery.states import State
from corso.delivery.tables import ATTEMPTS, ENTRIES, TRUSTED_STORES, VERSION
from corso.delivery.tenure import PATIENCE_S, Tenure
from corso.delivery.transitions import Row
from corso.errors import LedgerError
from schemas.wire import Operation

Result = TypeVar("Result")

__all__ = ["FOUND_UNFINISHED", "Change", "Entry", "Key", "Ledger", "key_of"]

FOUND_UNFINISHED = "the run ended while it was being sent"
"""The reason of what a killed run left in `sending`."""

FORGOTTEN = "erased"
"""Stands where a reason was forgotten."""


class Ledger(Reading):
    """An open ledger, for one store. Close it, or use it as a context manager.

    Whatever goes wrong with the database is a LedgerError in one sentence. One that was opened for writing may be
    written to from any thread.
    """

    def __init__(
        self,
        database: Database,
        store_id: int,
        lease: str,
        clock: Clock,
        tenure: Tenure | None,
        version: int = VERSION,
    ) -> None:
        super().__init__(database, store_id, lease, version)
        self._clock = clock
        self._tenure = tenure
        self.lost_commits = 0
        """How many commits the ledger was found to have lost since the store was last trusted; 0 where it is only read."""
        if tenure and not self.is_trusted():
            self.lost_commits = tenure.lost_commits

    @classmethod
    def open(
        cls,
        place: LedgerPlace,
        store_id: int,
        *,
        clock: Clock | None = None,
        purpose: str = "loading",
        credentials: str | None = None,
    ) -> Self:
        """Open the ledger for writing; make it where there is none. Others are told the purpose.

        To send, name the `credentials` by something that tells them from others and holds no secret: one sender may use
        them at a time. Raises LedgerInUse and LeaseHeld (somebody else is at work), LedgerTooNew, LedgerError (disk
        full, not a ledger, not writable, no such server).
        """
        clock = clock or SystemClock()
        tenure = Tenure.take(place, store_id, clock, purpose, credentials)
        try:
            return cls(tenure.database, store_id, _lease_name(place, store_id), clock, tenure)
        except BaseException:
            tenure.close()
            raise

    @classmethod
    def read(cls, place: LedgerPlace, store_id: int) -> Self:
        """Open the ledger for reading; one that does not exist yet is empty. Leaves no trace.

        So is one without tables: what a power cut leaves of a ledger that was just made.
        """
        lease = _lease_name(place, store_id)
        with ExitStack[None]() as undo:
            if (database := _existing(place)) is not None:
                undo.callback(database.dispose)
                with database.reading() as connection:
                    version = database.version_of(connection)
                if version:
                    undo.pop_all()
                    # It has answered once: from now on it is waited for, as by a loader that writes.
                    database.patience_s = PATIENCE_S
                    return cls(database, store_id, lease, SystemClock(), None, version)
        return cls(SqliteFile.in_memory(), store_id, lease, SystemClock(), None)

    def close(self) -> None:
        """Close it and let the next one in."""
        tenure, self._tenure = self._tenure, None
        if tenure:
            tenure.close()
        self._database.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What changes. All of it raises LeaseLost, and writes nothing, once another loader took over.

    def renew(self) -> None:
        """Give other loaders a sign of life. Happens by itself while the ledger is open, four times a lease."""
        self._held().renew()

    def trust(self) -> None:
        """Write down that the ledger knows all that was sent to the store."""
        row = {"store_id": self._store_id, "trusted_at": self._now()}
        is_there = sa.exists().where(TRUSTED_STORES.c.store_id == self._store_id)
        new = sa.select(*(sa.literal(value) for value in row.values())).where(~is_there)
        self._write(
            lambda connection: connection.execute(TRUSTED_STORES.insert().from_select(list(row), new))
        )

    def plan(self, operations: Sequence[Operation], batch: str) -> None:
        """Make these the current operations of their entries: planned, no attempt yet.

        Raises IllegalTransition where an entry is being sent or in doubt.
        """
        if not operations:
            return
        rows = [(*key_of(each), each.kind, each.payload_hash, each.cancelled) for each in operations]
        given = self._given() | {"b_batch": batch}
        self._write(lambda connection: self._database.transitions.plan.run_guarded(connection, rows, **given))

    def start(self, operations: Sequence[Operation]) -> None:
        """Write down that these are about to be sent. Only once this returns may a byte of them leave."""
        self.settle_and_start([], operations)

    def settle(self, changes: Sequence[Change]) -> None:
        """Write how attempts ended. All of `changes` or none of them.

        Raises IllegalTransition where an entry is not in a state that its new one may follow.
        """
        self.settle_and_start(changes, [])

    def settle_and_start(self, changes: Sequence[Change], operations: Sequence[Operation]) -> None:
        """Write how attempts ended and which operations are about to be sent, in one commit; all of it or nothing."""
        if not (changes or operations):
            return
        ended = [(change.state, _ended(change)) for change in changes]
        started = [key_of(operation) for operation in operations]
        tenure = self._held().sender_id
        given = self._given()
        transitions = self._database.transitions

        def write(connection: sa.Connection) -> None:
            for state in State:
                if rows := [row for became, row in ended if became is state]:
                    transitions.settle[state].run_guarded(connection, rows, **given)
            if ended:
                transitions.end_attempt.run(connection, [row for _, row in ended], **given)
            if started:
                transitions.start.run_guarded(connection, started, **given)
                transitions.record_attempt.run(connection, started, b_tenure=tenure, **given)

        self._write(write)

    def doubt_unfinished(self) -> int:
        """Take what a killed run left in `sending` for unknown; return how many there are."""
        now = self._now()
        update = (
            ENTRIES.update()
            .where(ENTRIES.c.store_id == self._store_id, ENTRIES.c.state == State.SENDING)
            .values(state=State.UNKNOWN, reason=FOUND_UNFINISHED, updated_at=now)
        )
        ended = (
            ATTEMPTS.update()
            .where(ATTEMPTS.c.store_id == self._store_id, ATTEMPTS.c.ended_at.is_(None))
            .values(ended_at=now, ended_as=State.UNKNOWN, reason=FOUND_UNFINISHED)
        )

        def doubt(connection: sa.Connection) -> int:
            count = connection.execute(update).rowcount
            connection.execute(ended)
            return int(count)

        return self._write(doubt)

    def plan_rejected_again(self, keys: Iterable[Key] | None = None) -> int:
        """Plan the store's rejected operations again, for `retry`; return how many there are.

        Only those of `keys`, where given.
        """
        update = (
            ENTRIES.update()
            .where(ENTRIES.c.store_id == self._store_id, ENTRIES.c.state == State.REJECTED)
            .values(state=State.PLANNED, updated_at=self._now())
        )
        updates = [update] if keys is None else [update.where(is_among(some)) for some in chunks(keys)]
        return self._write(lambda connection: sum(connection.execute(each).rowcount for each in updates))

    def forget_reasons(self, source_order_ids: Iterable[str]) -> None:
        """Forget what the API said of these orders and their fulfillments: it may quote them. That it said so stays."""
        ids = sorted(set(source_order_ids))

        def forget(connection: sa.Connection) -> None:
            if connection.dialect.name == "sqlite":
                # What is written over is not left in the file.
                connection.exec_driver_sql("PRAGMA secure_delete = ON")
            for start in range(0, len(ids), KEYS_PER_QUERY):
                some = ids[start : start + KEYS_PER_QUERY]
                for table in (ENTRIES, ATTEMPTS):
                    is_theirs = sa.and_(
                        table.c.store_id == self._store_id,
                        table.c.source_order_id.in_(some),
                        table.c.reason.is_not(None),
                    )
                    connection.execute(table.update().where(is_theirs).values(reason=FORGOTTEN))

        if ids:
            self._write(forget)

    def _given(self) -> dict[str, Any]:
        return {"b_store": self._store_id, "b_now": self._now()}

    def _now(self) -> str:
        return text_of(self._clock.utc())

    def _held(self) -> Tenure:
        if self._tenure is None:
            message = f"{self._database.name}: this ledger was opened for reading, or is closed"
            raise LedgerError(message)
        return self._tenure

    def _write(self, work: Callable[[sa.Connection], Result]) -> Result:
        return self._held().write(work)


def _ended(change: Change) -> Row:
    """Return the columns `transitions.SETTLED` of a change."""
    return (
        *change.key,
        change.ended_as or change.state,
        change.corso_id,
        change.held_hash,
        change.is_uncancelled,
        change.status,
        # An API's answer may hold anything; a server's text holds no zero bytes.
        change.reason and change.reason.replace("\0", "\N{REPLACEMENT CHARACTER}"),
    )


def _lease_name(place: LedgerPlace, store_id: int) -> str:
    return of_store(store_id) if isinstance(place, SharedLedger) else OF_FILE


def _existing(place: LedgerPlace) -> Database | None:
    if isinstance(place, SharedLedger):
        # What speaks to a server is imported where there is one.
        from corso.delivery.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(place.url)
    return SqliteFile(place, read_only=True) if place.exists() else None
