"""File locks: one writer of a ledger or a batch's tables, and one sender per credential, on this machine.

The operating system drops a lock with its process, also at kill -9: nobody has to clean up, and who finds it free
knows that its last holder is gone. What they cannot tell (a holder on another machine) is `lease`'s business.
"""

import fcntl
import os
import socket
import stat
import tempfile
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from corso.database import LedgerPlace
from corso.errors import LedgerError, LedgerInUse

_LONGEST_TEXT = 5_000


def this_process() -> str:
    """Name this process to whoever has to wait for it."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lock:
    """A lock on a file of its own, beside what it guards."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path, holder: str, *, what: str = "the ledger", shared: bool = False) -> Self:
        """Take the lock on something as `holder`. Raises LedgerInUse, which names the other holder, and OSError."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        with ExitStack[None]() as undo:
            undo.callback(os.close, descriptor)
            other = _lock(descriptor, holder, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            if other is not None:
                message = f"{what} is in use by another loader ({other}); wait for it to end"
                raise LedgerInUse(message)
            undo.pop_all()
        return cls(descriptor)

    @classmethod
    def share(cls, path: Path, holder: str, *, what: str) -> Self:
        """Take the lock beside others that share it. Raises LedgerInUse where somebody has it alone, and OSError."""
        return cls.take(path, holder, what=what, shared=True)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def holder_of(path: Path) -> str | None:
    """Return what the holder of the lock on a file wrote there; None where nobody has it."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _told(descriptor)
        finally:
            os.close(descriptor)
    return None


def last_holder_of(path: Path) -> str | None:
    """Return what the last holder of the lock on a file wrote there; None where somebody has it, or nobody ever had."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return _told(descriptor)
        except BlockingIOError:
            return None
        finally:
            os.close(descriptor)
    return None


class CredentialLock:
    """The right to send with one set of credentials; release it, or use it as a context manager.

    It is taken in every folder of `_folders`: a nightly job has no XDG_RUNTIME_DIR, a person at a terminal has, and
    they must meet all the same.
    """

    def __init__(self, held: ExitStack[None]) -> None:
        self._held = held

    @classmethod
    def take(cls, fingerprint: str, *, ledger: LedgerPlace | None = None) -> Self:
        """Take the lock; `fingerprint` tells these credentials from others and must hold no secret.

        Raises LedgerInUse, which names the process that has it and its ledger, and LedgerError where the place for
        locks is not ours alone.
        """
        name = sha256(fingerprint.encode()).hexdigest()
        holder = this_process() + (f", ledger {ledger}" if ledger else "")
        with ExitStack[None]() as taken:
            for folder in _folders():
                _take_in(folder, name, holder, taken)
            held = taken.pop_all()
        return cls(held)

    def release(self) -> None:
        """Let the next one in."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _folders() -> list[Path]:
    """Return where this user's locks are kept on this machine."""
    folders = [Path(tempfile.gettempdir()) / f"corso-loader-{os.geteuid()}"]
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    # After `su` it names another user's.
    if runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == os.geteuid():
        folders.append(runtime / "corso-loader")
    return folders


def _take_in(folder: Path, name: str, holder: str, held: ExitStack[None]) -> None:
    try:
        other = _held_by_another(folder, name, holder, held)
    except OSError as error:
        message = f"{folder}: the lock on the credentials cannot be taken ({error.strerror})"
        raise LedgerError(message) from None
    if other is not None:
        message = f"these credentials are in use by another loader ({other}); one sender per credential: wait for it to end"
        raise LedgerInUse(message)


def _held_by_another(folder: Path, name: str, holder: str, held: ExitStack[None]) -> str | None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # By descriptor from here on, so that nobody exchanges what was checked.
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    held.callback(os.close, place)
    _check_is_ours(folder, place)
    os.fchmod(place, 0o700)
    # Whoever tidies up temporary files (systemd-tmpfiles does) leaves a locked folder alone: a load takes weeks.
    fcntl.flock(place, fcntl.LOCK_SH)
    file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=place)
    held.callback(os.close, file)
    _check_is_ours(folder / name, file)
    return _lock(file, holder)


def _check_is_ours(path: Path, descriptor: int) -> None:
    found = os.fstat(descriptor)
    is_expected = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
    if found.st_uid != os.geteuid() or not is_expected:
        message = f"{path}: belongs to another user, so it cannot tell who uses the credentials; remove it"
        raise LedgerError(message)


def _told(descriptor: int) -> str:
    text = os.pread(descriptor, _LONGEST_TEXT, 0).decode(errors="replace")
    return " ".join(text.split()) or "unknown"


def _lock(descriptor: int, holder: str, kind: int = fcntl.LOCK_EX) -> str | None:
    """Lock an open file and write down who holds it; where another does, return what that one wrote."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return _told(descriptor)
    # Words for messages only: the lock holds on a full disk, too.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(errors="replace"), 0)
    return None
