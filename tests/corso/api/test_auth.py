"""The access token: when it is fetched, how, and what is not a token."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from api_clients import SECRET, FakeCorso, answer, client, loader_settings, operation
from clocks import JumpingClock

from corso.api.auth import NoToken
from corso.api.client import CorsoApi
from corso.errors import NotAuthorised, Parked

REFUSED = "connection refused"


def created(_request: httpx.Request) -> httpx.Response:
    """Answer like a create that went well."""
    return answer(201, {"orderId": 1})


def send_at(fake: FakeCorso, clock: JumpingClock, *times: float, encoding: str = "json") -> None:
    """Send one operation at each of these virtual times."""

    async def scenario() -> None:
        settings = loader_settings(corso={"token_encoding": encoding})
        async with client(fake, clock, settings=settings) as api:
            for at in times:
                clock.jump(max(0.0, at - clock.elapsed))
                await api.send(operation())

    asyncio.run(scenario())


def test_the_request_is_json_as_the_current_page_shows() -> None:
    """Four keys, nothing else."""
    fake = FakeCorso(created)
    send_at(fake, JumpingClock(), 0)

    (request,) = fake.token_requests
    assert json.loads(request.content) == {
        "client_id": "the-client-id",
        "client_secret": SECRET,
        "audience": "sandbox",
        "grant_type": "client_credentials",
    }
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


def test_the_request_can_be_a_form() -> None:
    """As an older page of Corso's says."""
    fake = FakeCorso(created)
    send_at(fake, JumpingClock(), 0, encoding="form")

    (request,) = fake.token_requests
    assert parse_qs(request.content.decode())["client_secret"] == [SECRET]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("expires_in", "times", "fetched"),
    [
        (3600, (0, 3530), 1),
        (3600, (0, 3541), 2),
        ("3600", (0, 3541), 2),
        (60, (0, 29), 1),
        (60, (0, 31), 2),
        (None, (0, 1e6), 1),
        (0, (0, 100), 1),
        (-5, (0, 100), 1),
        ("soon", (0, 1e6), 1),
    ],
)
def test_a_token_is_renewed_before_it_ends(expires_in: Any, times: tuple[float, ...], fetched: int) -> None:
    """Sixty seconds early, or half of a short lifetime; without a usable lifetime only a 401 renews it."""
    fake = FakeCorso(created)
    fake.token_answers = lambda number: answer(200, {"access_token": f"t{number}", "expires_in": expires_in})

    send_at(fake, JumpingClock(), *times)

    assert len(fake.token_requests) == fetched


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_stop_the_run_with_a_remedy(status: int) -> None:
    """The message names the settings to look at and the endpoint's error code, never the secret."""
    fake = FakeCorso(created)
    fake.token_answers = lambda _: answer(status, {"error": "access_denied", "error_description": SECRET})

    with pytest.raises(NotAuthorised, match="access_denied") as caught:
        send_at(fake, JumpingClock(), 0)

    assert "CORSO_CLIENT_SECRET" in str(caught.value)
    assert SECRET not in f"{caught.value!r}{caught.value.body}"
    assert len(fake.token_requests) == 1
    assert fake.requests == []


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b'{"access_token": 5}'),
        httpx.Response(200, content=b'{"access_token": ""}'),
        httpx.Response(200, content=b'{"access_token": "a\\r\\nb"}'),
        httpx.Response(200, content=b'{"access_token": "a", "token_type": "mac"}'),
        httpx.Response(302, headers={"location": "https://elsewhere.example"}),
        httpx.Response(404, content=b"no such page"),
    ],
)
def test_an_answer_without_a_usable_token_is_an_error(response: httpx.Response) -> None:
    """One that could not stand in a header field is none."""
    fake = FakeCorso(created)
    fake.token_answers = lambda _: httpx.Response(
        response.status_code, content=response.content, headers={"location": "https://elsewhere.example"}
    )

    with pytest.raises(NotAuthorised):
        send_at(fake, JumpingClock(), 0)


def test_an_endpoint_that_stumbles_is_asked_again() -> None:
    """5xx, broken connections and 429 with Retry-After are waited out."""
    fake, clock = FakeCorso(created), JumpingClock()

    def stumble(number: int) -> httpx.Response:
        if number == 1:
            return answer(503)
        if number == 2:
            raise httpx.ConnectError(REFUSED)
        if number == 3:
            return answer(429, Retry_After="30")
        return answer(200, {"access_token": "t"})

    fake.token_answers = stumble
    send_at(fake, clock, 0)

    assert len(fake.requests) == 1
    assert clock.elapsed >= 30


def test_an_endpoint_that_stays_down_sends_nothing() -> None:
    """The operation was not sent, and the error says why."""
    fake = FakeCorso(created)
    fake.token_answers = lambda _: answer(500)

    with pytest.raises(NoToken, match="500"):
        send_at(fake, JumpingClock(), 0)

    assert len(fake.token_requests) == 6
    assert fake.requests == fake.seeds == []


def test_an_endpoint_that_asks_for_hours_parks_the_run() -> None:
    """Its Retry-After is obeyed like the API's."""
    fake = FakeCorso(created)
    fake.token_answers = lambda _: answer(429, Retry_After="7200")

    with pytest.raises(Parked):
        send_at(fake, JumpingClock(), 0)


def test_neither_token_nor_secret_is_in_a_repr() -> None:
    """A traceback that shows values must not show these."""
    fake = FakeCorso(created)

    async def scenario() -> tuple[CorsoApi, str]:
        async with client(fake) as api:
            await api.send(operation())
            tokens = api._exchange._tokens
            return api, f"{tokens.current()!r} {tokens!r} {vars(tokens)!r}"

    _, shown = asyncio.run(scenario())

    assert "token-1" not in shown
    assert SECRET not in shown
