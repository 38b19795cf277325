"""The mark: how many commits the ledger had, in a file beside the database, to notice when some of them are gone.

A write-ahead log that was cut short, or an older copy of the file put back, is no error to SQLite: it comes up with
an older state, in which operations that were sent look planned. The mark is written after every commit. So a mark
that is ahead of the database proves a loss; one that is behind proves nothing (killed between the two), nor does a
missing or damaged one.
"""

import os
import struct
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Self

_LAYOUT = struct.Struct(">Q8s")
"""The number of commits, and its checksum."""


class Mark:
    """An open mark."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.commits = _commits_in(os.pread(descriptor, _LAYOUT.size, 0))
        """How many commits there have been at least, as found."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the mark; make it where there is none. Raises OSError."""
        return cls(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))

    def write(self, commits: int) -> None:
        """Note that there have been so many commits.

        Not flushed to the disk: a process that is killed takes nothing from the system's cache with it.
        """
        # The commit stands, whatever becomes of the mark; one that is behind raises no false alarm.
        with suppress(OSError):
            os.pwrite(self._descriptor, _LAYOUT.pack(commits, _checksum(commits)), 0)

    def close(self) -> None:
        """Flush it to the disk and close it."""
        with suppress(OSError):
            os.fsync(self._descriptor)
        os.close(self._descriptor)


def _commits_in(content: bytes) -> int:
    if len(content) != _LAYOUT.size:
        return 0
    commits, checksum = _LAYOUT.unpack(content)
    return int(commits) if checksum == _checksum(commits) else 0


def _checksum(commits: int) -> bytes:
    return blake2b(commits.to_bytes(8, "big"), digest_size=8, person=b"ledger.mark").digest()
