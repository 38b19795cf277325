"""One pacer for all that a process asks with the same credentials, one client after the other."""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_clients import SECRET, FakeCorso, answer, client, loader_settings
from clocks import JumpingClock

from corso.api import shared_pacers
from corso.api.client import CorsoApi
from corso.api.pacer import Pacer, Ticket
from corso.api.quota_headers import QuotaNotice
from corso.clock import SystemClock
from corso.settings import Credentials, Settings
from sandbox.options import SandboxOptions
from tests.sandbox_process import SandboxAddresses, sandbox_on_a_thread

NOBODY = "http://127.0.0.1:1"
"""Nothing listens there, and nothing is sent."""


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    shared_pacers._free.clear()
    yield
    shared_pacers._free.clear()


def settings(
    *, base_url: str = f"{NOBODY}/v1", token_url: str = f"{NOBODY}/token", **limits: Any
) -> Settings:
    """Return settings for a server of one's own."""
    corso = {"environment": "custom", "audience": "sandbox", "base_url": base_url, "token_url": token_url}
    return loader_settings(corso=corso, **limits)


def pacer_of(where: Settings, client_id: str = "sandbox", **parts: Any) -> Pacer:
    """Open a client, close it again, and return what paced it."""

    async def scene() -> Pacer:
        async with CorsoApi.open(where, Credentials(client_id, SECRET), **parts) as api:
            return api.limiter.pacer

    return asyncio.run(scene())


def test_stages_go_on_with_the_same_pacer_each_in_a_loop_of_its_own() -> None:
    """However each of them asks for the time, and whatever share of the quota is set by now."""
    first = pacer_of(settings())
    assert pacer_of(settings()) is first
    assert pacer_of(settings(), clock=SystemClock()) is first
    assert pacer_of(settings(share=0.3)) is first


@pytest.mark.parametrize(
    ("where", "client_id"),
    [
        (settings(base_url="http://127.0.0.1:2/v1"), "sandbox"),
        (settings(token_url="http://127.0.0.1:2/token"), "sandbox"),
        (settings(max_in_flight=3), "sandbox"),
        (settings(requests_per_second=3), "sandbox"),
        (settings(), "another"),
    ],
)
def test_another_quota_or_other_settings_have_another_pacer(where: Settings, client_id: str) -> None:
    """A token of another client, another API, another ceiling."""
    first = pacer_of(settings())
    assert pacer_of(where, client_id) is not first
    assert pacer_of(settings()) is first


def test_what_is_kept_names_no_secret() -> None:
    """The key stands in a traceback's locals, at the most."""
    pacer_of(settings())
    assert SECRET not in repr(shared_pacers._free)


def test_a_client_that_comes_meanwhile_has_a_pacer_of_its_own() -> None:
    """Who waits for a turn is woken by its own loop alone: two clients on one pacer could wait for each other for ever."""

    async def scene() -> tuple[Pacer, Pacer]:
        credentials = Credentials("sandbox", SECRET)
        async with (
            CorsoApi.open(settings(), credentials) as api,
            CorsoApi.open(settings(), credentials) as other,
        ):
            return api.limiter.pacer, other.limiter.pacer

    outer, inner = asyncio.run(scene())
    assert outer is not inner
    assert pacer_of(settings()) is outer


def test_closing_twice_gives_back_once() -> None:
    """Somebody else may have it by then."""

    async def scene() -> None:
        api = CorsoApi.open(settings(), Credentials("sandbox", SECRET))
        await api.aclose()
        async with CorsoApi.open(settings(), Credentials("sandbox", SECRET)) as next_one:
            await api.aclose()
            assert next_one.limiter.pacer is api.limiter.pacer
            assert shared_pacers._free == {}

    asyncio.run(scene())


def test_a_pacer_that_waits_for_a_lost_ticket_is_not_used_again() -> None:
    """A loop that died in the middle may never have handed it back."""

    async def scene() -> Pacer:
        async with CorsoApi.open(settings(), Credentials("sandbox", SECRET)) as api:
            await api.limiter.admit()
            return api.limiter.pacer

    left = asyncio.run(scene())
    assert pacer_of(settings()) is not left


def test_tests_in_virtual_time_or_without_a_network_never_share() -> None:
    """What one learns must not be what the next one knows."""
    pacers = [
        pacer_of(settings(), clock=JumpingClock()),
        pacer_of(settings(), transport=httpx.MockTransport(lambda _: answer(500))),
        pacer_of(settings()),
    ]
    assert len({id(each) for each in pacers}) == 3
    assert [*shared_pacers._free.values()] == pacers[2:]


def test_a_run_that_is_aborted_hands_back_all_it_has_under_way() -> None:
    """Cancelled while seeding, while fetching a token, and in the middle of a hundred reads: nothing stays counted."""

    class Hanging(httpx.AsyncBaseTransport):
        def __init__(self, hangs_at: str) -> None:
            self._hangs_at = hangs_at
            self._fake = FakeCorso(
                lambda _: answer(200, {"orderId": 1}, RateLimit_Remaining="900", RateLimit_Reset="9")
            )
            self.hangs = asyncio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self._hangs_at in str(request.url):
                self.hangs.set()
                await asyncio.Event().wait()
            return self._fake(request)

    async def scene(hangs_at: str) -> Pacer:
        transport = Hanging(hangs_at)
        api = CorsoApi.open(
            loader_settings(requests_per_second=1000),
            Credentials("id", SECRET),
            clock=JumpingClock(),
            transport=transport,
        )
        async with api:
            asked = asyncio.gather(*(api.order(str(number)) for number in range(100)), api._seeded())
            await transport.hangs.wait()
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
        return api.limiter.pacer

    for hangs_at in ("oauth/token", "first=1", "/orders/7"):
        assert asyncio.run(scene(hangs_at)).in_flight == 0


def test_what_the_first_stage_learnt_the_second_knows() -> None:
    """It needs no read of its own to begin with, and its counters go on."""
    known = Pacer(share=0.8, max_in_flight=4)
    ticket = known.admit(0.0)
    assert isinstance(ticket, Ticket)
    notice = QuotaNotice(limit=100, remaining=99, reset_s=10)
    known.answered(ticket, 0.1, 200, notice)
    where = settings()
    shared_pacers.give_back(shared_pacers.key_of(where.loader, Credentials("sandbox", SECRET)), known)
    pacer = pacer_of(where)
    assert pacer is known
    assert (pacer.seeded, pacer.tally.sent) == (True, 1)


@pytest.mark.slow
def test_three_stages_against_a_server_share_its_windows_and_are_never_refused() -> None:
    """Over a real socket, each in a loop of its own, under 20 requests in a second."""
    with sandbox_on_a_thread(SandboxOptions(limit=20, window_s=1)) as sandbox:
        for _ in range(3):
            asyncio.run(_a_stage(sandbox))
        counts = sandbox.counts()
    assert counts["requests_by_status"] == {"404": 3 * 12}
    assert counts["tokens_issued"] == 3


async def _a_stage(sandbox: SandboxAddresses) -> None:
    where = settings(base_url=sandbox.base_url, token_url=sandbox.token_url)
    async with CorsoApi.open(where, Credentials("sandbox", "sandbox")) as api:
        sent = api.limiter.sent
        assert api.limiter.seeded == (sent > 0)
        await asyncio.gather(*(api.order(str(number)) for number in range(12)))
        assert (api.limiter.sent - sent, api.limiter.pacer.in_flight) == (13, 0)


def test_a_client_of_virtual_time_gives_nothing_back() -> None:
    """The fakes' client, as all other tests open it."""

    async def scene() -> None:
        async with client(FakeCorso(lambda _: answer(200, {"orderId": 1}))) as api:
            await api.order("1")

    asyncio.run(scene())
    assert shared_pacers._free == {}
