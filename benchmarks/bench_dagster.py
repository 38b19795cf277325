"""What running through Dagster costs: a plan as the command runs it, against the same functions called one by one.

scripts/bench dagster [ORDERS] [ROUNDS]

Both do the same work: extract, validate, plan, every table written, the blocking checks, the books. Each run is a process
of its own with a workdir of its own, alternately; Dagster's instance is there already, as in every run but the first.
Imports are counted apart. Processor seconds tell what it costs; the rest of the wall time is Dagster's history, which
SQLite flushes to disk some 250 times a run: that depends on the disk and on who else writes to it.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

_LOADER = """\
store: {id: 1, time_zone: America/New_York, fulfillment_locations: {default: 12}}
exports: {profile: canonical, orders: "in/orders*", line_items: "in/line*", fulfillments: "in/ful*"}
"""
_BATCH = "bench"
_KINDS = ("functions", "job")
Seconds = dict[str, float]


@contextmanager
def _timed(into: Seconds, what: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into[f"{what} wall"], into[f"{what} cpu"] = time.perf_counter() - wall, time.process_time() - cpu


def plan_by_functions(folder: Path) -> Callable[[], None]:
    """Import what a plan needs of the engine, and return the plan."""
    import polars as pl  # noqa: PLC0415  (the import is measured)

    from corso.settings import read_settings  # noqa: PLC0415
    from corso.stages.batch import Batch  # noqa: PLC0415
    from corso.stages.books import close_books  # noqa: PLC0415
    from corso.stages.counting import broken_contracts, quarantined_share, unaccounted_rows  # noqa: PLC0415
    from corso.stages.parts import put_in_place  # noqa: PLC0415
    from corso.stages.preparing import extract, plan, validate  # noqa: PLC0415

    def write(batch: Batch, name: str, table: pl.LazyFrame | Path) -> pl.LazyFrame:
        if isinstance(table, Path):
            put_in_place(table, batch.table(name))
        else:
            table.sink_parquet(batch.table(name), compression="zstd", maintain_order=True, mkdir=True)
        return pl.scan_parquet(batch.table(name))

    def work() -> None:
        batch = Batch(read_settings(folder / "loader.yaml"), _BATCH)
        with batch.locked(), batch.scratch() as scratch:
            raw = {
                name: write(batch, f"raw_{name}", table)
                for name, table in extract(batch, scratch / "1").items()
            }
            validated = validate(batch, raw, scratch / "2")
            for name, table in validated.accepted.items():
                write(batch, f"accepted_{name}", table)
            write(batch, "filled_values", validated.filled_values)
            write(batch, "quarantined_orders", validated.quarantine)
            unaccounted_rows(batch)
            broken_contracts(batch)
            write(
                batch,
                "upload_plan",
                plan(batch, {name: batch.table(f"accepted_{name}") for name in raw}, scratch / "3"),
            )
            quarantined_share(batch)
            close_books(batch, "plan", datetime.now(UTC))

    return work


def plan_by_job(folder: Path) -> Callable[[], None]:
    """Import what the command imports, and return the plan."""
    from corso.delivery.ports import unwatched  # noqa: PLC0415
    from corso.settings import read_settings  # noqa: PLC0415
    from pipelines.running import run_job  # noqa: PLC0415

    return lambda: run_job("plan_batch", read_settings(folder / "loader.yaml"), _BATCH, unwatched)


def one(kind: str, folder: Path) -> Seconds:
    """Plan once in this process; return the seconds of the imports and of the work."""
    seconds: Seconds = {}
    with _timed(seconds, "imports"):
        work = {"functions": plan_by_functions, "job": plan_by_job}[kind](folder)
    with _timed(seconds, "work"):
        work()
    return seconds


def in_a_process(kind: str, folder: Path, home: Path) -> Seconds:
    """Plan once in a process of its own, from exports that were never planned."""
    shutil.rmtree(folder / "work", ignore_errors=True)
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, __file__, "--one", kind, folder],
        env={**kept, "DAGSTER_HOME": str(home), "PYTHONPYCACHEPREFIX": str(home / "bytecode")},
        stdout=subprocess.PIPE,
        check=True,
    )
    seconds: Seconds = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main(orders: int, rounds: int) -> None:
    """Print the medians of both, and their difference."""
    from pipelines.samples import write_samples  # noqa: PLC0415  (not in the processes that are measured)

    with tempfile.TemporaryDirectory() as name:
        folder, home = Path(name) / "shop", Path(name) / "home"
        write_samples(folder / "in", orders)
        (folder / "loader.yaml").write_text(_LOADER + "validation: {max_quarantined: 1}\n", encoding="utf-8")
        for kind in _KINDS:
            in_a_process(kind, folder, home)
        runs = {kind: list[Seconds]() for kind in _KINDS}
        for _ in range(rounds):
            for kind in _KINDS:
                runs[kind].append(in_a_process(kind, folder, home))
    print(f"A plan of {orders:,} orders, medians of {rounds}; {os.cpu_count()} cores\n")
    print("| | imports CPU s | work CPU s | work wall s |\n|---|---|---|---|")
    medians = {
        kind: {key: statistics.median(run[key] for run in runs[kind]) for key in runs[kind][0]}
        for kind in _KINDS
    }
    columns = ("imports cpu", "work cpu", "work wall")
    for kind, said in (("functions", "functions of corso alone"), ("job", "through Dagster")):
        print(f"| {said} | {' | '.join(f'{medians[kind][key]:.2f}' for key in columns)} |")
    more = (medians["job"][key] - medians["functions"][key] for key in columns)
    print(f"| Dagster | {' | '.join(f'{each:.2f}' for each in more)} |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(sys.argv[2], Path(sys.argv[3]))))
    else:
        main(*(int(word) for word in [*sys.argv[1:], *("2000", "5")[len(sys.argv) - 1 :]]))
