"""Comparing the source with the listing, beside datacompy's polars comparison of the order columns alone.

scripts/bench compare [ORDERS] [--runs N]

Made-up tables (`benchmarks/compared_tables.py`): ORDERS orders (by default a million) of some thirty columns, with two
lines each, and a listing of as many records with known damage. Each side is a process of its own that reads the same
Parquet files, start-up included; datacompy has an environment of its own on first use, under data/bench/envs (it does not
work with polars 2). Ours compares the lines, too, names causes, gives findings their ids and sums the money up.

The runs alternate, and a ratio is that of neighbours; the figures are medians. Peak memory is that of the process. What
both found in the order columns is held against each other, order by order and column by column; duplicates are left out,
which datacompy pairs away. A difference is printed, and the exit code is 1.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from benchmarks import measured_process, own_process
from benchmarks.alternatives.environments import python_of, versions
from benchmarks.compared_tables import Expected, write_tables
from benchmarks.measured_process import Measured

_HERE = Path(__file__).parent
_THEIRS = "datacompy_polars"


def compare(folder: Path, out: Path) -> None:
    """Be our side: compare and write the findings."""
    from corso.report.compare import Sides, knows_nothing, reconcile  # noqa: PLC0415
    from corso.report.life import Earlier  # noqa: PLC0415
    from corso.settings import Exports, Loader, Settings, Store  # noqa: PLC0415
    from schemas.fields import empty_frame  # noqa: PLC0415
    from schemas.quarantine import QUARANTINE  # noqa: PLC0415

    outcomes = pl.scan_parquet(folder / "outcomes.parquet")
    sides = Sides(
        orders=pl.scan_parquet(folder / "orders.parquet"),
        line_items=pl.scan_parquet(folder / "line_items.parquet"),
        quarantine=empty_frame(QUARANTINE).lazy(),
        listing=pl.scan_parquet(folder / "listing.parquet"),
        outcomes=outcomes,
        known=knows_nothing,
    )
    store = Store(id=9359, time_zone="America/New_York")
    settings = Settings(Path("loader.yaml"), Loader(store=store, exports=Exports()))
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        found = reconcile(sides, Earlier(), settings, datetime.now(UTC), Path(scratch))
        found.findings.sink_parquet(out)
    print(found.counts)


def disagreements(ours: Path, theirs: Path) -> pl.DataFrame:
    """Return (source_order_id, column) that only one side found, without the duplicated orders."""
    findings = pl.read_parquet(ours)
    twice = findings.filter(kind="duplicated")["source_order_id"].unique().implode()
    whole = pl.when(pl.col("kind") == "different").then("field").otherwise("kind")
    mine = (
        findings.filter(pl.col("source_line_item_id").is_null(), pl.col("kind") != "duplicated")
        .select("source_order_id", column=whole)
        .unique()
    )
    other = pl.read_parquet(theirs).filter(~pl.col("source_order_id").is_in(twice)).unique()
    one_sided = [
        mine.join(other, on=mine.columns, how="anti").with_columns(only=pl.lit("ours")),
        other.join(mine, on=mine.columns, how="anti").with_columns(only=pl.lit("theirs")),
    ]
    return pl.concat(one_sided)


def unexpected(ours: Path, expected: Expected) -> list[str]:
    """Name what ours did not find as the tables were made."""
    counted = pl.read_parquet(ours).group_by("kind").agg(pl.col("source_order_id").n_unique())
    found = dict(counted.iter_rows())
    return [
        f"{kind}: found {found.get(kind, 0):,}, made {count:,}"
        for kind, count in vars(expected).items()
        if found.get(kind, 0) != count
    ]


def main(orders: int, runs: int) -> int:
    """Print the table; return 1 where the sides disagree."""
    theirs_python = python_of(_THEIRS)
    print(f"{orders:,} orders, {os.cpu_count()} cores; {versions(_THEIRS)} beside polars {pl.__version__}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        expected = write_tables(folder / "tables", orders)
        ours, theirs = folder / "ours.parquet", folder / "theirs.parquet"
        me = [sys.executable, __file__, "--side", folder / "tables", ours]
        other = [theirs_python, _HERE / "alternatives" / f"{_THEIRS}.py", folder / "tables", theirs]
        own = own_process.environment()
        pairs = [(_run(me, folder, own), _run(other, folder)) for _ in range(runs)]
        wrong = unexpected(ours, expected)
        apart = disagreements(ours, theirs)
    print("\n| | s | CPU s | peak MiB |\n|---|---|---|---|")
    for title, took in (
        ("corso-loader: orders and lines, findings, money", [mine for mine, _ in pairs]),
        ("datacompy: the order columns", [others for _, others in pairs]),
    ):
        figures = [
            statistics.median(getattr(each, name) for each in took)
            for name in ("wall_s", "cpu_s", "peak_mib")
        ]
        print("| {} | {:.1f} | {:.1f} | {:,.0f} |".format(title, *figures))
    ratios = sorted(theirs.wall_s / mine.wall_s for mine, theirs in pairs)
    print(
        f"\ndatacompy takes {statistics.median(ratios):.1f} times as long ({ratios[0]:.1f} to {ratios[-1]:.1f})."
    )
    for sentence in wrong:
        print(f"FAILED {sentence}")
    if apart.height:
        print(f"FAILED the sides disagree on {apart.height:,} values, e.g. {apart.row(0)}")
    else:
        print("Both found the same in the order columns, but for duplicates.")
    return int(bool(wrong) or apart.height > 0)


def _run(command: list[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> Measured:
    errors = folder / "errors"
    took = measured_process.run(command, output=folder / "said", errors=errors, environment=environment)
    if took.code:
        last = "\n".join(errors.read_text(encoding="utf-8").splitlines()[-5:])
        message = f"{command[1]} ended with {took.code}:\n{last}"
        raise RuntimeError(message)
    return took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("orders", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", nargs=2, type=Path, metavar=("TABLES", "OUT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        compare(*given.side)
    else:
        sys.exit(main(given.orders, given.runs))
