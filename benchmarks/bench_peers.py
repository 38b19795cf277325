"""The loader beside other senders: the same orders, each to a sandbox of its own, by the server's books.

scripts/bench peers [ORDERS] [TOOL...] [--scenarios ABCDE]

The tools are `ours` (the command `corso-loader upload`, with `limits.share: 1` and nothing else set), `drt`, `dlt` and
`asyncio` (httpx, aiolimiter and stamina); how they are set is in `peers/`. Each gets an environment of its own on
first use, under data/bench/envs. The quota is 100 requests per 4 seconds. The others are told so by hand (in C what is
left of it); the loader finds out.

Two tools run side by side, each against its own sandbox, to save time; the order is the same in all scenarios.

`Share` is what passed of the quota between the moments at which a tenth and nine tenths of a tool's requests had
passed, in whole windows: look-ups count as use, a canary at the start does not count against it. `Sending` is from the
first request to the last, with whatever a tool waits for in between; `wall` is the process. `Lost` are valid orders
that are not there, `doubled` are records too many. Early is what came after a 429, later than what was under way by
then, and before the window was over. In C shares over 100 % are those of who pushes the others aside: see how much of
their demand was refused. The loader's exit code 1 says that some orders of the export were not fit to be sent.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.measured_sandbox import MeasuredSandbox, a_sandbox, read_windows
from benchmarks.peers.environments import REQUIREMENTS, python_of
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.preparing import extract, plan, validate
from pipelines.samples import write_samples
from schemas.raw import scan_raw

LIMIT, WINDOW_S = 100, 4.0
PER_S = LIMIT / WINDOW_S
FOREIGN_PER_S = 10.0
AT_ONCE = 2
TOO_LONG_S = 1_800
"""A tool that has not ended by then is stopped."""
_PEERS = Path(__file__).parent / "peers"
TOOLS = ("ours", *(tool for tool in REQUIREMENTS if (_PEERS / f"{tool}_sender.py").exists()))

_COLUMNS = (
    "tool",
    "share of quota",
    "requests",
    "429s",
    "429 rate",
    "early",
    "lost",
    "doubled",
    "sending s",
    "wall s",
    "exit code",
)
_LOADER = """\
store: {{id: 1, time_zone: America/New_York, fulfillment_locations: {{default: 12}}}}
exports: {{profile: canonical, orders: "{exports}/orders*", line_items: "{exports}/line*"}}
corso: {{environment: custom, base_url: "{base_url}", token_url: "{token_url}", audience: sandbox}}
limits: {{share: 1.0}}
"""


@dataclass(frozen=True)
class Scenario:
    """What all tools meet alike."""

    name: str
    options: tuple[str, ...] = ()
    """Of the sandbox, beside limit and latency."""
    latency_s: float = 0.005
    per_s: float = PER_S
    """What the others are told."""
    foreign_per_s: float = 0.0


@dataclass(frozen=True)
class Work:
    """What is sent."""

    exports: Path
    """For the loader: the export files."""
    payloads: Path
    """For the others: its accepted orders, one JSON object a line."""
    orders: int
    """Accepted orders."""


@dataclass(frozen=True)
class Run:
    """How one tool fared."""

    tool: str
    counts: dict[str, Any]
    wall_s: float
    code: int


def scenarios(orders: int) -> dict[str, Scenario]:
    """Return the scenarios by their letters."""
    halved_at_s = orders / PER_S / 2
    faults = {"drop-answer": 0.03, "reset-before": 0.02, "error-before": 0.02, "error-after": 0.02}
    return {
        "A": Scenario("steady"),
        "B": Scenario("the limit is halved half-way", ("--limit-change", f"{halved_at_s:g}:{LIMIT // 2}")),
        "C": Scenario(
            f"others ask for {FOREIGN_PER_S / PER_S:.0%} of the quota",
            ("--foreign", f"{FOREIGN_PER_S:g}"),
            per_s=PER_S - FOREIGN_PER_S,
            foreign_per_s=FOREIGN_PER_S,
        ),
        "D": Scenario("150 ms a request", latency_s=0.15),
        "E": Scenario(
            "answers are lost, connections reset, errors answered; duplicates are taken",
            ("--duplicates", "accept", *(f"--{kind}={share}" for kind, share in faults.items())),
        ),
    }


def make_work(folder: Path, orders: int) -> Work:
    """Write sample exports, and what the loader accepts of them for those who cannot read exports."""
    exports = folder / "exports"
    write_samples(exports, orders)
    config = folder / "loader.yaml"
    nowhere = "http://127.0.0.1:9"
    config.write_text(_LOADER.format(exports=exports, base_url=nowhere, token_url=nowhere), encoding="utf-8")
    batch = Batch(read_settings(config), "bench")
    batch.tables.mkdir(parents=True)
    with batch.scratch() as scratch:
        raw = {name: scan_raw(path) for name, path in extract(batch, scratch / "extract").items()}
        accepted = validate(batch, raw, scratch / "validate").accepted
        planned = pl.scan_parquet(plan(batch, accepted, scratch / "plan"))
        rows = planned.filter(subject="order").select("source_order_id", "payload").collect()
    payloads = folder / "orders.jsonl"
    with payloads.open("w", encoding="utf-8") as file:
        for source_order_id, payload in rows.iter_rows():
            file.write(json.dumps({"source_order_id": source_order_id, "payload": payload}) + "\n")
    return Work(exports, payloads, rows.height)


def command_of(
    tool: str, work: Work, scenario: Scenario, sandbox: MeasuredSandbox, folder: Path
) -> list[str | Path]:
    """Return the command that sends all orders; what it writes goes into the folder."""
    if tool != "ours":
        script = _PEERS / f"{tool}_sender.py"
        url, per_s = f"{sandbox.base_url}/orders", f"{scenario.per_s:g}"
        return [python_of(tool), script, work.payloads, url, per_s, folder]
    config = folder / "loader.yaml"
    addresses = {"base_url": sandbox.base_url, "token_url": sandbox.token_url}
    config.write_text(_LOADER.format(exports=work.exports, **addresses), encoding="utf-8")
    return [sys.executable, "-m", "pipelines.cli", "upload", "--config", config, "--yes"]


def environment(token: str) -> dict[str, str]:
    """Return the environment of a tool: none of this machine's settings, the sandbox's credentials, a token."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CORSO_", "DAGSTER_"))}
    return kept | {"CORSO_CLIENT_ID": "sandbox", "CORSO_CLIENT_SECRET": "sandbox", "CORSO_TOKEN": token}


def run(tool: str, scenario: Scenario, work: Work) -> Run:
    """Send all orders with one tool to a fresh sandbox."""
    with (
        tempfile.TemporaryDirectory() as name,
        tempfile.TemporaryFile("w+") as said,
        a_sandbox(LIMIT, WINDOW_S, latency_s=scenario.latency_s, options=scenario.options) as sandbox,
    ):
        command = command_of(tool, work, scenario, sandbox, Path(name))
        began = time.perf_counter()
        try:
            code = subprocess.run(
                command,
                env=environment(sandbox.token()),
                stdout=said,
                stderr=said,
                timeout=TOO_LONG_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
        wall_s = time.perf_counter() - began
        if code:
            said.seek(0)
            print(f"{tool} ended with {code}:", *said.read().splitlines()[-5:], sep="\n", file=sys.stderr)
        return Run(tool, sandbox.counts(), wall_s, code)


def row(run: Run, scenario: Scenario, work: Work) -> str:
    """Return a line of the table."""
    counts, quota = run.counts, run.counts["quota"]
    read = read_windows(counts, WINDOW_S, *middle(quota["times"]))
    requests = quota["ours"] + quota["refused_ours"]
    share = read.share_of_the_rest if scenario.foreign_per_s else read.share
    cells = [
        run.tool,
        f"{share:.1%}" if read.quota else "-",
        f"{requests:,}",
        f"{quota['refused_ours']:,}",
        f"{quota['refused_ours'] / max(1, requests):.1%}",
        f"{quota['early']:,}",
        f"{work.orders - counts['source_orders']:,}",
        f"{counts['orders'] - counts['source_orders']:,}",
        f"{len(quota['times']):,}",
        f"{run.wall_s:,.1f}",
        f"{run.code}",
    ]
    if scenario.foreign_per_s:
        cells.insert(2, f"{read.foreign_refusal_rate:.1%}")
    return f"| {' | '.join(cells)} |"


def middle(times: list[int]) -> tuple[float, float]:
    """Return the seconds at which a tenth and nine tenths of all requests had passed."""
    passed = list(accumulate(times))
    if not passed:
        return 0.0, 0.0
    tenth, most = (
        next(second for second, count in enumerate(passed) if count >= part * passed[-1])
        for part in (0.1, 0.9)
    )
    return float(tenth), float(most + 1)


def head(scenario: Scenario) -> str:
    """Return the first lines of the table."""
    columns: Iterable[str] = _COLUMNS
    if scenario.foreign_per_s:
        columns = (_COLUMNS[0], "share of what the others leave", "of the others refused", *_COLUMNS[2:])
    names = list(columns)
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def main(orders: int, tools: list[str], wanted: Mapping[str, Scenario]) -> None:
    """Print one table a scenario."""
    for tool in tools:
        if tool != "ours":
            python_of(tool)
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(AT_ONCE) as pool:
        work = make_work(Path(name), orders)
        print(
            f"{work.orders:,} valid orders, {LIMIT} requests per {WINDOW_S:g} s, {os.cpu_count()} cores, "
            f"{AT_ONCE} tools at a time"
        )
        for letter, scenario in wanted.items():
            print(f"\n{letter}: {scenario.name}\n\n{head(scenario)}", flush=True)
            for done in pool.map(lambda tool, scenario=scenario: run(tool, scenario, work), tools):
                print(row(done, scenario, work), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("orders", nargs="?", type=int, default=1_000)
    parser.add_argument("tools", nargs="*", metavar="TOOL", choices=[*TOOLS, []], default=[])
    parser.add_argument("--scenarios", default="ABCDE")
    given = parser.parse_args()
    every = scenarios(given.orders)
    main(given.orders, given.tools or list(TOOLS), {letter: every[letter] for letter in given.scenarios})
