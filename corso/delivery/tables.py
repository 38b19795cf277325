"""The ledger's tables, as plain SQLAlchemy Core: the same rows on SQLite and on PostgreSQL.

What differs between the two stands in `sqlite` and `postgres`, how an older layout becomes this one in `migrations`, what
may be written is `ledger`'s business, who may write `tenure`'s.
"""

from typing import Any

import sqlalchemy as sa

VERSION = 3
"""The layout below, and the number of the newest step in `migrations/versions`; a ledger with a higher one is not touched.
1 had neither leases, trusted stores nor `last_started_at`; 2 had no tenures and no provenance."""

METADATA = sa.MetaData()

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text in the order of its bytes, as SQLite has it: instants are kept as text, and ids sort alike everywhere."""

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""What may exceed two thousand millions. SQLite numbers its rows in what it calls INTEGER only."""

ENTRIES = sa.Table(
    "entries",
    METADATA,
    sa.Column("store_id", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("source_order_id", TEXT, primary_key=True),
    sa.Column("source_fulfillment_id", TEXT, primary_key=True, doc="empty for orders"),
    sa.Column("corso_id", TEXT, doc="Corso's id, once known"),
    sa.Column("held_hash", TEXT, doc="payload hash of what Corso holds; empty: there, content not verified"),
    sa.Column("held_cancelled", TEXT, nullable=False, default="", doc="'', sent or deleted"),
    sa.Column("held_at", TEXT, doc="when Corso last accepted it"),
    sa.Column("state", TEXT, nullable=False),
    sa.Column("kind", TEXT, nullable=False, doc="of the current operation"),
    sa.Column("payload_hash", TEXT, nullable=False),
    sa.Column("cancelled", sa.Boolean, nullable=False, doc="whether the payload says cancelled"),
    sa.Column("batch", TEXT, nullable=False, doc="that planned the current operation"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("first_sent_at", TEXT, doc="of the current operation"),
    sa.Column("status", sa.Integer, doc="HTTP status of the last answer"),
    sa.Column("reason", TEXT, doc="why it is rejected, unknown or not sent"),
    sa.Column("updated_at", TEXT, nullable=False),
    sa.Column(
        "last_started_at",
        TEXT,
        doc="when the current operation's last attempt was started",
        info={"since": 2},
    ),
)
sa.Index("entries_by_state", ENTRIES.c.store_id, ENTRIES.c.state)

IS_ORDER = ENTRIES.c.source_fulfillment_id == sa.literal_column("''")
"""Written out, not bound: the database cannot tell whether a bound value fits the index below."""

ORDERS_BY_HELD_AT = sa.Index(
    "orders_by_held_at",
    ENTRIES.c.store_id,
    ENTRIES.c.held_at,
    # Only what was accepted costs anything: planning does not touch it.
    # `postgres` says the same of PostgreSQL: to name it here is to import what speaks to it, a tenth of what `status` takes.
    sqlite_where=sa.and_(IS_ORDER, ENTRIES.c.held_at.is_not(None)),
)

ATTEMPTS = sa.Table(
    "attempts",
    METADATA,
    sa.Column("id", NUMBER, primary_key=True),
    sa.Column("store_id", NUMBER, nullable=False),
    sa.Column("source_order_id", TEXT, nullable=False),
    sa.Column("source_fulfillment_id", TEXT, nullable=False),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("payload_hash", TEXT, nullable=False),
    sa.Column("batch", TEXT, nullable=False),
    sa.Column("started_at", TEXT, nullable=False),
    sa.Column("ended_at", TEXT),
    sa.Column("ended_as", TEXT, doc="accepted, rejected, unknown, throttled, not sent"),
    sa.Column("status", sa.Integer),
    sa.Column("reason", TEXT),
    sa.Column(
        "tenure_id",
        NUMBER,
        doc="who sent it; of attempts before version 3 nobody knows",
        info={"since": 3},
    ),
)
sa.Index(
    "attempts_by_entry", ATTEMPTS.c.store_id, ATTEMPTS.c.source_order_id, ATTEMPTS.c.source_fulfillment_id
)
ATTEMPTS_UNDER_WAY = sa.Index(
    "attempts_under_way", ATTEMPTS.c.store_id, sqlite_where=ATTEMPTS.c.ended_at.is_(None)
)
"""Every upload asks for what a killed one left: a few among the attempts of years."""

LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column(
        "name",
        TEXT,
        primary_key=True,
        doc="what is leased: ledger; on a server `store ` and its number, `credential ` and a salted hash",
    ),
    sa.Column(
        "fence", sa.Integer, nullable=False, doc="one more with every holder; an older one may not write"
    ),
    sa.Column("holder", TEXT, nullable=False, doc="process, host and what it does, for messages"),
    sa.Column("host", TEXT, nullable=False, doc="tells one boot of one machine from all others"),
    sa.Column("taken_at", TEXT, nullable=False),
    sa.Column("renewed_at", TEXT, nullable=False, doc="the holder's last sign of life"),
    sa.Column("released", sa.Boolean, nullable=False, doc="whether the holder ended in order"),
    sa.Column("commits", NUMBER, nullable=False, doc="how many there were; ledger.mark says the same"),
    sa.Column("lost_commits", NUMBER, nullable=False, doc="how many of them were found missing, ever"),
    sa.Column(
        "process",
        TEXT,
        doc="tells the holder from other processes of its host; empty: not known",
        info={"since": 3},
    ),
)
"""What is true now. On a file all instants are the loader's, on a server they are the server's."""

TENURES = sa.Table(
    "tenures",
    METADATA,
    sa.Column("id", NUMBER, primary_key=True),
    sa.Column("lease", TEXT, nullable=False, doc="its name"),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("store_id", NUMBER, nullable=False, doc="what the holder loaded"),
    sa.Column("holder", TEXT, nullable=False),
    sa.Column("host", TEXT, nullable=False),
    sa.Column("taken_at", TEXT, nullable=False),
    sa.Column("ended_at", TEXT, doc="from then on nothing of this holder's came through"),
    sa.Column("ended_as", TEXT, doc="released, taken over; empty while it lasts"),
    sa.UniqueConstraint("lease", "fence", name="tenures_by_lease"),
)
"""What has been: one row = one time that a loader held a lease, so that it can be shown that nobody else did then."""

TRUSTED_STORES = sa.Table(
    "trusted_stores",
    METADATA,
    sa.Column(
        "store_id",
        NUMBER,
        primary_key=True,
        autoincrement=False,
        doc="the ledger knows all that was sent to it",
    ),
    sa.Column("trusted_at", TEXT, nullable=False),
)

PROVENANCE = sa.Table(
    "provenance",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, doc="1: there is one row"),
    sa.Column("salt", TEXT, nullable=False, doc="what credentials are hashed with in a lease's name"),
    sa.Column("history", TEXT, nullable=False, doc="tells this database from a copy of it that was put back"),
)
"""Which database this is; for ledgers on a server, of which a file beside them cannot tell."""


def columns_of(table: sa.Table, version: int) -> list[sa.ColumnElement[Any]]:
    """Return all columns of a table; those that a ledger of this version does not have as NULL."""
    return [
        column if column.info.get("since", 1) <= version else sa.null().label(column.name)
        for column in table.c
    ]
