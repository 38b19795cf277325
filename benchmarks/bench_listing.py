"""Reading a store's listing back: one cursor, two from both ends, and two that are killed on the way and go on.

scripts/bench listing [ORDERS] [LATENCY] [KILLS]

Orders (200,000) stand behind a fast stand-in with LATENCY seconds a page (0.1). Each pass is a process of its own that
does all that a run does with a page: decode, convert, note drift, commit to the disk. The pages are the server's count.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from corso.api.client import CorsoApi
from corso.settings import Credentials, Loader, Settings
from corso.stages.reading_back.checkpoint import Checkpoint
from corso.stages.reading_back.pages import ListingPass
from corso.stages.reading_back.records import each_once

SERVER = Path(__file__).with_name("listing_server.py")


@contextmanager
def a_server(orders: int, latency_s: float) -> Iterator[str]:
    """Run the stand-in; give its address."""
    command = [sys.executable, str(SERVER), str(orders), str(latency_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip() if process.stdout else ''}"
        finally:
            process.terminate()


def pages_served(url: str, *, forget: bool = False) -> tuple[int, int]:
    """Ask the stand-in how many pages went out, and how many of them once more; `forget` begins anew."""
    with urllib.request.urlopen(f"{url}/counts{'?forget=1' if forget else ''}", timeout=30) as answer:
        total, again = json.load(answer)
        return int(total), int(again)


def read(url: str, folder: Path, cursors: Any) -> None:
    """Make one pass, or go on with it; print how many orders it has shown, each once, and the seconds of its pages."""
    corso = {
        "environment": "custom",
        "base_url": f"{url}/v1",
        "token_url": f"{url}/oauth/token",
        "audience": "bench",
    }
    loader = Loader.model_validate(
        {"store": {"id": 1}, "exports": {}, "corso": corso, "limits": {"share": 1.0}}
    )
    settings = Settings(folder / "loader.yaml", loader)

    async def go() -> None:
        async with CorsoApi.open(settings, Credentials("bench", "bench")) as api:
            with Checkpoint.open(folder / "checkpoint") as checkpoint:
                checkpoint.begin({"cursors": cursors}, datetime.now(UTC))
                began = time.perf_counter()
                await ListingPass(api, checkpoint, 1, lambda: datetime.now(UTC), cursors=cursors).run()
                took = time.perf_counter() - began
                print(each_once(checkpoint.parts()).select(pl.len()).collect().item(), took)

    asyncio.run(go())


def started(url: str, folder: Path, cursors: int) -> subprocess.Popen[str]:
    """Start a pass as a process."""
    command = [sys.executable, __file__, "pass", url, str(folder), str(cursors)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def timed(url: str, folder: Path, cursors: int, orders: int) -> tuple[float, int]:
    """Make a pass to its end; return its seconds and its pages."""
    pages_served(url, forget=True)
    with started(url, folder, cursors) as process:
        shown, took = process.communicate()[0].split()
    assert int(shown) == orders, shown
    return float(took), pages_served(url)[0]


def killed(url: str, folder: Path, at_page: int, orders: int) -> int:
    """Kill a pass with two cursors once so many pages went out, and let it go on; return the pages that were read again."""
    pages_served(url, forget=True)
    process = started(url, folder, 2)
    while pages_served(url)[0] < at_page:
        time.sleep(0.002)
    process.kill()
    process.wait()
    with started(url, folder, 2) as again:
        shown, _ = again.communicate()[0].split()
    assert int(shown) == orders, shown
    # The closing look asks for the newest page once more, killed or not.
    return pages_served(url)[1] - 1


def main(orders: int, latency_s: float, kills: int) -> None:
    """Print what each took."""
    print(f"{orders:,} orders, {latency_s * 1000:g} ms a page, {os.cpu_count()} cores")
    print("| | pages | s | of one cursor | read again |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, a_server(orders, latency_s) as url:
        one_s, one_pages = timed(url, Path(name) / "one", 1, orders)
        print(f"| one cursor | {one_pages} | {one_s:.1f} | | |", flush=True)
        two_s, two_pages = timed(url, Path(name) / "two", 2, orders)
        print(f"| two cursors | {two_pages} | {two_s:.1f} | {two_s / one_s:.3f} | |", flush=True)
        chance = random.Random(7)
        for number in range(kills):
            at_page = chance.randrange(1, two_pages)
            again = killed(url, Path(name) / f"killed {number}", at_page, orders)
            print(f"| two cursors, killed at page {at_page} | | | | {again} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["pass"]:
        read(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    else:
        given: list[Any] = [kind(each) for kind, each in zip((int, float, int), sys.argv[1:], strict=False)]
        main(*(given + [200_000, 0.1, 4][len(given) :]))
