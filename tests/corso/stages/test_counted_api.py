"""What a stage asked is added to the batch's facts, and nothing that an earlier stage asked."""

import asyncio
from pathlib import Path

import httpx
import pytest
from api_clients import SECRET, answer, loader_settings
from clocks import JumpingClock

from corso.api.client import CorsoApi
from corso.errors import OutcomeUnknown
from corso.settings import Credentials, Settings
from corso.stages.batch import Batch
from corso.stages.delivering import counted_api


class Api(httpx.AsyncBaseTransport):
    """Allows a hundred requests a minute; for each of ours it counts one of somebody else's."""

    def __init__(self, clock: JumpingClock) -> None:
        self._clock = clock
        self._left = 100
        self.works = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer within a tenth of a second."""
        await self._clock.sleep(0.1)
        if request.url.path.endswith("/oauth/token"):
            return answer(200, {"access_token": "t", "expires_in": 3600})
        self._left -= 2
        fields = {"RateLimit_Limit": "100", "RateLimit_Remaining": str(self._left), "RateLimit_Reset": "60"}
        return answer(200 if self.works else 502, {"orderId": 1}, **fields)


def a_batch(folder: Path) -> Batch:
    """Return a batch below a folder."""
    return Batch(Settings(folder / "loader.yaml", loader_settings().loader), "night")


async def ask(batch: Batch, api: CorsoApi, reads: int) -> None:
    """Be a stage that reads so many orders, one after the other."""
    async with counted_api(batch, api):
        for number in range(reads):
            await api.order(str(number))


def test_each_stage_adds_its_own_requests_and_its_own_part_of_the_quota(tmp_path: Path) -> None:
    """Two stages on one pacer, which counts for both: the second is not told twice."""
    batch, clock = a_batch(tmp_path), JumpingClock()
    api = CorsoApi.open(batch.settings, Credentials("id", SECRET), clock=clock, transport=Api(clock))

    async def two_stages() -> None:
        await ask(batch, api, 6)
        first = batch.read_facts()
        await ask(batch, api, 4)
        second = batch.read_facts()
        tally = api.limiter.pacer.tally
        # The token's request is one of the first stage's.
        assert (first.requests.sent, second.requests.sent) == (7, 11)
        assert second.quota.used == tally.used
        assert second.quota.quota == pytest.approx(tally.quota, abs=0.01)
        assert 0 < first.quota.used < second.quota.used
        assert second.quota.limit == 100

    asyncio.run(two_stages())


def test_a_stage_that_fails_is_counted_too(tmp_path: Path) -> None:
    """Its tries and its retries: the books are closed over them all the same."""
    batch, clock = a_batch(tmp_path), JumpingClock()
    server = Api(clock)
    server.works = False
    api = CorsoApi.open(batch.settings, Credentials("id", SECRET), clock=clock, transport=server)
    with pytest.raises(OutcomeUnknown):
        asyncio.run(ask(batch, api, 1))
    asked = batch.read_facts().requests
    assert (asked.sent, asked.retried, asked.throttled) == (7, 5, 0)
