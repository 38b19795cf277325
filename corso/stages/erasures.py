"""The store's erasures: which orders' customers were erased, and when. No customer is named, only orders.

erasures.json lies in the store's folder. An erasure is written down before anything is changed, so that one that was
killed is finished by the next; and what is read back of these orders later is blanked before it is written to disk, and compared with a source that is, too.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

import polars as pl
from pydantic import BaseModel, ConfigDict

from corso.report.atomic import replacing
from corso.settings import Settings
from corso.stages.blanking import Whose, blanked, blanked_but_once


class Erasure(BaseModel):
    """One erasure: of one or several customers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    at: datetime
    orders: tuple[str, ...]
    """Their orders, by source id."""
    places: dict[str, tuple[tuple[str, int], ...]] = {}
    """Batch -> file and line of their rows that have no order."""
    is_done: bool = False

    @property
    def is_about_any(self) -> bool:
        """Whether there is anything of anybody."""
        return bool(self.orders or self.places)

    @property
    def done(self) -> Self:
        """The same, when it has come to its end."""
        return self.model_copy(update={"is_done": True})

    def whose(self, batch: str) -> Whose:
        """Return whose data is taken out of a batch."""
        return Whose(frozenset(self.orders), frozenset(self.places.get(batch, ())))


def read_erasures(settings: Settings) -> list[Erasure]:
    """Return the store's erasures, the oldest first."""
    path = _path(settings)
    rows = json.loads(path.read_bytes()) if path.exists() else []
    return [Erasure.model_validate(row) for row in rows]


def write_erasures(settings: Settings, erasures: Sequence[Erasure]) -> None:
    """Keep them; a reader sees the old file or the new one."""
    rows = [each.model_dump(mode="json") for each in erasures]
    with replacing(_path(settings)) as draft:
        draft.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def erased_orders(settings: Settings) -> frozenset[str]:
    """Return the source ids of all orders whose customers were erased."""
    return frozenset(order for each in read_erasures(settings) for order in each.orders)


def without_erased(listing: pl.LazyFrame, settings: Settings) -> pl.LazyFrame:
    """Return what was read back, with what Corso still has of erased customers taken out."""
    orders = erased_orders(settings)
    return blanked(listing, Whose(orders)) if orders else listing


def source_without_erased(
    table: pl.LazyFrame, settings: Settings, *, only_done: bool = False
) -> pl.LazyFrame:
    """Return a table of the source blanked as what is read back is, so that what is equal compares equal.

    An export may have an erased customer again. `only_done`: without erasures that were killed, which may not have reached
    what was read back before.
    """
    orders = frozenset(
        order for each in read_erasures(settings) if each.is_done or not only_done for order in each.orders
    )
    return blanked_but_once(table, Whose(orders)) if orders else table


def said_of_erased(orders: int) -> str:
    """Say how many orders of erased customers an export has again."""
    are = "order of an erased customer is" if orders == 1 else "orders of erased customers are"
    return f"{orders:,} {are} in the export again, data and all: erase after the load, or have them taken out of the export."


def _path(settings: Settings) -> Path:
    return settings.store_dir / "erasures.json"
