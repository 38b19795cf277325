"""Runs commands as processes of their own and says what each run took: seconds, processor seconds, peak memory.

The processes are started by a small one, this file run by itself: Linux counts the memory of whoever starts a program
as that program's peak, too, and a benchmark that holds polars is larger than some of what it measures. So nothing but
the standard library is imported here.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ALLOCATOR = "_RJEM_MALLOC_CONF"
"""The variable that `pipelines` sets for the loader's own processes."""
_KIB_OR_BYTES = 1024 if sys.platform.startswith("linux") else 1


@dataclass(frozen=True)
class Measured:
    """What one run took, start-up included."""

    wall_s: float
    cpu_s: float
    """Of all processes, those that they started included."""
    peak_mib: float
    """The largest resident size; of commands in a pipe the sum, of processes that they started the largest."""
    code: int
    """The exit code; of commands in a pipe the first that is not 0."""


def run(
    *commands: Sequence[str | Path], output: Path, errors: Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """Run a command, or several as a pipe; their outputs go into files.

    Unless `environment` says otherwise, polars' allocator is as polars sets it: not as this process has it.
    """
    inherited = {key: value for key, value in os.environ.items() if key != ALLOCATOR}
    words = [[str(word) for word in command] for command in commands]
    task = {"commands": words, "output": str(output), "errors": str(errors)}
    starter = [sys.executable, "-I", "-S", __file__]
    done = subprocess.run(
        starter,
        input=json.dumps(task),
        env=environment or inherited,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return Measured(**json.loads(done.stdout))


def _start(commands: Sequence[Sequence[str]], output: str, errors: str) -> Measured:
    began = time.perf_counter()
    processes: list[subprocess.Popen[bytes]] = []
    with open(output, "wb") as said, open(errors, "wb") as complained:  # noqa: PTH123  # strings out of JSON
        for number, command in enumerate(commands, start=1):
            before = processes[-1].stdout if processes else None
            out = said if number == len(commands) else subprocess.PIPE
            processes.append(
                subprocess.Popen(command, stdin=before or subprocess.DEVNULL, stdout=out, stderr=complained)
            )
            if before:
                # Else the first would not learn that the second has ended.
                before.close()
        ended = [os.wait4(process.pid, 0) for process in processes]
    codes = [os.waitstatus_to_exitcode(status) for _, status, _ in ended]
    for process, code in zip(processes, codes, strict=True):
        process.returncode = code
    return Measured(
        wall_s=time.perf_counter() - began,
        cpu_s=sum(usage.ru_utime + usage.ru_stime for _, _, usage in ended),
        peak_mib=sum(usage.ru_maxrss for _, _, usage in ended) * _KIB_OR_BYTES / 2**20,
        code=next((code for code in codes if code), 0),
    )


if __name__ == "__main__":
    print(json.dumps(_start(**json.load(sys.stdin)).__dict__))
