"""What the machine refuses (a full disk, no memory), whichever library says so: one sentence that names the place.

Such an error is no mistake of the program, nor of the data: mended, the same command goes on. Libraries tell of it in classes
of their own, polars in a ComputeError with the system's number in its text. None is imported here: it may not be there.
"""

import errno
import os
import re
import sqlite3
from typing import TypeGuard

_NUMBER = re.compile(r" \(os error (\d+)\)(?:: (?P<path>.+?))?(?: \(set POLARS_VERBOSE=1 .*\))?$", re.DOTALL)
"""How Rust's libraries tell of one."""
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
_IN_A_DATABASE = {
    sqlite3.SQLITE_FULL: "the disk is full or failing",
    sqlite3.SQLITE_IOERR: "the disk is full or failing",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or made, as where a disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written",
}
_KIND = 0xFF
"""Which bits of an SQLite error's code are its kind."""

MEMORY = "memory ran out: give the program more, or lower limits.memory in loader.yaml"


def is_the_machines(error: BaseException) -> TypeGuard[OSError | MemoryError]:
    """Say whether an error tells what the machine refuses."""
    return isinstance(error, OSError | MemoryError)


def machines_error(error: BaseException) -> BaseException:
    """Return what the machine refused where a library tells of it in a class of its own; else the error as it is."""
    if type(error).__module__.startswith("polars.") or _is_without_a_number(error):
        found = _NUMBER.search(str(error))
        if found is not None:
            number, path = int(found[1]), found["path"]
            return OSError(number, os.strerror(number), *([path] if path else []))
    return error


def sentence_of(error: OSError | MemoryError) -> str:
    """Say what the machine refused, and where: the file, or at least whose disk it may be."""
    if isinstance(error, MemoryError):
        return MEMORY
    told = machines_error(error)
    if not isinstance(told, OSError):
        return str(error)
    if told.errno in _OF_THE_DISK:
        place = (
            f"{told.filename}: the disk"
            if told.filename
            else "the disk of the workdir, or of temporary files,"
        )
        return f"{place} is full or failing ({told.strerror})"
    if isinstance(told, FileNotFoundError) and told.errno is not None and told.filename is None:
        return "the working directory is not there any more"
    return str(told).splitlines()[0] if str(told) else type(told).__name__


def database_refusal(error: BaseException) -> str | None:
    """Say what the disk refuses an SQLite file; None where the error is another one."""
    code = getattr(error, "sqlite_errorcode", None)
    said = None if code is None else _IN_A_DATABASE.get(code & _KIND)
    return f"{said}: {error}" if said else None


def _is_without_a_number(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno is None
