"""The lease: who may write to the ledger, as a row in it, with a fence.

The file lock (`lock`) tells who is alive on this machine; the lease tells it of other machines, by time, and keeps
out a holder that was thought dead and was not (a machine that slept). Taking it raises the fence by one, and every
write asks in its own transaction whether the fence is still the writer's: after a takeover nothing of the former
holder's comes through. It also counts the commits, for `mark` to be held against.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from corso.delivery.entry import instant_of, text_of
from corso.delivery.lock import CredentialLock
from corso.delivery.tables import LEASES, TRUSTED_STORES
from corso.errors import LeaseLost, LedgerError, LedgerInUse

# CredentialLock, too: who asks for the right to send looks here.
__all__ = [
    "LEASE_S",
    "RENEW_EVERY_S",
    "CredentialLock",
    "Heartbeat",
    "Holding",
    "Lease",
    "holding",
    "this_host",
]

LEASE_S = 60.0
"""So long after its holder's last sign of life a lease on another host may be taken over. A holder that still lives
then loses nothing but the right to write; what it had under way is looked up."""

RENEW_EVERY_S = LEASE_S / 4
"""Three renewals may fail before anybody takes a living holder for dead."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAME = "ledger"
_OF_LEDGER = LEASES.c.name == _NAME
_MINE = sa.and_(_OF_LEDGER, LEASES.c.fence == sa.bindparam("b_fence"))


@dataclass(frozen=True)
class Holding:
    """The row of the ledger's lease; the columns' comments say what each is."""

    fence: int
    holder: str
    host: str
    taken_at: datetime
    renewed_at: datetime
    released: bool
    commits: int
    lost_commits: int

    def __str__(self) -> str:
        """Say who holds it, and since when."""
        return f"{self.holder}, since {text_of(self.taken_at)}, last heard of at {text_of(self.renewed_at)}"

    def is_stale(self, now: datetime) -> bool:
        """Say whether its holder gave no sign of life for longer than a lease."""
        return now - self.renewed_at >= timedelta(seconds=LEASE_S)


def holding(connection: sa.Connection) -> Holding | None:
    """Return the ledger's lease; None where nobody has ever held it."""
    row = connection.execute(sa.select(LEASES).where(_OF_LEDGER)).mappings().one_or_none()
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


_COUNT = (
    LEASES.update()
    .where(_MINE)
    .values(commits=LEASES.c.commits + 1, renewed_at=sa.bindparam("b_now"))
    .returning(LEASES.c.commits)
)
_RENEW = LEASES.update().where(_MINE).values(renewed_at=sa.bindparam("b_now"))
_RELEASE = LEASES.update().where(_MINE).values(released=True, renewed_at=sa.bindparam("b_now"))


@dataclass(frozen=True)
class Lease:
    """The lease as its holder has it. Each method works within the caller's transaction."""

    fence: int
    commits: int
    """When it was taken, that one included."""
    lost_commits: int
    """How many commits were found missing, ever."""

    @classmethod
    def take(cls, connection: sa.Connection, now: datetime, holder: str, marked: int) -> Self:
        """Take the lease as `holder`, who has the file lock of this machine; `marked` commits there were at least.

        Where more were marked than are there, commits were lost, and no store is trusted any more. Raises LedgerInUse.
        """
        before = holding(connection)
        if before:
            _check_is_free(before, now)
        known = before.commits if before else 0
        lost = max(0, marked - known)
        if lost:
            connection.execute(TRUSTED_STORES.delete())
        taken = cls(
            fence=(before.fence if before else 0) + 1,
            commits=max(marked, known) + 1,
            lost_commits=(before.lost_commits if before else 0) + lost,
        )
        values = {
            "fence": taken.fence,
            "holder": holder,
            "host": this_host(),
            "taken_at": text_of(now),
            "renewed_at": text_of(now),
            "released": False,
            "commits": taken.commits,
            "lost_commits": taken.lost_commits,
        }
        statement = LEASES.update().where(_OF_LEDGER) if before else LEASES.insert().values(name=_NAME)
        connection.execute(statement.values(values))
        return taken

    def count_commit(self, connection: sa.Connection, now: str) -> int:
        """Count the transaction at hand; return how many there are with it. Raises LeaseLost."""
        commits = connection.execute(_COUNT, self._bound(now)).scalar_one_or_none()
        if commits is None:
            raise self._lost(connection)
        return int(commits)

    def renew(self, connection: sa.Connection, now: str) -> None:
        """Give a sign of life. Raises LeaseLost."""
        if not connection.execute(_RENEW, self._bound(now)).rowcount:
            raise self._lost(connection)

    def release(self, connection: sa.Connection, now: str) -> None:
        """Let the next one in; where it was lost already, leave it alone."""
        connection.execute(_RELEASE, self._bound(now))

    def _bound(self, now: str) -> dict[str, object]:
        return {"b_fence": self.fence, "b_now": now}

    def _lost(self, connection: sa.Connection) -> LeaseLost:
        message = (
            f"another loader took over the ledger ({holding(connection) or 'unknown'}): this one may not write any "
            "more; what it had under way will be looked up"
        )
        return LeaseLost(message)


def _check_is_free(before: Holding, now: datetime) -> None:
    # On this machine the file lock has told that its holder is dead.
    if before.released or before.host == this_host() or before.is_stale(now):
        return
    free_at = text_of(before.renewed_at + timedelta(seconds=LEASE_S))
    message = (
        f"the ledger is in use by another loader ({before}); wait for it to end. Should it be dead, its place can be "
        f"taken at {free_at}"
    )
    raise LedgerInUse(message)


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
