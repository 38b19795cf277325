"""The sandbox as one app: the token endpoint, the API under /v1, and what tests ask under /_sandbox/.

What belongs here: joining the routes to what a request passes before it reaches one. Its order is a decision.
Faults come before latency, token and limit, as a bad network does, so they hit refusals too. Answers are counted
outside of all of it: the counts are of what went out.
"""

import time
from collections import Counter

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from sandbox.answers import Refused, answer_gone_client, answer_http_exception, answer_refused
from sandbox.disturbance import Disturb, FailTokenRequests
from sandbox.faults import FaultPlan
from sandbox.limits import LimitSchedule
from sandbox.options import SandboxOptions
from sandbox.order_routes import OrderRoutes
from sandbox.passage import AddLatency, CountAnswers, ForbidAfter, LimitRate, RequireToken, RevokeTokens
from sandbox.points import AtPoint, TellArrivals, TellCommits
from sandbox.quota import Quota
from sandbox.store import Store
from sandbox.strangeness import AddExtraFields
from sandbox.token_route import TokenRoute
from sandbox.tokens import TokenMint


def build_app(options: SandboxOptions, store: Store, *, at_point: AtPoint | None = None) -> Starlette:
    """Join the routes to a store and to what a request passes before them.

    `at_point` is called with the name of each point that a request reaches, see `points`. Faults that break
    connections work only under `sandbox.server`.
    """
    mint = TokenMint(store.key("tokens"), options.token_lifetime_s, time.time)
    plan = FaultPlan(options.faults)
    answers: Counter[str] = Counter()
    tokens = TokenRoute(options, mint)
    quota = _quota(options)
    counts = CountsRoute(store, answers, tokens, plan, quota)
    token_passage = [Middleware(FailTokenRequests, plan)]
    passage = [Middleware(CountAnswers, answers), *_passage(options, mint, plan, quota)]
    if at_point is not None:
        passage.append(Middleware(TellCommits, at_point))
    return _json_app(
        [
            Route("/oauth/token", tokens.issue, methods=["POST"], middleware=token_passage),
            Route("/_sandbox/counts", counts.show),
            Mount("/v1", _json_app(OrderRoutes(options, store).routes(), passage)),
        ],
        [Middleware(TellArrivals, at_point)] if at_point is not None else [],
    )


def _quota(options: SandboxOptions) -> Quota | None:
    if not options.limit:
        return None
    return Quota(
        LimitSchedule(options.limit, options.limit_changes),
        options.window_s,
        time.monotonic,
        model=options.window_model,
        foreign_per_s=options.foreign_per_s,
        seed=options.faults.seed,
        early_grace_s=options.early_grace_s,
    )


def _passage(
    options: SandboxOptions, mint: TokenMint, plan: FaultPlan, quota: Quota | None
) -> list[Middleware]:
    passage = [
        Middleware(ForbidAfter, options.forbid_after),
        Middleware(Disturb, plan, options.faults.slow_for_s),
        Middleware(AddLatency, options.latency_s),
        Middleware(RequireToken, mint),
        Middleware(RevokeTokens, options.revoke_after),
        Middleware(LimitRate, quota, options.headers, options.header_form, time.time),
    ]
    return [*passage, Middleware(AddExtraFields)] if options.extra_fields else passage


def _json_app(routes: list[Route | Mount], passage: list[Middleware]) -> Starlette:
    handlers = {
        Refused: answer_refused,
        HTTPException: answer_http_exception,
        ClientDisconnect: answer_gone_client,
    }
    app = Starlette(routes=routes, middleware=passage, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


class CountsRoute:
    """GET /_sandbox/counts: what the sandbox holds and what it answered since it was started."""

    def __init__(
        self, store: Store, answers: Counter[str], tokens: TokenRoute, plan: FaultPlan, quota: Quota | None
    ) -> None:
        self._store = store
        self._answers = answers
        self._tokens = tokens
        self._plan = plan
        self._quota = quota

    async def show(self, _request: Request) -> Response:
        """Answer the counts."""
        requests = {
            "tokens_issued": self._tokens.issued,
            "requests_by_status": dict(self._answers),
            "faults": dict(self._plan.injected),
            "quota": self._quota.books.counts() if self._quota else None,
        }
        return JSONResponse(self._store.counts() | requests)
