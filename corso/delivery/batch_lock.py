"""The lock on a batch's tables: a run has it as long as it goes on, in however many processes its steps are.

The run takes it once, in the process that starts its steps. Where these are processes of their own, perhaps on other
machines, each enters by the run's id, which no other run has. The lock falls with the run: when it ends; at once when its
process is gone, where it is one process on this machine; else a minute after the last sign of life of any of its processes.

Beside a ledger in a file these are file locks, of one machine. With a ledger on a server they are leases there, for which
all machines ask (`batch_lease`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corso.database import LedgerPlace, SharedLedger
from corso.delivery.lock import Lock, holder_of, last_holder_of, this_process
from corso.errors import LeaseLost


@dataclass(frozen=True)
class Run:
    """A run that works on a batch."""

    id: str
    in_steps: bool = False
    """Whether its steps are processes of their own."""

    @property
    def holder(self) -> str:
        """What others are told of it: of all its processes the same."""
        return f"run {self.id}" if self.in_steps else f"{this_process()}, run {self.id}"

    def is_named_in(self, holder: str) -> bool:
        """Say whether the run is the one that this text names as the holder."""
        return holder.endswith(f"run {self.id}")


class Held:
    """The lock while it is held."""

    def check(self) -> None:
        """Ask whether it still stands. Raises LeaseLost where another run took over; a file lock cannot be lost."""

    def steps(self) -> dict[str, bool]:
        """Return step -> whether it was cut off, of the run's steps that began; with leases only."""
        return {}


@dataclass(frozen=True)
class BatchTables:
    """What is locked."""

    store_id: int
    batch: str
    ledger: LedgerPlace
    folder: Path
    """Where file locks are, beside a ledger in a file."""

    @property
    def shown(self) -> str:
        """What messages call it."""
        return f"batch {self.batch}"

    @contextmanager
    def held(self, run: Run) -> Iterator[Held]:
        """Have the lock for a run. Raises LedgerInUse (files), LeaseHeld (leases), LedgerError."""
        if isinstance(self.ledger, SharedLedger):
            # What speaks to a server is imported where there is one.
            from corso.delivery.batch_lease import held_by_lease  # noqa: PLC0415

            with held_by_lease(self.ledger, self.store_id, self.batch, run) as held:
                yield held
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = Lock.take(self.folder / ".lock", run.holder, what=self.shown)
        try:
            # A step may outlive the process that started it.
            Lock.take(self._steps, run.holder, what=self.shown).release()
            yield Held()
        finally:
            lock.release()

    @contextmanager
    def entered(self, run: Run, step: str) -> Iterator[Held]:
        """Work under the lock of the run, as one of its steps.

        Raises LeaseLost where the run does not have it: it is over, or another one took over. With leases also where the
        step was begun before: a broker may deliver it twice.
        """
        if isinstance(self.ledger, SharedLedger):
            from corso.delivery.batch_lease import entered_by_lease  # noqa: PLC0415

            with entered_by_lease(self.ledger, self.store_id, self.batch, run, step) as held:
                yield held
            return
        holder = holder_of(self.folder / ".lock")
        if holder is None or not run.is_named_in(holder):
            raise is_over(self.shown, run, step, holder)
        lock = Lock.share(self._steps, f"{this_process()}, {step} of {run.holder}", what=self.shown)
        try:
            yield Held()
        finally:
            lock.release()

    def was_let_go_by(self, run: Run) -> bool:
        """Say whether a run was the last to have the lock, beside a ledger in a file, and neither it nor a step of it does now.

        It has ended, or its process is gone: the system drops the lock then, and shows that in every container on this disk.
        Of a run that works on another disk, or does not have the lock yet, the file says nothing.
        """
        last = last_holder_of(self.folder / ".lock")
        return last is not None and run.is_named_in(last) and holder_of(self._steps) is None

    @property
    def _steps(self) -> Path:
        return self.folder / ".steps"


def is_over(what: str, run: Run, step: str, holder: str | None) -> LeaseLost:
    """Return the error of a step whose run does not have the lock; `holder`: who has it instead."""
    now = f"{holder} has it" if holder else "nobody has it"
    message = f"{step} of run {run.id} does not begin: the run does not hold {what} any more ({now})"
    return LeaseLost(message)
