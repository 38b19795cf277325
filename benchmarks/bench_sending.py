"""The whole upload against bare httpx loops, alternately in one run, to a server that does nothing.

scripts/bench sending [REQUESTS] [ROUNDS]
scripts/bench sending memory [REQUESTS...]

The sides, each a process of its own: httpx as it comes installed, in an environment that holds nothing else, with the
workers that serve it best and with as many as the upload has; the same loop over the loader's transport; the transport
without the client around it, which is the floor; the loader's upload stage (a plan on disk, SQLite in WAL mode with
synchronous=FULL, every request written down before it leaves); and that stage again with a server that tells a quota,
too large to be reached, in every answer. All send the same payloads and read the order's id out of each answer. Each
runs with as many workers as served it best in a trial before.

The server (`benchmarks/sending/noop_server.py`) has the last core for itself as far as it needs it; the clients may
use all. Seconds, by the clock and of the processors, are those of the work, without imports. The server counts the
requests; where a count, or what the ledger says, is not what it must be, the exit code is 1.

`memory` prints the upload's peak of memory for plans of several sizes.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks import measured_process, own_process
from benchmarks.bench_prepare import prepare
from benchmarks.exports import write_export
from benchmarks.peers.environments import python_of

_HERE = Path(__file__).parent / "sending"
QUOTA = 50_000_000
"""Requests in ten seconds: what the second server tells."""
INSTALLED = {"installed": "httpx as installed", "crowded": "the same, as many workers as the upload"}
LOOPS = {**INSTALLED, "bare": "httpx over our transport", "alone": "our transport alone"}
SIDES = {**LOOPS, "upload": "whole upload", "told": "whole upload, quota told"}
TRIED = (4, 16, 64, 128)
TRIAL_PART = 4
"""A trial sends one in so many requests."""
INSTALLED_PART = 5
"""The slow side sends one in so many, always: its rate is what counts."""
UPLOAD_WORKERS = 64
"""limits.max_in_flight as it is unless set."""


@dataclass(frozen=True)
class Taken:
    """What one side took."""

    requests: int
    seconds: float
    cpu_s: float
    peak_mib: float

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu_s_per_1000(self) -> float:
        """Processor seconds for a thousand requests."""
        return 1000 * self.cpu_s / self.requests


class Wrong(Exception):
    """A side did not do the work."""


@contextmanager
def a_server(quota: int = 0) -> Iterator[str]:
    """Run the server; give its address."""
    command = [sys.executable, _HERE / "noop_server.py", str((os.cpu_count() or 1) - 1), str(quota)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def flush_ms(folder: Path) -> float:
    """Return the milliseconds that it takes to flush a little to the disk, the median of a hundred times."""
    took = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(100):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)


def write_plan(folder: Path, orders: int) -> int:
    """Write a plan that creates so many orders, and its payloads as JSON lines; return how many are to be sent."""
    # One order in a hundred is bad.
    export = write_export(folder / "export", orders + orders // 50 + 10)
    prepare(export.folder)
    (tables,) = export.folder.glob("work/*/*/tables")
    tables.rename(folder / "tables")
    plan = pl.scan_parquet(folder / "tables" / "upload_plan.parquet")
    creates = plan.filter(subject="order", action="create").head(orders)
    creates.sink_parquet(folder / "upload_plan.parquet")
    # Payloads are JSON, which has no line breaks; quotes are left alone.
    pl.scan_parquet(folder / "upload_plan.parquet").select("payload").sink_csv(
        folder / "payloads.jsonl", include_header=False, quote_style="never"
    )
    return int(pl.scan_parquet(folder / "upload_plan.parquet").select(pl.len()).collect().item())


class Bench:
    """A plan, the servers, and the sides that can be run on them."""

    def __init__(self, folder: Path, address: str, telling: str) -> None:
        self._folder = folder
        self._address = address
        self._telling = telling

    def run(self, side: str, workers: int, requests: int) -> Taken:
        """Run one side; raises Wrong and CalledProcessError."""
        if side in LOOPS:
            address = self._address
            kind = "installed" if side in INSTALLED else side
            python = python_of("httpx") if side in INSTALLED else Path(sys.executable)
            payloads = self._folder / "payloads.jsonl"
            what = [python, _HERE / "bare_loop.py", kind, f"{address}/v1/orders", payloads]
        else:
            address = self._telling if side == "told" else self._address
            what = [sys.executable, _HERE / "whole_upload.py", address, self._folder]
        return self._measured([*what, str(workers), str(requests)], address, requests)

    def _measured(self, command: Sequence[str | Path], address: str, requests: int) -> Taken:
        output, errors = self._folder / "output", self._folder / "errors"
        took = measured_process.run(
            command, output=output, errors=errors, environment=own_process.environment()
        )
        if took.code:
            raise subprocess.CalledProcessError(
                took.code, str(command[1]), stderr=errors.read_text(encoding="utf-8")
            )
        said = json.loads(output.read_text(encoding="utf-8"))
        with urllib.request.urlopen(f"{address}/counts", timeout=30) as answer:
            counted = json.load(answer)
        ledger = said.get("states", {"accepted": requests})
        if (
            counted != requests
            or ledger.get("accepted") != requests
            or ledger.keys() - {"accepted", "planned"}
        ):
            message = f"{requests:,} requests were to be sent; the server counted {counted:,}, the ledger says {ledger}"
            raise Wrong(message)
        return Taken(requests, said["seconds"], said["cpu_s"], took.peak_mib)

    def best_workers(self, side: str, requests: int) -> int:
        """Try several numbers of workers; return the one that served a side best."""
        rates = {
            workers: max(self.run(side, workers, requests).per_second for _ in range(2)) for workers in TRIED
        }
        tried = ", ".join(f"{workers}: {rate:,.0f}" for workers, rate in rates.items())
        print(f"- {SIDES[side]}, requests/s by workers: {tried}", flush=True)
        return max(rates, key=lambda workers: rates[workers])


def compare(requests: int, rounds: int) -> None:
    """Print what each side took, round by round, and the medians."""
    with tempfile.TemporaryDirectory() as name, a_server() as address, a_server(QUOTA) as telling:
        folder = Path(name)
        requests = write_plan(folder, requests)
        print(
            f"{requests:,} requests, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python "
            f"{sys.version.split()[0]}, a flush to the disk takes {flush_ms(folder):.1f} ms\n",
            flush=True,
        )
        bench = Bench(folder, address, telling)
        parts = {side: requests // INSTALLED_PART if side in INSTALLED else requests for side in SIDES}
        tried = [side for side in SIDES if side not in {"crowded", "told"}]
        workers = {side: bench.best_workers(side, parts[side] // TRIAL_PART) for side in tried}
        workers |= {"crowded": workers["upload"], "told": workers["upload"]}
        taken: dict[str, list[Taken]] = {side: [] for side in SIDES}
        print("\n| round | " + " | ".join(SIDES.values()) + " |\n|---|" + "---|" * len(SIDES))
        for number in range(1, rounds + 1):
            for side in SIDES:
                taken[side].append(bench.run(side, workers[side], parts[side]))
            rates = (f"{taken[side][-1].per_second:,.0f}" for side in SIDES)
            print(f"| {number} | " + " | ".join(rates) + " |", flush=True)
    _print_medians(taken, workers)


def _print_medians(taken: Mapping[str, Sequence[Taken]], workers: Mapping[str, int]) -> None:
    print(
        "\n| medians | workers | requests/s | of the bare loop | of httpx installed | of it with as many workers "
        "| CPU s per 1,000 | peak MiB |\n|---|---|---|---|---|---|---|---|"
    )
    for side, title in SIDES.items():
        ratios = [_ratio(taken[side], taken[other]) for other in ("bare", "installed", "crowded")]
        rate = statistics.median(each.per_second for each in taken[side])
        cpu_s = statistics.median(each.cpu_s_per_1000 for each in taken[side])
        peak = max(each.peak_mib for each in taken[side])
        print(
            f"| {title} | {workers[side]} | {rate:,.0f} | {ratios[0]:.2f} | {ratios[1]:.1f} | {ratios[2]:.1f} "
            f"| {cpu_s:.3f} | {peak:,.0f} |"
        )


def _ratio(one: Sequence[Taken], other: Sequence[Taken]) -> float:
    # Of rounds, not of medians: a machine that is slow for a while is slow for all sides of a round.
    return statistics.median(a.per_second / b.per_second for a, b in zip(one, other, strict=True))


def memory(sizes: Sequence[int]) -> None:
    """Print the peak of memory of uploads of several sizes."""
    print("| requests | requests/s | CPU s per 1,000 | plan MiB | peak MiB |\n|---|---|---|---|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name, a_server() as address:
            folder = Path(name)
            requests = write_plan(folder, size)
            took = Bench(folder, address, address).run("upload", UPLOAD_WORKERS, requests)
            plan_mib = (folder / "upload_plan.parquet").stat().st_size / 2**20
        print(
            f"| {requests:,} | {took.per_second:,.0f} | {took.cpu_s_per_1000:.3f} | {plan_mib:,.0f} | {took.peak_mib:,.0f} |",
            flush=True,
        )


def main(arguments: Sequence[str]) -> None:
    """Run what is asked for."""
    if arguments[:1] == ["memory"]:
        memory([int(argument) for argument in arguments[1:]] or [100_000, 1_000_000])
    else:
        requests, rounds = [*arguments, *("20000", "5")[len(arguments) :]]
        compare(int(requests), int(rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
