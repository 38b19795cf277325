"""The ledger: the durable record of every operation. SQLite in WAL mode, synchronous=FULL: a commit survives a crash.

One entry = one order or fulfillment: what Corso holds of it as far as we know, and its current operation.
One attempt = one request that was about to leave. Payloads do not stand here, only their hashes; the API's
answer to a refused one does, bounded.

Every change of state is guarded: it names the states it may start from, and one that finds another raises
IllegalTransition and changes nothing. A file lock admits one writer; it falls with the process that held it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from corso.clock import Clock, SystemClock
from corso.delivery.lock import Lock
from corso.delivery.states import MAY_FOLLOW, State
from corso.delivery.tables import APPLICATION_ID, ATTEMPTS, ENTRIES, METADATA, VERSION, open_engine, told
from corso.errors import IllegalTransition, LedgerError
from schemas.wire import Operation, OperationKind

_KEYS_PER_QUERY = 1_000
"""SQLite limits the variables of a statement."""


class Key(NamedTuple):
    """Which entry of a store: an order, or one of its fulfillments."""

    source_order_id: str
    source_fulfillment_id: str = ""


def key_of(operation: Operation) -> Key:
    """Return the entry that an operation is about."""
    return Key(operation.source_order_id, operation.source_fulfillment_id)


@dataclass(frozen=True)
class Entry:
    """One row of `entries`; the columns' comments say what each is."""

    key: Key
    corso_id: str | None
    held_hash: str | None
    held_cancelled: str
    held_at: datetime | None
    state: State
    kind: OperationKind
    payload_hash: str
    cancelled: bool
    batch: str
    attempts: int
    first_sent_at: datetime | None
    status: int | None
    reason: str | None


@dataclass(frozen=True)
class Change:
    """One change of an entry's state, to be written in a group with others."""

    key: Key
    state: State
    ended_as: str = ""
    """How the attempt under way ended; empty: the state's name."""
    corso_id: str | None = None
    held_hash: str | None = None
    """For `accepted`: the hash of what Corso holds now."""
    status: int | None = None
    reason: str | None = None


class Ledger:
    """An open ledger, for one store. Close it, or use it as a context manager."""

    def __init__(self, path: Path, engine: sa.Engine, store_id: int, lock: Lock | None, clock: Clock) -> None:
        self._path = path
        self._engine = engine
        self._store_id = store_id
        self._lock = lock
        self._clock = clock

    @classmethod
    def open(cls, path: Path, store_id: int, *, clock: Clock | None = None) -> Self:
        """Open the ledger for writing; make it where there is none.

        Raises LedgerInUse, LedgerTooNew, LedgerError (disk full, not a ledger, not writable).
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = Lock.take(path.with_suffix(".lock"))
        except OSError as error:
            message = f"{path}: the ledger cannot be opened ({error.strerror})"
            raise LedgerError(message) from None
        try:
            engine = open_engine(path)
            with told(path), engine.begin() as connection:
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
                METADATA.create_all(connection)
        except BaseException:
            lock.release()
            raise
        return cls(path, engine, store_id, lock, clock or SystemClock())

    @classmethod
    def read(cls, path: Path, store_id: int) -> Self:
        """Open the ledger for reading; one that does not exist yet is empty. Leaves no trace."""
        if path.exists():
            engine = open_engine(path, read_only=True)
            with told(path), engine.connect():
                pass
        else:
            engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
            METADATA.create_all(engine)
        return cls(path, engine, store_id, None, SystemClock())

    def close(self) -> None:
        """Close it and let the next one in."""
        self._engine.dispose()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What is known

    def known(self) -> Iterator[tuple[str, str, str | None, str | None, str]]:
        """Yield (source_order_id, source_fulfillment_id, corso_id, held_hash, held_cancelled) of every entry."""
        columns = ENTRIES.c
        query = sa.select(
            columns.source_order_id,
            columns.source_fulfillment_id,
            columns.corso_id,
            columns.held_hash,
            columns.held_cancelled,
        ).where(columns.store_id == self._store_id)
        with self._reading() as connection:
            for rows in connection.execution_options(yield_per=10_000).execute(query).partitions():
                yield from (tuple(row) for row in rows)

    def entries(self, *, states: Sequence[State] = (), fulfillments: bool | None = None) -> Iterator[Entry]:
        """Yield the store's entries in these states (all where none is named), of orders or fulfillments or both."""
        query = sa.select(ENTRIES).where(ENTRIES.c.store_id == self._store_id)
        if states:
            query = query.where(ENTRIES.c.state.in_(states))
        if fulfillments is not None:
            no_fulfillment = ENTRIES.c.source_fulfillment_id == ""
            query = query.where(~no_fulfillment if fulfillments else no_fulfillment)
        query = query.order_by(ENTRIES.c.source_order_id, ENTRIES.c.source_fulfillment_id)
        with self._reading() as connection:
            for rows in connection.execution_options(yield_per=10_000).execute(query).mappings().partitions():
                yield from (_entry(row) for row in rows)

    def entries_of(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Return the entries that exist among `keys`."""
        wanted = list(dict.fromkeys(keys))
        both = sa.tuple_(ENTRIES.c.source_order_id, ENTRIES.c.source_fulfillment_id)
        found: dict[Key, Entry] = {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _KEYS_PER_QUERY):
                query = sa.select(ENTRIES).where(
                    ENTRIES.c.store_id == self._store_id,
                    both.in_([tuple(key) for key in wanted[start : start + _KEYS_PER_QUERY]]),
                )
                found |= {entry.key: entry for entry in map(_entry, connection.execute(query).mappings())}
        return found

    def counts(self) -> dict[tuple[str, State], int]:
        """Return (order | fulfillment, state) -> number of entries."""
        subject = sa.case((ENTRIES.c.source_fulfillment_id == "", "order"), else_="fulfillment")
        query = (
            sa.select(subject, ENTRIES.c.state, sa.func.count())
            .where(ENTRIES.c.store_id == self._store_id)
            .group_by(subject, ENTRIES.c.state)
        )
        with self._reading() as connection:
            return {(what, State(state)): count for what, state, count in connection.execute(query)}

    def attempts(self, source_order_id: str) -> list[Mapping[str, Any]]:
        """Return all attempts at an order and its fulfillments, oldest first."""
        query = (
            sa.select(ATTEMPTS)
            .where(ATTEMPTS.c.store_id == self._store_id, ATTEMPTS.c.source_order_id == source_order_id)
            .order_by(ATTEMPTS.c.id)
        )
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    # What changes

    def plan(self, operations: Sequence[Operation], batch: str) -> None:
        """Make these the current operations of their entries: planned, no attempt yet.

        Raises IllegalTransition where an entry is being sent or in doubt.
        """
        now = self._now()
        rows = [
            {
                "store_id": self._store_id,
                "source_order_id": operation.source_order_id,
                "source_fulfillment_id": operation.source_fulfillment_id,
                "held_cancelled": "",
                "state": State.PLANNED,
                "kind": operation.kind,
                "payload_hash": operation.payload_hash,
                "cancelled": operation.cancelled,
                "batch": batch,
                "attempts": 0,
                "updated_at": now,
            }
            for operation in operations
        ]
        insert = sqlite.insert(ENTRIES)
        fresh = insert.excluded
        settled = [
            state for state in MAY_FOLLOW[State.PLANNED] if state not in {State.SENDING, State.UNKNOWN}
        ]
        statement = insert.on_conflict_do_update(
            index_elements=["store_id", "source_order_id", "source_fulfillment_id"],
            set_={
                **{
                    name: fresh[name]
                    for name in (
                        "state",
                        "kind",
                        "payload_hash",
                        "cancelled",
                        "batch",
                        "attempts",
                        "updated_at",
                    )
                },
                "first_sent_at": None,
                "status": None,
                "reason": None,
            },
            where=_state_is_one_of(settled),
        )
        with self._writing() as connection:
            self._execute(connection, statement, rows)

    def start(self, operations: Sequence[Operation]) -> None:
        """Write down that these are about to be sent. Only once this returns may a byte of them leave."""
        now = self._now()
        keys = [self._bound(key_of(operation)) for operation in operations]
        update = self._guarded(State.SENDING).values(
            state=State.SENDING,
            attempts=ENTRIES.c.attempts + 1,
            first_sent_at=sa.func.coalesce(ENTRIES.c.first_sent_at, now),
            updated_at=now,
        )
        select = sa.select(
            ENTRIES.c.store_id,
            ENTRIES.c.source_order_id,
            ENTRIES.c.source_fulfillment_id,
            ENTRIES.c.kind,
            ENTRIES.c.payload_hash,
            ENTRIES.c.batch,
            sa.literal(now),
        ).where(*self._matches())
        insert = ATTEMPTS.insert().from_select(
            [
                "store_id",
                "source_order_id",
                "source_fulfillment_id",
                "kind",
                "payload_hash",
                "batch",
                "started_at",
            ],
            select,
        )
        with self._writing() as connection:
            self._execute(connection, update, keys)
            connection.execute(insert, keys)

    def settle(self, changes: Sequence[Change]) -> None:
        """Write how attempts ended. All of `changes` or none of them.

        Raises IllegalTransition where an entry is not in a state that its new one may follow.
        """
        with self._writing() as connection:
            for state in State:
                of_state = [change for change in changes if change.state is state]
                if of_state:
                    self._execute(
                        connection, self._settling(state), [self._settled(change) for change in of_state]
                    )
            ended = (
                ATTEMPTS.update()
                .where(*self._matches(ATTEMPTS), ATTEMPTS.c.ended_at.is_(None))
                .values(
                    ended_at=sa.bindparam("b_now"),
                    ended_as=sa.bindparam("b_ended_as"),
                    status=sa.bindparam("b_status"),
                    reason=sa.bindparam("b_reason"),
                )
            )
            connection.execute(ended, [self._settled(change) for change in changes])

    def doubt_unfinished(self) -> int:
        """Take what a killed run left in `sending` for unknown; return how many there are."""
        now = self._now()
        found = "the run ended while it was being sent"
        update = (
            ENTRIES.update()
            .where(ENTRIES.c.store_id == self._store_id, ENTRIES.c.state == State.SENDING)
            .values(state=State.UNKNOWN, reason=found, updated_at=now)
        )
        ended = (
            ATTEMPTS.update()
            .where(ATTEMPTS.c.store_id == self._store_id, ATTEMPTS.c.ended_at.is_(None))
            .values(ended_at=now, ended_as=State.UNKNOWN, reason=found)
        )
        with self._writing() as connection:
            count = connection.execute(update).rowcount
            connection.execute(ended)
        return int(count)

    def plan_rejected_again(self) -> int:
        """Plan the store's rejected operations again, for `retry`; return how many there are."""
        update = (
            ENTRIES.update()
            .where(ENTRIES.c.store_id == self._store_id, ENTRIES.c.state == State.REJECTED)
            .values(state=State.PLANNED, updated_at=self._now())
        )
        with self._writing() as connection:
            return int(connection.execute(update).rowcount)

    # How it is written

    def _settling(self, state: State) -> sa.Update:
        values: dict[str, Any] = {
            "state": state,
            "status": sa.bindparam("b_status"),
            "reason": sa.bindparam("b_reason"),
            "updated_at": sa.bindparam("b_now"),
        }
        if state is State.ACCEPTED:
            deleted = ENTRIES.c.kind == "cancel_order"
            values |= {
                "corso_id": sa.bindparam("b_corso_id"),
                "held_hash": sa.bindparam("b_held_hash"),
                "held_cancelled": sa.case((deleted, "deleted"), (ENTRIES.c.cancelled, "sent"), else_=""),
                "held_at": sa.bindparam("b_now"),
            }
        if state is State.PLANNED:
            throttled = sa.bindparam("b_ended_as") == "throttled"
            values["attempts"] = ENTRIES.c.attempts - sa.case((throttled, 1), else_=0)
        return self._guarded(state).values(**values)

    def _settled(self, change: Change) -> dict[str, Any]:
        return {
            **self._bound(change.key),
            "b_now": self._now(),
            "b_ended_as": change.ended_as or change.state,
            "b_corso_id": change.corso_id,
            "b_held_hash": change.held_hash,
            "b_status": change.status,
            "b_reason": change.reason,
        }

    def _matches(self, table: sa.Table = ENTRIES) -> list[sa.ColumnElement[bool]]:
        return [
            table.c.store_id == sa.bindparam("b_store"),
            table.c.source_order_id == sa.bindparam("b_order"),
            table.c.source_fulfillment_id == sa.bindparam("b_fulfillment"),
        ]

    def _guarded(self, state: State) -> sa.Update:
        before = MAY_FOLLOW[state]
        if state is State.PLANNED:
            # What has ended is planned anew by `plan` or `plan_rejected_again`, never put back.
            before -= {State.ACCEPTED, State.REJECTED}
        return ENTRIES.update().where(*self._matches(), _state_is_one_of(before))

    def _bound(self, key: Key) -> dict[str, Any]:
        return {
            "b_store": self._store_id,
            "b_order": key.source_order_id,
            "b_fulfillment": key.source_fulfillment_id,
        }

    @staticmethod
    def _execute(connection: sa.Connection, statement: sa.Executable, rows: Sequence[dict[str, Any]]) -> None:
        """Run a guarded statement; every row must hit exactly one entry."""
        if not rows:
            return
        result = connection.execute(statement, rows)
        if result.rowcount != len(rows):
            message = f"{len(rows) - result.rowcount} of {len(rows)} operations were not in the state expected of them"
            raise IllegalTransition(message)

    def _now(self) -> str:
        return self._clock.utc().isoformat(timespec="milliseconds")

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with told(self._path), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self._lock is None:
            message = "this ledger was opened for reading"
            raise LedgerError(message)
        with told(self._path), self._engine.begin() as connection:
            yield connection


def _state_is_one_of(states: Iterable[State]) -> sa.ColumnElement[bool]:
    # Not IN: its list cannot be bound in a statement that runs for many rows.
    return sa.or_(*(ENTRIES.c.state == state for state in sorted(states)))


def _entry(row: sa.RowMapping) -> Entry:
    values: dict[str, Any] = dict(row)
    del values["store_id"], values["updated_at"]
    key = Key(values.pop("source_order_id"), values.pop("source_fulfillment_id"))
    entry = Entry(key=key, **values)
    return replace(
        entry,
        state=State(entry.state),
        held_at=_instant(row["held_at"]),
        first_sent_at=_instant(row["first_sent_at"]),
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
