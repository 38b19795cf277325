"""doctor: what a load needs is examined, each thing in a sentence, and nothing is changed."""

import errno
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from corso.settings import read_settings
from corso.stages.examination import Remark, examine, exit_code_of
from tests.loader_process import Shop, good_orders
from tests.s3_server import S3Server
from tests.sandbox_process import running_sandbox

SECRET = "hush-hush-secret"

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Return a shop with an export of three orders, and credentials."""
    monkeypatch.setenv("CORSO_CLIENT_ID", "somebody")
    monkeypatch.setenv("CORSO_CLIENT_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)
    made = Shop(tmp_path / "shop")
    made.configure()
    made.export(good_orders(range(3)))
    return made


def examined(shop: Shop, answer: Answer | None = None, **options: bool) -> dict[str, Remark]:
    """Return about -> remark."""
    transport = httpx.MockTransport(answer) if answer else None
    remarks = list(examine(read_settings(shop.config), None, transport=transport, **options))
    assert not any(SECRET in remark.sentence for remark in remarks)
    return {remark.about: remark for remark in remarks}


def answering(status: int = 200, ahead: timedelta = timedelta(), **headers: str) -> Answer:
    """Return an API that gives a token, and answers so; its clock is as far behind as ours is `ahead`."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"access_token": "t0ken", "token_type": "Bearer"})
        date = format_datetime(datetime.now(UTC) - ahead, usegmt=True)
        page = {"orders": [], "pageInfo": {"hasNextPage": False}}
        return httpx.Response(status, json=page, headers={"date": date, **headers})

    return answer


def test_all_is_well(shop: Shop) -> None:
    """Every thing is named with what was found of it."""
    found = examined(
        shop, answering(**{"RateLimit-Limit": "120", "RateLimit-Remaining": "119", "RateLimit-Reset": "47"})
    )
    assert {remark.level for remark in found.values()} == {"good"}
    assert exit_code_of(list(found.values())) == 0
    assert (
        "store 9359 (America/New_York), profile canonical, custom: http://127.0.0.1:9/v1"
        in found["loader.yaml"].sentence
    )
    assert "3 files" in found["exports"].sentence
    assert found["ledger"].sentence.endswith("ledger.sqlite: nothing was sent to this store yet")
    assert (
        found["quota"].sentence == "120 requests in a window of 60 to 120 s, of which the loader may use 80%"
    )
    assert not (shop.folder / "work").exists()


AMISS: dict[str, tuple[Answer, str, str, str, int]] = {
    # name: answer, about, level, sentence, exit code
    "the clock": (answering(ahead=timedelta(seconds=90)), "clock", "look", "s ahead of the API: set it by NTP", 1),
    "refused": (lambda _: httpx.Response(401, json={"error": "access_denied"}), "token", "bad", "check CORSO_CLIENT_ID", 3),
    "another store's": (answering(403), "token", "bad", "403", 3),
    "a pause": (answering(429, **{"Retry-After": "2"}), "API", "look", "asks for a pause", 1),
    "not there": (answering(404), "API", "bad", "is corso.base_url right?", 3),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "about", "level", "sentence", "code"), AMISS.values(), ids=AMISS.keys())
def test_what_is_amiss_with_the_api_is_said(
    shop: Shop, answer: Answer, about: str, level: str, sentence: str, code: int
) -> None:
    """With what to do, and the exit code that a load would end with."""
    found = examined(shop, answer)
    assert (found[about].level, exit_code_of(list(found.values()))) == (level, code)
    assert sentence in found[about].sentence


def test_an_api_that_tells_nothing_leaves_things_open(shop: Shop) -> None:
    """No quota and no time are no faults."""

    def silent(request: httpx.Request) -> httpx.Response:
        response = answering()(request)
        response.headers.pop("date", None)
        return response

    found = examined(shop, silent)
    assert found["quota"].sentence == "the API tells none; the loader looks for the rate by itself"
    assert (found["clock"].level, exit_code_of(list(found.values()))) == ("open", 0)


def test_what_is_amiss_on_this_machine_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of the API without credentials; one fault does not hide the next."""
    monkeypatch.delenv("CORSO_CLIENT_SECRET")
    for file in shop.exports.iterdir():
        file.unlink()
    ledger = shop.folder / "work" / "ledger.sqlite"
    ledger.parent.mkdir()
    ledger.write_text("no database")
    found = examined(shop)
    levels = {about: remark.level for about, remark in found.items()}
    assert levels == levels | {
        "exports": "bad",
        "disk": "open",
        "ledger": "bad",
        "credentials": "bad",
        "API": "open",
    }
    assert exit_code_of(list(found.values())) == 2
    assert "CORSO_CLIENT_SECRET not set" in found["credentials"].sentence


@pytest.mark.parametrize("is_there", [True, False], ids=["there", "to be made"])
def test_a_workdir_that_cannot_be_written_is_bad_whatever_room_it_has(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """Mounted read-only, or without inodes: the night's run would end with it. Nothing is left behind where it can."""
    workdir = shop.folder / "work"
    if is_there:
        workdir.mkdir()
    before = sorted(shop.folder.rglob("*"))
    assert examined(shop)["disk"].level == "good"
    assert sorted(shop.folder.rglob("*")) == before
    really = os.open

    def refused(path: str | Path, flags: int, *given: int, **named: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY and Path(path).is_relative_to(shop.folder):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return really(path, flags, *given, **named)

    monkeypatch.setattr(os, "open", refused)
    found = examined(shop)
    assert found["disk"] == Remark(
        "disk",
        "bad",
        f"{workdir} cannot be written (Read-only file system): mend this, or set workdir to where it can",
        3,
    )
    assert exit_code_of(list(found.values())) == 3


def test_a_file_in_the_workdirs_place_is_bad(shop: Shop) -> None:
    """Nothing can be made below it."""
    (shop.folder / "work").write_text("")
    assert "work cannot be written (Not a directory)" in examined(shop)["disk"].sentence


def test_secrets_that_others_can_read_are_named(shop: Shop) -> None:
    """A .env beside loader.yaml is its owner's alone."""
    env = shop.folder / ".env"
    env.write_text(f"CORSO_CLIENT_SECRET={SECRET}\n")
    env.chmod(0o644)
    found = examined(shop, offline=True)["credentials"]
    assert (found.level, found.sentence) == ("look", f"set, but {env} can be read by others: chmod 600 {env}")
    env.chmod(0o600)
    assert examined(shop, offline=True)["credentials"].level == "good"


@pytest.mark.slow
def test_the_command_examines_a_running_api(tmp_path: Path) -> None:
    """As a person sees it, and as a program."""
    with running_sandbox() as sandbox:
        shop = Shop(tmp_path / "shop", sandbox)
        shop.configure()
        shop.export(good_orders(range(3)))
        told = shop.run("doctor")
        assert told.code == 0, told.said
        assert "ok    API          it gave a token and answered" in told.out
        content = json.loads(shop.run("doctor", "--json").out)
    assert content["exit_code"] == 0
    assert {remark["level"] for remark in content["remarks"]} == {"good"}


@pytest.mark.slow
def test_a_bucket_is_put_to_and_left_as_it_was(shop: Shop, s3: S3Server) -> None:
    """And one that cannot be used ends a load, with the reason."""
    shop.configure("workdir: s3://shop/doctor")
    found = examined(shop, offline=True)
    assert found["bucket"].level == "good"
    assert found["bucket"].sentence.startswith("s3://shop/doctor: put, read and deleted, within ")
    assert s3.names("doctor") == set()
    assert "CORSO_LEDGER_URL" in found["ledger"].sentence
    shop.configure("workdir: s3://no-such-bucket/doctor")
    found = examined(shop, offline=True)
    assert (found["bucket"].level, found["bucket"].exit_code) == ("bad", 2)
    assert "there is no such bucket: make it" in found["bucket"].sentence
