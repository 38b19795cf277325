"""The database that a ledger is in: what differs between a file (`sqlite`) and a server (`postgres`).

How it is opened, how its layout is made and brought up to date, whose clock tells the time of leases, and how its errors
are told. What is asked of it is the same for both and stands in `reading`, `transitions` and `ledger`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa

from corso.clock import Clock
from corso.delivery.transitions import Rows, Transitions
from corso.errors import LedgerError

Answer = TypeVar("Answer")

_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 1.0
"""Between two tries: a dropped connection is back at once, a server that restarts is not."""


class Database(ABC):
    """An open database. Connecting raises LedgerError and LedgerTooNew for what is not a ledger of ours."""

    rows: Rows
    """What gives the rows of a JSON array as a table."""
    transitions: ClassVar[Transitions]
    """The statements that change entries' states."""

    def __init__(self, name: str, reader: sa.Engine, writer: sa.Engine) -> None:
        self.name = name
        """What messages call it; no secret."""
        self.reader = reader
        self.writer = writer
        """For transactions that write."""
        self.patience_s = 0.0
        """So long a connection that broke is tried again."""

    @abstractmethod
    def version_of(self, connection: sa.Connection) -> int:
        """Return the version of the layout; 0 where there are no tables yet."""

    @abstractmethod
    def prepare(self, connection: sa.Connection, now: str) -> None:
        """Make the tables, or bring an older version's up to date, within the transaction at hand."""

    @abstractmethod
    def utc(self, connection: sa.Connection, clock: Clock) -> datetime:
        """Return what time it is for leases."""

    @staticmethod
    @abstractmethod
    def as_json(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """Return all values of a column of texts as one JSON array; an empty one where there is no row."""

    @abstractmethod
    def now(self, clock: Clock) -> str | sa.ColumnElement[str]:
        """Return the same for a statement that writes it, as text or as what the server computes."""

    @abstractmethod
    def lock(self, connection: sa.Connection, name: str) -> None:
        """Let nobody else take the lease of this name, nor lay the tables out, until the transaction ends."""

    @abstractmethod
    def is_passing(self, error: sa.exc.DBAPIError) -> bool:
        """Say whether the same may work in a moment on another connection."""

    @abstractmethod
    def reason_of(self, error: BaseException) -> str:
        """Say in a few words, on one line and without a secret, what went wrong."""

    def patiently(self, act: Callable[[], Answer]) -> Answer:
        """Do something that may be done again where the connection breaks; raises what is left after `patience_s`."""
        give_up_at, pause_s = time.monotonic() + self.patience_s, _SHORTEST_PAUSE_S
        while True:
            try:
                return act()
            except sa.exc.DBAPIError as error:
                if not self.is_passing(error) or time.monotonic() >= give_up_at:
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Yield a connection to ask with. Raises LedgerError in one sentence."""
        with self.told(), self.patiently(self.reader.connect) as connection:
            yield connection

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn the database's errors into one sentence."""
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self.unusable(error.orig or error) from error

    def unusable(self, error: BaseException) -> LedgerError:
        """Return the error that says so, and what to do."""
        message = (
            f"{self.name}: the ledger cannot be used ({self.reason_of(error)}); nothing that was sent is lost: mend this "
            "and run the same command again"
        )
        return LedgerError(message)

    def dispose(self) -> None:
        """Close all connections."""
        self.reader.dispose()
        self.writer.dispose()
