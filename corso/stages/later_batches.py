"""A batch that is loaded after a later one: what that one says of an order is newer, and stands.

Which batch is later is told by the names of batch folders, where both are days (`corso.extract.drops.is_later`); else by when
their export files were first sent. Files that have not been sent yet are news, under whichever name they come: of two batches
without days only one whose very files were sent before the other's is the older one, as when it is retried.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

import polars as pl

from corso.extract.drops import is_later
from corso.stages.batch import Batch, Facts, batches_of


def loaded_before(batch: Batch, digests: Iterable[str]) -> datetime | None:
    """Return since when a batch's export files are being sent, from what is known of the batch; None for other files."""
    # What cannot be read is begun anew.
    with suppress(ValueError):
        facts = batch.read_facts()
        if sorted(digest for _, digest, _ in facts.files) == sorted(digests):
            return _loaded_at(batch, facts)
    return None


def note_loading(batch: Batch, now: datetime) -> None:
    """Keep among the batch's facts that its export files are being sent."""
    facts = batch.read_facts()
    if facts.loaded_at is None:
        batch.write_facts(facts.model_copy(update={"loaded_at": now}))


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
    mine = batch.read_facts().loaded_at
    for other in batches_of(settings):
        by_name = is_later(settings, other.name, batch.name)
        # Files that were never sent are older than none: of a store with many batches nothing is read.
        if not by_name and (mine is None or is_later(settings, batch.name, other.name)):
            continue
        loaded_at = _loaded_at(other, other.read_facts())
        if loaded_at is None or not (by_name or (mine is not None and loaded_at > mine)):
            continue
        if other.table("accepted_orders").exists():
            yield other


def _loaded_at(batch: Batch, facts: Facts) -> datetime | None:
    """Return when a batch's export files began to be sent; where an older version sent them, when it planned them last."""
    was_sent = facts.stage != "plan" or facts.requests.sent
    if facts.loaded_at is not None or not was_sent:
        return facts.loaded_at
    planned_at = batch.table_written_at("upload_plan")
    return datetime.fromtimestamp(planned_at or 0, UTC)
