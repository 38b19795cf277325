"""What the machine refuses is one sentence with the place, whichever library tells of it."""

import errno
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from corso.machine_errors import MEMORY, database_refusal, machines_error, sentence_of
from corso.report.atomic import replacing
from corso.unexpected import CRASH, keep_unexpected, said_of

FULL = "No space left on device"
OF_POLARS = "parquet: File out of specification: underlying IO error"

SAID = {
    "a file": (OSError(errno.ENOSPC, FULL, "work/x.csv"), f"work/x.csv: the disk is full or failing ({FULL})"),
    "no file": (
        OSError(errno.ENOSPC, FULL),
        f"the disk of the workdir, or of temporary files, is full or failing ({FULL})",
    ),
    "a failing disk": (
        OSError(errno.EIO, "Input/output error", "a"),
        "a: the disk is full or failing (Input/output error)",
    ),
    "polars": (
        pl.exceptions.ComputeError(f"{OF_POLARS}: {FULL} (os error 28)"),
        f"the disk of the workdir, or of temporary files, is full or failing ({FULL})",
    ),
    "polars, a long path": (
        OSError(f"{FULL} (os error 28): ...tables/x.parquet (set POLARS_VERBOSE=1 to see full path)"),
        f"...tables/x.parquet: the disk is full or failing ({FULL})",
    ),
    "polars, a file that is gone": (
        FileNotFoundError("No such file or directory (os error 2): a/x.parquet"),
        "[Errno 2] No such file or directory: 'a/x.parquet'",
    ),
    "no folder to be in": (
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        "the working directory is not there any more",
    ),
    "not ours to write": (
        PermissionError(errno.EACCES, "Permission denied", "a"),
        "[Errno 13] Permission denied: 'a'",
    ),
    "a sentence of ours": (OSError("Dagster's history a.db: the disk is full"), "Dagster's history a.db: the disk is full"),
    "memory": (MemoryError(), MEMORY),
}  # fmt: skip


@pytest.mark.parametrize(("error", "sentence"), SAID.values(), ids=SAID.keys())
def test_the_sentence_names_the_place_and_the_disk(error: Exception, sentence: str) -> None:
    """No path is cut with a word on how a programmer would see it whole."""
    told = machines_error(error)
    assert isinstance(told, OSError | MemoryError)
    assert sentence_of(told) == sentence
    assert said_of(told) == f"{type(told).__name__}: {sentence}"


def test_a_mistake_of_the_program_stays_one() -> None:
    """Also polars': only what carries a number of the system is the machine's."""
    for error in (
        pl.exceptions.ComputeError("conversion from `str` to `i64` failed"),
        ValueError(f"{FULL} (os error 28)"),
    ):
        assert machines_error(error) is error


def test_a_report_that_the_disk_refuses_is_named(tmp_path: Path) -> None:
    """A write tells no file; the old report stays, and no draft."""
    path = tmp_path / "results.csv"
    path.write_text("old")
    for refused in (OSError(errno.ENOSPC, FULL), pl.exceptions.ComputeError(f"{OF_POLARS}: {FULL} (os error 28)")):  # fmt: skip
        with pytest.raises(OSError, match=r"results\.csv") as told, replacing(path):
            raise refused
        assert sentence_of(told.value) == f"{path}: the disk is full or failing ({FULL})"
    assert [each.name for each in tmp_path.iterdir()] == ["results.csv"]
    assert path.read_text() == "old"


def test_a_database_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    """SQLite says `disk I/O error` of most that can happen to a disk."""
    connection = sqlite3.connect(tmp_path / "a.db")
    connection.execute("CREATE TABLE a (b)")
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.execute("INSERT INTO a VALUES (zeroblob(100000))")
    connection.close()
    assert database_refusal(full.value) == "the disk is full or failing: database or disk is full"
    with pytest.raises(sqlite3.OperationalError) as nowhere:
        sqlite3.connect(tmp_path / "none" / "a.db")
    assert (
        database_refusal(nowhere.value)
        == "it cannot be opened or made, as where a disk is full: unable to open database file"
    )
    assert database_refusal(sqlite3.OperationalError("no such table: a")) is None


def test_an_error_that_cannot_be_kept_is_still_the_one_that_is_told(tmp_path: Path) -> None:
    """On a full disk there is no room for its text."""
    (tmp_path / "tables").write_text("")
    keep_unexpected(ValueError("x"), tmp_path / "tables")
    keep_unexpected(MemoryError(), tmp_path)
    assert not (tmp_path / CRASH).exists()
    assert [each.name for each in tmp_path.iterdir()] == ["tables"]
