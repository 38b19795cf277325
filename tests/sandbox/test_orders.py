"""Orders and fulfillments from their creation to their cancellation."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.sandbox.bodies import (
    a_cancellation,
    a_fulfillment,
    a_line_item,
    an_order,
    unique,
    without,
)
from tests.sandbox_process import RunningSandbox, running_sandbox


def error_code(answer: httpx.Response) -> tuple[int, str]:
    """Return an error's status and code."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_created_order_is_answered_with_its_ids(api: httpx.Client):
    """201, the fields as they were sent, and those that the server assigns."""
    order = an_order()
    answer = api.post("/orders", json=order)
    created = answer.json()
    assert answer.status_code == 201
    assert isinstance(created["orderId"], int)
    assert {name: created[name] for name in order if name != "lineItems"} == without(order, "lineItems")
    line_item = created["lineItems"][0]
    assert line_item["orderId"] == created["orderId"]
    assert isinstance(line_item["lineItemId"], int)
    assert {name: line_item[name] for name in order["lineItems"][0]} == order["lineItems"][0]
    for assigned in ("createdOn", "updatedOn"):
        assert created[assigned].endswith("Z")
        assert line_item[assigned].endswith("Z")
    assert created["carbonGrams"] == 600
    assert api.get(f"/orders/{created['orderId']}").json() == created


def test_server_assigned_and_unknown_fields_are_ignored(api: httpx.Client):
    """Nobody chooses an order's id or its clock."""
    line_item = a_line_item(lineItemId=1, orderId=1, surprise="!")
    order = an_order(orderId=1, createdOn="never", carbonGrams=1, surprise="!", lineItems=[line_item])
    created = api.post("/orders", json=order).json()
    assert created["createdOn"] != "never"
    assert created["carbonGrams"] == 600
    assert "surprise" not in created
    assert "surprise" not in created["lineItems"][0]
    assert created["lineItems"][0]["orderId"] == created["orderId"]
    assert created["lineItems"][0]["lineItemId"] != 1


def test_the_order_number_falls_back_to_the_source_id(api: httpx.Client):
    """Where none is given."""
    order = without(an_order(), "orderNumber")
    assert api.post("/orders", json=order).json()["orderNumber"] == order["sourceOrderId"]


def test_an_update_replaces_the_whole_order(api: httpx.Client):
    """What the new body leaves out is gone; the id, the creation and the lines that stay keep theirs."""
    created = api.post("/orders", json=an_order(notes="old", lineItems=[a_line_item(), a_line_item()])).json()
    kept_line = created["lineItems"][1]["sourceLineItemId"]
    update = an_order(
        sourceOrderId=created["sourceOrderId"],
        channel="web",
        lineItems=[a_line_item(), a_line_item(sourceLineItemId=kept_line, quantity=7)],
    )
    answer = api.post(f"/orders/{created['orderId']}", json=update)
    updated = answer.json()
    assert answer.status_code == 200
    assert "notes" not in updated
    assert updated["channel"] == "web"
    for kept in ("orderId", "createdOn"):
        assert updated[kept] == created[kept]
    assert updated["updatedOn"] > created["updatedOn"]
    assert updated["lineItems"][1]["lineItemId"] == created["lineItems"][1]["lineItemId"]
    known_ids = [line_item["lineItemId"] for line_item in created["lineItems"]]
    assert updated["lineItems"][0]["lineItemId"] not in known_ids
    assert api.get(f"/orders/{created['orderId']}").json() == updated


def test_an_update_is_held_to_the_rules_of_a_create(api: httpx.Client):
    """A refused update changes nothing."""
    created = api.post("/orders", json=an_order()).json()
    answer = api.post(f"/orders/{created['orderId']}", json=an_order(totalMoney=1))
    assert answer.status_code == 400
    assert api.get(f"/orders/{created['orderId']}").json() == created


def test_an_update_may_not_take_another_orders_source_id(api: httpx.Client):
    """The source id stays unique in the store; a free one may be taken."""
    first = api.post("/orders", json=an_order()).json()
    second = api.post("/orders", json=an_order()).json()
    path = f"/orders/{second['orderId']}"
    assert error_code(api.post(path, json=an_order(sourceOrderId=first["sourceOrderId"]))) == (
        400,
        "duplicate",
    )
    free = unique("free")
    assert api.post(path, json=an_order(sourceOrderId=free)).json()["sourceOrderId"] == free


def test_a_cancelled_order_can_be_read_but_not_changed(api: httpx.Client):
    """After DELETE every change is refused: an update, a fulfillment, another DELETE."""
    path = f"/orders/{api.post('/orders', json=an_order()).json()['orderId']}"
    shipped = api.post(f"{path}/fulfillments", json=a_fulfillment()).json()
    cancelled = api.request("DELETE", path, json=a_cancellation())
    assert cancelled.status_code == 200
    assert cancelled.json()["canceledReason"] == "customer"
    assert cancelled.json()["sourceCanceledOn"] == "2024-03-05T10:00:00Z"
    refusals = [
        api.post(path, json=an_order()),
        api.post(f"{path}/fulfillments", json=a_fulfillment()),
        api.request("DELETE", path, json=a_cancellation()),
    ]
    for refused in refusals:
        assert error_code(refused) == (400, "order_cancelled")
        assert refused.json()["error"]["message"] == "cancelled orders cannot change"
    assert api.get(path).json() == cancelled.json()
    assert api.get(f"{path}/fulfillments").json() == {"fulfillments": [shipped]}


def test_an_order_created_with_its_cancellation_stays_open(api: httpx.Client):
    """Only DELETE closes an order (assumed)."""
    created = api.post("/orders", json=an_order(**a_cancellation())).json()
    assert created["sourceCanceledOn"] == "2024-03-05T10:00:00Z"
    path = f"/orders/{created['orderId']}"
    assert api.post(path, json=an_order(sourceOrderId=created["sourceOrderId"])).status_code == 200
    assert api.post(f"{path}/fulfillments", json=a_fulfillment()).status_code == 201


def test_fulfillments_of_an_order_are_kept_and_listed(api: httpx.Client):
    """201 with the server's fields; several an order, oldest first."""
    path = f"/orders/{api.post('/orders', json=an_order()).json()['orderId']}/fulfillments"
    assert api.get(path).json() == {"fulfillments": []}
    sent = [a_fulfillment(), a_fulfillment()]
    answers = [api.post(path, json=fulfillment) for fulfillment in sent]
    for fulfillment, answer in zip(sent, answers, strict=True):
        assert answer.status_code == 201
        assert answer.json() | fulfillment == answer.json()
        assert isinstance(answer.json()["fulfillmentId"], int)
        assert answer.json()["createdOn"].endswith("Z")
    assert api.get(path).json() == {"fulfillments": [answer.json() for answer in answers]}


@pytest.mark.parametrize("order_id", ["999999999", "0", "-1", "9223372036854775808", "1" * 300])
def test_an_order_that_is_not_there_answers_404(api: httpx.Client, order_id: str):
    """For every operation that addresses one, whatever the body."""
    path = f"/orders/{order_id}"
    answers = [
        api.get(path),
        api.post(path, json=an_order()),
        api.request("DELETE", path, json={}),
        api.get(f"{path}/fulfillments"),
        api.post(f"{path}/fulfillments", json=a_fulfillment()),
    ]
    assert [error_code(answer) for answer in answers] == [(404, "order_not_found")] * 5


@pytest.mark.parametrize("order_id", ["abc", "1.0", "1_0", "%20", "\u0661", "--1", "-"])
def test_an_id_that_is_no_whole_number_answers_400(api: httpx.Client, order_id: str):
    """The problem is the path's."""
    answer = api.get(f"/orders/{order_id}")
    assert answer.status_code == 400
    assert answer.json()["error"]["problems"][0]["path"] == "orderId"


def test_unknown_paths_and_methods_are_refused_in_json(api: httpx.Client):
    """404 and 405 have the same shape as every error."""
    assert error_code(api.get("/customers")) == (404, "not_found")
    assert error_code(api.get("/orders/")) == (404, "not_found")
    assert error_code(api.put("/orders/1", json={})) == (405, "method_not_allowed")
    assert error_code(api.delete("/orders")) == (405, "method_not_allowed")


def test_stores_have_source_ids_of_their_own(api: httpx.Client):
    """A source id is unique in its store only; one store's id may be spelled as 9359 or 9359.0."""
    order = an_order()
    assert api.post("/orders", json=order).status_code == 201
    assert api.post("/orders", json=order | {"storeId": 9360}).status_code == 201
    assert api.post("/orders", json=order | {"storeId": 9359.0}).status_code == 400


@pytest.fixture(scope="module", params=["reject-400", "reject-409", "existing", "accept"])
def duplicates(request: pytest.FixtureRequest) -> Iterator[tuple[str, RunningSandbox, httpx.Client]]:
    """A sandbox in each of the modes for duplicates."""
    with (
        running_sandbox("--limit", "0", "--duplicates", request.param) as sandbox,
        sandbox.client() as client,
    ):
        yield request.param, sandbox, client


@pytest.mark.slow
def test_a_duplicate_is_treated_as_the_mode_says(duplicates: tuple[str, RunningSandbox, httpx.Client]):
    """Orders in their store and fulfillments in their order alike."""
    mode, sandbox, client = duplicates
    before = sandbox.counts()
    order = an_order()
    first = client.post("/orders", json=order)
    path = f"/orders/{first.json()['orderId']}/fulfillments"
    fulfillment = a_fulfillment()
    first_fulfillment = client.post(path, json=fulfillment)
    again = [
        (first, client.post("/orders", json=order)),
        (first_fulfillment, client.post(path, json=fulfillment)),
    ]
    after = sandbox.counts()
    wanted = {"reject-400": 400, "reject-409": 409, "existing": 200, "accept": 201}[mode]
    for original, answer in again:
        assert answer.status_code == wanted
        if mode == "existing":
            assert answer.json() == original.json()
        elif mode != "accept":
            assert error_code(answer)[1] == "duplicate"
    records = 2 if mode == "accept" else 1
    for kept, distinct in (("orders", "source_orders"), ("fulfillments", "source_fulfillments")):
        assert after[kept] - before[kept] == records
        assert after[distinct] - before[distinct] == 1


@pytest.mark.slow
def test_of_many_simultaneous_creates_of_one_order_one_is_kept(
    shared_sandbox: RunningSandbox, api: httpx.Client
):
    """Two requests never both find the place empty."""
    before = shared_sandbox.counts()["orders"]
    order = an_order()
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: api.post("/orders", json=order).status_code, range(32)))
    assert sorted(statuses) == [201] + [400] * 31
    assert shared_sandbox.counts()["orders"] == before + 1


@pytest.mark.slow
def test_orders_for_a_store_of_somebody_else_are_refused():
    """With --store, the client owns these stores and no other; without, any."""
    with running_sandbox("--store", "1", "--store", "2") as sandbox, sandbox.client() as client:
        assert client.post("/orders", json=an_order(storeId=2)).status_code == 201
        assert error_code(client.post("/orders", json=an_order(storeId=3))) == (403, "store_not_owned")
