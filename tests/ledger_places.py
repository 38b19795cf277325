"""Where the tests' ledgers are: a file below a folder, or on a real server a schema for each folder.

A test that asks for `each_database` (tests/conftest.py) runs once on each; all others have files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from corso.database import DatabaseUrl, LedgerPlace, SharedLedger
from tests.postgres_server import PostgresServer

STORE_ID = 9359
_servers: list[PostgresServer] = []
"""The one that the running test has its ledgers on; empty for files."""


@contextmanager
def on(server: PostgresServer) -> Iterator[None]:
    """Have ledgers on this server for a while."""
    _servers.append(server)
    try:
        yield
    finally:
        _servers.pop()


def place_of(folder: Path, store_id: int = STORE_ID) -> LedgerPlace:
    """Return where the ledger of a folder is."""
    if not _servers:
        return folder / "ledger.sqlite"
    return shared(_servers[-1], folder, store_id)


def shared(server: PostgresServer, folder: Path, store_id: int = STORE_ID) -> SharedLedger:
    """Return the place of a folder's ledger on a server."""
    return SharedLedger(DatabaseUrl.parse(url_of(server, folder)), folder / str(store_id) / "ledger.mark")


def url_of(server: PostgresServer, folder: Path) -> str:
    """Return the URL of a folder's ledger on a server; its schema is made where there is none."""
    schema = f"s{sha256(str(folder).encode()).hexdigest()[:16]}"
    server.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    return server.url(options=f"?options=-csearch_path%3D{schema}")


@contextmanager
def connected(folder: Path) -> Iterator[sa.Connection]:
    """Yield a connection of our own to a folder's ledger, which commits every statement."""
    place = place_of(folder)
    url = (
        place.url.spoken_by("psycopg") if isinstance(place, SharedLedger) else f"sqlite:///{place.absolute()}"
    )
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def rows_in(folder: Path, *tables: str) -> list[list[dict[str, Any]]]:
    """Return all rows of these tables of a folder's ledger."""
    with connected(folder) as connection:
        found = [connection.exec_driver_sql(f"SELECT * FROM {table}").mappings() for table in tables]
        return [sorted((dict(row) for row in rows), key=str) for rows in found]
