"""Token requests wait for their turn like all others: one limiter for everything, and nothing goes round it."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import httpx
import pytest
from api_clients import SECRET, answer, loader_settings, operation
from clocks import JumpingClock
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from quota_models import FixedWindows

from corso.api.client import CorsoApi
from corso.errors import NotAuthorised, Parked, RateLimited
from corso.settings import Credentials

LATENCY_S = 0.05


class Arrival(NamedTuple):
    """A request that the server was asked."""

    what: Literal["token", "read", "order"]
    at: float
    status: int


class Server(httpx.AsyncBaseTransport):
    """A token endpoint and an API behind one quota, in virtual time."""

    def __init__(self, clock: JumpingClock, *, limit: int = 1_000_000, window_s: float = 10.0) -> None:
        self._clock = clock
        self._windows = FixedWindows(lambda _: limit, window_s)
        self.arrivals: list[Arrival] = []
        self.under_way = self.most_under_way = self.tokens = 0
        self.revokes_at: int | None = None
        """The order at which the token that is current then ceases to be one."""
        self._revoked = 0
        self.expires_in = 3600.0
        self.token_answers: Callable[[int], httpx.Response | None] = lambda _: None
        self.order_answers: Callable[[int], httpx.Response | None] = lambda _: None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer after a while; what is true is what was when it arrived."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            response = self._answer(request)
            await self._clock.sleep(LATENCY_S)
            return response
        finally:
            self.under_way -= 1

    def times(self, what: str) -> list[float]:
        """Return when requests of a kind arrived."""
        return [each.at for each in self.arrivals if each.what == what]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        now = self._clock.elapsed
        counted = self._windows.take(now)
        fields = {
            "RateLimit_Limit": str(counted.limit),
            "RateLimit_Remaining": str(counted.remaining),
            "RateLimit_Reset": f"{counted.reset_s:.3f}",
        }
        is_token = request.url.path.endswith("/oauth/token")
        what: Any = "token" if is_token else "read" if request.method == "GET" else "order"
        number = len(self.times(what)) + 1
        if what == "order" and number == self.revokes_at:
            self._revoked = self.tokens
        if not counted.allowed:
            response = answer(429, Retry_After=f"{counted.wait_s:.3f}", **fields)
        elif is_token:
            response = self.token_answers(number) or self._new_token()
        elif request.headers["authorization"] == f"Bearer t{self._revoked}":
            response = answer(401, **fields)
        else:
            response = self.order_answers(number) if what == "order" else None
            response = response or answer(200, {"orderId": 1, "orders": [], "pageInfo": {}}, **fields)
        self.arrivals.append(Arrival(what, now, response.status_code))
        return response

    def _new_token(self) -> httpx.Response:
        self.tokens += 1
        return answer(200, {"access_token": f"t{self.tokens}", "expires_in": self.expires_in})


def run(
    server: Server, clock: JumpingClock, ask: Callable[[CorsoApi], Awaitable[None]], **limits: Any
) -> None:
    """Open a client on the server and do something with it; a hang ends with TimeoutError."""

    async def scene() -> None:
        async with CorsoApi.open(
            loader_settings(**limits), Credentials("id", SECRET), clock=clock, transport=server
        ) as api:
            await asyncio.wait_for(ask(api), 20)
            assert api.limiter.pacer.in_flight == 0
            assert api.limiter.sent == len(server.arrivals)

    asyncio.run(scene())


async def send(api: CorsoApi) -> None:
    """Send one operation until it is not throttled."""
    while True:
        try:
            await api.send(operation())
        except RateLimited:
            continue
        return


async def send_many(api: CorsoApi, count: int, workers: int) -> None:
    """Send so many operations, so many at a time."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await send(api)

    await asyncio.gather(*(work() for _ in range(workers)))


def test_the_first_token_request_goes_alone_and_does_not_tell_the_quota() -> None:
    """It may be the very first thing that is asked: a read after it seeds, and nothing else leaves before."""
    clock = JumpingClock()
    server = Server(clock)

    async def together(api: CorsoApi) -> None:
        await send_many(api, 50, 50)

    run(server, clock, together, max_in_flight=50)

    assert [each.what for each in server.arrivals[:3]] == ["token", "read", "order"]
    gaps = [later.at - earlier.at for earlier, later in pairwise(server.arrivals[:3])]
    assert all(gap >= LATENCY_S - 1e-6 for gap in gaps)


def test_a_token_request_waits_out_a_pause() -> None:
    """The API said not to ask for ten minutes: that holds for the renewal of the token, too."""
    clock = JumpingClock()
    server = Server(clock)
    server.expires_in = 100
    server.order_answers = lambda number: answer(429, Retry_After="600") if number == 1 else None

    run(server, clock, send)

    first, renewed = server.times("token")
    assert renewed >= server.times("order")[0] + 600
    # Its time runs from when it was asked for, not from when that began to wait: it is good for this one.
    assert [each.what for each in server.arrivals if each.at > renewed] == ["order"]
    assert first < renewed


def test_a_429_of_the_token_endpoint_holds_all_requests() -> None:
    """A worker whose token was refused asks for a new one; those whose token is thought good wait with it."""
    clock = JumpingClock()
    server = Server(clock)
    server.order_answers = lambda number: answer(401) if number == 1 else None
    server.token_answers = lambda number: answer(429, Retry_After="30") if number == 2 else None

    async def one_and_then_others(api: CorsoApi) -> None:
        first = asyncio.create_task(send(api))
        while len(server.times("token")) < 2:
            await clock.sleep(0.01)
        await clock.sleep(2 * LATENCY_S)
        await asyncio.gather(first, *(send(api) for _ in range(20)))

    run(server, clock, one_and_then_others)

    refused_at = server.times("token")[1]
    after = [each for each in server.arrivals if each.at > refused_at]
    assert min(each.at for each in after) >= refused_at + 30
    assert len([each for each in after if each.what == "order" and each.status == 200]) == 21


def test_a_429_of_the_token_endpoint_is_no_attempt() -> None:
    """Twenty of them, in words or without: it is asked again when it says, and the run goes on."""
    clock = JumpingClock()
    server = Server(clock)
    server.token_answers = lambda number: (
        None if number > 20 else answer(429) if number % 2 else answer(429, Retry_After="5")
    )

    run(server, clock, send)

    assert len(server.times("token")) == 21
    assert clock.elapsed >= 50


@pytest.mark.parametrize("retry_after", [{}, {"Retry_After": "60"}, {"Retry_After": "7200"}])
def test_a_token_endpoint_that_answers_429_for_longer_than_patience_parks_the_run(
    retry_after: dict[str, str],
) -> None:
    """Told at once or in small pieces: quarters of an hour are for the scheduler."""
    clock = JumpingClock()
    server = Server(clock)
    server.token_answers = lambda _: answer(429, **retry_after)

    with pytest.raises(Parked):
        run(server, clock, send)

    assert clock.elapsed <= 900


@pytest.mark.parametrize("workers", [1, 20])
def test_one_request_at_a_time_is_enough_for_both(workers: int) -> None:
    """limits.max_in_flight: 1. Whoever finds that the token has ended gives its place to the token request."""
    clock = JumpingClock()
    server = Server(clock)
    server.expires_in = 2

    async def all_of_them(api: CorsoApi) -> None:
        await send_many(api, 200, workers)

    run(server, clock, all_of_them, max_in_flight=1)

    assert server.most_under_way == 1
    assert len(server.times("token")) >= 5
    assert {each.status for each in server.arrivals} == {200}


def test_tokens_that_end_in_mid_run_under_a_tight_quota_cost_no_429() -> None:
    """A hundred requests in ten seconds, token requests among them; a token every four to eight seconds."""
    clock = JumpingClock()
    server = Server(clock, limit=100, window_s=10)
    server.expires_in = 8

    async def all_of_them(api: CorsoApi) -> None:
        await send_many(api, 1000, 30)

    run(server, clock, all_of_them, share=1.0)

    assert [each for each in server.arrivals if each.status == 429] == []
    assert len(server.times("token")) >= 1000 / 10 / 8
    assert clock.elapsed <= 1000 / 10 * 1.2


def test_a_token_that_is_to_be_renewed_before_the_next_turn_is_used_all_the_same() -> None:
    """Tokens of a minute, and a turn every forty seconds: half of their life is over by then, and they are good."""
    clock = JumpingClock()
    server = Server(clock, limit=15, window_s=600)
    server.expires_in = 60

    async def some(api: CorsoApi) -> None:
        await send_many(api, 40, 3)

    run(server, clock, some, share=1.0)

    assert sum(each.what == "order" and each.status == 200 for each in server.arrivals) == 40
    assert len(server.times("token")) <= 41


@pytest.mark.parametrize("workers", [1, 20])
def test_tokens_that_are_over_before_any_turn_comes_end_the_sending(workers: int) -> None:
    """Tokens of ten seconds, and a turn every forty: it is said, where it could go on for ever."""
    clock = JumpingClock()
    server = Server(clock, limit=15, window_s=600)
    server.expires_in = 10

    async def some(api: CorsoApi) -> None:
        await send_many(api, 40, workers)

    with pytest.raises(
        NotAuthorised, match="10 access tokens in a row were over before a request's turn came"
    ):
        run(server, clock, some, share=1.0)

    assert len(server.times("token")) <= len(server.times("order")) + len(server.times("read")) + 10


@pytest.mark.slow
@settings(deadline=None)
@given(
    expires_in=st.floats(0.3, 30),
    limit=st.integers(5, 200),
    workers=st.integers(1, 40),
    max_in_flight=st.integers(1, 40),
    revokes_at=st.none() | st.integers(1, 60),
)
def test_whatever_ends_when_all_is_sent_and_no_more_tokens_are_fetched_than_end(
    expires_in: float, limit: int, workers: int, max_in_flight: int, revokes_at: int | None
) -> None:
    """Single flight: for an end, or for a 401, one token request and no second."""
    # One that is over before the next turn at the even pace is of no use.
    assume(0.9 * expires_in > 5 / limit + 2 * LATENCY_S)
    clock = JumpingClock()
    server = Server(clock, limit=limit, window_s=5)
    server.expires_in = expires_in
    server.revokes_at = revokes_at

    async def all_of_them(api: CorsoApi) -> None:
        await send_many(api, 60, workers)

    run(server, clock, all_of_them, max_in_flight=max_in_flight, share=1.0)

    assert sum(each.what == "order" and each.status == 200 for each in server.arrivals) == 60
    fetched_at = [each.at for each in server.arrivals if (each.what, each.status) == ("token", 200)]
    early = [later - earlier < expires_in / 2 - 1e-6 for earlier, later in pairwise(fetched_at)]
    assert sum(early) <= (revokes_at is not None)
