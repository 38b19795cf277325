"""What safety costs while nothing goes wrong: the upload with all of it, and with it taken out, alternately.

scripts/bench recovery [ORDERS] [ROUNDS] [REQUESTS PER SECOND]

Taken out are the commit of `sending`, the look-ups, the canary, the first look into the store and the lease; what is
left sends the same bytes through the same limiter. Both send the same batch to a fresh sandbox with the same quota.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import polars as pl

from corso.api.client import CorsoApi
from corso.clock import SystemClock
from corso.delivery.journal import Journal
from corso.delivery.ports import unwatched
from corso.delivery.sender import Sender
from corso.delivery.tally import Tally
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.delivering import upload
from corso.stages.operations import operations_of
from corso.stages.parts import put_in_place
from corso.stages.preparing import extract, plan, validate
from pipelines.samples import write_samples
from pipelines.trying import addresses_of
from schemas.raw import scan_raw

_LOADER = """\
store: {{id: 1, time_zone: America/New_York, fulfillment_locations: {{default: 12}}}}
exports: {{profile: canonical, orders: "in/orders*", line_items: "in/line*", fulfillments: "in/ful*"}}
corso: {{environment: custom, base_url: "{base_url}", token_url: "{token_url}", audience: sandbox}}
limits: {{share: 1.0}}
workdir: "work-{name}"
"""


@contextmanager
def a_sandbox(per_second: int) -> Iterator[tuple[str, str]]:
    """Run a sandbox with so many requests a second; give its base URL and token URL."""
    quota = ("--limit", str(per_second * 10), "--window", "10") if per_second else ("--limit", "0")
    command = [sys.executable, "-m", "sandbox", "--port", "0", *quota]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield addresses_of(process)
        finally:
            process.terminate()


def prepared(folder: Path, name: str, addresses: tuple[str, str]) -> Batch:
    """Return a batch with a ledger of its own, all tables made."""
    base_url, token_url = addresses
    config = folder / f"{name}.yaml"
    config.write_text(_LOADER.format(base_url=base_url, token_url=token_url, name=name), encoding="utf-8")
    batch = Batch(read_settings(config), "bench")
    batch.tables.mkdir(parents=True)
    with batch.scratch() as scratch:
        raw = {table: scan_raw(path) for table, path in extract(batch, scratch / "extract").items()}
        accepted = validate(batch, raw, scratch / "validate").accepted
        put_in_place(plan(batch, accepted, scratch / "plan"), batch.table("upload_plan"))
        for table, written in accepted.items():
            put_in_place(written, batch.table(f"accepted_{table}"))
    return batch


def with_everything(batch: Batch) -> None:
    """Upload as the program does."""
    upload(batch, pl.scan_parquet(batch.table("upload_plan")), "order", unwatched)


def with_nothing(batch: Batch) -> None:
    """Send the same operations through the same sender and limiter, and write nothing down."""
    import asyncio  # noqa: PLC0415

    loader = batch.settings.loader
    rows = pl.scan_parquet(batch.table("upload_plan")).filter(subject="order").collect()
    operations = operations_of(rows)

    async def send() -> None:
        journal = mock.create_autospec(Journal, instance=True)
        clock = SystemClock()
        async with CorsoApi.open(batch.settings, batch.settings.credentials(), clock=clock) as api:
            sender = Sender(
                api,
                journal,
                clock,
                max_in_flight=loader.limits.max_in_flight,
                outage_s=loader.limits.outage_s,
                watch=unwatched,
            )
            await sender.send(operations, len(operations), Tally.of(len(operations), 1.0))

    asyncio.run(send())


def main(orders: int, rounds: int, per_second: int) -> None:
    """Print the seconds of both and their ratio, round by round, and the medians."""
    os.environ |= {"CORSO_CLIENT_ID": "sandbox", "CORSO_CLIENT_SECRET": "sandbox"}
    ways: dict[str, Callable[[Batch], None]] = {"without": with_nothing, "with": with_everything}
    quota = f"{per_second} requests/s" if per_second else "no quota"
    print(f"{orders:,} orders, {quota}, {os.cpu_count()} cores")
    print("| round | without s | with s | ratio |\n|---|---|---|---|")
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_samples(folder / "in", orders)
        for number in range(1, rounds + 1):
            took = {}
            for way, work in ways.items():
                with a_sandbox(per_second) as addresses:
                    batch = prepared(folder, f"{way}-{number}", addresses)
                    began = time.perf_counter()
                    work(batch)
                    took[way] = time.perf_counter() - began
            ratios.append(took["with"] / took["without"])
            print(f"| {number} | {took['without']:.2f} | {took['with']:.2f} | {ratios[-1]:.3f} |", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [4_000, 3, 200][len(given) :]))
