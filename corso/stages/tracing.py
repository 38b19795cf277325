"""One order's story, put together from the batches' tables and the ledger."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from corso.delivery.ledger import Key, Ledger
from corso.report.results import CORRECTED, FILLED_BY
from corso.settings import Settings
from corso.stages.batch import Batch, batches_of
from corso.stages.corrected import read_corrected_cells

_PLACE = ("file", "line")


@dataclass(frozen=True)
class Story:
    """What is known of one order; each part oldest first."""

    source_order_id: str
    places: list[dict[str, Any]]
    """batch, table, file, line, state (accepted | quarantined | repeated), reasons: one an export row."""
    entries: list[dict[str, Any]]
    """The ledger's entries: of the order and of its fulfillments."""
    attempts: list[dict[str, Any]]
    """The requests that were about to leave."""
    findings: list[dict[str, Any]]
    """What the last reconciliation of each batch found, without the values, which are personal."""
    compared: list[str]
    """The batches that it was accepted in and that were compared with Corso since they were planned."""

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it at all."""
        return bool(self.places or self.entries)

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def trace_order(settings: Settings, source_order_id: str) -> Story:
    """Return the story of one order of the store."""
    batches = batches_of(settings)
    with Ledger.read(settings.ledger, settings.loader.store.id) as ledger:
        attempts = [dict(attempt) for attempt in ledger.attempts(source_order_id)]
        keys = {
            Key(source_order_id),
            *(Key(source_order_id, each["source_fulfillment_id"]) for each in attempts),
        }
        found = sorted(ledger.entries_of(keys).values(), key=lambda entry: entry.key)
    entries = [
        {**entry.key._asdict(), **{k: v for k, v in asdict(entry).items() if k != "key"}} for entry in found
    ]
    return Story(
        source_order_id,
        [place for batch in batches for place in _places(batch, source_order_id)],
        entries,
        attempts,
        [finding for batch in batches for finding in _findings(batch, source_order_id)],
        [
            batch.name
            for batch in batches
            if _rows(batch, "accepted_orders", source_order_id, "file")
            and batch.read_facts().stage == "reconcile"
        ],
    )


def ids_called(settings: Settings, name: str) -> list[str]:
    """Return the ids of the orders whose name or number in an export is `name`, with or without a # in front."""
    tables = [batch.table("raw_orders") for batch in batches_of(settings)]
    called = pl.any_horizontal(
        pl.col("order_name", "order_number").str.strip_prefix("#") == name.removeprefix("#")
    )
    found = [
        pl.scan_parquet(path, glob=False)
        .filter(called)
        .select("source_order_id")
        .drop_nulls()
        .unique()
        .collect()
        for path in tables
        if path.exists()
    ]
    return sorted(set(pl.concat(found)["source_order_id"])) if found else []


def _places(batch: Batch, source_order_id: str) -> Iterator[dict[str, Any]]:
    corrected = _said_of_corrected(batch, source_order_id)
    filled = _said_of_filled(batch, source_order_id)
    for table in ("orders", "line_items", "fulfillments"):
        for file, line in _rows(batch, f"accepted_{table}", source_order_id, *_PLACE):
            said = corrected.get((file, line), [])
            yield {
                "batch": batch.name,
                "table": table,
                "file": file,
                "line": line,
                "state": "accepted",
                "reasons": [*said, *filled] if table == "orders" else said,
            }
    for table, file, line, kind, reasons in _rows(
        batch, "quarantined_orders", source_order_id, "table", *_PLACE, "kind", "reasons"
    ):
        yield {
            "batch": batch.name,
            "table": table,
            "file": file,
            "line": line,
            "state": kind,
            "reasons": [*filter(None, reasons.split("; ")), *corrected.get((file, line), [])],
        }


def _said_of_filled(batch: Batch, source_order_id: str) -> list[str]:
    """Return which fallbacks filled values of the order and of its rows, in a sentence; nothing where none did."""
    rows = _rows(batch, "filled_values", source_order_id, "filled")
    names = [
        each["fallback"] + (f" ({each['values']})" if each["values"] > 1 else "")
        for (filled,) in rows
        for each in filled
    ]
    return [FILLED_BY + ", ".join(names)] if names else []


def _said_of_corrected(batch: Batch, source_order_id: str) -> dict[tuple[str, int], list[str]]:
    """Return row -> what is corrected in it: its columns, in a sentence."""
    cells = read_corrected_cells(batch).filter(pl.col("source_order_id") == source_order_id)
    columns = cells.group_by("file", "line", maintain_order=True).agg(pl.col("column").str.join(", "))
    return {(file, line): [CORRECTED + names] for file, line, names in columns.collect().iter_rows()}


def _findings(batch: Batch, source_order_id: str) -> Iterator[dict[str, Any]]:
    columns = ("finding_id", "kind", "cause", "field", "first_seen")
    for row in _rows(batch, "reconciliation", source_order_id, *columns):
        yield {"batch": batch.name, **dict(zip(columns, row, strict=True))}


def _rows(batch: Batch, table: str, source_order_id: str, *columns: str) -> list[tuple[Any, ...]]:
    path = batch.table(table)
    if not path.exists():
        return []
    rows = pl.scan_parquet(path, glob=False).filter(pl.col("source_order_id") == source_order_id)
    return rows.select(*columns).collect().rows()
