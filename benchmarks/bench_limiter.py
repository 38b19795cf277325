"""How much of the quota the limiter uses, over a real socket, by the books of the server.

scripts/bench limiter [SECONDS] [--share 0.8] [--foreign 0.4] [--at-once 4] [--only TEXT]

Each case has a sandbox and a sender of its own; four cases run side by side, which they are light enough for. The
share is what passed of the quota between a warm-up (two windows, at least ten seconds) and the end, in whole windows.
`limits.share` is 1 unless told otherwise, and nothing else is set: what the limiter knows it has from the answers.
Early is what came after a 429, later than what was under way by then, and before the window was over.

`--foreign 0.4` adds a row for each limit in which others take so much of it, at random moments; `of the rest` is our
part of what they leave, and above 100 % they were pushed aside.
"""

import argparse
import asyncio
import contextlib
import hashlib
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measured_sandbox import a_sandbox, read_windows
from corso.api.client import CorsoApi
from corso.errors import RateLimited
from corso.settings import read_settings
from schemas.wire import Operation

LIMITS = ((100, 10.0), (100, 4.0), (50, 1.0))
"""Requests, and seconds of the window."""
LATENCIES_S = (0.005, 0.15)

_LOADER = """\
store: {{id: 1, time_zone: America/New_York, fulfillment_locations: {{default: 12}}}}
exports: {{profile: canonical, orders: "orders.csv", line_items: "line_items.csv"}}
corso: {{environment: custom, base_url: "{base_url}", token_url: "{token_url}", audience: sandbox}}
limits: {{share: {share}}}
"""


@dataclass(frozen=True)
class Case:
    """What one sender meets."""

    limit: int
    window_s: float
    latency_s: float
    seconds: float
    share: float
    is_halved: bool = False
    """The limit is halved when half of the time is over."""
    foreign: float = 0.0
    """The part of the quota that others ask for."""

    @property
    def name(self) -> str:
        """The case in words."""
        words = f"{self.limit} per {self.window_s:g} s, {self.latency_s * 1000:g} ms"
        words += ", halved at half time" if self.is_halved else ""
        return words + (f", {self.foreign:.0%} foreign" if self.foreign else "")

    @property
    def options(self) -> tuple[str, ...]:
        """The options of its sandbox, beside limit, window and latency."""
        halved = ("--limit-change", f"{self.seconds / 2:g}:{self.limit // 2}") if self.is_halved else ()
        per_s = self.foreign * self.limit / self.window_s
        return (*halved, *(("--foreign", f"{per_s:g}") if self.foreign else ()))


def an_operation(number: int) -> Operation:
    """Make the creation of an order like no other."""
    address = {
        "name": "Ada Example",
        "line1": f"{number} Main Street",
        "city": "Springfield",
        "stateOrProvinceCode": "IL",
        "postalCode": "62701",
        "countryCode": "US",
    }
    order = {
        "storeId": 1,
        "sourceOrderId": f"order-{number}",
        "orderNumber": f"{number}",
        "orderName": f"#{number}",
        "isShippingProtected": False,
        "customer": {
            "sourceCustomerId": f"customer-{number}",
            "firstName": "Ada",
            "lastName": "Example",
            "email": f"ada.{number}@example.com",
            "phone": "+12125550123",
        },
        "lineItems": [
            {
                "sourceLineItemId": f"line-{number}",
                "name": "A thing",
                "quantity": 2,
                "sku": "THING-1",
                "tax": 2.5,
                "price": 20,
                "productId": "product-1",
                "variantId": "variant-1",
            }
        ],
        "sourceCreatedOn": "2026-03-01T10:00:00Z",
        "shippingMoney": 5,
        "subtotalMoney": 40,
        "taxMoney": 2.5,
        "totalMoney": 47.5,
        "billingAddress": address,
        "shippingAddress": address,
        "customerCurrencyCode": "USD",
    }
    payload = json.dumps(order).encode()
    return Operation(
        "create_order", f"order-{number}", "", None, payload, hashlib.sha256(payload).hexdigest()
    )


async def send(config: Path, seconds: float) -> None:
    """Send as much as the limiter allows, with as many under way as it allows, for so long."""
    settings = read_settings(config)
    numbers = itertools.count(1)

    async def work(api: CorsoApi) -> None:
        for number in numbers:
            operation, is_done = an_operation(number), False
            while not is_done:
                with contextlib.suppress(RateLimited):
                    await api.send(operation)
                    is_done = True

    async with CorsoApi.open(settings, settings.credentials()) as api, asyncio.TaskGroup() as group:
        workers = [group.create_task(work(api)) for _ in range(settings.loader.limits.max_in_flight)]
        await asyncio.sleep(seconds)
        for worker in workers:
            worker.cancel()


def run(case: Case) -> dict[str, Any]:
    """Send for as long as the case takes; return the sandbox's counts."""
    os.environ |= {"CORSO_CLIENT_ID": "sandbox", "CORSO_CLIENT_SECRET": "sandbox"}
    with (
        tempfile.TemporaryDirectory() as name,
        a_sandbox(case.limit, case.window_s, latency_s=case.latency_s, options=case.options) as sandbox,
    ):
        config = Path(name) / "loader.yaml"
        config.write_text(
            _LOADER.format(base_url=sandbox.base_url, token_url=sandbox.token_url, share=case.share),
            encoding="utf-8",
        )
        asyncio.run(send(config, case.seconds))
        return sandbox.counts()


def row(case: Case, counts: dict[str, Any]) -> str:
    """Return a line of the table."""
    quota = counts["quota"]
    read = read_windows(counts, case.window_s, max(2 * case.window_s, 10), case.seconds)
    requests = quota["ours"] + quota["refused_ours"]
    cells = [
        case.name,
        f"{read.share:.1%}",
        f"{read.share_of_the_rest:.1%}" if case.foreign else "",
        f"{requests:,}",
        f"{quota['refused_ours']:,}",
        f"{quota['refused_ours'] / max(1, requests):.2%}",
        f"{quota['early']:,}",
        f"{read.foreign_refusal_rate:.1%}" if case.foreign else "",
    ]
    return f"| {' | '.join(cells)} |"


def cases(seconds: float, share: float, foreign: float) -> Iterator[Case]:
    """Yield all cases."""
    for is_halved in (False, True):
        for (limit, window_s), latency_s in itertools.product(LIMITS, LATENCIES_S):
            yield Case(limit, window_s, latency_s, seconds, share, is_halved)
    for limit, window_s in LIMITS if foreign else ():
        yield Case(limit, window_s, LATENCIES_S[0], seconds, share, foreign=foreign)


def main(given: argparse.Namespace) -> None:
    """Run the cases side by side and print the table."""
    began = time.perf_counter()
    chosen = [case for case in cases(given.seconds, given.share, given.foreign) if given.only in case.name]
    print(f"{given.seconds:g} s a case, limits.share {given.share:g}, {os.cpu_count()} cores")
    print("| case | share of quota | of the rest | requests | 429s | 429 rate | early | foreign refused |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.at_once, mp_context=spawn) as pool:
        for case, counts in zip(chosen, pool.map(run, chosen), strict=True):
            print(row(case, counts), flush=True)
    print(f"{time.perf_counter() - began:,.0f} s", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seconds", nargs="?", type=float, default=180)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--foreign", type=float, default=0.0)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    main(parser.parse_args())
