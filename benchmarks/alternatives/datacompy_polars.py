"""What one would write with datacompy: the orders' columns of two frames compared, and every differing value listed.

datacompy_polars.py FOLDER OUT: reads orders.parquet and listing.parquet of FOLDER, and writes OUT: source_order_id and
column of each value that differs, `missing` and `foreign` for orders that are on one side only. Line items, which stand in
a table of their own on one side and inside the record on the other, are not compared.
"""

import sys
from pathlib import Path

import polars as pl
from datacompy import PolarsCompare

KEY = "source_order_id"


def main(folder: Path, out: Path) -> None:
    """Compare, and write what differs."""
    orders = pl.read_parquet(folder / "orders.parquet").drop("file", "line")
    columns = [name for name in orders.columns if orders[name].null_count() < orders.height]
    listing = pl.read_parquet(folder / "listing.parquet", columns=columns)
    compared = PolarsCompare(orders.select(columns), listing, join_columns=KEY)
    rows = compared.intersect_rows
    found = [
        rows.filter(~pl.col(f"{name}_match")).select(KEY, column=pl.lit(name))
        for name in columns
        if name != KEY
    ]
    found += [
        frame.select(KEY, column=pl.lit(word))
        for frame, word in ((compared.df1_unq_rows, "missing"), (compared.df2_unq_rows, "foreign"))
    ]
    pl.concat(found).write_parquet(out)
    print(f"{len(columns)} columns")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
