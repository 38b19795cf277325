"""Moving a ledger from a file to a server: all of its stores, whole, and the file is nobody's ledger any more.

Two ledgers of one store would each know half of what was sent, and send the other half again. So both are held while the
rows go over, a store goes in one transaction, and at the end the file gets another name. Run again after whatever
stopped it, it goes on: a store that is there already is compared and passed over.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from corso.clock import Clock
from corso.database import SharedLedger
from corso.delivery.ports import Watch, unwatched
from corso.delivery.postgres import copy_in
from corso.delivery.tables import ATTEMPTS, ENTRIES, TRUSTED_STORES
from corso.delivery.tenure import Tenure
from corso.errors import LedgerError

_PURPOSE = "moving the ledger"
_ROWS_AT_ONCE = 10_000
_STAYS = {"id", "tenure_id"}
"""Of an attempt: the server numbers anew, and who held the file says nothing there."""

Counts = Counter[tuple[str, str]]
"""(table, state or end) -> number of rows."""


@dataclass(frozen=True)
class MovedStore:
    """What stands on the server of one store."""

    store_id: int
    entries: int
    """Orders and fulfillments."""
    attempts: int
    was_there: bool
    """Whether an earlier try had moved it."""
    is_trusted: bool
    """Whether the ledger knows all that was sent; else Corso is looked through before anything is sent."""


def move(source: Path, target: SharedLedger, clock: Clock, watch: Watch = unwatched) -> list[MovedStore]:
    """Move all stores of the ledger in a file to a server; then rename the file, `ledger.moved.sqlite`.

    The mark of each store goes where the target's is, into its own store's folder. Raises LedgerInUse and LeaseHeld
    (somebody is at work), LedgerError (no such ledger, the server has other entries of a store).
    """
    if not source.exists():
        message = f"{source}: no such ledger"
        raise LedgerError(message)
    with closing(Tenure.take(source, 0, clock, _PURPOSE)) as held:
        with held.database.reading() as connection:
            stores = connection.execute(
                sa.select(ENTRIES.c.store_id).union(sa.select(TRUSTED_STORES.c.store_id))
            )
            ids = sorted(stores.scalars())
        moved = [_move_store(held, store_id, target, clock, watch) for store_id in ids]
    _retire(source)
    return moved


def _move_store(
    source: Tenure, store_id: int, target: SharedLedger, clock: Clock, watch: Watch
) -> MovedStore:
    own = replace(target, mark=target.mark.parents[1] / str(store_id) / target.mark.name)
    with (
        closing(Tenure.take(own, store_id, clock, _PURPOSE)) as taken,
        source.database.reading() as old,
    ):
        wanted = _counts(old, store_id)

        def receive(new: sa.Connection) -> bool:
            found = _counts(new, store_id)
            if not found:
                for table in (ENTRIES, ATTEMPTS):
                    _copy(table, store_id, old, new, watch)
                new.execute(TRUSTED_STORES.delete().where(TRUSTED_STORES.c.store_id == store_id))
                _copy(TRUSTED_STORES, store_id, old, new, watch)
            if _counts(new, store_id) != wanted:
                message = (
                    f"{target}: has entries of store {store_id} that are not those of {source.database.name}; a store "
                    "has one ledger: nothing of it was moved"
                )
                raise LedgerError(message)
            return bool(found)

        was_there = taken.write(receive)
        trusted = sa.select(sa.exists().where(TRUSTED_STORES.c.store_id == store_id))
        return MovedStore(
            store_id,
            entries=sum(count for (table, _), count in wanted.items() if table == ENTRIES.name),
            attempts=sum(count for (table, _), count in wanted.items() if table == ATTEMPTS.name),
            was_there=was_there,
            is_trusted=bool(old.execute(trusted).scalar_one()),
        )


def _counts(connection: sa.Connection, store_id: int) -> Counts:
    counts: Counts = Counter()
    for table, column in ((ENTRIES, ENTRIES.c.state), (ATTEMPTS, ATTEMPTS.c.ended_as)):
        query = sa.select(column, sa.func.count()).where(table.c.store_id == store_id).group_by(column)
        counts |= Counter({(table.name, str(what)): count for what, count in connection.execute(query)})
    return counts


def _copy(table: sa.Table, store_id: int, old: sa.Connection, new: sa.Connection, watch: Watch) -> None:
    columns = [column for column in table.c if column.name not in _STAYS]
    mine = table.c.store_id == store_id
    total = int(old.execute(sa.select(sa.func.count()).select_from(table).where(mine)).scalar_one())
    query = sa.select(*columns).where(mine).order_by(*table.primary_key)

    def rows() -> Iterator[tuple[Any, ...]]:
        done = 0
        result = old.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
        for some in result.partitions():
            yield from (tuple(row) for row in some)
            done += len(some)
            watch(f"{table.name} of store {store_id}", done, total)

    copy_in(new, table.name, [column.name for column in columns], rows())


def _retire(source: Path) -> None:
    # Closed in order, it has no log beside it any more. The old count of commits would only raise an alarm.
    source.rename(source.with_suffix(f".moved{source.suffix}"))
    source.with_suffix(".mark").unlink(missing_ok=True)
