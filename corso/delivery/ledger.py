"""The ledger: the durable record of every operation. SQLite in WAL mode, synchronous=FULL: a commit survives a crash.

One entry = one order or fulfillment: what Corso holds of it as far as we know, and its current operation.
One attempt = one request that was about to leave. Payloads do not stand here, only their hashes; the API's
answer to a refused one does, bounded.

Every change of state is guarded: it names the states it may start from, and one that finds another raises
IllegalTransition and changes nothing. A file lock admits one writer; it falls with the process that held it.
"""

import fcntl
import os
import socket
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from corso.clock import Clock, SystemClock
from corso.delivery.states import MAY_FOLLOW, State
from corso.errors import IllegalTransition, LedgerError, LedgerInUse, LedgerTooNew
from schemas.wire import Operation, OperationKind

_KEYS_PER_QUERY = 1_000
"""SQLite limits the variables of a statement."""

VERSION = 1
"""The layout below; a ledger with a higher one is not touched."""

APPLICATION_ID = 0x636F7273
"""Marks an SQLite file as a ledger ("cors"); one without the mark is not touched."""

_metadata = sa.MetaData()

_entries = sa.Table(
    "entries",
    _metadata,
    sa.Column("store_id", sa.Integer, primary_key=True),
    sa.Column("source_order_id", sa.Text, primary_key=True),
    sa.Column("source_fulfillment_id", sa.Text, primary_key=True, comment="empty for orders"),
    sa.Column("corso_id", sa.Text, comment="Corso's id, once known"),
    sa.Column(
        "held_hash", sa.Text, comment="payload hash of what Corso holds; empty: there, content not verified"
    ),
    sa.Column("held_cancelled", sa.Text, nullable=False, default="", comment="'', sent or deleted"),
    sa.Column("held_at", sa.Text, comment="when Corso last accepted it"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, comment="of the current operation"),
    sa.Column("payload_hash", sa.Text, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False, comment="whether the payload says cancelled"),
    sa.Column("batch", sa.Text, nullable=False, comment="that planned the current operation"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("first_sent_at", sa.Text, comment="of the current operation"),
    sa.Column("status", sa.Integer, comment="HTTP status of the last answer"),
    sa.Column("reason", sa.Text, comment="why it is rejected, unknown or not sent"),
    sa.Column("updated_at", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)
sa.Index("entries_by_state", _entries.c.store_id, _entries.c.state)

_attempts = sa.Table(
    "attempts",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("store_id", sa.Integer, nullable=False),
    sa.Column("source_order_id", sa.Text, nullable=False),
    sa.Column("source_fulfillment_id", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload_hash", sa.Text, nullable=False),
    sa.Column("batch", sa.Text, nullable=False),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Text),
    sa.Column("ended_as", sa.Text, comment="accepted, rejected, unknown, throttled, not sent"),
    sa.Column("status", sa.Integer),
    sa.Column("reason", sa.Text),
)
sa.Index(
    "attempts_by_entry", _attempts.c.store_id, _attempts.c.source_order_id, _attempts.c.source_fulfillment_id
)


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

    def __init__(
        self, path: Path, engine: sa.Engine, store_id: int, lock: "_Lock | None", clock: Clock
    ) -> None:
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
            lock = _Lock.take(path.with_suffix(".lock"))
        except OSError as error:
            message = f"{path}: the ledger cannot be opened ({error.strerror})"
            raise LedgerError(message) from None
        try:
            engine = _engine(path)
            with _told(path), engine.begin() as connection:
                connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
                _metadata.create_all(connection)
        except BaseException:
            lock.release()
            raise
        return cls(path, engine, store_id, lock, clock or SystemClock())

    @classmethod
    def read(cls, path: Path, store_id: int) -> Self:
        """Open the ledger for reading; one that does not exist yet is empty. Leaves no trace."""
        if path.exists():
            engine = _engine(path, read_only=True)
            with _told(path), engine.connect():
                pass
        else:
            engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
            _metadata.create_all(engine)
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
        columns = _entries.c
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
        query = sa.select(_entries).where(_entries.c.store_id == self._store_id)
        if states:
            query = query.where(_entries.c.state.in_(states))
        if fulfillments is not None:
            no_fulfillment = _entries.c.source_fulfillment_id == ""
            query = query.where(~no_fulfillment if fulfillments else no_fulfillment)
        query = query.order_by(_entries.c.source_order_id, _entries.c.source_fulfillment_id)
        with self._reading() as connection:
            for rows in connection.execution_options(yield_per=10_000).execute(query).mappings().partitions():
                yield from (_entry(row) for row in rows)

    def entries_of(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Return the entries that exist among `keys`."""
        wanted = list(dict.fromkeys(keys))
        both = sa.tuple_(_entries.c.source_order_id, _entries.c.source_fulfillment_id)
        found: dict[Key, Entry] = {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _KEYS_PER_QUERY):
                query = sa.select(_entries).where(
                    _entries.c.store_id == self._store_id,
                    both.in_([tuple(key) for key in wanted[start : start + _KEYS_PER_QUERY]]),
                )
                found |= {entry.key: entry for entry in map(_entry, connection.execute(query).mappings())}
        return found

    def counts(self) -> dict[tuple[str, State], int]:
        """Return (order | fulfillment, state) -> number of entries."""
        subject = sa.case((_entries.c.source_fulfillment_id == "", "order"), else_="fulfillment")
        query = (
            sa.select(subject, _entries.c.state, sa.func.count())
            .where(_entries.c.store_id == self._store_id)
            .group_by(subject, _entries.c.state)
        )
        with self._reading() as connection:
            return {(what, State(state)): count for what, state, count in connection.execute(query)}

    def attempts(self, source_order_id: str) -> list[Mapping[str, Any]]:
        """Return all attempts at an order and its fulfillments, oldest first."""
        query = (
            sa.select(_attempts)
            .where(_attempts.c.store_id == self._store_id, _attempts.c.source_order_id == source_order_id)
            .order_by(_attempts.c.id)
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
        insert = sqlite.insert(_entries)
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
            attempts=_entries.c.attempts + 1,
            first_sent_at=sa.func.coalesce(_entries.c.first_sent_at, now),
            updated_at=now,
        )
        select = sa.select(
            _entries.c.store_id,
            _entries.c.source_order_id,
            _entries.c.source_fulfillment_id,
            _entries.c.kind,
            _entries.c.payload_hash,
            _entries.c.batch,
            sa.literal(now),
        ).where(*self._matches())
        insert = _attempts.insert().from_select(
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
                _attempts.update()
                .where(*self._matches(_attempts), _attempts.c.ended_at.is_(None))
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
            _entries.update()
            .where(_entries.c.store_id == self._store_id, _entries.c.state == State.SENDING)
            .values(state=State.UNKNOWN, reason=found, updated_at=now)
        )
        ended = (
            _attempts.update()
            .where(_attempts.c.store_id == self._store_id, _attempts.c.ended_at.is_(None))
            .values(ended_at=now, ended_as=State.UNKNOWN, reason=found)
        )
        with self._writing() as connection:
            count = connection.execute(update).rowcount
            connection.execute(ended)
        return int(count)

    def plan_rejected_again(self) -> int:
        """Plan the store's rejected operations again, for `retry`; return how many there are."""
        update = (
            _entries.update()
            .where(_entries.c.store_id == self._store_id, _entries.c.state == State.REJECTED)
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
            deleted = _entries.c.kind == "cancel_order"
            values |= {
                "corso_id": sa.bindparam("b_corso_id"),
                "held_hash": sa.bindparam("b_held_hash"),
                "held_cancelled": sa.case((deleted, "deleted"), (_entries.c.cancelled, "sent"), else_=""),
                "held_at": sa.bindparam("b_now"),
            }
        if state is State.PLANNED:
            throttled = sa.bindparam("b_ended_as") == "throttled"
            values["attempts"] = _entries.c.attempts - sa.case((throttled, 1), else_=0)
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

    def _matches(self, table: sa.Table = _entries) -> list[sa.ColumnElement[bool]]:
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
        return _entries.update().where(*self._matches(), _state_is_one_of(before))

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
        with _told(self._path), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self._lock is None:
            message = "this ledger was opened for reading"
            raise LedgerError(message)
        with _told(self._path), self._engine.begin() as connection:
            yield connection


def _state_is_one_of(states: Iterable[State]) -> sa.ColumnElement[bool]:
    # Not IN: its list cannot be bound in a statement that runs for many rows.
    return sa.or_(*(_entries.c.state == state for state in sorted(states)))


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


def _engine(path: Path, *, read_only: bool = False) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        mode = _reading_mode(path) if read_only else "mode=rwc"
        # Not as SQLAlchemy's URL: a folder may have %, ? and # in its name.
        uri = f"file:{quote(str(path.absolute()))}?{mode}"
        # Transactions are begun below, before the first write is seen.
        connection = sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None, check_same_thread=False)
        try:
            # First: setting the journal's mode would write to a file that is not ours.
            _check_identity(connection, path)
            if read_only:
                connection.execute("PRAGMA query_only=ON")
            else:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.QueuePool, hide_parameters=True)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _reading_mode(path: Path) -> str:
    """Choose how to read so that no file is left behind.

    A read-only connection makes the files of the write-ahead log where there are none, and cannot take them away.
    """
    if path.with_name(f"{path.name}-wal").exists():
        return "mode=ro"
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"
    return "immutable=1"


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    is_new = not (mark or version or tables)
    if mark != APPLICATION_ID and not is_new:
        message = f"{path}: this is not a ledger"
        raise LedgerError(message)
    if version > VERSION:
        message = f"{path}: written by a newer corso-loader (ledger version {version}, this one knows {VERSION}); update the program"
        raise LedgerTooNew(message)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn the database's errors into one sentence."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        reason = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        message = f"{path}: the ledger cannot be used ({reason}); nothing that was sent is lost: mend this and run the same command again"
        raise LedgerError(message) from error


class _Lock:
    """A file lock beside the ledger; the operating system drops it when its holder dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> "_Lock":
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            message = f"the ledger is in use by another loader ({holder or 'unknown'}); wait for it to end"
            raise LedgerInUse(message) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)
