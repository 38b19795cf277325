"""One sender per credential, across the ledgers of one machine."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from corso.delivery import lock
from corso.delivery.lock import CredentialLock
from corso.errors import LedgerError, LedgerInUse

FINGERPRINT = "https://login.example/oauth/token merchant-7"

HOLDER = """
import sys
from pathlib import Path
from corso.delivery.lock import CredentialLock
lock = CredentialLock.take(sys.argv[1], ledger=Path("/srv/shop/ledger.sqlite"))
print("taken", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the machine's places for locks be below `tmp_path`: `tmp`, and no runtime folder."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path


def test_the_same_credentials_are_used_by_one_at_a_time(places: Path) -> None:
    """Others are not in the way, and once released the next one is let in."""
    with CredentialLock.take(FINGERPRINT, ledger=Path("/srv/a/ledger.sqlite")):
        with pytest.raises(LedgerInUse) as raised:
            CredentialLock.take(FINGERPRINT)
        with CredentialLock.take("https://login.example/oauth/token merchant-8"):
            pass
    sentence = str(raised.value)
    assert f"process {os.getpid()} on " in sentence
    assert ", ledger /srv/a/ledger.sqlite)" in sentence
    assert sentence.endswith("one sender per credential: wait for it to end")
    CredentialLock.take(FINGERPRINT).release()


def test_the_credentials_are_not_shown(places: Path) -> None:
    """Neither in a name, nor in a file, nor in a message."""
    with CredentialLock.take(FINGERPRINT), pytest.raises(LedgerInUse) as raised:
        CredentialLock.take(FINGERPRINT)
    shown = [str(raised.value)]
    for each in places.rglob("*"):
        shown += [each.name, each.read_text() if each.is_file() else ""]
    assert not [text for text in shown if "merchant-7" in text or "login.example" in text]


@pytest.mark.slow
def test_the_lock_falls_with_its_process(places: Path) -> None:
    """Also by kill -9."""
    command = [sys.executable, "-c", HOLDER, FINGERPRINT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "taken\n"
        with pytest.raises(
            LedgerInUse, match=rf"process {holder.pid} on .*, ledger /srv/shop/ledger.sqlite\)"
        ):
            CredentialLock.take(FINGERPRINT)
        holder.kill()
    CredentialLock.take(FINGERPRINT).release()


@pytest.mark.parametrize("first_has_runtime_folder", [True, False])
def test_a_nightly_job_and_a_person_at_a_terminal_meet(
    places: Path, monkeypatch: pytest.MonkeyPatch, first_has_runtime_folder: bool
) -> None:
    """The one has a runtime folder, the other has not."""

    def set_runtime_folder(has_one: bool) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(places / "run") if has_one else "")

    set_runtime_folder(first_has_runtime_folder)
    with CredentialLock.take(FINGERPRINT):
        set_runtime_folder(not first_has_runtime_folder)
        with pytest.raises(LedgerInUse):
            CredentialLock.take(FINGERPRINT)
    CredentialLock.take(FINGERPRINT).release()


def test_two_with_another_folder_for_temporary_files_each_meet_in_the_runtime_folder(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal gives back what was taken before it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(places / "run"))
    (places / "tmp2").mkdir()
    with CredentialLock.take(FINGERPRINT):
        monkeypatch.setattr(tempfile, "tempdir", str(places / "tmp2"))
        for _ in range(2):
            with pytest.raises(LedgerInUse):
                CredentialLock.take(FINGERPRINT)
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        CredentialLock.take(FINGERPRINT).release()


def test_the_locks_are_kept_from_other_users(places: Path) -> None:
    """The folder is ours alone, also where it was open to all before."""
    folder = places / "tmp" / f"corso-loader-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    with CredentialLock.take(FINGERPRINT):
        modes = {each.stat().st_mode & 0o777 for each in folder.iterdir()}
    assert (folder.stat().st_mode & 0o777, modes) == (0o700, {0o600})


def test_whoever_tidies_up_temporary_files_leaves_the_locks_alone(places: Path) -> None:
    """A load takes weeks, files in /tmp ten days; systemd-tmpfiles passes over a folder that it cannot lock."""
    folder = places / "tmp" / f"corso-loader-{os.geteuid()}"
    with CredentialLock.take(FINGERPRINT):
        tidier = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(tidier, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(tidier, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(tidier)


def test_what_another_user_laid_out_is_refused(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns the folder or the file could let two senders in, or none; the message names it."""
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    folder = places / "tmp" / f"corso-loader-{me + 1}"
    with pytest.raises(LedgerError, match=f"^{folder}: belongs to another user"):
        CredentialLock.take(FINGERPRINT)


def test_the_runtime_folder_of_another_user_is_left_alone(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `su` it is still named; so are folders that are gone, and ones that are no folders."""
    (places / "file").write_text("")
    for name in ("gone", "file"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(places / name))
        CredentialLock.take(FINGERPRINT).release()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(places / "run"))
    assert len(lock._folders()) == 2
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert lock._folders() == [places / "tmp" / f"corso-loader-{me + 1}"]


@pytest.mark.parametrize("obstacle", ["a file", "a link"])
def test_a_place_that_cannot_be_used_is_one_sentence(places: Path, obstacle: str) -> None:
    """It names the place."""
    folder = places / "tmp" / f"corso-loader-{os.geteuid()}"
    if obstacle == "a file":
        folder.write_text("")
    else:
        folder.symlink_to(places / "run")
    with pytest.raises(
        LedgerError, match=f"^{folder}: the lock on the credentials cannot be taken"
    ) as raised:
        CredentialLock.take(FINGERPRINT)
    assert "\n" not in str(raised.value)
