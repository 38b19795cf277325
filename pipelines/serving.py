"""A program that serves until somebody ends it: it and all that it started go with the signal that its own parent gets.

Dagster's web UI is a tree of processes, and a shell's Ctrl-C reaches all of it; `kill`, a supervisor or a closed terminal reach
the first one alone.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IN_ORDER_S = 45.0
"""What is in flight in a run gets 30 s, and its books are written after that."""
_POLL_S = 0.1


def serve(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program; return its exit code, or 0 where it was ended by SIGINT, SIGTERM or SIGHUP to this process.

    All that it started is interrupted then, and killed by a second signal or after `IN_ORDER_S`. Whatever else ends
    it, nothing that it started is left.
    """
    signals: list[int] = []
    group: int | None = None

    def end(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        if group is not None:
            _signal(group, signal.SIGINT if len(signals) == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, end) for number in _ENDING}
    try:
        # A session of its own: who presses Ctrl-C interrupts us, and we the others, once.
        with subprocess.Popen(command, env=environment, start_new_session=True) as process:  # noqa: S603  (our own command)
            group = process.pid
            if signals:
                _signal(group, signal.SIGINT)
            code = process.wait()
            if not signals:
                _signal(group, signal.SIGTERM)
            _wait_for(group)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0 if signals else code


def _wait_for(group: int) -> None:
    deadline = time.monotonic() + IN_ORDER_S
    while _signal(group, 0):
        if time.monotonic() > deadline:
            _signal(group, signal.SIGKILL)
            return
        time.sleep(_POLL_S)


def _signal(group: int, number: int) -> bool:
    """Send a signal to all processes of a group; say whether there is any."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)
        return True
    return False
