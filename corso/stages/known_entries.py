"""What the ledger knows of some orders, as frames: what a plan is made against, and what the books say."""

from collections.abc import Mapping

import polars as pl

from corso.delivery.ledger import Ledger
from corso.delivery.reading import Reading
from corso.extract.plan import KNOWN_COLUMNS
from corso.report.outcomes import LEDGER_COLUMNS
from corso.stages.batch import Batch

_ORDERS_AT_ONCE = 50_000

_AS_KEPT = pl.Schema(
    {
        # The ledger's own name, and an instant as the text that it is kept as.
        "payload_hash" if name == "attempted_hash" else name: pl.String() if name == "held_at" else dtype
        for name, dtype in LEDGER_COLUMNS.items()
    }
)
_KEY = pl.Schema({name: LEDGER_COLUMNS[name] for name in ("source_order_id", "source_fulfillment_id")})


def known_entries(ledger: Reading, order_ids: pl.Series) -> pl.DataFrame:
    """Return the entries of some orders and of their fulfillments (KNOWN_COLUMNS), in no order."""
    return _entries(ledger, order_ids, KNOWN_COLUMNS)


def entries_of(ledger: Reading, order_ids: pl.Series, *, fulfillments: bool) -> pl.DataFrame:
    """Return all that the ledger says of some orders, or of their fulfillments (LEDGER_COLUMNS), in no order."""
    entries = _entries(ledger, order_ids, _AS_KEPT, fulfillments=fulfillments)
    held_at = pl.col("held_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us")
    return entries.with_columns(held_at).rename({"payload_hash": "attempted_hash"})


def known_keys(batch: Batch, order_ids: pl.Series) -> pl.DataFrame:
    """Return which of some orders of the batch's store the ledger knows, and which of their fulfillments, in no order.

    source_order_id, source_fulfillment_id: empty for an order.
    """
    settings = batch.settings
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        return _entries(ledger, order_ids, _KEY)


def orders_of_records(batch: Batch, corso_ids: pl.Series) -> pl.DataFrame:
    """Return which of some of Corso's ids are those of orders of the batch's store, by the ledger.

    corso_order_id, ledger_order_id.
    """
    settings = batch.settings
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        found = ledger.orders_of(corso_ids.to_list())
    schema = {"corso_order_id": pl.String(), "ledger_order_id": pl.String()}
    return pl.DataFrame(list(found.items()), schema=schema, orient="row")


def _entries(
    ledger: Reading,
    order_ids: pl.Series,
    schema: Mapping[str, pl.DataType],
    *,
    fulfillments: bool | None = None,
) -> pl.DataFrame:
    groups = [pl.DataFrame(schema=schema)]
    if ledger.is_empty():
        return groups[0]
    # In the order given, which is mostly that of the ledger: entries beside each other are found in half the time.
    once = order_ids.drop_nulls().unique(maintain_order=True)
    for some in once.to_frame().iter_slices(_ORDERS_AT_ONCE):
        ids = some.to_series().to_list()
        groups += [
            pl.DataFrame([_read(name, arrays[name], dtype) for name, dtype in schema.items()])
            for arrays in ledger.arrays_of(ids, list(schema), fulfillments=fulfillments)
        ]
    return pl.concat(groups)


def _read(name: str, array: str, dtype: pl.DataType) -> pl.Series:
    return pl.Series(name, [array]).str.json_decode(pl.List(dtype)).explode(empty_as_null=False)
