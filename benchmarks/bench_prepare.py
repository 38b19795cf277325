"""Extract, validate and plan against the bare reading of the same files, alternately in one run.

scripts/bench prepare [ORDERS] [ROUNDS] [SHAPE]

SHAPE is one of `benchmarks.exports.SHAPES` (by default `canonical`), or `samples`: the export of
`pipelines.samples`, half of whose orders are gzipped and whose lines are Parquet. The bare reading parses the files as
text and writes them as Parquet. Each side of each round is a process of its own, so that its peak of memory is its own;
the seconds, by the clock and of the processors, are those of the work, without the imports.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks import measured_process, own_process
from benchmarks.exports import write_export
from corso.extract.profile import TABLES
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.parts import put_in_place
from corso.stages.preparing import extract, plan, validate
from pipelines.samples import write_samples
from schemas.raw import scan_raw

_LOADER = """\
store: {id: 1, time_zone: America/New_York, fulfillment_locations: {default: 12}}
exports: {profile: canonical, orders: "orders*", line_items: "line*", fulfillments: "ful*"}
"""


def bare(folder: Path) -> None:
    """Read the files as text and write them as Parquet, nothing else."""
    out = folder / "bare"
    out.mkdir(exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.suffix == ".parquet":
            scan = pl.scan_parquet(path)
        elif path.suffix == ".txt":
            scan = pl.scan_csv(path, infer_schema=False, separator="\t", quote_char=None)
        elif path.suffix in {".csv", ".gz"}:
            scan = pl.scan_csv(path, infer_schema=False)
        else:
            continue
        scan.sink_parquet(out / f"{path.name}.parquet")


def prepare(folder: Path) -> None:
    """Extract, validate and plan; all tables stay among the batch's."""
    batch = Batch(read_settings(folder / "loader.yaml"), "bench")
    with batch.scratch() as scratch:
        raw = extract(batch, scratch / "extract")
        validated = validate(
            batch, {name: scan_raw(path) for name, path in raw.items()}, scratch / "validate"
        )
        validated.quarantine.sink_parquet(batch.table("quarantined_orders"))
        put_in_place(plan(batch, validated.accepted, scratch / "plan"), batch.table("upload_plan"))
        for name in TABLES:
            put_in_place(raw[name], batch.table(f"raw_{name}"))
            put_in_place(validated.accepted[name], batch.table(f"accepted_{name}"))


SIDES = {"bare": bare, "prepare": prepare}


@dataclass(frozen=True)
class Side:
    """How one side of a round fared."""

    seconds: float
    cpu_s: float
    peak_mib: float


def write(folder: Path, orders: int, shape: str) -> None:
    """Write an export and its loader.yaml."""
    if shape == "samples":
        write_samples(folder, orders)
        (folder / "loader.yaml").write_text(_LOADER, encoding="utf-8")
    else:
        write_export(folder, orders, shape)


def measured(name: str, folder: Path) -> Side:
    """Run one side in a process of its own; raises where it fails."""
    output, errors = folder / "seconds", folder / "errors"
    took = measured_process.run(
        [sys.executable, __file__, "--side", name, folder],
        output=output,
        errors=errors,
        environment=own_process.environment() if name == "prepare" else None,
    )
    if took.code:
        raise subprocess.CalledProcessError(took.code, name, stderr=errors.read_text(encoding="utf-8"))
    seconds, cpu_s = (float(word) for word in output.read_text(encoding="utf-8").split())
    return Side(seconds, cpu_s, took.peak_mib)


def run_side(name: str, folder: Path) -> None:
    """Do one side's work, once, and print its seconds, and those of the processors."""
    began, cpu_began = time.perf_counter(), time.process_time()
    SIDES[name](folder)
    print(time.perf_counter() - began, time.process_time() - cpu_began)


def main(orders: int, rounds: int, shape: str) -> None:
    """Print the seconds of both and their ratio, round by round, and the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, orders, shape)
        mib = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        print(f"{orders:,} orders in the shape of {shape}, {mib:,.0f} MiB, {os.cpu_count()} cores\n")
        print(
            "| round | bare reading s | extract + validate + plan s | ratio | CPU s | CPU s | ratio | peak MiB | peak MiB |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        ratios, cpu_ratios = [], []
        for number in range(1, rounds + 1):
            floor, ours = measured("bare", folder), measured("prepare", folder)
            ratios.append(ours.seconds / floor.seconds)
            cpu_ratios.append(ours.cpu_s / floor.cpu_s)
            print(
                f"| {number} | {floor.seconds:.2f} | {ours.seconds:.2f} | {ratios[-1]:.1f} "
                f"| {floor.cpu_s:.1f} | {ours.cpu_s:.1f} | {cpu_ratios[-1]:.1f} "
                f"| {floor.peak_mib:,.0f} | {ours.peak_mib:,.0f} |",
                flush=True,
            )
        print(
            f"\nmedian ratio {statistics.median(ratios):.1f}, of the processors' seconds {statistics.median(cpu_ratios):.1f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        run_side(sys.argv[2], Path(sys.argv[3]))
    else:
        given_orders, given_rounds, given_shape = [
            *sys.argv[1:],
            *("100000", "3", "canonical")[len(sys.argv) - 1 :],
        ]
        main(int(given_orders), int(given_rounds), given_shape)
