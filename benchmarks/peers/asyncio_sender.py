"""A loop of one's own: httpx for the requests, aiolimiter for the rate, stamina for the retries, a log of what is done.

Each attempt waits for its turn, retries too. Retry-After is the wait after a 429; each worker learns of it alone. The
limiter holds one request: a larger one lets a burst go at the start, whose 429s are followed by others.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import aiolimiter
import httpx
import stamina

WORKERS = 64


def wait_for(error: Exception) -> bool | float:
    """Say whether an attempt that failed so may be repeated, or after how many seconds."""
    if isinstance(error, httpx.HTTPStatusError):
        after = error.response.headers.get("retry-after", "")
        if error.response.status_code == 429 and after.isdigit():
            return float(after)
        return error.response.status_code == 429 or error.response.status_code >= 500
    return isinstance(error, httpx.TransportError)


async def main(orders: Path, url: str, per_s: float, folder: Path) -> int:
    """Send all that the log does not hold; return 1 where one failed for good."""
    done_log = folder / "done.log"
    done = set(done_log.read_text(encoding="utf-8").split()) if done_log.exists() else set()
    rows = (json.loads(line) for line in orders.open(encoding="utf-8"))
    feed = iter([row for row in rows if row["source_order_id"] not in done])
    limiter = aiolimiter.AsyncLimiter(1, 1 / per_s)
    headers = {"authorization": f"Bearer {os.environ['CORSO_TOKEN']}", "content-type": "application/json"}
    failed: list[str] = []

    async def work(client: httpx.AsyncClient) -> None:
        for row in feed:
            try:
                async for attempt in stamina.retry_context(
                    on=wait_for, attempts=12, timeout=None, wait_initial=0.5, wait_max=30
                ):
                    with attempt:
                        async with limiter:
                            answer = await client.post(url, content=row["payload"], headers=headers)
                        answer.raise_for_status()
            except httpx.HTTPError as error:
                failed.append(f"{row['source_order_id']}: {error!r}")
            else:
                log.write(f"{row['source_order_id']}\n")
                log.flush()

    limits = httpx.Limits(max_connections=WORKERS, max_keepalive_connections=WORKERS)
    with done_log.open("a", encoding="utf-8") as log:
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:
            await asyncio.gather(*(work(client) for _ in range(WORKERS)))
    print(*failed, sep="\n", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    stamina.instrumentation.set_on_retry_hooks([])
    given_orders, given_url, given_rate, given_folder = sys.argv[1:]
    sys.exit(asyncio.run(main(Path(given_orders), given_url, float(given_rate), Path(given_folder))))
