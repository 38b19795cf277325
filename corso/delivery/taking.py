"""How a tenure begins: what is taken of a ledger in a file, and of one on a server, and in which order.

In a file: the lock on the credentials and the file lock of this machine, then the lease, which tells of other machines.
On a server: the lease on the credentials, then that on the store, in one transaction; the lock on the credentials comes
last, for loaders of this machine that have another ledger. Whoever comes second has taken nothing.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corso.clock import Clock
from corso.database import LedgerPlace, SharedLedger
from corso.delivery.database import Database
from corso.delivery.entry import text_of
from corso.delivery.lease import OF_FILE, Claim, Lease, holding, in_use, of_credentials, of_store
from corso.delivery.lock import CredentialLock, Lock, this_process
from corso.delivery.mark import Mark
from corso.delivery.sqlite import SqliteFile
from corso.delivery.tables import VERSION
from corso.errors import LeaseHeld, LedgerError, LedgerInUse

if TYPE_CHECKING:
    from corso.delivery.postgres import PostgresDatabase


@dataclass(frozen=True)
class Taken:
    """All that a loader holds."""

    database: Database
    leases: Sequence[Lease]
    """In the order in which all loaders take and renew them, so that no two wait for each other."""
    mark: Mark
    release_credentials: Callable[[], None]
    undo: ExitStack[None]
    """What lets go of the rest."""

    @property
    def main(self) -> Lease:
        """The lease on the ledger or the store; its commits are what the mark counts."""
        return self.leases[-1]


@dataclass(frozen=True)
class Wish:
    """What a loader wants to begin."""

    store_id: int
    clock: Clock
    purpose: str
    fingerprint: str | None
    """Tells credentials from others; None where nothing is to be sent."""


def take(
    place: LedgerPlace, store_id: int, clock: Clock, purpose: str, fingerprint: str | None = None
) -> Taken:
    """Take the ledger for `purpose`, and the credentials of `fingerprint`, where given. It is made where there is none.

    Raises LedgerInUse (a file; the credentials by another ledger), LeaseHeld (the store or the credentials on a server),
    LedgerTooNew, LedgerError (disk full, not a ledger, not writable, no such server).
    """
    wish = Wish(store_id, clock, purpose, fingerprint)
    try:
        with ExitStack[None]() as undo:
            if isinstance(place, SharedLedger):
                return _on_server(place, wish, undo)
            return _in_file(place, wish, undo)
    except OSError as error:
        message = f"{place}: the ledger cannot be opened ({error.strerror})"
        raise LedgerError(message) from None


def _in_file(path: Path, wish: Wish, undo: ExitStack[None]) -> Taken:
    holder = f"{this_process()}: {wish.purpose}"
    release_credentials = _credentials(wish, path.absolute(), undo)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _locked(path, wish.clock, holder)
    undo.callback(lock.release)
    database = SqliteFile(path)
    undo.callback(database.dispose)
    with database.told(), database.writer.begin() as connection:
        database.prepare(connection, text_of(wish.clock.utc()))
        mark = _marked(path.with_suffix(".mark"), undo)
        claim = Claim(OF_FILE, "the ledger", wish.store_id, holder, is_shared=False)
        lease = Lease.take(connection, wish.clock.utc, claim, mark.commits)
    mark.write(lease.commits)
    return Taken(database, [lease], mark, release_credentials, undo.pop_all())


def _on_server(place: SharedLedger, wish: Wish, undo: ExitStack[None]) -> Taken:
    # What speaks to a server is imported where there is one.
    from corso.delivery.postgres import PostgresDatabase  # noqa: PLC0415

    database = PostgresDatabase(place.url)
    undo.callback(database.dispose)
    with database.told():
        with database.writer.begin() as connection:
            database.prepare(connection, text_of(wish.clock.utc()))
            claims = _claims(wish, database.recognise(connection))
        mark = _marked(place.mark, undo)
        try:
            with database.writer.begin() as connection:
                leases = _leased(database, connection, claims, wish.clock, mark)
        except sa.exc.OperationalError as error:
            if not database.is_locked(error):
                raise
            raise _asleep(database, claims) or error from None
    mark.write(leases[-1].commits)
    try:
        release_credentials = _credentials(wish, place, undo)
    except LedgerError:
        with suppress(LedgerError), database.told(), database.writer.begin() as connection:
            for lease in leases:
                lease.release(connection, database.now(wish.clock))
        raise
    return Taken(database, leases, mark, release_credentials, undo.pop_all())


def _claims(wish: Wish, salt: str) -> list[Claim]:
    holder = f"{this_process()}, store {wish.store_id}: {wish.purpose}"
    wanted = {of_store(wish.store_id): f"store {wish.store_id}"}
    if wish.fingerprint is not None:
        what = "the right to send with these credentials"
        wanted = {of_credentials(wish.fingerprint, salt): what} | wanted
    return [Claim(name, what, wish.store_id, holder, is_shared=True) for name, what in wanted.items()]


def _leased(
    database: "PostgresDatabase", connection: sa.Connection, claims: Sequence[Claim], clock: Clock, mark: Mark
) -> list[Lease]:
    leases = []
    for claim in claims:
        database.lock(connection, claim.name)
        marked = mark.commits if claim is claims[-1] else 0
        leases.append(Lease.take(connection, partial(database.utc, connection, clock), claim, marked))
    return leases


def _asleep(database: "PostgresDatabase", claims: Sequence[Claim]) -> LedgerInUse | LeaseHeld | None:
    """Return the error that names who has a lease and does not end its transaction: its machine sleeps, or is gone."""
    with database.reader.connect() as connection:
        for claim in claims:
            found = holding(connection, claim.name)
            if found and not found.released:
                return in_use(found, claim)
    return None


def _credentials(wish: Wish, place: LedgerPlace, undo: ExitStack[None]) -> Callable[[], None]:
    if wish.fingerprint is None:
        return lambda: None
    lock = CredentialLock.take(wish.fingerprint, ledger=place)
    undo.callback(lock.release)
    return lock.release


def _marked(path: Path, undo: ExitStack[None]) -> Mark:
    path.parent.mkdir(parents=True, exist_ok=True)
    mark = Mark.open(path)
    undo.callback(mark.close)
    return mark


def _locked(path: Path, clock: Clock, holder: str) -> Lock:
    try:
        return Lock.take(path.with_suffix(".lock"), holder)
    except LedgerInUse as error:
        last = _last_sign_of_life(path, clock)
        if last is None:
            raise
        message = f"{error}. It gave no sign of life since {last}: it seems to be asleep (suspended, or its disk hangs)"
        raise LedgerInUse(message) from None


def _last_sign_of_life(path: Path, clock: Clock) -> str | None:
    """Return when the holder last gave one; None where that is not long ago, or cannot be known."""
    database = SqliteFile(path, read_only=True)
    try:
        with suppress(LedgerError), database.reading() as connection:
            is_known = database.version_of(connection) == VERSION
            found = holding(connection, OF_FILE) if is_known else None
            if found and not found.released and found.is_stale(clock.utc()):
                return text_of(found.renewed_at)
    finally:
        database.dispose()
    return None
