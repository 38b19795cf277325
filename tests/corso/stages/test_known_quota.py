"""What is known of the quota before a run: by one answer, or by what an earlier run measured."""

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from api_clients import FakeCorso, answer, page_info
from clocks import JumpingClock

from corso.api.found_rate import Found
from corso.api.quota_headers import QuotaNotice
from corso.report.summary import QuotaUse, Requests
from corso.settings import Credentials, Loader, Settings
from corso.stages.batch import Facts, add_requests
from corso.stages.known_quota import (
    FoundEarlier,
    KnownQuota,
    NotLearnt,
    ask_quota,
    keep_measured,
    read_found,
    read_measured,
    said_length,
)

NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
MEASURED = QuotaUse(limit=100, length_s=10.0, quota=1000.0, used=780, foreign=110.0)


def settings(folder: Path, base_url: str = "http://127.0.0.1:8787/v1") -> Settings:
    """Return the settings of store 9359."""
    corso = {"base_url": base_url}
    return Settings(
        folder / "loader.yaml", Loader.model_validate({"store": {"id": 9359}, "exports": {}, "corso": corso})
    )


@pytest.mark.parametrize(
    ("reset_s", "window_s", "lengths"),
    [
        (7, None, (10, 20)),
        (10, None, (10, 20)),
        (0.4, None, (1, 2)),
        (61, None, (300, 600)),
        (2000, None, (3600, 7200)),
        (90_000, None, (90_000, 180_000)),
        (7, 60, (60, 60)),
    ],
)
def test_one_answer_bounds_the_windows_length(
    reset_s: float, window_s: float | None, lengths: tuple[float, float]
) -> None:
    """It is no shorter than what is left of it; only the IETF's form tells it."""
    notice = QuotaNotice(limit=100, remaining=99, reset_s=reset_s, window_s=window_s)
    assert KnownQuota.told(notice) == KnownQuota(100, *lengths)


def ask(respond: httpx.Response) -> KnownQuota | NotLearnt:
    """Ask a server that answers the one read like this."""
    fake = FakeCorso(lambda _request: respond)

    def serve(request: httpx.Request) -> httpx.Response:
        return respond if request.url.params.get("first") == "1" else fake(request)

    return ask_quota(
        settings(Path()),
        Credentials("id", "secret"),
        clock=JumpingClock(),
        transport=httpx.MockTransport(serve),
    )


NUMBERS = {"RateLimit_Limit": "100", "RateLimit_Remaining": "97", "RateLimit_Reset": "8"}


@pytest.mark.parametrize(
    ("respond", "known"),
    [
        (answer(200, {"orders": [], "pageInfo": page_info()}, **NUMBERS), KnownQuota(100, 10, 20)),
        (answer(429, **NUMBERS), KnownQuota(100, 10, 20)),
        (answer(429, Retry_After="30"), NotLearnt("the API answered 429: its quota is used up now")),
        (answer(200, {"orders": []}), NotLearnt("the API tells none")),
        (answer(401), NotLearnt("the credentials were refused (401)")),
        (answer(403), NotLearnt("the credentials were refused (403)")),
        (answer(503), NotLearnt("the API answered 503")),
        (answer(404), NotLearnt("the API answered 404")),
    ],
)
def test_one_read_tells_the_quota_or_why_it_does_not(
    respond: httpx.Response, known: KnownQuota | NotLearnt
) -> None:
    """A plan never fails for it."""
    assert ask(respond) == known


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (httpx.ConnectError("refused"), "the API cannot be reached"),
        (httpx.ReadTimeout("late"), "no usable answer was read"),
    ],
)
def test_a_network_that_does_not_work_is_no_failure_of_the_plan(error: httpx.HTTPError, why: str) -> None:
    """The sentence says it."""
    fake = FakeCorso(lambda _request: answer(200))

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("first") == "1":
            raise error
        return fake(request)

    transport = httpx.MockTransport(serve)
    found = ask_quota(
        settings(Path()), Credentials("id", "secret"), clock=JumpingClock(), transport=transport
    )
    assert found == NotLearnt(why)


def test_a_token_endpoint_that_cannot_be_reached_is_tried_once() -> None:
    """A person waits for the answer: tries with ever longer waits are for runs."""
    asked = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        message = "refused"
        raise httpx.ConnectError(message)

    clock = JumpingClock()
    found = ask_quota(
        settings(Path()), Credentials("id", "secret"), clock=clock, transport=httpx.MockTransport(serve)
    )
    assert found == NotLearnt("the API cannot be reached")
    assert len(asked) == 1


def test_what_a_run_measured_is_known_to_the_next_plan(tmp_path: Path) -> None:
    """Limit, length and what others used."""
    store = settings(tmp_path)
    assert read_measured(store) is None
    keep_measured(store, MEASURED, NOW)
    assert read_measured(store) == KnownQuota(100, 10, 10, 0.11, NOW)
    assert (store.store_dir / "quota.json").exists()


def test_what_refusals_told_is_known_to_the_next_run(tmp_path: Path) -> None:
    """Of an API that tells no quota; what it told since, or of another API, is something else."""
    store, found = settings(tmp_path), QuotaUse(found_per_s=9.7, found_pause_s=30.0)
    assert read_found(store) is None
    keep_measured(store, found, NOW)
    assert read_found(store) == FoundEarlier(Found(9.7, 30.0), NOW)
    assert read_measured(store) is None
    assert read_found(settings(tmp_path, "http://127.0.0.1:9999/v1")) is None
    keep_measured(store, QuotaUse(), NOW)
    assert read_found(store) is not None
    keep_measured(store, MEASURED + found, NOW)
    assert read_found(store) is None
    assert read_measured(store) is not None


def test_what_another_api_allowed_says_nothing(tmp_path: Path) -> None:
    """The sandbox's quota is not production's."""
    keep_measured(settings(tmp_path), MEASURED, NOW)
    assert read_measured(settings(tmp_path, "http://127.0.0.1:9999/v1")) is None


@pytest.mark.parametrize(
    "unsure",
    [
        QuotaUse(),
        MEASURED.model_copy(update={"quota": 150.0}),
        MEASURED.model_copy(update={"limit": None}),
        MEASURED.model_copy(update={"length_s": None}),
    ],
)
def test_a_run_that_saw_less_than_two_windows_keeps_what_an_earlier_one_measured(
    tmp_path: Path, unsure: QuotaUse
) -> None:
    """A length that was guessed from one answer is none."""
    store = settings(tmp_path)
    keep_measured(store, MEASURED, NOW)
    keep_measured(store, unsure, NOW)
    assert read_measured(store) == KnownQuota(100, 10, 10, 0.11, NOW)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"base_url": 5}'])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: str) -> None:
    """It is a convenience, no record."""
    store = settings(tmp_path)
    store.store_dir.mkdir(parents=True)
    (store.store_dir / "quota.json").write_text(content)
    assert read_measured(store) is None


def test_the_share_of_the_quota_is_over_all_parts_of_the_run() -> None:
    """Not a mean of shares: a short part weighs little."""
    facts = add_requests(Facts(), Requests(sent=790, seconds=100.0), MEASURED)
    facts = add_requests(
        facts, Requests(sent=10, seconds=10.0), QuotaUse(limit=200, length_s=20.0, quota=100.0, used=10)
    )
    assert facts.requests.quota_share == pytest.approx(790 / 1100, abs=1e-4)
    assert facts.quota == QuotaUse(limit=200, length_s=20.0, quota=1100.0, used=790, foreign=110.0)
    untold = add_requests(facts, Requests(sent=1), QuotaUse())
    assert (untold.quota, untold.requests.sent) == (facts.quota, 801)


def test_where_no_quota_was_told_the_share_is_null() -> None:
    """Not 0."""
    assert add_requests(Facts(), Requests(sent=5), QuotaUse()).requests.quota_share is None


def test_facts_of_an_older_version_are_read() -> None:
    """They have no quota, and a share all the same."""
    old = Facts.model_validate_json('{"stage": "upload", "requests": {"sent": 5, "quota_share": 0.5}}')
    assert old.quota == QuotaUse()
    assert add_requests(old, Requests(sent=1), QuotaUse()).requests.quota_share == 0.5


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(9.979, "10"), (1.004, "1"), (0.97, "1.0"), (7.46, "7.5"), (3590.0, "3590"), (60, "60")],
)
def test_a_measured_length_is_said_as_what_it_will_be(seconds: float, said: str) -> None:
    """Nobody sets windows of 9.979 seconds."""
    assert float(said_length(seconds)) == float(said)
