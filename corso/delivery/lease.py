"""Leases: who may write to the ledger or send with some credentials, as rows in it, each with a fence.

In a file there is one lease for the whole ledger, on a server one for each store and one for each set of credentials,
under a salted hash of them. A lease goes by time: the holder's last sign of life. Taking one raises its fence, and every
commit asks in its own transaction whether the fences are still the writer's: after a takeover nothing of the former
holder's comes through, also where it was thought dead and was not (a machine that slept). A lease also counts the
commits, for `mark` and `tenure` to be held against. Who held it before stands in `tenures`.

Beside a file a lock tells who is alive on this machine (`lock`), on a server the number of the process (`process`).
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from corso.delivery.entry import instant_of, text_of
from corso.delivery.process import is_gone, this_process_tells
from corso.delivery.tables import LEASES, TENURES, TRUSTED_STORES, VERSION, columns_of
from corso.errors import LeaseHeld, LeaseLost, LedgerError, LedgerInUse

LEASE_S = 60.0
"""So long after its holder's last sign of life a lease on another host may be taken over. A holder that still lives
then loses nothing but the right to write; what it had under way is looked up."""

RENEW_EVERY_S = LEASE_S / 4
"""Three renewals may fail before anybody takes a living holder for dead."""

OF_FILE = "ledger"
"""The name of the only lease in a file."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_RELEASED, _TAKEN_OVER = "released", "taken over"

Instant = str | sa.ColumnElement[str]
"""Now, as text or as what the server computes."""


def of_store(store_id: int) -> str:
    """Return the name of a store's lease on a server."""
    return f"store {store_id}"


def of_credentials(fingerprint: str, salt: str) -> str:
    """Return the name of the lease on some credentials; it tells nothing of them."""
    told = blake2b(fingerprint.encode(), key=bytes.fromhex(salt), digest_size=16, person=b"credentials")
    return f"credential {told.hexdigest()}"


@dataclass(frozen=True)
class Claim:
    """What somebody wants to hold, and as whom."""

    name: str
    """Of the lease."""
    what: str
    """Words for it: the ledger, store 9359, …"""
    store_id: int
    holder: str
    is_shared: bool
    """Whether it is on a server, where no file lock tells who is alive and one waits one's turn."""
    is_one_process: bool = True
    """Whether this process alone holds it; a run in several is not over when one of them is gone."""


@dataclass(frozen=True)
class Holding:
    """The row of a lease; `tables` says what each column is."""

    fence: int
    holder: str
    host: str
    taken_at: datetime
    renewed_at: datetime
    released: bool
    commits: int
    lost_commits: int
    process: str | None

    def __str__(self) -> str:
        """Say who holds it, and since when."""
        return f"{self.holder}, since {text_of(self.taken_at)}, last heard of at {text_of(self.renewed_at)}"

    def is_stale(self, now: datetime) -> bool:
        """Say whether its holder gave no sign of life for longer than a lease."""
        return now >= self.free_at

    def is_dead(self, now: datetime) -> bool:
        """Say whether its holder is gone: by its last sign of life, or as a process of this machine."""
        return self.is_stale(now) or (self.host == this_host() and is_gone(self.process))

    @property
    def free_at(self) -> datetime:
        """When it may be taken over, should no other sign of life come."""
        return self.renewed_at + timedelta(seconds=LEASE_S)


def holding(
    connection: sa.Connection, name: str, version: int = VERSION, *, locked: bool = False
) -> Holding | None:
    """Return a lease; None where nobody has ever held it. `locked` keeps it as it is until the transaction ends."""
    query = sa.select(*columns_of(LEASES, version)).where(LEASES.c.name == name)
    if locked:
        query = query.with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    instants = {name: instant_of(row[name]) for name in ("taken_at", "renewed_at")}
    return Holding(**{name: row[name] for name in row if name != "name"} | instants)


def this_host() -> str:
    """Tell this boot of this machine from every other one."""
    try:
        return f"{socket.gethostname()} {_BOOT_ID.read_text().strip()}"
    except OSError:
        return socket.gethostname()


@dataclass(frozen=True)
class Lease:
    """A lease as its holder has it. Each method works within the caller's transaction."""

    claim: Claim
    fence: int
    commits: int
    """When it was taken, that one included."""
    lost_commits: int
    """How many commits were found missing, ever."""
    tenure_id: int
    """Of this time that it is held; 0 where it was joined."""

    @classmethod
    def take(
        cls, connection: sa.Connection, clock: Callable[[], datetime], claim: Claim, marked: int = 0
    ) -> Self:
        """Take the lease; `marked` commits there were at least. Nobody else may be taking it now (`Database.lock`).

        Where more were marked than are there, commits were lost, and no store is trusted any more. Raises LedgerInUse
        for a file's, LeaseHeld for a server's.
        """
        before = holding(connection, claim.name, locked=True)
        # Only now: a holder that was just ending had the row until this moment.
        now = clock()
        if before:
            _check_is_free(before, now, claim)
        known = before.commits if before else 0
        lost = max(0, marked - known)
        if lost:
            connection.execute(TRUSTED_STORES.delete())
        fence = (before.fence if before else 0) + 1
        holder = {"holder": claim.holder, "host": this_host(), "taken_at": text_of(now)}
        counts = {
            "commits": max(marked, known) + 1,
            "lost_commits": (before.lost_commits if before else 0) + lost,
        }
        values = {
            **holder,
            **counts,
            "fence": fence,
            "renewed_at": text_of(now),
            "released": False,
            "process": this_process_tells() if claim.is_one_process else None,
        }
        is_it = LEASES.c.name == claim.name
        statement = LEASES.update().where(is_it) if before else LEASES.insert().values(name=claim.name)
        connection.execute(statement.values(values))
        _end_tenure(connection, claim.name, text_of(now), _TAKEN_OVER)
        tenure = {"lease": claim.name, "fence": fence, "store_id": claim.store_id, **holder}
        tenure_id = connection.execute(TENURES.insert().values(tenure).returning(TENURES.c.id)).scalar_one()
        return cls(claim, fence, tenure_id=tenure_id, **counts)

    @classmethod
    def join(cls, connection: sa.Connection, claim: Claim) -> Self | None:
        """Share the lease of a holder of this very name; None where another one has it, or nobody."""
        found = holding(connection, claim.name, locked=True)
        if found is None or found.released or found.holder != claim.holder:
            return None
        return cls(claim, found.fence, found.commits, found.lost_commits, tenure_id=0)

    def count_commit(self, connection: sa.Connection, now: Instant) -> int:
        """Count the transaction at hand; return how many there are with it. Raises LeaseLost."""
        # Made once where the time is ours to tell: to make a statement costs more than to run it.
        one_more = self._one_more if isinstance(now, str) else self._one_more.values(renewed_at=now)
        told = {"b_now": now} if isinstance(now, str) else {}
        commits = connection.execute(one_more, told).scalar_one_or_none()
        if commits is None:
            raise self._lost(connection)
        return int(commits)

    def renew(self, connection: sa.Connection, now: Instant) -> None:
        """Give a sign of life. Raises LeaseLost."""
        if not connection.execute(self._update.values(renewed_at=now)).rowcount:
            raise self._lost(connection)

    def release(self, connection: sa.Connection, now: Instant) -> None:
        """Let the next one in; where it was lost already, leave it alone."""
        if connection.execute(self._update.values(released=True, renewed_at=now)).rowcount:
            _end_tenure(connection, self.claim.name, now, _RELEASED)

    @cached_property
    def _one_more(self) -> sa.sql.dml.ReturningUpdate[int]:
        counted = self._update.values(commits=LEASES.c.commits + 1, renewed_at=sa.bindparam("b_now"))
        return counted.returning(LEASES.c.commits)

    @property
    def _update(self) -> sa.Update:
        return LEASES.update().where(LEASES.c.name == self.claim.name, LEASES.c.fence == self.fence)

    def _lost(self, connection: sa.Connection) -> LeaseLost:
        message = (
            f"another loader took over {self.claim.what} ({holding(connection, self.claim.name) or 'unknown'}): this "
            "one may not write any more; what it had under way will be looked up"
        )
        return LeaseLost(message)


def _end_tenure(connection: sa.Connection, lease: str, now: Instant, ended_as: str) -> None:
    under_way = TENURES.update().where(TENURES.c.lease == lease, TENURES.c.ended_at.is_(None))
    connection.execute(under_way.values(ended_at=now, ended_as=ended_as))


def _check_is_free(before: Holding, now: datetime, claim: Claim) -> None:
    is_here = before.host == this_host()
    # Beside a file the lock has told that its holder is dead.
    is_dead = is_here and (not claim.is_shared or is_gone(before.process))
    if before.released or is_dead or before.is_stale(now):
        return
    raise in_use(before, claim)


def in_use(before: Holding, claim: Claim) -> LedgerInUse | LeaseHeld:
    """Return the error that says who holds a lease, since when, and when a dead one's place would be free."""
    message = (
        f"{claim.what} is in use by another loader ({before}); wait for it to end. Should it be dead, its place can be "
        f"taken at {text_of(before.free_at)}"
    )
    return LeaseHeld(message, resume_at=before.free_at) if claim.is_shared else LedgerInUse(message)


class Heartbeat:
    """Renews a lease while its holder has nothing to write, as in a Retry-After of ten minutes. A daemon thread."""

    def __init__(self, renew: Callable[[], None], every_s: float) -> None:
        self._renew = renew
        self._every_s = every_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Renew no more; returns once no renewal is under way."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._every_s):
            try:
                self._renew()
            except LeaseLost:
                # The next write will say so, to somebody who can act on it.
                return
            except LedgerError:
                # Locked, or no room: it may be over in a moment, and if not the next write says so.
                continue
