"""The ledger's tables and the database they are in: SQLite in WAL mode, synchronous=FULL.

Only how the rows are laid out, how an older layout becomes this one, how the file is opened and how its errors are
told. What may be written is `ledger`'s business, who may write `tenure`'s.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from corso.errors import LedgerError, LedgerTooNew

VERSION = 2
"""The layout below; a ledger with a higher one is not touched. 1 had neither leases, trusted stores nor
`last_started_at`."""

APPLICATION_ID = 0x636F7273
"""Marks an SQLite file as a ledger ("cors"); one without the mark is not touched."""

LOCK_TIMEOUT_S = 10.0
"""How long a transaction waits for another program's. No loader is that slow; a copy being made may be."""

METADATA = sa.MetaData()

ENTRIES = sa.Table(
    "entries",
    METADATA,
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
    sa.Column("last_started_at", sa.Text, comment="when the current operation's last attempt was started"),
    sqlite_with_rowid=False,
)
sa.Index("entries_by_state", ENTRIES.c.store_id, ENTRIES.c.state)

IS_ORDER = ENTRIES.c.source_fulfillment_id == sa.literal_column("''")
"""Written out, not bound: the database cannot tell whether a bound value fits the index below."""

ORDERS_BY_HELD_AT = sa.Index(
    "orders_by_held_at",
    ENTRIES.c.store_id,
    ENTRIES.c.held_at,
    # Only what was accepted costs anything: planning does not touch it.
    # For SQLite alone: to name another database here is to import what speaks to it, a tenth of what `status` takes.
    sqlite_where=sa.and_(IS_ORDER, ENTRIES.c.held_at.is_not(None)),
)

ATTEMPTS = sa.Table(
    "attempts",
    METADATA,
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
    "attempts_by_entry", ATTEMPTS.c.store_id, ATTEMPTS.c.source_order_id, ATTEMPTS.c.source_fulfillment_id
)

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True, comment="what is leased: ledger"),
    sa.Column(
        "fence", sa.Integer, nullable=False, comment="one more with every holder; an older one may not write"
    ),
    sa.Column("holder", sa.Text, nullable=False, comment="process, host and what it does, for messages"),
    sa.Column("host", sa.Text, nullable=False, comment="tells one boot of one machine from all others"),
    sa.Column("taken_at", sa.Text, nullable=False),
    sa.Column("renewed_at", sa.Text, nullable=False, comment="the holder's last sign of life"),
    sa.Column("released", sa.Boolean, nullable=False, comment="whether the holder ended in order"),
    sa.Column(
        "commits", sa.Integer, nullable=False, comment="how many there were; ledger.mark says the same"
    ),
    sa.Column(
        "lost_commits", sa.Integer, nullable=False, comment="how many of them were found missing, ever"
    ),
)

TRUSTED_STORES = sa.Table(
    "trusted_stores",
    METADATA,
    sa.Column("store_id", sa.Integer, primary_key=True, comment="the ledger knows all that was sent to it"),
    sa.Column("trusted_at", sa.Text, nullable=False),
)


def version_of(connection: sa.Connection) -> int:
    """Return the version of the layout; 0 where there are no tables yet."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def prepare(connection: sa.Connection, now: str) -> None:
    """Make the tables, or bring an older version's up to date, within the transaction at hand."""
    version = version_of(connection)
    if version == VERSION:
        return
    METADATA.create_all(connection)
    if version == 1:
        _upgrade_from_1(connection, now)
    connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")


def _upgrade_from_1(connection: sa.Connection, now: str) -> None:
    connection.exec_driver_sql("ALTER TABLE entries ADD COLUMN last_started_at TEXT")
    ORDERS_BY_HELD_AT.create(connection, checkfirst=True)
    last = (
        sa.select(sa.func.max(ATTEMPTS.c.started_at))
        .where(
            ATTEMPTS.c.store_id == ENTRIES.c.store_id,
            ATTEMPTS.c.source_order_id == ENTRIES.c.source_order_id,
            ATTEMPTS.c.source_fulfillment_id == ENTRIES.c.source_fulfillment_id,
        )
        .scalar_subquery()
    )
    # Recovery asks it of what is in doubt; of the rest nobody does.
    connection.execute(
        ENTRIES.update().where(ENTRIES.c.state.in_(["sending", "unknown"])).values(last_started_at=last)
    )
    with_entries = sa.select(ENTRIES.c.store_id, sa.literal(now)).distinct()
    connection.execute(TRUSTED_STORES.insert().from_select(["store_id", "trusted_at"], with_entries))


def open_engine(path: Path, *, read_only: bool = False) -> sa.Engine:
    """Return the database at `path`. Connecting raises LedgerError and LedgerTooNew for what is not a ledger of ours."""

    def connect() -> sqlite3.Connection:
        mode = _reading_mode(path) if read_only else "mode=rwc"
        # Not as SQLAlchemy's URL: a folder may have %, ? and # in its name.
        uri = f"file:{quote(str(path.absolute()))}?{mode}"
        # Transactions are begun below, before the first write is seen.
        connection = sqlite3.connect(
            uri, uri=True, timeout=LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False
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


def writing(engine: sa.Engine) -> sa.Engine:
    """Return the same database for transactions that write: they take their turn when they begin, not half way."""
    return engine.execution_options(is_writing=True)


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
def told(path: Path) -> Iterator[None]:
    """Turn the database's errors into one sentence."""
    try:
        yield
    except (sa.exc.DBAPIError, sqlite3.Error) as error:
        reason = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        message = f"{path}: the ledger cannot be used ({reason}); nothing that was sent is lost: mend this and run the same command again"
        raise LedgerError(message) from error
