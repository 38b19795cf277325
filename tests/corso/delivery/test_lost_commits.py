"""Lost commits are noticed: a blind resend after a shortened log or an old copy would double orders."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from corso.delivery.ledger import Ledger
from corso.delivery.states import State
from tests.fake_corso import STORE_ID, opened, operation

DATABASE, LOG, INDEX, MARK = "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.mark"


def write_more(ledger: Ledger, number: int) -> None:
    """Commit twice."""
    ledger.plan([operation(number)], "b1")
    ledger.start([operation(number)])


def copied(folder: Path, to: Path, *names: str) -> Path:
    """Copy these files of a ledger, as they are at this moment."""
    to.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(folder / name, to / name)
    return to


def left_by_a_killed_run(folder: Path) -> Path:
    """Return the files of a trusted ledger with ten orders in `sending`, whose log was not merged yet."""
    with opened(folder / "run") as ledger:
        ledger.trust()
        for number in range(10):
            write_more(ledger, number)
        return copied(folder / "run", folder / "left", DATABASE, LOG, MARK)


def test_nothing_is_missing_after_a_kill(tmp_path: Path) -> None:
    """All that was committed is there, and the store stays trusted."""
    with opened(left_by_a_killed_run(tmp_path)) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
        assert ledger.counts() == {("order", State.SENDING): 10}


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_log_that_was_cut_short_is_noticed(tmp_path: Path, share: float) -> None:
    """SQLite comes up without a word; the mark knows better, and no store is trusted any more."""
    left = left_by_a_killed_run(tmp_path)
    log = left / LOG
    with log.open("r+b") as file:
        file.truncate(int(log.stat().st_size * share))
    with opened(left) as ledger:
        assert ledger.lost_commits > 0
        assert not ledger.is_trusted()
        assert ledger.counts() != {("order", State.SENDING): 10}


@pytest.mark.parametrize("missing", [[LOG], [DATABASE], [DATABASE, LOG]])
def test_a_file_that_is_gone_is_noticed(tmp_path: Path, missing: list[str]) -> None:
    """Without its log the database is old, without the database it is new and empty."""
    left = left_by_a_killed_run(tmp_path)
    for name in missing:
        (left / name).unlink()
    with opened(left) as ledger:
        assert ledger.lost_commits == 22  # opened, trusted, twenty times written
        assert not ledger.is_trusted()
        ledger.plan([operation()], "b1")


def test_an_old_copy_put_back_is_noticed_for_every_store(tmp_path: Path) -> None:
    """A backup of the night before does not know what was sent today, to any store."""
    with opened(tmp_path) as ledger:
        ledger.trust()
        write_more(ledger, 1)
    with Ledger.open(tmp_path / DATABASE, 2) as other:
        other.trust()
    backup = copied(tmp_path, tmp_path / "backup", DATABASE)
    with opened(tmp_path) as ledger:
        write_more(ledger, 2)
    copied(backup, tmp_path, DATABASE)
    for store_id in (STORE_ID, 2):
        with Ledger.open(tmp_path / DATABASE, store_id) as ledger:
            assert ledger.lost_commits == 3  # opened, twice written
            assert not ledger.is_trusted()


def test_an_old_copy_with_its_log_put_back_is_noticed(tmp_path: Path) -> None:
    """Both files of one moment fit each other, and are old all the same."""
    with opened(tmp_path) as ledger:
        ledger.trust()
        write_more(ledger, 1)
        backup = copied(tmp_path, tmp_path / "backup", DATABASE, LOG)
        write_more(ledger, 2)
    copied(backup, tmp_path, DATABASE, LOG)
    with opened(tmp_path) as ledger:
        assert ledger.lost_commits == 2
        assert ledger.counts() == {("order", State.SENDING): 1}


def test_a_loss_is_remembered_until_the_store_is_trusted_again(tmp_path: Path) -> None:
    """A run that noticed and was killed before it looked into Corso leaves the next one no less careful."""
    left = left_by_a_killed_run(tmp_path)
    (left / LOG).unlink()
    for _ in range(2):
        with opened(left) as ledger:
            assert (ledger.lost_commits, ledger.is_trusted()) == (22, False)
    with opened(left) as ledger:
        ledger.trust()
        ledger.trust()
    with opened(left) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
    with Ledger.open(left / DATABASE, 2) as other:
        assert (other.lost_commits, other.is_trusted()) == (22, False)


def test_a_second_loss_is_noticed_like_the_first(tmp_path: Path) -> None:
    """The count goes on where it was."""
    left = left_by_a_killed_run(tmp_path)
    (left / LOG).unlink()
    with opened(left) as ledger:
        ledger.trust()
        again = copied(left, tmp_path / "again", DATABASE, LOG, MARK)
    (again / LOG).unlink()
    with opened(again) as ledger:
        assert ledger.lost_commits > 0


def test_a_copy_of_before_a_loss_is_old_afterwards(tmp_path: Path) -> None:
    """The count goes on above all that was ever counted: what was sent since the loss is not in that copy."""
    left = left_by_a_killed_run(tmp_path)
    before = copied(left, tmp_path / "before", DATABASE, LOG)
    (left / LOG).unlink()
    with opened(left) as ledger:
        ledger.trust()
    copied(before, left, DATABASE, LOG)
    with opened(left) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (2, False)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 16, b"\xff" * 16, b"\xff" * 17, b"no mark at all"])
def test_a_mark_that_is_missing_or_damaged_proves_nothing(tmp_path: Path, content: bytes | None) -> None:
    """A new one is made, which is as good as the old one was."""
    with opened(tmp_path) as ledger:
        ledger.trust()
    if content is None:
        (tmp_path / MARK).unlink()
    else:
        (tmp_path / MARK).write_bytes(content)
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
        write_more(ledger, 1)
        left = copied(tmp_path, tmp_path / "left", DATABASE, LOG, MARK)
    (left / LOG).unlink()
    with opened(left) as ledger:
        assert ledger.lost_commits > 0


def test_a_mark_that_is_behind_proves_nothing(tmp_path: Path) -> None:
    """A run may be killed between the commit and the mark."""
    with opened(tmp_path) as ledger:
        ledger.trust()
        copied(tmp_path, tmp_path / "earlier", MARK)
        write_more(ledger, 1)
    copied(tmp_path / "earlier", tmp_path, MARK)
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)


def test_a_new_store_is_not_trusted_and_has_lost_nothing(tmp_path: Path) -> None:
    """Others may have sent to it: the caller looks first, and then it is trusted for good."""
    path = tmp_path / DATABASE
    with Ledger.read(path, STORE_ID) as reader:
        assert (reader.lost_commits, reader.is_trusted()) == (0, False)
    with opened(tmp_path) as ledger:
        assert (ledger.lost_commits, ledger.is_trusted()) == (0, False)
        ledger.trust()
        assert ledger.is_trusted()
    with Ledger.read(path, STORE_ID) as reader:
        assert reader.is_trusted()
    with Ledger.read(path, 2) as reader:
        assert not reader.is_trusted()


WRITER = """
import sys
from pathlib import Path
from corso.delivery.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]), 9359)
ledger.trust()
print("open", flush=True)
while True:
    ledger.renew()
    ledger.trust()
"""


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_raises_no_false_alarm(tmp_path: Path) -> None:
    """Commits and marks follow each other as fast as they can; wherever it ends, nothing was lost."""
    for round_ in range(3):
        command = [sys.executable, "-c", WRITER, str(tmp_path / DATABASE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "open\n"
            time.sleep(0.05 * round_)
            writer.kill()
        with Ledger.open(tmp_path / DATABASE, STORE_ID) as ledger:
            assert (ledger.lost_commits, ledger.is_trusted()) == (0, True)
