"""The API's quota as it is known before anything is sent: told by one cheap read, or measured by an earlier run.

One answer tells the limit and the seconds to the next window. How long a window is it does not tell, but for the
IETF's form: it lasts at least as long as it has left. A run that saw several windows knows, and keeps what it
measured as quota.json in the store's folder. So does a run that found out by refusals how much an API takes that tells
nothing: the next one goes on from there.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from corso.api.client import CorsoApi
from corso.api.found_rate import Found
from corso.api.quota_headers import QuotaNotice
from corso.clock import Clock
from corso.errors import CorsoError, NotAuthorised, NotSent, Parked, RateLimited
from corso.report.atomic import replacing
from corso.report.summary import QuotaUse
from corso.settings import Credentials, Settings
from corso.stages.kept_pause import PauseFile

ANSWER_S = 10.0
"""Seconds that a plan waits for the API: it is complete without."""

USUAL_LENGTHS_S = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0)
"""How long windows usually are (assumed: Corso documents no length)."""

_ASKED_FOR_A_PAUSE = "the API asks for a pause"

_SURE_AFTER = 2.0
"""Windows that a run has to have seen before its measures are kept."""


@dataclass(frozen=True)
class KnownQuota:
    """So many requests a window, and between which bounds its length is."""

    limit: int
    shortest_s: float
    longest_s: float
    foreign_share: float = 0.0
    """The part of it that others used."""
    measured_at: datetime | None = None
    """When a run measured it; None where one answer told it."""

    @classmethod
    def told(cls, notice: QuotaNotice) -> Self | None:
        """Return what one answer tells; None where it does not describe a window."""
        if notice.remaining is None or notice.reset_s is None:
            return None
        limit = max(1, notice.limit or notice.remaining)
        if notice.window_s:
            return cls(limit, notice.window_s, notice.window_s)
        shortest = next((usual for usual in USUAL_LENGTHS_S if usual >= notice.reset_s), notice.reset_s)
        longer = next((usual for usual in USUAL_LENGTHS_S if usual > shortest), 2 * shortest)
        return cls(limit, shortest, min(longer, 2 * shortest))


@dataclass(frozen=True)
class FoundEarlier:
    """What an earlier run found by refusals, of an API that tells no quota."""

    found: Found
    at: datetime


@dataclass(frozen=True)
class NotLearnt:
    """That the API told no quota, and why, in a few words."""

    why: str
    earlier: FoundEarlier | None = None


class _Measured(BaseModel):
    """quota.json."""

    model_config = ConfigDict(frozen=True)

    base_url: str
    measured_at: datetime
    quota: QuotaUse


def said_length(seconds: float) -> str:
    """Return a window's length in words; one that was measured as 9.98 s is 10 s."""
    whole = round(seconds)
    return f"{whole if abs(seconds - whole) <= 0.02 * seconds else round(seconds, 1):g}"


def keep_measured(settings: Settings, quota: QuotaUse, now: datetime) -> None:
    """Keep for later plans of the store what a run measured, if it saw enough to be sure."""
    is_told = quota.limit and quota.length_s and quota.quota >= _SURE_AFTER * quota.limit
    if is_told or quota.found_per_s:
        settings.store_dir.mkdir(parents=True, exist_ok=True)
        measured = _Measured(base_url=settings.loader.corso.base_url, measured_at=now, quota=quota)
        with replacing(settings.store_dir / "quota.json") as draft:
            draft.write_text(measured.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_measured(settings: Settings) -> KnownQuota | None:
    """Return what an earlier run of the store measured of the same API; None where there is nothing of use."""
    measured = _read(settings)
    if measured is None:
        return None
    quota = measured.quota
    if not quota.limit or not quota.length_s:
        return None
    return KnownQuota(
        quota.limit, quota.length_s, quota.length_s, quota.foreign_share or 0.0, measured.measured_at
    )


def read_found(settings: Settings) -> FoundEarlier | None:
    """Return what an earlier run of the store found of the same API; None where answers told the quota, or none was refused."""
    measured = _read(settings)
    if measured is None or measured.quota.limit or not measured.quota.found_per_s:
        return None
    found = Found(measured.quota.found_per_s, measured.quota.found_pause_s)
    return FoundEarlier(found, measured.measured_at)


def _read(settings: Settings) -> _Measured | None:
    try:
        measured = _Measured.model_validate_json((settings.store_dir / "quota.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return measured if measured.base_url == settings.loader.corso.base_url else None


def open_api(
    settings: Settings,
    credentials: Credentials,
    *,
    clock: Clock | None = None,
    until: datetime | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> CorsoApi:
    """Make a client that goes on from what earlier runs found, and waits for what they were asked to (`CorsoApi.open`)."""
    earlier = read_found(settings)
    return CorsoApi.open(
        settings,
        credentials,
        clock=clock,
        transport=transport,
        until=until,
        found=earlier.found if earlier else None,
        pause=PauseFile(settings),
    )


def ask_quota(
    settings: Settings,
    credentials: Credentials,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> KnownQuota | NotLearnt:
    """Learn the quota by one cheap read. Never raises for what the API or the network does."""

    async def ask() -> KnownQuota | NotLearnt:
        async with open_api(settings, credentials, clock=clock, transport=transport) as api:
            if api.limiter.pause_s > ANSWER_S:
                return NotLearnt(_ASKED_FOR_A_PAUSE)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await api.ping()
            except CorsoError as error:
                # A refusal may tell the numbers all the same.
                return KnownQuota.told(api.limiter.told) or NotLearnt(_in_few_words(error))
            except TimeoutError:
                return NotLearnt(f"the API did not answer within {ANSWER_S:g} s")
            return KnownQuota.told(api.limiter.told) or NotLearnt("the API tells none")

    return asyncio.run(ask())


def _in_few_words(error: CorsoError) -> str:
    status = getattr(error, "status", None)
    match error:
        case NotAuthorised():
            return f"the credentials were refused ({status})"
        case RateLimited():
            return "the API answered 429: its quota is used up now"
        case Parked():
            return _ASKED_FOR_A_PAUSE
        case _ if status is not None:
            return f"the API answered {status}"
        case NotSent():
            return "the API cannot be reached"
        case _:
            return "no usable answer was read"
