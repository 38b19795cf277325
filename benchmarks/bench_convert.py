"""Reading a platform's export and converting it, against the bare polars read of the same file, alternately in one run.

scripts/bench convert [ORDERS] [ROUNDS]

The file is a Shopify export of one row an order: full names, phones as people write them, countries and states by name,
amounts with a currency's mark in a tenth of the rows. `convert` is what `corso.extract.places` and `cells` do to the values
that were read; `map` is all that a profile does, from the file to the raw tables.
"""

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl

from corso.extract.cells import plain_amount, plain_time
from corso.extract.files import ExportFile
from corso.extract.mapping import map_exports
from corso.extract.places import with_places
from corso.extract.profile import load_profile

_PEOPLE = 50_000
_PLACES = (
    ("United States", "Massachusetts", "02101", "(617) 555-0{:03}"),
    ("US", "CA", "94105", "+1 415 555 0{:03}"),
    ("Germany", "", "10115", "030 1234{:03}"),
    ("Australia", "New South Wales", "2000", "02 5550 1{:03}"),
)
_AMOUNTS = ("Subtotal", "Shipping", "Taxes", "Total")


def write_export(path: Path, orders: int) -> None:
    """Write an export of so many orders; the same on every run."""
    draw = random.Random(1)
    people = [(f"Ann-{n} Lee", f"ann.{n}@example.com", *draw.choice(_PLACES)) for n in range(_PEOPLE)]
    who = pl.DataFrame(
        {
            "Billing Name": [each[0] for each in people],
            "Email": [each[1] for each in people],
            "Billing Country": [each[2] for each in people],
            "Billing Province": [each[3] for each in people],
            "Billing Zip": [each[4] for each in people],
            "Phone": [each[5].format(n % 1000) for n, each in enumerate(people)],
        }
    )
    number = pl.int_range(orders, dtype=pl.Int64)
    cents = (number * 7919) % 90_000 + 100
    mark = pl.when(number % 10 == 0).then(pl.lit("$")).otherwise(pl.lit(""))

    def amount(of: pl.Expr) -> pl.Expr:
        return pl.concat_str(mark, of // 100, pl.lit("."), (of % 100).cast(pl.String).str.zfill(2))

    frame = pl.select(
        Name=pl.lit("#") + number.cast(pl.String),
        Id=(number + 6_000_000_000_000).cast(pl.String),
        who=(number * 31) % _PEOPLE,
        Subtotal=amount(cents),
        Shipping=amount(pl.lit(500)),
        Taxes=amount(cents // 10),
        Total=amount(cents + 500 + cents // 10),
        Currency=pl.lit("USD"),
    ).with_columns(
        pl.from_epoch(number * 61 + 1_600_000_000).dt.strftime("%Y-%m-%d %H:%M:%S -0500").alias("Created at"),
        pl.lit("1").alias("Lineitem quantity"),
        pl.lit("Blue mug").alias("Lineitem name"),
        pl.col("Subtotal").alias("Lineitem price"),
        pl.lit("MUG-1").alias("Lineitem sku"),
        pl.lit("1 Main St").alias("Billing Address1"),
        pl.lit("Springfield").alias("Billing City"),
    )
    joined = frame.join(
        who.with_row_index("who").cast({"who": pl.Int64}), on="who", maintain_order="left"
    ).drop("who")
    shipped = [
        pl.col(f"Billing {part}").alias(f"Shipping {part}")
        for part in ("Name", "Address1", "City", "Zip", "Province", "Country")
    ]
    joined.with_columns(shipped).write_csv(path)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds a piece of work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _convert(orders: pl.DataFrame) -> pl.DataFrame:
    plain = [plain_amount(pl.col(f"{name}_money"), ".") for name in ("subtotal", "shipping", "tax", "total")]
    return with_places(orders.with_columns(*plain, plain_time(pl.col("source_created_on"), ())))


def main(orders: int, rounds: int) -> None:
    """Print seconds and ratios, round by round, and the medians."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "orders.csv"
        write_export(path, orders)
        profile = load_profile("shopify", folder)
        files = {"orders": [ExportFile(path, path.name)]}

        def bare() -> None:
            pl.scan_csv(path, infer_schema=False).sink_parquet(folder / "bare.parquet")

        def mapped() -> None:
            for table, frame in map_exports(profile, files, folder / "scratch").items():
                frame.sink_parquet(folder / f"{table}.parquet")

        mapped()
        raw = pl.read_parquet(folder / "orders.parquet")
        print(f"{orders:,} orders, {path.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} cores")
        print("| round | bare read s | convert s | ratio | map s | ratio |\n|---|---|---|---|---|---|")
        ratios = []
        for number in range(1, rounds + 1):
            floor, converting, mapping = timed(bare), timed(lambda: _convert(raw)), timed(mapped)
            ratios.append((converting / floor, mapping / floor))
            print(
                f"| {number} | {floor:.2f} | {converting:.2f} | {ratios[-1][0]:.2f} | {mapping:.2f} | {ratios[-1][1]:.2f} |"
            )
        medians = [statistics.median(each) for each in zip(*ratios, strict=True)]
        print(
            f"\nmedian: converting adds {medians[0]:.0%} to the bare read; read and mapped in {medians[1]:.1f} times the bare read"
        )


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], *("1000000", "3")[len(sys.argv) - 1 :]]))
