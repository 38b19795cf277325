"""Access tokens: how they are given, and that nothing is answered without one that is alive."""

import time

import httpx
import pytest

from sandbox.tokens import TokenMint
from tests.sandbox.bodies import an_order
from tests.sandbox_process import RunningSandbox, running_sandbox

CREDENTIALS = {
    "client_id": "sandbox",
    "client_secret": "sandbox",
    "audience": "anything",
    "grant_type": "client_credentials",
}


@pytest.mark.parametrize("encoding", ["json", "form"])
def test_credentials_are_taken_as_json_and_as_a_form(
    shared_sandbox: RunningSandbox, api: httpx.Client, encoding: str
):
    """Both pages of the reference are right here."""
    if encoding == "json":
        answer = api.post(shared_sandbox.token_url, json=CREDENTIALS)
    else:
        answer = api.post(shared_sandbox.token_url, data=CREDENTIALS)
    assert answer.status_code == 200
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 3600)
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert api.get("/orders", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_id": "somebody"}, 401, "invalid_client"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "sandbox\nsandbox", "client_secret": ""}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"audience": None}, 400, "invalid_request"),
        ({"client_secret": 5}, 400, "invalid_request"),
    ],
)
def test_wrong_token_requests_are_refused(
    shared_sandbox: RunningSandbox, api: httpx.Client, changes: dict[str, object], status: int, error: str
):
    """In the form of RFC 6749."""
    answer = api.post(shared_sandbox.token_url, json=CREDENTIALS | changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_secret_with_half_a_surrogate_pair_is_a_wrong_secret(
    shared_sandbox: RunningSandbox, api: httpx.Client
):
    """JSON can spell text that no UTF-8 holds."""
    body = httpx.Request("POST", "http://unused", json=CREDENTIALS | {"client_secret": "@"}).content
    headers = {"content-type": "application/json"}
    answer = api.post(shared_sandbox.token_url, content=body.replace(b"@", b"\\ud800"), headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_token_request_without_sense_is_refused(
    shared_sandbox: RunningSandbox, api: httpx.Client, body: bytes
):
    """400, never a 500."""
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        answer = api.post(shared_sandbox.token_url, content=body, headers={"content-type": content_type})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic c2FuZGJveDpzYW5kYm94", "Bearer \xe4"]
)
def test_nothing_is_answered_without_a_token(api: httpx.Client, authorization: str):
    """401 for every operation, and for paths that do not exist: who is unknown learns nothing."""
    headers = {b"authorization": authorization.encode("latin-1")}
    answers = [
        api.get("/orders", headers=headers),
        api.post("/orders", headers=headers, json=an_order()),
        api.request("DELETE", "/orders/1", headers=headers, json={}),
        api.get("/nowhere", headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_dies_after_its_lifetime():
    """To the moment, whether it was seen before or not."""
    now = [1000.0]
    mint = TokenMint(b"key", 60, lambda: now[0])
    seen, unseen = mint.issue("sandbox"), mint.issue("sandbox")
    assert seen != unseen
    assert mint.accepts(seen)
    now[0] = 1059.9
    assert mint.accepts(seen)
    now[0] = 1060.0
    assert not mint.accepts(seen)
    assert not mint.accepts(unseen)
    assert not TokenMint(b"another key", 60, lambda: 1000.0).accepts(unseen)


@pytest.mark.slow
def test_an_expired_token_answers_401_and_a_new_one_works():
    """Over the socket, with a token of one second; and an audience that is asked for is held to."""
    options = ("--token-lifetime", "1", "--audience", "api.example.com", "--client-secret", "other")
    with running_sandbox(*options) as sandbox:
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            sandbox.token(client_secret="other")
        body = CREDENTIALS | {"client_secret": "other", "audience": "api.example.com"}

        def status() -> int:
            return httpx.get(f"{sandbox.base_url}/orders", headers=headers, verify=False).status_code

        answer = httpx.post(sandbox.token_url, json=body, verify=False)
        assert answer.json()["expires_in"] == 1
        headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
        assert status() == 200
        time.sleep(1.05)
        assert status() == 401
        token = httpx.post(sandbox.token_url, json=body, verify=False).json()["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        assert status() == 200
