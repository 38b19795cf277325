"""Which process this is, and whether another one of this machine still runs.

A server's lease outlives its holder by a minute; where the holder was a process of this very machine, it can be seen at
once that it is gone. Only Linux tells; elsewhere nothing is known, and the minute is waited for.
"""

import os
from pathlib import Path

_PROCESSES = Path("/proc")
_DEAD = {"Z", "X"}
"""What the system says of a process that has ended and was not yet taken note of."""


def this_process_tells() -> str | None:
    """Tell this process from all others of this boot of this machine, also from a later one of its number."""
    found = _state_and_start(os.getpid())
    return None if found is None else f"{_namespace()} {os.getpid()} {found[1]}"


def is_gone(told: str | None) -> bool:
    """Say whether the process that `this_process_tells` told of has surely ended; asked on the same boot."""
    if told is None:
        return False
    namespace, number, start = told.split()
    # Of the processes of another container nothing is seen here.
    if namespace != _namespace():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # Another user's; where that is hidden, too, it counts as alive.
        pass
    found = _state_and_start(int(number))
    return found is not None and (found[0] in _DEAD or found[1] != start)


def _namespace() -> str | None:
    try:
        return (_PROCESSES / "self/ns/pid").readlink().name
    except OSError:
        return None


def _state_and_start(number: int) -> tuple[str, str] | None:
    try:
        # Behind the name, which may hold anything: state, 18 more, start in ticks since boot.
        fields = (_PROCESSES / str(number) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], fields[19]
