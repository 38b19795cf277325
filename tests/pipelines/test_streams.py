"""What becomes of the command's words decides nothing: the exit code is that of what was done.

The command as a process: closed streams, readers that are gone and full disks are only there.
"""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loader_process import COMMAND, Shop, environment, good_orders
from tests.sandbox_process import running_sandbox

pytestmark = pytest.mark.slow

LOST = "corso-loader: standard output could not be written (No space left on device)"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A merchant with good orders; nothing listens where it would send."""
    shop = Shop(tmp_path)
    shop.configure()
    shop.export(good_orders(range(3)))
    return shop


def in_a_shell(shop: Shop, verb: str, streams: str, *options: str, **changes: str | None) -> tuple[int, str]:
    """Run a verb with its streams laid as the shell can; return its exit code, and standard error where that is ours."""
    words = shlex.join([sys.executable, *COMMAND, *shop.command(verb, options)])
    done = subprocess.run(
        ["bash", "-c", f"{words} {streams}; exit ${{PIPESTATUS[0]}}"],
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("streams", ["2>/dev/full", "2>&-", ">&- 2>&-", ">/dev/null 2>/dev/full </dev/null"])
def test_a_load_goes_through_where_standard_error_takes_nothing(streams: str, tmp_path: Path) -> None:
    """A night's log on a full disk, or none at all."""
    with running_sandbox("--limit", "0") as sandbox:
        shop = Shop(tmp_path, sandbox)
        shop.configure("upload: {canary: 0}")
        shop.export(good_orders(range(3)))
        assert in_a_shell(shop, "run", streams) == (0, "")
        assert sandbox.counts()["orders"] == 3


@pytest.mark.parametrize("streams", [">&-", "| true", "| head -1"])
def test_a_reader_that_has_enough_changes_no_exit_code(streams: str, shop: Shop) -> None:
    """Nor does one that never was, and nothing is said of it."""
    for verb, option in (("plan", "--offline"), ("status", "--json")):
        code, err = in_a_shell(shop, verb, streams, option)
        assert (code, [line for line in err.splitlines() if "corso-loader" in line or "Error" in line]) == (
            0,
            [],
        )


def test_facts_that_are_lost_are_said_and_need_a_look(shop: Shop) -> None:
    """Somebody waited for them, so the end is not good; one that was worse stays what it was."""
    code, err = in_a_shell(shop, "plan", ">/dev/full", "--offline")
    assert code == 1
    assert [line for line in err.splitlines() if LOST in line] == err.splitlines()[-1:]
    assert shop.summary()["plan"]["create"] == 3
    shop.export([])
    code, err = in_a_shell(shop, "plan", ">/dev/full", "--json")
    assert code == 2
    assert err.count("corso-loader: ") == 2
    assert LOST in in_a_shell(shop, "plan", ">/dev/full", "--help")[1]


def test_no_file_comes_to_stand_where_a_stream_was_closed(shop: Shop) -> None:
    """It would be written the command's words."""
    code, err = in_a_shell(shop, "plan", ">&-", "--offline")
    assert (code, "Traceback" in err) == (0, False)
    written = [path for path in shop.folder.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if path.suffix != ".html" and b"Batch 2026" in path.read_bytes()]


def test_letters_that_a_terminal_does_not_have_are_spelt_out(shop: Shop) -> None:
    """An old terminal is no reason to end otherwise."""
    odd = Shop(shop.folder / "café")
    odd.configure()
    odd.export(good_orders(range(1)))
    code, err = in_a_shell(odd, "plan", "2>&1 | cat >&2", "--offline", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert code == 0, err
    assert "caf\\xe9/work" in err
