"""Extract, validate and plan against the bare reading of the same files, alternately in one run.

scripts/bench prepare [ORDERS] [ROUNDS]
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.preparing import extract, plan, validate
from pipelines.samples import write_samples

_LOADER = """\
store: {id: 1, time_zone: America/New_York, fulfillment_locations: {default: 12}}
exports: {profile: canonical, orders: "in/orders*", line_items: "in/line*", fulfillments: "in/ful*"}
"""


def bare(folder: Path) -> None:
    """Read the files as text and write them as Parquet, nothing else."""
    for number, path in enumerate(sorted((folder / "in").iterdir())):
        scan = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
        scan.sink_parquet(folder / f"bare-{number}.parquet")


def prepare(folder: Path) -> None:
    """Extract, validate and plan, with every table written."""
    batch = Batch(read_settings(folder / "loader.yaml"), "bench")
    with batch.scratch() as scratch:
        raw = {}
        for name, table in extract(batch, scratch / "extract").items():
            table.sink_parquet(scratch / f"raw_{name}.parquet")
            raw[name] = pl.scan_parquet(scratch / f"raw_{name}.parquet")
        validated = validate(batch, raw, scratch / "validate")
        plan(batch, validated.accepted, scratch / "plan").sink_parquet(scratch / "plan.parquet")


def seconds(work: Callable[[Path], None], folder: Path) -> float:
    """Return how long one round takes."""
    began = time.perf_counter()
    work(folder)
    return time.perf_counter() - began


def main(orders: int, rounds: int) -> None:
    """Print the seconds of both and their ratio, round by round, and the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_samples(folder / "in", orders)
        (folder / "loader.yaml").write_text(_LOADER, encoding="utf-8")
        print(f"{orders:,} orders, {os.cpu_count()} cores")
        print("| round | bare reading s | extract + validate + plan s | ratio |\n|---|---|---|---|")
        ratios = []
        for number in range(1, rounds + 1):
            floor, ours = seconds(bare, folder), seconds(prepare, folder)
            ratios.append(ours / floor)
            print(f"| {number} | {floor:.2f} | {ours:.2f} | {ratios[-1]:.1f} |")
        print(f"\nmedian ratio {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], *("100000", "3")[len(sys.argv) - 1 :]]))
