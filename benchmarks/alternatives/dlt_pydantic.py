"""A dlt pipeline: the export's orders, with what belongs to them, through a pydantic schema to JSON lines on disk.

The check is made once, in the resource that both tables come from: dlt's own validator would drop what is wrong without
a word, and it lets instances of the model pass. Nested objects stay in one column each. Two workers normalize.
"""

import csv
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

KEY = "source_order_id"
ROWS_A_PAGE = 2_000
ROWS_A_FILE = 50_000

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    # Fields keep Corso's spelling.
    "SCHEMA__NAMING": "direct",
    "DATA_WRITER__BUFFER_MAX_ITEMS": str(ROWS_A_PAGE),
    "DATA_WRITER__FILE_MAX_ITEMS": str(ROWS_A_FILE),
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
}

# Settings are read at import.
import dlt  # noqa: E402
from dlt.destinations import filesystem  # noqa: E402
from order_models import Fulfillment, Order, filled, nested  # noqa: E402
from pydantic import ValidationError  # noqa: E402


class FulfillmentOf(Fulfillment):
    """A fulfillment with the order that it belongs to."""

    source_order_id: str


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a table as text."""
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def by_order(path: Path) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each order; exact repetitions count once."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows(path):
        of_order = found.setdefault(row[KEY], [])
        if row not in of_order:
            of_order.append(row)
    return found


def refused(table: str, row: dict[str, str], reasons: list[str]) -> dict[str, Any]:
    """Return a row of the quarantine."""
    return {"table": table, KEY: row[KEY], "reasons": reasons, "original": row}


def check(
    versions: list[dict[str, str]], lines: list[dict[str, str]], dispatches: list[dict[str, str]]
) -> tuple[Order, list[FulfillmentOf]] | list[str]:
    """Return an order and its fulfillments, or what is wrong with them."""
    ids = [line["source_line_item_id"] for line in lines]
    more_ids = [dispatch["source_fulfillment_id"] for dispatch in dispatches]
    if len(versions) > 1 or len(set(ids)) < len(ids) or len(set(more_ids)) < len(more_ids):
        return ["an id stands in several rows that differ"]
    try:
        order = Order.model_validate(nested(versions[0]) | {"line_items": [filled(line) for line in lines]})
        return order, [FulfillmentOf.model_validate(filled(dispatch)) for dispatch in dispatches]
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False)
        ]


@dlt.resource(selected=False)
def checked(exports: Path) -> Iterator[list[tuple[str, Any]]]:
    """Yield pages of (table, row): of `orders` and `fulfillments` what is accepted, of `quarantine` what is not."""

    def each() -> Iterator[tuple[str, Any]]:
        orders = by_order(exports / "orders.csv")
        lines_of = by_order(exports / "line_items.csv")
        fulfillments_of = by_order(exports / "fulfillments.csv")
        for order_id, versions in orders.items():
            found = check(versions, lines_of.get(order_id, []), fulfillments_of.get(order_id, []))
            if isinstance(found, list):
                yield from (("quarantine", refused("orders", row, found)) for row in versions)
                continue
            yield "orders", found[0]
            yield from (("fulfillments", fulfillment) for fulfillment in found[1])
            del lines_of[order_id]
            fulfillments_of.pop(order_id, None)
        # What is left belongs to quarantined orders, or to none.
        for table, left in (("line_items", lines_of), ("fulfillments", fulfillments_of)):
            for order_id, of_order in left.items():
                reason = "its order is quarantined" if order_id in orders else "names no order of this export"
                yield from (("quarantine", refused(table, row, [reason])) for row in of_order)

    found = each()
    while page := list(islice(found, ROWS_A_PAGE)):
        yield page


@dlt.transformer(columns=Order, max_table_nesting=0)
def orders(page: list[tuple[str, Any]]) -> list[Order]:
    """Keep the accepted orders."""
    return [row for table, row in page if table == "orders"]


@dlt.transformer(columns=FulfillmentOf, max_table_nesting=0)
def fulfillments(page: list[tuple[str, Any]]) -> list[FulfillmentOf]:
    """Keep their fulfillments."""
    return [row for table, row in page if table == "fulfillments"]


@dlt.transformer(max_table_nesting=0)
def quarantine(page: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Keep the rest."""
    return [row for table, row in page if table == "quarantine"]


@dlt.source
def export(folder: Path) -> Any:
    """Read an export once, for three tables."""
    source = checked(folder)
    return source | orders, source | fulfillments, source | quarantine


def main(exports: Path, out: Path) -> None:
    """Write the tables as JSON lines below `out`; raises where a job failed."""
    pipeline = dlt.pipeline(
        "orders",
        destination=filesystem(bucket_url=str(out)),
        dataset_name="prepared",
        pipelines_dir=str(out / "pipelines"),
    )
    pipeline.run(export(exports), loader_file_format="jsonl").raise_on_failed_jobs()


if __name__ == "__main__":
    given_exports, given_out = sys.argv[1:]
    main(Path(given_exports).absolute(), Path(given_out).absolute())
