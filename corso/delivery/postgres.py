"""A ledger on a PostgreSQL server, which many stores and workers share. Its leases go by the server's clock.

A commit is on the server's disk before it counts (synchronous_commit), whatever the database's default is. A connection
that breaks is tried again while a loader is at work: what became of a commit whose answer was lost tells the count of
commits (`tenure`).
"""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from corso.clock import Clock
from corso.database import DatabaseUrl
from corso.delivery.database import Database
from corso.delivery.entry import instant_of
from corso.delivery.tables import (
    ATTEMPTS,
    ATTEMPTS_UNDER_WAY,
    ENTRIES,
    IS_ORDER,
    LEASES,
    METADATA,
    ORDERS_BY_HELD_AT,
    PROVENANCE,
    TRUSTED_STORES,
    VERSION,
)
from corso.delivery.transitions import Columns, Transitions
from corso.errors import LedgerError, LedgerTooNew, SettingsError

VERSIONS = sa.Table(
    "ledger_version", sa.MetaData(), sa.Column("version_num", sa.String(32), primary_key=True)
)
"""Where alembic notes the layout's version. Dagster keeps its own as `alembic_version`, perhaps in the same database."""

_PROVENANCE_SINCE = 3

LOCK_TIMEOUT_S = 5.0
"""How long a transaction waits for another loader's. None is that slow."""
ASLEEP_S = 60.0
"""After so long without a word inside a transaction the server ends it: its loader's machine sleeps or is gone."""

CONNECTING = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "client_encoding": "utf8",
    "application_name": "corso-loader",
}
"""A server that does not answer any more is noticed within half a minute; the URL's own options win."""

_DURABLE = """
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')
"""

_NOW: sa.ColumnElement[str] = sa.literal_column(
    """to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')""", sa.Text
)
"""As `entry.text_of` writes it."""

_LOCK_NOT_AVAILABLE = "55P03"
_GOES_BY = ("08", "40", "57P0", _LOCK_NOT_AVAILABLE)
"""SQLSTATEs of what the next try may not meet: no connection, deadlock, the server stops or starts."""

# Partial indexes, as on SQLite (`tables`).
ORDERS_BY_HELD_AT.dialect_options["postgresql"]["where"] = sa.and_(IS_ORDER, ENTRIES.c.held_at.is_not(None))
ATTEMPTS_UNDER_WAY.dialect_options["postgresql"]["where"] = ATTEMPTS.c.ended_at.is_(None)


def _rows(columns: Columns) -> sa.FromClause:
    rows = sa.cast(sa.bindparam("b_rows", type_=sa.Text), postgresql.JSON)
    member = sa.func.json_array_elements(rows).table_valued("value").c.value
    values = (
        sa.cast(member.op("->>")(sa.literal_column(str(place))), type_).label(name)
        for place, (name, type_) in enumerate(columns.items())
    )
    return sa.select(*values).subquery("given")


class PostgresDatabase(Database):
    """A ledger on a server. Nothing is connected to before it is asked."""

    rows = staticmethod(_rows)
    transitions = Transitions(_rows, postgresql.insert(ENTRIES))

    def __init__(self, url: DatabaseUrl) -> None:
        # Who reads holds nothing up, and may take its time between two rows.
        super().__init__(url.name, _engine(url, 0, pool_pre_ping=True), _engine(url, ASLEEP_S))
        driver: Any = self.writer.dialect.dbapi
        self._driver_error: type[Exception] = driver.Error
        """What is asked past SQLAlchemy (`copy_in`) raises this."""

    @staticmethod
    def as_json(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """See `Database.as_json`."""
        # As text: the driver would take JSON apart, row by row.
        return sa.func.coalesce(sa.cast(sa.func.json_agg(column), sa.Text), "[]")

    def version_of(self, connection: sa.Connection) -> int:
        """See `Database.version_of`. Raises LedgerTooNew."""
        names = set(sa.inspect(connection).get_table_names())
        if VERSIONS.name not in names:
            if foreign := sorted(names & METADATA.tables.keys()):
                message = (
                    f"{self.name}: this is not a ledger: it has a table {foreign[0]!r} of somebody else's"
                )
                raise LedgerError(message)
            return 0
        version = int(connection.execute(sa.select(VERSIONS.c.version_num)).scalar_one())
        if version > VERSION:
            message = f"{self.name}: written by a newer corso-loader (ledger version {version}, this one knows {VERSION}); update the program"
            raise LedgerTooNew(message)
        return version

    def prepare(self, connection: sa.Connection, now: str) -> None:
        """See `Database.prepare`. Raises LedgerError, too, where the server keeps no promise."""
        self._check_server(connection)
        if self.version_of(connection) == VERSION:
            return
        self.lock(connection, "layout")
        version = self.version_of(connection)
        if version == VERSION:
            return
        if version:
            # What migrates is not needed, and not imported, but for this.
            from corso.delivery.migrations.road import migrate  # noqa: PLC0415

            migrate(connection, since=version, now=now)
        else:
            METADATA.create_all(connection)
            VERSIONS.create(connection)
            connection.execute(VERSIONS.insert().values(version_num=f"{VERSION:04}"))
        if version < _PROVENANCE_SINCE:
            provenance = {"id": 1, "salt": secrets.token_hex(16), "history": history_of(connection)}
            connection.execute(PROVENANCE.insert().values(provenance))

    def utc(self, connection: sa.Connection, _clock: Clock) -> datetime:
        """See `Database.utc`."""
        return instant_of(connection.execute(sa.select(_NOW)).scalar_one())

    def now(self, _clock: Clock) -> sa.ColumnElement[str]:
        """See `Database.now`."""
        return _NOW

    def lock(self, connection: sa.Connection, name: str) -> None:
        """See `Database.lock`."""
        key = sa.func.hashtextextended(f"corso-loader {name}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    def is_passing(self, error: sa.exc.DBAPIError) -> bool:
        """See `Database.is_passing`."""
        state = getattr(error.orig, "sqlstate", None)
        never_met = isinstance(error, sa.exc.OperationalError) and state is None
        return error.connection_invalidated or never_met or str(state).startswith(_GOES_BY)

    @contextmanager
    def told(self) -> Iterator[None]:
        """See `Database.told`."""
        try:
            with super().told():
                yield
        except self._driver_error as error:
            raise self.unusable(error) from error

    def is_locked(self, error: sa.exc.DBAPIError) -> bool:
        """Say whether somebody else's transaction had what was wanted, for longer than any should."""
        return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE

    def reason_of(self, error: BaseException) -> str:
        """See `Database.reason_of`. The server's details are left out: they may quote what was to be written."""
        return str(error).strip().partition("\n")[0]

    def recognise(self, connection: sa.Connection) -> str:
        """Return what credentials are hashed with here; where this is not the database that it was, trust no store.

        Nobody knows how many commits a backup that was put back, or a standby that took over, has lost.
        """
        told = connection.execute(sa.select(PROVENANCE)).mappings().one()
        history = history_of(connection)
        if told["history"] != history:
            connection.execute(PROVENANCE.update().values(history=history))
            connection.execute(LEASES.update().values(lost_commits=LEASES.c.lost_commits + 1))
            connection.execute(TRUSTED_STORES.delete())
        return str(told["salt"])

    def _check_server(self, connection: sa.Connection) -> None:
        settings = {name: _setting(connection, name) for name in ("fsync", "server_encoding")}
        if settings["fsync"] != "on":
            message = f"{self.name}: this server may lose what it has acknowledged (fsync is {settings['fsync']}): set fsync = on"
            raise LedgerError(message)
        if settings["server_encoding"] != "UTF8":
            message = f"{self.name}: the database cannot hold every id (its encoding is {settings['server_encoding']}): make one with ENCODING 'UTF8'"
            raise LedgerError(message)


def history_of(connection: sa.Connection) -> str:
    """Tell this database from a backup that was put back and from a standby that took over, as far as the server says.

    A new cluster has another system identifier, a standby or a recovered backup another timeline, a database that was
    dropped and restored another number.
    """
    parts = {
        "system": "SELECT system_identifier FROM pg_control_system()",
        "timeline": "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
        "database": "SELECT oid FROM pg_database WHERE datname = current_database()",
    }
    told: list[str] = []
    for name, query in parts.items():
        try:
            with connection.begin_nested():
                told.append(f"{name} {connection.exec_driver_sql(query).scalar_one()}")
        except sa.exc.DBAPIError:
            # A hosted server may keep it to itself.
            told.append(f"{name} unknown")
    return ", ".join(told)


def copy_in(
    connection: sa.Connection, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Write many rows by COPY, within the transaction at hand: one road for millions, and no answer to wait for."""
    driver: Any = connection.connection.driver_connection
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    # Else the first questions would be answered as if the table were empty.
    connection.exec_driver_sql(f"ANALYZE {table}")


def _setting(connection: sa.Connection, name: str) -> str:
    return str(connection.execute(sa.select(sa.func.current_setting(name))).scalar_one())


def _engine(url: DatabaseUrl, asleep_s: float, **options: Any) -> sa.Engine:
    try:
        target = sa.make_url(url.spoken_by("psycopg"))
        given = {name: value for name, value in CONNECTING.items() if name not in target.query}
        engine = sa.create_engine(
            target,
            connect_args=given,
            isolation_level="READ COMMITTED",
            hide_parameters=True,
            **options,
        )
    except ImportError:
        message = (
            f"{url}: the library that speaks to PostgreSQL is missing: pip install 'corso-loader[postgres]'"
        )
        raise SettingsError(message) from None

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        # Outside a transaction: what is set within one that is taken back is not set.
        was, connection.autocommit = connection.autocommit, True
        connection.execute(_DURABLE)
        connection.execute(f"SET lock_timeout = {round(1000 * LOCK_TIMEOUT_S)}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {round(1000 * asleep_s)}")
        connection.autocommit = was

    return engine
