"""What is known: the questions that can be asked of a ledger, whether it was opened for writing or for reading."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from corso.delivery.database import Database
from corso.delivery.entry import CHANGES, Entry, Key, entry_from, instant_of, text_of
from corso.delivery.lease import holding
from corso.delivery.states import State
from corso.delivery.tables import ATTEMPTS, ENTRIES, IS_ORDER, TRUSTED_STORES, VERSION, columns_of
from corso.delivery.transitions import KEY, ZERO_BYTE, Columns

KEYS_PER_QUERY = 1_000
"""SQLite limits the variables of a statement."""

_ROWS_AT_ONCE = 10_000

_ORDER: Columns = {"source_order_id": sa.Text}

_LEASES_SINCE = 2
"""Version 1 had neither leases nor trusted stores."""


class Reading:
    """The ledger of one store, for whoever asks."""

    def __init__(self, database: Database, store_id: int, lease: str, version: int = VERSION) -> None:
        self._database = database
        self._store_id = store_id
        self._lease = lease
        """The name of the lease that its writer holds."""
        self._version = version
        """Of the layout: one that is only read is not upgraded."""

    def arrays_of(
        self, order_ids: Sequence[str], names: Sequence[str], *, fulfillments: bool | None = None
    ) -> Iterator[dict[str, str]]:
        """Yield columns of the entries of some orders, each named once, of their fulfillments, or of both, in no order.

        Each column is one JSON array: the database writes it, and a frame reads it, in a fifth of the time of rows. Where
        several groups are yielded, each has other entries.
        """
        plain = [[each] for each in order_ids if "\0" not in each]
        odd = [each for each in order_ids if "\0" in each]
        columns = [self._database.as_json(ENTRIES.c[name]).label(name) for name in names]
        of_store = sa.select(*columns).where(ENTRIES.c.store_id == self._store_id)
        if fulfillments is not None:
            of_store = of_store.where(~IS_ORDER if fulfillments else IS_ORDER)
        given = self._database.rows(_ORDER)
        of_rows = of_store.where(ENTRIES.c.source_order_id == given.c.source_order_id)
        with self._reading() as connection:
            rows = json.dumps(plain, ensure_ascii=False)
            yield dict(connection.execute(of_rows, {"b_rows": rows}).mappings().one())
            for start in range(0, len(odd), KEYS_PER_QUERY):
                some = ENTRIES.c.source_order_id.in_(odd[start : start + KEYS_PER_QUERY])
                yield dict(connection.execute(of_store.where(some)).mappings().one())

    def is_empty(self) -> bool:
        """Say whether nothing was ever written down of the store."""
        query = sa.select(~sa.exists().where(ENTRIES.c.store_id == self._store_id))
        with self._reading() as connection:
            return bool(connection.execute(query).scalar_one())

    def entries(self, *, states: Sequence[State] = (), fulfillments: bool | None = None) -> Iterator[Entry]:
        """Yield the store's entries in these states (all where none is named), of orders or fulfillments or both."""
        query = self._entries()
        if states:
            query = query.where(ENTRIES.c.state.in_(states))
        if fulfillments is not None:
            query = query.where(~IS_ORDER if fulfillments else IS_ORDER)
        query = query.order_by(ENTRIES.c.source_order_id, ENTRIES.c.source_fulfillment_id)
        with self._reading() as connection:
            result = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
            for rows in result.mappings().partitions():
                yield from (entry_from(row) for row in rows)

    def entries_of(self, keys: Iterable[Key]) -> dict[Key, Entry]:
        """Return the entries that exist among `keys`."""
        found: dict[Key, Entry] = {}
        with self._reading() as connection:
            for some in chunks(keys):
                rows = json.dumps(some, ensure_ascii=False)
                if ZERO_BYTE in rows:
                    query, given = self._entries().where(is_among(some)), {}
                else:
                    query, given = self._entries_among_rows, {"b_rows": rows}
                entries = map(entry_from, connection.execute(query, given).mappings())
                found |= {entry.key: entry for entry in entries}
        return found

    def orders_of(self, corso_ids: Sequence[str]) -> dict[str, str]:
        """Return Corso's id -> source_order_id of those of some records that are the store's orders, in one pass over these."""
        # Texts out of JSON end at a zero byte.
        rows = json.dumps([[each] for each in corso_ids if "\0" not in each], ensure_ascii=False)
        given = self._database.rows({"corso_id": sa.Text})
        query = sa.select(ENTRIES.c.corso_id, ENTRIES.c.source_order_id).where(
            ENTRIES.c.store_id == self._store_id,
            IS_ORDER,
            ENTRIES.c.corso_id.in_(sa.select(given.c.corso_id)),
        )
        with self._reading() as connection:
            found = connection.execute(query, {"b_rows": rows})
            return {row.corso_id: row.source_order_id for row in found}

    def latest_created(self, count: int) -> list[Entry]:
        """Return the newest orders that were sent from here, created, and not changed since, newest first.

        Not those that were adopted: since when they are in Corso nobody knows.
        """
        query = self._entries().where(
            IS_ORDER,
            ENTRIES.c.held_at.is_not(None),
            ENTRIES.c.corso_id.is_not(None),
            ENTRIES.c.first_sent_at.is_not(None),
            ENTRIES.c.state == State.ACCEPTED,
            ENTRIES.c.kind == "create_order",
        )
        # Many share an instant, that of their commit: all databases return the same ones of them.
        newest = query.order_by(ENTRIES.c.held_at.desc(), ENTRIES.c.source_order_id.desc()).limit(count)
        with self._reading() as connection:
            return [entry_from(row) for row in connection.execute(newest).mappings()]

    def count_held_since(self, since: datetime) -> int:
        """Return how many orders Corso accepted since then, be it for the first time or again."""
        query = sa.select(sa.func.count()).where(
            ENTRIES.c.store_id == self._store_id, IS_ORDER, ENTRIES.c.held_at >= text_of(since)
        )
        with self._reading() as connection:
            return int(connection.execute(query).scalar_one())

    def latest_changed(self, since: datetime, count: int) -> list[Entry]:
        """Return the orders that Corso accepted a change of last, at `since` or later, the latest first."""
        query = self._entries().where(
            IS_ORDER,
            ENTRIES.c.held_at >= text_of(since),
            ENTRIES.c.state == State.ACCEPTED,
            ENTRIES.c.kind.in_(CHANGES),
        )
        newest = query.order_by(ENTRIES.c.held_at.desc(), ENTRIES.c.source_order_id.desc()).limit(count)
        with self._reading() as connection:
            return [entry_from(row) for row in connection.execute(newest).mappings()]

    def moved_at(self) -> datetime | None:
        """Return when an entry changed last; None where there is none."""
        query = sa.select(sa.func.max(ENTRIES.c.updated_at)).where(ENTRIES.c.store_id == self._store_id)
        with self._reading() as connection:
            moved = connection.execute(query).scalar_one()
        return instant_of(moved) if moved else None

    def counts(self) -> dict[tuple[str, State], int]:
        """Return (order | fulfillment, state) -> number of entries.

        Of those that are accepted, which may be millions, no row is looked at: what every accepted order has is in an index. One
        statement, so that it is of one moment.
        """
        of_store, is_held = ENTRIES.c.store_id == self._store_id, ENTRIES.c.held_at.is_not(None)
        subject, held = sa.case((IS_ORDER, "order"), else_="fulfillment"), sa.case((is_held, 1), else_=0)
        number = sa.func.count()
        others = [state for state in State if state is not State.ACCEPTED]
        query = sa.union_all(
            sa.select(subject.label("what"), ENTRIES.c.state, held, number)
            .where(of_store, ENTRIES.c.state.in_(others))
            .group_by(subject, ENTRIES.c.state, held),
            sa.select(sa.literal("all"), sa.literal(State.ACCEPTED.value), 1, number).where(
                of_store, ENTRIES.c.state == State.ACCEPTED
            ),
            sa.select(sa.literal("orders held"), sa.literal(""), 1, number).where(
                of_store, IS_ORDER, is_held
            ),
        )
        found: Counter[tuple[str, State]] = Counter()
        accepted = accepted_orders = 0
        with self._reading() as connection:
            for what, state, was_held, count in connection.execute(query):
                if what == "all":
                    accepted = count
                elif what == "orders held":
                    accepted_orders += count
                else:
                    found[what, State(state)] += count
                    accepted_orders -= count if was_held and what == "order" else 0
        found["order", State.ACCEPTED] = accepted_orders
        found["fulfillment", State.ACCEPTED] = accepted - accepted_orders
        return dict(+found)

    def attempts(self, source_order_id: str) -> list[Mapping[str, Any]]:
        """Return all attempts at an order and its fulfillments, oldest first."""
        query = (
            sa.select(*columns_of(ATTEMPTS, self._version))
            .where(ATTEMPTS.c.store_id == self._store_id, ATTEMPTS.c.source_order_id == source_order_id)
            .order_by(ATTEMPTS.c.id)
        )
        with self._reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def last_attempt(self) -> int:
        """Return the number of the store's last attempt, 0 before the first: while it is the same, nothing was sent."""
        query = sa.select(ATTEMPTS.c.id).where(ATTEMPTS.c.store_id == self._store_id)
        with self._reading() as connection:
            found = connection.execute(query.order_by(ATTEMPTS.c.id.desc()).limit(1)).scalar()
        return int(found or 0)

    def is_trusted(self) -> bool:
        """Say whether the ledger knows all that was sent to the store: not of a new store, nor after a loss of commits."""
        table = TRUSTED_STORES if self._version >= _LEASES_SINCE else ENTRIES
        query = sa.select(sa.exists().where(table.c.store_id == self._store_id))
        with self._reading() as connection:
            return bool(connection.execute(query).scalar_one())

    def holder(self) -> str | None:
        """Say who holds the ledger, since when and when it was last heard of; None where nobody does.

        A holder that was killed is still named: when it was last heard of tells.
        """
        if self._version < _LEASES_SINCE:
            return None
        with self._reading() as connection:
            found = holding(connection, self._lease, self._version)
        return None if found is None or found.released else str(found)

    @cached_property
    def _entries_among_rows(self) -> sa.Select[Any]:
        given = self._database.rows(KEY)
        return self._entries().where(*(ENTRIES.c[name] == given.c[name] for name in KEY))

    def _entries(self) -> sa.Select[Any]:
        return sa.select(*columns_of(ENTRIES, self._version)).where(ENTRIES.c.store_id == self._store_id)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._database.reading() as connection:
            yield connection


def chunks(keys: Iterable[Key]) -> Iterator[list[Key]]:
    """Yield the distinct keys, as many at once as a statement can take."""
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), KEYS_PER_QUERY):
        yield wanted[start : start + KEYS_PER_QUERY]


def is_among(keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    """Match the entries with these keys, of whatever store."""
    both = sa.tuple_(ENTRIES.c.source_order_id, ENTRIES.c.source_fulfillment_id)
    return both.in_([tuple(key) for key in keys])
