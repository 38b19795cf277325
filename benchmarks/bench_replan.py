"""A nightly run over known orders: the plan of an export of which a hundredth has changed, beside reading and validating it.

scripts/bench replan [ORDERS] [ROUNDS] [SHAPE]

The ledger holds every order and fulfillment of the export as accepted; of a hundredth of the orders it holds something else
than the export says. Each side of each round is a process of its own; seconds are those of the work, without the imports.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from benchmarks import measured_process, own_process
from benchmarks.exports import write_export
from corso.delivery.ledger import Change, Key, Ledger
from corso.delivery.states import State
from corso.settings import read_settings
from corso.stages.batch import Batch
from corso.stages.operations import operations_of
from corso.stages.parts import put_in_place
from corso.stages.preparing import Validated, extract, plan, validate
from schemas.raw import scan_raw

_OPERATIONS_AT_ONCE = 20_000
_EVERY = 100
"""One order in so many has changed."""


def validated(batch: Batch, scratch: Path) -> Validated:
    """Extract and validate."""
    raw = extract(batch, scratch / "extract")
    tables = {name: scan_raw(path) for name, path in raw.items()}
    made = validate(batch, tables, scratch / "validate")
    made.quarantine.sink_parquet(batch.table("quarantined_orders"))
    return made


def planned(batch: Batch, scratch: Path) -> None:
    """Extract, validate and plan."""
    put_in_place(
        plan(batch, validated(batch, scratch).accepted, scratch / "plan"), batch.table("upload_plan")
    )


SIDES = {"validated": validated, "planned": planned}


def remember(batch: Batch) -> int:
    """Have the ledger hold all that the plan would send, a hundredth of it differently; return how many orders differ."""
    settings = batch.settings
    rows = pl.scan_parquet(batch.table("upload_plan"))
    changed = 0
    with Ledger.open(settings.ledger, settings.loader.store.id) as ledger:
        for some in rows.collect_batches(chunk_size=_OPERATIONS_AT_ONCE):
            operations = operations_of(some)
            ledger.plan(operations, "earlier")
            ledger.start(operations)
            changes = []
            for number, each in enumerate(operations):
                differs = not each.source_fulfillment_id and number % _EVERY == 0
                changed += differs
                held = "0" * 64 if differs else each.payload_hash
                key = Key(each.source_order_id, each.source_fulfillment_id)
                changes.append(Change(key, State.ACCEPTED, corso_id=f"c-{number}", held_hash=held))
            ledger.settle(changes)
    return changed


def main(orders: int, rounds: int, shape: str) -> None:
    """Print the seconds of both and their ratio, round by round, and the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_export(folder, orders, shape)
        measured("planned", folder)
        batch = Batch(read_settings(folder / "loader.yaml"), "bench")
        changed = remember(batch)
        print(f"{orders:,} orders in the shape of {shape}, {changed:,} of them changed\n")
        print(
            "| round | extract + validate s | and plan s | ratio | CPU s | CPU s | ratio | peak MiB | peak MiB |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        ratios, cpu_ratios = [], []
        for number in range(1, rounds + 1):
            (first_s, first_cpu_s, first_mib), (s, cpu_s, mib) = (measured(side, folder) for side in SIDES)
            ratios.append(s / first_s)
            cpu_ratios.append(cpu_s / first_cpu_s)
            print(
                f"| {number} | {first_s:.2f} | {s:.2f} | {ratios[-1]:.2f} | {first_cpu_s:.1f} | {cpu_s:.1f} "
                f"| {cpu_ratios[-1]:.2f} | {first_mib:,.0f} | {mib:,.0f} |",
                flush=True,
            )
        actions = pl.scan_parquet(batch.table("upload_plan")).group_by("subject", "action").len().collect()
        print(
            f"\nmedian ratio {statistics.median(ratios):.2f}, of processor seconds {statistics.median(cpu_ratios):.2f}"
        )
        print(f"the plan: {sorted(actions.rows())}")


def measured(side: str, folder: Path) -> tuple[float, float, float]:
    """Run one side in a process of its own; return seconds, processor seconds and the peak of memory in MiB."""
    output, errors = folder / "seconds", folder / "errors"
    took = measured_process.run(
        [sys.executable, __file__, "--side", side, folder],
        output=output,
        errors=errors,
        environment=own_process.environment(),
    )
    if took.code:
        raise RuntimeError(errors.read_text(encoding="utf-8"))
    seconds, cpu_s = (float(word) for word in output.read_text(encoding="utf-8").split())
    return seconds, cpu_s, took.peak_mib


def run_side(side: str, folder: Path) -> None:
    """Do one side's work, once, and print its seconds, and those of the processors."""
    batch = Batch(read_settings(folder / "loader.yaml"), "bench")
    batch.tables.mkdir(parents=True, exist_ok=True)
    began, cpu_began = time.perf_counter(), time.process_time()
    with batch.scratch() as scratch:
        SIDES[side](batch, scratch)
    print(time.perf_counter() - began, time.process_time() - cpu_began)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--side"]:
        run_side(sys.argv[2], Path(sys.argv[3]))
    else:
        given = [*sys.argv[1:], *("100000", "3", "canonical")[len(sys.argv) - 1 :]]
        main(int(given[0]), int(given[1]), given[2])
