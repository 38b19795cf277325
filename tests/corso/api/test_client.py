"""The client over a fake network: what goes out, what comes back, what an ending means."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

import httpx
import pytest
from api_clients import SECRET, FakeCorso, answer, client, loader_settings, operation, page_info
from clocks import JumpingClock

from corso.api.client import CorsoApi
from corso.api.listing import CursorRefused, ListingBroken, ListingRefused, Page
from corso.api.quota_headers import QuotaNotice
from corso.api.translate import BodyTooLong
from corso.errors import (
    ApiError,
    DoneWithoutId,
    NotAuthorised,
    NotFound,
    NotSent,
    OutcomeUnknown,
    Parked,
    RateLimited,
    Rejected,
)
from corso.settings import Credentials

T = TypeVar("T")
GONE = "the connection is gone"


def run(
    fake: FakeCorso, ask: Callable[[CorsoApi], Awaitable[T]], clock: JumpingClock | None = None, **limits: Any
) -> T:
    """Open a client on `fake`, ask once, close."""

    async def scenario() -> T:
        async with client(fake, clock, settings=loader_settings(**limits)) as api:
            return await ask(api)

    return asyncio.run(scenario())


def created(_request: httpx.Request) -> httpx.Response:
    """Answer like a create that went well."""
    return answer(201, {"orderId": 77, "fulfillmentId": 88})


@pytest.mark.parametrize(
    ("kind", "method", "path", "corso_id"),
    [
        ("create_order", "POST", "/v1/orders", "77"),
        ("update_order", "POST", "/v1/orders/a%2Fb", "a/b"),
        ("cancel_order", "DELETE", "/v1/orders/a%2Fb", "a/b"),
        ("create_fulfillment", "POST", "/v1/orders/a%2Fb/fulfillments", "88"),
    ],
)
def test_every_operation_has_its_request(kind: str, method: str, path: str, corso_id: str) -> None:
    """Method, path, body and fields are as Corso documents them; the payload's bytes are not touched."""
    fake = FakeCorso(created)
    payload = b'{"totalMoney": 1.10,  "name": "\xc3\xa9"}'
    order_id = None if kind == "create_order" else "a/b"

    receipt = run(fake, lambda api: api.send(operation(kind, corso_order_id=order_id, payload=payload)))

    (request,) = fake.requests
    assert (request.method, request.url.raw_path.decode()) == (method, path)
    assert request.content == payload
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(payload))
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.headers["host"] == "127.0.0.1:8787"
    assert request.headers["user-agent"].startswith("corso-loader/")
    assert (receipt.status, receipt.corso_id) == (201, corso_id)


@pytest.mark.parametrize(
    ("content", "corso_id"),
    [
        ({"orderId": 5}, "5"),
        ({"orderId": "ord_5"}, "ord_5"),
        ({"order": {"orderId": 5}}, "5"),
        ({"orderId": 5.0}, "5"),
    ],
)
def test_an_id_may_be_a_number_or_text(content: dict[str, Any], corso_id: str) -> None:
    """The reference says number; nothing breaks if it is not, or if the record is wrapped."""
    fake = FakeCorso(lambda _: answer(200, content))

    assert run(fake, lambda api: api.send(operation())).corso_id == corso_id


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(201, content=b""),
        httpx.Response(201, content=b"<html>created</html>"),
        httpx.Response(200, content=b'{"orderId": 5'),
        httpx.Response(200, content=b'{"orderId": null}'),
        httpx.Response(200, content=b'{"orderId": true}'),
        httpx.Response(200, content=b'{"orderId": 1e999999999999999999999}'),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(200, content=b'"\xff"'),
    ],
)
def test_a_create_without_a_usable_answer_is_unknown(response: httpx.Response) -> None:
    """It was carried out, but under which id? That is looked up, not guessed and not sent again."""
    fake = FakeCorso(lambda _: httpx.Response(response.status_code, content=response.content))

    with pytest.raises(OutcomeUnknown):
        run(fake, lambda api: api.send(operation()))

    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("content", "is_corsos"),
    [
        (b"", True),
        (b'{"status": "created"}', True),
        (b"<html>created</html>", False),
        (b'{"orderId": 5', False),
    ],
)
def test_a_success_without_an_id_is_told_from_a_page_of_somebody_else(
    content: bytes, is_corsos: bool
) -> None:
    """The one says that the API works, the other may come from a proxy or a portal in its place."""
    fake = FakeCorso(lambda _: httpx.Response(201, content=content))

    with pytest.raises(OutcomeUnknown) as raised:
        run(fake, lambda api: api.send(operation()))

    assert isinstance(raised.value, DoneWithoutId) is is_corsos


def test_a_cancellation_needs_no_body_in_the_answer() -> None:
    """The id is known already: 204 is as good as 200."""
    fake = FakeCorso(lambda _: answer(204))

    assert run(fake, lambda api: api.send(operation("cancel_order", corso_order_id="9"))).corso_id == "9"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, Rejected), (403, NotAuthorised), (404, NotFound), (409, Rejected), (408, OutcomeUnknown),
     (500, OutcomeUnknown), (503, OutcomeUnknown), (302, Rejected)],
)  # fmt: skip
def test_an_operation_leaves_once_however_it_ends(status: int, expected: type[ApiError]) -> None:
    """No status makes the client send it again; redirects are not followed."""
    fake = FakeCorso(lambda _: answer(status, {"message": "no"}, location="https://elsewhere.example/"))

    with pytest.raises(expected) as caught:
        run(fake, lambda api: api.send(operation()))

    assert len(fake.requests) == 1
    assert caught.value.body == '{"message": "no"}'


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (httpx.ConnectError, NotSent),
        (httpx.ReadTimeout, OutcomeUnknown),
        (httpx.RemoteProtocolError, OutcomeUnknown),
    ],
)
def test_a_broken_connection_is_never_met_with_a_second_post(
    failure: type[httpx.TransportError], expected: type[ApiError]
) -> None:
    """A closed keep-alive connection may have carried the order all the same."""

    def fail(_request: httpx.Request) -> httpx.Response:
        raise failure(GONE)

    fake = FakeCorso(fail)
    with pytest.raises(expected):
        run(fake, lambda api: api.send(operation()))

    assert len(fake.requests) == 1


def test_a_429_is_handed_back_and_the_next_try_waits() -> None:
    """The sender decides to ask again; the limiter holds it until the pause is over."""
    clock = JumpingClock()
    answers = iter([answer(429, {"m": "slow"}, Retry_After="600"), answer(201, {"orderId": 1})])
    fake = FakeCorso(lambda _: next(answers))

    async def twice(api: CorsoApi) -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            await api.send(operation())
        await api.send(operation())
        assert api.limiter.throttled == 1
        return caught.value

    error = run(fake, twice, clock)

    assert error.retry_after_s >= 600
    assert clock.elapsed >= 600


def test_a_pause_that_begins_while_the_ledger_is_written_holds_the_operation_back() -> None:
    """It was admitted and announced, but no byte has left: it is throttled, and nothing was sent."""
    fake = FakeCorso(created)

    async def interrupted(api: CorsoApi) -> None:
        other = await api.limiter.admit()

        async def pause_begins() -> None:
            api.limiter.answered(other, 429, QuotaNotice(retry_after_s=30))

        with pytest.raises(RateLimited) as caught:
            await api.send(operation(), pause_begins)
        assert caught.value.retry_after_s >= 30
        assert api.limiter.pacer.in_flight == 0

    async def seeded_first(api: CorsoApi) -> None:
        await api.send(operation())
        fake.requests.clear()
        await interrupted(api)

    run(fake, seeded_first)

    assert fake.requests == []


def test_what_fails_before_the_announcement_has_sent_nothing() -> None:
    """The ledger's own error comes through, and the place is given back."""
    fake = FakeCorso(created)

    async def ledger_is_full() -> None:
        raise OSError(GONE)

    async def ask(api: CorsoApi) -> int:
        with pytest.raises(OSError, match=GONE):
            await api.send(operation(), ledger_is_full)
        return api.limiter.pacer.in_flight

    assert run(fake, ask) == 0
    assert fake.requests == []


def test_the_announcement_comes_once_even_when_the_token_is_renewed() -> None:
    """One attempt, one line in the ledger, although a 401 made the request leave twice."""
    fake = FakeCorso(
        lambda request: (
            created(request) if request.headers["authorization"] == "Bearer token-2" else answer(401)
        )
    )
    announced: list[int] = []

    async def announce() -> None:
        announced.append(len(fake.requests))

    run(fake, lambda api: api.send(operation(), announce))

    assert announced == [0]
    assert len(fake.requests) == 2


def test_an_operation_without_the_id_it_needs_is_a_mistake_of_ours() -> None:
    """Nothing is sent."""
    fake = FakeCorso(created)

    with pytest.raises(ValueError, match="S-1"):
        run(fake, lambda api: api.send(operation("update_order")))

    assert fake.requests == fake.seeds == []


def test_too_long_a_pause_parks() -> None:
    """Reads that wait through 429s give up in the same way."""
    fake = FakeCorso(lambda _: answer(429, Retry_After="3600"))

    with pytest.raises(Parked):
        run(fake, lambda api: api.order("1"))


def test_from_until_on_nothing_is_asked() -> None:
    """Not even a token; what is asked before it is answered."""
    clock, fake = JumpingClock(), FakeCorso(created)
    credentials = Credentials("id", SECRET)

    async def two_nights() -> None:
        until = clock.utc() + timedelta(seconds=30)
        transport = httpx.MockTransport(fake)
        async with CorsoApi.open(
            loader_settings(), credentials, clock=clock, transport=transport, until=until
        ) as api:
            await api.send(operation())
            clock.jump(30)
            with pytest.raises(Parked) as caught:
                await api.send(operation())
            assert caught.value.resume_at == until
        async with CorsoApi.open(
            loader_settings(), credentials, clock=clock, transport=transport, until=until
        ) as api:
            with pytest.raises(Parked):
                await api.ping()

    asyncio.run(two_nights())

    assert (len(fake.requests), len(fake.token_requests)) == (1, 1)


def test_nothing_is_sent_before_a_cheap_read_has_told_the_quota() -> None:
    """A hundred tasks start together: one GET goes first, one only, and one token is fetched for all."""
    fake = FakeCorso(created)

    async def hundred(api: CorsoApi) -> None:
        await asyncio.gather(*(api.send(operation()) for _ in range(100)))

    run(fake, hundred, requests_per_second=1000)

    assert [request.method for request in fake.seeds] == ["GET"]
    assert len(fake.token_requests) == 1
    assert len(fake.requests) == 100


def test_an_api_that_does_not_answer_gets_no_operation() -> None:
    """When even the first read fails, the operation was surely not sent."""

    def dead(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout(GONE)

    fake = FakeCorso(created)

    def network(request: httpx.Request) -> httpx.Response:
        return dead(request) if request.method == "GET" else fake(request)

    async def scenario() -> None:
        async with client(network) as api:
            await api.send(operation())

    with pytest.raises(NotSent):
        asyncio.run(scenario())
    assert fake.requests == []


def test_a_401_is_met_with_one_new_token_for_all() -> None:
    """The request goes once more with a fresh token; tasks that were refused together share it."""
    fake = FakeCorso(
        lambda request: (
            created(request) if request.headers["authorization"] == "Bearer token-2" else answer(401)
        )
    )

    async def many(api: CorsoApi) -> None:
        await asyncio.gather(*(api.send(operation()) for _ in range(20)))

    run(fake, many, requests_per_second=1000)

    assert len(fake.token_requests) == 2


def test_a_second_401_stops_the_run() -> None:
    """A fresh token that is refused will not get better."""
    fake = FakeCorso(lambda _: answer(401, {"message": "who?"}))

    with pytest.raises(NotAuthorised):
        run(fake, lambda api: api.send(operation()))

    assert len(fake.requests) == 2


def test_a_cancelled_send_gives_its_place_back() -> None:
    """A run that is interrupted can still send what it must."""
    fake = FakeCorso(created)

    async def scenario() -> int:
        arrived = asyncio.Event()

        class Hanging(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                if request.method == "POST" and not request.url.path.endswith("token"):
                    arrived.set()
                    await asyncio.Event().wait()
                return fake(request)

        settings = loader_settings()
        async with CorsoApi.open(
            settings, Credentials("id", SECRET), clock=JumpingClock(), transport=Hanging()
        ) as api:
            task = asyncio.create_task(api.send(operation()))
            await arrived.wait()
            assert api.limiter.pacer.in_flight == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return api.limiter.pacer.in_flight

    assert asyncio.run(scenario()) == 0


def test_a_read_is_repeated_until_it_is_answered() -> None:
    """5xx, broken connections and unreadable answers are waited out; numbers come as Decimal, never float."""
    clock = JumpingClock()
    answers = iter([answer(500), None, httpx.Response(200, content=b"<html>"), answer(429, Retry_After="5")])

    def flaky(_request: httpx.Request) -> httpx.Response:
        try:
            one = next(answers)
        except StopIteration:
            return httpx.Response(200, content=b'{"orderId": 1, "totalMoney": 129.53, "grams": 3}')
        if one is None:
            raise httpx.ReadError(GONE)
        return one

    fake = FakeCorso(flaky)
    order = run(fake, lambda api: api.order("1"), clock)

    assert order == {"orderId": 1, "totalMoney": Decimal("129.53"), "grams": 3}
    assert isinstance(order["totalMoney"], Decimal)
    assert clock.elapsed >= 5


def test_a_read_gives_up_after_six_tries() -> None:
    """A dead API ends in an error with its status and body."""
    fake = FakeCorso(lambda _: answer(502, {"message": "bad gateway"}))

    with pytest.raises(OutcomeUnknown) as caught:
        run(fake, lambda api: api.order("1"))

    assert len(fake.requests) == 6
    assert caught.value.status == 502


def test_a_dying_api_is_not_multiplied_by_many_reads() -> None:
    """Five hundred look-ups get their five hundred tries and a hundred retries, not 2,500; then each fails at once."""
    clock = JumpingClock()
    fake = FakeCorso(lambda _: answer(502))

    async def many(api: CorsoApi) -> list[Any]:
        asked = (api.order(str(number)) for number in range(500))
        return await asyncio.gather(*asked, return_exceptions=True)

    ends = run(fake, many, clock, requests_per_second=1000)

    assert {type(end) for end in ends} == {OutcomeUnknown}
    assert len(fake.requests) == 500 + 100


def test_an_api_that_stumbles_often_is_read_to_the_end() -> None:
    """Every third request fails: no read does, and the budget is no smaller for it."""
    count = 0

    def stumbles(_request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return answer(502) if count % 3 == 0 else answer(200, {"orderId": 1})

    async def all_of_them(api: CorsoApi) -> None:
        for number in range(400):
            await api.order(str(number))

    run(FakeCorso(stumbles), all_of_them, requests_per_second=1000)


def test_a_read_waits_through_any_number_of_429s() -> None:
    """They are no attempts and cost nothing of the budget: afterwards it has all its tries left."""
    clock = JumpingClock()
    script = [answer(429, Retry_After="1")] * 150 + [answer(502)] * 5 + [answer(200, {"orderId": 1})]
    answers = iter(script)
    fake = FakeCorso(lambda _: next(answers))

    assert run(fake, lambda api: api.order("1"), clock, patience_s=1e6) == {"orderId": 1}
    assert len(fake.requests) == len(script)


def test_an_order_that_is_not_there_is_none() -> None:
    """404 is an answer for a look-up."""
    assert run(FakeCorso(lambda _: answer(404)), lambda api: api.order("1")) is None


def test_the_fulfillments_of_an_order_are_a_list() -> None:
    """They come as documented; a missing order is NotFound."""
    fake = FakeCorso(lambda _: answer(200, {"fulfillments": [{"fulfillmentId": 3}]}))

    assert run(fake, lambda api: api.fulfillments("1")) == [{"fulfillmentId": 3}]
    with pytest.raises(NotFound):
        run(FakeCorso(lambda _: answer(404)), lambda api: api.fulfillments("1"))


def order(source_id: str, **fields: Any) -> dict[str, Any]:
    """Return a record of the listing."""
    return {"orderId": 1, "storeId": 9359, "sourceOrderId": source_id, **fields}


def one_page(*orders: dict[str, Any], has_next: bool = False) -> httpx.Response:
    """Return a page of the listing."""
    return answer(
        200, {"orders": list(orders), "pageInfo": page_info("next" if has_next else None, has_next=has_next)}
    )


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (one_page(order("S-1")), ["S-1"]),
        (one_page(order("S-1"), order("S-1")), ["S-1", "S-1"]),
        (one_page(), []),
        (one_page(order("S-1"), order("S-1", storeId=1)), ["S-1"]),
        (one_page(order("S-1", storeId=None)), ["S-1"]),
        (one_page(order("S-1"), order("S-11")), ["S-1"]),
        (one_page(order("S-2")), None),
        (one_page(order("S-1"), order("S-2"), has_next=True), None),
        (answer(400, {"message": "customerEmail is required"}), None),
    ],
)
def test_a_look_up_by_source_id_is_trusted_only_where_the_filter_works(
    response: httpx.Response, expected: list[str] | None
) -> None:
    """None means: this API cannot look up so; an empty list means: it is not there."""
    fake = FakeCorso(lambda _: httpx.Response(response.status_code, content=response.content))

    found = run(fake, lambda api: api.orders_by_source_id("S-1"))

    assert (found if found is None else [one["sourceOrderId"] for one in found]) == expected
    assert fake.requests[0].url.params["sourceOrderId"] == "S-1"


def test_a_look_up_reads_all_of_its_pages() -> None:
    """Duplicates may stand on a second page."""
    pages = iter([one_page(order("S-1"), has_next=True), one_page(order("S-1"))])
    fake = FakeCorso(lambda _: next(pages))

    assert len(run(fake, lambda api: api.orders_by_source_id("S-1")) or []) == 2
    assert fake.requests[1].url.params["after"] == "next"


def test_a_look_up_by_e_mail_and_name_escapes_what_it_asks() -> None:
    """Plus signs and hashes arrive as they are; letters' case does not matter in an address."""
    fake = FakeCorso(lambda _: one_page(order("S-1", customer={"email": "A+b@example.com"})))

    found = run(fake, lambda api: api.orders_by_email_and_name("a+b@example.com", "#10 01&x=é"))

    assert len(found or []) == 1
    assert dict(fake.requests[0].url.params) == {
        "customerEmail": "a+b@example.com",
        "orderNameOrNumber": "#10 01&x=é",
    }


async def read_all(api: CorsoApi, **asked: Any) -> list[Page]:
    """Read the whole listing."""
    return [page async for page in api.pages(**asked)]


def test_the_listing_is_read_to_its_end() -> None:
    """Pages follow the cursor; the last one says that it is the last."""

    def listing(request: httpx.Request) -> httpx.Response:
        at = int(request.url.params.get("after", "0"))
        info = page_info(str(at + 1), has_next=at < 9)
        return answer(200, {"orders": [order(f"S-{at}")], "pageInfo": info})

    fake = FakeCorso(listing)
    pages = run(fake, lambda api: read_all(api, order_by="asc"))

    assert [page.orders[0]["sourceOrderId"] for page in pages] == [f"S-{at}" for at in range(10)]
    assert {request.url.params["first"] for request in fake.requests} == {"250"}
    assert {request.url.params["orderBy"] for request in fake.requests} == {"asc"}


def test_what_is_new_or_missing_around_the_orders_is_told() -> None:
    """By its path; what is not needed to go on is no error."""
    info = {"hasNextPage": False, "total": 1}
    fake = FakeCorso(lambda _: answer(200, {"orders": [], "pageInfo": info, "warnings": []}))

    (page,) = run(fake, read_all)

    assert page.drift == {
        "unknown": ["warnings", "pageInfo.total"],
        "missing": ["pageInfo.endCursor", "pageInfo.hasPreviousPage", "pageInfo.startCursor"],
    }


def test_an_api_that_takes_small_pages_only_is_asked_for_small_ones() -> None:
    """250, 50, 10, then none at all; what worked is kept for the next pages."""

    def listing(request: httpx.Request) -> httpx.Response:
        if int(request.url.params.get("first", "0")) > 50:
            return answer(400)
        return one_page(order("S-1"), has_next="after" not in request.url.params)

    fake = FakeCorso(listing)
    run(fake, read_all)

    assert [request.url.params["first"] for request in fake.requests] == ["250", "50", "50"]


def test_pages_that_are_too_long_to_read_are_asked_for_in_smaller_ones() -> None:
    """250 huge orders do not fit into the bound of an answer: 50 may, 10 surely."""

    def listing(request: httpx.Request) -> httpx.Response:
        if request.url.params["first"] != "10":
            raise BodyTooLong(GONE)
        return one_page(order("S-1"))

    fake = FakeCorso(listing)

    assert len(run(fake, read_all)) == 1
    assert [request.url.params["first"] for request in fake.requests] == ["250", "50", "10"]


@pytest.mark.parametrize("first_answer", [httpx.Response(200, content=b"<html>"), httpx.Response(500)])
def test_a_page_that_cannot_be_read_is_asked_for_again(first_answer: httpx.Response) -> None:
    """A gateway's error page in the middle of a pass does not end it."""
    answers = iter([first_answer, one_page(order("S-1"))])
    fake = FakeCorso(lambda _: next(answers))

    assert len(run(fake, read_all)) == 1


def test_a_refusal_other_than_400_is_no_question_of_size() -> None:
    """It is raised as it is, after one request."""
    fake = FakeCorso(lambda _: answer(422))

    for ask in (read_all, lambda api: api.orders_by_source_id("S-1")):
        with pytest.raises(Rejected) as caught:
            run(fake, ask)
        assert type(caught.value) is Rejected
    assert len(fake.requests) == 2


@pytest.mark.parametrize("content", [None, {}, {"fulfillments": {}}, {"fulfillments": [1]}])
def test_a_record_that_is_not_one_is_unknown(content: Any) -> None:
    """Reads end with an error rather than with half a record."""
    fake = FakeCorso(lambda _: answer(200, content))

    for ask in (lambda api: api.order("1"), lambda api: api.fulfillments("1")):
        with pytest.raises(OutcomeUnknown):
            run(fake, ask)


def test_newest_first_yields_the_orders_of_each_page() -> None:
    """The listing as recovery reads it."""
    fake = FakeCorso(lambda _: one_page(order("S-1"), order("S-2")))

    async def read(api: CorsoApi) -> list[Any]:
        return [orders async for orders in api.newest_first()]

    assert [len(orders) for orders in run(fake, read)] == [2]
    assert fake.requests[0].url.params["orderBy"] == "desc"


def test_newest_first_yields_nothing_of_other_stores() -> None:
    """One pair of credentials may own several stores, whose orders have the same numbers."""
    theirs = {**order("S-1"), "storeId": 1}
    fake = FakeCorso(lambda _: one_page(theirs, order("S-2")))

    async def read(api: CorsoApi) -> list[Any]:
        return [each["sourceOrderId"] async for orders in api.newest_first() for each in orders]

    assert run(fake, read) == ["S-2"]


def test_a_listing_that_wants_filters_says_so() -> None:
    """One reading of the reference: then look-ups are the only way to read back."""
    fake = FakeCorso(lambda _: answer(400, {"message": "customerEmail is required"}))

    with pytest.raises(ListingRefused) as caught:
        run(fake, read_all)

    assert "customerEmail" in caught.value.body
    with pytest.raises(CursorRefused):
        run(fake, lambda api: read_all(api, after="old"))


@pytest.mark.parametrize(
    "content",
    [
        {"orders": [order("S-1")], "pageInfo": page_info("same", has_next=True)},
        {"orders": [], "pageInfo": page_info("x", has_next=True)},
        {"orders": [order("S-1")], "pageInfo": page_info(None, has_next=True)},
        {"orders": [order("S-1")]},
        {"orders": [order("S-1")], "pageInfo": {"hasNextPage": "no"}},
        {"orders": {"S-1": 1}, "pageInfo": page_info()},
        {"orders": ["S-1"], "pageInfo": page_info()},
        {"data": []},
    ],
)
def test_a_listing_without_an_end_is_an_error(content: dict[str, Any]) -> None:
    """Neither a loop for ever nor a silent early end: both would tell lies about missing orders."""
    with pytest.raises(ListingBroken):
        run(FakeCorso(lambda _: answer(200, content)), read_all)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 20])
def test_a_cursor_that_goes_in_circles_is_noticed(length: int) -> None:
    """However long the circle is."""

    def listing(request: httpx.Request) -> httpx.Response:
        at = int(request.url.params.get("after", "0"))
        return answer(
            200, {"orders": [order("S")], "pageInfo": page_info(str((at + 1) % length), has_next=True)}
        )

    fake = FakeCorso(listing)
    with pytest.raises(ListingBroken):
        run(fake, read_all, requests_per_second=1000)

    assert len(fake.requests) < 6 * length + 10


def test_no_secret_is_in_any_error_or_log(caplog: pytest.LogCaptureFixture) -> None:
    """Not even where a server echoes the request."""
    caplog.set_level(logging.DEBUG)

    def echo(request: httpx.Request) -> httpx.Response:
        return answer(400, {"you sent": request.headers["authorization"], "and": SECRET})

    fake = FakeCorso(echo)
    with pytest.raises(Rejected) as caught:
        run(fake, lambda api: api.send(operation()))

    shown = f"{caught.value!r} {caught.value} {caught.value.body} {caplog.text} {operation()!r}"
    assert "token-1" not in shown
    assert SECRET not in shown
