"""How polars' allocator is set: by the package that every run of the loader begins with, before polars is there."""

import os
import re
import subprocess
import sys

import pytest

from pipelines import ARENAS


def allocator_settings(imported: str, given: str) -> str:
    """Return the settings as polars' allocator tells them at the end of a program that imports a module of ours."""
    environment = os.environ | {"_RJEM_MALLOC_CONF": f"{given}stats_print:true"}
    program = [sys.executable, "-c", f"import {imported}, polars; polars.Series([1]).sum()"]
    return subprocess.run(program, env=environment, stderr=subprocess.PIPE, check=True, text=True).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="polars has jemalloc on Linux only")
@pytest.mark.parametrize("imported", ["pipelines.cli", "pipelines.definitions"])
def test_polars_has_few_arenas_whatever_the_program_begins_with(imported: str) -> None:
    """The command, and what Dagster loads."""
    arenas = re.search(r"opt\.narenas: (\d+)", allocator_settings(imported, ""))
    assert arenas
    assert f"narenas:{arenas[1]}" == ARENAS


@pytest.mark.skipif(sys.platform != "linux", reason="polars has jemalloc on Linux only")
def test_who_sets_the_arenas_themselves_has_those() -> None:
    """A machine of many cores may want others."""
    assert "opt.narenas: 3\n" in allocator_settings("pipelines.cli", "narenas:3,")
