"""pandas reads the export and finds what only several rows show; pydantic validates order by order."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from order_models import Fulfillment, Order, filled, nested
from pydantic import ValidationError

ROWS_AT_ONCE = 50_000
KEY = "source_order_id"


def read(path: Path) -> pd.DataFrame:
    """Read a table as text: an id may begin with a zero, and an empty cell is empty."""
    return pd.read_csv(path, dtype=str, keep_default_na=False, engine="pyarrow")


def records(frame: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Yield the rows; those of a whole table at once would stand in memory twice."""
    for start in range(0, len(frame), ROWS_AT_ONCE):
        yield from frame.iloc[start : start + ROWS_AT_ONCE].to_dict("records")


def by_order(frame: pd.DataFrame) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each order."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in records(frame):
        rows.setdefault(row[KEY], []).append(row)
    return rows


def ids_twice(frame: pd.DataFrame, own: list[str]) -> set[str]:
    """Return the orders of which two rows have the same id and differ."""
    return set(frame.loc[frame.duplicated([KEY, *own], keep=False), KEY])


def check(
    row: dict[str, str], lines: list[dict[str, str]], dispatches: list[dict[str, str]], *, is_twice: bool
) -> tuple[Order, list[Fulfillment]] | list[str]:
    """Return an order and its fulfillments, or what is wrong with them."""
    if is_twice:
        return ["an id stands in several rows that differ"]
    try:
        order = Order.model_validate(nested(row) | {"line_items": [filled(line) for line in lines]})
        return order, [Fulfillment.model_validate(filled(dispatch)) for dispatch in dispatches]
    except ValidationError as error:
        return [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False)
        ]


def refused(table: str, row: dict[str, str], reasons: list[str]) -> str:
    """Return a line of the quarantine."""
    entry = {"table": table, KEY: row[KEY], "reasons": reasons, "original": row}
    return json.dumps(entry, ensure_ascii=False) + "\n"


def main(exports: Path, out: Path) -> None:
    """Write orders.jsonl, fulfillments.jsonl and quarantine.jsonl."""
    orders = read(exports / "orders.csv").drop_duplicates()
    line_items = read(exports / "line_items.csv").drop_duplicates()
    fulfillments = read(exports / "fulfillments.csv").drop_duplicates()
    twice = ids_twice(orders, []) | ids_twice(line_items, ["source_line_item_id"])
    twice |= ids_twice(fulfillments, ["source_fulfillment_id"])
    lines_of, fulfillments_of = by_order(line_items), by_order(fulfillments)
    del line_items, fulfillments

    with (
        (out / "orders.jsonl").open("w", encoding="utf-8") as order_file,
        (out / "fulfillments.jsonl").open("w", encoding="utf-8") as fulfillment_file,
        (out / "quarantine.jsonl").open("w", encoding="utf-8") as quarantine_file,
    ):
        for row in records(orders):
            order_id = row[KEY]
            lines, dispatches = lines_of.get(order_id, []), fulfillments_of.get(order_id, [])
            found = check(row, lines, dispatches, is_twice=order_id in twice)
            if isinstance(found, list):
                quarantine_file.write(refused("orders", row, found))
                continue
            order, sent = found
            order_file.write(order.model_dump_json(by_alias=True, exclude_none=True) + "\n")
            for each in sent:
                text = each.model_dump_json(by_alias=True, exclude_none=True)
                fulfillment_file.write(f'{{"sourceOrderId":{json.dumps(order_id)},"fulfillment":{text}}}\n')
            del lines_of[order_id]
            fulfillments_of.pop(order_id, None)

        # What is left belongs to quarantined orders, or to none.
        known = set(orders[KEY])
        for table, left in (("line_items", lines_of), ("fulfillments", fulfillments_of)):
            for order_id, rows in left.items():
                reason = "its order is quarantined" if order_id in known else "names no order of this export"
                quarantine_file.writelines(refused(table, row, [reason]) for row in rows)


if __name__ == "__main__":
    given_exports, given_out = sys.argv[1:]
    main(Path(given_exports), Path(given_out))
