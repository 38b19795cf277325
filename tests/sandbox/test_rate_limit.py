"""The rate limit: how many pass, what the headers say, and that the count is right when many come at once."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.limits import FixedWindow
from tests.sandbox.bodies import an_order
from tests.sandbox_process import running_sandbox

WINDOW_HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


def window_headers(answer: httpx.Response) -> list[str | None]:
    """Return the three headers, None where one is missing."""
    return [answer.headers.get(name) for name in WINDOW_HEADERS]


@given(
    limit=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 5, allow_nan=False), max_size=100),
)
def test_no_window_lets_more_than_its_limit_pass(limit: int, gaps: list[float]):
    """Whenever the requests come, the first ones of a window pass; who waits as long as told finds a new one."""
    now = [0.0]
    window = FixedWindow(limit, 3.0, lambda: now[0])
    opened, passed = 0.0, 0
    for index, gap in enumerate(gaps):
        now[0] += gap
        if index == 0 or now[0] >= opened + 3.0:
            opened, passed = now[0], 0
        admission = window.admit()
        assert admission.allowed == (passed < limit)
        passed += admission.allowed
        assert admission.remaining == limit - passed
        assert now[0] + admission.reset_s >= opened + 3.0


def test_a_refused_request_uses_up_nothing_and_hears_how_long_to_wait():
    """Seconds are rounded up, so that who obeys never comes too early."""
    now = [100.0]
    window = FixedWindow(2, 10.0, lambda: now[0])
    assert [window.admit().remaining, window.admit().remaining] == [1, 0]
    now[0] = 105.5
    refused = window.admit()
    assert (refused.allowed, refused.limit, refused.remaining, refused.reset_s) == (False, 2, 0, 5)
    now[0] = 110.0
    assert (window.admit().remaining, window.admit().remaining) == (1, 0)


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


def test_without_a_limit_there_are_no_headers(api: httpx.Client):
    """`--limit 0`."""
    assert window_headers(api.get("/orders")) == [None, None, None]
