"""The rate limit: how many pass, what the headers say, and that the count is right when many come at once."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.limits import Admission, LimitChange, LimitSchedule, WindowModel
from sandbox.quota import Quota
from sandbox.quota_headers import quota_headers
from tests.sandbox.bodies import an_order
from tests.sandbox_process import RunningSandbox, running_sandbox

WINDOW_HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


def window_headers(answer: httpx.Response) -> list[str | None]:
    """Return the three headers, None where one is missing."""
    return [answer.headers.get(name) for name in WINDOW_HEADERS]


class Clocked:
    """A quota and the clock that it goes by, which a test moves."""

    def __init__(self, limit: int, window_s: float, *changes: LimitChange, **how: Any) -> None:
        self.now = 100.0
        self.quota = Quota(LimitSchedule(limit, changes), window_s, lambda: self.now, **how)

    def ask(self, after_s: float = 0.0) -> Admission:
        """Let time pass, then ask."""
        self.now += after_s
        return self.quota.admit()

    def passed(self, requests: int) -> int:
        """Ask so often at once; return how many passed."""
        return sum(self.ask().allowed for _ in range(requests))

    def windows(self) -> list[list[float]]:
        """Return the books of the windows."""
        return [window.row() for window in self.quota.books.windows]


@given(
    limit=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 5, allow_nan=False), max_size=100),
)
def test_no_window_lets_more_than_its_limit_pass(limit: int, gaps: list[float]):
    """Whenever the requests come, the first ones of a window pass; who waits as long as told finds a new one."""
    now = [0.0]
    window = Quota(LimitSchedule(limit), 3.0, lambda: now[0])
    opened, passed = 0.0, 0
    for index, gap in enumerate(gaps):
        now[0] += gap
        if index == 0 or now[0] >= opened + 3.0:
            opened, passed = now[0], 0
        admission = window.admit()
        assert admission.allowed == (passed < limit)
        passed += admission.allowed
        assert admission.remaining == limit - passed
        # Sums of fractions differ by their last digit.
        assert now[0] + admission.reset_s >= opened + 3.0 - 1e-9


def test_a_refused_request_uses_up_nothing_and_hears_how_long_to_wait():
    """Seconds are rounded up, so that who obeys never comes too early."""
    now = [100.0]
    window = Quota(LimitSchedule(2), 10.0, lambda: now[0])
    assert [window.admit().remaining, window.admit().remaining] == [1, 0]
    now[0] = 105.5
    refused = window.admit()
    assert (refused.allowed, refused.limit, refused.remaining, refused.reset_s) == (False, 2, 0, 5)
    now[0] = 110.0
    assert (window.admit().remaining, window.admit().remaining) == (1, 0)


def test_a_new_limit_holds_for_windows_that_open_after_it():
    """The window in which it changes keeps the limit that it was opened with; the last change wins."""
    clocked = Clocked(4, 10.0, LimitChange(25, 3), LimitChange(5, 2))
    assert clocked.passed(6) == 4
    clocked.now += 9
    assert clocked.ask().limit == 4
    clocked.now += 2
    assert clocked.passed(6) == 2
    clocked.now += 15
    assert clocked.passed(6) == 3
    assert clocked.windows() == [[0.0, 4, 4, 0, 3, 0], [11.0, 2, 2, 0, 4, 0], [26.0, 3, 3, 0, 3, 0]]


@given(
    limit=st.integers(1, 8),
    gaps=st.lists(st.floats(0, 3, allow_nan=False), max_size=60),
    foreign_per_s=st.sampled_from([0.0, 2.0]),
)
def test_no_stretch_of_a_sliding_window_holds_more_than_the_limit(
    limit: int, gaps: list[float], foreign_per_s: float
):
    """Ours and the others' together; who is refused and waits as told finds room, if nobody else took it."""
    clocked = Clocked(limit, 4.0, model="sliding", foreign_per_s=foreign_per_s)
    passed: list[float] = []
    for gap in gaps:
        admission = clocked.ask(gap)
        if admission.allowed:
            passed.append(clocked.now)
            assert sum(moment > clocked.now - 4.0 for moment in passed) <= limit
        elif not foreign_per_s:
            assert clocked.ask(admission.retry_after_s).allowed
            passed.append(clocked.now)


def test_a_sliding_window_tells_when_its_oldest_request_leaves():
    """As its reset and, when it is full, as the wait; after a cut of the limit, when enough have left."""
    clocked = Clocked(2, 10.0, LimitChange(11, 1), model="sliding")
    assert (clocked.ask().reset_s, clocked.ask(2.5).reset_s) == (10, 8)
    refused = clocked.ask(1)
    assert (refused.allowed, refused.remaining, refused.reset_s, refused.retry_after_s) == (False, 0, 7, 7)
    assert clocked.ask(6.5).allowed
    cut = clocked.ask(1)
    assert (cut.limit, cut.allowed, cut.reset_s, cut.retry_after_s) == (1, False, 2, 9)
    assert clocked.windows() == []


def test_a_bucket_holds_the_limit_and_fills_in_a_window():
    """Its reset is when it is full, the wait is for one request."""
    clocked = Clocked(4, 8.0, model="bucket")
    assert [clocked.ask().remaining for _ in range(4)] == [3, 2, 1, 0]
    refused = clocked.ask(0.5)
    assert (refused.allowed, refused.reset_s, refused.retry_after_s) == (False, 8, 2)
    assert clocked.ask(1.5).allowed
    assert clocked.passed(9) == 0
    clocked.now += 100
    assert clocked.passed(9) == 4


@given(
    gaps=st.lists(st.floats(0, 2, allow_nan=False), max_size=80),
    model=st.sampled_from(["fixed", "sliding", "bucket"]),
)
def test_the_books_add_up(gaps: list[float], model: WindowModel):
    """Every request of ours is in one total, and of fixed windows the totals are the sums of the windows."""
    clocked = Clocked(5, 3.0, LimitChange(20, 2), model=model, foreign_per_s=1.5)
    allowed = sum(clocked.ask(gap).allowed for gap in gaps)
    books = clocked.quota.books
    assert (books.ours, books.ours + books.refused_ours) == (allowed, len(gaps))
    assert sum(books.times) == allowed
    if model == "fixed":
        sums = [sum(column) for column in zip(*clocked.windows(), strict=True)][2:] or [0, 0, 0, 0]
        assert sums == [books.ours, books.foreign, books.refused_ours, books.refused_foreign]
        assert all(window.ours + window.foreign <= window.limit for window in books.windows)


def test_others_come_as_often_as_told_and_the_same_every_time():
    """They take room from us, are refused where there is none, and open windows while we are silent."""
    first, again = (Clocked(50, 5.0, foreign_per_s=20.0, seed=7) for _ in range(2))
    for clocked in (first, again):
        clocked.ask()
        clocked.ask(1000)
        assert clocked.passed(60) < 50
    books = first.quota.books
    assert 19_500 < books.foreign + books.refused_foreign < 20_500
    assert books.refused_foreign > 5_000
    assert len(books.windows) > 190
    assert first.windows() == again.windows()
    other = Clocked(50, 5.0, foreign_per_s=20.0, seed=8)
    other.ask()
    other.ask(1000)
    assert other.windows() != first.windows()


def test_a_request_is_early_until_the_window_is_over():
    """Not as long as the whole seconds that were told: a window's end can be known better."""
    clocked = Clocked(1, 9.5)
    clocked.ask()
    assert clocked.ask(1).retry_after_s == 9
    assert clocked.quota.books.early == 0
    clocked.ask(2)
    clocked.ask(2)
    assert clocked.quota.books.early == 2
    assert clocked.ask(4.5).allowed
    assert clocked.quota.books.early == 2


def test_elsewhere_a_request_is_early_until_the_told_wait_is_over():
    """A bucket that tells a whole second means it."""
    clocked = Clocked(10, 1.0, model="bucket")
    assert clocked.passed(11) == 10
    assert clocked.ask(0.5).allowed
    assert clocked.quota.books.early == 1
    clocked.ask(0.5)
    assert clocked.quota.books.early == 1


def test_what_was_under_way_when_the_429_went_out_is_not_early():
    """`--early-grace`: counted from the first 429, which everybody has heard by then."""
    clocked = Clocked(1, 60.0, early_grace_s=0.2)
    assert clocked.passed(3) == 1
    clocked.ask(0.15)
    assert clocked.quota.books.early == 0
    clocked.ask(0.1)
    clocked.ask()
    assert clocked.quota.books.early == 2


def test_accepted_requests_are_counted_by_the_second():
    """From the first request on, refused ones left out."""
    clocked = Clocked(2, 1.0)
    clocked.passed(3)
    clocked.ask(3.25)
    assert clocked.quota.books.times == [2, 0, 0, 1]
    assert clocked.quota.books.counts()["times"] == [2, 0, 0, 1]


def test_the_same_numbers_are_told_in_three_forms():
    """What a bucket or a window says, in the fields of each form."""
    admission = Admission(allowed=True, limit=100, remaining=40, reset_in_s=2.2, retry_in_s=2.2)
    assert dict(quota_headers(admission, "classic", 4.0, 1_000.5)) == {
        "ratelimit-limit": "100",
        "ratelimit-remaining": "40",
        "ratelimit-reset": "3",
    }
    assert dict(quota_headers(admission, "epoch", 4.0, 1_000.5))["ratelimit-reset"] == "1003"
    assert dict(quota_headers(admission, "ietf", 4.0, 1_000.5)) == {
        "ratelimit": '"default";r=40;t=3',
        "ratelimit-policy": '"default";q=100;w=4',
    }


@pytest.mark.slow
def test_the_limit_is_told_on_every_answer_and_kept():
    """Answers of every kind count down; the one too many gets 429 with all headers; a new window opens."""
    with running_sandbox("--limit", "3", "--window", "2") as sandbox, sandbox.client() as client:
        answers = [client.get("/orders"), client.get("/orders/1"), client.post("/orders", json={})]
        assert [answer.status_code for answer in answers] == [200, 404, 400]
        assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
        assert {answer.headers["ratelimit-limit"] for answer in answers} == {"3"}
        assert "retry-after" not in answers[0].headers
        refused = client.post("/orders", json=an_order())
        assert refused.status_code == 429
        limit, remaining, reset = window_headers(refused)
        assert (limit, remaining) == ("3", "0")
        assert reset in ("1", "2")
        assert refused.headers["retry-after"] == reset
        sandbox.token()
        time.sleep(int(refused.headers["retry-after"]))
        assert client.get("/nowhere").headers["ratelimit-remaining"] == "2"
        assert sandbox.counts()["requests_by_status"] == {"200": 1, "404": 2, "400": 1, "429": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "on_200", "on_429"), [("always", True, True), ("429", False, True), ("never", False, False)]
)
def test_headers_are_on_the_answers_that_the_mode_names(mode: str, on_200: bool, on_429: bool):
    """Retry-After is on every 429 whatever the mode."""
    with running_sandbox("--limit", "1", "--headers", mode) as sandbox, sandbox.client() as client:
        passed, refused = client.get("/orders"), client.get("/orders")
        assert (passed.status_code, refused.status_code) == (200, 429)
        assert (None not in window_headers(passed)) == on_200
        assert (None not in window_headers(refused)) == on_429
        assert "retry-after" in refused.headers


@pytest.mark.slow
def test_the_count_is_right_when_many_come_at_once():
    """Of 120 requests on 16 connections exactly 50 pass."""
    with running_sandbox("--limit", "50", "--window", "60") as sandbox, sandbox.client() as client:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: client.get("/orders"), range(120)))
        assert Counter(answer.status_code for answer in answers) == {200: 50, 429: 70}
        remaining = [
            int(answer.headers["ratelimit-remaining"]) for answer in answers if answer.status_code == 200
        ]
        assert sorted(remaining) == list(range(50))


@pytest.mark.slow
def test_the_counts_tell_what_became_of_the_quota():
    """Windows with their limits, early requests, the others; in the IETF's form."""
    options = ["--limit", "3", "--window", "2", "--limit-change", "1:2", "--header-form", "ietf"]
    with running_sandbox(*options, "--foreign", "0.001") as sandbox, sandbox.client() as client:
        answers = [client.get("/orders") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[0].headers["ratelimit"] == '"default";r=2;t=2'
        assert answers[4].headers["ratelimit-policy"] == '"default";q=3;w=2'
        time.sleep(2)
        assert client.get("/orders").headers["ratelimit"] == '"default";r=1;t=2'
        quota = sandbox.counts()["quota"]
        assert [window[1:] for window in quota["windows"]] == [[3, 3, 0, 2, 0], [2, 1, 0, 0, 0]]
        assert quota["windows"][1][0] >= 2
        assert (quota["ours"], quota["refused_ours"], quota["early"]) == (4, 2, 1)
        assert (quota["foreign"], quota["refused_foreign"]) == (0, 0)
        assert sum(quota["times"]) == 4


@pytest.mark.slow
def test_a_reset_in_epoch_seconds_and_a_bucket():
    """Over the real socket, with a wait that is for one request and not for the whole window."""
    options = ["--limit", "2", "--window", "60", "--window-model", "bucket", "--header-form", "epoch"]
    with running_sandbox(*options) as sandbox, sandbox.client() as client:
        *_, refused = (client.get("/orders") for _ in range(3))
        assert refused.status_code == 429
        assert refused.headers["retry-after"] in ("29", "30")
        assert 50 < int(refused.headers["ratelimit-reset"]) - time.time() < 62
        assert sandbox.counts()["quota"]["windows"] == []


def test_without_a_limit_there_are_no_headers(api: httpx.Client):
    """`--limit 0`."""
    assert window_headers(api.get("/orders")) == [None, None, None]


def test_without_a_limit_there_are_no_books(shared_sandbox: RunningSandbox):
    """`quota` is null."""
    assert shared_sandbox.counts()["quota"] is None
