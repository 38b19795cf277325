"""Dagster's history in SQLite files that stay open: what dagster.yaml names as the storage where there is no server.

Dagster opens a database anew for each event and each question, and with it makes a new engine of SQLAlchemy, which has to
compile every statement again; as its last connection closes, SQLite moves the write-ahead log into the file. Of a small
batch's load that was a third of the processor's time. Here an engine and its connections are kept. The files are Dagster's
own, with the same tables: programs with and without this class share them.
"""

import fcntl
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as db
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.sqlite_storage import (
    DagsterSqliteStorage,
    _event_logs_directory,
    _runs_directory,
    _schedule_directory,
)
from dagster._serdes import ConfigurableClassData
from sqlalchemy.pool import ConnectionPoolEntry

from corso.machine_errors import database_refusal

BUSY_TIMEOUT_S = 10
"""For so long a writer waits for another one."""
MOST_RUNS_OPEN = 8
"""Each run's events are a file of their own; the web server reads those of many."""


def address_of(base_dir: str, db_name: str) -> str:
    """Return the address of one of Dagster's databases, whatever characters its path has.

    Dagster escapes nothing: at a `?` the path would end, and `%20` would be the folder of another name.
    """
    return f"sqlite:///{quote(str(Path(os.path.abspath(base_dir)) / f'{db_name}.db'))}"  # noqa: PTH100  (as Dagster does)


# There is no setting for it.
for _storage in (sqlite_run_storage, sqlite_event_log, sqlite_schedule_storage):
    _storage.create_db_conn_string = address_of  # type: ignore[attr-defined]  # imported there by name


def open_database(url: str) -> db.Engine:
    """Return an engine whose connections stay open, and go from thread to thread."""
    engine = db.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})
    db.event.listen(engine, "connect", _commit_without_waiting)
    db.event.listen(engine, "handle_error", _name_what_the_disk_refuses)
    return engine


def _name_what_the_disk_refuses(context: db.ExceptionContext) -> None:
    """Raise what the disk refuses as an OSError with the file's name: it is no mistake of the program."""
    _raise_refusal(context.engine.url.database if context.engine else None, context.original_exception)


def _raise_refusal(place: str | None, error: BaseException) -> None:
    refusal = database_refusal(error)
    if refusal is not None:
        message = f"Dagster's history {place}: {refusal}"
        raise OSError(message) from error


def _commit_without_waiting(connection: Any, _record: ConnectionPoolEntry) -> None:
    """Have commits not wait for the disk.

    After a power failure the last of them may be missing, and none is broken: the databases have a write-ahead log. What
    was sent is in the ledger, which does wait.
    """
    connection.execute("PRAGMA synchronous=NORMAL")


class _OneDatabase:
    """A storage that is one file; to be named before Dagster's own class."""

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = open_database(conn_string)
        super().__init__(conn_string, inst_data)  # type: ignore[call-arg]  # of Dagster's class

    @contextmanager
    def connect(self) -> Iterator[db.Connection]:
        """Yield a connection in a transaction."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close the database."""
        self._engine.dispose()


class _Runs(_OneDatabase, SqliteRunStorage):
    """Runs, their tags, backfills, heartbeats."""


class _Schedules(_OneDatabase, SqliteScheduleStorage):
    """Ticks of sensors and schedules."""


class _Events(SqliteEventLogStorage):
    """Events: a file a run, and an index of all that is about assets."""

    def __init__(self, base_dir: str) -> None:
        self._index: db.Engine | None = None
        self._of_runs: OrderedDict[str, db.Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[db.Connection]:
        with self._db_lock:
            engine = self._engine_of(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def has_table(self, table_name: str) -> bool:
        """Say whether the index has a table; one that was there is there."""
        if table_name not in self._tables:
            # Asked in the midst of a transaction, too: by a connection of its own, without the lock.
            self._tables |= set(db.inspect(self._engine_of(INDEX_SHARD_NAME)).get_table_names())
        return table_name in self._tables

    def _engine_of(self, shard: str) -> db.Engine:
        if shard == INDEX_SHARD_NAME:
            self._index = self._index or open_database(self.conn_string_for_shard(shard))
            return self._index
        if shard not in self._of_runs:
            self._of_runs[shard] = open_database(self.conn_string_for_shard(shard))
        self._of_runs.move_to_end(shard)
        if len(self._of_runs) > MOST_RUNS_OPEN:
            _, oldest = self._of_runs.popitem(last=False)
            oldest.dispose()
        return self._of_runs[shard]

    def wipe(self) -> None:
        """Forget all events."""
        self._close_runs()
        super().wipe()

    def dispose(self) -> None:
        """Close the databases."""
        super().dispose()
        self._close_runs()
        if self._index is not None:
            self._index.dispose()

    def _close_runs(self) -> None:
        while self._of_runs:
            self._of_runs.popitem()[1].dispose()


@contextmanager
def _alone_in(base_dir: str) -> Iterator[None]:
    """Wait until no other process makes its databases: two that make them at the same moment leave them unusable."""
    folder = Path(base_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "history.lock").open("a") as file:
        # It falls with the file, and with the process.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class SqliteHistory(DagsterSqliteStorage):
    """The three of them in Dagster's own places below `base_dir`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        with _alone_in(base_dir):
            try:
                super().__init__(base_dir, inst_data)
            except db.exc.DBAPIError as error:
                # Of engines of Dagster's own, which tell no file.
                _raise_refusal(base_dir, error.orig or error)
                raise
        # The ones of the base class have made the databases, and keep nothing open.
        self._run_storage = _Runs.from_local(_runs_directory(base_dir))
        self._event_log_storage = _Events(_event_logs_directory(base_dir))
        self._schedule_storage = _Schedules.from_local(_schedule_directory(base_dir))

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "SqliteHistory":
        """Return the storage that dagster.yaml describes."""
        return cls.from_local(inst_data=inst_data, **config_value)
