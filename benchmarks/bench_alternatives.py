"""Extract, validate and plan against what one would write instead, side by side in one run, start-up included.

scripts/bench alternatives [ORDERS] [WHICH...]

Each of WHICH is one of `pandas`, `dlt`, `singer` (`benchmarks/alternatives`) and `command` (`corso-loader plan
--offline`, which besides preparing runs under Dagster and writes the report); by default all. `singer=100000` measures
one at another size. Each tool gets an environment of its own on first use, under data/bench/envs.

The loader's preparation (`bench_prepare.prepare`: extract, validate, plan, every table written) runs before the first,
between any two, and after the last; an alternative is held against the mean of the run before and the run after it.
Every run is a process of its own (singer: two in a pipe). All read the same canonical export, and all end in JSON
payloads and a quarantine on disk. What came out is compared afterwards: accepted orders and fulfillments by id and
content (as values: 0.50 is 0.5, and a moment is the same in every zone), quarantined rows by table and id. A difference
is printed, and the exit code is 1.

Processor seconds are those of all processes of a run; peak memory is that of the largest process, of a pipe the sum.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import measured_process, own_process
from benchmarks.alternatives.environments import python_of, versions
from benchmarks.exports import Export, write_export
from benchmarks.measured_process import Measured

_HERE = Path(__file__).parent
_SCRIPTS = _HERE / "alternatives"
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_DECIMAL = re.compile(r"-?\d+\.\d+")

Commands = Sequence[Sequence[str | Path]]


@dataclass(frozen=True)
class Outcome:
    """What a tool made of an export, so far as it can be compared."""

    orders: Mapping[str, int]
    """Accepted order -> a hash of its payload's values."""
    fulfillments: Mapping[tuple[str, str], int]
    """(Order, fulfillment) -> the same."""
    quarantined: Mapping[tuple[str, str], int]
    """(Table, order) -> how many rows are not loaded."""

    @property
    def quarantined_orders(self) -> int:
        """How many orders are quarantined."""
        return sum(table == "orders" for table, _ in self.quarantined)


@dataclass(frozen=True)
class Tool:
    """One way to do the work."""

    title: str
    commands: Callable[[Path, Path], Commands]
    """(Export, where to write) -> the command, or those of a pipe."""
    outcome: Callable[[Path, Path], Outcome]
    """(Export, where it wrote) -> what came out."""
    script: str = ""
    """Which of the environments it needs."""
    fine: Sequence[int] = (0,)
    """Exit codes that are no failure."""


@dataclass(frozen=True)
class Run:
    """One run of a tool."""

    took: Measured
    outcome: Outcome


# What came out


def _values(value: Any) -> Any:
    """Return a value in the one form in which all tools' are compared."""
    if isinstance(value, dict):
        kept = {
            key: _values(each)
            for key, each in value.items()
            if each is not None and not key.startswith("_dlt")
        }
        return {key: kept[key] for key in sorted(kept)}
    if isinstance(value, list):
        return [_values(each) for each in value]
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal) or _DECIMAL.fullmatch(value):
        text = f"{Decimal(value):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if _MOMENT.fullmatch(value):
        return datetime.fromisoformat(value).astimezone(UTC).isoformat()
    return value


def _hash(payload: Any) -> int:
    return hash(json.dumps(_values(payload)))


def _outcome(
    orders: Iterable[Any], fulfillments: Iterable[tuple[str, Any]], quarantined: Iterable[tuple[str, str]]
) -> Outcome:
    return Outcome(
        {order["sourceOrderId"]: _hash(order) for order in orders},
        {(order, sent["sourceFulfillmentId"]): _hash(sent) for order, sent in fulfillments},
        Counter(quarantined),
    )


def _of_ours(export: Path, _out: Path) -> Outcome:
    (tables,) = export.glob("work/*/*/tables")
    plan = pl.read_parquet(tables / "upload_plan.parquet", columns=["subject", "source_order_id", "payload"])
    quarantined = pl.read_parquet(
        tables / "quarantined_orders.parquet", columns=["table", "source_order_id", "kind"]
    )
    sent = plan.filter(subject="fulfillment").select("source_order_id", "payload").iter_rows()
    return _outcome(
        (_read(text) for text in plan.filter(subject="order")["payload"]),
        ((order, _read(text)) for order, text in sent),
        quarantined.filter(kind="quarantined").select("table", "source_order_id").iter_rows(),
    )


def _of_files(_export: Path, out: Path) -> Outcome:
    return _outcome(
        _lines(out, "orders.jsonl"),
        ((line["sourceOrderId"], line["fulfillment"]) for line in _lines(out, "fulfillments.jsonl")),
        ((line["table"], line["source_order_id"]) for line in _lines(out, "quarantine.jsonl")),
    )


def _of_dlt(_export: Path, out: Path) -> Outcome:
    return _outcome(
        _lines(out, "prepared/orders/*.jsonl"),
        ((line.pop("sourceOrderId"), line) for line in _lines(out, "prepared/fulfillments/*.jsonl")),
        ((line["table"], line["source_order_id"]) for line in _lines(out, "prepared/quarantine/*.jsonl")),
    )


def _lines(out: Path, pattern: str) -> Iterator[Any]:
    for path in sorted(out.glob(pattern)):
        with path.open(encoding="utf-8") as file:
            yield from map(_read, file)


def _read(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


# The tools


def _one(script: str) -> Callable[[Path, Path], Commands]:
    return lambda export, out: [[python_of(script), _SCRIPTS / f"{script}.py", export, out]]


def _singer(export: Path, out: Path) -> Commands:
    python = python_of("singer_target")
    return [[python, _SCRIPTS / "singer_tap.py", export], [python, _SCRIPTS / "singer_target.py", out]]


OURS = Tool(
    "corso-loader: extract, validate, plan",
    lambda export, _: [[sys.executable, _HERE / "bench_prepare.py", "--side", "prepare", export]],
    _of_ours,
)
TOOLS: Mapping[str, Tool] = {
    "command": Tool(
        "`corso-loader plan --offline`",
        lambda export, _: [
            [sys.executable, "-m", "pipelines.cli", "plan", "--offline", "--config", export / "loader.yaml"]
        ],
        _of_ours,
        # It says with 1 that some orders are quarantined.
        fine=(0, 1),
    ),
    "pandas": Tool("pandas + pydantic", _one("pandas_pydantic"), _of_files, "pandas_pydantic"),
    "dlt": Tool("dlt pipeline + pydantic", _one("dlt_pydantic"), _of_dlt, "dlt_pydantic"),
    "singer": Tool("Singer tap and target, the SDK's validation", _singer, _of_files, "singer_target"),
}


# Measuring


def run(tool: Tool, export: Path, folder: Path) -> Run:
    """Run a tool on an export; raises where it fails."""
    out, errors = folder / "out", folder / "errors"
    for left in (out, export / "work"):
        shutil.rmtree(left, ignore_errors=True)
    out.mkdir(parents=True)
    mine = own_process.environment() if tool is OURS else os.environ
    kept = {key: value for key, value in mine.items() if not key.startswith(("CORSO_", "DAGSTER_"))}
    if tool is not OURS:
        kept.pop(measured_process.ALLOCATOR, None)
    took = measured_process.run(
        *tool.commands(export, out), output=folder / "said", errors=errors, environment=kept
    )
    if took.code not in tool.fine:
        last = "\n".join(errors.read_text(encoding="utf-8").splitlines()[-5:])
        message = f"{tool.title} ended with {took.code}:\n{last}"
        raise RuntimeError(message)
    return Run(took, tool.outcome(export, out))


def differences(export: Export, ours: Outcome, theirs: Outcome) -> Iterator[str]:
    """Say where two outcomes differ, and where they are not what the export was made for."""
    for name, outcome in (("the loader", ours), ("it", theirs)):
        found = (len(outcome.orders), outcome.quarantined_orders)
        if found != (export.accepted_orders, export.quarantined_orders):
            yield (
                f"{name} accepts and quarantines {found}, not {export.accepted_orders, export.quarantined_orders}"
            )
    for what in ("orders", "fulfillments", "quarantined"):
        mine, other = getattr(ours, what), getattr(theirs, what)
        if mine == other:
            continue
        keys = sorted({str(key) for key, _ in set(mine.items()) ^ set(other.items())})
        yield f"{len(keys):,} {what} differ, e.g. {keys[0]}"


def row(title: str, orders: int, run_: Run, before_after: Sequence[Run] = ()) -> str:
    """Return a line of the table."""
    took = run_.took
    cells = [title, f"{orders:,}", f"{took.wall_s:.1f}", f"{took.cpu_s:.1f}", f"{took.peak_mib:,.0f}"]
    if before_after:
        ratios = (
            (took.wall_s, [each.took.wall_s for each in before_after]),
            (took.cpu_s, [each.took.cpu_s for each in before_after]),
            (took.peak_mib, [each.took.peak_mib for each in before_after]),
        )
        cells += [f"{theirs / (sum(mine) / len(mine)):.2f}" for theirs, mine in ratios]
    else:
        cells += ["1", "1", "1"]
    outcome = run_.outcome
    cells += [
        f"{len(outcome.orders):,}",
        f"{outcome.quarantined_orders:,}",
        f"{sum(outcome.quarantined.values()):,}",
    ]
    return f"| {' | '.join(cells)} |"


def main(orders: int, wanted: Mapping[str, int]) -> int:
    """Print the table; return 1 where outcomes differ."""
    for name in wanted:
        if TOOLS[name].script:
            python_of(TOOLS[name].script)
    print(
        f"{orders:,} orders, {os.cpu_count()} cores, Python {platform.python_version()}, polars {pl.__version__}; "
        + "; ".join(versions(TOOLS[name].script) for name in wanted if TOOLS[name].script)
    )
    print(
        "\n| | orders | s | CPU s | peak MiB | times ours: s | CPU s | memory | accepted | quarantined | rows there |"
        "\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export, before = None, None
        for name, size in wanted.items():
            if export is None or export.orders != size:
                shutil.rmtree(folder / "export", ignore_errors=True)
                export, before = write_export(folder / "export", size), None
            if before is None:
                before = run(OURS, export.folder, folder / "ours")
                print(row(OURS.title, size, before), flush=True)
            theirs = run(TOOLS[name], export.folder, folder / name)
            shutil.rmtree(folder / name)
            after = run(OURS, export.folder, folder / "ours")
            print(row(TOOLS[name].title, size, theirs, (before, after)), flush=True)
            print(row(OURS.title, size, after), flush=True)
            failures += [
                f"{TOOLS[name].title}: {each}" for each in differences(export, after.outcome, theirs.outcome)
            ]
            before = after
    for failure in failures:
        print(f"FAILED {failure}")
    if not failures:
        print("\nAll come to the same orders, fulfillments and quarantined rows.")
    return bool(failures)


def _which(text: str) -> tuple[str, int | None]:
    name, _, size = text.partition("=")
    if name not in TOOLS:
        message = f"{name} is none of {', '.join(TOOLS)}"
        raise argparse.ArgumentTypeError(message)
    return name, int(size) if size else None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("orders", nargs="?", type=int, default=50_000)
    parser.add_argument("which", nargs="*", type=_which, metavar="WHICH")
    given = parser.parse_args()
    chosen = dict(given.which) or dict.fromkeys(TOOLS)
    sys.exit(main(given.orders, {name: size or given.orders for name, size in chosen.items()}))
