"""The lock on a batch's tables as leases on the ledger's server (`batch_lock` says what it is for).

The lease `batch 9359/2026-11-22` is the run's; all its processes renew it. Each step in a process of its own has a row
beside it, `run <id> <step>`, while the run goes on: it tells whether the step's process lives, and that it was begun.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from functools import partial

import sqlalchemy as sa

from corso.clock import SystemClock
from corso.database import SharedLedger
from corso.delivery.batch_lock import Held, Run, is_over
from corso.delivery.entry import text_of
from corso.delivery.lease import (
    RENEW_EVERY_S,
    Claim,
    Heartbeat,
    Holding,
    Lease,
    holding,
    in_use,
    this_host,
)
from corso.delivery.lock import this_process
from corso.delivery.postgres import PostgresDatabase
from corso.delivery.process import this_process_tells
from corso.delivery.tables import LEASES
from corso.delivery.tenure import PATIENCE_S
from corso.errors import LeaseLost, LedgerError

_CLOCK = SystemClock()


class Life(Enum):
    """What the lease tells of a run."""

    ALIVE = "alive"
    GONE = "gone"
    NOT_THERE = "not there"
    """It does not hold the batch: not yet, or no more."""


class _Leased(Held):
    def __init__(self, database: PostgresDatabase, run: Run, leases: Sequence[Lease]) -> None:
        self._database = database
        self._run = run
        self._leases = leases

    def check(self) -> None:
        """See `Held.check`. Waits for a server that restarts; raises LedgerError, too."""
        with self._database.told():
            self._database.patiently(self._renew)

    def steps(self) -> dict[str, bool]:
        """See `Held.steps`. Raises LedgerError."""
        with self._database.reading() as connection:
            now = self._database.utc(connection, _CLOCK)
            found = _steps(connection, self._run.id)
            return {step: not row.released and row.is_dead(now) for step, row in found.items()}

    def renew(self) -> None:
        """Give a sign of life. Raises LeaseLost and LedgerError."""
        with self._database.told():
            self._renew()

    def _renew(self) -> None:
        with self._database.writer.begin() as connection:
            for each in self._leases:
                each.renew(connection, self._database.now(_CLOCK))


@contextmanager
def held_by_lease(place: SharedLedger, store_id: int, batch: str, run: Run) -> Iterator[Held]:
    """See `BatchTables.held`."""
    claim = _claim(store_id, batch, run)
    with _opened(place) as database:
        with database.told(), database.writer.begin() as connection:
            database.lock(connection, claim.name)
            _sweep(database, connection, claim)
            lease = Lease.take(connection, partial(database.utc, connection, _CLOCK), claim)
        with _kept(_Leased(database, run, [lease])) as held:
            try:
                yield held
            finally:
                # Where the server is away, the lease runs out by itself.
                with suppress(LedgerError), database.told(), database.writer.begin() as connection:
                    lease.release(connection, database.now(_CLOCK))
                    connection.execute(LEASES.delete().where(_is_step_of(run.id), LEASES.c.released))


@contextmanager
def entered_by_lease(place: SharedLedger, store_id: int, batch: str, run: Run, step: str) -> Iterator[Held]:
    """See `BatchTables.entered`."""
    claim = _claim(store_id, batch, run)
    with _opened(place) as database:
        with database.told(), database.writer.begin() as connection:
            database.lock(connection, claim.name)
            of_run = Lease.join(connection, claim)
            if of_run is None:
                found = holding(connection, claim.name)
                raise is_over(claim.what, run, step, found.holder if found and not found.released else None)
            of_step = _begin_step(database, connection, claim, run, step)
        with _kept(_Leased(database, run, [of_run, of_step])) as held:
            try:
                yield held
            finally:
                with suppress(LedgerError), database.told(), database.writer.begin() as connection:
                    is_it = LEASES.c.name == of_step.claim.name
                    connection.execute(LEASES.update().where(is_it).values(released=True))


def life_of(place: SharedLedger, store_id: int, batch: str, run_id: str) -> Life:
    """Return what the lease of a batch tells of a run, wherever it runs. Raises LedgerError."""
    with _opened(place) as database, database.reading() as connection:
        found = holding(connection, _name(store_id, batch))
        if found is None or found.released or not Run(run_id).is_named_in(found.holder):
            return Life.NOT_THERE
        return Life.GONE if found.is_dead(database.utc(connection, _CLOCK)) else Life.ALIVE


def _name(store_id: int, batch: str) -> str:
    return f"batch {store_id}/{batch}"


def _claim(store_id: int, batch: str, run: Run) -> Claim:
    what = f"batch {batch} of store {store_id}"
    return Claim(
        _name(store_id, batch), what, store_id, run.holder, is_shared=True, is_one_process=not run.in_steps
    )


def _is_step_of(run_id: str) -> sa.ColumnElement[bool]:
    return LEASES.c.name.startswith(f"run {run_id} ", autoescape=True)


def _begin_step(
    database: PostgresDatabase, connection: sa.Connection, claim: Claim, run: Run, step: str
) -> Lease:
    """Note that a step begins. Raises LeaseLost where it was begun before: nothing is done twice in a run."""
    name, holder = f"run {run.id} {step}", f"{this_process()}, {step} of {run.holder}"
    if (found := holding(connection, name)) is not None:
        message = f"{step} of run {run.id} was begun before ({found.holder}): it is not done a second time"
        raise LeaseLost(message)
    now = text_of(database.utc(connection, _CLOCK))
    row = {
        "name": name,
        "fence": 1,
        "holder": holder,
        "host": this_host(),
        "process": this_process_tells(),
        "taken_at": now,
        "renewed_at": now,
        "released": False,
        "commits": 0,
        "lost_commits": 0,
    }
    connection.execute(LEASES.insert().values(row))
    of_step = Claim(name, f"{step} of {claim.what}", claim.store_id, holder, is_shared=True)
    return Lease(of_step, fence=1, commits=0, lost_commits=0, tenure_id=0)


def _sweep(database: PostgresDatabase, connection: sa.Connection, claim: Claim) -> None:
    """Remove what a killed run left of its steps. Raises LeaseHeld where one of them is still at work."""
    before = holding(connection, claim.name)
    if before is None:
        return
    run_id, now = before.holder.rpartition(" ")[2], database.utc(connection, _CLOCK)
    for step in _steps(connection, run_id).values():
        if not step.released and not step.is_dead(now):
            raise in_use(step, claim)
    # Another run's that still holds the batch is refused, and its steps stay with that.
    if before.released or before.is_dead(now):
        connection.execute(LEASES.delete().where(_is_step_of(run_id)))


def _steps(connection: sa.Connection, run_id: str) -> dict[str, Holding]:
    """Return step -> its row, of those of a run that were begun."""
    names = connection.execute(sa.select(LEASES.c.name).where(_is_step_of(run_id))).scalars().all()
    found = {name.removeprefix(f"run {run_id} "): holding(connection, name) for name in names}
    return {step: row for step, row in found.items() if row is not None}


@contextmanager
def _kept(leased: _Leased) -> Iterator[_Leased]:
    heartbeat = Heartbeat(leased.renew, RENEW_EVERY_S)
    try:
        yield leased
    finally:
        heartbeat.stop()


@contextmanager
def _opened(place: SharedLedger) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(place.url)
    try:
        with database.told(), database.writer.begin() as connection:
            database.prepare(connection, text_of(_CLOCK.utc()))
        database.patience_s = PATIENCE_S
        yield database
    finally:
        database.dispose()
