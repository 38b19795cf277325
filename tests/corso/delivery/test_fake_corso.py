"""The fake is held against the real thing: the same scene, once in memory, once over a socket to the sandbox."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from corso.api.client import CorsoApi
from corso.delivery.ports import OrderApi
from corso.errors import NotFound, OutcomeUnknown, Rejected
from corso.settings import Credentials, read_settings
from schemas.wire import Operation
from tests.clocks import JumpingClock
from tests.fake_corso import FakeCorso, operation
from tests.sandbox.bodies import an_order
from tests.sandbox_process import RunningSandbox, running_sandbox


def complete(number: int, **changes: Any) -> Operation:
    """Return a create that the sandbox finds nothing wrong with."""
    ids = {"sourceOrderId": f"o-{number}", "orderName": f"#{number}"}
    return operation(number, **(an_order() | ids | changes))


@asynccontextmanager
async def the_fake(_sandbox: RunningSandbox, _folder: Path) -> AsyncIterator[OrderApi]:
    """Give the fake."""
    yield FakeCorso(JumpingClock())


@asynccontextmanager
async def the_real_one(sandbox: RunningSandbox, folder: Path) -> AsyncIterator[OrderApi]:
    """Give the client, connected to the sandbox."""
    path = folder / "loader.yaml"
    path.write_text(
        "store: {id: 9359}\nexports: {}\ncorso: {environment: custom, audience: sandbox, "
        f'base_url: "{sandbox.base_url}", token_url: "{sandbox.token_url}"}}\n'
    )
    async with CorsoApi.open(read_settings(path), Credentials("sandbox", "sandbox")) as api:
        yield api


async def announced() -> None:
    """Stand for the ledger's moment."""


@pytest.mark.slow
@pytest.mark.parametrize("opened", [the_fake, the_real_one])
def test_both_answer_alike(opened: Callable[[RunningSandbox, Path], Any], tmp_path: Path) -> None:
    """Creates, doubles, changes, what is not there, and every way to look."""
    with running_sandbox() as sandbox:
        asyncio.run(_scene(opened, sandbox, tmp_path))


async def _scene(
    opened: Callable[[RunningSandbox, Path], Any], sandbox: RunningSandbox, folder: Path
) -> None:
    async with opened(sandbox, folder) as api:
        email = an_order()["customer"]["email"]
        await api.ping()
        assert await api.orders_by_source_id("o-1") == []
        first = await api.send(complete(1), announced)
        second = await api.send(complete(2), announced)
        assert (first.status, second.status) == (201, 201)
        assert first.corso_id != second.corso_id
        await _refused(api, complete(1), Rejected, 400)

        (by_source_id,) = await api.orders_by_source_id("o-1")
        (by_email,) = await api.orders_by_email_and_name(email, "#1")
        by_id = await api.order(first.corso_id)
        for record in (by_source_id, by_email, by_id):
            assert (str(record["orderId"]), record["sourceOrderId"]) == (first.corso_id, "o-1")
            assert "createdOn" in record
        listed = [record["sourceOrderId"] async for page in api.newest_first() for record in page]
        assert listed == ["o-2", "o-1"]

        update = _on(first.corso_id, complete(1, notes="changed"), "update_order")
        assert (await api.send(update, announced)).corso_id == first.corso_id
        assert (await api.order(first.corso_id))["notes"] == "changed"
        await api.send(_on(first.corso_id, complete(1), "update_order"), announced)
        assert "notes" not in await api.order(first.corso_id)
        cancel = operation(1, "cancel_order", corso_order_id=first.corso_id)
        assert (await api.send(cancel, announced)).corso_id == first.corso_id
        assert (await api.order(first.corso_id))["sourceCanceledOn"]
        await _refused(api, update, Rejected, 400)
        await _refused(api, cancel, Rejected, 400)
        late = operation(1, "create_fulfillment", corso_order_id=first.corso_id, **FULFILLMENT)
        await _refused(api, late, Rejected, 400)

        sent = operation(2, "create_fulfillment", corso_order_id=second.corso_id, **FULFILLMENT)
        receipt = await api.send(sent, announced)
        (fulfillment,) = await api.fulfillments(second.corso_id)
        assert fulfillment["sourceFulfillmentId"] == "f-2"
        assert str(fulfillment["fulfillmentId"]) == receipt.corso_id

        assert await api.order("404404") is None
        with pytest.raises(NotFound):
            await api.fulfillments("404404")
        await _refused(api, _on("404404", complete(1), "update_order"), NotFound, 404)
        await _refused(
            api, operation(2, "create_fulfillment", corso_order_id="404404", **FULFILLMENT), NotFound, 404
        )


@pytest.mark.slow
@pytest.mark.parametrize("opened", [the_fake, the_real_one])
def test_a_ping_raises_what_is_wrong_and_is_not_repeated(
    opened: Callable[[RunningSandbox, Path], Any], tmp_path: Path
) -> None:
    """The circuit breaker decides when to ask again; another read would be tried six times."""

    async def scene() -> None:
        async with opened(sandbox, tmp_path) as api:
            if isinstance(api, FakeCorso):
                api.ping_error = OutcomeUnknown("GET /v1/orders: the API answered 503", status=503)
            with pytest.raises(OutcomeUnknown) as raised:
                await api.ping()
        assert raised.value.status in {500, 502, 503}
        met = len(api.pings) if isinstance(api, FakeCorso) else sum(sandbox.counts()["faults"].values())
        assert met == 1

    with running_sandbox("--error-before", "1") as sandbox:
        asyncio.run(scene())


FULFILLMENT = {"sourceCreatedOn": "2026-11-21T00:00:00Z", "shipmentStatus": "in_transit"}


def _on(corso_order_id: str, create: Operation, kind: Any) -> Operation:
    return Operation(kind, create.source_order_id, "", corso_order_id, create.payload, create.payload_hash)


async def _refused(api: OrderApi, sent: Operation, error: type[Exception], status: int) -> None:
    awaited = False

    async def about_to_send() -> None:
        nonlocal awaited
        awaited = True

    sending: Awaitable[Any] = api.send(sent, about_to_send)
    with pytest.raises(error) as raised:
        await sending
    assert getattr(raised.value, "status") == status  # noqa: B009
    assert awaited
