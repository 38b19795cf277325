"""A program that is served, and all that it started, end with whoever serves it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_SERVING = """
import os, sys
from pipelines import serving
serving.IN_ORDER_S = float(sys.argv[2])
code = serving.serve([sys.executable, "-c", sys.argv[1]], os.environ)
print("ended", code, flush=True)
"""
_TREE = """
import os, signal, subprocess, sys
child = [sys.executable, "-c", "import signal, sys, time; {ways}; print(flush=True); time.sleep(60)"]
started = subprocess.Popen(child, stdout=subprocess.PIPE)
started.stdout.readline()
print(os.getpgid(0), flush=True)
{then}
"""
_STUBBORN = "[signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]"
_WAITS = "signal.signal(signal.SIGINT, signal.SIG_DFL); signal.pause()"

pytestmark = pytest.mark.slow


@contextmanager
def served(ways: str, then: str, patience_s: float) -> Iterator["tuple[subprocess.Popen[str], int]"]:
    """Serve a program with a child; yield who serves it, and the group of both once the child is ready."""
    program = _TREE.format(ways=ways, then=then)
    command = [sys.executable, "-c", _SERVING, program, str(patience_s)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        group = int(process.stdout.readline())
        try:
            yield process, group
        finally:
            process.kill()
            with suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


def is_gone(group: int) -> bool:
    """Say whether no process of a group runs; one that ended and that nobody has asked about yet does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return False
    return True


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_to_who_serves_ends_all_that_was_started(number: signal.Signals) -> None:
    """To it alone, as `kill` or a supervisor sends it; then it returns."""
    with served("signal.signal(signal.SIGINT, signal.SIG_DFL)", _WAITS, patience_s=20) as (process, group):
        process.send_signal(number)
        assert process.communicate(timeout=30)[0] == "ended 0\n"
        assert is_gone(group)


def test_what_does_not_end_is_killed_after_a_while_or_at_once_by_a_second_signal() -> None:
    """A run has its time to end in order, and nobody is kept for ever."""
    for patience_s, signals in ((0.5, 1), (60, 2)):
        with served(_STUBBORN, _WAITS, patience_s) as (process, group):
            for _ in range(signals):
                process.terminate()
                time.sleep(0.2)
            assert process.communicate(timeout=30)[0] == "ended 0\n"
            assert is_gone(group)


def test_a_program_that_ends_by_itself_leaves_nothing_behind() -> None:
    """Its exit code is told."""
    with served("0", "sys.exit(3)", patience_s=20) as (process, group):
        assert process.communicate(timeout=30)[0] == "ended 3\n"
        assert is_gone(group)
