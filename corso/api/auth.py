"""The access token: OAuth 2 client credentials, fetched once, shared by all tasks, renewed early.

Neither the secret nor the token ever stands in a message, a repr or a log: answers of the token endpoint are not
quoted, except for the error code that RFC 6749 (section 5.2) defines. Token requests wait for their turn like all
others, since one server may count them together; as for the API, a 429 is not an attempt.
"""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx

from corso.api.backoff import ATTEMPTS, Jitter, full_jitter_s, random_jitter
from corso.api.quota_headers import read_notice
from corso.api.wire_json import decode_object
from corso.clock import Clock
from corso.errors import ApiError, NotAuthorised, NotSent, Parked
from corso.scrubbing import remember_secret
from corso.settings import Corso, Credentials

EARLY_S = 60.0
"""Seconds before its end at which a token is renewed (half of a shorter lifetime)."""

USABLE = 0.9
"""Part of a token's lifetime in which a request may leave with it: it has to arrive, too."""

MOST_IN_VAIN = 10
"""So many tokens in a row that were over before anybody's turn came show that no request will ever leave with one."""

REFUSED = frozenset({400, 401, 403})
"""Statuses by which a token endpoint refuses the credentials (RFC 6749, section 5.2; 403 is Auth0's)."""

_TOKEN = re.compile(r"[\x21-\x7e]+\Z", re.ASCII)
_ERROR_CODE = re.compile(r"[a-z_]{1,40}\Z", re.ASCII)
_BEARER_TYPES = frozenset({"bearer", ""})


class NoToken(NotSent):
    """The token endpoint cannot be reached or does not work; the request that wanted a token was not sent."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and when to renew it; its value is never shown."""

    value: str = field(repr=False)
    renew_at: float
    """Monotonic seconds; infinite when the endpoint did not say."""
    usable_until: float
    """Monotonic seconds: for a request that began to wait for its turn when it need not be renewed yet."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What the token endpoint answered."""

    asked_at: float
    """Monotonic seconds: when the request left. It may have waited long for its turn."""
    status: int
    fields: dict[str, str]
    """Header fields, lower-case names."""
    body: bytes = field(repr=False)


Exchange = Callable[[httpx.Request], Awaitable[TokenAnswer]]
"""Sends one token request when its turn has come; raises NotSent, OutcomeUnknown or Parked."""


class TokenSource:
    """Gives the current token; fetches it when there is none, once for all who wait."""

    def __init__(
        self,
        corso: Corso,
        credentials: Credentials,
        exchange: Exchange,
        clock: Clock,
        *,
        patience_s: float,
        user_agent: str,
        jitter: Jitter = random_jitter,
    ) -> None:
        self._corso = corso
        self._credentials = credentials
        self._exchange = exchange
        self._clock = clock
        self._patience_s = patience_s
        self._user_agent = user_agent
        self._jitter = jitter
        self._token: Token | None = None
        self._in_vain = 0
        """Tokens fetched since a request left with one."""
        self._fetching = asyncio.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: the client secret and the current token."""
        token = (self._token.value,) if self._token else ()
        return (self._credentials.client_secret, *token)

    def current(self) -> Token | None:
        """Return the token if there is one that need not be renewed yet."""
        token = self._token
        return token if token and self._clock.monotonic() < token.renew_at else None

    def usable(self) -> Token | None:
        """Return the token if a request whose turn has come may still leave with it.

        That is longer than until its renewal: where turns are far apart, each token would be over before it was used.
        """
        token = self._token
        if token is None or self._clock.monotonic() >= token.usable_until:
            return None
        self._in_vain = 0
        return token

    async def obtain(self, attempts: int = ATTEMPTS) -> Token:
        """Return the current token, fetching it if need be, in so many tries.

        Raises NotAuthorised when it is refused or useless (MOST_IN_VAIN), NoToken when the endpoint does not work,
        Parked when it asks for too long a wait.
        """
        async with self._fetching:
            if token := self.current():
                return token
            if self._in_vain >= MOST_IN_VAIN:
                message = (
                    f"{self._in_vain} access tokens in a row were over before a request's turn came: they last less long than the "
                    "quota makes each request wait; the API's administrator can make them last longer"
                )
                raise NotAuthorised(message)
            return await self._fetch(attempts)

    async def renew(self, refused: Token) -> Token:
        """Return a token other than `refused`, which the API answered 401 to; fetched once for all who ask."""
        async with self._fetching:
            current = self.current()
            return current if current and current is not refused else await self._fetch()

    async def _fetch(self, attempts: int = ATTEMPTS) -> Token:
        began_at = self._clock.monotonic()
        failures = throttled = 0
        while True:
            answer: TokenAnswer | None = None
            try:
                answer = await self._exchange(self._request())
            except ApiError as error:
                problem = error
            else:
                if answer.status != 429 and answer.status < 500:
                    self._token = self._read(answer)
                    self._in_vain += 1
                    return self._token
                problem = NotSent(f"the token endpoint answered {answer.status}")
            if answer and answer.status == 429:
                throttled += 1
                wait_s = self._wait_s(answer, throttled, began_at)
            else:
                failures += 1
                if failures >= attempts:
                    tries = f" after {failures} tries" if failures > 1 else ""
                    message = f"no access token{tries}: {problem}"
                    raise NoToken(message, status=problem.status)
                wait_s = self._wait_s(answer, failures, self._clock.monotonic())
            await self._clock.sleep(wait_s)

    def _request(self) -> httpx.Request:
        fields = {
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
            "audience": self._corso.audience,
            "grant_type": "client_credentials",
        }
        if self._corso.token_encoding == "json":  # noqa: S105 - an encoding's name
            kind, body = "application/json", json.dumps(fields)
        else:
            kind, body = "application/x-www-form-urlencoded", urlencode(fields)
        headers = {"content-type": kind, "accept": "application/json", "user-agent": self._user_agent}
        return httpx.Request("POST", self._corso.token_url, headers=headers, content=body.encode())

    def _wait_s(self, answer: TokenAnswer | None, times: int, since: float) -> float:
        """Return the seconds to wait after something went wrong so many times.

        Raises Parked where the endpoint asks for a wait that is longer than patience, counted since `since`.
        """
        now, utc = self._clock.monotonic(), self._clock.utc()
        asked_s = read_notice(answer.fields, utc).retry_after_s if answer else None
        wait_s = full_jitter_s(times - 1, self._jitter) if asked_s is None else asked_s
        is_asked = asked_s is not None or (answer is not None and answer.status == 429)
        if is_asked and now + wait_s - since > self._patience_s:
            resume_at = utc + timedelta(seconds=min(wait_s, 1e9))
            message = f"the token endpoint asks to wait until {resume_at:%Y-%m-%d %H:%M:%S} UTC"
            raise Parked(message, resume_at=resume_at)
        return wait_s if asked_s is None else asked_s + self._jitter()

    def _read(self, answer: TokenAnswer) -> Token:
        content = decode_object(answer.body)
        if answer.status in REFUSED:
            code = str((content or {}).get("error", ""))
            detail = f", {code}" if _ERROR_CODE.match(code) else ""
            message = (
                f"the token endpoint refused the credentials ({answer.status}{detail}): check CORSO_CLIENT_ID, "
                "CORSO_CLIENT_SECRET and corso.audience"
            )
            raise NotAuthorised(message, status=answer.status)
        value = (content or {}).get("access_token")
        kind = str((content or {}).get("token_type") or "").lower()
        if not 200 <= answer.status < 300 or not isinstance(value, str) or not _TOKEN.match(value):
            message = f"the token endpoint answered {answer.status} without a usable access_token: is corso.token_url right?"
            raise NotAuthorised(message, status=answer.status)
        if kind not in _BEARER_TYPES:
            message = "the token endpoint gave a token of another type than Bearer"
            raise NotAuthorised(message, status=answer.status)
        remember_secret(value)
        lifetime_s = _lifetime_s((content or {}).get("expires_in"))
        renewed_after_s = max(lifetime_s - EARLY_S, lifetime_s / 2)
        usable_s = max(renewed_after_s, lifetime_s * USABLE)
        return Token(value, answer.asked_at + renewed_after_s, answer.asked_at + usable_s)


def _lifetime_s(expires_in: Any) -> float:
    """Return for how many seconds a token is good; for ever (until a 401) where its lifetime is not told."""
    try:
        lifetime_s = float(expires_in)
    except (TypeError, ValueError, OverflowError):
        return math.inf
    return lifetime_s if lifetime_s > 0 else math.inf
