"""A pause that the API asked for holds for the next process, too."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from api_clients import FakeCorso, answer, page_info
from clocks import JumpingClock

from corso.errors import Parked, RateLimited
from corso.settings import Credentials, Loader, Settings
from corso.stages.kept_pause import PauseFile
from corso.stages.known_quota import NotLearnt, ask_quota, open_api

NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
CREDENTIALS = Credentials("id", "secret")
EMPTY = answer(200, {"orders": [], "pageInfo": page_info()})
Respond = Callable[[httpx.Request], httpx.Response]


class Store:
    """A store whose API counts what reaches it, and its processes one after the other."""

    def __init__(self, folder: Path, patience_s: float = 60.0) -> None:
        """Make the store's folder, as its first run does."""
        raw = {"store": {"id": 9359}, "exports": {}, "limits": {"patience_s": patience_s}}
        self.settings = Settings(folder / "loader.yaml", Loader.model_validate(raw))
        self.settings.store_dir.mkdir(parents=True)
        self.asked: list[httpx.Request] = []

    def served(self, respond: Respond) -> httpx.MockTransport:
        """Return the network to an API that answers like this."""
        fake = FakeCorso(respond)

        def serve(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return respond(request) if request.url.params.get("first") == "1" else fake(request)

        return httpx.MockTransport(serve)

    def ping(self, at: datetime, respond: Respond) -> float:
        """Ask once, in a process of its own that begins `at`; return the seconds it took."""
        clock = JumpingClock(at)

        async def ask() -> None:
            parts = {"clock": clock, "transport": self.served(respond)}
            async with open_api(self.settings, CREDENTIALS, **parts) as api:
                await api.ping()

        asyncio.run(ask())
        return clock.elapsed


def refused(wait: str) -> Respond:
    """Answer 429."""
    return lambda _request: answer(429, Retry_After=wait)


@pytest.mark.parametrize("wait", ["600", "Tue, 24 Nov 2026 18:10:00 GMT"])
def test_the_next_process_sends_nothing_before_the_pause_is_over(tmp_path: Path, wait: str) -> None:
    """It parks where that is longer than its patience, sits it out where it is not, and begins at once after it."""
    store = Store(tmp_path)
    with pytest.raises(RateLimited):
        store.ping(NOW, refused(wait))
    store.asked.clear()
    with pytest.raises(Parked) as parked:
        store.ping(NOW + timedelta(seconds=30), lambda _request: EMPTY)
    assert not store.asked
    assert timedelta(seconds=600) <= parked.value.resume_at - NOW <= timedelta(seconds=660)
    assert 20 <= store.ping(NOW + timedelta(seconds=580), lambda _request: EMPTY) <= 80
    assert store.asked
    assert store.ping(NOW + timedelta(seconds=700), lambda _request: EMPTY) == 0


def test_a_short_pause_is_not_kept(tmp_path: Path) -> None:
    """No process begins within it."""
    store = Store(tmp_path)
    with pytest.raises(RateLimited):
        store.ping(NOW, refused("1"))
    assert not list(store.settings.store_dir.iterdir())


def test_looking_at_the_api_before_the_first_run_makes_no_folder(tmp_path: Path) -> None:
    """`doctor` and `plan` leave nothing behind but what they say."""
    store = Store(tmp_path)
    store.settings.store_dir.rmdir()
    with pytest.raises(RateLimited):
        store.ping(NOW, refused("600"))
    assert not store.settings.store_dir.exists()


def test_a_plan_asks_nothing_during_a_pause(tmp_path: Path) -> None:
    """It says why it does not know."""
    store = Store(tmp_path, patience_s=900)
    PauseFile(store.settings).keep(NOW + timedelta(seconds=300))
    said = ask_quota(
        store.settings, CREDENTIALS, clock=JumpingClock(NOW), transport=store.served(lambda _request: EMPTY)
    )
    assert said == NotLearnt("the API asks for a pause")
    assert not store.asked


def test_a_pause_without_an_end_in_sight_is_asked_about_once_a_day(tmp_path: Path) -> None:
    """A date that the API got wrong does not stop a store for ever; a clock that was ahead neither."""
    store = Store(tmp_path)
    with pytest.raises(RateLimited):
        store.ping(NOW, refused("Sun, 24 Nov 2099 18:00:00 GMT"))
    with pytest.raises(Parked):
        store.ping(NOW + timedelta(hours=23), lambda _request: EMPTY)
    assert store.ping(NOW + timedelta(hours=25), lambda _request: EMPTY) == 0
    PauseFile(store.settings).keep(NOW + timedelta(days=30))
    assert store.ping(NOW, lambda _request: EMPTY) == 0


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"base_url": "http://127.0.0.1:8787/v1", "until": "2026-11-24T19:00"}',
     '{"base_url": "https://elsewhere.example/v1", "until": "2026-11-24T19:00:00Z"}'],
)  # fmt: skip
def test_what_cannot_be_read_or_is_another_apis_is_no_pause(tmp_path: Path, content: str) -> None:
    """The API tells again."""
    store = Store(tmp_path)
    (store.settings.store_dir / "pause.json").write_text(content)
    assert store.ping(NOW, lambda _request: EMPTY) == 0


def test_a_disk_that_does_not_take_it_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is what counts."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    store = Store(tmp_path)
    monkeypatch.setattr("corso.stages.kept_pause.replacing", full)
    with pytest.raises(RateLimited):
        store.ping(NOW, refused("600"))
