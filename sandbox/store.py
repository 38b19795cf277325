"""What the sandbox remembers: orders and fulfillments in one SQLite database, in a file or in memory.

Every write is one statement and one commit, done before the answer goes out; in WAL mode that is a single
append to a file, about 0.02 ms, so waiting to commit many together would win nothing. `synchronous=NORMAL`
does not wait for the disk: an answered create survives a killed process, not a power cut.

All methods run on the server's only thread and never wait for another task, so what one method does (look
for a duplicate, then insert) nobody comes between. The file is locked: one sandbox a file.
"""

import secrets
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

IN_MEMORY = ":memory:"
VERSION = 8_787_001
"""Of the tables below; kept in the file, and unlike any number that another program would put there."""
LARGEST_ID = 2**63 - 1

_TABLES = """
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY,
    store_id TEXT NOT NULL,
    source_order_id TEXT NOT NULL,
    email TEXT,
    order_name TEXT,
    order_number TEXT NOT NULL,
    cancelled INTEGER NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX orders_by_source ON orders (source_order_id, store_id);
CREATE INDEX orders_by_email ON orders (email) WHERE email IS NOT NULL;
CREATE TABLE fulfillments (
    fulfillment_id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders,
    source_fulfillment_id TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX fulfillments_by_order ON fulfillments (order_id, source_fulfillment_id);
CREATE TABLE keys (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_ORDER_COLUMNS = "order_id, store_id, source_order_id, email, order_name, order_number, cancelled, record"


class StoreUnusable(Exception):
    """The database file cannot be opened as a sandbox's; the message says why."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order as it is kept: what is searched by, and the record as it is answered."""

    order_id: int
    store_id: str
    source_order_id: str
    email: str | None
    """Case-folded, as the filter compares it."""
    order_name: str | None
    order_number: str
    cancelled: bool
    """Cancelled by DELETE, and so closed to changes."""
    record: str
    """JSON text."""


class Store:
    """The sandbox's memory. Make it with `Store.open`, end it with `close`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._next_order_id = self._one("SELECT coalesce(max(order_id), 0) + 1 FROM orders")[0]
        self._next_fulfillment_id = self._one(
            "SELECT coalesce(max(fulfillment_id), 0) + 1 FROM fulfillments"
        )[0]

    @classmethod
    def open(cls, path: str) -> Self:
        """Open a database file, or a new one in memory; `StoreUnusable` says why it cannot."""
        try:
            connection = sqlite3.connect(path, isolation_level=None, timeout=1)
        except sqlite3.Error as error:
            msg = f"{path} cannot be used: {error}"
            raise StoreUnusable(msg) from error
        try:
            _prepare(connection)
            return cls(connection)
        except (sqlite3.Error, StoreUnusable) as error:
            connection.close()
            msg = f"{path} cannot be used: {error}"
            raise StoreUnusable(msg) from error

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def key(self, name: str) -> bytes:
        """Return a secret of this database, made at the first call."""
        self._connection.execute(
            "INSERT INTO keys VALUES (?, ?) ON CONFLICT DO NOTHING", (name, secrets.token_bytes(32))
        )
        return bytes(self._one("SELECT value FROM keys WHERE name = ?", name)[0])

    def take_order_id(self) -> int:
        """Return the next order's id; ids grow in the order of creation."""
        self._next_order_id += 1
        return int(self._next_order_id - 1)

    def take_fulfillment_id(self) -> int:
        """Return the next fulfillment's id."""
        self._next_fulfillment_id += 1
        return int(self._next_fulfillment_id - 1)

    def insert_order(self, row: OrderRow) -> None:
        """Keep a new order. It is committed when this returns."""
        self._connection.execute(
            f"INSERT INTO orders ({_ORDER_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608 - constant text
            _values(row),
        )

    def replace_order(self, row: OrderRow) -> None:
        """Put a new record in the place of an order's old one. It is committed when this returns."""
        self._connection.execute(
            f"REPLACE INTO orders ({_ORDER_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",  # noqa: S608 - constant text
            _values(row),
        )

    def order(self, order_id: int) -> OrderRow | None:
        """Find an order by Corso's id."""
        if not 0 < order_id <= LARGEST_ID:
            return None
        found = self._one(f"SELECT {_ORDER_COLUMNS} FROM orders WHERE order_id = ?", order_id)  # noqa: S608 - constant text
        return _order_row(found) if found else None

    def order_by_source(self, store_id: str, source_order_id: str) -> OrderRow | None:
        """Find the first order that a store has under a source id."""
        found = self._one(
            f"SELECT {_ORDER_COLUMNS} FROM orders WHERE source_order_id = ? AND store_id = ? ORDER BY order_id",  # noqa: S608 - constant text
            source_order_id,
            store_id,
        )
        return _order_row(found) if found else None

    def insert_fulfillment(
        self, fulfillment_id: int, order_id: int, source_fulfillment_id: str, record: str
    ) -> None:
        """Keep a new fulfillment. It is committed when this returns."""
        self._connection.execute(
            "INSERT INTO fulfillments VALUES (?,?,?,?)",
            (fulfillment_id, order_id, source_fulfillment_id, record),
        )

    def fulfillment_by_source(self, order_id: int, source_fulfillment_id: str) -> str | None:
        """Find the record of the first fulfillment that an order has under a source id."""
        found = self._one(
            "SELECT record FROM fulfillments WHERE order_id = ? AND source_fulfillment_id = ? ORDER BY fulfillment_id",
            order_id,
            source_fulfillment_id,
        )
        return str(found[0]) if found else None

    def fulfillments(self, order_id: int) -> list[str]:
        """Return the records of an order's fulfillments, oldest first."""
        rows = self._connection.execute(
            "SELECT record FROM fulfillments WHERE order_id = ? ORDER BY fulfillment_id", (order_id,)
        )
        return [record for (record,) in rows]

    def select_orders(
        self, conditions: Iterable[str], parameters: Iterable[str | int], *, ascending: bool, at_most: int
    ) -> list[tuple[int, str]]:
        """Return the ids and records of the orders that fit all conditions, by id.

        `conditions` are SQL of the caller's own making; what came from outside is in `parameters`.
        """
        where = " AND ".join(("1", *conditions))
        direction = "ASC" if ascending else "DESC"
        query = f"SELECT order_id, record FROM orders WHERE {where} ORDER BY order_id {direction} LIMIT ?"  # noqa: S608 - see above
        return self._connection.execute(query, (*parameters, at_most)).fetchall()

    def newest_order_id_at(self, moment: str) -> int:
        """Return the id of the newest order that was there at a moment, 0 where none was.

        Read out of the records, newest first, so it takes longer the more orders are newer than the moment.
        """
        found = self._one(
            "SELECT order_id FROM orders WHERE json_extract(record, '$.createdOn') <= ? ORDER BY order_id DESC LIMIT 1",
            moment,
        )
        return int(found[0]) if found else 0

    def counts(self) -> dict[str, int]:
        """Count what is kept; `source_orders` are distinct pairs of store and source id."""
        queries = {
            "orders": "SELECT count(*) FROM orders",
            "source_orders": "SELECT count(*) FROM (SELECT DISTINCT source_order_id, store_id FROM orders)",
            "cancelled_orders": "SELECT count(*) FROM orders WHERE cancelled",
            "fulfillments": "SELECT count(*) FROM fulfillments",
            "source_fulfillments": "SELECT count(*) FROM (SELECT DISTINCT order_id, source_fulfillment_id FROM fulfillments)",
        }
        return {name: self._one(query)[0] for name, query in queries.items()}

    def _one(self, query: str, *parameters: str | int) -> Any:
        return self._connection.execute(query, parameters).fetchone()


def _prepare(connection: sqlite3.Connection) -> None:
    """Take the file for this process alone, and make the tables in a new one."""
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if version != VERSION and (version or tables):
        msg = f"it is not a sandbox's database of version {VERSION}"
        raise StoreUnusable(msg)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    if not tables:
        connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")


def _values(row: OrderRow) -> tuple[str | int | None, ...]:
    return (
        row.order_id,
        row.store_id,
        row.source_order_id,
        row.email,
        row.order_name,
        row.order_number,
        row.cancelled,
        row.record,
    )


def _order_row(found: tuple[Any, ...]) -> OrderRow:
    order_id, store_id, source_order_id, email, order_name, order_number, cancelled, record = found
    return OrderRow(
        order_id, store_id, source_order_id, email, order_name, order_number, bool(cancelled), record
    )
