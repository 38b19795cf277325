"""Access that is lost on the way: tokens revoked, everything forbidden, a token endpoint that fails."""

import httpx
import pytest

from sandbox.faults import Faults
from sandbox.options import SandboxOptions
from tests.sandbox.bodies import an_order
from tests.sandbox_process import sandbox_on_a_thread

pytestmark = pytest.mark.slow


def test_a_token_is_revoked_after_so_many_requests_and_a_new_one_works_as_long():
    """401 from then on for the old one; whatever the requests asked for, and whether in upper case or lower."""
    with sandbox_on_a_thread(SandboxOptions(revoke_after=3)) as sandbox:
        for _ in range(2):
            with sandbox.client() as client:
                answers = [client.get("/orders"), client.post("/orders", json={}), client.get("/nowhere")]
                assert [answer.status_code for answer in answers] == [200, 400, 404]
                refused = [client.get("/orders"), client.post("/orders", json=an_order())]
                token = client.headers["authorization"].split()[1]
                refused.append(client.get("/orders", headers={"authorization": f"bearer {token}"}))
                assert [answer.status_code for answer in refused] == [401] * 3
                assert {answer.headers["www-authenticate"] for answer in refused} == {"Bearer"}
        assert sandbox.counts()["orders"] == 0


def test_a_wrong_token_uses_up_nothing():
    """Only requests made with a good token count against it."""
    with sandbox_on_a_thread(SandboxOptions(revoke_after=1)) as sandbox, sandbox.client() as client:
        for _ in range(3):
            wrong = {"authorization": "Bearer wrong"}
            assert client.get("/orders", headers=wrong).status_code == 401
        assert client.get("/orders").status_code == 200


def test_everything_is_forbidden_after_so_many_requests():
    """403, also with a new token; tokens and counts are still given."""
    options = SandboxOptions(forbid_after=2, faults=Faults(drop_answer=1.0, limit=1))
    with sandbox_on_a_thread(options) as sandbox:
        with sandbox.client() as client:
            with pytest.raises(httpx.RemoteProtocolError):
                client.post("/orders", json=an_order())
            assert client.get("/orders").status_code == 200
            assert client.post("/orders", json=an_order()).status_code == 403
        with sandbox.client() as client:
            assert client.get("/orders").status_code == 403
        assert sandbox.counts()["orders"] == 1


def test_the_token_endpoint_fails_as_often_as_told():
    """With 500; the same seed fails at the same requests, and the API meets none of it."""

    def statuses() -> list[int]:
        options = SandboxOptions(faults=Faults(token_errors=0.5, seed=3))
        credentials = {"client_id": "sandbox", "client_secret": "sandbox", "audience": "a"}
        with sandbox_on_a_thread(options) as sandbox, httpx.Client(verify=False) as client:
            body = credentials | {"grant_type": "client_credentials"}
            answers = [client.post(sandbox.token_url, json=body) for _ in range(20)]
            failed = sum(answer.status_code == 500 for answer in answers)
            assert sandbox.counts()["faults"] == {"token-errors": failed}
            assert sandbox.counts()["tokens_issued"] == 20 - failed
            return [answer.status_code for answer in answers]

    first = statuses()
    assert set(first) == {200, 500}
    assert statuses() == first
