"""What the ledger knows of some orders, as a frame that a plan is made against."""

from collections.abc import Iterable

import polars as pl

from corso.delivery.reading import Reading
from corso.extract.plan import KNOWN_COLUMNS


def known_entries(ledger: Reading, order_ids: Iterable[str]) -> pl.DataFrame:
    """Return the entries of some orders and of their fulfillments (KNOWN_COLUMNS)."""
    groups = [
        pl.DataFrame([_texts(name, group[name]) for name in KNOWN_COLUMNS])
        for group in ledger.known_of(order_ids)
    ]
    return pl.concat(groups) if groups else pl.DataFrame(schema=KNOWN_COLUMNS)


def _texts(name: str, array: str) -> pl.Series:
    return pl.Series(name, [array]).str.json_decode(pl.List(pl.String)).explode(empty_as_null=False)
