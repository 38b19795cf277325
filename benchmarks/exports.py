"""Makes large exports for the benchmarks: any number of orders, three lines each, canonical or as a platform has them.

    python -m benchmarks.exports FOLDER [ORDERS] [SHAPE]

`pipelines.samples` makes small exports with every oddity, for the demo and the tests. Here size counts: part after part
is drawn (`export_rows`), shaped (`export_shapes`) and written, so that ten million orders need no more memory than
fifty thousand. The same number of orders, shape and seed give the same bytes.

One order in a hundred is bad, in the ways of its shape in turn; what validation must make of the whole is returned.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.export_rows import bad_orders, parts
from benchmarks.export_shapes import canonical, marketplaces, shops
from benchmarks.export_shapes.values import OF_ANY_EXPORT, OF_MOST_EXPORTS, SAMPLES, Shape
from pipelines.samples import BAD_WAYS

SHAPES: Mapping[str, Shape] = {
    "canonical": Shape(canonical.canonical, BAD_WAYS),
    "shopify": Shape(shops.shopify, OF_MOST_EXPORTS),
    "woocommerce": Shape(shops.woocommerce, (*OF_MOST_EXPORTS, "line_has_no_sku")),
    "bigcommerce": Shape(shops.bigcommerce, (*OF_MOST_EXPORTS, "order_has_no_lines")),
    "magento": Shape(shops.magento, (*OF_MOST_EXPORTS, "order_has_no_lines", "line_has_no_sku")),
    "amazon": Shape(marketplaces.amazon, (*OF_ANY_EXPORT, "line_has_no_sku"), delimiter="\t"),
    "tiktok": Shape(marketplaces.tiktok, (*OF_MOST_EXPORTS, "line_has_no_sku")),
    "etsy": Shape(marketplaces.etsy, OF_ANY_EXPORT),
    "walmart": Shape(
        marketplaces.walmart,
        (
            "money_cannot_be_read",
            "city_is_missing",
            "date_is_impossible",
            "phone_is_destroyed",
            "line_has_no_sku",
        ),
    ),
}

_CANONICAL_LOADER = """\
store: {id: 9359, time_zone: America/New_York, fulfillment_locations: {default: 12}}
exports: {profile: canonical, orders: orders.csv, line_items: line_items.csv, fulfillments: fulfillments.csv}
corso: {environment: custom, base_url: "http://127.0.0.1:9", token_url: "http://127.0.0.1:9", audience: nowhere}
"""


@dataclass(frozen=True)
class Export:
    """An export that was written, and what validation must make of it."""

    folder: Path
    shape: str
    files: Sequence[Path]
    delimiter: str
    loader: Path
    """A loader.yaml for it, beside the files."""
    orders: int
    bad_orders: Mapping[str, int]
    """Way -> how many orders are bad in this way."""
    orphans: int
    """So many line items name no order of the export, and as many fulfillments."""

    @property
    def quarantined_orders(self) -> int:
        """How many different orders must be quarantined."""
        return sum(self.bad_orders.values())

    @property
    def accepted_orders(self) -> int:
        """How many orders must be accepted."""
        return self.orders - self.quarantined_orders

    @property
    def mib(self) -> float:
        """How large its files are together."""
        return sum(path.stat().st_size for path in self.files) / 2**20


def write_export(folder: Path, orders: int, shape: str = "canonical", seed: int = 1) -> Export:
    """Write so many orders over 14 months, in one of SHAPES, with a loader.yaml beside them."""
    form = SHAPES[shape]
    folder.mkdir(parents=True, exist_ok=True)
    bad = bad_orders(orders, form.ways)
    orphans = 0
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for part in parts(orders, bad, seed):
            for name, frame in form.tables(part).items():
                begins = name not in files
                if begins:
                    files[name] = stack.enter_context((folder / name).open("wb"))
                frame.write_csv(
                    files[name],
                    include_header=begins,
                    separator=form.delimiter,
                    # Reports that are parted by tabs know no quotes.
                    quote_style="never" if form.delimiter == "\t" else "necessary",
                )
            orphans += part.orphans
    loader = folder / "loader.yaml"
    if shape == "canonical":
        loader.write_text(_CANONICAL_LOADER, encoding="utf-8")
    else:
        shutil.copy(SAMPLES / shape / "loader.yaml", loader)
    return Export(
        folder=folder,
        shape=shape,
        files=[folder / name for name in files],
        delimiter=form.delimiter,
        loader=loader,
        orders=orders,
        bad_orders={way: bad.filter(way=way).height for way in form.ways},
        orphans=orphans if shape == "canonical" else 0,
    )


def main(folder: str, orders: str = "100000", shape: str = "canonical") -> None:
    """Write an export and say what it holds."""
    made = write_export(Path(folder), int(orders), shape)
    print(
        f"{made.orders:,} orders ({made.accepted_orders:,} good, {made.quarantined_orders:,} bad) in the shape of "
        f"{made.shape}: {made.mib:,.0f} MiB in {made.folder}"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
