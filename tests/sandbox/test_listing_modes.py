"""The listing where Corso's reference can be read in two ways: lag, filters that are required, refused, ignored."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.filters import FilterModes
from sandbox.options import SandboxOptions
from tests.sandbox.bodies import a_customer, a_fulfillment, an_order
from tests.sandbox_process import running_sandbox, sandbox_on_a_thread

pytestmark = pytest.mark.slow

BY_EMAIL = {"customerEmail": "ada@example.com", "orderNameOrNumber": "#1"}
BY_SOURCE = {"sourceOrderId": "one"}


def refused_paths(answer: httpx.Response) -> list[str]:
    """Return the parameters that a 400 names."""
    assert answer.status_code == 400, answer.text
    return [problem["path"] for problem in answer.json()["error"]["problems"]]


def listed(client: httpx.Client, parameters: dict[str, Any] | None = None) -> list[int]:
    """Return the ids that a listing holds."""
    answer = client.get("/orders", params=parameters)
    assert answer.status_code == 200, answer.text
    return [order["orderId"] for order in answer.json()["orders"]]


def fill(client: httpx.Client) -> None:
    """Create three orders, of which the filters find the first."""
    customer = a_customer(email="ada@example.com")
    client.post("/orders", json=an_order(sourceOrderId="one", orderName="#1", customer=customer))
    client.post("/orders", json=an_order())
    client.post("/orders", json=an_order())


def test_a_lagging_listing_shows_an_order_late():
    """Filtered or not; by id it is there at once, and so are its fulfillments."""
    with sandbox_on_a_thread(SandboxOptions(listing_lag_s=2)) as sandbox, sandbox.client() as client:
        fill(client)
        assert [listed(client), listed(client, BY_EMAIL), listed(client, BY_SOURCE)] == [[], [], []]
        assert client.get("/orders/1").status_code == 200
        assert client.post("/orders/1/fulfillments", json=a_fulfillment()).status_code == 201
        assert len(client.get("/orders/1/fulfillments").json()["fulfillments"]) == 1
        time.sleep(2.1)
        client.post("/orders", json=an_order())
        assert [listed(client), listed(client, BY_EMAIL), listed(client, BY_SOURCE)] == [[3, 2, 1], [1], [1]]
        page = client.get("/orders", params={"orderBy": "asc", "first": 3}).json()
        assert page["pageInfo"]["hasNextPage"] is False
        client.post("/orders/1", json=an_order(sourceOrderId="one"))
        assert listed(client) == [3, 2, 1]


def test_a_direction_that_is_ignored_is_newest_first():
    """Asked for or not; its pages still follow each other."""
    with sandbox_on_a_thread(SandboxOptions(order_by="ignored")) as sandbox, sandbox.client() as client:
        fill(client)
        assert [listed(client), listed(client, {"orderBy": "asc"})] == [[3, 2, 1], [3, 2, 1]]
        page = client.get("/orders", params={"orderBy": "asc", "first": 2}).json()
        rest = {"orderBy": "asc", "first": 2, "after": page["pageInfo"]["endCursor"]}
        assert listed(client, rest) == [1]


def test_a_cursor_grows_old():
    """It is refused as one that was not made here; a new one is good."""
    with sandbox_on_a_thread(SandboxOptions(cursor_lifetime_s=1)) as sandbox, sandbox.client() as client:
        fill(client)
        cursor = client.get("/orders", params={"first": 1}).json()["pageInfo"]["endCursor"]
        assert listed(client, {"after": cursor}) == [2, 1]
        time.sleep(1.1)
        assert refused_paths(client.get("/orders", params={"after": cursor})) == ["after"]
        cursor = client.get("/orders", params={"first": 1}).json()["pageInfo"]["endCursor"]
        assert listed(client, {"after": cursor}) == [2, 1]


def test_the_lag_goes_on_over_a_restart(tmp_path: Path):
    """It is counted from the creation, which the record tells."""
    db = tmp_path / "sandbox.sqlite"
    with running_sandbox("--listing-lag", "3600", db=db) as sandbox, sandbox.client() as client:
        fill(client)
    with running_sandbox("--listing-lag", "3600", db=db) as sandbox, sandbox.client() as client:
        assert listed(client) == []
    with running_sandbox("--listing-lag", "0.01", db=db) as sandbox, sandbox.client() as client:
        assert listed(client) == [3, 2, 1]


def test_an_unfiltered_listing_may_be_refused():
    """As the reference can be read; a cursor or a size is no filter, and each filter is enough."""
    options = SandboxOptions(filters=FilterModes(refuse_unfiltered=True))
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client:
        fill(client)
        for parameters in ({}, {"first": "1"}, {"orderBy": "asc"}):
            wanted = ["customerEmail", "orderNameOrNumber"]
            assert refused_paths(client.get("/orders", params=parameters)) == wanted
        assert listed(client, BY_EMAIL) == listed(client, BY_SOURCE) == [1]
        assert refused_paths(client.get("/orders?customerEmail=x")) == ["orderNameOrNumber"]


def test_the_source_filter_may_be_refused():
    """400, also beside another filter."""
    options = SandboxOptions(filters=FilterModes(source="refused", refuse_unfiltered=True))
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client:
        fill(client)
        assert refused_paths(client.get("/orders", params=BY_SOURCE)) == ["sourceOrderId"]
        assert refused_paths(client.get("/orders", params=BY_SOURCE | BY_EMAIL)) == ["sourceOrderId"]
        assert listed(client, BY_EMAIL) == [1]


def test_the_source_filter_may_be_ignored():
    """The dangerous one: the answer is right for a question that nobody asked."""
    options = SandboxOptions(filters=FilterModes(source="ignored"))
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client:
        fill(client)
        assert listed(client, BY_SOURCE) == [3, 2, 1]
        assert listed(client, {"sourceOrderId": "there is none"} | BY_EMAIL) == [1]
    options = SandboxOptions(filters=FilterModes(source="ignored", refuse_unfiltered=True))
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client:
        wanted = ["customerEmail", "orderNameOrNumber"]
        assert refused_paths(client.get("/orders", params=BY_SOURCE)) == wanted


def test_the_email_filter_may_be_refused():
    """Whichever of the two is given; the other ways in are open."""
    options = SandboxOptions(filters=FilterModes(email="refused"))
    with sandbox_on_a_thread(options) as sandbox, sandbox.client() as client:
        fill(client)
        assert refused_paths(client.get("/orders", params=BY_EMAIL)) == list(BY_EMAIL)
        assert refused_paths(client.get("/orders?orderNameOrNumber=1")) == ["orderNameOrNumber"]
        assert listed(client, BY_SOURCE) == [1]
        assert listed(client) == [3, 2, 1]
