"""A ledger in an SQLite file: WAL mode, synchronous=FULL, so that a commit survives a crash.

The file is one loader's alone (`lock`), and its leases go by the loader's clock.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from corso.clock import Clock
from corso.delivery.database import Database
from corso.delivery.entry import text_of
from corso.delivery.tables import ENTRIES, METADATA, VERSION
from corso.delivery.transitions import Columns, Transitions
from corso.errors import LedgerError, LedgerTooNew
from corso.machine_errors import database_refusal

APPLICATION_ID = 0x636F7273
"""Marks an SQLite file as a ledger ("cors"); one without the mark is not touched."""

LOCK_TIMEOUT_S = 10.0
"""How long a transaction waits for another program's. No loader is that slow; a copy being made may be."""


def _rows(columns: Columns) -> sa.FromClause:
    member = sa.func.json_each(sa.bindparam("b_rows", type_=sa.Text)).table_valued("value").c.value
    values = (
        sa.cast(sa.func.json_extract(member, sa.literal_column(f"'$[{place}]'")), type_).label(name)
        for place, (name, type_) in enumerate(columns.items())
    )
    # The limit keeps SQLite from merging this into the statement: it would go through all of the ledger, row by row.
    return sa.select(*values).limit(sa.literal_column("-1")).subquery("given")


class SqliteFile(Database):
    """A ledger in a file. It keeps its version as `user_version`, which older programs look at, too."""

    rows = staticmethod(_rows)
    transitions = Transitions(_rows, sqlite.insert(ENTRIES))

    def __init__(self, path: Path, *, read_only: bool = False, engine: sa.Engine | None = None) -> None:
        engine = engine or _engine(path, read_only=read_only)
        # Those that write take their turn when they begin, not half way.
        super().__init__(str(path), engine, engine.execution_options(is_writing=True))
        self._path = path

    @staticmethod
    def as_json(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """See `Database.as_json`."""
        return sa.func.json_group_array(column, type_=sa.Text)

    @classmethod
    def in_memory(cls) -> Self:
        """Return a new and empty one, for a ledger that does not exist yet."""
        # One for all connections, so that it can be asked from any thread.
        url = f"sqlite:///file:{uuid4().hex}?mode=memory&cache=shared&uri=true"
        engine = sa.create_engine(url, poolclass=sa.QueuePool, connect_args={"check_same_thread": False})
        METADATA.create_all(engine)
        return cls(Path(":memory:"), engine=engine)

    def version_of(self, connection: sa.Connection) -> int:
        """See `Database.version_of`."""
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

    def prepare(self, connection: sa.Connection, now: str) -> None:
        """See `Database.prepare`. An older version's file is copied before it is changed."""
        version = self.version_of(connection)
        if version == VERSION:
            return
        if version:
            _back_up(self._path, version)
            # What migrates is not needed, and not imported, but for this.
            from corso.delivery.migrations.road import VERSION_TABLE, migrate  # noqa: PLC0415

            migrate(connection, since=version, now=now)
            connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
        else:
            METADATA.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")

    def utc(self, _connection: sa.Connection, clock: Clock) -> datetime:
        """See `Database.utc`."""
        return clock.utc()

    def now(self, clock: Clock) -> str:
        """See `Database.now`."""
        return text_of(clock.utc())

    def lock(self, connection: sa.Connection, name: str) -> None:
        """See `Database.lock`: whoever writes has the whole file already."""

    def is_passing(self, _error: sa.exc.DBAPIError) -> bool:
        """See `Database.is_passing`: SQLite has waited already."""
        return False

    def reason_of(self, error: BaseException) -> str:
        """See `Database.reason_of`."""
        return database_refusal(error) or str(error)

    @contextmanager
    def told(self) -> Iterator[None]:
        """See `Database.told`."""
        try:
            with super().told():
                yield
        except sqlite3.Error as error:
            raise self.unusable(error) from error


def _engine(path: Path, *, read_only: bool) -> sa.Engine:
    def connect() -> sqlite3.Connection:
        mode = _reading_mode(path) if read_only else "mode=rwc"
        # Transactions are begun below, before the first write is seen.
        connection = sqlite3.connect(
            _uri(path, mode), uri=True, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
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
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")

    return engine


def _uri(path: Path, mode: str) -> str:
    # Not as SQLAlchemy's URL: a folder may have %, ? and # in its name.
    return f"file:{quote(str(path.absolute()))}?{mode}"


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


def _back_up(path: Path, version: int) -> None:
    """Copy a ledger as it is before its layout changes: `ledger.version-2.sqlite`, whole or not at all."""
    copy = path.with_suffix(f".version-{version}{path.suffix}")
    part = copy.with_suffix(f"{copy.suffix}.part")
    part.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(_uri(path, "mode=ro"), uri=True)) as source,
        closing(sqlite3.connect(part)) as target,
    ):
        source.backup(target)
    part.replace(copy)
