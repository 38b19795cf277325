"""The points at which a test can step in: which are told, when, and what is committed by then."""

import contextlib

import httpx
import pytest

from sandbox.faults import Faults
from sandbox.options import SandboxOptions
from sandbox.points import ARRIVED, BODY_READ, COMMITTED, LOOK_UP, TOKEN, Point
from sandbox.store import Store
from tests.sandbox.bodies import a_cancellation, a_fulfillment, an_order
from tests.sandbox_process import sandbox_on_a_thread

pytestmark = pytest.mark.slow


def test_every_request_tells_its_points_in_order():
    """A token request one, a read one, a write three; and a refused write no commit."""
    points: list[Point] = []

    def told() -> list[Point]:
        found, points[:] = list(points), []
        return found

    whole_write = [ARRIVED, BODY_READ, COMMITTED]
    with sandbox_on_a_thread(at_point=points.append) as sandbox, sandbox.client() as client:
        assert told() == [TOKEN]
        client.post("/orders", json=an_order())
        assert told() == whole_write
        client.post("/orders/1", json=an_order())
        assert told() == whole_write
        client.post("/orders/1/fulfillments", json=a_fulfillment())
        assert told() == whole_write
        client.request("DELETE", "/orders/1", json=a_cancellation())
        assert told() == whole_write
        client.post("/orders", json={})
        assert told() == [ARRIVED, BODY_READ]
        client.post("/orders/99", json=an_order())
        assert told() == [ARRIVED]
        for path in ("/orders", "/orders/1", "/orders/1/fulfillments", "/orders?first=1"):
            client.get(path)
            assert told() == [LOOK_UP]
        sandbox.counts()
        client.get("/nowhere")
        assert told() == []


@pytest.mark.parametrize(
    ("fault", "points"),
    [
        ("reset_before", [ARRIVED]),
        ("reset_after", [ARRIVED, BODY_READ]),
        ("error_before", [ARRIVED]),
        ("error_after", [ARRIVED, BODY_READ, COMMITTED]),
        ("drop_answer", [ARRIVED, BODY_READ, COMMITTED]),
        ("stall", [ARRIVED, BODY_READ, COMMITTED]),
    ],
)
def test_points_are_told_through_faults(fault: str, points: list[Point]):
    """As far as the request came; none is told twice."""
    told: list[Point] = []
    options = SandboxOptions(faults=Faults(**{fault: 1.0}, slow_for_s=0.01))
    with (
        sandbox_on_a_thread(options, at_point=told.append) as sandbox,
        sandbox.client() as client,
        contextlib.suppress(httpx.TransportError),
    ):
        client.post("/orders", json=an_order())
    assert told == [TOKEN, *points]


def test_the_store_holds_an_order_at_the_point_where_it_is_committed(monkeypatch: pytest.MonkeyPatch):
    """And not at the points before; the callback runs while the server stands still."""
    held: dict[Point, int] = {}
    stores: list[Store] = []
    opened = Store.open

    def open_and_keep(path: str) -> Store:
        stores.append(opened(path))
        return stores[-1]

    monkeypatch.setattr(Store, "open", open_and_keep)

    def count(point: Point) -> None:
        held[point] = stores[0].counts()["orders"]

    with sandbox_on_a_thread(at_point=count) as sandbox, sandbox.client() as client:
        client.post("/orders", json=an_order())
    assert held == {TOKEN: 0, ARRIVED: 0, BODY_READ: 0, COMMITTED: 1}
