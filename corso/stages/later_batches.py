"""A batch that arrives after later ones were sent: what those say of an order is newer, and stands.

Which batch is later is told by the names of batch folders, where these are days (`corso.extract.drops.is_later`).
"""

from collections.abc import Iterator

import polars as pl

from corso.extract.drops import has_batch_folders, is_later
from corso.stages.batch import Batch, batches_of


def orders_of_later_batches(batch: Batch) -> list[str]:
    """Return the ids of the orders that later batches of the store brought, as far as these were sent."""
    ids = [
        pl.scan_parquet(later.table("accepted_orders"), glob=False).select("source_order_id")
        for later in _sent_later(batch)
    ]
    if not ids:
        return []
    return pl.concat(ids).unique().collect()["source_order_id"].to_list()


def said_of_later_batches(left_alone: int) -> str:
    """Say how many orders a plan leaves as later batches have them."""
    if left_alone == 1:
        return "1 order is left as a later batch has it."
    return f"{left_alone:,} orders are left as later batches have them."


def _sent_later(batch: Batch) -> Iterator[Batch]:
    settings = batch.settings
    if not has_batch_folders(settings):
        return
    for later in batches_of(settings):
        if not is_later(settings, later.name, batch.name):
            continue
        facts = later.read_facts()
        was_sent = facts.stage != "plan" or facts.requests.sent
        if was_sent and later.table("accepted_orders").exists():
            yield later
