"""A file lock beside the ledger: one writer at a time; the operating system drops it when its holder dies."""

import fcntl
import os
import socket
from pathlib import Path
from typing import Self

from corso.errors import LedgerInUse


class Lock:
    """A file lock beside the ledger; the operating system drops it when its holder dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Self:
        """Take the lock. Raises LedgerInUse, which names the holder, and OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            message = f"the ledger is in use by another loader ({holder or 'unknown'}); wait for it to end"
            raise LedgerInUse(message) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)
