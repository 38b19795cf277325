"""The checkpoint: what was read back so far, so that a kill costs no more than the pages that were under way.

One SQLite file (a page, its cursor and what is known of the pass are one commit, flushed to disk), and beside it parts
in Parquet, into which pages go once there are many. A part counts once the file names it; others are left by a kill.

A checkpoint is gone on with only by the same reading (`begin`) and not after a long pause; else it is begun anew. It may be
written to from any thread. What keeps it from writing (a full disk) is Stopped.
"""

import io
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl

from corso.errors import Stopped
from corso.report.atomic import OWNER_ONLY
from corso.report.drift import Drift
from schemas.fields import empty_frame
from schemas.listing import LISTING

LONGEST_PAUSE = timedelta(hours=24)
"""After a longer pause it is begun anew: a run that is parked in the morning goes on in the evening."""

ROWS_PER_PART = 20_000
"""Records of one lane that are kept as pages, and in memory, before they become a part."""

NUMBER = "read_number"
"""The column of a part that says when a record was read: a later page has a greater number."""

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, lane TEXT NOT NULL, records BLOB NOT NULL, drift TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, lane TEXT NOT NULL, drift TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS asked (source_order_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Checkpoint:
    """What was read back so far. Make it with `open`; a context manager that closes it and leaves it there."""

    def __init__(
        self, folder: Path, connection: sqlite3.Connection, publish: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = folder
        self._publish = publish
        self._connection = connection
        self._lock = threading.RLock()
        self._waiting: dict[str, list[tuple[int, pl.DataFrame, Drift]]] = {}
        for number, lane, records, drift in connection.execute("SELECT * FROM pages ORDER BY number"):
            frame = pl.read_ipc(io.BytesIO(records))
            self._waiting.setdefault(lane, []).append((number, frame, _drift_of(drift)))
        kept = {name for (name,) in connection.execute("SELECT name FROM parts")}
        for left in folder.glob("*.parquet*"):
            if left.name not in kept:
                left.unlink()

    @classmethod
    def open(cls, folder: Path, publish: Callable[[], None] = lambda: None) -> Self:
        """Open the one below `folder`; where there is none, or none that can be used, an empty one.

        `publish` is called after each part, with all in one file and nothing being written: it takes the folder to where
        another machine could go on.
        """
        try:
            return cls(folder, _connect(folder), publish)
        except (sqlite3.DatabaseError, pl.exceptions.PolarsError, OSError):
            # Read again what is lost: nothing of it is evidence yet.
            shutil.rmtree(folder, ignore_errors=True)
            with _told(folder):
                return cls(folder, _connect(folder), publish)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def remove(self) -> None:
        """Take it away, once what was read is kept elsewhere."""
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def begin(self, reading: Mapping[str, Any], now: datetime) -> bool:
        """Say whether this goes on with what is there; else it is emptied.

        `reading` is what the reading depends on, plain data; `now` is the time of day.
        """
        kept, last = self.fact("reading"), self.fact("last_kept")
        paused = now - datetime.fromisoformat(last) if last else timedelta.max
        if kept == json.loads(json.dumps(reading)) and timedelta(0) <= paused <= LONGEST_PAUSE:
            return True
        with self._transaction() as connection:
            for table in ("facts", "pages", "parts", "asked"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constant text
            _set(connection, {"reading": reading, "last_kept": now.isoformat()})
        self._waiting = {}
        return False

    def fact(self, name: str) -> Any:
        """Return what was kept under a name; None where nothing was."""
        found = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts, plain data."""
        with self._transaction() as connection:
            _set(connection, facts)

    def keep(
        self,
        lane: str,
        records: pl.DataFrame,
        drift: Drift,
        now: datetime,
        facts: Mapping[str, Any] = {},
        asked: Iterable[str] = (),
    ) -> None:
        """Keep what one request, or some, brought (LISTING), and with it facts, and which orders were asked for.

        It is on the disk when this returns.
        """
        buffer = io.BytesIO()
        records.write_ipc(buffer, compression="lz4")
        with self._lock:
            self._keep(
                lane, records, buffer.getvalue(), drift, {**facts, "last_kept": now.isoformat()}, asked
            )

    def _keep(
        self,
        lane: str,
        records: pl.DataFrame,
        written: bytes,
        drift: Drift,
        facts: Mapping[str, Any],
        asked: Iterable[str],
    ) -> None:
        with self._transaction() as connection:
            row = (lane, written, json.dumps(drift.as_dict()))
            done = connection.execute("INSERT INTO pages (lane, records, drift) VALUES (?, ?, ?)", row)
            connection.executemany("INSERT OR IGNORE INTO asked VALUES (?)", ((each,) for each in asked))
            _set(connection, facts)
        pages = self._waiting.setdefault(lane, [])
        pages.append((int(done.lastrowid or 0), records, drift))
        if sum(frame.height for _, frame, _ in pages) >= ROWS_PER_PART:
            self._make_part(lane)

    def drop(self, lane: str, facts: Mapping[str, Any]) -> None:
        """Forget what a lane has read, for it begins again, and keep facts."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM pages WHERE lane = ?", (lane,))
            connection.execute("DELETE FROM parts WHERE lane = ?", (lane,))
            _set(connection, facts)
        self._waiting.pop(lane, None)

    def latest_ids(self, lane: str, at_least: int) -> list[str]:
        """Return Corso's ids of what a lane read last: so many or more, as far as there are."""
        frames = [frame for _, frame, _ in self._waiting.get(lane, [])]
        ids: list[str] = pl.concat(frames)["corso_order_id"].to_list() if frames else []
        query = "SELECT name FROM parts WHERE lane = ? ORDER BY name DESC"
        for (name,) in self._connection.execute(query, (lane,)):
            if len(ids) >= at_least:
                break
            ids = [
                *pl.read_parquet(self._folder / name, columns=["corso_order_id"], glob=False)[
                    "corso_order_id"
                ],
                *ids,
            ]
        return ids

    def was_asked(self, source_order_ids: Sequence[str]) -> set[str]:
        """Return those of some orders that were asked for one by one."""
        found: set[str] = set()
        for start in range(0, len(source_order_ids), 500):
            some = source_order_ids[start : start + 500]
            marks = ",".join("?" * len(some))
            query = f"SELECT source_order_id FROM asked WHERE source_order_id IN ({marks})"  # noqa: S608
            found |= {each for (each,) in self._connection.execute(query, some)}
        return found

    def count_asked(self) -> int:
        """Return how many orders were asked for one by one."""
        return int(self._connection.execute("SELECT count(*) FROM asked").fetchone()[0])

    def parts(self) -> list[Path]:
        """Return all that was read as parts: LISTING and NUMBER, in the order in which they were begun."""
        for lane in list(self._waiting):
            self._make_part(lane)
        found = [
            self._folder / name
            for (name,) in self._connection.execute("SELECT name FROM parts ORDER BY name")
        ]
        if not found:
            empty = self._folder / "empty"
            _numbered(empty_frame(LISTING), 0).write_parquet(empty)
            return [empty]
        return found

    def drift(self) -> Drift:
        """Return how far all that was read is from the contract."""
        query = "SELECT drift FROM parts UNION ALL SELECT drift FROM pages"
        return sum((_drift_of(text) for (text,) in self._connection.execute(query)), Drift())

    def _make_part(self, lane: str) -> None:
        pages = self._waiting.pop(lane)
        if not pages:
            return
        name = f"{pages[-1][0]:09}.parquet"
        frame = pl.concat([_numbered(records, number) for number, records, _ in pages])
        drift = sum((each for _, _, each in pages), Drift())
        with _told(self._folder):
            _write_through(frame, self._folder / name)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO parts VALUES (?, ?, ?)", (name, lane, json.dumps(drift.as_dict()))
            )
            connection.execute("DELETE FROM pages WHERE lane = ?", (lane,))
        self._publish_whole()

    def _publish_whole(self) -> None:
        with self._lock, _told(self._folder):
            # What is in the log beside the file is put into it.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._publish()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told(self._folder):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into one sentence."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        message = f"{folder}: what is read back cannot be kept ({error}); nothing is lost: mend this and run the same command again"
        raise Stopped(message) from error


def _connect(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "checkpoint.sqlite"
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def _set(connection: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    rows = [(name, json.dumps(value)) for name, value in facts.items()]
    connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)


def _drift_of(text: str) -> Drift:
    return Drift(**json.loads(text))


def _numbered(records: pl.DataFrame, number: int) -> pl.DataFrame:
    return records.with_columns(pl.lit(number, pl.Int64).alias(NUMBER))


def _write_through(frame: pl.DataFrame, path: Path) -> None:
    """Write a file that is on the disk, under its name, when this returns."""
    with path.open("wb") as file:
        path.chmod(OWNER_ONLY)
        frame.write_parquet(file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
