"""What was answered is there after a restart, and after the process was killed in the middle of its work."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.sandbox.bodies import Json, a_cancellation, a_fulfillment, an_order
from tests.sandbox_process import RunningSandbox, running_sandbox


@pytest.mark.slow
def test_state_survives_a_restart(tmp_path: Path):
    """Orders, fulfillments, cancellations, cursors and tokens; ids go on where they ended."""
    db = tmp_path / "sandbox.sqlite"
    with running_sandbox(db=db) as sandbox:
        token = sandbox.token()
        with sandbox.client() as client:
            first = client.post("/orders", json=an_order()).json()
            second = client.post("/orders", json=an_order()).json()
            shipped = client.post(f"/orders/{first['orderId']}/fulfillments", json=a_fulfillment()).json()
            second = client.request("DELETE", f"/orders/{second['orderId']}", json=a_cancellation()).json()
            cursor = client.get("/orders?first=1").json()["pageInfo"]["endCursor"]
        assert sandbox.stop() == 0
    with running_sandbox(db=db) as sandbox:
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=sandbox.base_url, headers=headers, verify=False) as client:
            assert client.get("/orders").json()["orders"] == [second, first]
            assert client.get("/orders", params={"after": cursor}).json()["orders"] == [first]
            path = f"/orders/{first['orderId']}/fulfillments"
            assert client.get(path).json() == {"fulfillments": [shipped]}
            assert client.post(path, json=a_fulfillment()).json()["fulfillmentId"] > shipped["fulfillmentId"]
            assert client.post(f"/orders/{second['orderId']}", json=an_order()).status_code == 400
            assert client.post("/orders", json=an_order()).json()["orderId"] > second["orderId"]


@pytest.mark.slow
def test_no_answered_create_is_lost_when_the_sandbox_is_killed(tmp_path: Path):
    """SIGKILL under load: every order that got its 201 is there afterwards, exactly once."""
    db = tmp_path / "sandbox.sqlite"
    answered: list[Json] = []

    def create_until_it_breaks(sandbox: RunningSandbox, token: str) -> None:
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=sandbox.base_url, headers=headers, verify=False) as client:
            while True:
                try:
                    answer = client.post("/orders", json=an_order())
                except httpx.TransportError:
                    return
                answered.append(answer.json())
                if len(answered) == 200:
                    sandbox.process.kill()

    with running_sandbox("--limit", "0", db=db) as sandbox, ThreadPoolExecutor(4) as pool:
        token = sandbox.token()
        for under_way in [pool.submit(create_until_it_breaks, sandbox, token) for _ in range(4)]:
            under_way.result()
    with running_sandbox("--limit", "0", db=db) as sandbox, sandbox.client() as client:
        counts = sandbox.counts()
        assert len(answered) >= 200
        assert counts["orders"] == counts["source_orders"] >= len(answered)
        for order in answered:
            assert client.get(f"/orders/{order['orderId']}").json() == order
