"""The environment of the loader's own sides: functions are run here without the command, and are to be set like it."""

import os

from benchmarks.measured_process import ALLOCATOR
from pipelines import ARENAS


def environment() -> dict[str, str]:
    """Return this process's environment with the allocator's setting that every run of the loader has."""
    return os.environ | {ALLOCATOR: ARENAS}
