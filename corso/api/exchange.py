"""One request and its answer: admitted by the limiter, with a token, carried, and its end noted.

Token requests go the same way, each with a ticket of its own: whoever finds no token gives its own ticket back first,
so that there is a place even where one request at a time is all that is allowed.

Requests go to the transport without `httpx.AsyncClient`, with URLs and header fields prepared: the convenience costs
as much again as the request. Nothing is repeated here but what was surely not carried out: a request that a pause
held back before its first byte, and, once and with a fresh token, one that the API answered 401.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpx

from corso.api.auth import Token, TokenAnswer, TokenSource
from corso.api.backoff import Jitter
from corso.api.connection import BEFORE_BYTES, LONGEST_ANSWER
from corso.api.limiter import Limiter
from corso.api.pacer import Ticket
from corso.api.quota_headers import NOTHING, QuotaNotice, read_notice
from corso.api.translate import error_text, from_httpx, from_status
from corso.api.transport import HeldBack, read_bounded
from corso.clock import Clock
from corso.errors import NotSent, RateLimited
from corso.settings import Credentials, Loader

CONNECT_S = 10.0
"""Seconds to wait for a connection."""

LONGEST_TOKEN_ANSWER = 1_000_000
"""Bytes of a token endpoint's answer that are read."""

AboutToSend = Callable[[], Awaitable[None]]
"""What has to be done before the first byte of a request leaves."""

_NO_BODY = httpx.ByteStream(b"")
_QUOTA_FIELDS = frozenset(
    (
        b"ratelimit",
        b"ratelimit-policy",
        b"ratelimit-limit",
        b"ratelimit-remaining",
        b"ratelimit-reset",
        b"retry-after",
    )
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end."""

    method: str
    url: httpx.URL
    status: int
    body: bytes = field(repr=False)
    pause_s: float
    """Seconds that nothing may be sent from now on."""

    @property
    def what(self) -> str:
        """The request in words, e.g. `POST /v1/orders`."""
        return f"{self.method} {self.url.path}"


class Exchange:
    """Asks the API, for all tasks of one pair of credentials."""

    def __init__(
        self,
        loader: Loader,
        credentials: Credentials,
        *,
        limiter: Limiter,
        clock: Clock,
        transport: httpx.AsyncBaseTransport,
        token_transport: httpx.AsyncBaseTransport,
        user_agent: str,
        jitter: Jitter,
    ) -> None:
        self.limiter = limiter
        self._clock = clock
        self._transport = transport
        self._token_transport = token_transport
        self._timeouts = {
            "connect": min(CONNECT_S, loader.corso.timeout_s),
            "read": loader.corso.timeout_s,
            "write": loader.corso.timeout_s,
            "pool": CONNECT_S,
        }
        self._fields = [
            (b"host", httpx.URL(loader.corso.base_url).netloc),
            (b"user-agent", user_agent.encode()),
            (b"accept", b"application/json"),
        ]
        self._heads: tuple[str, httpx.Headers, httpx.Headers] | None = None
        """A token's value, and the fields of reads and of writes with it."""
        self._last_headers: httpx.Headers | None = None
        self._tokens = TokenSource(
            loader.corso,
            credentials,
            self._exchange_token,
            clock,
            patience_s=loader.limits.patience_s,
            user_agent=user_agent,
            jitter=jitter,
        )

    @property
    def ahead_s(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the API's, by an answer that came just now.

        None where it did not tell. It tells whole seconds (RFC 9110, section 6.6.1).
        """
        if self._last_headers is None:
            return None
        try:
            told = parsedate_to_datetime(self._last_headers.get("date", ""))
            return (self._clock.utc() - told).total_seconds()
        except (ValueError, TypeError):
            return None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()
        await self._token_transport.aclose()

    async def sign_in_once(self) -> None:
        """Have a token, fetching it in one try if need be; raises what `TokenSource.obtain` does."""
        await self._tokens.obtain(attempts=1)

    async def ask(
        self,
        method: str,
        url: httpx.URL,
        content: bytes | None = None,
        about_to_send: AboutToSend | None = None,
    ) -> Answer:
        """Send one request; return the answer if it says 2xx.

        `about_to_send` is awaited once, when the request's turn has come and before a byte of it leaves. Raises an
        ApiError for everything else (429 as RateLimited, after the limiter has noted it), or Parked. RateLimited,
        too, when a pause begins after `about_to_send`: nothing has left, and nobody should write `sending` and then
        wait for minutes.
        """
        answer, token = await self._in_turn(method, url, content, about_to_send)
        if answer.status == 401:
            await self._tokens.renew(token)
            self.limiter.note_retry()
            answer, _ = await self._in_turn(method, url, content)
        if not 200 <= answer.status < 300:
            self._raise(answer)
        return answer

    def _raise(self, answer: Answer) -> None:
        body = error_text(answer.body, self._tokens.secrets)
        if answer.status == 429:
            message = f"{answer.what}: the API answered 429"
            raise RateLimited(message, retry_after_s=answer.pause_s, body=body)
        raise from_status(answer.status, body, answer.what)

    async def _in_turn(
        self, method: str, url: httpx.URL, content: bytes | None, about_to_send: AboutToSend | None = None
    ) -> tuple[Answer, Token]:
        """Send one request when its turn has come, and read its answer; return the token used, too."""
        announced = False
        while True:
            if self._tokens.current() is None:
                await self._tokens.obtain()
            ticket = await self.limiter.admit()
            token = self._tokens.usable()
            if token is None:
                # It ended while we waited. The place is given back: the token request needs one.
                self.limiter.withdrawn(ticket)
                continue
            if about_to_send is not None and not announced:
                try:
                    await about_to_send()
                except BaseException:
                    self.limiter.withdrawn(ticket)
                    raise
                announced = True
            try:
                return await self._carry(ticket, self._request(method, url, content, token)), token
            except HeldBack:
                if announced:
                    message = f"{method} {url.path} was held back: the API asked for a pause"
                    raise RateLimited(message, retry_after_s=self.limiter.pause_s) from None

    async def _carry(self, ticket: Ticket, request: httpx.Request) -> Answer:
        what = f"{request.method} {request.url.path}"
        response, body = await self._transfer(ticket, request, self._transport, what, LONGEST_ANSWER)
        self._last_headers = response.headers
        status = response.status_code
        pause_s = self.limiter.answered(ticket, status, self._notice(response))
        return Answer(request.method, request.url, status, body, pause_s)

    async def _transfer(
        self,
        ticket: Ticket,
        request: httpx.Request,
        transport: httpx.AsyncBaseTransport,
        what: str,
        longest: int,
    ) -> tuple[httpx.Response, bytes]:
        """Let a request leave and read its answer; where there is none, hand the ticket back and raise."""
        try:
            self._hold_back()
            response = await transport.handle_async_request(request)
            return response, await read_bounded(response, longest=longest)
        except HeldBack:
            self.limiter.withdrawn(ticket)
            raise
        except httpx.HTTPError as error:
            problem = from_httpx(error, what)
            if isinstance(problem, NotSent):
                self.limiter.withdrawn(ticket)
            else:
                self.limiter.unanswered(ticket)
            raise problem from error
        except BaseException:  # a cancelled task gives its place back, too
            self.limiter.unanswered(ticket)
            raise

    def _request(self, method: str, url: httpx.URL, content: bytes | None, token: Token) -> httpx.Request:
        read, write = self._heads_with(token)
        extensions = {"timeout": self._timeouts, BEFORE_BYTES: self._hold_back}
        if content is None:
            return httpx.Request(method, url, headers=read, stream=_NO_BODY, extensions=extensions)
        request = httpx.Request(
            method, url, headers=write, stream=httpx.ByteStream(content), extensions=extensions
        )
        request.headers["content-length"] = str(len(content))
        return request

    def _heads_with(self, token: Token) -> tuple[httpx.Headers, httpx.Headers]:
        """Return the fields of reads, and those of writes; made once a token, as httpx looks at each field anew."""
        if self._heads is None or self._heads[0] != token.value:
            fields = [*self._fields, (b"authorization", b"Bearer " + token.value.encode())]
            read = httpx.Headers([*fields, (b"accept-encoding", b"gzip, deflate")])
            write = httpx.Headers([*fields, (b"content-type", b"application/json")])
            self._heads = token.value, read, write
        return self._heads[1:]

    def _hold_back(self) -> None:
        if not self.limiter.may_leave():
            raise HeldBack

    def _notice(self, response: httpx.Response) -> QuotaNotice:
        fields: dict[str, str] = {}
        date = b""
        for raw_name, raw_value in response.headers.raw:
            lower = raw_name.lower()
            if lower in _QUOTA_FIELDS:
                name, value = lower.decode(), raw_value.decode("latin-1")
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
            elif lower == b"date":
                date = raw_value
        if not fields:
            return NOTHING
        fields["date"] = date.decode("latin-1")
        return read_notice(fields, self._clock.utc())

    async def _exchange_token(self, request: httpx.Request) -> TokenAnswer:
        request.extensions |= {"timeout": self._timeouts, BEFORE_BYTES: self._hold_back}
        while True:
            ticket = await self.limiter.admit()
            with suppress(HeldBack):
                response, body = await self._transfer(
                    ticket, request, self._token_transport, "the token request", LONGEST_TOKEN_ANSWER
                )
                # It says nothing about the API's quota, but a pause that it asks for is one for all.
                self.limiter.answered_elsewhere(ticket, response.status_code, self._notice(response))
                return TokenAnswer(ticket.sent_at, response.status_code, dict(response.headers), body)
